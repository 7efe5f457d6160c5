/** Bounds commits to a quarter of the time of a quiet stream. */
const EARLY_COMMIT_FACTOR = 3;

/**
 * While records wait, commits take up to a third of the time: those of a thousand partitions take
 * longer than the interval, and would leave a moment for the records.
 */
const BUSY_COMMIT_FACTOR = 2;

/** The longest interval for that reason, unless a longer one was asked for. */
const BUSY_INTERVAL_MAX_MS = 1_000;

/** When the commits of a group are due: by the interval, or earlier when there is nothing to do. */
export class CommitPace {
  readonly #intervalMs: number;
  #lastMs: number;
  #tookMs = 0;
  /** How long a commit takes, leaving out one that took longer for once. */
  #usualMs = 0;

  /** @param nowMs monotonic time, as in all calls. */
  constructor(intervalMs: number, nowMs: number) {
    this.#intervalMs = intervalMs;
    this.#lastMs = nowMs;
  }

  /** When the last commit ended, or the start. */
  get lastMs(): number {
    return this.#lastMs;
  }

  /** Notes a commit that ended at `atMs`. */
  committed(atMs: number, tookMs: number): void {
    // A disk may stall for once. Three times that long, results would wait for no reason.
    this.#usualMs = Math.min(tookMs, this.#tookMs === 0 ? tookMs : this.#tookMs);
    this.#tookMs = tookMs;
    this.#lastMs = atMs;
  }

  /** When the next commit is due while there are records to process. */
  get dueMs(): number {
    const busyMs = Math.min(this.#usualMs * BUSY_COMMIT_FACTOR, BUSY_INTERVAL_MAX_MS);
    return this.#lastMs + Math.max(this.#intervalMs, busyMs);
  }

  /** When it is due if there is nothing else to do. */
  get earlyDueMs(): number {
    return this.#lastMs + Math.min(this.#intervalMs, this.#usualMs * EARLY_COMMIT_FACTOR);
  }
}
