/** Counts tasks under way, so that a caller can wait until none is left. */
export class Underway {
  #count = 0;
  #waiters: (() => void)[] = [];

  /** Runs `task` and counts it until its promise settles. */
  async run<R>(task: () => Promise<R>): Promise<R> {
    this.begin();
    try {
      return await task();
    } finally {
      this.end();
    }
  }

  /** Counts a task until `end`. */
  begin(): void {
    this.#count++;
  }

  end(): void {
    this.#count--;
    if (this.#count === 0) this.#wake();
  }

  /** Resolves when no task is under way. */
  async idle(): Promise<void> {
    while (this.#count > 0) {
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve);
      });
    }
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }
}
