import type { Ranking } from '../operators/ranking.ts';
import type { CountWindowed, CountWindows } from '../topology/count-windows.ts';
import {
  addCountAggregate,
  aggregating,
  counting,
  groupedInput,
  ranking,
  reducing,
  takeRanking,
  type Aggregating,
} from './aggregations.ts';
import type { DroppedOptions } from './dropped-records.ts';
import type { Adder, Reducer, Synchronous } from './functions.ts';
import { KTable } from './ktable.ts';
import { checkNodeOptions, type CountWindowedOptions } from './node-options.ts';
import type { GroupedParts } from './parts.ts';

/**
 * A grouped stream in windows of so many records. By default a window has its result when it is
 * complete; windows that are not wait for more records, also at the end of the input.
 */
export class CountWindowedStream<K, V> {
  readonly #parts: GroupedParts<K, V>;
  readonly #windows: CountWindows;

  /** @internal `KGroupedStream.windowedBy` makes them. */
  constructor(parts: GroupedParts<K, V>, windows: CountWindows) {
    this.#parts = parts;
    this.#windows = windows;
  }

  /** Counts the records of each key and window: with `emit: 'each'`, or before there are `size`. */
  count(
    options: CountWindowedOptions<number> & DroppedOptions<K, V> = {},
  ): KTable<CountWindowed<K>, number> {
    return this.#table(counting(), options);
  }

  /** Combines the values of each key and window, starting with the first. */
  reduce(
    reducer: Reducer<K, V>,
    options?: CountWindowedOptions<NonNullable<V>> & DroppedOptions<K, V>,
  ): KTable<CountWindowed<K>, V>;
  reduce(
    reducer: Reducer<K, V, V | null | undefined>,
    options?: CountWindowedOptions<NonNullable<V>> & DroppedOptions<K, V>,
  ): KTable<CountWindowed<K>, V | null>;
  reduce(
    reducer: Reducer<K, V, V | null | undefined>,
    options: CountWindowedOptions<NonNullable<V>> & DroppedOptions<K, V> = {},
  ): KTable<CountWindowed<K>, V | null> {
    return this.#table(reducing(reducer, this.#parts.value), options);
  }

  /** Combines all records of a key in a window into one value; `adder` as without windows. */
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A>,
    options?: CountWindowedOptions<NonNullable<A>> & DroppedOptions<K, V>,
  ): KTable<CountWindowed<K>, A>;
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A, A | null | undefined>,
    options?: CountWindowedOptions<NonNullable<A>> & DroppedOptions<K, V>,
  ): KTable<CountWindowed<K>, A | null>;
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A, A | null | undefined>,
    options: CountWindowedOptions<NonNullable<A>> & DroppedOptions<K, V> = {},
  ): KTable<CountWindowed<K>, A | null> {
    return this.#table(aggregating(initializer, adder), options);
  }

  /**
   * Keeps the first `n` values of each key and window in a list: those with the greatest numbers,
   * or the least ones, or by a comparison. Of equal ones the value that came first is first.
   *
   * @example
   * const by = ({ total }: Sale) => total;
   * sales.groupByKey().windowedBy(windows).topN(3, { by, store: 'largest' });
   *
   * @throws LogError INVALID_OPTION, StreamsError TOPOLOGY_INVALID without `by` and `compare`
   */
  topN(
    n: number,
    options: Ranking<V> & CountWindowedOptions<V[]> & DroppedOptions<K, V>,
  ): KTable<CountWindowed<K>, V[]> {
    const { rank, others } = takeRanking(options, ['name', 'store', 'value', 'emit', 'dropped']);
    return this.#table(ranking(n, rank, this.#parts.value), others);
  }

  #table<A>(
    what: Aggregating<K, V, A>,
    options: CountWindowedOptions<NonNullable<A>> & DroppedOptions<K, V>,
  ): KTable<CountWindowed<K>, A> {
    checkNodeOptions(what.kind, options, ['name', 'store', 'value', 'emit', 'dropped']);
    return new KTable(addCountAggregate(groupedInput(this.#parts), this.#windows, what, options));
  }
}
