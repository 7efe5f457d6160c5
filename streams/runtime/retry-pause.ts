import type { Clock } from '../../core/index.ts';

/** Why an application waits, and until when. */
export interface RetryStatus {
  readonly cause: Error;
  /** When it tries again, in milliseconds since 1970. */
  readonly nextMs: number;
}

/** The pause before an application tries again. */
export class RetryPause {
  readonly #clock: Clock;
  /** Set during the pause. */
  #current: { readonly status: RetryStatus; readonly end: () => void } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Undefined if it does not wait. */
  get status(): RetryStatus | undefined {
    return this.#current?.status;
  }

  /** Resolves when the pause is over, or `end` was called. */
  async wait(cause: Error, pauseMs: number): Promise<void> {
    const clock = this.#clock;
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(pauseMs, resolve);
      const end = (): void => {
        timer.cancel();
        resolve();
      };
      this.#current = { status: { cause, nextMs: clock.nowMs() + pauseMs }, end };
    });
    this.#current = undefined;
  }

  /** Ends the pause, if there is one. */
  end(): void {
    this.#current?.end();
  }
}
