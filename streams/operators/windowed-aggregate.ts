import { windowStore } from '../state/window-store.ts';
import type { Forward, Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { WindowStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import {
  firstWindowStart,
  oldestOpenStart,
  type TimeWindows,
  type Windowed,
} from '../topology/windows.ts';
import { reasonToDrop, resultRecord, type Aggregation } from './aggregate.ts';

/** When a window's result is forwarded: after each change, or once, when the window has closed. */
export type Emit = 'update' | 'final';

export interface WindowedAggregation<K, V, A> extends Aggregation<K, V, A> {
  readonly windows: TimeWindows;
  readonly emit: Emit;
}

/**
 * Keeps one value for each key and window [OP-12].
 *
 * A window closes when stream time reaches its end plus the grace; a record that comes later is
 * dropped and counted as late [OP-13]. With `final` the result is forwarded then, once, windows in
 * the order of their starts [OP-14]; with `update` once per commit that changed it [OP-15]. The
 * time of a result is that of its newest record.
 */
export function windowedAggregate<K, V, A>(
  aggregation: WindowedAggregation<K, V, A>,
): Operator<K, V, Windowed<K>, A> {
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
  readonly #forward: Forward<Windowed<K>, A>;
  readonly #context: OperatorContext;
  readonly #change: (value: A | undefined) => A | undefined;
  /** The record that `#change` adds: saves a closure per record. */
  #current!: StreamRecord<K, V>;
  /** When the oldest open window closes. */
  deadlineMs: number;
  /** With `update`: forwards the changes since the last commit. */
  readonly flush?: () => void;
  /** With `final`: the next result is that of a window still open. */
  readonly heldMs?: () => number;

  constructor(
    aggregation: WindowedAggregation<K, V, A>,
    forward: Forward<Windowed<K>, A>,
    context: OperatorContext,
  ) {
    const { add, windows, emit } = aggregation;
    this.#windows = windows;
    this.#emit = emit;
    this.#store = context.store(windowStore<K, A>(aggregation.store));
    this.#forward = forward;
    this.#context = context;
    this.#change = (value) => add(value, this.#current) ?? undefined;
    this.deadlineMs = this.#oldestDeadlineMs();
    if (emit === 'update') this.flush = () => this.#passChanges();
    else this.heldMs = () => oldestOpenStart(windows, context.streamTimeMs());
  }

  process(record: StreamRecord<K, V>): void {
    const reason = reasonToDrop(record);
    if (reason !== undefined) {
      this.#context.drop(reason);
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
      if (closesMs < this.deadlineMs) this.deadlineMs = closesMs;
      this.#store.update(record.key, startMs, timestampMs, this.#change);
    }
    if (isLate) this.#context.drop('late');
  }

  advance(streamTimeMs: number): void {
    for (const startMs of this.#store.windowStarts()) {
      if (this.#closesMs(startMs) > streamTimeMs) break;
      this.#pass(startMs);
      this.#store.drop(startMs);
    }
    this.deadlineMs = this.#oldestDeadlineMs();
  }

  endOfInput(): number {
    const newest = this.#store.windowStarts().at(-1);
    if (newest === undefined) return -Infinity;
    const closedMs = this.#closesMs(newest);
    this.advance(closedMs);
    return closedMs;
  }

  #passChanges(): void {
    for (const startMs of this.#store.windowStarts()) this.#pass(startMs);
  }

  /**
   * The results of a window: all of them with `final`, because it has closed; with `update` those
   * that no commit has forwarded.
   */
  #pass(windowStartMs: number): void {
    const store = this.#store;
    const isFinal = this.#emit === 'final';
    const windowEndMs = windowStartMs + this.#windows.sizeMs;
    const entries = isFinal ? store.window(windowStartMs) : store.changed(windowStartMs);
    for (const { key, value, timestampMs } of entries) {
      const windowed: Windowed<K> = { key, windowStartMs, windowEndMs };
      const result = (value ?? null) as A;
      this.#forward(resultRecord(windowed, result, timestampMs, this.#context.partition));
    }
  }

  #oldestDeadlineMs(): number {
    const [oldest] = this.#store.windowStarts();
    return oldest === undefined ? Infinity : this.#closesMs(oldest);
  }

  #closesMs(windowStartMs: number): number {
    return windowStartMs + this.#windows.sizeMs + this.#windows.graceMs;
  }
}
