import { assert } from '../assert.ts';
import { errnoOf } from './node-fs.ts';

/** A holder of a descriptor that may have to give it up. */
export interface Resident {
  /** True if giving it up requires a sync. */
  readonly isDirty: boolean;
  /** Gives it up. Never rejects. */
  giveUp(): Promise<void>;
}

/**
 * A limited number of descriptors, shared by open files and single calls. A caller gets a free one,
 * or else that of an idle resident: the longest idle one, but first one that needs no sync; or else
 * the next one that is returned.
 */
export class Descriptors {
  #freeCount: number;
  /** Taken, and not idle. */
  #busyCount = 0;
  /** Calls that the system refused and that wait for a free descriptor of this pool. */
  #refusedCount = 0;
  /** The idle residents, the longest idle first. */
  readonly #clean = new Set<Resident>();
  readonly #dirty = new Set<Resident>();
  /** Each call passes on a descriptor. */
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    assert(count > 0, 'a pool has a descriptor');
    this.#freeCount = count;
  }

  /** Resolves once the caller has one. `give`, or `giveUp` of a resident, returns it. */
  async take(): Promise<void> {
    if (this.#freeCount > 0) {
      this.#freeCount--;
      this.#busyCount++;
      return;
    }
    const resident = this.#nextToLeave();
    if (resident === undefined) await this.#next();
    else await resident.giveUp();
  }

  give(): void {
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next();
      return;
    }
    this.#busyCount--;
    this.#freeCount++;
  }

  /** Runs a call that needs a descriptor for its duration. */
  async lend<R>(call: () => Promise<R>): Promise<R> {
    await this.take();
    try {
      return await this.retry(call);
    } finally {
      this.give();
    }
  }

  /**
   * Repeats a call that the system refused because it had no descriptor, after one of this pool was
   * closed: the process has fewer than the pool was told. Fails if none can come free.
   */
  async retry<R>(call: () => Promise<R>, { mayWait = true } = {}): Promise<R> {
    for (;;) {
      try {
        return await call();
      } catch (cause) {
        if (!isOutOfDescriptors(cause) || !(await this.#closeOne(mayWait))) throw cause;
      }
    }
  }

  /** Marks the resident as in use, or gone: it keeps its descriptor. */
  keep(resident: Resident): void {
    if (this.#clean.delete(resident) || this.#dirty.delete(resident)) this.#busyCount++;
  }

  /** Marks the resident as idle: any caller may take its descriptor. */
  rest(resident: Resident): void {
    const next = this.#waiting.shift();
    if (next !== undefined) {
      void resident.giveUp().then(next);
      return;
    }
    this.#busyCount--;
    (resident.isDirty ? this.#dirty : this.#clean).add(resident);
  }

  /**
   * Closes the descriptor of a resident, or waits for a free one. Returns false if none will come.
   */
  async #closeOne(mayWait: boolean): Promise<boolean> {
    const resident = this.#nextToLeave();
    if (resident !== undefined) {
      await resident.giveUp();
    } else {
      // Not counting this call: calls that were refused too would wait for each other forever.
      const isAlone = this.#busyCount - 1 - this.#refusedCount <= 0;
      if (isAlone || !mayWait) return false;
      this.#refusedCount++;
      await this.#next();
      this.#refusedCount--;
    }
    this.give();
    return true;
  }

  #next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** Removes from the idle residents the one to evict. */
  #nextToLeave(): Resident | undefined {
    const [resident] = this.#clean.size > 0 ? this.#clean : this.#dirty;
    if (resident !== undefined) this.keep(resident);
    return resident;
  }
}

/** True for the error codes of too many open files in the process or on the machine. */
export function isOutOfDescriptors(cause: unknown): boolean {
  const errno = errnoOf(cause);
  return errno === 'EMFILE' || errno === 'ENFILE';
}
