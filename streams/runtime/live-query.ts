import { Observable, type Subscriber } from 'rxjs';
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
  const observable = new Observable<T>((subscriber: Subscriber<T>) => {
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
  return Object.assign(observable, { [Symbol.asyncIterator]: () => loopOver(begin) });
}

/** Gives one item for each turn of the loop: what comes in between is merged. */
async function* loopOver<T>(begin: Begin<T>): AsyncGenerator<T> {
  /** Set while the loop waits for the next item. */
  let wake: (() => void) | undefined;
  let item: { readonly value: T } | undefined;
  let ended: { readonly error: unknown } | undefined;
  const { watcher, stop } = begin(
    (pending) =>
      new Watcher(pending, {
        hand: (value) => {
          item = { value };
          wake?.();
        },
        end: (error) => {
          ended = { error };
          wake?.();
        },
      }),
  );
  watcher.isReady = () => item === undefined;
  try {
    for (;;) {
      watcher.flush();
      if (item === undefined && ended === undefined) {
        await new Promise<void>((resolve) => (wake = resolve));
        wake = undefined;
      }
      const next = item as { readonly value: T } | undefined; // set by a callback
      item = undefined;
      if (next !== undefined) yield next.value;
      else if (ended?.error !== undefined) throw ended.error as Error;
      else if (ended !== undefined) return;
    }
  } finally {
    watcher.close();
    stop();
  }
}
