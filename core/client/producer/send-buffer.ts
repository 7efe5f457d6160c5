/** Counts the unanswered batches and sends that began between two flushes. */
interface Epoch {
  count: number;
}

/** Something a flush waits for: a batch from its first record on, or a `send` that waits. */
export interface Unanswered {
  /** Set by `begin`. */
  epoch: Epoch | undefined;
}

/**
 * After so much a loop yields a turn of the event loop, which costs microseconds: the disk writes
 * while the loop goes on, instead of waiting until the whole buffer is full.
 */
const TURN_BYTES = 512 * 1024;

/**
 * Tracks what a producer was given and has no answer for yet: how much memory it takes, and the
 * waiters for that to change. A flush waits for what began before it, not for what is added later:
 * hence the epochs.
 */
export class SendBuffer {
  readonly limitBytes: number;
  #usedBytes = 0;
  /** Taken since the last turn that was given. */
  #turnBytes = 0;
  /** Takes what begins now; each flush begins another. */
  #current: Epoch = { count: 0 };
  /** Those before, as long as something in them is not answered. */
  #older: Epoch[] = [];
  #waiters: (() => void)[] = [];

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get isFull(): boolean {
    return this.#usedBytes >= this.limitBytes;
  }

  /** True while anything is not answered. */
  get hasPending(): boolean {
    return this.#current.count > 0 || this.#older.some(({ count }) => count > 0);
  }

  /** Takes memory, or gives it back with a negative number. */
  take(sizeBytes: number): void {
    this.#usedBytes += sizeBytes;
    if (sizeBytes > 0) this.#turnBytes += sizeBytes;
  }

  /** True when a loop that takes memory without waiting must call `giveTurn`. */
  get wantsTurn(): boolean {
    return this.#turnBytes >= TURN_BYTES;
  }

  /** Resolves in the next turn of the event loop. */
  async giveTurn(): Promise<void> {
    this.#turnBytes = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }

  begin(work: Unanswered): void {
    work.epoch = this.#current;
    this.#current.count++;
  }

  /** A batch was split: two answers are pending instead of one. */
  split({ epoch }: Unanswered): void {
    if (epoch !== undefined) epoch.count++;
  }

  /** It was answered or thrown away. */
  end({ epoch }: Unanswered): void {
    if (epoch !== undefined) epoch.count--;
  }

  /** Resolves when everything that has begun has ended; calls `hurry` until then. */
  async flush(hurry: () => void): Promise<void> {
    this.#older = [...this.#older, this.#current].filter(({ count }) => count > 0);
    this.#current = { count: 0 };
    const epochs = this.#older;
    while (epochs.some(({ count }) => count > 0)) {
      hurry();
      await this.change();
    }
  }

  /** Resolves when something was answered or thrown away. */
  change(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
    });
  }

  /** Wakes everyone who waits for a change. */
  changed(): void {
    const waiters = this.#waiters;
    if (waiters.length === 0) return;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }
}
