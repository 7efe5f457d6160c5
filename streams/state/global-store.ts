import { serializeToBytes, type Serde } from '../../core/index.ts';
import type { ReadOnlyKeyValueStore } from '../topology/store.ts';

/** A whole topic in memory: the newest value of each key. */
export class GlobalStore<K, V> implements ReadOnlyKeyValueStore<K, V> {
  readonly name: string;
  readonly #key: Serde<K>;
  readonly #entries = new Map<unknown, { readonly key: K; readonly value: V }>();

  constructor(name: string, key: Serde<K>) {
    this.name = name;
    this.#key = key;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    return this.#entries.get(this.#idOf(key))?.value;
  }

  /** Null deletes. */
  set(key: K, value: V | null): void {
    const id = this.#idOf(key);
    if (value === null) this.#entries.delete(id);
    else this.#entries.set(id, { key, value });
  }

  *entries(): IterableIterator<readonly [K, V]> {
    for (const { key, value } of this.#entries.values()) yield [key, value];
  }

  /** Finds keys that are objects by their bytes. */
  #idOf(key: K): unknown {
    if (typeof key !== 'object' || key === null) return key;
    return serializeToBytes(this.#key, key).toString('latin1');
  }
}
