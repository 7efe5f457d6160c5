import { checkWindows, type SessionWindows, type TimeWindows } from '../topology/windows.ts';
import {
  addAggregate,
  aggregating,
  counting,
  groupedInput,
  reducing,
  type Aggregating,
} from './aggregations.ts';
import type { Adder, Reducer, Synchronous } from './functions.ts';
import { KTable } from './ktable.ts';
import { checkNodeOptions, type StoreOptions } from './node-options.ts';
import type { GroupedParts } from './parts.ts';
import { SessionWindowedStream } from './session-windowed-stream.ts';
import { TimeWindowedStream } from './time-windowed-stream.ts';

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

  /** Aggregates each window separately. */
  windowedBy(windows: TimeWindows): TimeWindowedStream<K, V>;
  windowedBy(windows: SessionWindows): SessionWindowedStream<K, V>;
  windowedBy(
    windows: TimeWindows | SessionWindows,
  ): TimeWindowedStream<K, V> | SessionWindowedStream<K, V> {
    checkWindows('windowedBy', windows);
    if ('gapMs' in windows) return new SessionWindowedStream(this.#parts, windows);
    return new TimeWindowedStream(this.#parts, windows);
  }

  #table<A>(what: Aggregating<K, V, A>, options: StoreOptions<NonNullable<A>>): KTable<K, A> {
    checkNodeOptions(what.kind, options, ['name', 'store', 'value', 'emit']);
    return new KTable(addAggregate(groupedInput(this.#parts), what, options));
  }
}
