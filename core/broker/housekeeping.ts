import type { Clock, Timer } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { Underway } from '../underway.ts';

/** Chores that run in the background, again and again, one call of each at a time. */
export class Housekeeping {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #timers = new Set<Timer>();
  readonly #running = new Underway();
  #isStopped = false;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /**
   * Runs `chore` every `intervalMs`. One that fails is reported, and done at its next turn. Returns
   * how to have the next turn at once, or, while the chore runs, right behind it.
   */
  every(intervalMs: number, chore: () => Promise<void>): () => void {
    let timer: Timer | undefined;
    let isRunning = false;
    let isHurried = false;
    const wait = (): void => {
      if (this.#isStopped) return;
      timer = this.#clock.setBackgroundTimer(intervalMs, turn);
      this.#timers.add(timer);
    };
    const turn = (): void => {
      if (timer !== undefined) this.#timers.delete(timer);
      isRunning = true;
      isHurried = false;
      void this.#running.run(async () => {
        try {
          await chore();
        } catch (error) {
          this.#logger.error(error instanceof Error ? error.message : String(error));
        }
        isRunning = false;
        if (isHurried && !this.#isStopped) turn();
        else wait();
      });
    };
    wait();
    return () => {
      isHurried = true;
      if (isRunning || this.#isStopped) return;
      timer?.cancel();
      turn();
    };
  }

  /** Resolves when no chore runs, and none will. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    await this.#running.idle();
  }
}
