import { msgpack, type Serde } from '../../core/index.ts';
import { flatMap, flatMapValues } from '../operators/flat-map.ts';
import { filter } from '../operators/filter.ts';
import { joinTable } from '../operators/join.ts';
import { map, mapValues, selectKey, type KeyValue } from '../operators/map.ts';
import { pass, peek } from '../operators/peek.ts';
import { branch, split } from '../operators/split.ts';
import { StreamsError } from '../errors.ts';
import type { TopicSpec } from '../topology/node.ts';
import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { TopologyGraph } from '../topology/topology.ts';
import { KGroupedStream } from './grouped-stream.ts';
import type { GlobalKTable, KTable } from './ktable.ts';
import type { GroupOptions, NodeOptions } from './node-options.ts';

type Predicate<K, V> = (record: StreamRecord<K, V>) => boolean;

/** What is known of a stream besides its node. */
export interface StreamParts<K, V> {
  readonly graph: TopologyGraph;
  /** The node whose output this is. */
  readonly node: string;
  /** Undefined where an operator has made something new. */
  readonly keySerde: Serde<K> | undefined;
  readonly valueSerde: Serde<V> | undefined;
  /** True when the key may no longer be the one that the records are partitioned by. */
  readonly isRekeyed: boolean;
}

/** A topic that values of these types can be written to. */
export interface SinkTopic<K, V> {
  readonly name: string;
  readonly key: { readonly serialize: (value: K, target: Buffer, position: number) => number };
  readonly value: { readonly serialize: (value: V, target: Buffer, position: number) => number };
  readonly partitions: number | undefined;
}

/**
 * A stream of records. Each method adds a node to the topology and returns the stream behind it; nothing
 * runs before `StreamsApp.start`. Functions given here are synchronous and called once a record.
 */
export class KStream<K, V> {
  readonly #parts: StreamParts<K, V>;

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

  /** Makes any number of records of each, with other keys and values. A grouping behind it repartitions. */
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
    options: NodeOptions & { readonly key?: Serde<K2> } = {},
  ): KStream<K2, V> {
    const { valueSerde } = this.#parts;
    return this.#add(selectKey(selector), options, { keySerde: options.key, valueSerde });
  }

  /** Looks at each record and passes it on. After a crash it sees again what was not committed. */
  peek(look: (record: StreamRecord<K, V>) => void, options: NodeOptions = {}): KStream<K, V> {
    return this.#add(peek(look), options, this.#serdes());
  }

  /** The records of both streams, in no order between them. */
  merge(other: KStream<K, V>, options: NodeOptions = {}): KStream<K, V> {
    const { graph } = this.#parts;
    if (other.#parts.graph !== graph) throw foreign('merge');
    const name = graph.nameFor('merge', options.name);
    const parents = [this.#parts.node, other.#parts.node];
    graph.add({ kind: 'operator', name, parents, operator: pass('merge') as Operator, stores: [] });
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
    const { graph, node, isRekeyed } = this.#parts;
    const entries = Object.entries<Predicate<K, V>>(branches);
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
   * Joins each record with a row of a table: of a global table by any key, of a table by the record's own.
   * Records without a row are left out.
   */
  join<KT, VT, VR>(
    table: GlobalKTable<KT, VT>,
    key: (record: StreamRecord<K, V>) => KT | null | undefined,
    joiner: (left: V, right: VT, record: StreamRecord<K, V>) => VR,
    options?: NodeOptions,
  ): KStream<K, VR> {
    return this.#join(table, key, joiner as Joiner<K, V, VT, VR>, false, options);
  }

  /** As `join`; records without a row are joined with undefined. */
  leftJoin<KT, VT, VR>(
    table: GlobalKTable<KT, VT>,
    key: (record: StreamRecord<K, V>) => KT | null | undefined,
    joiner: (left: V, right: VT | undefined, record: StreamRecord<K, V>) => VR,
    options?: NodeOptions,
  ): KStream<K, VR> {
    return this.#join(table, key, joiner, true, options);
  }

  /**
   * Joins each record with the row of its key in a table of as many partitions. The row is the one at the
   * moment of processing; records without one are left out.
   */
  joinTable<VT, VR>(
    table: KTable<K, VT>,
    joiner: (left: V, right: VT, record: StreamRecord<K, V>) => VR,
    options?: NodeOptions,
  ): KStream<K, VR> {
    return this.#joinTable(table, joiner as Joiner<K, V, VT, VR>, false, options);
  }

  /** As `joinTable`; records without a row are joined with undefined. */
  leftJoinTable<VT, VR>(
    table: KTable<K, VT>,
    joiner: (left: V, right: VT | undefined, record: StreamRecord<K, V>) => VR,
    options?: NodeOptions,
  ): KStream<K, VR> {
    return this.#joinTable(table, joiner, true, options);
  }

  /** Groups by another key. The records go through a repartition topic, so that equal keys meet. */
  groupBy<K2>(
    selector: (record: StreamRecord<K, V>) => K2,
    options: GroupOptions<K2, V> = {},
  ): KGroupedStream<K2, V> {
    const named = options.name === undefined ? {} : { name: `${options.name}-key` };
    const rekeyed = this.selectKey(selector, {
      ...named,
      ...(options.key && { key: options.key }),
    });
    return rekeyed.groupByKey(options);
  }

  /** Groups by the key. Only where it may have changed do the records go through a repartition topic. */
  groupByKey(options: GroupOptions<K, V> = {}): KGroupedStream<K, V> {
    const { graph, node, isRekeyed, keySerde, valueSerde } = this.#parts;
    const key = options.key ?? keySerde ?? msgpack<K>();
    const value = options.value ?? valueSerde ?? msgpack<V>();
    const { partitions } = options;
    return new KGroupedStream({ graph, node, key, value, mustRepartition: isRekeyed, partitions });
  }

  /** Writes the records to a topic, which is created if there is none. */
  to(topic: SinkTopic<K, V>, options: NodeOptions = {}): void {
    const { graph, node } = this.#parts;
    const name = graph.nameFor('sink', options.name);
    graph.add({ kind: 'sink', name, parents: [node], topic: topic as unknown as TopicSpec });
  }

  #join<KT, VT, VR>(
    table: GlobalKTable<KT, VT>,
    key: (record: StreamRecord<K, V>) => KT | null | undefined,
    joiner: Joiner<K, V, VT, VR>,
    isLeft: boolean,
    options: NodeOptions = {},
  ): KStream<K, VR> {
    if (table.graph !== this.#parts.graph) throw foreign('join');
    const operator = joinTable<K, V, KT, VT, VR>({
      store: table.store,
      isGlobal: true,
      key,
      joiner,
      isLeft,
    });
    return this.#add(operator, options, this.#keySerdeOnly());
  }

  #joinTable<VT, VR>(
    table: KTable<K, VT>,
    joiner: Joiner<K, V, VT, VR>,
    isLeft: boolean,
    options: NodeOptions = {},
  ): KStream<K, VR> {
    if (table.graph !== this.#parts.graph) throw foreign('join');
    if (this.#parts.isRekeyed) {
      const reason =
        'a stream whose key has changed cannot be joined with a table: equal keys need not meet';
      throw new StreamsError('TOPOLOGY_INVALID', `${reason}; join before the key changes`, {
        reason,
      });
    }
    const operator = joinTable<K, V, K, VT, VR>({
      store: table.store,
      isGlobal: false,
      key: (record) => record.key,
      joiner,
      isLeft,
    });
    return this.#add(operator, options, this.#keySerdeOnly(), [table.store]);
  }

  #add<K2, V2>(
    operator: Operator<K, V, K2, V2>,
    { name: given }: NodeOptions,
    serdes: Serdes<K2, V2>,
    stores: readonly string[] = [],
  ): KStream<K2, V2> {
    const { graph, node } = this.#parts;
    const name = graph.nameFor(operator.kind, given);
    graph.add({ kind: 'operator', name, parents: [node], operator: operator, stores });
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

interface Serdes<K, V> {
  readonly keySerde: Serde<K> | undefined;
  readonly valueSerde: Serde<V> | undefined;
}

type Joiner<K, V, VT, VR> = (left: V, right: VT | undefined, record: StreamRecord<K, V>) => VR;

const NO_SERDES = { keySerde: undefined, valueSerde: undefined };

function foreign(operation: string): StreamsError {
  const reason = `${operation} needs both sides from one StreamsBuilder`;
  return new StreamsError('TOPOLOGY_INVALID', reason, { reason });
}
