import { setImmediate } from 'node:timers';
import { oneOf, show, type OptionCheck } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';

/**
 * What becomes of an application when an error ends what it does: one that no record's handling
 * covers, and that trying again for some time has not mended.
 *
 * - `stop`: it commits what is sound, and ends with the error.
 * - `restart`: the tasks are closed and opened again from their last commit, after a pause that
 *   doubles from 1 s to 1 min, at most 10 times; the state is RETRYING meanwhile. The count starts
 *   over after five minutes without a failure. `stop` once it has run out, before the application
 *   first runs, and for an error of a global table.
 * - `exit`: as `stop`, and the process is to end with code 1: its listeners of SIGTERM are called,
 *   so that it can close everything else; without one it exits.
 */
export type UncaughtErrorAction = 'restart' | 'stop' | 'exit';

/** Decides about one error. Synchronous; an error that it throws ends the application. */
export type UncaughtErrorHandler = (error: Error) => UncaughtErrorAction;

const action = oneOf('restart', 'stop', 'exit');

/** Accepts what `onUncaughtError` may be. */
export const uncaughtHandling: OptionCheck = (value) =>
  typeof value === 'function' || action(value) === undefined
    ? undefined
    : `${action(undefined)}, or a function that returns one of them`;

const RESTARTS_MAX = 10;
const PAUSE_MS = 1_000;
const PAUSE_MS_MAX = 60_000;
/** How long something has to run for its next failure to count as the first one. */
const SOUND_MS = 300_000;

/**
 * What an application does about the errors that end its groups, or its global tables: Kafka
 * Streams' `StreamsUncaughtExceptionHandler` (KIP-671), where REPLACE_THREAD is `restart`,
 * SHUTDOWN_CLIENT `stop`, and SHUTDOWN_APPLICATION, in its one process, `exit`. There too the
 * reader of global tables is not replaced (KafkaStreams.java).
 */
export class UncaughtErrors {
  readonly #onUncaughtError: UncaughtErrorAction | UncaughtErrorHandler;
  #mustExit = false;

  constructor(settings: { readonly onUncaughtError: UncaughtErrorAction | UncaughtErrorHandler }) {
    this.#onUncaughtError = settings.onUncaughtError;
  }

  /** @throws StreamsError ERROR_HANDLER_FAILED */
  decide(error: Error): UncaughtErrorAction {
    const given = this.#onUncaughtError;
    const decided = typeof given === 'function' ? ask(given, error) : given;
    if (decided === 'exit') this.#mustExit = true;
    return decided;
  }

  /** Returns the error after which nothing restarts, or that of the function. */
  end(error: Error): Error {
    this.decide(error);
    return error;
  }

  /** Tells the process to exit, if that was decided; call it when the application has ended. */
  ended(): void {
    if (!this.#mustExit) return;
    process.exitCode = 1;
    // Whoever waits for the application learns of its error first.
    setImmediate(() => {
      if (!process.emit('SIGTERM', 'SIGTERM')) process.exit();
    });
  }
}

function ask(handler: UncaughtErrorHandler, error: Error): UncaughtErrorAction {
  let decided: unknown;
  try {
    decided = handler(error);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw handlerFailed(`threw: ${reason}`, error, cause);
  }
  const allowed = action(decided);
  if (allowed === undefined) return decided as UncaughtErrorAction;
  throw handlerFailed(`returned ${show(decided)}, and not ${allowed}`, error, error);
}

function handlerFailed(problem: string, { message }: Error, cause: unknown): StreamsError {
  const text = `onUncaughtError ${problem}; it was asked about: ${message}`;
  const details = { node: '', topic: '', partition: -1, offset: -1 };
  return new StreamsError('ERROR_HANDLER_FAILED', text, details, { cause });
}

/** Counts the restarts of one group. */
export class Restarts {
  #count = 0;
  #hasRun = false;
  /** While it runs: since when. */
  #runningSinceMs = Infinity;

  /** True if it has run before. */
  get hasRun(): boolean {
    return this.#hasRun;
  }

  /** Called when it runs. */
  running(nowMs: number): void {
    this.#hasRun = true;
    this.#runningSinceMs = nowMs;
  }

  /** Called when it has failed: how long to wait before the next one; undefined for no more. */
  nextPauseMs(nowMs: number): number | undefined {
    if (nowMs - this.#runningSinceMs >= SOUND_MS) this.#count = 0;
    this.#runningSinceMs = Infinity;
    if (this.#count >= RESTARTS_MAX) return undefined;
    return Math.min(PAUSE_MS * 2 ** this.#count++, PAUSE_MS_MAX);
  }
}
