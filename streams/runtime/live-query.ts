import type { Subscriber } from 'rxjs';
import { rxjs } from '../../core/internal.ts';
import type { LiveQuery } from '../topology/queryable.ts';

/** What a live query has not handed over yet: only the newest of each key, or all of it. */
export interface Pending<T> {
  readonly isEmpty: boolean;
  /** Empties it. */
  take(): Iterable<T>;
}

/** A subscriber of a live query, or a loop over it. */
export class Watcher<T> {
  readonly #pending: Pending<T>;
  readonly #hand: (item: T) => void;
  readonly #end: (error: unknown) => void;
  /** False while a loop works on what it got last: meanwhile it is left with the newest. */
  isReady: () => boolean = () => true;
  #isClosed = false;

  constructor(
    pending: Pending<T>,
    { hand, end }: { readonly hand: (item: T) => void; readonly end: (error: unknown) => void },
  ) {
    this.#pending = pending;
    this.#hand = hand;
    this.#end = end;
  }

  /** Hands over what is new. */
  flush(): void {
    if (this.#pending.isEmpty || !this.isReady()) return;
    for (const item of this.#pending.take()) {
      if (this.#isOpen()) this.#hand(item);
    }
  }

  /** From now on nothing is handed over. */
  close(): void {
    this.#isClosed = true;
  }

  /** The application has ended, with an error or without. */
  end(error: unknown): void {
    this.flush();
    if (this.#isOpen()) this.#end(error);
  }

  #isOpen(): boolean {
    return !this.#isClosed;
  }
}

/** Begins a live query: returns what ends it. */
export type Begin<T> = (watcher: (pending: Pending<T>) => Watcher<T>) => {
  readonly watcher: Watcher<T>;
  readonly stop: () => void;
};

/** Makes a live query of what begins one. */
export function liveQuery<T>(begin: Begin<T>): LiveQuery<T> {
  const observable = new (rxjs().Observable)<T>((subscriber: Subscriber<T>) => {
    const { watcher, stop } = begin(
      (pending) =>
        new Watcher(pending, {
          hand: (item) => subscriber.next(item),
          end: (error) => (error === undefined ? subscriber.complete() : subscriber.error(error)),
        }),
    );
    return () => {
      watcher.close();
      stop();
    };
  });
  return Object.assign(observable, { [Symbol.asyncIterator]: () => new LiveLoop(begin) });
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** A call of `next` that waits. */
interface WaitingCall<T> {
  readonly resolve: (result: IteratorResult<T, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Gives one item for each turn of a loop: what comes in between is merged. An async generator could
 * not do this: its `return` waits until the `await` that it stands at is over, here for the next
 * change, which may never come.
 */
class LiveLoop<T> implements AsyncIterableIterator<T, undefined> {
  readonly #begin: Begin<T>;
  /** Set by the first `next`. */
  #begun: ReturnType<Begin<T>> | undefined;
  /** Calls of `next`, oldest first. */
  readonly #waiting: WaitingCall<T>[] = [];
  /** Handed over together, and not yet asked for. */
  readonly #items: T[] = [];
  #ended: { readonly error: unknown } | undefined;
  #isClosed = false;

  constructor(begin: Begin<T>) {
    this.#begin = begin;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#isClosed) return Promise.resolve(DONE);
    const { watcher } = (this.#begun ??= this.#start());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      watcher.flush();
      this.#answer();
    });
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#close();
    return Promise.resolve(DONE);
  }

  #start(): ReturnType<Begin<T>> {
    const begun = this.#begin(
      (pending) =>
        new Watcher(pending, {
          hand: (item) => {
            this.#items.push(item);
            this.#answer();
          },
          end: (error) => {
            this.#ended ??= { error };
            this.#answer();
          },
        }),
    );
    begun.watcher.isReady = () => this.#waiting.length > 0 && this.#items.length === 0;
    return begun;
  }

  /** Gives the calls that wait what there is. */
  #answer(): void {
    while (this.#waiting.length > 0) {
      if (this.#items.length > 0) {
        this.#waiting.shift()!.resolve({ done: false, value: this.#items.shift()! });
        continue;
      }
      if (this.#ended === undefined) return;
      const { error } = this.#ended;
      if (error !== undefined) this.#waiting.shift()!.reject(error);
      this.#close();
    }
  }

  #close(): void {
    this.#isClosed = true;
    this.#begun?.watcher.close();
    this.#begun?.stop();
    this.#begun = undefined;
    for (const { resolve } of this.#waiting.splice(0)) resolve(DONE);
  }
}
