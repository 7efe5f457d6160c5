import { createRequire } from 'node:module';
import type * as RxJs from 'rxjs';
import type { Observable, Subject } from 'rxjs';

const require = createRequire(import.meta.url);

/** RxJS, loaded with the first Observable: it takes as long to load as all the rest together. */
export function rxjs(): typeof RxJs {
  return require('rxjs') as typeof RxJs;
}

/** What a feed has told before somebody subscribes. */
type Memory = 'none' | 'newest';

/**
 * Tells values to whoever subscribes to its Observable. With the memory `newest` a subscription
 * begins with the newest value, also after the end.
 */
export class Feed<T> {
  readonly #memory: Memory;
  /** Made for the first that asks for the Observable. */
  #subject: Subject<T> | undefined;
  #newest: { readonly value: T } | undefined;
  #isComplete = false;

  constructor(memory: Memory = 'none') {
    this.#memory = memory;
  }

  get values$(): Observable<T> {
    return (this.#subject ??= this.#begin()).asObservable();
  }

  next(value: T): void {
    if (this.#subject !== undefined) this.#subject.next(value);
    else if (this.#memory === 'newest' && !this.#isComplete) this.#newest = { value };
  }

  complete(): void {
    this.#isComplete = true;
    this.#subject?.complete();
  }

  #begin(): Subject<T> {
    const subject: Subject<T> =
      this.#memory === 'none' ? new (rxjs().Subject)() : new (rxjs().ReplaySubject)(1);
    if (this.#newest !== undefined) subject.next(this.#newest.value);
    this.#newest = undefined;
    if (this.#isComplete) subject.complete();
    return subject;
  }
}
