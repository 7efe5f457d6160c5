import { int64, msgpack, type Serde } from '../../core/index.ts';
import { aggregate, type Aggregation } from '../operators/aggregate.ts';
import { synchronous } from '../operators/results.ts';
import { windowedAggregate } from '../operators/windowed-aggregate.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import { windowStore } from '../state/window-store.ts';
import { windowedSerde, type TimeWindows, type Windowed } from '../topology/windows.ts';
import { checkFunctions } from './arguments.ts';
import type { Adder, Reducer } from './functions.ts';
import type { StoreOptions, WindowedOptions } from './node-options.ts';
import { addOperator, type GroupedParts, type TableParts } from './parts.ts';
import { addTableStores, checkTableEmit, nodeName, readingPoint, storedTable } from './tables.ts';

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
  const stores = addTableStores(graph, {
    ...{ node, emit, keySerde },
    spec: { ...keyValueStore(store), ...spec },
  });
  const operator = aggregate({ kind, add, store, emit });
  addOperator(graph, operator, { name: node, parents: [readingPoint(parts, store)], stores });
  return storedTable({ graph, node, store, keySerde, valueSerde, stream });
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
  const keySerde = windowedSerde(key, windows.sizeMs);
  const stores = addTableStores(graph, {
    ...{ node, emit, keySerde },
    spec: { ...windowStore(store), ...spec, expiry },
  });
  const operator = windowedAggregate({ kind, add, store, windows, emit });
  addOperator(graph, operator, { name: node, parents: [readingPoint(parts, store)], stores });
  const table = { graph, node, store, keySerde, valueSerde, stream };
  return { ...table, reader: undefined, isWindowed: true, isVersioned: false };
}
