import { sessionStore } from '../state/session-store.ts';
import type { Change } from '../topology/change.ts';
import type { Forward, Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { Session, SessionStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { SlidingWindows, Windowed } from '../topology/windows.ts';
import { reasonToDrop, type Aggregation } from './aggregate.ts';
import { changeOf, type Emit } from './emit.ts';
import { SessionResults, windowedKey } from './session-results.ts';

export interface SlidingAggregation<K, V, A> extends Omit<Aggregation<K, V, A>, 'emit'> {
  readonly windows: SlidingWindows;
  readonly emit: Emit;
}

/**
 * How long after its end a window is kept: it may have closed, and still be the base of the window
 * that ends at the next record, or tell which record came before.
 */
export function slidingLifeMs({ differenceMs, graceMs }: SlidingWindows): number {
  return graceMs + 2 * (differenceMs + 1);
}

/**
 * Keeps one value for each key and sliding window. Each record has a window that ends at it, its
 * left one, and one that begins right after it, its right one, if there are records in it; windows
 * before 1970 are all one, from there on [OP-SLIDING-1]. A record changes the windows that hold it,
 * and makes those that are missing [OP-SLIDING-2]. Kafka Streams: KStreamSlidingWindowAggregate.
 */
export function slidingAggregate<K, V, A>(
  aggregation: SlidingAggregation<K, V, A>,
): Operator<K, V, Windowed<K>, Change<A>> {
  return {
    kind: `sliding-${aggregation.kind}`,
    changesKey: false,
    start: (forward, context) => new SlidingAggregator(aggregation, forward, context),
  };
}

class SlidingAggregator<K, V, A> implements Processor<K, V> {
  readonly #windows: SlidingWindows;
  readonly #isEach: boolean;
  readonly #store: SessionStore<K, A>;
  readonly #forward: Forward<Windowed<K>, Change<A>>;
  readonly #context: OperatorContext;
  readonly #results: SessionResults<K, A>;
  readonly #change: () => A | undefined;
  /** The record that `#change` adds, to what, and the result. */
  #current!: StreamRecord<K, V>;
  #before: A | undefined;
  #value: A | undefined;
  /** Windows that end before have closed. Set for each record. */
  #openMs = -Infinity;
  /** True if the current record came too late for one of its windows. */
  #isLate = false;
  readonly flush?: () => void;
  readonly heldMs?: () => number;

  constructor(
    { add, emit, windows, store: name }: SlidingAggregation<K, V, A>,
    forward: Forward<Windowed<K>, Change<A>>,
    context: OperatorContext,
  ) {
    const store = context.store(sessionStore<K, A>(name));
    this.#windows = windows;
    this.#isEach = emit === 'each';
    this.#store = store;
    this.#forward = forward;
    this.#context = context;
    this.#change = () => (this.#value = add(this.#before, this.#current) ?? undefined);
    const closesAfterMs = windows.graceMs + 1;
    const lagMs = windows.differenceMs;
    const results = new SessionResults({ store, emit, closesAfterMs, lagMs, forward, context });
    this.#results = results;
    if (results.flush !== undefined) this.flush = results.flush;
    if (results.heldMs !== undefined) this.heldMs = results.heldMs;
  }

  get deadlineMs(): number {
    return this.#results.deadlineMs;
  }

  process(record: StreamRecord<K, V>): void {
    const reason = reasonToDrop(record);
    if (reason !== undefined) {
      this.#context.drop(reason, record);
      return;
    }
    const { timestampMs } = record;
    const { differenceMs, graceMs } = this.#windows;
    this.#openMs = this.#context.streamTimeMs() - graceMs;
    this.#current = record;
    this.#isLate = timestampMs + differenceMs < this.#openMs;
    if (!this.#isLate && timestampMs < differenceMs) this.#addEarly();
    else if (!this.#isLate) this.#addBetween();
    if (this.#isLate) this.#context.drop('late', record);
  }

  advance(streamTimeMs: number, beforeMs: number): void {
    this.#results.advance(streamTimeMs, beforeMs);
  }

  endOfInput(): number {
    return this.#results.endOfInput();
  }

  /** Adds a record whose left window does not begin before 1970: windows from the newest on. */
  #addBetween(): void {
    const { key, timestampMs } = this.#current;
    const { differenceMs } = this.#windows;
    const near = this.#store.find(key, timestampMs - differenceMs, timestampMs + 1);
    const newer = this.#newerThan(timestampMs, near);
    /** The record before, and the newest window that it is in and this one is not. */
    let previousMs: number | undefined;
    let left: Session<A> | undefined;
    let hasLeft = false;
    for (let index = near.length - 1; index >= 0; index--) {
      const window = near[index]!;
      if (window.startMs > timestampMs) continue;
      if (window.endMs < timestampMs) {
        left = window;
        previousMs = window.timestampMs;
        break;
      }
      this.#addTo(window.startMs, window, undefined);
      if (window.endMs > timestampMs) continue;
      hasLeft = true;
      if (window.timestampMs === timestampMs) return; // a record of this time made all windows
      previousMs = window.timestampMs;
    }
    this.#addRightOf(previousMs, near);
    if (!hasLeft) {
      const startMs = timestampMs - differenceMs;
      const isShared = previousMs !== undefined && startMs <= previousMs;
      this.#addTo(startMs, undefined, isShared ? left : undefined);
    }
    if (newer !== undefined) this.#makeRight(newer);
  }

  /** Adds a record of the time before the first left window: the window from 1970 on has it. */
  #addEarly(): void {
    const { key, timestampMs } = this.#current;
    const near = this.#store.find(key, this.#windows.differenceMs, timestampMs + 1);
    const newer = this.#newerThan(timestampMs, near);
    const first = near[0]?.startMs === 0 ? near[0] : undefined;
    for (const window of near) {
      if (window === first || window.startMs > timestampMs) continue;
      this.#addTo(window.startMs, window, undefined);
    }
    if (newer !== undefined) this.#makeRight(newer);
    const firstMs = first?.timestampMs ?? timestampMs;
    this.#addRightOf(firstMs < timestampMs ? firstMs : undefined, near);
    this.#addTo(0, first, undefined);
  }

  /**
   * What the right window of the record begins with, if it has to be made: the records after it, as
   * the newest window that holds the record has them now.
   */
  #newerThan(timestampMs: number, near: readonly Session<A>[]): Session<A> | undefined {
    const last = near.at(-1);
    if (last === undefined || last.startMs > timestampMs) return undefined; // it is there
    if (last.endMs <= timestampMs || last.timestampMs <= timestampMs) return undefined;
    return { ...last, value: this.#store.copy(last.value) };
  }

  /** Makes the right window of the record before, if it is missing and has this record in it. */
  #addRightOf(previousMs: number | undefined, near: readonly Session<A>[]): void {
    if (previousMs === undefined) return;
    const startMs = previousMs + 1;
    if (startMs + this.#windows.differenceMs < this.#current.timestampMs) return;
    if (near.every((window) => window.startMs !== startMs)) this.#addTo(startMs);
  }

  /**
   * Adds the record to a window, unless that has closed. A new one begins with those of `base`. One
   * may be made twice, to the right of the record before and to the left of this one: as in Kafka
   * Streams it then has the same result twice.
   */
  #addTo(startMs: number, known?: Session<A>, base?: Session<A>): void {
    const { key, timestampMs } = this.#current;
    const endMs = startMs + this.#windows.differenceMs;
    if (endMs < this.#openMs) {
      this.#isLate = true;
      return;
    }
    const store = this.#store;
    const keepsBefore = this.#isEach && this.#context.sendsOldValues;
    const passed = keepsBefore ? store.get(key, { startMs, endMs }) : undefined;
    const before = passed && store.copy(passed.value);
    this.#before = known === undefined ? base && store.copy(base.value) : known.value;
    store.update(key, { startMs, endMs, timestampMs }, this.#change);
    const timeMs = Math.max(known?.timestampMs ?? timestampMs, timestampMs);
    this.#pass({ startMs, endMs, timestampMs: timeMs }, this.#value, before);
  }

  #makeRight({ value, timestampMs }: Session<A>): void {
    const startMs = this.#current.timestampMs + 1;
    const bounds = { startMs, endMs: startMs + this.#windows.differenceMs, timestampMs };
    this.#store.update(this.#current.key, bounds, () => value);
    this.#pass(bounds, value, undefined);
  }

  /** With `each` passes on a change at once, with the headers of its record. */
  #pass(bounds: Omit<Session<A>, 'value'>, value: A | undefined, before: A | undefined): void {
    const { key } = this.#current;
    if (!this.#isEach) {
      this.#results.noteWindow(key, bounds);
      return;
    }
    const change = changeOf(value, before, this.#context.sendsOldValues);
    this.#forward(this.#current.with(windowedKey(key, bounds), change, bounds.timestampMs));
  }
}
