import type { Clock, Timer } from '../core/index.ts';

/** Stops a job, for its user or after the first failure of one of its parts. */
export class Stop {
  readonly #controller = new AbortController();
  #failure: { readonly cause: unknown } | undefined;
  #isRequested = false;

  /** Aborts when the job must stop. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** True if the user stopped the job before any part failed. */
  get isRequested(): boolean {
    return this.#isRequested;
  }

  /** The first failure of a part. */
  get failure(): { readonly cause: unknown } | undefined {
    return this.#failure;
  }

  /** Stops the job for its user. */
  request(): void {
    if (!this.signal.aborted) this.#isRequested = true;
    this.#controller.abort();
  }

  /** Stops the job because a part of it failed. */
  fail(cause: unknown): void {
    this.#failure ??= { cause };
    this.#controller.abort();
  }
}

/** When to stop waiting, and what to throw then. */
export interface Deadline {
  /** The time starts when this aborts. */
  readonly stopping: AbortSignal;
  /** `Infinity` for no deadline. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Makes the error to throw at the deadline. */
  readonly overdue: () => unknown;
}

/**
 * Settles as `work` does, but no later than the deadline. Late work continues in the background,
 * and its result is ignored.
 */
export function withinDeadline<T>(work: Promise<T>, deadline: Deadline): Promise<T> {
  const { stopping, timeoutMs, clock, overdue } = deadline;
  return new Promise((resolve, reject) => {
    let timer: Timer | undefined;
    const startTimer = (): void => {
      if (timeoutMs === Infinity) return;
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- any failure
      timer = clock.setTimer(timeoutMs, () => reject(overdue()));
    };
    if (stopping.aborted) startTimer();
    else stopping.addEventListener('abort', startTimer, { once: true });
    const settle = (): void => {
      timer?.cancel();
      stopping.removeEventListener('abort', startTimer);
    };
    work.finally(settle).then(resolve, reject);
  });
}
