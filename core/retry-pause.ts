import type { Clock } from './clock.ts';
import { Interruption } from './interruption.ts';

/** Why something that failed waits, and until when. */
export interface RetryStatus {
  readonly cause: Error;
  /** When it is tried again, in milliseconds since 1970. */
  readonly nextMs: number;
}

/** The pause before something is tried again. */
export class RetryPause {
  readonly #clock: Clock;
  readonly #interruption = new Interruption();
  #status: RetryStatus | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Undefined if it does not wait. */
  get status(): RetryStatus | undefined {
    return this.#status;
  }

  /** Resolves when the pause is over, or `end` was called. */
  async wait(cause: Error, pauseMs: number): Promise<void> {
    const clock = this.#clock;
    this.#status = { cause, nextMs: clock.nowMs() + pauseMs };
    await this.#interruption.waitUpTo(pauseMs, clock);
    this.#status = undefined;
  }

  /** Ends the pause, if there is one. */
  end(): void {
    this.#interruption.interrupt();
  }
}
