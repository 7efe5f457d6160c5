import type { Serde } from '../../core/index.ts';
import {
  callback,
  checkOptions,
  instance,
  integer,
  oneOf,
  text,
  type OptionCheck,
  type OptionChecks,
} from '../../core/internal.ts';
import type { Emit } from '../operators/windowed-aggregate.ts';
import type { TimestampExtractor } from '../topology/node.ts';

/** What every operator can be told. */
export interface NodeOptions {
  /** Names the node in descriptions and errors; default: its kind and a number. */
  readonly name?: string;
}

/** What an operator that makes new keys can be told. */
export interface KeyOptions<K> extends NodeOptions {
  /** Writes the new key; needed where no serde for it is known. Default: msgpack. */
  readonly key?: Serde<K>;
}

/** How a stream is grouped. */
export interface GroupOptions<K, V> extends KeyOptions<K> {
  /** Writes the value into the repartition topic. Default: the stream's, or msgpack. */
  readonly value?: Serde<V>;
  /** Partitions of the repartition topic; default: as many as the stream has. */
  readonly partitions?: number;
}

/** Where an aggregation keeps its values. */
export interface StoreOptions<A> extends NodeOptions {
  /**
   * Names the store, its changelog and its repartition topic. Default: numbered by their place in
   * the topology; give a name, or a change of the topology loses the state.
   */
  readonly store?: string;
  /** Writes the values into changelog and checkpoint. Default: msgpack. */
  readonly value?: Serde<A>;
}

/** Where windows keep their values, and when their results are passed on. */
export interface WindowedOptions<A> extends StoreOptions<A> {
  /**
   * `update` (default): each commit passes on what has changed. `final`: one result a window, when
   * it has closed.
   */
  readonly emit?: Emit;
}

/** How a topic is read. */
export interface SourceOptions<K, V> extends NodeOptions {
  /** The event time of a record; default: its timestamp in the log. */
  readonly timestamp?: TimestampExtractor<K, V>;
}

/** Where a table is kept. */
export interface TableOptions extends NodeOptions {
  /** Default: the name of the topic. */
  readonly store?: string;
}

/** What each option may be, by name: the same name means the same everywhere. */
const CHECKS = {
  name: text,
  key: instance,
  value: instance,
  partitions: integer(1, 10_000),
  store: text,
  emit: oneOf('update', 'final'),
  timestamp: callback,
} as const satisfies Record<string, OptionCheck>;

/**
 * Checks the options of a method of the DSL: job files are run without a look at their types.
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function checkNodeOptions<Options extends object>(
  method: string,
  options: Options,
  known: readonly (keyof Options & keyof typeof CHECKS)[],
): void {
  const checks = Object.fromEntries(known.map((option) => [option, CHECKS[option]]));
  checkOptions(method, options, checks as OptionChecks<Options>);
}
