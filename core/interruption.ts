import type { Clock, Timer } from './clock.ts';

/**
 * Wakes those who wait for something to change: whoever waits looks again for what it wants, and
 * waits again if it is not there.
 *
 * Use it instead of `Promise.race` with a promise that outlives the race. Such a promise keeps a
 * reaction for every race it ever took part in, so each wait would leak memory. Here a waiter is
 * forgotten as soon as its wait ends, whatever ended it.
 */
export class Interruption {
  readonly #waiters = new Set<() => void>();

  /** How many wait now. */
  get waiterCount(): number {
    return this.#waiters.size;
  }

  /** Ends every wait that is under way. Waits that begin later are not affected. */
  interrupt(): void {
    for (const wake of [...this.#waiters]) wake();
  }

  /** Resolves at the next `interrupt`. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiters.delete(wake);
        resolve();
      };
      this.#waiters.add(wake);
    });
  }

  /** As `wait`, but for `maxWaitMs` at most, by `clock`. */
  waitUpTo(maxWaitMs: number, clock: Clock): Promise<void> {
    if (maxWaitMs === Infinity) return this.wait();
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel();
        this.#waiters.delete(wake);
        resolve();
      };
      const timer: Timer = clock.setTimer(maxWaitMs, wake);
      this.#waiters.add(wake);
    });
  }
}
