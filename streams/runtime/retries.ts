import {
  LogError,
  type Clock,
  type Logger,
  type LogErrorCode,
  type RetryStatus,
} from '../../core/index.ts';
import { RetryPause } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import { fieldsOf } from './log-fields.ts';
import type { StreamsSettings } from './options.ts';
import { Restarts, type UncaughtErrors } from './uncaught-errors.ts';

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

export interface RetriesContext {
  readonly settings: Pick<StreamsSettings, 'applicationId' | 'clock' | 'logger'>;
  readonly uncaught: UncaughtErrors;
  /** True if there is to be no next try. */
  readonly mustStop: () => boolean;
  /** Called when a pause begins and when it ends. */
  readonly changed: () => void;
}

/** How often, and for how long, something is tried again that fails and may succeed later. */
export class Retries {
  readonly #context: RetriesContext;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #pause: RetryPause;
  readonly #restarts = new Restarts();
  /** Since the last success; undefined if that was the last try. */
  #failingSinceMs: number | undefined;
  /** From a failure on a full disk until the next success; a commit may pass before, or some. */
  #isFull = false;

  constructor(context: RetriesContext) {
    const { clock, logger } = context.settings;
    this.#context = context;
    this.#clock = clock;
    this.#logger = logger;
    this.#pause = new RetryPause(clock);
  }

  /** Undefined if nothing waits. */
  get status(): RetryStatus | undefined {
    return this.#pause.status;
  }

  /** Call it when an attempt runs. */
  running(): void {
    this.#restarts.running(this.#clock.monotonicMs());
  }

  /** The next failure is the first one again. */
  committed(): void {
    this.#failingSinceMs = undefined;
  }

  /** As `committed`; and on a disk that was full, everything could be written. */
  succeeded(): void {
    this.committed();
    if (!this.#isFull) return;
    this.#isFull = false;
    const { applicationId } = this.#context.settings;
    this.#logger.info(`application ${applicationId} goes on: the disk has room again`);
  }

  /**
   * Waits before the next try, until `end` at most.
   *
   * @throws the error if there is to be none: it cannot pass, or has lasted too long, and the
   *   application does not restart after such an error, or has done so too often.
   */
  async waitAfter(error: unknown): Promise<void> {
    if (isTransient(error)) {
      if (isDiskFull(error)) this.#noteFull(error);
      const nowMs = this.#clock.monotonicMs();
      this.#failingSinceMs ??= nowMs;
      // On a full disk other calls fail for other reasons; all of them succeed once there is room.
      if (this.#isFull || nowMs - this.#failingSinceMs <= RETRY_MS) {
        await this.wait(error as Error, RETRY_PAUSE_MS);
        return;
      }
    }
    await this.#restart(error);
  }

  /** Waits for so long, until `end` at most. */
  async wait(cause: Error, pauseMs: number): Promise<void> {
    const { mustStop, changed } = this.#context;
    if (mustStop()) return;
    const pause = this.#pause.wait(cause, pauseMs);
    changed();
    await pause;
    changed();
  }

  /** Ends the pause, if there is one. */
  end(): void {
    this.#pause.end();
  }

  /** Waits before a restart, if the application is to do so after such errors. */
  async #restart(thrown: unknown): Promise<void> {
    const { settings, uncaught, mustStop } = this.#context;
    if (mustStop() || !this.#restarts.hasRun) throw thrown;
    const error = thrown instanceof Error ? thrown : new TypeError(String(thrown));
    if (uncaught.decide(error) !== 'restart') throw thrown;
    const pauseMs = this.#restarts.nextPauseMs(this.#clock.monotonicMs());
    if (pauseMs === undefined) throw thrown;
    this.#failingSinceMs = undefined;
    this.#logger.error(
      `application ${settings.applicationId} restarts from its last commit in ${pauseMs} ms: ` +
        error.message,
      fieldsOf(error),
    );
    await this.wait(error, pauseMs);
  }

  /** Tells once that the disk is full. */
  #noteFull(error: LogError): void {
    if (this.#isFull) return;
    this.#isFull = true;
    const { applicationId } = this.#context.settings;
    this.#logger.error(
      `application ${applicationId} waits until the disk has room, and then goes on from its ` +
        `last commit: ${error.message}`,
      fieldsOf(error),
    );
  }
}

function isTransient(error: unknown): boolean {
  if (error instanceof StreamsError) return error.retriable;
  return error instanceof LogError && (error.retriable || RECOVERABLE.has(error.code));
}

function isDiskFull(error: unknown): error is LogError {
  return LogError.is(error, 'DISK_FULL') || LogError.is(error, 'MARKERS_WAIT_FOR_ROOM');
}
