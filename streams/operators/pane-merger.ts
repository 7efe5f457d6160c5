import type { Serde } from '../../core/index.ts';
import { keyIdentity, sortByKeyBytes } from '../state/codec.ts';
import type { StoreEntry, WindowStore } from '../topology/store.ts';
import type { TimeWindows } from '../topology/windows.ts';

/** How the values of panes become those of windows. */
export interface PaneMerging<K, A> {
  /** Combines the values of a key in two stretches of time, the earlier first. It may change it. */
  readonly combine: (left: A, right: A, key: K) => A | null | undefined;
  /** Copies a value, which `combine` may then change. */
  readonly copy: (value: A) => A;
  /** Writes keys; the results of a window are sorted by their bytes. */
  readonly key: Serde<K>;
  /**
   * How many values of panes are kept at most; default 500,000. If there are more, each window is
   * merged from all of its panes.
   */
  readonly keptMax?: number;
}

/** The value of a key in several panes, with the time of its newest record. */
export interface MergedPanes<K, A> {
  readonly key: K;
  /** Undefined if the merger has failed. */
  readonly value: A | undefined;
  readonly timestampMs: number;
  /** What the merger has thrown. */
  readonly failure: unknown;
}

/** The value of one pane and all those behind it in the block. */
interface Suffix<A> {
  readonly paneMs: number;
  readonly value: A;
  readonly timestampMs: number;
}

/** The panes of one key that have been merged. */
interface Running<K, A> {
  readonly id: unknown;
  readonly key: K;
  /** Those of the block, the oldest last: each window leaves some of them behind. */
  readonly block: Suffix<A>[];
  /** All those behind the block in one. */
  rest: { value: A; timestampMs: number } | undefined;
  /** Set once the merger has failed: what it has made is of no use. */
  failure: { readonly cause: unknown } | undefined;
}

/** Some 50 MB. */
const KEPT_MAX = 500_000;

/**
 * Merges panes into windows, whose values overlap: a window shares all of its panes but one with
 * the next. The panes of one window make a block, in which each is merged with all behind it, once;
 * the panes that follow are merged into one value. A window then is what it has of the block, and
 * that value; the window after the last pane of the block makes the next one. So each pane is
 * merged about three times, however many windows it is in.
 *
 * All of that can be made again from the store, and is after a restart.
 */
export class PaneMerger<K, A> {
  readonly #panes: WindowStore<K, A>;
  readonly #sizeMs: number;
  readonly #merging: PaneMerging<K, A>;
  readonly #running = new Map<unknown, Running<K, A>>();
  /** Where the block ends. */
  #blockEndMs = -Infinity;
  /** The start of the first pane that is not merged. */
  #mergedMs = -Infinity;
  /** False from a block that is too large to keep to its end. */
  #isKept = true;
  /** Keys of which a merged pane has changed since. */
  readonly #changed = new Map<unknown, K>();

  constructor(panes: WindowStore<K, A>, { sizeMs }: TimeWindows, merging: PaneMerging<K, A>) {
    this.#panes = panes;
    this.#sizeMs = sizeMs;
    this.#merging = merging;
  }

  /** Call it after each change of a pane. */
  noteChange(key: K, paneMs: number): void {
    if (paneMs < this.#mergedMs) this.#changed.set(keyIdentity(this.#merging.key, key), key);
  }

  /**
   * The values of a window that closes, in the order of the bytes of their keys. Windows close in
   * order.
   */
  close(startMs: number): MergedPanes<K, A>[] {
    const endMs = startMs + this.#sizeMs;
    const isNewBlock = startMs >= this.#blockEndMs;
    if (isNewBlock) {
      this.#isKept = true;
      this.#blockEndMs = endMs;
    }
    if (isNewBlock && this.#mergeBlock(startMs, endMs)) this.#changed.clear();
    if (!this.#isKept) return this.#mergeAll(startMs, endMs);
    for (const [id, key] of this.#changed) this.#mergeAgain(id, key, startMs);
    this.#changed.clear();
    this.#mergeBehind(this.#mergedMs, endMs);
    return this.#results(startMs);
  }

  /** Makes a block of the panes of a window; returns false if that is too large. */
  #mergeBlock(startMs: number, endMs: number): boolean {
    const { keptMax = KEPT_MAX } = this.#merging;
    this.#running.clear();
    this.#mergedMs = endMs;
    let count = 0;
    const panes = this.#panesBetween(startMs, endMs).reverse();
    for (const paneMs of panes) {
      this.#panes.visit(paneMs, (entry) => {
        if (++count <= keptMax) this.#push(this.#runningOf(entry.key), paneMs, entry);
      });
    }
    this.#isKept = count <= keptMax;
    return this.#isKept;
  }

  /** Merges all panes of a window, and keeps nothing. */
  #mergeAll(startMs: number, endMs: number): MergedPanes<K, A>[] {
    this.#running.clear();
    this.#changed.clear();
    this.#mergedMs = -Infinity;
    this.#mergeBehind(startMs, endMs);
    const results = this.#results(startMs);
    this.#running.clear();
    this.#mergedMs = -Infinity;
    return results;
  }

  /** Merges the panes from `startMs` to `endMs` into those behind the block. */
  #mergeBehind(startMs: number, endMs: number): void {
    for (const paneMs of this.#panesBetween(startMs, endMs)) {
      this.#panes.visit(paneMs, (entry) => this.#append(this.#runningOf(entry.key), entry));
    }
    this.#mergedMs = endMs;
  }

  /** The same for one key, from what the store has now. */
  #mergeAgain(id: unknown, key: K, startMs: number): void {
    this.#running.delete(id);
    const running = this.#runningOf(key);
    for (const paneMs of this.#panesBetween(startMs, this.#blockEndMs).reverse()) {
      const entry = this.#panes.entry(key, paneMs);
      if (entry !== undefined) this.#push(running, paneMs, entry);
    }
    for (const paneMs of this.#panesBetween(this.#blockEndMs, this.#mergedMs)) {
      const entry = this.#panes.entry(key, paneMs);
      if (entry !== undefined) this.#append(running, entry);
    }
  }

  /** Puts a pane in front of those of the block. */
  #push(running: Running<K, A>, paneMs: number, entry: StoreEntry<K, A>): void {
    if (entry.value === undefined) return;
    const { block } = running;
    const behind = block.at(-1);
    const value = behind ? this.#combine(entry.value, behind.value, running) : entry.value;
    const timestampMs = Math.max(entry.timestampMs, behind?.timestampMs ?? -Infinity);
    block.push({ paneMs, value, timestampMs });
  }

  /** Adds a pane to those behind the block. */
  #append(running: Running<K, A>, { value, timestampMs }: StoreEntry<K, A>): void {
    if (value === undefined) return;
    const { rest } = running;
    if (rest === undefined) {
      running.rest = { value, timestampMs };
      return;
    }
    rest.value = this.#combine(rest.value, value, running);
    rest.timestampMs = Math.max(rest.timestampMs, timestampMs);
  }

  #results(startMs: number): MergedPanes<K, A>[] {
    const results: (MergedPanes<K, A> & { readonly id: unknown })[] = [];
    for (const running of this.#running.values()) {
      const { id, key, block, rest } = running;
      while ((block.at(-1)?.paneMs ?? Infinity) < startMs) block.pop();
      const first = block.at(-1);
      const one = first ?? rest;
      if (one === undefined) {
        this.#running.delete(id);
        continue;
      }
      const isBoth = first !== undefined && rest !== undefined;
      const merged = isBoth
        ? this.#combine(first.value, rest.value, running)
        : this.#copy(one.value, running);
      const timestampMs = Math.max(one.timestampMs, rest?.timestampMs ?? -Infinity);
      const { failure } = running;
      const value = failure === undefined ? merged : undefined;
      results.push({ id, key, value, timestampMs, failure: failure?.cause });
      // The next window has other panes, with which the merger may do better.
      if (failure !== undefined) this.#changed.set(id, key);
    }
    return sortByKeyBytes(results, this.#merging.key);
  }

  /** A function that fails is not called again for the key and the window: that has no result. */
  #combine(left: A, right: A, running: Running<K, A>): A {
    if (running.failure !== undefined) return left;
    const { combine, copy } = this.#merging;
    try {
      return combine(copy(left), right, running.key) ?? deletes('merger');
    } catch (cause) {
      running.failure = { cause };
      return left;
    }
  }

  #copy(value: A, running: Running<K, A>): A {
    try {
      return this.#merging.copy(value);
    } catch (cause) {
      running.failure ??= { cause };
      return value;
    }
  }

  #runningOf(key: K): Running<K, A> {
    const id = keyIdentity(this.#merging.key, key);
    let running = this.#running.get(id);
    if (running === undefined) {
      running = { id, key, block: [], rest: undefined, failure: undefined };
      this.#running.set(id, running);
    }
    return running;
  }

  #panesBetween(startMs: number, endMs: number): number[] {
    return this.#panes.windowStarts().filter((paneMs) => paneMs >= startMs && paneMs < endMs);
  }
}

/** Values of panes cannot be deleted: those of other panes of the window would remain. */
export function deletes(what: 'adder' | 'merger'): never {
  throw new TypeError(
    `its ${what} returned nothing, which deletes the value, and with a merger nothing can be ` +
      'deleted: leave the merger out, or return a value that means nothing',
  );
}
