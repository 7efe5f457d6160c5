import {
  STATE_FORMAT_VERSION,
  type StateEnvironment,
  type StateMeta,
  type StoreChanges,
} from './environment.ts';
import { firstNotBelow } from './sorted-list.ts';

/** Checkpoints in memory: for tests of topologies, and for stores that are not persistent. */
export class MemoryEnvironment implements StateEnvironment {
  readonly #stores = new Map<string, Map<string, Buffer>>();
  /** The sorted keys of stores whose keys have not changed since a range was read. */
  readonly #sorted = new Map<string, readonly string[]>();
  #meta: StateMeta | undefined;

  readMeta(): StateMeta | undefined {
    return this.#meta?.formatVersion === STATE_FORMAT_VERSION ? this.#meta : undefined;
  }

  get(store: string, key: Buffer): Buffer | undefined {
    const value = this.#stores.get(store)?.get(key.toString('latin1'));
    return value && Buffer.from(value);
  }

  *range(
    store: string,
    start: Buffer,
    end: Buffer | undefined,
    isReverse = false,
  ): Iterable<{ readonly key: Buffer; readonly value: Buffer }> {
    const entries = this.#stores.get(store);
    if (entries === undefined) return;
    const sorted = this.#sortedKeys(store, entries);
    const first = firstNotBelow(sorted, start.toString('latin1'), isBelow);
    const past =
      end === undefined ? sorted.length : firstNotBelow(sorted, end.toString('latin1'), isBelow);
    for (let step = 0; step < past - first; step++) {
      const key = sorted[isReverse ? past - 1 - step : first + step]!;
      const value = entries.get(key); // undefined if it was removed meanwhile
      if (value !== undefined) {
        yield { key: Buffer.from(key, 'latin1'), value: Buffer.from(value) };
      }
    }
  }

  #sortedKeys(store: string, entries: ReadonlyMap<string, Buffer>): readonly string[] {
    let sorted = this.#sorted.get(store);
    if (sorted === undefined) this.#sorted.set(store, (sorted = [...entries.keys()].sort()));
    return sorted;
  }

  count(store: string): number {
    return this.#stores.get(store)?.size ?? 0;
  }

  sizeBytes(store: string): number {
    let sum = 0;
    for (const [key, value] of this.#stores.get(store) ?? []) sum += key.length + value.length;
    return sum;
  }

  checkpoint(changes: ReadonlyMap<string, StoreChanges>, meta: StateMeta): void {
    for (const [name, changed] of changes) {
      let store = this.#stores.get(name);
      if (store === undefined) this.#stores.set(name, (store = new Map<string, Buffer>()));
      for (const change of changed) {
        if ('start' in change) {
          this.#sorted.delete(name); // not that of before the changes so far
          const removed = [...this.range(name, change.start, change.end)];
          for (const { key } of removed) store.delete(key.toString('latin1'));
          continue;
        }
        const text = change.key.toString('latin1');
        if (change.value === undefined) store.delete(text);
        else store.set(text, Buffer.from(change.value));
      }
      this.#sorted.delete(name);
    }
    this.#meta = meta;
  }

  clear(): void {
    this.#stores.clear();
    this.#sorted.clear();
    this.#meta = undefined;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** As latin1, text sorts as its bytes do. */
function isBelow(text: string, bound: string): boolean {
  return text < bound;
}
