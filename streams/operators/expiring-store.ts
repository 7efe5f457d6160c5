import type { Serde } from '../../core/index.ts';
import type { OperatorContext } from '../topology/operator.ts';
import type { StoreEntry, WritableKeyValueStore } from '../topology/store.ts';
import { TimeToLive } from './time-to-live.ts';

/** A key-value store of the user's own whose entries have a time to live. */
export class ExpiringStore<K, V> implements WritableKeyValueStore<K, V> {
  readonly ttl: TimeToLive<K, V>;
  readonly #store: WritableKeyValueStore<K, V>;

  constructor(store: WritableKeyValueStore<K, V>, ttlMs: number, context: OperatorContext) {
    this.#store = store;
    this.ttl = new TimeToLive(ttlMs, store, context);
  }

  get name(): string {
    return this.#store.name;
  }

  get size(): number | undefined {
    return this.#store.size;
  }

  put(key: K, value: V, timestampMs: number): void {
    this.#store.put(key, value, timestampMs);
    this.ttl.note(key, timestampMs);
  }

  delete(key: K, timestampMs: number): void {
    this.#store.delete(key, timestampMs);
  }

  update(key: K, timestampMs: number, change: (value: V | undefined) => V | undefined): void {
    this.#store.update(key, timestampMs, change);
    this.ttl.note(key, timestampMs);
  }

  get(key: K): V | undefined {
    return this.#store.get(key);
  }

  entry(key: K): StoreEntry<K, V> | undefined {
    return this.#store.entry(key);
  }

  entries(): IterableIterator<readonly [K, V]> {
    return this.#store.entries();
  }

  range(from: K | undefined, to: K | undefined): IterableIterator<StoreEntry<K, V>> {
    return this.#store.range(from, to);
  }

  reverseRange(from: K | undefined, to: K | undefined): IterableIterator<StoreEntry<K, V>> {
    return this.#store.reverseRange(from, to);
  }

  prefixScan<P = K>(
    prefix: P,
    serde?: Pick<Serde<P>, 'serialize'>,
  ): IterableIterator<StoreEntry<K, V>> {
    return this.#store.prefixScan(prefix, serde);
  }

  all(): IterableIterator<StoreEntry<K, V>> {
    return this.#store.all();
  }

  reverseAll(): IterableIterator<StoreEntry<K, V>> {
    return this.#store.reverseAll();
  }
}
