/** Runs tasks one after the other, in the order in which they were handed in. */
export class Exclusive {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `task` when those before it have ended, well or not. */
  run<R>(task: () => Promise<R>): Promise<R> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Resolves when nothing runs or waits. */
  async idle(): Promise<void> {
    for (let last: unknown; last !== this.#last;) {
      last = this.#last;
      await last;
    }
  }
}
