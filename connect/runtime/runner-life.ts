import type { Clock, Logger, RetryStatus } from '../../core/index.ts';
import { errorFields, RetryPause } from '../../core/internal.ts';
import { ConnectError } from '../errors.ts';
import { PauseSwitch } from './pause-switch.ts';
import { Backoff, isDiskFull, type RetryOptions } from './retries.ts';

/**
 * What a runner does.
 *
 * - READY: it was not started.
 * - PAUSED: everything is open, and nothing is moved.
 * - RETRYING: it has failed, and waits before it begins again from its last commit; see `retry`.
 * - ENDED: the input has ended, or it was told to finish.
 * - STOPPED: it was told to stop.
 * - FAILED: `run` has the error.
 */
export type RunnerState =
  'READY' | 'RUNNING' | 'PAUSED' | 'RETRYING' | 'ENDED' | 'STOPPED' | 'FAILED';

/** What all runners take. */
export interface LifeOptions {
  /** Of the connector. */
  readonly name: string;
  readonly retries: RetryOptions | undefined;
  readonly signal: AbortSignal | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when the state changes. */
  readonly onState: () => void;
}

/** How an attempt ended: all input was moved, or it was told to stop. */
export interface Attempt<Summary> {
  readonly isComplete: boolean;
  readonly summary: Summary;
}

/** How the attempts of a runner go. */
interface Attempts<Summary> {
  /** Runs from the last commit on. */
  readonly attempt: () => Promise<Attempt<Summary>>;
  /** True if the last attempt has committed anything. */
  readonly hasCommitted: () => boolean;
  /** True if the last attempt learned what keeps the next one from failing in the same way. */
  readonly hasLearned: () => boolean;
  /** Called once, behind the last attempt. */
  readonly onEnd: () => void;
}

/** The life of a runner: it runs once, in one or more attempts, until it ends, fails or stops. */
export class RunnerLife<Summary> {
  readonly pausing = new PauseSwitch();
  readonly #options: LifeOptions;
  readonly #stopping = new AbortController();
  readonly #pause: RetryPause;
  readonly #backoff: Backoff | undefined;
  #state: RunnerState = 'READY';
  #running: Promise<Summary> | undefined;

  constructor(options: LifeOptions) {
    const { retries, clock } = options;
    this.#options = options;
    this.#pause = new RetryPause(clock);
    this.#backoff = retries === undefined ? undefined : new Backoff(retries);
  }

  /** Aborts when the run must end. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** The run; undefined before it starts. */
  get running(): Promise<Summary> | undefined {
    return this.#running;
  }

  get state(): RunnerState {
    return this.#state === 'RUNNING' && this.pausing.isOn ? 'PAUSED' : this.#state;
  }

  /** In the state RETRYING: why, and when it tries again. */
  get retry(): RetryStatus | undefined {
    return this.#pause.status;
  }

  /**
   * Starts the run.
   *
   * @throws ConnectError INVALID_STATE if it was started or stopped before, and what the last
   *   attempt throws.
   */
  run(attempts: Attempts<Summary>): Promise<Summary> {
    if (this.#running !== undefined || this.#stopping.signal.aborted) {
      const { name } = this.#options;
      const state = this.#running === undefined ? 'stopped' : 'started';
      const details = { operation: 'run', state };
      const message = `the runner of ${name} was ${state} before: make another one`;
      return Promise.reject(new ConnectError('INVALID_STATE', message, details));
    }
    this.#running = this.#untilStopped(attempts);
    return this.#running;
  }

  /** Moves nothing until `resume`; what was read is committed. */
  pause(): void {
    this.pausing.set(true);
    this.#options.onState();
  }

  /** Goes on after `pause`. */
  resume(): void {
    this.pausing.set(false);
    this.#options.onState();
  }

  /** Ends the run. Resolves when it has ended; never rejects, because `run` does. */
  async stop(): Promise<void> {
    this.#requestStop();
    await this.#running?.catch(() => undefined);
  }

  #requestStop(): void {
    this.#stopping.abort();
    this.pausing.wake();
    this.#pause.end();
  }

  async #untilStopped(attempts: Attempts<Summary>): Promise<Summary> {
    const { signal } = this.#options;
    const stop = (): void => this.#requestStop();
    signal?.addEventListener('abort', stop);
    if (signal?.aborted === true) stop();
    try {
      const { isComplete, summary } = await this.#untilEnd(attempts);
      this.#enter(isComplete ? 'ENDED' : 'STOPPED');
      return summary;
    } catch (error) {
      this.#enter('FAILED');
      throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
      attempts.onEnd();
    }
  }

  /** Makes attempts until one ends, or fails for good. */
  async #untilEnd(attempts: Attempts<Summary>): Promise<Attempt<Summary>> {
    for (;;) {
      this.#enter('RUNNING');
      try {
        return await attempts.attempt();
      } catch (error) {
        if (attempts.hasCommitted()) this.#backoff?.succeeded();
        if (attempts.hasLearned() && !this.#stopping.signal.aborted) continue;
        await this.#waitAfter(error);
      }
    }
  }

  /** Waits before the next attempt. @throws the error if there is to be none. */
  async #waitAfter(error: unknown): Promise<void> {
    const pauseMs = this.#backoff?.nextPauseMs(error);
    if (pauseMs === undefined || this.#isStopping()) throw error;
    const { name, logger } = this.#options;
    const cause = error instanceof Error ? error : new TypeError(String(error));
    const { code } = errorFields(cause);
    const until = isDiskFull(error) ? 'when the disk has room' : `in ${pauseMs} ms`;
    const message = `connector ${name} goes on from its last commit ${until}: ${cause.message}`;
    logger.warn(message, { ...(code !== undefined && { code }) });
    const waiting = this.#pause.wait(cause, pauseMs);
    this.#enter('RETRYING');
    await waiting;
    if (this.#isStopping()) throw error;
  }

  #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  #enter(state: RunnerState): void {
    this.#state = state;
    this.#options.onState();
  }
}
