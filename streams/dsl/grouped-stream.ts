import { int64, msgpack, type Serde } from '../../core/index.ts';
import { aggregate, type Aggregation } from '../operators/aggregate.ts';
import { windowedAggregate, type Emit } from '../operators/windowed-aggregate.ts';
import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { TopologyGraph } from '../topology/topology.ts';
import { windowedSerde, type TimeWindows, type Windowed } from '../topology/windows.ts';
import { KTable } from './ktable.ts';
import type { StoreOptions } from './node-options.ts';

/** A grouped stream before it is known what becomes of it. */
export interface GroupedParts<K, V> {
  readonly graph: TopologyGraph;
  readonly node: string;
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  readonly mustRepartition: boolean;
  readonly partitions: number | undefined;
}

type Adder<K, V, A> = (aggregate: A, record: StreamRecord<K, V>) => A;

/** A stream whose records of one key come together; aggregate it, or put it into windows first. */
export class KGroupedStream<K, V> {
  readonly #parts: GroupedParts<K, V>;

  constructor(parts: GroupedParts<K, V>) {
    this.#parts = parts;
  }

  /** How many records each key has had. */
  count(options: StoreOptions<number> = {}): KTable<K, number> {
    return this.#aggregate(counting<K, V>(), { value: int64(), ...options });
  }

  /** Combines the values of each key, beginning with its first. */
  reduce(
    reducer: (aggregate: V, value: V, record: StreamRecord<K, V>) => V,
    options: StoreOptions<V> = {},
  ): KTable<K, V> {
    const { value } = this.#parts;
    return this.#aggregate(reducing<K, V>(reducer), { value, ...options });
  }

  /** Makes one value of all records of a key: `adder` gets what there is, at first what `initializer` makes. */
  aggregate<A>(
    initializer: () => A,
    adder: Adder<K, V, A>,
    options: StoreOptions<A> = {},
  ): KTable<K, A> {
    return this.#aggregate(aggregating(initializer, adder), options);
  }

  /** Keeps windows of time apart. */
  windowedBy(windows: TimeWindows): TimeWindowedStream<K, V> {
    return new TimeWindowedStream(this.#parts, windows);
  }

  #aggregate<A>(
    aggregation: Omit<Aggregation<K, V, A>, 'store'>,
    options: StoreOptions<A>,
  ): KTable<K, A> {
    const { graph, key } = this.#parts;
    const name = graph.nameFor(aggregation.kind, options.name);
    const store = options.store ?? name;
    const value = options.value ?? msgpack<A>();
    graph.addStore({
      name: store,
      kind: 'keyValue',
      key: key,
      value: value,
      backing: 'changelog',
    });
    const operator = aggregate({ ...aggregation, store });
    addBehindRepartition(this.#parts, store, name, operator as unknown as Operator);
    return new KTable({ graph, node: name, store, keySerde: key, valueSerde: value });
  }
}

/** When results of windows are passed on. */
export interface WindowedOptions<A> extends StoreOptions<A> {
  /**
   * `update` (default): each commit passes on what has changed. `final`: one result a window, when it has
   * closed.
   */
  readonly emit?: Emit;
}

/** A grouped stream in windows of time. */
export class TimeWindowedStream<K, V> {
  readonly #parts: GroupedParts<K, V>;
  readonly #windows: TimeWindows;

  constructor(parts: GroupedParts<K, V>, windows: TimeWindows) {
    this.#parts = parts;
    this.#windows = windows;
  }

  /** How many records each key has in each window. */
  count(options: WindowedOptions<number> = {}): KTable<Windowed<K>, number> {
    return this.#aggregate(counting<K, V>(), { value: int64(), ...options });
  }

  /** Combines the values of each key and window, beginning with the first. */
  reduce(
    reducer: (aggregate: V, value: V, record: StreamRecord<K, V>) => V,
    options: WindowedOptions<V> = {},
  ): KTable<Windowed<K>, V> {
    const { value } = this.#parts;
    return this.#aggregate(reducing<K, V>(reducer), { value, ...options });
  }

  /** Makes one value of all records of a key in a window. */
  aggregate<A>(
    initializer: () => A,
    adder: Adder<K, V, A>,
    options: WindowedOptions<A> = {},
  ): KTable<Windowed<K>, A> {
    return this.#aggregate(aggregating(initializer, adder), options);
  }

  #aggregate<A>(
    aggregation: Omit<Aggregation<K, V, A>, 'store'>,
    options: WindowedOptions<A>,
  ): KTable<Windowed<K>, A> {
    const { graph, key } = this.#parts;
    const windows = this.#windows;
    const name = graph.nameFor(`windowed-${aggregation.kind}`, options.name);
    const store = options.store ?? name;
    const value = options.value ?? msgpack<A>();
    graph.addStore({
      name: store,
      kind: 'window',
      key: key,
      value: value,
      windowLifeMs: windows.sizeMs + windows.graceMs,
      backing: 'changelog',
    });
    const { emit = 'update' } = options;
    const operator = windowedAggregate({ ...aggregation, store, windows, emit });
    addBehindRepartition(this.#parts, store, name, operator as unknown as Operator);
    const keySerde = windowedSerde(key, windows.sizeMs);
    return new KTable({ graph, node: name, store, keySerde, valueSerde: value });
  }
}

/** Adds the node, behind a repartition node where keys have changed. */
function addBehindRepartition<K, V>(
  parts: GroupedParts<K, V>,
  store: string,
  name: string,
  operator: Operator,
): void {
  const { graph, node, key, value, mustRepartition, partitions } = parts;
  let parent = node;
  if (mustRepartition) {
    parent = graph.nameFor('repartition', `${store}-repartition`);
    graph.add({
      kind: 'repartition',
      name: parent,
      parents: [node],
      id: store,
      key: key,
      value: value,
      partitions,
    });
  }
  graph.add({ kind: 'operator', name, parents: [parent], operator, stores: [store] });
}

function counting<K, V>(): Omit<Aggregation<K, V, number>, 'store'> {
  return { kind: 'count', add: (count) => (count ?? 0) + 1 };
}

function reducing<K, V>(
  reducer: (aggregate: V, value: V, record: StreamRecord<K, V>) => V,
): Omit<Aggregation<K, V, V>, 'store'> {
  return {
    kind: 'reduce',
    add: (value, record) =>
      value === undefined ? record.value : reducer(value, record.value, record),
  };
}

function aggregating<K, V, A>(
  initializer: () => A,
  adder: Adder<K, V, A>,
): Omit<Aggregation<K, V, A>, 'store'> {
  return {
    kind: 'aggregate',
    add: (value, record) => adder(value === undefined ? initializer() : value, record),
  };
}
