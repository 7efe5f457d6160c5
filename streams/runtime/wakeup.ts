import { LogError } from '../../core/index.ts';

/** Ends a runner's wait for input when there is something else to do. */
export class Wakeup {
  #isDue = false;
  /** Of the wait under way. */
  #wait: AbortController | undefined;

  /** Ends the wait under way, or else the next one. */
  wake(): void {
    this.#isDue = true;
    this.#wait?.abort();
  }

  /** True if there is something to do: do not wait. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** What `wait` returns, whose wait ends with ABORTED by its signal; undefined if it was woken. */
  async during<T>(wait: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
    const controller = new AbortController();
    this.#wait = controller;
    try {
      return await wait(controller.signal);
    } catch (error) {
      if (controller.signal.aborted && LogError.is(error, 'ABORTED')) return undefined;
      throw error;
    } finally {
      this.#wait = undefined;
    }
  }

  /** From here on it waits again: what it was woken for is looked at now. */
  reset(): void {
    this.#isDue = false;
  }
}
