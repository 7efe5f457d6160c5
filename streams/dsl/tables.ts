import type { Serde } from '../../core/index.ts';
import { heldStoreSpec, storesFor, type TableEmit } from '../operators/emit.ts';
import { tableSource } from '../operators/table-source.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import type { StoreSpec } from '../topology/store.ts';
import { checkTableEmit, nodeName, readingPoint } from './aggregations.ts';
import { checkNodeOptions, type StreamTableOptions } from './node-options.ts';
import { addOperator, type GroupedParts, type TableParts } from './parts.ts';

/** What `addTable` needs to know. */
export interface TableAddition<K, V> extends Pick<TableParts<K, V>, 'graph' | 'node' | 'store'> {
  /** The node whose records are the rows. */
  readonly parent: string;
  readonly key: Serde<NonNullable<K>>;
  readonly value: Serde<NonNullable<V>>;
  readonly backing: StoreSpec['backing'];
  readonly emit: TableEmit;
  readonly stream: TableParts<K, V>['stream'];
}

/** Adds a table of the newest values of keys: its store, and the operator that keeps it. */
export function addTable<K, V>(table: TableAddition<K, V>): TableParts<K, V | null> {
  const { graph, node, store, parent, key, value, backing, emit, stream } = table;
  graph.addStore({ ...keyValueStore(store), key, value, backing });
  if (typeof emit === 'object') graph.addStore(heldStoreSpec({ store, node, key, value }));
  const operator = tableSource<K, V>(store, emit);
  addOperator(graph, operator, { name: node, parents: [parent], stores: storesFor(store, emit) });
  const isWindowed = false;
  return { graph, node, store, keySerde: key, valueSerde: value, isWindowed, stream };
}

/** Makes a table of a stream, behind a repartition topic if keys may have changed. */
export function addStreamTable<K, V>(
  parts: GroupedParts<NonNullable<K>, NonNullable<V>>,
  options: StreamTableOptions<NonNullable<K>, NonNullable<V>>,
): TableParts<NonNullable<K>, V | null> {
  checkNodeOptions('toTable', options, ['name', 'store', 'key', 'value', 'partitions', 'emit']);
  const { graph, key, value, stream } = parts;
  const node = nodeName(graph, 'to-table', options);
  const { store = node, emit = 'each' } = options;
  checkTableEmit('toTable', emit);
  const parent = readingPoint(parts, store);
  const serdes = { key, value };
  const backing = 'changelog';
  return addTable<NonNullable<K>, V>({
    ...{ graph, node, store, parent, ...serdes, backing, emit, stream },
  });
}
