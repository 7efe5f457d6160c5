import { msgpack, type Serde, type Topic } from '../../core/index.ts';
import { StreamsError } from '../errors.ts';
import { filter } from '../operators/filter.ts';
import { flatMap, flatMapValues } from '../operators/flat-map.ts';
import { joinTable } from '../operators/join.ts';
import { map, mapValues, selectKey, type KeyValue } from '../operators/map.ts';
import { pass, peek } from '../operators/peek.ts';
import { branch, split } from '../operators/split.ts';
import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { TopologyGraph } from '../topology/topology.ts';
import type { TimeWindows, Windowed } from '../topology/windows.ts';
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
import type { GlobalKTable } from './global-ktable.ts';
import {
  checkNodeOptions,
  type GroupOptions,
  type KeyOptions,
  type NodeOptions,
  type StoreOptions,
  type WindowedOptions,
} from './node-options.ts';

/** Decides on a record. */
export type Predicate<K, V> = (record: StreamRecord<K, V>) => boolean;
/** Combines what there is with the value of one record more. */
export type Reducer<K, V> = (aggregate: V, value: V, record: StreamRecord<K, V>) => V;
/** Adds a record to what there is. */
export type Adder<K, V, A> = (aggregate: A, record: StreamRecord<K, V>) => A;
/** Makes one value of a record's, `left`, and a row's, `right`. */
export type Joiner<K, V, VT, VR> = (left: V, right: VT, record: StreamRecord<K, V>) => VR;

/** What is known of a stream besides its node. */
interface StreamParts<K, V> {
  readonly graph: TopologyGraph;
  /** The node whose output this is. */
  readonly node: string;
  /** Undefined where an operator has made something new. */
  readonly keySerde: Serde<K> | undefined;
  readonly valueSerde: Serde<V> | undefined;
  /** True when the key may no longer be the one that the records are partitioned by. */
  readonly isRekeyed: boolean;
}

/** A topic that keys and values of these types can be written to. */
export interface SinkTopic<K, V> extends Pick<Topic<K, V>, 'name' | 'partitions' | 'config'> {
  /** Writes the keys; the topic's own type may be wider. */
  readonly key: Pick<Serde<K>, 'serialize'>;
  /** Writes the values; the topic's own type may be wider. */
  readonly value: Pick<Serde<V>, 'serialize'>;
}

/**
 * A stream of records. Each method adds a node to the topology and returns the stream behind it;
 * nothing runs before `StreamsApp.start`. Functions given here are synchronous and called once a
 * record. A record may have a null key or a null value, whatever its type says: topics can hold
 * them.
 */
export class KStream<K, V> {
  readonly #parts: StreamParts<K, V>;

  /** @internal `StreamsBuilder.stream` and operators make them. */
  constructor(parts: StreamParts<K, V>) {
    this.#parts = parts;
  }

  /** Keeps the records for which `predicate` is true. */
  filter(predicate: Predicate<K, V>, options: NodeOptions = {}): KStream<K, V> {
    return this.#add(filter(predicate), options, this.#serdes());
  }

  /** Makes one record of each, with another key and value. A grouping behind it repartitions. */
  map<K2, V2>(
    mapper: (record: StreamRecord<K, V>) => KeyValue<K2, V2>,
    options: NodeOptions = {},
  ): KStream<K2, V2> {
    return this.#add(map(mapper), options, NO_SERDES);
  }

  /** Replaces the values; the keys, and so the partitions, stay. */
  mapValues<V2>(
    mapper: (value: V, record: StreamRecord<K, V>) => V2,
    options: NodeOptions = {},
  ): KStream<K, V2> {
    return this.#add(mapValues(mapper), options, this.#keySerdeOnly());
  }

  /**
   * Makes any number of records of each, with other keys and values. A grouping behind it
   * repartitions.
   */
  flatMap<K2, V2>(
    mapper: (record: StreamRecord<K, V>) => Iterable<KeyValue<K2, V2>>,
    options: NodeOptions = {},
  ): KStream<K2, V2> {
    return this.#add(flatMap(mapper), options, NO_SERDES);
  }

  /** Makes any number of records of each, with the same key. */
  flatMapValues<V2>(
    mapper: (value: V, record: StreamRecord<K, V>) => Iterable<V2>,
    options: NodeOptions = {},
  ): KStream<K, V2> {
    return this.#add(flatMapValues(mapper), options, this.#keySerdeOnly());
  }

  /** Replaces the keys. A grouping behind it repartitions. */
  selectKey<K2>(
    selector: (record: StreamRecord<K, V>) => K2,
    options: KeyOptions<K2> = {},
  ): KStream<K2, V> {
    const { key: keySerde, ...node } = options;
    const { valueSerde } = this.#parts;
    return this.#add(selectKey(selector), node, { keySerde, valueSerde });
  }

  /** Looks at each record and passes it on. After a crash it sees again what was not committed. */
  peek(look: (record: StreamRecord<K, V>) => void, options: NodeOptions = {}): KStream<K, V> {
    return this.#add(peek(look), options, this.#serdes());
  }

  /** The records of both streams, in no order between them. */
  merge(other: KStream<K, V>, options: NodeOptions = {}): KStream<K, V> {
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
    return new KStream({ graph, node: name, ...this.#serdes(), isRekeyed });
  }

  /**
   * Divides the stream: each record goes to the first branch whose predicate is true, or to `rest`.
   *
   * @example
   * const { late, onTime } = flights.split({ late: ({ value }) => value.delay > 15 }, 'onTime');
   */
  split<B extends string, R extends string = 'rest'>(
    branches: Readonly<Record<B, Predicate<K, V>>>,
    rest: R = 'rest' as R,
    options: NodeOptions = {},
  ): Record<B | R, KStream<K, V>> {
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
   * Joins each record with a row of a global table, by any key. Records without a row are left out.
   */
  join<KT, VT, VR>(
    table: GlobalKTable<KT, VT>,
    key: (record: StreamRecord<K, V>) => KT | null | undefined,
    joiner: Joiner<K, V, VT, VR>,
    options: NodeOptions = {},
  ): KStream<K, VR> {
    return this.#join(table, key, joiner as Joiner<K, V, VT | undefined, VR>, false, options);
  }

  /** As `join`; records without a row are joined with undefined. */
  leftJoin<KT, VT, VR>(
    table: GlobalKTable<KT, VT>,
    key: (record: StreamRecord<K, V>) => KT | null | undefined,
    joiner: Joiner<K, V, VT | undefined, VR>,
    options: NodeOptions = {},
  ): KStream<K, VR> {
    return this.#join(table, key, joiner, true, options);
  }

  /**
   * Joins each record with the row of its key in a table of as many partitions. The row is the one
   * at the moment of processing; records without one are left out.
   */
  joinTable<VT, VR>(
    table: KTable<K, VT>,
    joiner: Joiner<K, V, VT, VR>,
    options: NodeOptions = {},
  ): KStream<K, VR> {
    return this.#joinTable(table, joiner as Joiner<K, V, VT | undefined, VR>, false, options);
  }

  /** As `joinTable`; records without a row are joined with undefined. */
  leftJoinTable<VT, VR>(
    table: KTable<K, VT>,
    joiner: Joiner<K, V, VT | undefined, VR>,
    options: NodeOptions = {},
  ): KStream<K, VR> {
    return this.#joinTable(table, joiner, true, options);
  }

  /** Groups by another key. The records go through a repartition topic, so that equal keys meet. */
  groupBy<K2>(
    selector: (record: StreamRecord<K, V>) => K2,
    options: GroupOptions<K2, V> = {},
  ): KGroupedStream<K2, V> {
    checkNodeOptions('groupBy', options, ['name', 'key', 'value', 'partitions']);
    const { name, ...grouping } = options;
    return this.selectKey(selector, name === undefined ? {} : { name }).groupByKey(grouping);
  }

  /**
   * Groups by the key. Only where it may have changed do the records go through a repartition
   * topic.
   */
  groupByKey(options: Omit<GroupOptions<K, V>, 'name'> = {}): KGroupedStream<K, V> {
    checkNodeOptions('groupByKey', options, ['key', 'value', 'partitions']);
    const { graph, node, isRekeyed, keySerde, valueSerde } = this.#parts;
    const { key = keySerde ?? msgpack<K>(), value = valueSerde ?? msgpack<V>() } = options;
    const { partitions } = options;
    return new KGroupedStream({ graph, node, key, value, mustRepartition: isRekeyed, partitions });
  }

  /** Writes the records to a topic, which is created as its handle says if there is none. */
  to(topic: SinkTopic<K, V>, options: NodeOptions = {}): void {
    checkNodeOptions('to', options, ['name']);
    const { graph, node } = this.#parts;
    const name = graph.nameFor('sink', options.name);
    graph.add({ kind: 'sink', name, parents: [node], topic: topic as Topic<unknown, unknown> });
  }

  #join<KT, VT, VR>(
    table: GlobalKTable<KT, VT>,
    key: (record: StreamRecord<K, V>) => KT | null | undefined,
    joiner: Joiner<K, V, VT | undefined, VR>,
    isLeft: boolean,
    options: NodeOptions,
  ): KStream<K, VR> {
    const { store, graph } = table;
    if (graph !== this.#parts.graph) throw foreign('join');
    const operator = joinTable<K, V, KT, VT, VR>({ store, isGlobal: true, key, joiner, isLeft });
    return this.#add(operator, options, this.#keySerdeOnly());
  }

  #joinTable<VT, VR>(
    table: KTable<K, VT>,
    joiner: Joiner<K, V, VT | undefined, VR>,
    isLeft: boolean,
    options: NodeOptions,
  ): KStream<K, VR> {
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
    const key = (record: StreamRecord<K, V>): K => record.key;
    const operator = joinTable<K, V, K, VT, VR>({ store, isGlobal: false, key, joiner, isLeft });
    return this.#add(operator, options, this.#keySerdeOnly(), [store]);
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

  #keySerdeOnly(): { keySerde: Serde<K> | undefined; valueSerde: undefined } {
    return { keySerde: this.#parts.keySerde, valueSerde: undefined };
  }
}

/** A stream whose records of one key come together; aggregate it, or put it into windows first. */
export class KGroupedStream<K, V> {
  readonly #parts: GroupedParts<K, V>;

  /** @internal `KStream.groupBy` and `groupByKey` make them. */
  constructor(parts: GroupedParts<K, V>) {
    this.#parts = parts;
  }

  /** How many records each key has had. */
  count(options: StoreOptions<number> = {}): KTable<K, number> {
    return this.#table(counting(), options);
  }

  /** Combines the values of each key, beginning with its first. */
  reduce(reducer: Reducer<K, V>, options: StoreOptions<V> = {}): KTable<K, V> {
    return this.#table(reducing(reducer, this.#parts.value), options);
  }

  /**
   * Makes one value of all records of a key: `adder` gets what there is, at first what
   * `initializer` makes. It may change that in place and return it, but must not keep it elsewhere.
   */
  aggregate<A>(
    initializer: () => A,
    adder: Adder<K, V, A>,
    options: StoreOptions<A> = {},
  ): KTable<K, A> {
    return this.#table(aggregating(initializer, adder), options);
  }

  /** Keeps windows of time apart. */
  windowedBy(windows: TimeWindows): TimeWindowedStream<K, V> {
    return new TimeWindowedStream(this.#parts, windows);
  }

  #table<A>(what: Aggregating<K, V, A>, options: StoreOptions<A>): KTable<K, A> {
    checkNodeOptions(what.kind, options, ['name', 'store', 'value']);
    return new KTable(addAggregate(this.#parts, what, options));
  }
}

/** A grouped stream in windows of time. */
export class TimeWindowedStream<K, V> {
  readonly #parts: GroupedParts<K, V>;
  readonly #windows: TimeWindows;

  /** @internal `KGroupedStream.windowedBy` makes them. */
  constructor(parts: GroupedParts<K, V>, windows: TimeWindows) {
    this.#parts = parts;
    this.#windows = windows;
  }

  /** How many records each key has in each window. */
  count(options: WindowedOptions<number> = {}): KTable<Windowed<K>, number> {
    return this.#table(counting(), options);
  }

  /** Combines the values of each key and window, beginning with the first. */
  reduce(reducer: Reducer<K, V>, options: WindowedOptions<V> = {}): KTable<Windowed<K>, V> {
    return this.#table(reducing(reducer, this.#parts.value), options);
  }

  /** Makes one value of all records of a key in a window; `adder` as without windows. */
  aggregate<A>(
    initializer: () => A,
    adder: Adder<K, V, A>,
    options: WindowedOptions<A> = {},
  ): KTable<Windowed<K>, A> {
    return this.#table(aggregating(initializer, adder), options);
  }

  #table<A>(what: Aggregating<K, V, A>, options: WindowedOptions<A>): KTable<Windowed<K>, A> {
    checkNodeOptions(what.kind, options, ['name', 'store', 'value', 'emit']);
    return new KTable(addWindowedAggregate(this.#parts, this.#windows, what, options));
  }
}

/** The newest value of each key, in a store of the task. */
export class KTable<K, V> {
  readonly #parts: TableParts<K, V>;

  /** @internal `StreamsBuilder.table` and aggregations make them. */
  constructor(parts: TableParts<K, V>) {
    this.#parts = parts;
  }

  /** @internal What it is a part of. */
  get graph(): TopologyGraph {
    return this.#parts.graph;
  }

  /** The name of its store. */
  get store(): string {
    return this.#parts.store;
  }

  /** @internal True when it has a row for each key and window: then nothing can join it. */
  get isWindowed(): boolean {
    return this.#parts.isWindowed;
  }

  /** The changes of the table, as a stream; a null value is a row that was deleted. */
  toStream(options: NodeOptions = {}): KStream<K, V> {
    checkNodeOptions('toStream', options, ['name']);
    const { graph, node: parent, keySerde, valueSerde } = this.#parts;
    const operator = pass<unknown, unknown>('to-stream');
    const name = graph.nameFor(operator.kind, options.name);
    graph.add({ kind: 'operator', name, parents: [parent], operator, stores: [] });
    return new KStream({ graph, node: name, keySerde, valueSerde, isRekeyed: false });
  }
}

interface Serdes<K, V> {
  readonly keySerde: Serde<K> | undefined;
  readonly valueSerde: Serde<V> | undefined;
}

const NO_SERDES = { keySerde: undefined, valueSerde: undefined };

function foreign(operation: string): StreamsError {
  return invalid(`${operation} needs both sides from one StreamsBuilder`);
}

function invalid(reason: string): StreamsError {
  return new StreamsError('TOPOLOGY_INVALID', reason, { reason });
}
