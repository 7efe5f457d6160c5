import type { Ranking } from '../operators/ranking.ts';
import type { FixedWindows, Windowed } from '../topology/windows.ts';
import {
  addMergeable,
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
import { checkNodeOptions, type MergeableOptions, type WindowedOptions } from './node-options.ts';
import type { GroupedParts } from './parts.ts';

/** A grouped stream in time windows: tumbling, hopping, sliding or unlimited. */
export class TimeWindowedStream<K, V> {
  readonly #parts: GroupedParts<K, V>;
  readonly #windows: FixedWindows;

  /** @internal `KGroupedStream.windowedBy` makes them. */
  constructor(parts: GroupedParts<K, V>, windows: FixedWindows) {
    this.#parts = parts;
    this.#windows = windows;
  }

  /** Counts the records of each key and window. */
  count(options: WindowedOptions<number> & DroppedOptions<K, V> = {}): KTable<Windowed<K>, number> {
    // It merges by itself.
    checkNodeOptions('count', options, ['name', 'store', 'value', 'emit', 'dropped']);
    return this.#table(counting(), options);
  }

  /**
   * Combines the values of each key and window, starting with the first; null as without windows.
   */
  reduce(
    reducer: Reducer<K, V>,
    options?: MergeableOptions<K, NonNullable<V>> & DroppedOptions<K, V>,
  ): KTable<Windowed<K>, V>;
  reduce(
    reducer: Reducer<K, V, V | null | undefined>,
    options?: WindowedOptions<NonNullable<V>> & DroppedOptions<K, V>,
  ): KTable<Windowed<K>, V | null>;
  reduce(
    reducer: Reducer<K, V, V | null | undefined>,
    options: MergeableOptions<K, NonNullable<V>> & DroppedOptions<K, V> = {},
  ): KTable<Windowed<K>, V | null> {
    return this.#table(reducing(reducer, this.#parts.value), options);
  }

  /** Combines all records of a key in a window into one value; `adder` as without windows. */
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A>,
    options?: MergeableOptions<K, NonNullable<A>> & DroppedOptions<K, V>,
  ): KTable<Windowed<K>, A>;
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A, A | null | undefined>,
    options?: WindowedOptions<NonNullable<A>> & DroppedOptions<K, V>,
  ): KTable<Windowed<K>, A | null>;
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A, A | null | undefined>,
    options: MergeableOptions<K, NonNullable<A>> & DroppedOptions<K, V> = {},
  ): KTable<Windowed<K>, A | null> {
    return this.#table(aggregating(initializer, adder), options);
  }

  /**
   * Keeps the first `n` values of each key and window in a list: those with the greatest numbers,
   * or the least ones, or by a comparison. Of equal ones the value that came first is first.
   * A record that is not among them changes nothing.
   *
   * @example
   * const by = ({ total }: Sale) => total;
   * sales.groupByKey().windowedBy(windows).topN(3, { by, store: 'largest' });
   *
   * @throws LogError INVALID_OPTION, StreamsError TOPOLOGY_INVALID without `by` and `compare`
   */
  topN(
    n: number,
    options: Ranking<V> & WindowedOptions<V[]> & DroppedOptions<K, V>,
  ): KTable<Windowed<K>, V[]> {
    const { rank, others } = takeRanking(options, ['name', 'store', 'value', 'emit', 'dropped']);
    return this.#table(ranking(n, rank, this.#parts.value), others);
  }

  #table<A>(
    what: Aggregating<K, V, A>,
    options: MergeableOptions<K, NonNullable<A>> & DroppedOptions<K, V>,
  ): KTable<Windowed<K>, A> {
    const input = groupedInput(this.#parts);
    return new KTable(addMergeable(input, this.#windows, what, options));
  }
}
