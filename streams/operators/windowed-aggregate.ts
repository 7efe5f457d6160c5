import type { Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { Forward } from '../topology/operator.ts';
import type { WindowStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { firstWindowStart, type TimeWindows, type Windowed } from '../topology/windows.ts';
import { resultRecord, type Aggregation } from './aggregate.ts';

/** When a window's result is passed on: whenever it has changed, or once, when the window has closed. */
export type Emit = 'update' | 'final';

export interface WindowedAggregation<K, V, A> extends Aggregation<K, V, A> {
  readonly windows: TimeWindows;
  readonly emit: Emit;
}

/**
 * Keeps one value for each key and window [OP-12].
 *
 * A window closes when stream time reaches its end plus the grace; a record that comes later for it is
 * left out and counted as late [OP-13]. With `final` the result is forwarded then, once, windows in the
 * order of their starts [OP-14]; with `update` after each change, once for each commit [OP-15]. The time
 * of a result is that of its newest record.
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
  readonly #change: (value: A | undefined) => A;
  /** The record that `#change` adds: saves a closure a record. */
  #current!: StreamRecord<K, V>;
  /** When the oldest open window closes. */
  deadlineMs: number;

  constructor(
    aggregation: WindowedAggregation<K, V, A>,
    forward: Forward<Windowed<K>, A>,
    context: OperatorContext,
  ) {
    const { add } = aggregation;
    this.#windows = aggregation.windows;
    this.#emit = aggregation.emit;
    this.#store = context.windowStore(aggregation.store);
    this.#forward = forward;
    this.#context = context;
    this.#change = (value) => add(value, this.#current);
    this.deadlineMs = this.#oldestDeadlineMs();
  }

  process(record: StreamRecord<K, V>): void {
    if (record.key === null || record.value === null) {
      this.#context.drop(record.key === null ? 'null-key' : 'null-value');
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
    const { sizeMs, graceMs } = this.#windows;
    for (const startMs of this.#store.windowStarts()) {
      if (startMs + sizeMs + graceMs > streamTimeMs) break;
      this.#close(startMs);
    }
    this.deadlineMs = this.#oldestDeadlineMs();
  }

  flush(): void {
    if (this.#emit === 'final') return;
    for (const startMs of this.#store.windowStarts()) this.#passAll(startMs);
  }

  endOfInput(): number {
    const { sizeMs, graceMs } = this.#windows;
    const newest = this.#store.windowStarts().at(-1);
    if (newest === undefined) return -Infinity;
    const closedMs = newest + sizeMs + graceMs;
    this.advance(closedMs);
    return closedMs;
  }

  #close(windowStartMs: number): void {
    this.#passAll(windowStartMs);
    this.#store.drop(windowStartMs);
  }

  /** With `final` a window's results, when it closes; with `update` those that no commit has passed on. */
  #passAll(windowStartMs: number): void {
    const store = this.#store;
    const isFinal = this.#emit === 'final';
    const entries = isFinal ? store.window(windowStartMs) : store.changed(windowStartMs);
    for (const { key, value, timestampMs } of entries) {
      this.#pass(key, windowStartMs, value as A, timestampMs);
    }
  }

  #pass(key: K, windowStartMs: number, value: A, timestampMs: number): void {
    const windowEndMs = windowStartMs + this.#windows.sizeMs;
    const windowed: Windowed<K> = { key, windowStartMs, windowEndMs };
    this.#forward(resultRecord(windowed, value, timestampMs, this.#context.partition));
  }

  #oldestDeadlineMs(): number {
    const [oldest] = this.#store.windowStarts();
    if (oldest === undefined) return Infinity;
    return oldest + this.#windows.sizeMs + this.#windows.graceMs;
  }
}
