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

  /** Runs `chore` every `intervalMs`. One that fails is reported, and done at its next turn. */
  every(intervalMs: number, chore: () => Promise<void>): void {
    if (this.#isStopped) return;
    const timer = this.#clock.setBackgroundTimer(intervalMs, () => {
      this.#timers.delete(timer);
      void this.#running.run(async () => {
        try {
          await chore();
        } catch (error) {
          this.#logger.error(error instanceof Error ? error.message : String(error));
        }
        this.every(intervalMs, chore);
      });
    });
    this.#timers.add(timer);
  }

  /** Resolves when no chore runs, and none will. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    await this.#running.idle();
  }
}
