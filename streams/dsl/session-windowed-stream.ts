import type { Ranking } from '../operators/ranking.ts';
import type { SessionWindows, Windowed } from '../topology/windows.ts';
import {
  addSessionAggregate,
  counting,
  groupedInput,
  merging,
  ranking,
  reducing,
  takeRanking,
  type Merging,
} from './aggregations.ts';
import type { DroppedOptions } from './dropped-records.ts';
import type { Adder, Merger, Reducer, Synchronous } from './functions.ts';
import { KTable } from './ktable.ts';
import { checkNodeOptions, type WindowedOptions } from './node-options.ts';
import type { GroupedParts } from './parts.ts';

/**
 * A grouped stream in sessions. A session that is merged into another passes on null before the new
 * one has its result; so each session that has a value has it once.
 */
export class SessionWindowedStream<K, V> {
  readonly #parts: GroupedParts<K, V>;
  readonly #windows: SessionWindows;

  /** @internal `KGroupedStream.windowedBy` makes them. */
  constructor(parts: GroupedParts<K, V>, windows: SessionWindows) {
    this.#parts = parts;
    this.#windows = windows;
  }

  /** Counts the records of each key and session. */
  count(
    options: WindowedOptions<number> & DroppedOptions<K, V> = {},
  ): KTable<Windowed<K>, number | null> {
    return this.#table(counting(), options);
  }

  /** Combines the values of each key and session, and so those of sessions that merge. */
  reduce(
    reducer: Reducer<K, V, V | null | undefined>,
    options: WindowedOptions<NonNullable<V>> & DroppedOptions<K, V> = {},
  ): KTable<Windowed<K>, V | null> {
    return this.#table(reducing(reducer, this.#parts.value), options);
  }

  /**
   * Combines all records of a key in a session into one value; `adder` as without windows. `merger`
   * combines the values of sessions, beginning with the result of `initializer`: a record that
   * joins a session merges it with an empty one.
   */
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: Adder<K, V, A, A | null | undefined>,
    merger: Merger<K, A>,
    options: WindowedOptions<NonNullable<A>> & DroppedOptions<K, V> = {},
  ): KTable<Windowed<K>, A | null> {
    return this.#table(merging(initializer, adder, merger), options);
  }

  /**
   * Keeps the first `n` values of each key and session in a list: those with the greatest numbers,
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
    options: Ranking<V> & WindowedOptions<V[]> & DroppedOptions<K, V>,
  ): KTable<Windowed<K>, V[] | null> {
    const { rank, others } = takeRanking(options, ['name', 'store', 'value', 'emit', 'dropped']);
    return this.#table(ranking(n, rank, this.#parts.value), others);
  }

  #table<A>(
    what: Merging<K, V, A>,
    options: WindowedOptions<NonNullable<A>> & DroppedOptions<K, V>,
  ): KTable<Windowed<K>, A | null> {
    checkNodeOptions(what.kind, options, ['name', 'store', 'value', 'emit', 'dropped']);
    return new KTable(addSessionAggregate(groupedInput(this.#parts), this.#windows, what, options));
  }
}
