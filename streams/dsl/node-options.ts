import type { Serde, Topic } from '../../core/index.ts';
import {
  anything,
  callback,
  checkOptions,
  instance,
  integer,
  listOf,
  oneOf,
  text,
  type OptionCheck,
  type OptionChecks,
} from '../../core/internal.ts';
import type { Emit, TableEmit } from '../operators/emit.ts';
import type { JoinWindow } from '../topology/join-window.ts';
import type { NullHandling, StreamPartitioner } from '../topology/node.ts';
import {
  errorHandling,
  topicName,
  type ErrorAction,
  type ErrorHandler,
} from '../topology/record-errors.ts';
import type { TableHandle } from '../topology/processor.ts';
import type { StoreHandle } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { DroppedOptions } from './dropped-records.ts';
import type { Merger, Synchronous } from './functions.ts';
import type { TimestampExtractor } from '../topology/timestamps.ts';
import type { IdleClosing } from '../topology/windows.ts';

/** What a node does with records that it cannot handle. */
export interface ErrorOptions {
  /**
   * What becomes of a record that a source cannot read, an operator cannot process, or a sink
   * cannot write: `fail`, `skip` or `deadLetter`, or a function that decides. Default: as the
   * application says by `onDeserializationError`, `onProcessingError` and `onProductionError`.
   */
  readonly onError?: ErrorAction | ErrorHandler;
  /** The topic of its dead letters. Default: that of the application. */
  readonly deadLetterTopic?: string;
}

/** Options of every operator. */
export interface NodeOptions extends ErrorOptions {
  /** Names the node, in descriptions and errors. Default: of kind and origin: `filter-orders`. */
  readonly name?: string;
}

/** Options of an operator that makes new keys. */
export interface KeyOptions<K> extends NodeOptions {
  /** Writes the new key, whose serde is otherwise unknown. Default: msgpack. */
  readonly key?: Serde<K>;
}

/** Options of an operator whose records may have other keys. */
export interface RekeyingOptions extends NodeOptions {
  /**
   * `partition` promises that a record with a new key is in the right partition: with all others of
   * that key, and, if a join follows, where the other side has it. Groupings and joins then do not
   * repartition. Default: they do.
   *
   * A broken promise gives wrong results: a key has a row in each partition that it is in, and a
   * join misses what is in another one. An application cannot find that out; a
   * `TopologyTestDriver` with several `partitions` fails on such a key.
   */
  readonly preserves?: 'partition';
}

/** What an operator of one's own is connected to. */
export interface ConnectionOptions {
  /** The stores that it uses, as `StreamsBuilder.addStore` returns them. Default: none. */
  readonly stores?: readonly StoreHandle[];
  /** The tables that it reads, as `context.table` gives them. Default: none. */
  readonly tables?: readonly TableHandle<unknown, unknown>[];
}

/** Options of a processor of one's own that keeps the keys. */
export interface ValueProcessorOptions<V> extends NodeOptions, ConnectionOptions {
  /** Writes the values that it forwards, and tells their type. Default: msgpack. */
  readonly value?: Serde<V>;
}

/** Options of a processor of one's own. */
export interface ProcessorOptions<K, V> extends ValueProcessorOptions<V>, RekeyingOptions {
  /** Writes the keys that it forwards, and tells their type. Default: msgpack. */
  readonly key?: Serde<K>;
}

/** How `print` writes. */
export interface PrintOptions<K, V> extends NodeOptions {
  /** Begins each line; default: the name of the node. */
  readonly label?: string;
  /** Makes the text of a record. Default: key and value, as Node shows them. */
  readonly mapper?: (record: StreamRecord<K, V>) => string;
  /** Takes each line, without a line break. Default: writes it to standard output. */
  readonly write?: (line: string) => void;
}

/** Options of a grouping. */
export interface GroupOptions<K, V> extends KeyOptions<K> {
  /** Writes the value into the repartition topic. Default: the stream's, or msgpack. */
  readonly value?: Serde<V>;
  /** Partitions of the repartition topic; default: as many as the stream has. */
  readonly partitions?: number;
}

/** Options of a repartition topic. */
export interface RepartitionOptions<K, V> extends ErrorOptions {
  /** The topic is `<applicationId>-<name>-repartition`; default: a name from kind and origin. */
  readonly name?: string;
  /** Writes the keys into the topic. Default: the stream's serde, or msgpack. */
  readonly key?: Serde<K>;
  /** Writes the values into the topic. Default: the stream's serde, or msgpack. */
  readonly value?: Serde<V>;
  /** Partitions of the topic; default: as many as the stream has. */
  readonly partitions?: number;
}

/** Options of a sink. */
export interface SinkOptions<K, V> extends NodeOptions, PartitionOptions<K, V> {}

/** How to choose partitions. */
export interface PartitionOptions<K, V> {
  /** Chooses a record's partitions: one, several, or none. Default: the partition of its key. */
  readonly partitioner?: StreamPartitioner<K, V>;
}

/** Options of an aggregation's store. */
export interface StoreOptions<A> extends NodeOptions {
  /**
   * Names the store, its changelog and the repartition topic, unless an earlier reader of the
   * stream has one that it shares. Default: made of kind and origin, as `count-orders`. Set a name:
   * with others of that kind and origin, it would depend on their order.
   */
  readonly store?: string;
  /** Writes the values into changelog and checkpoint. Default: msgpack. */
  readonly value?: Serde<A>;
  /** When results are passed on. Default: `commit`. */
  readonly emit?: TableEmit;
}

/** How long the rows of a table stay without a change. */
export interface TtlOptions extends IdleClosing {
  /**
   * A row whose last change is older than this by stream time, in milliseconds, and at most a 16th
   * of it older, is deleted; that is passed on as any other change. A record that is older than
   * this when it comes is late, and dropped. Rows that were there before the option expire once
   * they have changed. Default: rows stay.
   */
  readonly ttlMs: number;
}

/** How the duplicates of a stream are found. */
export interface DedupeOptions<K, V, I> extends NodeOptions, DroppedOptions<K, V> {
  /**
   * The id of a record. Default: its key. Records without one, null or undefined, are dropped and
   * counted. Equal ids are found if they are in one partition: records of equal keys are.
   */
  readonly by?: (record: StreamRecord<K, V>) => (I & Synchronous<I>) | null | undefined;
  /**
   * Records of one id are duplicates if their times are less than this many milliseconds apart; 1
   * or more. As long as that is, each id takes an entry of the store.
   */
  readonly withinMs: number;
  /**
   * How long records may come after the stretch of `withinMs` that they are in; later ones could be
   * duplicates, so they are dropped and counted as late. Default: `withinMs`.
   */
  readonly graceMs?: number;
  /** Writes the ids into the store. Default: the serde of the keys, or msgpack with `by`. */
  readonly id?: Serde<I>;
  /**
   * Names the store, its changelog and the repartition topic, unless an earlier reader of the
   * stream has one that it shares. Default: made of kind and origin, as `count-orders`. Set a name:
   * with others of that kind and origin, it would depend on their order.
   */
  readonly store?: string;
}

/** Options of a table made of other tables, which stores nothing unless `store` is set. */
export interface ViewOptions<V> extends NodeOptions {
  /**
   * Keeps the table in a store of this name, with a changelog; rows of windows until these have
   * closed. Default: it is a view.
   */
  readonly store?: string;
  /** Writes the values. Default: the serde of the table if its values are the same, or msgpack. */
  readonly value?: Serde<V>;
  /** With a store: when changes are passed on. Default: `each`. */
  readonly emit?: TableEmit;
}

/** Options of `transformValues`. */
export interface TransformOptions<V> extends NodeOptions, ConnectionOptions {
  /**
   * Names the store of the table, and its changelog. Default: the name of the node. Set a name, or
   * changing the topology loses the state.
   */
  readonly store?: string;
  /** Writes the values. Default: msgpack. */
  readonly value?: Serde<V>;
  /** When changes are passed on. Default: `each`. */
  readonly emit?: TableEmit;
}

/** Options of a suppression. */
export interface SuppressOptions<V> extends NodeOptions {
  /**
   * Names the store of what waits, and its changelog. Default: the name of the node. Set a name, or
   * changing the topology loses what waits.
   */
  readonly store?: string;
  /** Writes the values into changelog and checkpoint. Default: the table's serde, or msgpack. */
  readonly value?: Serde<V>;
}

/** Options of the store of a windowed aggregation. */
export interface WindowedOptions<A> extends Omit<StoreOptions<A>, 'emit'> {
  /** When results are passed on. Default: `commit`. */
  readonly emit?: Emit;
}

/** Options of the store of an aggregation in windows of so many records. */
export interface CountWindowedOptions<A> extends Omit<StoreOptions<A>, 'emit'> {
  /** `final`: when a window is complete; `each`: every change of a window. Default: `final`. */
  readonly emit?: 'final' | 'each';
}

/** What to do if the sides of a join are not partitioned alike. */
export interface CopartitionOptions {
  /**
   * `if-needed` repartitions a side whose partitions are not as many as those of the other side: of
   * two streams or two tables the one with fewer, of a stream and a table the stream. With as many
   * partitions on both sides nothing is repartitioned. Decided at the start, when the topics are
   * known. Default: the application does not start.
   */
  readonly repartition?: 'if-needed';
}

/** How tables are joined by their keys. With `repartition` the result is stored. */
export interface JoinedTableOptions<V> extends ViewOptions<V>, CopartitionOptions {}

/** How a stream is joined with a table of its task. */
export interface TableJoinOptions<K, V>
  extends KeyOptions<K>, CopartitionOptions, IdleClosing, DroppedOptions<K, V> {
  /** Writes the stream's values where that is needed. Default: the stream's serde, or msgpack. */
  readonly value?: Serde<V>;
  /**
   * With a versioned table: how long a record waits for changes of the table that are out of order,
   * until stream time has reached its own by this. Default: it is joined at once.
   */
  readonly graceMs?: number;
}

/** Options of a windowed aggregation whose values can be merged. */
export interface MergeableOptions<K, A> extends WindowedOptions<A> {
  /**
   * Combines the values of two stretches of time, the earlier first. Given it, hopping windows with
   * `emit: 'final'` cost one change of the store for each record, however many windows it is in:
   * values are kept for each advance of the windows, and merged when a window closes. Default:
   * none, but `count` does so by itself.
   *
   * The results must not depend on where the records are divided: `merger` is associative, a merge
   * with the result of the initializer changes nothing, and the order of records of different
   * stretches does not matter. It may change `left` and return it, but not `right`. Nothing may be
   * null.
   */
  readonly merger?: Merger<K, A>;
}

/** How two streams are joined. */
export interface StreamJoinOptions<K, VL, VR>
  extends KeyOptions<K>, CopartitionOptions, DroppedOptions<K, VL | VR> {
  /** Which records meet. */
  readonly window: JoinWindow;
  /**
   * Names the stores, `<store>-left` and `<store>-right`, their changelogs, and the repartition
   * topics of both sides, unless an earlier join has one that it shares. Default: the name of the
   * node. Set one of the names, or changing the topology loses the state.
   */
  readonly store?: string;
  /** Writes the values of the left side. Default: the stream's serde, or msgpack. */
  readonly value?: Serde<VL>;
  /** Writes the values of the other side. Default: that stream's serde, or msgpack. */
  readonly otherValue?: Serde<VR>;
}

/** The type of keys or values under a null policy. */
export type OrNull<T, H extends NullHandling> = H extends 'pass' ? T | null : T;

/** A topic that accepts keys and values of these types. */
export interface SinkTopic<K, V> extends Pick<Topic<K, V>, 'name' | 'partitions' | 'config'> {
  /** Writes the keys; the topic's own type may be wider. */
  readonly key: Pick<Serde<K>, 'serialize'>;
  /** Writes the values; the topic's own type may be wider. */
  readonly value: Pick<Serde<V>, 'serialize'>;
}

/** How to read a topic as a stream. */
export interface SourceOptions<
  K,
  V,
  NullKeys extends NullHandling = 'pass',
  NullValues extends NullHandling = 'fail',
>
  extends NodeOptions, DroppedOptions<K, V> {
  /** The event time of a record; default: its timestamp in the log. */
  readonly timestamp?: TimestampExtractor<OrNull<K, NullKeys>, OrNull<V, NullValues>>;
  /**
   * What happens to records without a key. `pass` (default): functions receive them and see `K |
   * null`. `skip`: drops and counts them. `fail`: they end the application.
   */
  readonly nullKeys?: NullKeys;
  /**
   * What happens to records with a null value (tombstones). `pass`: functions receive them and see
   * `V | null`. `skip`: drops and counts them. `fail` (default): they end the application, so that
   * no function gets a null that its type hides, and no record is lost.
   */
  readonly nullValues?: NullValues;
}

/** How a table keeps its past. */
export interface VersionedOptions {
  /** How far back from its newest record the table can be read, and takes records out of order. */
  readonly historyMs: number;
}

/** How to read a topic as a table, and how to store that. */
export interface TableOptions<K, V> extends NodeOptions, DroppedOptions<K, V>, Partial<TtlOptions> {
  /**
   * The event time of a record; default: its timestamp in the log. A null value deletes. The store
   * then has a changelog, and is otherwise restored from the topic.
   */
  readonly timestamp?: TimestampExtractor<K | null, V | null>;
  /** Default: the name of the topic. */
  readonly store?: string;
  /** When changes are passed on. Default: `each`; a versioned table has no other. */
  readonly emit?: TableEmit;
  /**
   * Keeps the past too, with a changelog of its own: a join sees the table of its time. Default:
   * only the newest values.
   */
  readonly versioned?: VersionedOptions;
}

/** How to make a table of a stream, and how to store that. */
export interface StreamTableOptions<K, V>
  extends GroupOptions<K, V>, DroppedOptions<K, V>, Partial<TtlOptions> {
  /**
   * Names the store, its changelog and the repartition topic, unless an earlier reader of the
   * stream has one that it shares. Default: made of kind and origin, as `count-orders`. Set a name:
   * with others of that kind and origin, it would depend on their order.
   */
  readonly store?: string;
  /** When changes are passed on. Default: `each`; a versioned table has no other. */
  readonly emit?: TableEmit;
  /** Keeps the past too: a join sees the table of its time. Default: only the newest values. */
  readonly versioned?: VersionedOptions;
}

const NULL_HANDLING = oneOf('pass', 'skip', 'fail');

const EMIT_NAMES = oneOf('commit', 'each', 'final');
/** The times of a topology are milliseconds since 1970, so that no interval is longer. */
const EVERY_MS = integer(1);

const emit: OptionCheck = (value) => {
  const { everyMs, ...others } = (typeof value === 'object' ? (value ?? {}) : {}) as {
    everyMs?: unknown;
  };
  const isInterval = EVERY_MS(everyMs) === undefined && Object.keys(others).length === 0;
  if (isInterval || EMIT_NAMES(value) === undefined) return undefined;
  return `${EMIT_NAMES(undefined)} or { everyMs: ${EVERY_MS(undefined)} }`;
};

/** The check of each option by name: a name means the same everywhere. */
const CHECKS = {
  name: text,
  key: instance,
  value: instance,
  otherValue: instance,
  window: anything,
  versioned: instance,
  by: callback,
  dropped: callback,
  first: oneOf('greatest', 'least'),
  compare: callback,
  id: instance,
  withinMs: integer(1),
  ttlMs: integer(1),
  concurrency: integer(1, 10_000),
  order: oneOf('partition', 'key', 'none'),
  timeoutMs: integer(1),
  retries: integer(0, 1_000),
  backoffMs: integer(0),
  maxPending: integer(1, 1_000_000),
  batchMax: integer(1, 100_000),
  cache: instance,
  graceMs: integer(0),
  closeAfterIdleMs: integer(1),
  partitions: integer(1, 10_000),
  store: text,
  stores: listOf('stores'),
  tables: listOf('tables'),
  preserves: oneOf('partition'),
  repartition: oneOf('if-needed'),
  emit,
  timestamp: callback,
  partitioner: callback,
  label: text,
  mapper: callback,
  merger: callback,
  foreignKey: callback,
  joiner: callback,
  write: callback,
  onError: errorHandling,
  deadLetterTopic: topicName,
  nullKeys: NULL_HANDLING,
  nullValues: NULL_HANDLING,
} as const satisfies Record<string, OptionCheck>;

const ERROR_OPTIONS = ['onError', 'deadLetterTopic'] as const;

/** An option of a node that can be checked by its name. */
export type KnownOption<Options> = keyof Options & keyof typeof CHECKS;

/**
 * Checks the options of a method of the DSL: job files run without type checks.
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function checkNodeOptions<Options extends object>(
  method: string,
  options: Options,
  known: readonly KnownOption<Options>[],
  required: readonly (keyof Options & string)[] = [],
): void {
  // What has a name is a node, or several, which can fail.
  const all = known.includes('name' as never) ? [...known, ...ERROR_OPTIONS] : known;
  const checks = Object.fromEntries<OptionCheck>(all.map((option) => [option, CHECKS[option]]));
  checkOptions(method, options, checks as OptionChecks<Options>, required);
}
