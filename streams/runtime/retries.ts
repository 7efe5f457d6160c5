import { LogError, type Clock, type LogErrorCode } from '../../core/index.ts';
import { StreamsError } from '../errors.ts';
import { RetryPause, type RetryStatus } from './retry-pause.ts';

/**
 * Commit failures that restarting from the last commit repairs, besides the retriable ones. A
 * producer is fenced here only if the process was stopped until its transaction timed out: a second
 * application of this id cannot start.
 */
const RECOVERABLE: ReadonlySet<LogErrorCode> = new Set<LogErrorCode>([
  'DELIVERY_TIMEOUT',
  'INVALID_PRODUCER_EPOCH',
  'PRODUCER_FENCED',
]);

/** Kafka Streams' `task.timeout.ms`: how long transient failures are retried. */
const RETRY_MS = 300_000;
const RETRY_PAUSE_MS = 1_000;

/** How often, and for how long, something is tried again that fails and may succeed later. */
export class Retries {
  readonly #clock: Clock;
  readonly #pause: RetryPause;
  readonly #mustStop: () => boolean;
  readonly #changed: () => void;
  /** Since the last success; undefined if that was the last try. */
  #failingSinceMs: number | undefined;

  /**
   * @param mustStop is true if there is to be no next try.
   * @param changed is called when a pause begins and when it ends.
   */
  constructor(clock: Clock, mustStop: () => boolean, changed: () => void) {
    this.#clock = clock;
    this.#pause = new RetryPause(clock);
    this.#mustStop = mustStop;
    this.#changed = changed;
  }

  /** Undefined if nothing waits. */
  get status(): RetryStatus | undefined {
    return this.#pause.status;
  }

  /** The next failure is the first one again. */
  succeeded(): void {
    this.#failingSinceMs = undefined;
  }

  /**
   * Waits before the next try, until `end` at most. @throws the error if it cannot pass, or has
   * lasted too long.
   */
  async waitAfter(error: unknown): Promise<void> {
    if (!isTransient(error)) throw error;
    const nowMs = this.#clock.monotonicMs();
    this.#failingSinceMs ??= nowMs;
    if (nowMs - this.#failingSinceMs > RETRY_MS) throw error;
    await this.wait(error as Error, RETRY_PAUSE_MS);
  }

  /** Waits for so long, until `end` at most. */
  async wait(cause: Error, pauseMs: number): Promise<void> {
    if (this.#mustStop()) return;
    const pause = this.#pause.wait(cause, pauseMs);
    this.#changed();
    await pause;
    this.#changed();
  }

  /** Ends the pause, if there is one. */
  end(): void {
    this.#pause.end();
  }
}

function isTransient(error: unknown): boolean {
  if (error instanceof StreamsError) return error.retriable;
  return error instanceof LogError && (error.retriable || RECOVERABLE.has(error.code));
}
