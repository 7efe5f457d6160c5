import { msgpack, type Serde } from '../../core/index.ts';
import type { TableReader } from '../operators/table-reader.ts';
import type { Operator } from '../topology/operator.ts';
import { errorPolicyOf, type ErrorPolicy } from '../topology/record-errors.ts';
import type { TopologyGraph } from '../topology/topology.ts';
import type { KStream } from './kstream.ts';
import type { KTable } from './ktable.ts';
import { checkNodeOptions, type RekeyingOptions } from './node-options.ts';

/** The parts of a stream. */
export interface StreamParts<K, V> {
  readonly graph: TopologyGraph;
  /** The node whose output this is. */
  readonly node: string;
  /** Undefined if an operator has made new values. A serde never writes null. */
  readonly keySerde: Serde<NonNullable<K>> | undefined;
  readonly valueSerde: Serde<NonNullable<V>> | undefined;
  /** True if the records may no longer be partitioned by their key. */
  readonly isRekeyed: boolean;
}

/** A grouped stream before its aggregation. */
export interface GroupedParts<K, V> {
  readonly graph: TopologyGraph;
  readonly node: string;
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  readonly mustRepartition: boolean;
  readonly partitions: number | undefined;
  readonly stream: StreamMaker;
}

/** A grouped stream, for what takes several of them. */
export interface GroupedStream<K, V> {
  /** @internal */
  readonly parts: GroupedParts<K, V>;
}

/** What has to be known of the windows of a table. */
export interface TableWindows {
  /** Tables can be joined if these are equal; for messages. */
  readonly shape: string;
  /** How far before its end a window has records; 0 for sessions, whose last record is the end. */
  readonly sizeMs: number;
  /** How long after its end a window may change. */
  readonly lifeMs: number;
  /** Writes the keys without their windows, if these are few at a time: not for sliding windows. */
  readonly innerKey?: Serde<unknown>;
}

/** The parts of a table. */
export interface TableParts<K, V> {
  readonly graph: TopologyGraph;
  readonly node: string;
  /** Undefined for a view, which stores nothing. */
  readonly store: string | undefined;
  /** Undefined for a table of windows that does not know what was passed on. */
  readonly reader: TableReader<K, NonNullable<V>> | undefined;
  readonly keySerde: Serde<NonNullable<K>>;
  /** Never writes null, which deletes the row. Undefined if a function has made the values. */
  readonly valueSerde: Serde<NonNullable<V>> | undefined;
  /** True if it has a row for each key and window. */
  readonly isWindowed: boolean;
  /** Of a table of windows that others can join. */
  readonly windows?: TableWindows;
  /** True if it passes on changes of the past too, as a versioned table and its views do. */
  readonly isVersioned: boolean;
  readonly stream: StreamMaker;
}

/**
 * Makes a stream. Streams make tables, and tables streams: tables are given this, so that their
 * file does not import that of streams.
 */
export type StreamMaker = <K, V>(parts: StreamParts<K, V>) => KStream<K, V>;

/** Makes a table, for a grouped table. */
export type TableMaker = <K, V>(parts: TableParts<K, V>) => KTable<K, V>;

/** Where an operator stands in the topology. */
export interface OperatorPlace {
  /** As `graph.nameFor` returns it. */
  readonly name: string;
  readonly parents: readonly string[];
  /** The names of the stores that it uses; default: none. */
  readonly stores?: readonly string[];
  /** True if it gets what its parents drop. */
  readonly takesDropped?: boolean;
  /** Of the new keys, if they are promised to be in the right partition. */
  readonly preserves?: Serde<unknown> | undefined;
  /** The options of the method: what the node does with records that it cannot handle. */
  readonly errors: ErrorPolicy;
}

/**
 * Adds an operator to the topology and returns the name of its node. The only place where its
 * types are forgotten: whoever calls this has checked them.
 */
export function addOperator<K, V, K2, V2>(
  graph: TopologyGraph,
  operator: Operator<K, V, K2, V2>,
  { name, parents, stores = [], takesDropped, preserves, errors: policy }: OperatorPlace,
): string {
  const errors = errorPolicyOf(policy);
  const taking = takesDropped === undefined ? {} : { takesDropped };
  graph.add({ kind: 'operator', name, parents, operator, stores, ...taking, preserves, errors });
  return name;
}

/** The serdes of a stream; undefined where an operator has made new keys or values. */
export type Serdes<K, V> = Pick<StreamParts<K, V>, 'keySerde' | 'valueSerde'>;

/** Neither keys nor values are those of a topic. */
export const NO_SERDES = { keySerde: undefined, valueSerde: undefined } as const;

/** What `addToStream` needs besides the operator. */
export interface StreamAddition<K, V> {
  readonly options: RekeyingOptions;
  /** Of the results. */
  readonly serdes: Serdes<K, V>;
  /** The stores that the operator uses; default: none. */
  readonly stores?: readonly string[];
}

/** Adds an operator behind a stream and returns the parts of its results. */
export function addToStream<K, V, K2, V2>(
  parts: StreamParts<K, V>,
  operator: Operator<K, V, K2, V2>,
  { options, serdes: { keySerde, valueSerde }, stores = [] }: StreamAddition<K2, V2>,
): StreamParts<K2, V2> {
  const { kind, changesKey } = operator;
  checkNodeOptions(kind, options, changesKey ? ['name', 'preserves'] : ['name']);
  const { graph } = parts;
  const name = graph.nameFor(kind, options.name, parts.node);
  const place = { name, parents: [parts.node], stores, errors: options };
  const preserves = promisedKeys(options, keySerde);
  const node = addOperator(graph, operator, { ...place, preserves });
  const isRekeyed = parts.isRekeyed || (changesKey && preserves === undefined);
  return { graph, node, keySerde, valueSerde, isRekeyed };
}

/** The serde of new keys that are promised to be in the right partition. */
export function promisedKeys<K>(
  { preserves }: RekeyingOptions,
  keySerde: Serde<NonNullable<K>> | undefined,
): Serde<unknown> | undefined {
  if (preserves === undefined) return undefined;
  return keySerde ?? msgpack();
}
