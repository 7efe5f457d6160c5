import type { Observable } from 'rxjs';
import type { Headers, Log, Topic } from '../../core/index.ts';
import {
  able,
  checkArgument,
  checkHandle,
  checkOptions,
  given,
  integer,
} from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';

/** A value of an Observable that becomes a record. */
export interface ObservableRecord<K, V> {
  readonly key: K | null;
  readonly value: V | null;
  /** Event time, in milliseconds since 1970. Default: when it was sent. */
  readonly timestampMs?: number;
  readonly headers?: Headers;
}

/** How the records of an Observable are written. */
export interface FromObservableOptions {
  /**
   * How many records may wait to be written, 1 or more: an Observable cannot be asked to wait, so
   * above that the writing ends with OBSERVABLE_OVERRUN. Default 100,000.
   */
  readonly maxQueued?: number;
  /** Ends the subscription; what came before is written. Default: nothing does. */
  readonly signal?: AbortSignal;
}

/** The writing of an Observable's records. */
export interface ObservableInput extends AsyncDisposable {
  /**
   * Resolves with the number of records when the Observable has completed, or `close` was called,
   * and all of them are on stable storage. Rejects with the Observable's error, once what came
   * before it is there, or with the error of a record that could not be written.
   */
  readonly done: Promise<number>;
  /** Unsubscribes; resolves as `done` does. Rejects with its error if nobody has read `done`. */
  close(): Promise<void>;
}

/** Each takes some hundred bytes, beside what it holds. */
const QUEUED_MAX = 100_000;

/**
 * Writes what an Observable emits to a topic, which a topology may read with `builder.stream`.
 *
 * It subscribes at once. A record is durable when the log has acknowledged it, which `done` tells
 * of all of them: what a crash finds unwritten is lost, as no Observable can be asked to repeat it.
 * A source that can be asked again, such as a file or a database, is a source connector.
 *
 * @example
 * const clicks$ = fromEvent(socket, 'click').pipe(map((click) => ({ key: click.user, value: 1 })));
 * await using input = fromObservable(log, clicks$, clicks);
 *
 * @throws LogError INVALID_OPTION, UNKNOWN_OPTION
 */
export function fromObservable<K, V>(
  log: Log,
  observable: Observable<ObservableRecord<K, V>>,
  topic: Topic<K, V>,
  options: FromObservableOptions = {},
): ObservableInput {
  checkArgument('fromObservable', 'log', log, able('an open log', 'producer'));
  checkArgument('fromObservable', 'observable', observable, able('an Observable', 'subscribe'));
  checkHandle('fromObservable', topic);
  checkOptions('fromObservable', options, CHECKS);
  const input = new Input(log, topic, options);
  input.subscribe(observable);
  return input;
}

const CHECKS = {
  maxQueued: integer(1),
  signal: (value: unknown) => (value instanceof AbortSignal ? undefined : 'an AbortSignal'),
};

class Input<K, V> implements ObservableInput {
  readonly #done: Promise<number>;
  /** Set once a caller got the promise or its rejection. */
  #isHeard = false;
  readonly #topic: Topic<K, V>;
  readonly #maxQueued: number;
  readonly #signal: AbortSignal | undefined;
  readonly #producer: ReturnType<Log['producer']>;
  #count = 0;
  #waiting = 0;
  /** The first error, of the Observable or of a record. */
  #failed: { readonly error: unknown } | undefined;
  #subscription: { unsubscribe(): void } | undefined;
  #hasEnded = false;
  #end: () => void = () => undefined;

  constructor(log: Log, topic: Topic<K, V>, { maxQueued, signal }: FromObservableOptions) {
    this.#topic = topic;
    this.#maxQueued = maxQueued ?? QUEUED_MAX;
    this.#signal = signal;
    this.#producer = log.producer();
    const ended = new Promise<void>((resolve) => {
      this.#end = resolve;
    });
    this.#done = this.#finish(ended);
    this.#done.catch(() => undefined); // `close` tells, too
  }

  get done(): Promise<number> {
    this.#isHeard = true;
    return this.#done;
  }

  subscribe(observable: Observable<ObservableRecord<K, V>>): void {
    this.#signal?.addEventListener('abort', this.#stop);
    if (this.#signal?.aborted === true) this.#stop();
    if (this.#hasEnded) return;
    const subscription = observable.subscribe({
      next: (record) => this.#send(record),
      error: (error: unknown) => this.#fail(error),
      complete: this.#stop,
    });
    this.#subscription = subscription;
    if (this.#isOver()) subscription.unsubscribe(); // it ended while it was subscribed to
  }

  async close(): Promise<void> {
    this.#stop();
    try {
      await this.#done;
    } catch (error) {
      if (this.#isHeard) return;
      this.#isHeard = true;
      throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #send(record: ObservableRecord<K, V>): void {
    if (this.#hasEnded) return;
    if (this.#waiting >= this.#maxQueued) {
      const [topic, maxQueued] = [this.#topic.name, this.#maxQueued];
      const message =
        `more than maxQueued=${maxQueued} records of an Observable wait to be written to ` +
        `${topic}: let it emit less, or queue more`;
      this.#fail(new StreamsError('OBSERVABLE_OVERRUN', message, { topic, maxQueued }));
      return;
    }
    this.#waiting++;
    this.#producer.send(this.#topic, given({ ...record }) as ObservableRecord<K, V>).then(
      () => {
        this.#waiting--;
        this.#count++;
      },
      (error: unknown) => {
        this.#waiting--;
        this.#fail(error);
      },
    );
  }

  #fail(error: unknown): void {
    this.#failed ??= { error };
    this.#stop();
  }

  readonly #stop = (): void => {
    this.#hasEnded = true;
    this.#subscription?.unsubscribe();
    this.#signal?.removeEventListener('abort', this.#stop);
    this.#end();
  };

  #isOver(): boolean {
    return this.#hasEnded;
  }

  async #finish(ended: Promise<void>): Promise<number> {
    await ended;
    await this.#producer.close(); // sends what waits
    if (this.#failed !== undefined) throw this.#failed.error as Error;
    return this.#count;
  }
}
