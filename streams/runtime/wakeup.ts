import { LogError, type Clock } from '../../core/index.ts';
import { Interruption } from '../../core/internal.ts';

/** Ends a runner's wait for input when there is something else to do. */
export class Wakeup {
  #isDue = false;
  /** Of the wait under way. */
  #wait: AbortController | undefined;
  readonly #interruption = new Interruption();

  /** Ends the wait under way, or else the next one. */
  wake(): void {
    this.#isDue = true;
    this.#wait?.abort();
    this.#interruption.interrupt();
  }

  /** True if there is something to do: do not wait. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /**
   * What `wait` returns, whose wait ends with ABORTED by its signal; undefined if it was woken, or
   * after `maxWaitMs` by this clock: an application may have another one than its log.
   */
  async during<T>(
    maxWaitMs: number,
    clock: Clock,
    wait: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | undefined> {
    const controller = new AbortController();
    this.#wait = controller;
    const timer = clock.setTimer(maxWaitMs, () => controller.abort());
    try {
      return await wait(controller.signal);
    } catch (error) {
      if (controller.signal.aborted && LogError.is(error, 'ABORTED')) return undefined;
      throw error;
    } finally {
      timer.cancel();
      this.#wait = undefined;
    }
  }

  /** Resolves after `maxWaitMs`, or when it is woken. */
  async pause(maxWaitMs: number, clock: Clock): Promise<void> {
    if (!this.#isDue) await this.#interruption.waitUpTo(maxWaitMs, clock);
  }

  /** From here on it waits again: what it was woken for is looked at now. */
  reset(): void {
    this.#isDue = false;
  }
}
