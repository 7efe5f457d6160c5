import type { Clock, Timer } from '../../clock.ts';

export interface SendScheduleOptions {
  readonly clock: Clock;
  readonly lingerMs: number;
  readonly retryBackoffMs: number;
  readonly retryBackoffMaxMs: number;
  /** Sends ready batches; never throws. */
  readonly send: () => void;
}

/**
 * Decides when a producer sends: at the end of this turn of the event loop, after the linger, or
 * when a backoff or a hold is over. One call of `send` is due at a time.
 */
export class SendSchedule {
  readonly #options: SendScheduleOptions;
  /** True from the request until `begin`. */
  #isDue = false;
  /** Runs while the due send waits for more to come. */
  #linger: Timer | undefined;
  /** Runs after a failure that may pass. */
  #backoff: Timer | undefined;
  /** Failures that may pass, one after the other, since something last succeeded. */
  #failureCount = 0;
  /** Set while a transaction ends: what is added meanwhile does not belong to it. */
  #isHeld = false;
  /** Set when a send was requested during a backoff or a hold. */
  #wasRequested = false;

  constructor(options: SendScheduleOptions) {
    this.#options = options;
  }

  /**
   * Makes sure that `send` is called: soon if `isUrgent`, else after the linger, so that what is
   * added until then goes along.
   */
  request(isUrgent: boolean): void {
    if (this.#isPaused) {
      this.#wasRequested = true;
      return;
    }
    if (this.#isDue && !(isUrgent && this.#linger !== undefined)) return;
    this.#isDue = true;
    this.#linger?.cancel();
    this.#linger = undefined;
    const { clock, lingerMs, send } = this.#options;
    if (isUrgent || lingerMs === 0) {
      queueMicrotask(send);
      return;
    }
    this.#linger = clock.setTimer(lingerMs, () => {
      this.#linger = undefined;
      send();
    });
  }

  /**
   * Begins the due send: what is added from here on needs another. Returns false if it must send
   * nothing because a backoff or a hold began meanwhile; the end of that sends.
   */
  begin(): boolean {
    this.#isDue = false;
    if (this.#isPaused) this.#wasRequested = true;
    return !this.#isPaused;
  }

  /** Sends nothing for a while: twice as long after each further failure. */
  backOff(): void {
    const { clock, retryBackoffMs, retryBackoffMaxMs } = this.#options;
    const delayMs = Math.min(retryBackoffMs * 2 ** this.#failureCount, retryBackoffMaxMs);
    this.#failureCount++;
    this.#backoff?.cancel();
    this.#wasRequested = true;
    this.#backoff = clock.setTimer(delayMs, () => {
      this.endBackoff();
    });
  }

  /** Something succeeded: the next backoff is short again. */
  noteSuccess(): void {
    this.#failureCount = 0;
  }

  endBackoff(): void {
    this.#backoff?.cancel();
    this.#backoff = undefined;
    this.#resume();
  }

  /** Sends nothing until `release`. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    this.#resume();
  }

  get #isPaused(): boolean {
    return this.#isHeld || this.#backoff !== undefined;
  }

  #resume(): void {
    if (this.#isPaused || !this.#wasRequested) return;
    this.#wasRequested = false;
    this.request(true);
  }
}
