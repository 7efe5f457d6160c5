import type { Observable } from 'rxjs';
import { assert, Feed } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';

/**
 * What an application does [RT-LIFE-1]:
 *
 * - `CREATED`: nothing yet.
 * - `RESTORING`: state is read back, and tasks begin, or begin again.
 * - `RUNNING`: it reads and processes.
 * - `PAUSED`: everything that was processed is committed, and nothing else is read; queries answer.
 * - `RETRYING`: it waits after a failure that may pass: `app.retry` tells which, and until when.
 * - `PENDING_SHUTDOWN`: it ends.
 * - `NOT_RUNNING`: it has ended.
 * - `ERROR`: an error has ended it, which `done` and others tell.
 */
export type StreamsState =
  | 'CREATED'
  | 'RESTORING'
  | 'RUNNING'
  | 'PAUSED'
  | 'RETRYING'
  | 'PENDING_SHUTDOWN'
  | 'NOT_RUNNING'
  | 'ERROR';

/** What may follow each state. docs/SPEC.md draws it. */
export const TRANSITIONS: Readonly<Record<StreamsState, readonly StreamsState[]>> = {
  CREATED: ['RESTORING', 'NOT_RUNNING', 'ERROR'],
  RESTORING: ['RUNNING', 'PAUSED', 'RETRYING', 'PENDING_SHUTDOWN', 'NOT_RUNNING', 'ERROR'],
  RUNNING: ['PAUSED', 'RESTORING', 'RETRYING', 'PENDING_SHUTDOWN', 'NOT_RUNNING', 'ERROR'],
  PAUSED: ['RUNNING', 'RESTORING', 'RETRYING', 'PENDING_SHUTDOWN', 'ERROR'],
  RETRYING: ['RESTORING', 'RUNNING', 'PAUSED', 'PENDING_SHUTDOWN', 'NOT_RUNNING', 'ERROR'],
  PENDING_SHUTDOWN: ['NOT_RUNNING', 'ERROR'],
  NOT_RUNNING: [],
  ERROR: [],
};

/** The states of an application, one after the other, and who waits for them. */
export class AppLife {
  #state: StreamsState = 'CREATED';
  /** Shows the newest state even to subscribers that come after the end. */
  readonly #states = new Feed<StreamsState>('newest');
  readonly #ready: Promise<void>;
  /** Settles `ready`; only the first call counts. */
  #settleReady: (error?: Error) => void = () => undefined;
  /** Called at each change, until they return true. */
  #waiting: (() => boolean)[] = [];

  constructor() {
    this.#ready = new Promise((resolve, reject) => {
      this.#settleReady = (error) => {
        if (error === undefined) resolve();
        else reject(error);
      };
    });
    this.#ready.catch(() => undefined); // whoever wants to know asks for it
    this.#states.next(this.#state);
  }

  get state(): StreamsState {
    return this.#state;
  }

  /** The current state, then each change; completes at the end. */
  get state$(): Observable<StreamsState> {
    return this.#states.values$;
  }

  /** Resolves when the application first runs; rejects with what ended it before. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  get hasEnded(): boolean {
    return TRANSITIONS[this.#state].length === 0;
  }

  /** @param error what has ended the application, for ERROR. */
  enter(state: StreamsState, error?: unknown): void {
    const before = this.#state;
    assert(TRANSITIONS[before].includes(state), `an application goes from ${before} to ${state}`);
    this.#state = state;
    this.#states.next(state);
    if (state === 'RUNNING' || state === 'PAUSED') this.#settleReady();
    else if (this.hasEnded) {
      this.#settleReady((error as Error | undefined) ?? this.wrongState('ready', 'it was closed'));
      this.#states.complete();
    }
    this.changed();
  }

  /** Looks again what can be told to those who wait. */
  changed(): void {
    this.#waiting = this.#waiting.filter((isOver) => !isOver());
  }

  /** Resolves when `isTrue`, which is asked now and at each change, or at the end. */
  until(isTrue: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(() => {
        const isOver = this.hasEnded || isTrue();
        if (isOver) resolve();
        return isOver;
      });
      this.changed();
    });
  }

  wrongState(operation: string, hint: string): StreamsError {
    const state = this.#state;
    const message = `${operation}: the application is ${state}; ${hint}`;
    return new StreamsError('INVALID_STATE', message, { operation, state });
  }
}
