import { assert } from '../assert.ts';
import { errnoOf } from './node-fs.ts';

/** Who has a descriptor and may have to give it up. */
export interface Resident {
  /** True when giving it up takes a sync. */
  readonly isDirty: boolean;
  /** Gives it up. Never rejects. */
  giveUp(): Promise<void>;
}

/**
 * A number of descriptors that open files and single calls share. Whoever takes one gets a free
 * one, or that of a resident at rest: the one that has rested longest, but one that costs no sync
 * first; or else the next one that is given.
 */
export class Descriptors {
  #freeCount: number;
  /** Taken, and not at rest. */
  #busyCount = 0;
  /** Calls that the system refused, and that wait for a descriptor of this pool to come free. */
  #refusedCount = 0;
  /** Those at rest, the longest first. */
  readonly #clean = new Set<Resident>();
  readonly #dirty = new Set<Resident>();
  /** Each call hands a descriptor over. */
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    assert(count > 0, 'a pool has a descriptor');
    this.#freeCount = count;
  }

  /** Resolves when the caller has one; it goes back with `give`, or with `giveUp` of a resident. */
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

  /** Runs a call that needs a descriptor until it ends. */
  async lend<R>(call: () => Promise<R>): Promise<R> {
    await this.take();
    try {
      return await this.retry(call);
    } finally {
      this.give();
    }
  }

  /**
   * Repeats a call that the system refused for want of a descriptor, after one of this pool has
   * been closed: the process has fewer than the pool was told. Fails when none can come free.
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

  /** The resident is in use, or gone: it keeps its descriptor. */
  keep(resident: Resident): void {
    if (this.#clean.delete(resident) || this.#dirty.delete(resident)) this.#busyCount++;
  }

  /** The resident rests: whoever needs a descriptor may have this one. */
  rest(resident: Resident): void {
    const next = this.#waiting.shift();
    if (next !== undefined) {
      void resident.giveUp().then(next);
      return;
    }
    this.#busyCount--;
    (resident.isDirty ? this.#dirty : this.#clean).add(resident);
  }

  /** Closes the descriptor of a resident, or waits for one to come free; false if none will. */
  async #closeOne(mayWait: boolean): Promise<boolean> {
    const resident = this.#nextToLeave();
    if (resident !== undefined) {
      await resident.giveUp();
    } else {
      // But for this call: those that were refused too wait for each other in vain.
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

  /** Takes the resident that is to leave from those that rest. */
  #nextToLeave(): Resident | undefined {
    const [resident] = this.#clean.size > 0 ? this.#clean : this.#dirty;
    if (resident !== undefined) this.keep(resident);
    return resident;
  }
}

/** True for what the system says when a process, or the machine, has too many files open. */
export function isOutOfDescriptors(cause: unknown): boolean {
  const errno = errnoOf(cause);
  return errno === 'EMFILE' || errno === 'ENFILE';
}
