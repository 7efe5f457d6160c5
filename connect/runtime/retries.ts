import { AssertionFailure, LogError, type LogErrorCode } from '../../core/index.ts';
import { checkOptions, given, integer, type OptionChecks } from '../../core/internal.ts';
import { ConnectError, type ConnectErrorCode } from '../errors.ts';

/**
 * How often a run that fails begins again from its last commit. Kafka Connect leaves a failed task
 * to whoever looks after it.
 */
export interface RetryOptions {
  /**
   * How often in a row, without a commit in between; default 10. On a full disk the run waits as
   * long as it takes.
   */
  readonly max?: number;
  /** How long to wait before the first try; it doubles with each. Default 1 s. */
  readonly backoffMs?: number;
  /** The longest wait; default 1 min. */
  readonly backoffMaxMs?: number;
}

/** The defaults of `RetryOptions`: those of an application of streams that restarts. */
export const RETRY_DEFAULTS = {
  max: 10,
  backoffMs: 1_000,
  backoffMaxMs: 60_000,
} as const satisfies RetryOptions;

const CHECKS: OptionChecks<RetryOptions> = {
  max: (value) => (value === Infinity ? undefined : integer(0)(value)),
  backoffMs: integer(0),
  backoffMaxMs: integer(0),
};

/** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
export function checkRetries(what: string, options: RetryOptions | undefined): void {
  if (options !== undefined) checkOptions(`${what}.retries`, options, CHECKS);
}

/** Codes of the log that may pass, besides the retriable ones. A newer run has fenced the rest. */
const LOG_CODES: ReadonlySet<LogErrorCode> = new Set<LogErrorCode>([
  'DELIVERY_TIMEOUT',
  'UNKNOWN_SERVER_ERROR',
]);

/** Codes of connectors that may pass: another program or person is at work there. */
const CODES: ReadonlySet<ConnectErrorCode> = new Set<ConnectErrorCode>([
  'ACCESS_DENIED',
  'CONNECTOR_FAILED',
  'DISK_FULL',
  'FILE_NOT_FOUND',
  'NO_FILE_MATCHES',
  'OUTPUT_LOCKED',
  'STORAGE_FAILED',
]);

/** True of a failure after which the same may succeed: not of bad input, options or output. */
export function canPass(error: unknown): boolean {
  if (error instanceof AssertionFailure) return false;
  if (error instanceof ConnectError) return error.retriable || CODES.has(error.code);
  return error instanceof LogError && (error.retriable || LOG_CODES.has(error.code));
}

/** True while the disk has no room, which passes when somebody makes some. */
export function isDiskFull(error: unknown): boolean {
  if (ConnectError.is(error, 'DISK_FULL')) return true;
  return LogError.is(error, 'DISK_FULL') || LogError.is(error, 'MARKERS_WAIT_FOR_ROOM');
}

/** Counts the failures of a run, and says how long to wait after each. */
export class Backoff {
  readonly #options: Required<RetryOptions>;
  #count = 0;
  /** From a failure on a full disk until the next commit: other calls fail for other reasons. */
  #isFull = false;

  constructor(options: RetryOptions) {
    this.#options = { ...RETRY_DEFAULTS, ...given(options) };
  }

  /** Call it after an attempt that has committed something: the next failure is the first one. */
  succeeded(): void {
    this.#count = 0;
    this.#isFull = false;
  }

  /** How long to wait before the next try; undefined if there is to be none. */
  nextPauseMs(error: unknown): number | undefined {
    if (!canPass(error)) return undefined;
    const { max, backoffMs, backoffMaxMs } = this.#options;
    if (isDiskFull(error)) this.#isFull = true;
    if (this.#isFull) return Math.min(backoffMs, backoffMaxMs);
    if (this.#count >= max) return undefined;
    return Math.min(backoffMs * 2 ** this.#count++, Math.max(backoffMs, backoffMaxMs));
  }
}
