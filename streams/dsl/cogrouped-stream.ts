import {
  checkWindows,
  type AnyWindows,
  type FixedWindows,
  type SessionWindows,
} from '../topology/windows.ts';
import { addAggregate } from './aggregations.ts';
import { cogrouping, ofStreams, withInput, type CogroupParts } from './cogroups.ts';
import type { DroppedOptions } from './dropped-records.ts';
import type { Adder, Synchronous } from './functions.ts';
import { KTable } from './ktable.ts';
import { checkNodeOptions, type StoreOptions } from './node-options.ts';
import type { GroupedStream } from './parts.ts';
import { SessionWindowedCogroupedStream } from './session-windowed-cogrouped-stream.ts';
import { TimeWindowedCogroupedStream } from './time-windowed-cogrouped-stream.ts';

/**
 * Grouped streams that are aggregated together: one value for each key, to which each stream adds
 * by its own function. `A` is the type of the values, `N` null if an adder may delete them.
 */
export class CogroupedStream<K, A, N = never> {
  readonly #parts: CogroupParts<K, A>;

  /** @internal `KGroupedStream.cogroup` makes them. */
  constructor(parts: CogroupParts<K, A>) {
    this.#parts = parts;
  }

  /**
   * Adds another stream, through a repartition topic of its own if its keys may have changed.
   *
   * @throws StreamsError TOPOLOGY_INVALID if it is of another builder; LogError INVALID_OPTION
   */
  cogroup<V>(grouped: GroupedStream<K, V>, adder: Adder<K, V, A>): CogroupedStream<K, A, N>;
  cogroup<V>(
    grouped: GroupedStream<K, V>,
    adder: Adder<K, V, A, A | null | undefined>,
  ): CogroupedStream<K, A, null>;
  cogroup<V>(
    grouped: GroupedStream<K, V>,
    adder: Adder<K, V, A, A | null | undefined>,
  ): CogroupedStream<K, A, N> | CogroupedStream<K, A, null> {
    return new CogroupedStream<K, A, null>(withInput(this.#parts, grouped, adder));
  }

  /**
   * One value for each key, which begins with the result of `initializer`. The adders may change it
   * in place and return it, but must not keep it elsewhere. A null result deletes the row. What is
   * `dropped` may be of any of the streams.
   */
  aggregate(
    initializer: () => A & Synchronous<A>,
    options: StoreOptions<NonNullable<A>> & DroppedOptions<K, unknown> = {},
  ): KTable<K, A | N> {
    checkNodeOptions('aggregate', options, ['name', 'store', 'value', 'emit', 'dropped']);
    const what = cogrouping<K, A>(initializer);
    return new KTable<K, A | N>(addAggregate(this.#parts, what, ofStreams(options)));
  }

  /** Aggregates each window separately. */
  windowedBy(windows: FixedWindows): TimeWindowedCogroupedStream<K, A, N>;
  windowedBy(windows: SessionWindows): SessionWindowedCogroupedStream<K, A>;
  windowedBy(
    windows: AnyWindows,
  ): TimeWindowedCogroupedStream<K, A, N> | SessionWindowedCogroupedStream<K, A> {
    checkWindows('windowedBy', windows);
    if ('gapMs' in windows) return new SessionWindowedCogroupedStream(this.#parts, windows);
    return new TimeWindowedCogroupedStream(this.#parts, windows);
  }
}
