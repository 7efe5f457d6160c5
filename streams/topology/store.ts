import type { Serde } from '../../core/index.ts';

/** A store to read from. */
export interface ReadOnlyKeyValueStore<K, V> {
  /** The name that the topology has given it. */
  readonly name: string;
  /**
   * The value of a key, or undefined where there is none. The live one: it must not be changed, and
   * may change with the next record.
   */
  get(key: K): V | undefined;
  /** All entries, in no particular order; the store must not be changed meanwhile. */
  entries(): IterableIterator<readonly [K, V]>;
  /** Entries, where the store knows without counting; else undefined. */
  readonly size: number | undefined;
}

/** An entry of a store, live: what stands here is the store's content. */
export interface StoreEntry<K, V> {
  readonly key: K;
  /** Undefined for an entry that was deleted. */
  readonly value: V | undefined;
  /** The time of the newest record that went into the value. */
  readonly timestampMs: number;
}

/** A store of a task: what this task has written is what it reads. */
export interface KeyValueStore<K, V> extends ReadOnlyKeyValueStore<K, V> {
  put(key: K, value: V, timestampMs: number): void;
  delete(key: K, timestampMs: number): void;
  /**
   * One lookup for reading and writing: replaces the value by what `change` makes of it (undefined
   * where there is none), with the greater of both times. Undefined deletes, and is a change also
   * where there was nothing.
   */
  update(key: K, timestampMs: number, change: (value: V | undefined) => V | undefined): void;
  /** The entries that have changed since the last commit, in the order of their first change. */
  changed(): Iterable<StoreEntry<K, V>>;
}

/** A store of windows: a value for each key and window start. */
export interface WindowStore<K, V> {
  readonly name: string;
  get(key: K, windowStartMs: number): V | undefined;
  update(
    key: K,
    windowStartMs: number,
    timestampMs: number,
    change: (value: V | undefined) => V | undefined,
  ): void;
  /** The starts of all windows that hold something, ascending. */
  windowStarts(): number[];
  /** The entries of one window. */
  window(windowStartMs: number): Iterable<StoreEntry<K, V>>;
  /** The entries of one window that have changed since the last commit. */
  changed(windowStartMs: number): Iterable<StoreEntry<K, V>>;
  /** Forgets a whole window: it has closed. */
  drop(windowStartMs: number): void;
}

/** What a store is, as the topology knows it. */
export interface StoreSpec<K = unknown, V = unknown> {
  readonly name: string;
  readonly kind: 'keyValue' | 'window';
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  /** For windows: from its start on, a window lives until stream time is this much later. */
  readonly windowLifeMs?: number;
  /**
   * Where the store can be read back from: a changelog topic of its own, or the topic that it is a
   * copy of.
   */
  readonly backing: 'changelog' | { readonly sourceTopic: string };
}
