import { windowStore } from '../state/window-store.ts';
import type { Change } from '../topology/change.ts';
import type { Forward, Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { WindowStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { oldestOpenStart, type TimeWindows, type Windowed } from '../topology/windows.ts';
import { reasonToDrop, type Aggregation } from './aggregate.ts';
import { changeOf } from './emit.ts';
import { deletes, PaneMerger, type PaneMerging } from './pane-merger.ts';
import { resultRecord } from './results.ts';

export interface PaneAggregation<K, V, A>
  extends Omit<Aggregation<K, V, A>, 'emit'>, PaneMerging<K, A> {
  readonly windows: TimeWindows;
}

/** True if the windows overlap, and each is a whole number of panes as long as the advance. */
export function havePanes({ sizeMs, advanceMs }: TimeWindows): boolean {
  return advanceMs < sizeMs && sizeMs % advanceMs === 0;
}

/**
 * The final results of overlapping windows, with one change of the store for each record: values
 * are kept by pane, and merged when a window closes [OP-PANE-1]. Results, their order, and what is
 * late are those of `windowedAggregate` with `final` [OP-PANE-2].
 */
export function paneAggregate<K, V, A>(
  aggregation: PaneAggregation<K, V, A>,
): Operator<K, V, Windowed<K>, Change<A>> {
  return {
    kind: `windowed-${aggregation.kind}`,
    changesKey: false,
    start: (forward, context) => new PaneAggregator(aggregation, forward, context),
  };
}

class PaneAggregator<K, V, A> implements Processor<K, V> {
  readonly #windows: TimeWindows;
  /** A pane is a window of the store, and lives as long as the last window that it is in. */
  readonly #panes: WindowStore<K, A>;
  readonly #merger: PaneMerger<K, A>;
  readonly #forward: Forward<Windowed<K>, Change<A>>;
  readonly #context: OperatorContext;
  readonly #change: (value: A | undefined) => A;
  /** The record that `#change` adds: saves a closure per record. */
  #current!: StreamRecord<K, V>;
  /** When the oldest open window closes. */
  #closesNextMs: number;
  /** The next result is that of a window still open. */
  readonly heldMs: () => number;

  constructor(
    { add, windows, store, ...merging }: PaneAggregation<K, V, A>,
    forward: Forward<Windowed<K>, Change<A>>,
    context: OperatorContext,
  ) {
    this.#windows = windows;
    this.#panes = context.store(windowStore<K, A>(store));
    this.#merger = new PaneMerger(this.#panes, windows, merging);
    this.#forward = forward;
    this.#context = context;
    this.#change = (value) => add(value, this.#current) ?? deletes('adder');
    this.#closesNextMs = this.#oldestDeadlineMs(-Infinity);
    this.heldMs = () => oldestOpenStart(windows, context.streamTimeMs());
  }

  get deadlineMs(): number {
    return this.#closesNextMs;
  }

  process(record: StreamRecord<K, V>): void {
    const reason = reasonToDrop(record);
    if (reason !== undefined) {
      this.#context.drop(reason, record);
      return;
    }
    const { key, timestampMs } = record;
    const { sizeMs, advanceMs } = this.#windows;
    const streamTimeMs = this.#context.streamTimeMs();
    const paneMs = timestampMs - (timestampMs % advanceMs);
    const firstMs = Math.max(0, paneMs - sizeMs + advanceMs);
    const isLate = this.#closesMs(firstMs) <= streamTimeMs;
    if (isLate) this.#context.drop('late', record);
    if (this.#closesMs(paneMs) <= streamTimeMs) return; // for all of its windows
    const openMs = isLate ? oldestOpenStart(this.#windows, streamTimeMs) : firstMs;
    this.#closesNextMs = Math.min(this.#closesNextMs, this.#closesMs(openMs));
    this.#current = record;
    this.#panes.update(key, paneMs, timestampMs, this.#change);
    this.#merger.noteChange(key, paneMs);
  }

  advance(streamTimeMs: number, beforeMs: number): void {
    const { sizeMs, advanceMs, graceMs } = this.#windows;
    const panes = this.#panes.windowStarts();
    const lastMs = streamTimeMs - sizeMs - graceMs; // windows that start by then have closed
    let startMs = oldestOpenStart(this.#windows, beforeMs);
    for (const paneMs of panes) {
      // Windows without panes are skipped.
      startMs = Math.max(startMs, paneMs - sizeMs + advanceMs, 0);
      for (; startMs <= Math.min(paneMs, lastMs); startMs += advanceMs) this.#pass(startMs);
    }
    for (const paneMs of panes) {
      if (paneMs > lastMs) break;
      this.#panes.drop(paneMs);
    }
    this.#closesNextMs = this.#oldestDeadlineMs(streamTimeMs);
  }

  endOfInput(): number {
    const newest = this.#panes.windowStarts().at(-1);
    if (newest === undefined) return -Infinity;
    const closedMs = this.#closesMs(newest);
    this.advance(closedMs, this.#context.streamTimeMs());
    return closedMs;
  }

  #pass(windowStartMs: number): void {
    const windowEndMs = windowStartMs + this.#windows.sizeMs;
    const { partition, sendsOldValues } = this.#context;
    for (const { key, value, timestampMs, failure } of this.#merger.close(windowStartMs)) {
      const windowed = { key, windowStartMs, windowEndMs };
      if (value === undefined) {
        const record = resultRecord(windowed, null, timestampMs, partition);
        this.#context.fail(record, failure, undefined);
        continue;
      }
      const change = changeOf(value, undefined, sendsOldValues);
      this.#forward(resultRecord(windowed, change, timestampMs, partition));
    }
  }

  /** When the oldest window closes that is open and has panes. */
  #oldestDeadlineMs(streamTimeMs: number): number {
    const [oldest] = this.#panes.windowStarts();
    if (oldest === undefined) return Infinity;
    const { sizeMs, advanceMs } = this.#windows;
    const firstMs = Math.max(0, oldest - sizeMs + advanceMs);
    return this.#closesMs(Math.max(firstMs, oldestOpenStart(this.#windows, streamTimeMs)));
  }

  #closesMs(windowStartMs: number): number {
    return windowStartMs + this.#windows.sizeMs + this.#windows.graceMs;
  }
}
