import { ConnectError } from '../errors.ts';

/** The life of a runner: it runs once, until it ends, fails or is told to stop. */
export class RunOnce<Summary> {
  readonly #name: string;
  readonly #signal: AbortSignal | undefined;
  readonly #stopping = new AbortController();
  #running: Promise<Summary> | undefined;

  /** @param signal stops the run, as `stop` does. */
  constructor(name: string, signal: AbortSignal | undefined) {
    this.#name = name;
    this.#signal = signal;
  }

  /** Aborts when the run must end. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** The run; undefined before it starts. */
  get running(): Promise<Summary> | undefined {
    return this.#running;
  }

  /**
   * Starts the run.
   *
   * @throws ConnectError INVALID_STATE if it was started or stopped before, and what `work` throws.
   */
  run(work: () => Promise<Summary>): Promise<Summary> {
    if (this.#running !== undefined || this.#stopping.signal.aborted) {
      const state = this.#running === undefined ? 'stopped' : 'started';
      const details = { operation: 'run', state };
      const message = `the runner of ${this.#name} was ${state} before: make another one`;
      return Promise.reject(new ConnectError('INVALID_STATE', message, details));
    }
    this.#running = this.#untilStopped(work);
    return this.#running;
  }

  /** Ends the run. Resolves when it has ended; never rejects, because `run` does. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running?.catch(() => undefined);
  }

  async #untilStopped(work: () => Promise<Summary>): Promise<Summary> {
    const stop = (): void => this.#stopping.abort();
    this.#signal?.addEventListener('abort', stop);
    if (this.#signal?.aborted === true) stop();
    try {
      return await work();
    } finally {
      this.#signal?.removeEventListener('abort', stop);
    }
  }
}
