import type { Ranking } from '../operators/ranking.ts';
import { checkCountWindows, type CountWindows } from '../topology/count-windows.ts';
import {
  checkWindows,
  type AnyWindows,
  type FixedWindows,
  type SessionWindows,
} from '../topology/windows.ts';
import {
  addAggregate,
  aggregating,
  counting,
  groupedInput,
  ranking,
  reducing,
  takeRanking,
  type Aggregating,
} from './aggregations.ts';
import { CogroupedStream } from './cogrouped-stream.ts';
import { firstInput } from './cogroups.ts';
import { CountWindowedStream } from './count-windowed-stream.ts';
import type { DroppedOptions } from './dropped-records.ts';
import type { Adder, Reducer, Synchronous } from './functions.ts';
import { KTable } from './ktable.ts';
import { checkNodeOptions, type StoreOptions, type TtlOptions } from './node-options.ts';
import type { GroupedParts } from './parts.ts';
import { SessionWindowedStream } from './session-windowed-stream.ts';
import { TimeWindowedStream } from './time-windowed-stream.ts';

const OPTIONS = [
  ...(['name', 'store', 'value', 'emit', 'dropped', 'ttlMs', 'closeAfterIdleMs'] as const),
] as const;

/** A stream grouped by key: aggregate it, or put it into windows first. */
export class KGroupedStream<K, V> {
  readonly #parts: GroupedParts<K, V>;

  /** @internal `KStream.groupBy` and `groupByKey` make them. */
  constructor(parts: GroupedParts<K, V>) {
    this.#parts = parts;
  }

  /** @internal */
  get parts(): GroupedParts<K, V> {
    return this.#parts;
  }

  /** Counts the records of each key. */
  count(
    options: StoreOptions<number> & DroppedOptions<K, V> & TtlOptions,
  ): KTable<K, number | null>;
  count(options?: StoreOptions<number> & DroppedOptions<K, V>): KTable<K, number>;
  count(
    options: StoreOptions<number> & DroppedOptions<K, V> & Partial<TtlOptions> = {},
  ): KTable<K, number | null> {
    return this.#table(counting(), options);
  }

  /** Combines the values of each key, starting with its first. A null result deletes the row. */
  reduce(
    reducer: Reducer<K, V, V | null | undefined>,
    options: StoreOptions<NonNullable<V>> & DroppedOptions<K, V> & TtlOptions,
  ): KTable<K, V | null>;
  reduce(
    reducer: Reducer<K, V>,
    options?: StoreOptions<NonNullable<V>> & DroppedOptions<K, V>,
  ): KTable<K, V>;
  reduce(
    reducer: Reducer<K, V, V | null | undefined>,
    options?: StoreOptions<NonNullable<V>> & DroppedOptions<K, V>,
  ): KTable<K, V | null>;
  reduce(
    reducer: Reducer<K, V, V | null | undefined>,
    options: StoreOptions<NonNullable<V>> & DroppedOptions<K, V> & Partial<TtlOptions> = {},
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
    adder: Adder<K, V, A, A | null | undefined>,
    options: StoreOptions<NonNullable<A>> & DroppedOptions<K, V> & TtlOptions,
  ): KTable<K, A | null>;
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A>,
    options?: StoreOptions<NonNullable<A>> & DroppedOptions<K, V>,
  ): KTable<K, A>;
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A, A | null | undefined>,
    options?: StoreOptions<NonNullable<A>> & DroppedOptions<K, V>,
  ): KTable<K, A | null>;
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A, A | null | undefined>,
    options: StoreOptions<NonNullable<A>> & DroppedOptions<K, V> & Partial<TtlOptions> = {},
  ): KTable<K, A | null> {
    return this.#table(aggregating(initializer, adder), options);
  }

  /**
   * Keeps the first `n` values of each key, in a list: those with the greatest numbers, or the
   * least ones, or by a comparison. Of equal ones the value that came first is first. A record that
   * is not among them changes nothing.
   *
   * @example
   * sales.groupByKey().topN(3, { by: ({ total }) => total, store: 'largest' });
   *
   * @throws LogError INVALID_OPTION, StreamsError TOPOLOGY_INVALID without `by` and `compare`
   */
  topN(
    n: number,
    options: Ranking<V> & StoreOptions<V[]> & DroppedOptions<K, V> & TtlOptions,
  ): KTable<K, V[] | null>;
  topN(n: number, options: Ranking<V> & StoreOptions<V[]> & DroppedOptions<K, V>): KTable<K, V[]>;
  topN(
    n: number,
    options: Ranking<V> & StoreOptions<V[]> & DroppedOptions<K, V> & Partial<TtlOptions>,
  ): KTable<K, V[] | null> {
    const { rank, others } = takeRanking(options, OPTIONS);
    return this.#table(ranking(n, rank, this.#parts.value), others);
  }

  /** Aggregates each window separately. */
  windowedBy(windows: FixedWindows): TimeWindowedStream<K, V>;
  windowedBy(windows: SessionWindows): SessionWindowedStream<K, V>;
  windowedBy(windows: CountWindows): CountWindowedStream<K, V>;
  windowedBy(
    windows: AnyWindows | CountWindows,
  ): TimeWindowedStream<K, V> | SessionWindowedStream<K, V> | CountWindowedStream<K, V> {
    if (typeof windows === 'object' && 'size' in windows) {
      checkCountWindows('windowedBy', windows);
      return new CountWindowedStream(this.#parts, windows);
    }
    checkWindows('windowedBy', windows);
    if ('gapMs' in windows) return new SessionWindowedStream(this.#parts, windows);
    return new TimeWindowedStream(this.#parts, windows);
  }

  /**
   * Begins an aggregation of several streams into one value for each key: `adder` adds the records
   * of this one, and `cogroup` of the result adds other streams. Write the type of the value at the
   * adder's first parameter.
   *
   * @example
   * clicks
   *   .cogroup((visit: Visit, { value }) => ({ ...visit, clicks: visit.clicks + value.count }))
   *   .cogroup(orders, (visit, { value }) => ({ ...visit, total: visit.total + value.total }))
   *   .aggregate(() => ({ clicks: 0, total: 0 }), { store: 'visits' });
   */
  cogroup<A>(adder: Adder<K, V, A>): CogroupedStream<K, A>;
  cogroup<A>(adder: Adder<K, V, A, A | null | undefined>): CogroupedStream<K, A, null>;
  cogroup<A>(adder: Adder<K, V, A, A | null | undefined>): CogroupedStream<K, A, null> {
    return new CogroupedStream(firstInput(this.#parts, adder));
  }

  #table<A>(
    what: Aggregating<K, V, A>,
    options: StoreOptions<NonNullable<A>> & DroppedOptions<K, V> & Partial<TtlOptions>,
  ): KTable<K, A> {
    checkNodeOptions(what.kind, options, [...OPTIONS]);
    return new KTable(addAggregate(groupedInput(this.#parts), what, options));
  }
}
