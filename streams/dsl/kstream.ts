import { msgpack, type Serde, type Topic } from '../../core/index.ts';
import { checkArgument, checkHandle, instance } from '../../core/internal.ts';
import { filter } from '../operators/filter.ts';
import { flatMap, flatMapValues } from '../operators/flat-map.ts';
import { joinTable } from '../operators/join.ts';
import { map, mapValues, selectKey } from '../operators/map.ts';
import { pass, peek } from '../operators/peek.ts';
import type { KeyValue } from '../operators/results.ts';
import { branch, split } from '../operators/split.ts';
import { changesToStream } from '../operators/to-stream.ts';
import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { TopologyGraph } from '../topology/topology.ts';
import { checkWindows, type TimeWindows, type Windowed } from '../topology/windows.ts';
import {
  addAggregate,
  addWindowedAggregate,
  aggregating,
  counting,
  reducing,
  type Aggregating,
  type GroupedParts,
  type TableParts,
} from './aggregations.ts';
import { checkFunctions, checkMade, foreign, invalid } from './arguments.ts';
import type { Adder, Joiner, Predicate, Reducer, Synchronous } from './functions.ts';
import { GlobalKTable } from './global-ktable.ts';
import {
  checkNodeOptions,
  type GroupOptions,
  type KeyOptions,
  type NodeOptions,
  type SinkTopic,
  type StoreOptions,
  type WindowedOptions,
} from './node-options.ts';

/** The parts of a stream. */
interface StreamParts<K, V> {
  readonly graph: TopologyGraph;
  /** The node whose output this is. */
  readonly node: string;
  /** Undefined if an operator has made new values. A serde never writes null. */
  readonly keySerde: Serde<NonNullable<K>> | undefined;
  readonly valueSerde: Serde<NonNullable<V>> | undefined;
  /** True if the records may no longer be partitioned by their key. */
  readonly isRekeyed: boolean;
}

/**
 * A stream of records. Each method adds a node to the topology and returns the stream behind it;
 * nothing runs before `StreamsApp.start`. Functions are synchronous and called once per record. If
 * a key or value may be null, its type shows it: `KStream<string | null, Order>`.
 */
export class KStream<K, V> {
  readonly #parts: StreamParts<K, V>;

  /** @internal `StreamsBuilder.stream` and operators make them. */
  constructor(parts: StreamParts<K, V>) {
    this.#parts = parts;
  }

  /** Keeps the records for which `predicate` is true. */
  filter(predicate: Predicate<K, V>, options: NodeOptions = {}): KStream<K, V> {
    checkFunctions('filter', { predicate });
    return this.#add(filter(predicate), options, this.#serdes());
  }

  /** Turns each record into one with another key and value. A later grouping repartitions. */
  map<K2, V2>(
    mapper: (record: StreamRecord<K, V>) => KeyValue<K2, V2>,
    options: NodeOptions = {},
  ): KStream<K2, V2> {
    checkFunctions('map', { mapper });
    return this.#add(map(mapper), options, NO_SERDES);
  }

  /** Replaces the values; keys and partitions stay. */
  mapValues<V2>(
    mapper: (value: V, record: StreamRecord<K, V>) => V2 & Synchronous<V2>,
    options: NodeOptions = {},
  ): KStream<K, V2> {
    checkFunctions('mapValues', { mapper });
    return this.#add(mapValues<K, V, V2>(mapper), options, this.#keySerdeOnly());
  }

  /**
   * Turns each record into any number, with other keys and values. A later grouping repartitions.
   */
  flatMap<K2, V2>(
    mapper: (record: StreamRecord<K, V>) => Iterable<KeyValue<K2, V2>>,
    options: NodeOptions = {},
  ): KStream<K2, V2> {
    checkFunctions('flatMap', { mapper });
    return this.#add(flatMap(mapper), options, NO_SERDES);
  }

  /** Turns each record into any number with the same key. */
  flatMapValues<V2>(
    mapper: (value: V, record: StreamRecord<K, V>) => Iterable<V2>,
    options: NodeOptions = {},
  ): KStream<K, V2> {
    checkFunctions('flatMapValues', { mapper });
    return this.#add(flatMapValues(mapper), options, this.#keySerdeOnly());
  }

  /** Replaces the keys. A later grouping repartitions. */
  selectKey<K2>(
    selector: (record: StreamRecord<K, V>) => K2 & Synchronous<K2>,
    options: KeyOptions<NonNullable<K2>> = {},
  ): KStream<K2, V> {
    checkFunctions('selectKey', { selector });
    const { key: keySerde, ...node } = options;
    const { valueSerde } = this.#parts;
    return this.#add(selectKey<K, V, K2>(selector), node, { keySerde, valueSerde });
  }

  /**
   * Calls `look` with each record and forwards it. After a crash `look` sees uncommitted records
   * again.
   */
  peek<R>(
    look: (record: StreamRecord<K, V>) => R & Synchronous<R>,
    options: NodeOptions = {},
  ): KStream<K, V> {
    checkFunctions('peek', { look });
    return this.#add(peek(look), options, this.#serdes());
  }

  /** The records of both streams, in no order between them. */
  merge<K2 extends K | null, V2 extends V | null>(
    other: KStream<K2, V2>,
    options: NodeOptions = {},
  ): KStream<K | K2, V | V2> {
    checkMade('merge', 'other', other, KStream);
    checkNodeOptions('merge', options, ['name']);
    const { graph } = this.#parts;
    if (other.#parts.graph !== graph) throw foreign('merge');
    const name = graph.nameFor('merge', options.name);
    const parents = [this.#parts.node, other.#parts.node];
    graph.add({
      kind: 'operator',
      name,
      parents,
      operator: pass<unknown, unknown>('merge'),
      stores: [],
    });
    const isRekeyed = this.#parts.isRekeyed || other.#parts.isRekeyed;
    return new KStream<unknown, unknown>({
      ...{ graph, node: name, ...this.#serdes(), isRekeyed },
    }) as KStream<K | K2, V | V2>;
  }

  /**
   * Splits the stream: each record goes to the first branch whose predicate is true, or to `rest`.
   *
   * @example
   * const { late, onTime } = flights.split({ late: ({ value }) => value.delay > 15 }, 'onTime');
   */
  split<B extends string, R extends string = 'rest'>(
    branches: Readonly<Record<B, Predicate<K, V>>>,
    rest: R = 'rest' as R,
    options: NodeOptions = {},
  ): Record<B | R, KStream<K, V>> {
    checkArgument('split', 'branches', branches, instance);
    checkFunctions('split', branches);
    checkNodeOptions('split', options, ['name']);
    const { graph, node, isRekeyed } = this.#parts;
    const entries = Object.entries<Predicate<K, V>>(branches);
    if (entries.some(([label]) => /^\d+$/.test(label))) {
      throw invalid(
        'branches need names that are not numbers, which JavaScript would put in order',
      );
    }
    const name = graph.nameFor('split', options.name);
    const operator = split(entries.map(([, predicate]) => predicate)) as unknown as Operator;
    graph.add({ kind: 'operator', name, parents: [node], operator, stores: [] });
    const streams = [...entries.map(([label]) => label), rest].map((label, index) => {
      const child = graph.nameFor('branch', `${name}-${label}`);
      const only = branch(index) as unknown as Operator;
      graph.add({ kind: 'operator', name: child, parents: [name], operator: only, stores: [] });
      return [label, new KStream({ graph, node: child, ...this.#serdes(), isRekeyed })] as const;
    });
    return Object.fromEntries(streams) as Record<B | R, KStream<K, V>>;
  }

  /**
   * Joins each record with a row of a global table, by any key. Records without a row are dropped.
   */
  join<KT, VT, VR>(
    table: GlobalKTable<KT, VT>,
    key: (record: StreamRecord<K, NonNullable<V>>) => KT | null | undefined,
    joiner: Joiner<K, NonNullable<V>, VT, VR & Synchronous<VR>>,
    options: NodeOptions = {},
  ): KStream<K, VR> {
    return this.#join('join', table, key, joiner as AnyJoiner, options);
  }

  /** As `join`; records without a row are joined with undefined. */
  leftJoin<KT, VT, VR>(
    table: GlobalKTable<KT, VT>,
    key: (record: StreamRecord<K, NonNullable<V>>) => KT | null | undefined,
    joiner: Joiner<K, NonNullable<V>, VT | undefined, VR & Synchronous<VR>>,
    options: NodeOptions = {},
  ): KStream<K, VR> {
    return this.#join('leftJoin', table, key, joiner as AnyJoiner, options);
  }

  /**
   * Joins each record with the row of its key in a table with equally many partitions, as it is at
   * processing. Records without a row are dropped.
   */
  joinTable<VT, VR>(
    table: KTable<NonNullable<K>, VT>,
    joiner: Joiner<K, NonNullable<V>, NonNullable<VT>, VR & Synchronous<VR>>,
    options: NodeOptions = {},
  ): KStream<K, VR> {
    return this.#joinTable('joinTable', table, joiner as AnyJoiner, options);
  }

  /** As `joinTable`; records without a row are joined with undefined. */
  leftJoinTable<VT, VR>(
    table: KTable<NonNullable<K>, VT>,
    joiner: Joiner<K, NonNullable<V>, NonNullable<VT> | undefined, VR & Synchronous<VR>>,
    options: NodeOptions = {},
  ): KStream<K, VR> {
    return this.#joinTable('leftJoinTable', table, joiner as AnyJoiner, options);
  }

  /** Groups by another key, through a repartition topic, so that equal keys meet. */
  groupBy<K2>(
    selector: (record: StreamRecord<K, V>) => K2 & Synchronous<K2>,
    options: GroupOptions<NonNullable<K2>, NonNullable<V>> = {},
  ): KGroupedStream<NonNullable<K2>, NonNullable<V>> {
    checkFunctions('groupBy', { selector });
    checkNodeOptions('groupBy', options, ['name', 'key', 'value', 'partitions']);
    const { name, ...grouping } = options;
    return this.selectKey<K2>(selector, name === undefined ? {} : { name }).groupByKey(grouping);
  }

  /**
   * Groups by the key, through a repartition topic only if the key may have changed. Records with a
   * null key or value are dropped and counted.
   */
  groupByKey(
    options: Omit<GroupOptions<NonNullable<K>, NonNullable<V>>, 'name'> = {},
  ): KGroupedStream<NonNullable<K>, NonNullable<V>> {
    checkNodeOptions('groupByKey', options, ['key', 'value', 'partitions']);
    const { graph, node, isRekeyed, keySerde, valueSerde } = this.#parts;
    const { key = keySerde ?? msgpack(), value = valueSerde ?? msgpack() } = options;
    const { partitions } = options;
    return new KGroupedStream({ graph, node, key, value, mustRepartition: isRekeyed, partitions });
  }

  /**
   * Writes the records to a topic, creating it by its handle if missing. Null keys and values are
   * written as null.
   */
  to(topic: SinkTopic<NonNullable<K>, NonNullable<V>>, options: NodeOptions = {}): void {
    checkHandle('to', topic);
    checkNodeOptions('to', options, ['name']);
    const { graph, node } = this.#parts;
    const name = graph.nameFor('sink', options.name);
    graph.add({ kind: 'sink', name, parents: [node], topic: topic as Topic<unknown, unknown> });
  }

  #join<KT, VR>(
    method: 'join' | 'leftJoin',
    table: GlobalKTable<KT, unknown>,
    key: (record: StreamRecord<K, NonNullable<V>>) => KT | null | undefined,
    joiner: AnyJoiner,
    options: NodeOptions,
  ): KStream<K, VR> {
    checkMade(method, 'table', table, GlobalKTable);
    checkFunctions(method, { key, joiner });
    const { store, graph } = table;
    if (graph !== this.#parts.graph) throw foreign('join');
    const isLeft = method === 'leftJoin';
    const operator = joinTable({ store, isGlobal: true, key, joiner, isLeft });
    return this.#add(operator, options, this.#keySerdeOnly());
  }

  #joinTable<VR>(
    method: 'joinTable' | 'leftJoinTable',
    table: KTable<NonNullable<K>, unknown>,
    joiner: AnyJoiner,
    options: NodeOptions,
  ): KStream<K, VR> {
    checkMade(method, 'table', table, KTable);
    checkFunctions(method, { joiner });
    const { store, graph, isWindowed } = table;
    if (graph !== this.#parts.graph) throw foreign('join');
    if (this.#parts.isRekeyed) {
      throw invalid(
        'a stream whose key has changed cannot be joined with a table, for equal keys need not ' +
          'meet; join before the key changes',
      );
    }
    if (isWindowed)
      throw invalid('a table of windows cannot be joined with: it has no row for a key');
    const key = (record: StreamRecord): unknown => record.key;
    const isLeft = method === 'leftJoinTable';
    const operator = joinTable({ store, isGlobal: false, key, joiner, isLeft });
    return this.#add(operator as Operator<K, V, K, VR>, options, this.#keySerdeOnly(), [store]);
  }

  #add<K2, V2>(
    operator: Operator<K, V, K2, V2>,
    options: NodeOptions,
    serdes: Serdes<K2, V2>,
    stores: readonly string[] = [],
  ): KStream<K2, V2> {
    checkNodeOptions(operator.kind, options, ['name']);
    const { graph, node } = this.#parts;
    const name = graph.nameFor(operator.kind, options.name);
    graph.add({ kind: 'operator', name, parents: [node], operator, stores });
    const isRekeyed = this.#parts.isRekeyed || operator.changesKey;
    return new KStream({ graph, node: name, ...serdes, isRekeyed });
  }

  #serdes(): Serdes<K, V> {
    const { keySerde, valueSerde } = this.#parts;
    return { keySerde, valueSerde };
  }

  #keySerdeOnly(): Pick<Serdes<K, V>, 'keySerde'> & { valueSerde: undefined } {
    return { keySerde: this.#parts.keySerde, valueSerde: undefined };
  }
}

/** A stream grouped by key: aggregate it, or put it into windows first. */
export class KGroupedStream<K, V> {
  readonly #parts: GroupedParts<K, V>;

  /** @internal `KStream.groupBy` and `groupByKey` make them. */
  constructor(parts: GroupedParts<K, V>) {
    this.#parts = parts;
  }

  /** Counts the records of each key. */
  count(options: StoreOptions<number> = {}): KTable<K, number> {
    return this.#table(counting(), options);
  }

  /** Combines the values of each key, starting with its first. A null result deletes the row. */
  reduce(reducer: Reducer<K, V>, options?: StoreOptions<NonNullable<V>>): KTable<K, V>;
  reduce(
    reducer: Reducer<K, V, V | null | undefined>,
    options?: StoreOptions<NonNullable<V>>,
  ): KTable<K, V | null>;
  reduce(
    reducer: Reducer<K, V, V | null | undefined>,
    options: StoreOptions<NonNullable<V>> = {},
  ): KTable<K, V | null> {
    return this.#table(reducing(reducer, this.#parts.value), options);
  }

  /**
   * Combines all records of a key into one value: `adder` gets the current one, at first the result
   * of `initializer`. It may change that in place and return it, but must not keep it elsewhere. A
   * null result deletes the row: the next record of the key starts over.
   */
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A>,
    options?: StoreOptions<NonNullable<A>>,
  ): KTable<K, A>;
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A, A | null | undefined>,
    options?: StoreOptions<NonNullable<A>>,
  ): KTable<K, A | null>;
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A, A | null | undefined>,
    options: StoreOptions<NonNullable<A>> = {},
  ): KTable<K, A | null> {
    return this.#table(aggregating(initializer, adder), options);
  }

  /** Aggregates each time window separately. */
  windowedBy(windows: TimeWindows): TimeWindowedStream<K, V> {
    checkWindows('windowedBy', windows);
    return new TimeWindowedStream(this.#parts, windows);
  }

  #table<A>(what: Aggregating<K, V, A>, options: StoreOptions<NonNullable<A>>): KTable<K, A> {
    checkNodeOptions(what.kind, options, ['name', 'store', 'value', 'emit']);
    return new KTable(addAggregate(this.#parts, what, options));
  }
}

/** A grouped stream in time windows. */
export class TimeWindowedStream<K, V> {
  readonly #parts: GroupedParts<K, V>;
  readonly #windows: TimeWindows;

  /** @internal `KGroupedStream.windowedBy` makes them. */
  constructor(parts: GroupedParts<K, V>, windows: TimeWindows) {
    this.#parts = parts;
    this.#windows = windows;
  }

  /** Counts the records of each key and window. */
  count(options: WindowedOptions<number> = {}): KTable<Windowed<K>, number> {
    return this.#table(counting(), options);
  }

  /**
   * Combines the values of each key and window, starting with the first; null as without windows.
   */
  reduce(reducer: Reducer<K, V>, options?: WindowedOptions<NonNullable<V>>): KTable<Windowed<K>, V>;
  reduce(
    reducer: Reducer<K, V, V | null | undefined>,
    options?: WindowedOptions<NonNullable<V>>,
  ): KTable<Windowed<K>, V | null>;
  reduce(
    reducer: Reducer<K, V, V | null | undefined>,
    options: WindowedOptions<NonNullable<V>> = {},
  ): KTable<Windowed<K>, V | null> {
    return this.#table(reducing(reducer, this.#parts.value), options);
  }

  /** Combines all records of a key in a window into one value; `adder` as without windows. */
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A>,
    options?: WindowedOptions<NonNullable<A>>,
  ): KTable<Windowed<K>, A>;
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A, A | null | undefined>,
    options?: WindowedOptions<NonNullable<A>>,
  ): KTable<Windowed<K>, A | null>;
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A, A | null | undefined>,
    options: WindowedOptions<NonNullable<A>> = {},
  ): KTable<Windowed<K>, A | null> {
    return this.#table(aggregating(initializer, adder), options);
  }

  #table<A>(
    what: Aggregating<K, V, A>,
    options: WindowedOptions<NonNullable<A>>,
  ): KTable<Windowed<K>, A> {
    checkNodeOptions(what.kind, options, ['name', 'store', 'value', 'emit']);
    return new KTable(addWindowedAggregate(this.#parts, this.#windows, what, options));
  }
}

/**
 * The newest value of each key, in a store of the task. `V` is the type of its changes, with null
 * if rows can be deleted.
 */
export class KTable<K, V> {
  readonly #parts: TableParts<K, V>;

  /** @internal `StreamsBuilder.table` and aggregations make them. */
  constructor(parts: TableParts<K, V>) {
    this.#parts = parts;
  }

  /** @internal The graph that it belongs to. */
  get graph(): TopologyGraph {
    return this.#parts.graph;
  }

  /** The name of its store. */
  get store(): string {
    return this.#parts.store;
  }

  /** @internal True if it has a row for each key and window: then nothing can join it. */
  get isWindowed(): boolean {
    return this.#parts.isWindowed;
  }

  /** The changes of the table as a stream; a null value is a deleted row. */
  toStream(options: NodeOptions = {}): KStream<K, V> {
    checkNodeOptions('toStream', options, ['name']);
    const { graph, node: parent, keySerde, valueSerde } = this.#parts;
    const operator = changesToStream() as unknown as Operator;
    const name = graph.nameFor(operator.kind, options.name);
    graph.add({ kind: 'operator', name, parents: [parent], operator, stores: [] });
    return new KStream({ graph, node: name, keySerde, valueSerde, isRekeyed: false });
  }
}

type Serdes<K, V> = Pick<StreamParts<K, V>, 'keySerde' | 'valueSerde'>;

/** A joiner whose types the public method has checked. */
type AnyJoiner = Joiner<unknown, unknown, unknown, never>;

const NO_SERDES = { keySerde: undefined, valueSerde: undefined };
