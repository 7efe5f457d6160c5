import { msgpack, type Headers } from '../../core/index.ts';
import { given } from '../../core/internal.ts';
import { filter, filterNot } from '../operators/filter.ts';
import { flatMap, flatMapValues } from '../operators/flat-map.ts';
import { foreach } from '../operators/foreach.ts';
import { map, mapValues, selectKey } from '../operators/map.ts';
import { mapHeaders } from '../operators/map-headers.ts';
import { pass, peek } from '../operators/peek.ts';
import { print, toStdout } from '../operators/print.ts';
import type { Connections } from '../operators/node-context.ts';
import { process, processValues } from '../operators/process.ts';
import type { KeyValue } from '../operators/results.ts';
import type { Operator } from '../topology/operator.ts';
import type { ProcessorSupplier, ValueProcessorSupplier } from '../topology/processor.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { checkFunctions, checkMade, foreign, isList } from './arguments.ts';
import { addBranches } from './branches.ts';
import { addDedupe } from './deduplication.ts';
import type { DroppedOptions } from './dropped-records.ts';
import type { Joiner, Predicate, StreamJoiner, Synchronous } from './functions.ts';
import type { GlobalKTable } from './global-ktable.ts';
import { addJoin, type JoinMethod } from './joins.ts';
import { KGroupedStream } from './kgrouped-stream.ts';
import { KTable } from './ktable.ts';
import {
  checkNodeOptions,
  type DedupeOptions,
  type GroupOptions,
  type KeyOptions,
  type NodeOptions,
  type PartitionOptions,
  type PrintOptions,
  type ProcessorOptions,
  type RekeyingOptions,
  type RepartitionOptions,
  type SinkOptions,
  type SinkTopic,
  type StreamJoinOptions,
  type StreamTableOptions,
  type ValueProcessorOptions,
  type TableJoinOptions,
} from './node-options.ts';
import { addProcessor } from './processors.ts';
import { addRepartition, addSink, addSinks } from './outputs.ts';
import {
  addOperator,
  addToStream,
  NO_SERDES,
  type Serdes,
  type StreamMaker,
  type StreamParts,
  type GroupedParts,
} from './parts.ts';
import { RxStream } from './rx-stream.ts';
import { addStreamJoin, type StreamJoinMethod } from './stream-joins.ts';
import { addStreamTable } from './tables.ts';

/**
 * A stream of records. Each method adds a node to the topology and returns the stream behind it;
 * nothing runs before `StreamsApp.start`. Functions are synchronous and called once per record, but
 * for those of `AsyncStream`. If a key or value may be null, its type shows it:
 * `KStream<string | null, Order>`.
 */
export class KStream<K, V> extends RxStream<K, V> {
  readonly #parts: StreamParts<K, V>;

  /** @internal `StreamsBuilder.stream` and operators make them. */
  constructor(parts: StreamParts<K, V>) {
    super(parts, makeStream);
    this.#parts = parts;
  }

  /** Keeps the records for which `predicate` is true. */
  filter(predicate: Predicate<K, V>, options: NodeOptions = {}): KStream<K, V> {
    checkFunctions('filter', { predicate });
    return this.#add(filter(predicate), options, this.#parts);
  }

  /** Keeps the records for which `predicate` is false. */
  filterNot(predicate: Predicate<K, V>, options: NodeOptions = {}): KStream<K, V> {
    checkFunctions('filterNot', { predicate });
    return this.#add(filterNot(predicate), options, this.#parts);
  }

  /** Turns each record into one with another key and value. A later grouping repartitions. */
  map<K2, V2>(
    mapper: (record: StreamRecord<K, V>) => KeyValue<K2, V2>,
    options: RekeyingOptions = {},
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
    options: RekeyingOptions = {},
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

  /**
   * Replaces the keys. A later grouping repartitions, unless `preserves` says that it need not.
   *
   * @example
   * // By customer, in the partition of the customer: also where each of the orders is.
   * byCustomer.selectKey(({ key, value }) => `${key}/${value.id}`, { preserves: 'partition' });
   */
  selectKey<K2>(
    selector: (record: StreamRecord<K, V>) => K2 & Synchronous<K2>,
    options: KeyOptions<NonNullable<K2>> & RekeyingOptions = {},
  ): KStream<K2, V> {
    checkFunctions('selectKey', { selector });
    const { key: keySerde, ...node } = options;
    const { valueSerde } = this.#parts;
    return this.#add(selectKey<K, V, K2>(selector), node, { keySerde, valueSerde });
  }

  /**
   * Replaces the headers, which all other operators keep; keys, values and partitions stay.
   *
   * @example
   * orders.mapHeaders((headers) => [...headers, { key: 'source', value: Buffer.from('shop') }]);
   */
  mapHeaders(
    mapper: (headers: Headers, record: StreamRecord<K, V>) => Headers,
    options: NodeOptions = {},
  ): KStream<K, V> {
    checkFunctions('mapHeaders', { mapper });
    return this.#add(mapHeaders(mapper), options, this.#parts);
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
    return this.#add(peek(look), options, this.#parts);
  }

  /**
   * Calls `action` with each record; nothing follows. After a crash `action` sees uncommitted
   * records again.
   */
  foreach<R>(
    action: (record: StreamRecord<K, V>) => R & Synchronous<R>,
    options: NodeOptions = {},
  ): void {
    checkFunctions('foreach', { action });
    this.#add(foreach(action), options, NO_SERDES);
  }

  /**
   * Writes a line for each record, `[label]: key, value`; nothing follows. For a look at a stream:
   * after a crash uncommitted records are written again.
   *
   * @example
   * orders.print({ label: 'orders', write: (line) => logger.info(line) });
   */
  print(options: PrintOptions<K, V> = {}): void {
    checkNodeOptions('print', options, ['name', 'label', 'mapper', 'write']);
    const { mapper, write = toStdout } = options;
    checkFunctions('print', mapper === undefined ? { write } : { mapper, write });
    const { graph, node } = this.#parts;
    const name = graph.nameFor('print', options.name, node);
    const { label = name } = options;
    addOperator(graph, print({ label, mapper, write }), { name, parents: [node], errors: options });
  }

  /**
   * Gives each record to a processor of your own, which may keep records in stores, forward any
   * number of records at any time, and be called back by event time or the clock. What it forwards
   * has the types of the serdes, or of its context. A later grouping repartitions.
   *
   * Stream time behind it is that before it: windows there drop what it forwards for a time that
   * has passed. Give them a grace of the time for which it holds records back.
   *
   * Set a name, or changing the topology loses the times of its punctuations.
   *
   * @example
   * const newest = builder.addStore(keyValueStore('newest', { key: string(), value: int64() }));
   * prices
   *   .process<string, number>(
   *     (context) => {
   *       const store = context.store(newest);
   *       context.schedule(minutes(1), 'stream-time', () => {
   *         for (const [key, value] of store.entries()) context.forward({ key, value });
   *       });
   *       return {
   *         process: ({ key, value, timestampMs }) => store.put(key, value, timestampMs),
   *       };
   *     },
   *     { name: 'newest-each-minute', stores: [newest], key: string(), value: int64() },
   *   )
   *   .to(pricesByMinute);
   *
   * @throws StreamsError TOPOLOGY_INVALID if a store is not of this builder; LogError
   *   UNKNOWN_OPTION, INVALID_OPTION
   */
  process<K2 = never, V2 = never>(
    supplier: ProcessorSupplier<K, V, K2, V2>,
    options: ProcessorOptions<NonNullable<K2>, NonNullable<V2>> = {},
  ): KStream<K2, V2> {
    checkNodeOptions('process', options, ['name', 'stores', 'tables', 'key', 'value', 'preserves']);
    const serdes = { keySerde: options.key, valueSerde: options.value };
    const operator = (connections: Connections) => process(supplier, connections);
    const method = 'process';
    return new KStream(addProcessor(this.#parts, { method, supplier, operator, options, serdes }));
  }

  /** As `process`, for a processor that keeps the keys: a later grouping need not repartition. */
  processValues<V2 = never>(
    supplier: ValueProcessorSupplier<K, V, V2>,
    options: ValueProcessorOptions<NonNullable<V2>> = {},
  ): KStream<K, V2> {
    checkNodeOptions('processValues', options, ['name', 'stores', 'tables', 'value']);
    const serdes = { keySerde: this.#parts.keySerde, valueSerde: options.value };
    const operator = (connections: Connections) => processValues(supplier, connections);
    const method = 'processValues';
    return new KStream(addProcessor(this.#parts, { method, supplier, operator, options, serdes }));
  }

  /** The records of both streams, in no order between them. */
  merge<K2 extends K | null, V2 extends V | null>(
    other: KStream<K2, V2>,
    options: NodeOptions = {},
  ): KStream<K | K2, V | V2> {
    checkMade('merge', 'other', other, KStream);
    checkNodeOptions('merge', options, ['name']);
    const { graph, node, keySerde, valueSerde, isRekeyed } = this.#parts;
    const right = other.#parts;
    if (right.graph !== graph) throw foreign('merge');
    const name = graph.nameFor('merge', options.name, node);
    const place = { name, parents: [node, right.node], errors: options };
    addOperator(graph, pass<K | K2, V | V2>('merge'), place);
    return new KStream<unknown, unknown>({
      ...{ graph, node: name, keySerde, valueSerde, isRekeyed: isRekeyed || right.isRekeyed },
    }) as KStream<K | K2, V | V2>;
  }

  /**
   * Splits the stream: each record goes to the first branch whose predicate is true, or to `rest`.
   * If `rest` is null, there is none, and records that no branch accepts are dropped.
   *
   * @example
   * const { late, onTime } = flights.split({ late: ({ value }) => value.delay > 15 }, 'onTime');
   */
  split<B extends string, R extends string | null = 'rest'>(
    branches: Readonly<Record<B, Predicate<K, V>>>,
    rest: R = 'rest' as R,
    options: NodeOptions = {},
  ): Record<B | NonNullable<R>, KStream<K, V>> {
    const parts = addBranches(this.#parts, branches, rest, options);
    const streams = parts.map(([label, each]) => [label, new KStream(each)] as const);
    return Object.fromEntries(streams) as Record<B | NonNullable<R>, KStream<K, V>>;
  }

  /**
   * Joins each record with a row of a table, as the table is at that moment: later changes of the
   * table join nothing again. A versioned table is read as of the record's time, and with `graceMs`
   * the record waits until changes out of order have come. With a global table `key` returns the
   * row's key, which may be any. Another table is joined by the record's own key. Records without a
   * row are dropped and counted.
   *
   * With another stream, joins each record with those of the other one that have its key and are in
   * its window.
   *
   * A stream whose key may have changed goes through a repartition topic first, named after the
   * join. Both sides need equally many partitions.
   *
   * @example
   * flights.join(airports, ({ value }) => value.origin, (flight, airport) => airport.name);
   * orders.join(customers, (order, customer) => ({ ...order, name: customer.name }));
   * orders.join(payments, (order, payment) => ({ ...order, paid: payment.amount }), {
   *   window: joinWindow({ differenceMs: hours(1) }),
   *   store: 'payments-of-orders',
   * });
   *
   * @throws StreamsError TOPOLOGY_INVALID if the other side is of another builder, or is a table
   *   that cannot be joined so; LogError INVALID_OPTION
   */
  join<KT, VT, VR>(
    table: GlobalKTable<KT, VT>,
    key: (record: StreamRecord<K, NonNullable<V>>) => KT | null | undefined,
    joiner: Joiner<K, NonNullable<V>, VT, VR & Synchronous<VR>>,
    options?: NodeOptions & DroppedOptions<K, V>,
  ): KStream<K, VR>;
  join<VT, VR>(
    table: KTable<NonNullable<K>, VT>,
    joiner: Joiner<K, NonNullable<V>, NonNullable<VT>, VR & Synchronous<VR>>,
    options?: TableJoinOptions<NonNullable<K>, NonNullable<V>>,
  ): KStream<K, VR>;
  join<K2 extends K | null, V2, VR>(
    other: KStream<K2, V2>,
    joiner: StreamJoiner<NonNullable<K>, NonNullable<V>, NonNullable<V2>, VR & Synchronous<VR>>,
    options: StreamJoinOptions<NonNullable<K>, NonNullable<V>, NonNullable<V2>>,
  ): KStream<NonNullable<K>, VR>;
  join(...args: readonly unknown[]): KStream<K, unknown> {
    return this.#joined('join', args);
  }

  /**
   * As `join`; records without a row, or without a key, are joined with undefined. With another
   * stream a record of this one that finds no partner is joined with undefined when its window,
   * with the grace, has closed.
   */
  leftJoin<KT, VT, VR>(
    table: GlobalKTable<KT, VT>,
    key: (record: StreamRecord<K, NonNullable<V>>) => KT | null | undefined,
    joiner: Joiner<K, NonNullable<V>, VT | undefined, VR & Synchronous<VR>>,
    options?: NodeOptions & DroppedOptions<K, V>,
  ): KStream<K, VR>;
  leftJoin<VT, VR>(
    table: KTable<NonNullable<K>, VT>,
    joiner: Joiner<K, NonNullable<V>, NonNullable<VT> | undefined, VR & Synchronous<VR>>,
    options?: TableJoinOptions<NonNullable<K>, NonNullable<V>>,
  ): KStream<K, VR>;
  leftJoin<K2 extends K | null, V2, VR>(
    other: KStream<K2, V2>,
    joiner: StreamJoiner<K, NonNullable<V>, NonNullable<V2> | undefined, VR & Synchronous<VR>>,
    options: StreamJoinOptions<NonNullable<K>, NonNullable<V>, NonNullable<V2>>,
  ): KStream<K, VR>;
  leftJoin(...args: readonly unknown[]): KStream<K, unknown> {
    return this.#joined('leftJoin', args);
  }

  /** As `leftJoin` with another stream, in both directions. */
  outerJoin<K2 extends K | null, V2, VR>(
    other: KStream<K2, V2>,
    joiner: StreamJoiner<
      K | K2,
      NonNullable<V> | undefined,
      NonNullable<V2> | undefined,
      VR & Synchronous<VR>
    >,
    options: StreamJoinOptions<NonNullable<K>, NonNullable<V>, NonNullable<V2>>,
  ): KStream<K | K2, VR>;
  outerJoin(...args: readonly unknown[]): KStream<K, unknown> {
    checkMade('outerJoin', 'other', args[0], KStream);
    return this.#joined('outerJoin', args);
  }

  /** Groups by another key, through a repartition topic, so that equal keys meet. */
  groupBy<K2>(
    selector: (record: StreamRecord<K, V>) => K2 & Synchronous<K2>,
    options: GroupOptions<NonNullable<K2>, NonNullable<V>> = {},
  ): KGroupedStream<NonNullable<K2>, NonNullable<V>> {
    checkFunctions('groupBy', { selector });
    checkNodeOptions('groupBy', options, ['name', 'key', 'value', 'partitions']);
    const { name, onError, deadLetterTopic, ...grouping } = options;
    const node = given({ name, onError, deadLetterTopic }) as NodeOptions;
    return this.selectKey<K2>(selector, node).groupByKey(grouping);
  }

  /**
   * Groups by the key, through a repartition topic only if the key may have changed. Records with a
   * null key or value are dropped and counted.
   */
  groupByKey(
    options: Omit<GroupOptions<NonNullable<K>, NonNullable<V>>, keyof NodeOptions> = {},
  ): KGroupedStream<NonNullable<K>, NonNullable<V>> {
    checkNodeOptions('groupByKey', options, ['key', 'value', 'partitions']);
    return new KGroupedStream(this.#grouped(options));
  }

  /**
   * Passes on the first record of an id, and no other whose time is less than `withinMs` from one
   * that was passed on. The ids are in a store with a changelog: a restart forgets none. Goes
   * through a repartition topic if the key may have changed. A gateway that may send an event twice
   * is what this is for; the producers of this log write none twice.
   *
   * @example
   * // A payment counts once an hour, however often it comes.
   * payments.dedupe({ by: ({ value }) => value.paymentId, withinMs: hours(1) });
   */
  dedupe<I = NonNullable<K>>(options: DedupeOptions<K, V, I>): KStream<K, V> {
    return new KStream(addDedupe(this.#parts, options, makeStream));
  }

  /**
   * The newest value of each key, in a store with a changelog; a null value deletes the row. Goes
   * through a repartition topic if the key may have changed. Records without a key are dropped and
   * counted.
   */
  toTable(
    options: StreamTableOptions<NonNullable<K>, NonNullable<V>> = {},
  ): KTable<NonNullable<K>, V | null> {
    const known = ['name', 'store', 'key', 'value', 'partitions', 'emit', 'versioned'] as const;
    const more = ['dropped', 'ttlMs', 'closeAfterIdleMs'] as const;
    checkNodeOptions('toTable', options, [...known, ...more]);
    return new KTable(addStreamTable<K, V>(this.#grouped(options), options));
  }

  /**
   * Sends the records through a topic of the application, so that equal keys meet: by default in
   * the partition of their key. A later grouping needs no further one. Set a name, or changing the
   * topology changes the topic.
   */
  repartition(
    options: RepartitionOptions<NonNullable<K>, NonNullable<V>> & PartitionOptions<K, V> = {},
  ): KStream<K, V> {
    return new KStream(addRepartition(this.#parts, options));
  }

  /**
   * Writes the records to a topic, creating it by its handle if missing. Null keys and values are
   * written as null. Given a list of topics, `choose` returns the one for a record.
   *
   * @example
   * orders.to([small, large], ({ value }) => (value.total < 100 ? small : large));
   */
  to(topic: SinkTopic<NonNullable<K>, NonNullable<V>>, options?: SinkOptions<K, V>): void;
  to<T extends SinkTopic<NonNullable<K>, NonNullable<V>>>(
    topics: readonly T[],
    choose: (record: StreamRecord<K, V>) => T,
    options?: SinkOptions<K, V>,
  ): void;
  to<T extends SinkTopic<NonNullable<K>, NonNullable<V>>>(
    topics: T | readonly T[],
    choose?: ((record: StreamRecord<K, V>) => T) | SinkOptions<K, V>,
    options?: SinkOptions<K, V>,
  ): void {
    if (isList(topics)) addSinks(this.#parts, topics, choose as () => T, options ?? {});
    else addSink(this.#parts, topics, (choose ?? {}) as SinkOptions<K, V>);
  }

  #add<K2, V2>(
    operator: Operator<K, V, K2, V2>,
    options: NodeOptions,
    serdes: Serdes<K2, V2>,
  ): KStream<K2, V2> {
    return new KStream(addToStream(this.#parts, operator, { options, serdes }));
  }

  #joined(method: StreamJoinMethod, args: readonly unknown[]): KStream<K, unknown> {
    const [other, joiner, options] = args;
    if (!(other instanceof KStream)) {
      return new KStream(addJoin(this.#parts, method as JoinMethod, args, makeStream));
    }
    const right = (other as KStream<K, unknown>).#parts;
    return new KStream(
      addStreamJoin(this.#parts, right, { method, joiner, options, stream: makeStream }),
    );
  }

  #grouped({
    key = this.#parts.keySerde ?? msgpack(),
    value = this.#parts.valueSerde ?? msgpack(),
    partitions,
  }: Omit<GroupOptions<NonNullable<K>, NonNullable<V>>, keyof NodeOptions>): GroupedParts<
    NonNullable<K>,
    NonNullable<V>
  > {
    const { graph, node, isRekeyed } = this.#parts;
    return { graph, node, key, value, partitions, mustRepartition: isRekeyed, stream: makeStream };
  }

  #keySerdeOnly(): Pick<Serdes<K, V>, 'keySerde'> & { valueSerde: undefined } {
    return { keySerde: this.#parts.keySerde, valueSerde: undefined };
  }
}

/** Makes the streams of tables. */
export const makeStream: StreamMaker = (parts) => new KStream(parts);
