import { windowStore } from '../state/window-store.ts';
import type { Change } from '../topology/change.ts';
import type { Forward, Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { StoreEntry, WindowStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import {
  firstWindowStart,
  oldestOpenStart,
  type TimeWindows,
  type Windowed,
} from '../topology/windows.ts';
import { reasonToDrop, type Aggregation } from './aggregate.ts';
import { changeOf, Interval, type Emit } from './emit.ts';
import { resultRecord } from './results.ts';

export interface WindowedAggregation<K, V, A> extends Omit<Aggregation<K, V, A>, 'emit'> {
  readonly windows: TimeWindows;
  readonly emit: Emit;
}

/**
 * Keeps one value for each key and window [OP-12].
 *
 * A window closes when stream time reaches its end plus the grace; a record that comes later is
 * dropped and counted as late [OP-13]. With `final` the result is forwarded then, once, windows in
 * the order of their starts [OP-14]; otherwise its changes as `emit` says [OP-15]. The time of a
 * result is that of its newest record.
 */
export function windowedAggregate<K, V, A>(
  aggregation: WindowedAggregation<K, V, A>,
): Operator<K, V, Windowed<K>, Change<A>> {
  return {
    kind: `windowed-${aggregation.kind}`,
    changesKey: false,
    start: (forward, context) => new WindowedAggregator(aggregation, forward, context),
  };
}

class WindowedAggregator<K, V, A> implements Processor<K, V> {
  readonly #windows: TimeWindows;
  readonly #emit: Emit;
  readonly #store: WindowStore<K, A>;
  readonly #forward: Forward<Windowed<K>, Change<A>>;
  readonly #context: OperatorContext;
  readonly #change: (value: A | undefined) => A | undefined;
  readonly #changes: Aggregation<K, V, A>['changes'];
  /** The record that `#change` adds: saves a closure per record. */
  #current!: StreamRecord<K, V>;
  /** With `everyMs`: what waits. */
  readonly #interval: Interval<Windowed<K>, A> | undefined;
  /** When the oldest open window closes. */
  #closesNextMs: number;
  /** With `commit`: forwards the changes since the last one. */
  readonly flush?: () => void;
  /** With `final` the next result is that of a window still open, with `everyMs` what waits. */
  heldMs?: () => number;

  constructor(
    aggregation: WindowedAggregation<K, V, A>,
    forward: Forward<Windowed<K>, Change<A>>,
    context: OperatorContext,
  ) {
    const { add, changes, windows, emit } = aggregation;
    this.#windows = windows;
    this.#emit = emit;
    this.#store = context.store(windowStore<K, A>(aggregation.store));
    this.#forward = forward;
    this.#context = context;
    this.#changes = changes;
    this.#change = (value) => add(value, this.#current) ?? undefined;
    this.#interval = typeof emit === 'object' ? this.#startInterval(emit.everyMs) : undefined;
    this.#closesNextMs = this.#oldestDeadlineMs(); // also of windows with nothing but what waits
    if (context.sendsOldValues) this.#store.keepBefore();
    if (emit === 'commit' || emit === 'each') this.#store.holdChanges();
    if (emit === 'commit') this.flush = () => this.#passChanges();
    if (emit === 'final') this.heldMs = () => oldestOpenStart(windows, context.streamTimeMs());
  }

  get deadlineMs(): number {
    const interval = this.#interval; // read for each record that moves time
    if (interval === undefined) return this.#closesNextMs;
    return Math.min(this.#closesNextMs, interval.dueMs);
  }

  process(record: StreamRecord<K, V>): void {
    const reason = reasonToDrop(record);
    if (reason !== undefined) {
      this.#context.drop(reason, record);
      return;
    }
    const { timestampMs } = record;
    const { sizeMs, advanceMs, graceMs } = this.#windows;
    const streamTimeMs = this.#context.streamTimeMs();
    this.#current = record;
    let isLate = false;
    for (
      let startMs = firstWindowStart(this.#windows, timestampMs);
      startMs <= timestampMs;
      startMs += advanceMs
    ) {
      const closesMs = startMs + sizeMs + graceMs;
      if (closesMs <= streamTimeMs) {
        isLate = true;
        continue;
      }
      if (this.#changes !== undefined && !this.#isChanged(record, startMs)) continue;
      if (closesMs < this.#closesNextMs) this.#closesNextMs = closesMs;
      this.#store.update(record.key, startMs, timestampMs, this.#change);
      if (this.#emit === 'each') this.#store.passChanges(startMs, this.#passCurrent);
    }
    if (isLate) this.#context.drop('late', record);
  }

  #isChanged(record: StreamRecord<K, V>, windowStartMs: number): boolean {
    const known = this.#store.get(record.key, windowStartMs);
    return known === undefined || this.#changes!(known, record);
  }

  advance(streamTimeMs: number): void {
    if (this.#interval !== undefined && this.#interval.dueMs <= streamTimeMs) {
      this.#passChanges();
      this.#interval.clear();
    }
    for (const startMs of this.#store.windowStarts()) {
      if (this.#closesMs(startMs) > streamTimeMs) break;
      this.#pass(startMs);
      this.#store.drop(startMs);
    }
    this.#closesNextMs = this.#oldestDeadlineMs();
  }

  endOfInput(): number {
    const newest = this.#store.windowStarts().at(-1);
    if (newest === undefined) return -Infinity;
    const closedMs = this.#closesMs(newest);
    this.advance(closedMs);
    return closedMs;
  }

  #startInterval(everyMs: number): Interval<Windowed<K>, A> {
    const store = this.#store;
    const interval = new Interval<Windowed<K>, A>(everyMs, store.name, this.#context);
    store.keepBefore();
    store.holdChanges((entry, before, beforeMs) =>
      interval.note(this.#windowed(entry), entry.timestampMs, before, beforeMs),
    );
    interval.restore(({ key, windowStartMs }, before, timestampMs) =>
      store.hold(key, windowStartMs, before, timestampMs),
    );
    this.heldMs = () => interval.heldMs();
    return interval;
  }

  #passChanges(): void {
    for (const startMs of this.#store.windowStarts()) this.#pass(startMs);
  }

  /** The results of a window: all with `final`, because it has closed, or those held back. */
  #pass(windowStartMs: number): void {
    if (this.#emit === 'final') {
      for (const entry of this.#store.window(windowStartMs)) this.#passEntry(entry);
    } else {
      this.#store.passChanges(windowStartMs, this.#passEntry);
    }
  }

  readonly #passEntry = (entry: StoreEntry<K, A>, before?: A): void => {
    const { partition, sendsOldValues } = this.#context;
    const change = changeOf(entry.value, before, sendsOldValues);
    this.#forward(resultRecord(this.#windowed(entry), change, entry.timestampMs, partition));
  };

  /** With `each`: passes on what the current record has changed. */
  readonly #passCurrent = (entry: StoreEntry<K, A>, before?: A): void => {
    const change = changeOf(entry.value, before, this.#context.sendsOldValues);
    this.#forward(this.#current.with(this.#windowed(entry), change, entry.timestampMs));
  };

  #windowed({ key, windowStartMs = 0 }: StoreEntry<K, A>): Windowed<K> {
    return { key, windowStartMs, windowEndMs: windowStartMs + this.#windows.sizeMs };
  }

  #oldestDeadlineMs(): number {
    const [oldest] = this.#store.windowStarts();
    return oldest === undefined ? Infinity : this.#closesMs(oldest);
  }

  #closesMs(windowStartMs: number): number {
    return windowStartMs + this.#windows.sizeMs + this.#windows.graceMs;
  }
}
