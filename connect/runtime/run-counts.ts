/** What became of input that a run could not handle, and tolerated. */
export interface FailedRecords {
  /** Dropped, counted and logged. */
  readonly skipped: number;
  /** Written to the topic of dead letters. */
  readonly deadLettered: number;
}

/** What a run has counted up to some moment. */
interface Tally {
  /** Written by a source, or passed to a sink. */
  records: number;
  /** By transforms. */
  dropped: number;
  skipped: number;
  deadLettered: number;
}

/** The counts of a run, through all its attempts: what one did in vain, the next one does again. */
export class RunCounts {
  /** With what is not committed yet. */
  readonly now: Tally = { records: 0, dropped: 0, skipped: 0, deadLettered: 0 };
  readonly committed: Tally = { records: 0, dropped: 0, skipped: 0, deadLettered: 0 };
  /** Those that had something to commit. */
  commits = 0;
  /** Attempts after the first one. */
  retries = 0;
  /** Polls that brought something, or puts. */
  readonly batchTimes = new Stopwatch();
  readonly commitTimes = new Stopwatch();

  /** Records that the last commit has left to a later one. */
  #held = 0;

  get held(): number {
    return this.#held;
  }

  /** How much of the input waits for a commit: what one has left to a later one does not. */
  get waiting(): number {
    return sumOf(this.now) - sumOf(this.committed) - this.#held;
  }

  /** Called when everything up to now is committed. */
  commit(): void {
    this.commits++;
    this.settle(0);
  }

  /**
   * Called when everything up to now is committed but `held` records. False if nothing was
   * committed that was not before.
   */
  settle(held: number): boolean {
    const before = sumOf(this.committed);
    this.#held = held;
    Object.assign(this.committed, this.now);
    this.committed.records -= held;
    return sumOf(this.committed) > before;
  }

  /** Called before an attempt: what was not committed did not happen. */
  startOver(): void {
    this.#held = 0;
    Object.assign(this.now, this.committed);
  }

  /** Called when the records since the last commit are dropped on purpose. */
  dropRecords(): void {
    this.now.records = this.committed.records;
  }

  /** Failures, committed or not. */
  get failed(): FailedRecords {
    const { skipped, deadLettered } = this.now;
    return { skipped, deadLettered };
  }

  get committedFailed(): FailedRecords {
    const { skipped, deadLettered } = this.committed;
    return { skipped, deadLettered };
  }

  /** All of them, as metrics show them. */
  read() {
    const { now, committed, failed, retries } = this;
    return {
      ...{ records: now.records, committedRecords: committed.records },
      ...{ droppedRecords: now.dropped, failed, retries },
      ...{ batches: this.batchTimes.read(), commits: this.commitTimes.read() },
    };
  }
}

function sumOf({ records, dropped, skipped, deadLettered }: Tally): number {
  return records + dropped + skipped + deadLettered;
}

/** Adds up how long something takes each time. */
class Stopwatch {
  #count = 0;
  #totalMs = 0;
  #maxMs = 0;

  note(ms: number): void {
    this.#count++;
    this.#totalMs += ms;
    if (ms > this.#maxMs) this.#maxMs = ms;
  }

  read(): { readonly count: number; readonly totalMs: number; readonly maxMs: number } {
    return { count: this.#count, totalMs: this.#totalMs, maxMs: this.#maxMs };
  }
}
