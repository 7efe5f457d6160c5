import type { Serde } from '../../core/index.ts';
import { checkArgument, checkOptions, integer } from '../../core/internal.ts';
import { heldStoreSpec, storesFor, type Emit, type TableEmit } from '../operators/emit.ts';
import { storeReader } from '../operators/table-reader.ts';
import { tableSource } from '../operators/table-source.ts';
import { timesStoreOf, timesStoreSpec } from '../operators/time-to-live.ts';
import { versionedReader, versionedTableSource } from '../operators/versioned-table.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import { versionedStore } from '../state/versioned-store.ts';
import type { ErrorPolicy } from '../topology/record-errors.ts';
import type { StoreSpec } from '../topology/store.ts';
import type { TopologyGraph } from '../topology/topology.ts';
import { invalid } from './arguments.ts';
import { addDropped, type DroppedOptions } from './dropped-records.ts';
import type { StoreOptions, StreamTableOptions, TableOptions, TtlOptions } from './node-options.ts';
import { addOperator, type GroupedParts, type TableParts } from './parts.ts';
import { GROUPINGS, readingPoint } from './repartitioning.ts';

/** What `addTable` needs to know. */
export interface TableAddition<K, V> extends Pick<TableParts<K, V>, 'graph' | 'node'> {
  /** Undefined for a table that knows only the newest values. */
  readonly historyMs: number | undefined;
  readonly store: string;
  /** The node whose records are the rows. */
  readonly parent: string;
  readonly key: Serde<NonNullable<K>>;
  readonly value: Serde<NonNullable<V>>;
  readonly backing: StoreSpec['backing'];
  readonly emit: TableEmit;
  readonly stream: TableParts<K, V>['stream'];
  /** The options of the method. */
  readonly options: ErrorPolicy & DroppedOptions<K, V> & Partial<TtlOptions>;
}

/** Adds a table of the newest values of keys: its store, and the operator that keeps it. */
export function addTable<K, V>(table: TableAddition<K, V>): TableParts<K, V | null> {
  const { graph, node, store, parent, key, value, backing, emit, stream } = table;
  const { historyMs, options } = table;
  const { ttlMs, closeAfterIdleMs } = options;
  if (historyMs !== undefined) return addVersionedTable<K, V>({ ...table, historyMs });
  const spec = { ...keyValueStore(store), key, value, backing };
  const stores = addTableStores(graph, { node, emit, keySerde: key, spec, ttlMs });
  const place = { name: node, parents: [parent], stores, errors: options };
  addOperator(graph, { ...tableSource<K, V>(store, emit, ttlMs), closeAfterIdleMs }, place);
  addDropped({ graph, node, keySerde: key }, stream, options);
  return storedTable({ graph, node, store, keySerde: key, valueSerde: value, stream });
}

/** Adds a table that also keeps the past. */
function addVersionedTable<K, V>(
  table: TableAddition<K, V> & { readonly historyMs: number },
): TableParts<K, V | null> {
  const { graph, node, store, parent, key, value, stream, historyMs, options } = table;
  if (options.ttlMs !== undefined) throw invalid('a versioned table keeps its history: no ttlMs');
  // The topic cannot serve as changelog: compaction removes its past.
  graph.addStore({ ...versionedStore(store), key, value, backing: 'changelog', historyMs });
  const operator = versionedTableSource<K, V>(store);
  const place = { name: node, parents: [parent], stores: [store], errors: options };
  addOperator(graph, operator, place);
  addDropped({ graph, node, keySerde: key }, stream, options);
  const reader = versionedReader<K, NonNullable<V>>(store);
  const serdes = { keySerde: key, valueSerde: value };
  return { graph, node, store, reader, ...serdes, isWindowed: false, isVersioned: true, stream };
}

/** The parts of a table that is kept in a key-value store. */
export function storedTable<K, V>(
  parts: Pick<TableParts<K, V>, 'graph' | 'node' | 'keySerde' | 'valueSerde' | 'stream'> & {
    readonly store: string;
  },
): TableParts<K, V> {
  const reader = storeReader<K, NonNullable<V>>(parts.store);
  return { ...parts, reader, isWindowed: false, isVersioned: false };
}

/** Makes a table of a stream, behind a repartition topic if keys may have changed. */
export function addStreamTable<K, V>(
  parts: GroupedParts<NonNullable<K>, NonNullable<V>>,
  options: StreamTableOptions<NonNullable<K>, NonNullable<V>>,
): TableParts<NonNullable<K>, V | null> {
  const { graph, key, value, stream } = parts;
  const node = nodeName(graph, 'to-table', options, parts.node);
  const { store = node, emit = 'each' } = options;
  checkTableEmit('toTable', emit);
  const historyMs = historyOf('toTable', options);
  checkTtl('toTable', options);
  const parent = readingPoint({ ...parts, readers: GROUPINGS }, store);
  return addTable<NonNullable<K>, V>({
    ...{ graph, node, store, parent, key, value, backing: 'changelog', emit, stream, historyMs },
    options: options as TableAddition<NonNullable<K>, V>['options'], // null is no row
  });
}

/** What `addTableStores` needs to know. */
export interface TableStores<K, KS, V> {
  /** The operator that will keep the table. */
  readonly node: string;
  readonly emit: Emit;
  /** Of the table: that of its store, or with windows. */
  readonly keySerde: Serde<K>;
  readonly spec: StoreSpec<KS, V>;
  /** How long its rows stay without a change; undefined for ever. */
  readonly ttlMs?: number | undefined;
}

/**
 * Adds the store of a table, that of the changes that wait, and that of the times of rows that
 * expire; returns their names.
 */
export function addTableStores<K, KS, V>(
  graph: TopologyGraph,
  { node, emit, keySerde, spec, ttlMs }: TableStores<K, KS, V>,
): string[] {
  const { name: store, value } = spec;
  graph.addStore(spec);
  if (typeof emit === 'object') {
    graph.addStore(heldStoreSpec({ store, node, key: keySerde, value }));
  }
  if (ttlMs === undefined) return storesFor(store, emit);
  graph.addStore(timesStoreSpec({ store, node, key: spec.key, ttlMs }));
  return [...storesFor(store, emit), timesStoreOf(store)];
}

/** @throws StreamsError TOPOLOGY_INVALID if rows that stay are to expire by the clock. */
export function checkTtl(method: string, { ttlMs, closeAfterIdleMs }: Partial<TtlOptions>): void {
  if (ttlMs !== undefined || closeAfterIdleMs === undefined) return;
  throw invalid(`${method} with closeAfterIdleMs needs ttlMs: without it no row expires`);
}

/** @throws LogError INVALID_OPTION for what only windows have, in a program without types. */
export function checkTableEmit(method: string, emit: Emit): void {
  checkArgument(method, 'emit', emit, (value) =>
    value === 'final' ? "an emit without windows; only windows have a 'final' result" : undefined,
  );
}

/**
 * The history of a versioned table; undefined for another.
 *
 * @throws LogError INVALID_OPTION, also if its changes are to wait: they would not be in order.
 */
export function historyOf(
  method: string,
  { versioned, emit = 'each' }: Pick<TableOptions<unknown, unknown>, 'versioned' | 'emit'>,
): number | undefined {
  if (versioned === undefined) return undefined;
  checkOptions(`${method}: versioned`, versioned, { historyMs: integer(0) }, ['historyMs']);
  checkArgument(method, 'emit', emit, (value) =>
    value === 'each' ? undefined : "'each': a versioned table passes on every version at once",
  );
  return versioned.historyMs;
}

/**
 * Named after the store, if that has a name: a commit keeps the operator's time under the node's
 * name, which then does not depend on the rest of the topology.
 *
 * @throws StreamsError NAME_TAKEN
 */
export function nodeName(
  graph: TopologyGraph,
  kind: string,
  { name, store }: NodeNames,
  from: string,
): string {
  if (name !== undefined || store === undefined) return graph.nameFor(kind, name, from);
  const derived = `${kind}-${store}`;
  if (!graph.isFree(derived)) graph.checkStoreName(store); // whose name the user knows
  return graph.nameAfterStore(kind, store);
}

type NodeNames = Pick<StoreOptions<unknown>, 'name' | 'store'>;
