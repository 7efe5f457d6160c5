import type { Serde } from '../../core/index.ts';

/** A readable store. */
export interface ReadOnlyKeyValueStore<K, V> {
  /** The name that the topology has given it. */
  readonly name: string;
  /**
   * The value of a key, or undefined if there is none. It is live: do not change it, and expect it
   * to change with the next record.
   */
  get(key: K): V | undefined;
  /** All entries, in no particular order; do not change the store meanwhile. */
  entries(): IterableIterator<readonly [K, V]>;
  /** The number of entries, if known without counting; otherwise undefined. */
  readonly size: number | undefined;
}

/** A live entry: the store's own object. */
export interface StoreEntry<K, V> {
  readonly key: K;
  /** Undefined in a store without windows. */
  readonly windowStartMs: number | undefined;
  /** Undefined for a deleted entry. */
  readonly value: V | undefined;
  /** The time of the newest record that went into the value. */
  readonly timestampMs: number;
}

/** A store of a task, which reads its own writes. */
export interface KeyValueStore<K, V> extends ReadOnlyKeyValueStore<K, V> {
  put(key: K, value: V, timestampMs: number): void;
  delete(key: K, timestampMs: number): void;
  /**
   * Reads and writes in one lookup: replaces the value (undefined if there is none) by the result
   * of `change`, with the greater of both times. Undefined deletes, and counts as a change even if
   * there was no value.
   */
  update(key: K, timestampMs: number, change: (value: V | undefined) => V | undefined): void;
  /**
   * From now on lists changes until they are passed on; `onHeld` gets each entry that joins the
   * list, and again when it is deleted there. Call it before the first change.
   */
  holdChanges(onHeld?: OnHeld<K, V>): void;
  /** From now on keeps the value last passed on of each entry that joins the list. */
  keepBefore(): void;
  /**
   * Puts an entry into the list, at a restart: `before` is what was last passed on of it, and
   * `timestampMs` its time if it is deleted.
   */
  hold(key: K, before: PassedRow<V> | undefined, timestampMs: number): void;
  /**
   * Empties the list: `visit` gets each entry changed since it was last passed on, in the order of
   * their first changes, and what was passed on then, if that is kept.
   */
  passChanges(visit: OnHeld<K, V>): void;
  /** The row as it was last passed on, which is what others see; needs `keepBefore`. */
  getPassed(key: K): PassedRow<V> | undefined;
}

/** A row of a table as it was passed on. It may be the store's own object: read it at once. */
export interface PassedRow<V> {
  readonly value: V;
  readonly timestampMs: number;
}

/**
 * An entry to be passed on, and its value when it was last passed on; `beforeMs` is the time of
 * that value.
 */
export type OnHeld<K, V> = (
  entry: StoreEntry<K, V>,
  before: V | undefined,
  beforeMs: number,
) => void;

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
  /** The starts of all windows with entries, ascending. */
  windowStarts(): number[];
  /** The entries of one window. */
  window(windowStartMs: number): Iterable<StoreEntry<K, V>>;
  /** As in a key-value store, for all windows. */
  holdChanges(onHeld?: OnHeld<K, V>): void;
  keepBefore(): void;
  /** As in a key-value store; a window that has closed holds nothing. */
  hold(key: K, windowStartMs: number, before: PassedRow<V> | undefined, timestampMs: number): void;
  /** As in a key-value store, for one window. */
  passChanges(windowStartMs: number, visit: OnHeld<K, V>): void;
  /** Removes a whole window that has closed. */
  drop(windowStartMs: number): void;
}

/**
 * Names a store and tells its type. The file of each kind of store has a function that makes them:
 * `keyValueStore<string, number>('totals')`.
 */
export interface StoreHandle<Store = unknown> {
  readonly name: string;
  /** The name of its kind in the list of kinds. */
  readonly kind: string;
  /** For the types only. */
  readonly store?: Store;
}

/** When the entries of a store expire. */
export interface StoreExpiry {
  /** An entry lives until the operator's time is this far past its start. */
  readonly lifeMs: number;
  /** The node of the operator whose time counts. It drops what has expired in its `advance`. */
  readonly node: string;
}

/** The topology's description of a store. */
export interface StoreSpec<K = unknown, V = unknown> extends StoreHandle {
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  /** When its entries expire; undefined for a store whose entries live until they are deleted. */
  readonly expiry?: StoreExpiry;
  /** The source of a restore: a changelog topic of its own, or the topic that it copies. */
  readonly backing: 'changelog' | { readonly sourceTopic: string };
}
