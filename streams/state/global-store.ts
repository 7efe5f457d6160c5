import { serializeToBytes, type Serde } from '../../core/index.ts';
import type { ReadOnlyKeyValueStore, StoreEntry } from '../topology/store.ts';
import { keyIdentity, unpinned } from './codec.ts';
import type { KeyRange } from './environment.ts';
import { ALL_KEYS, keyRange, prefixRange } from './key-range.ts';
import { OpenReads } from './open-reads.ts';
import type { RowChange } from './stored-rows.ts';
import { SortedEntries, type Sorted } from './sorted-entries.ts';

/** A row in key order. */
interface SortedRow extends Sorted {
  readonly id: unknown;
}

/** A whole topic in memory: the newest value of each key. */
export class GlobalStore<K, V> implements ReadOnlyKeyValueStore<K, V> {
  readonly name: string;
  /** The lists that queries are reading. */
  readonly reads = new OpenReads();
  readonly #key: Serde<K>;
  readonly #entries = new Map<unknown, StoreEntry<K, V>>();
  /** In key order; undefined if the keys have changed since the last range. */
  #sorted: SortedEntries<SortedRow> | undefined;
  #watcher: ((change: RowChange) => void) | undefined;

  constructor(name: string, key: Serde<K>) {
    this.name = name;
    this.#key = key;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    return this.#entries.get(keyIdentity(this.#key, key))?.value;
  }

  entry(key: K): StoreEntry<K, V> | undefined {
    return this.#entries.get(keyIdentity(this.#key, key));
  }

  range(from: K | undefined, to: K | undefined): IterableIterator<StoreEntry<K, V>> {
    return this.#within(this.#between(from, to), false);
  }

  reverseRange(from: K | undefined, to: K | undefined): IterableIterator<StoreEntry<K, V>> {
    return this.#within(this.#between(from, to), true);
  }

  prefixScan<P = K>(
    prefix: P,
    serde: Pick<Serde<P>, 'serialize'> = this.#key as unknown as Serde<P>,
  ): IterableIterator<StoreEntry<K, V>> {
    return this.#within(prefixRange(serializeToBytes(serde as Serde<P>, prefix)), false);
  }

  all(): IterableIterator<StoreEntry<K, V>> {
    return this.#within(ALL_KEYS, false);
  }

  reverseAll(): IterableIterator<StoreEntry<K, V>> {
    return this.#within(ALL_KEYS, true);
  }

  /** Whoever gets each change; undefined for nobody. */
  watch(watcher: ((change: RowChange) => void) | undefined): void {
    this.#watcher = watcher;
  }

  /** Null deletes. */
  set(key: K, value: V | null, timestampMs: number): void {
    this.reads.settle();
    const id = keyIdentity(this.#key, key);
    if (this.#watcher !== undefined) {
      const oldValue = this.#entries.get(id)?.value ?? null;
      if (oldValue !== null || value !== null) {
        this.#watcher({ key, innerKey: key, oldValue, newValue: value, timestampMs });
      }
    }
    if (value === null ? this.#entries.delete(id) : !this.#entries.has(id)) {
      this.#sorted = undefined;
    }
    if (value === null) return;
    const entry = { key: unpinned(key), value: unpinned(value), timestampMs };
    this.#entries.set(id, { ...entry, windowStartMs: undefined });
  }

  *entries(): IterableIterator<readonly [K, V]> {
    for (const { key, value } of this.#entries.values()) yield [key, value as V];
  }

  #between(from: K | undefined, to: K | undefined): KeyRange {
    return keyRange((key) => serializeToBytes(this.#key, key), from, to);
  }

  *#within({ start, end }: KeyRange, isReverse: boolean): IterableIterator<StoreEntry<K, V>> {
    const rows = this.#sortedRows().range(start, end);
    for (const { id } of isReverse ? rows.reverse() : rows) {
      const entry = this.#entries.get(id); // undefined if it was deleted meanwhile
      if (entry !== undefined) yield entry;
    }
  }

  #sortedRows(): SortedEntries<SortedRow> {
    let sorted = this.#sorted;
    if (sorted !== undefined) return sorted;
    this.#sorted = sorted = new SortedEntries();
    for (const [id, { key }] of this.#entries) {
      sorted.add({ keyBytes: serializeToBytes(this.#key, key), id });
    }
    return sorted;
  }
}
