import { LogError, type Timer } from '../../core/index.ts';
import { StreamsError } from '../errors.ts';
import type { OperatorContext } from '../topology/operator.ts';

/** What a function is given that may take its time. */
export interface AsyncCall {
  /**
   * Aborted when nobody waits for the result any more: after `timeoutMs`, when the application
   * stops, and when its tasks start over. Hand it on to what the function waits for.
   */
  readonly signal: AbortSignal;
  /** 1 for the first call, one more for each of its retries. */
  readonly attempt: number;
}

/** How long calls may take, and how often they are repeated. */
export interface CallOptions {
  readonly timeoutMs: number;
  readonly retries: number;
  /** The pause before the first retry; it doubles with each. */
  readonly backoffMs: number;
}

const BACKOFF_MS_MAX = 60_000;

/** Calls functions that may take their time, for one operator of one task. */
export class Calls {
  readonly #options: CallOptions;
  readonly #context: OperatorContext;
  /** The calls under way; a timer ends each that takes its time. */
  readonly #open = new Map<AbortController, Timer | undefined>();
  readonly #pauses = new Set<Timer>();
  #isClosed = false;

  constructor(options: CallOptions, context: OperatorContext) {
    this.#options = options;
    this.#context = context;
  }

  /** True once all calls were aborted; none may be made. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Calls under way; one that waits to be repeated is none. */
  get activeCount(): number {
    return this.#open.size;
  }

  /**
   * Calls a function until a call succeeds, and returns its result: no promise if the function
   * returned none. The promise rejects with the error of the last try, and never settles once this
   * is closed.
   */
  run<R>(make: (call: AsyncCall) => R | PromiseLike<R>, attempt = 1): R | Promise<R> {
    const controller = new AbortController();
    let made: R | PromiseLike<R>;
    this.#open.set(controller, undefined);
    try {
      made = make({ signal: controller.signal, attempt });
    } catch (error) {
      this.#open.delete(controller);
      return this.#again(make, attempt, error);
    }
    if (isThenable(made)) return this.#settled(make, attempt, { made, controller });
    this.#open.delete(controller);
    return made;
  }

  /** Aborts all calls. */
  close(): void {
    this.#isClosed = true;
    const reason = new LogError('ABORTED', 'the task has ended', { operation: 'call' });
    for (const [controller, timer] of this.#open) {
      timer?.cancel();
      controller.abort(reason);
    }
    for (const pause of this.#pauses) pause.cancel();
  }

  async #settled<R>(
    make: (call: AsyncCall) => R | PromiseLike<R>,
    attempt: number,
    call: { readonly made: PromiseLike<R>; readonly controller: AbortController },
  ): Promise<R> {
    let result: R;
    try {
      result = await this.#inTime(call.made, call.controller);
    } catch (error) {
      this.#open.delete(call.controller);
      return this.#again(make, attempt, error);
    }
    this.#open.delete(call.controller);
    return result;
  }

  /** The result of a call; rejects with CALL_TIMED_OUT if that does not come in time. */
  #inTime<R>(made: PromiseLike<R>, controller: AbortController): Promise<R> {
    const { timeoutMs } = this.#options;
    const { node } = this.#context;
    return new Promise((resolve, reject) => {
      const timer = this.#context.setTimer(timeoutMs, () => {
        const message = `a call of ${node} has not ended within timeoutMs=${timeoutMs}`;
        const error = new StreamsError('CALL_TIMED_OUT', message, { node, timeoutMs });
        reject(error);
        controller.abort(error);
      });
      this.#open.set(controller, timer);
      const settled = Promise.resolve(made).then(resolve, reject);
      void settled.then(() => timer.cancel());
    });
  }

  /** The result of a retry; rejects with the error if there was the last one. */
  async #again<R>(
    make: (call: AsyncCall) => R | PromiseLike<R>,
    attempt: number,
    error: unknown,
  ): Promise<R> {
    const { retries, backoffMs } = this.#options;
    if (this.#isClosed) return new Promise<never>(() => undefined); // nobody waits
    if (attempt > retries) throw error as Error;
    const pauseMs = Math.min(backoffMs * 2 ** (attempt - 1), Math.max(backoffMs, BACKOFF_MS_MAX));
    await this.#pause(pauseMs);
    return this.run(make, attempt + 1);
  }

  /** Does not resolve once this is closed. */
  #pause(pauseMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#context.setTimer(pauseMs, () => {
        this.#pauses.delete(timer);
        resolve();
      });
      this.#pauses.add(timer);
      this.#context.wake(); // who waits for calls only need not wait for this
    });
  }
}

export function isThenable<R>(made: R | PromiseLike<R>): made is PromiseLike<R> {
  if (typeof made !== 'object' || made === null) return false;
  return typeof (made as { readonly then?: unknown }).then === 'function';
}
