/**
 * Kafka's `metrics.sample.window.ms` and `metrics.num.samples`: rates, averages and extremes are
 * those of this window and the one before it.
 */
const WINDOW_MS = 30_000;

/** What a meter shows. Values are undefined if there were none in the last minute. */
export interface MeterReading {
  /** How many values there were since the start. */
  readonly total: number;
  /** Their sum since the start. */
  readonly sum: number;
  /** How many a second, over the last 30 to 60 seconds. */
  readonly rate: number;
  /** The sum a second over the same time. Of durations: the part of the time, from 0 to 1. */
  readonly ratio: number;
  /** The mean of that time. */
  readonly avg: number | undefined;
  /** The smallest of that time. */
  readonly min: number | undefined;
  /** The largest of that time. */
  readonly max: number | undefined;
}

/** Where a window began, and its extremes. */
interface Window {
  startMs: number;
  total: number;
  sum: number;
  min: number;
  max: number;
}

/**
 * Counts, sums and extremes of a series of values, such as durations. Values carry no time: whoever
 * notes them calls `advance` before, once for a batch of them.
 */
export class Meter {
  #total = 0;
  #sum = 0;
  /** Replaced when a window has passed. */
  #window: Window;
  #before: Window;

  /** @param nowMs monotonic time, as in all calls. */
  constructor(nowMs: number) {
    this.#window = { startMs: nowMs, total: 0, sum: 0, min: Infinity, max: -Infinity };
    this.#before = this.#window;
  }

  get total(): number {
    return this.#total;
  }

  /** Begins the next window when one has passed. */
  advance(nowMs: number): void {
    const sinceMs = nowMs - this.#window.startMs;
    if (sinceMs < WINDOW_MS) return;
    const [total, sum] = [this.#total, this.#sum];
    const next = { startMs: nowMs, total, sum, min: Infinity, max: -Infinity };
    // After a long silence what is in the window is too old to count.
    const isOld = sinceMs >= 2 * WINDOW_MS;
    this.#before = isOld ? { ...next, startMs: nowMs - WINDOW_MS } : this.#window;
    this.#window = next;
  }

  note(value: number): void {
    this.#total++;
    this.#sum += value;
    const window = this.#window;
    if (value < window.min) window.min = value;
    if (value > window.max) window.max = value;
  }

  /** Notes `count` values of which only the sum is known: each counts as their mean. */
  noteMany(count: number, sum: number): void {
    if (count === 0) return;
    this.note(sum / count);
    this.#total += count - 1;
    this.#sum += sum - sum / count;
  }

  read(nowMs: number): MeterReading {
    this.advance(nowMs);
    const [window, before] = [this.#window, this.#before];
    const total = this.#total - before.total;
    const sum = this.#sum - before.sum;
    const seconds = (nowMs - before.startMs) / 1000;
    return {
      total: this.#total,
      sum: this.#sum,
      rate: seconds > 0 ? total / seconds : 0,
      ratio: seconds > 0 ? sum / 1000 / seconds : 0,
      avg: total > 0 ? sum / total : undefined,
      min: total > 0 ? Math.min(window.min, before.min) : undefined,
      max: total > 0 ? Math.max(window.max, before.max) : undefined,
    };
  }
}
