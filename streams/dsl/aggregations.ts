import { int64, msgpack, type Serde } from '../../core/index.ts';
import { checkArgument } from '../../core/internal.ts';
import { aggregate, type Aggregation } from '../operators/aggregate.ts';
import { heldStoreSpec, storesFor, type Emit } from '../operators/emit.ts';
import { synchronous } from '../operators/results.ts';
import { windowedAggregate } from '../operators/windowed-aggregate.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import { windowStore } from '../state/window-store.ts';
import type { TopologyGraph } from '../topology/topology.ts';
import { windowedSerde, type TimeWindows, type Windowed } from '../topology/windows.ts';
import { checkFunctions } from './arguments.ts';
import type { Adder, Reducer } from './functions.ts';
import type { StoreOptions, WindowedOptions } from './node-options.ts';
import { addOperator, type GroupedParts, type TableParts } from './parts.ts';

/** How to aggregate the records of a key, and the default serde of the result. */
export interface Aggregating<K, V, A> extends Omit<Aggregation<K, V, A>, 'store' | 'emit'> {
  readonly value: Serde<NonNullable<A>>;
}

export function counting<K, V>(): Aggregating<K, V, number> {
  return { kind: 'count', add: (count) => (count ?? 0) + 1, value: int64() };
}

export function reducing<K, V>(
  reducer: Reducer<K, V, V | null | undefined>,
  value: Serde<V>,
): Aggregating<K, V, V> {
  checkFunctions('reduce', { reducer });
  return {
    kind: 'reduce',
    add: (known, record) =>
      known === undefined ? record.value : synchronous(reducer(known, record.value, record)),
    value: value as Serde<NonNullable<V>>, // a grouped stream has no nulls
  };
}

export function aggregating<K, V, A>(
  initializer: () => A,
  adder: Adder<K, V, A, A | null | undefined>,
): Aggregating<K, V, A> {
  checkFunctions('aggregate', { initializer, adder });
  return {
    kind: 'aggregate',
    add: (known, record) => {
      const before = known === undefined ? synchronous(initializer()) : known;
      return synchronous(adder(before, record));
    },
    value: msgpack(),
  };
}

/** Adds an aggregation to the topology, behind a repartition topic if keys may have changed. */
export function addAggregate<K, V, A>(
  parts: GroupedParts<K, V>,
  { kind, add, value }: Aggregating<K, V, A>,
  options: StoreOptions<NonNullable<A>>,
): TableParts<K, A> {
  const { graph, stream } = parts;
  const keySerde = parts.key as Serde<NonNullable<K>>; // a grouped stream has no null keys
  const node = nodeName(graph, kind, options);
  const { store = node, value: valueSerde = value, emit = 'commit' } = options;
  checkTableEmit(kind, emit);
  const spec = { key: keySerde, value: valueSerde, backing: 'changelog' } as const;
  graph.addStore({ ...keyValueStore(store), ...spec });
  if (typeof emit === 'object') graph.addStore(heldStoreSpec({ store, node, ...spec }));
  const operator = aggregate({ kind, add, store, emit });
  const parent = readingPoint(parts, store);
  const stores = storesFor(store, emit);
  addOperator(graph, operator, { name: node, parents: [parent], stores });
  return { graph, node, store, keySerde, valueSerde, isWindowed: false, stream };
}

/** The same for each window. */
export function addWindowedAggregate<K, V, A>(
  parts: GroupedParts<K, V>,
  windows: TimeWindows,
  { kind, add, value }: Aggregating<K, V, A>,
  options: WindowedOptions<NonNullable<A>>,
): TableParts<Windowed<K>, A> {
  const { graph, key, stream } = parts;
  const node = nodeName(graph, `windowed-${kind}`, options);
  const { store = node, value: valueSerde = value, emit = 'commit' } = options;
  const spec = { key, value: valueSerde, backing: 'changelog' } as const;
  const expiry = { lifeMs: windows.sizeMs + windows.graceMs, node };
  graph.addStore({ ...windowStore(store), ...spec, expiry });
  const keySerde = windowedSerde(key, windows.sizeMs);
  if (typeof emit === 'object') {
    graph.addStore(heldStoreSpec({ store, node, key: keySerde, value: valueSerde }));
  }
  const operator = windowedAggregate({ kind, add, store, windows, emit });
  const parent = readingPoint(parts, store);
  const stores = storesFor(store, emit);
  addOperator(graph, operator, { name: node, parents: [parent], stores });
  return { graph, node, store, keySerde, valueSerde, isWindowed: true, stream };
}

/** @throws LogError INVALID_OPTION for what only windows have, in a program without types. */
export function checkTableEmit(method: string, emit: Emit): void {
  checkArgument(method, 'emit', emit, (value) =>
    value === 'final' ? "an emit without windows; only windows have a 'final' result" : undefined,
  );
}

/**
 * Named after the store, if that has a name: a commit keeps the operator's time under the node's
 * name, which then does not depend on the rest of the topology.
 */
export function nodeName(graph: TopologyGraph, kind: string, { name, store }: NodeNames): string {
  return graph.nameFor(kind, name ?? (store === undefined ? undefined : `${kind}-${store}`));
}

type NodeNames = Pick<StoreOptions<unknown>, 'name' | 'store'>;

/** The node to read the group's records from: a repartition node if keys may have changed. */
export function readingPoint<K, V>(parts: GroupedParts<K, V>, store: string): string {
  const { graph, node, key, value, mustRepartition, partitions } = parts;
  if (!mustRepartition) return node;
  const name = graph.nameFor('repartition', `${store}-repartition`);
  const repartition = { kind: 'repartition', id: store, key, value, partitions } as const;
  graph.add({ ...repartition, name, parents: [node], partitioner: undefined });
  return name;
}
