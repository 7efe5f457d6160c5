import { firstNotBelow } from './sorted-list.ts';

/** What is sorted. */
export interface Sorted {
  readonly keyBytes: Buffer;
}

/**
 * Entries in the order of the bytes of their keys. Adding one costs little: a read sorts what was
 * added since the last one, and merges it once there is enough.
 */
export class SortedEntries<E extends Sorted> {
  /** In order. Replaced, never changed. */
  #sorted: readonly E[] = [];
  /** Added since; in order after a read. */
  #added: E[] = [];
  #isAddedSorted = true;

  add(entry: E): void {
    this.#added.push(entry);
    this.#isAddedSorted = false;
  }

  /** A list of the entries from `start` up to but not including `end`, in their order. */
  range(start: Buffer, end: Buffer | undefined): E[] {
    if (!this.#isAddedSorted) this.#added.sort(byKeyBytes);
    this.#isAddedSorted = true;
    // Merging takes as long as the whole is; so the more there is, the more has to wait for it.
    if (this.#added.length ** 2 > this.#sorted.length) {
      this.#sorted = merged(this.#sorted, this.#added);
      this.#added = [];
    }
    return merged(between(this.#sorted, start, end), between(this.#added, start, end));
  }
}

/**
 * Merges what memory has with what a checkpoint has, both in the order of the bytes of their keys,
 * or both against it. Of equal keys the first one in memory counts.
 */
export function* mergeReads<M extends Sorted, S extends { readonly key: Buffer }>(
  memory: readonly M[],
  stored: Iterable<S>,
  isReverse: boolean,
): Generator<M | S> {
  const sign = isReverse ? -1 : 1;
  let index = 0;
  let last: Buffer | undefined;
  for (const read of stored) {
    for (let next = memory[index]; next !== undefined; next = memory[++index]) {
      if (sign * Buffer.compare(next.keyBytes, read.key) > 0) break;
      if (last?.equals(next.keyBytes) !== true) yield next;
      last = next.keyBytes;
    }
    if (last?.equals(read.key) !== true) yield read;
  }
  for (let next = memory[index]; next !== undefined; next = memory[++index]) {
    if (last?.equals(next.keyBytes) !== true) yield next;
    last = next.keyBytes;
  }
}

function byKeyBytes(a: Sorted, b: Sorted): number {
  return Buffer.compare(a.keyBytes, b.keyBytes);
}

/** The entries of a sorted list from `start` up to but not including `end`. */
function between<E extends Sorted>(
  list: readonly E[],
  start: Buffer,
  end: Buffer | undefined,
): readonly E[] {
  const past = end === undefined ? list.length : firstNotBelow(list, end, isBelow);
  return list.slice(firstNotBelow(list, start, isBelow), past);
}

function isBelow({ keyBytes }: Sorted, key: Buffer): boolean {
  return Buffer.compare(keyBytes, key) < 0;
}

function merged<E extends Sorted>(one: readonly E[], other: readonly E[]): E[] {
  if (other.length === 0) return [...one];
  const all: E[] = [];
  let index = 0;
  for (const entry of other) {
    for (; index < one.length && byKeyBytes(one[index]!, entry) <= 0; index++)
      all.push(one[index]!);
    all.push(entry);
  }
  for (; index < one.length; index++) all.push(one[index]!);
  return all;
}
