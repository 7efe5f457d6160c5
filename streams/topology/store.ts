import type { Serde } from '../../core/index.ts';

/** What every store with one value for each key can do. */
export interface KeyedStore<K, V> {
  /** The name that the topology has given it. */
  readonly name: string;
  /**
   * The value of a key, or undefined if there is none. It is live: do not change it, and expect it
   * to change with the next record.
   */
  get(key: K): V | undefined;
  /** All keys and values, in no particular order; do not change the store meanwhile. */
  entries(): IterableIterator<readonly [K, V]>;
  /** The number of entries, if known without counting; otherwise undefined. */
  readonly size: number | undefined;
}

/** A key-value store that can be read, also in the order of its keys. */
export interface ReadOnlyKeyValueStore<K, V> extends KeyedStore<K, V> {
  /** The value of a key with its time, or undefined if there is none; live, as `get`. */
  entry(key: K): StoreEntry<K, V> | undefined;
  /**
   * The entries of the keys from `from` to `to`, both included, in the order of the bytes of their
   * keys; undefined for no limit.
   *
   * Like all lists of entries it is read while it is iterated, and holds nothing up if it is left
   * unread: entries that are changed or deleted meanwhile are seen as they are then; new keys may
   * be left out.
   */
  range(from: K | undefined, to: K | undefined): IterableIterator<StoreEntry<K, V>>;
  /** The same against the order. */
  reverseRange(from: K | undefined, to: K | undefined): IterableIterator<StoreEntry<K, V>>;
  /** The entries whose keys begin with the bytes of `prefix`; its serde is by default the keys'. */
  prefixScan<P = K>(
    prefix: P,
    serde?: Pick<Serde<P>, 'serialize'>,
  ): IterableIterator<StoreEntry<K, V>>;
  /** All entries, in the order of the bytes of their keys. */
  all(): IterableIterator<StoreEntry<K, V>>;
  /** The same against the order. */
  reverseAll(): IterableIterator<StoreEntry<K, V>>;
}

/** Keys from one to another, both included, in the order of their bytes; by default all. */
export interface KeysBetween<K> {
  readonly from?: K | undefined;
  readonly to?: K | undefined;
}

/** Keys that begin with the bytes of a prefix; its serde is by default that of the keys. */
export interface KeysWithPrefix<P> {
  readonly prefix: P;
  readonly serde?: Pick<Serde<P>, 'serialize'>;
}

/** Some of the keys of a store. */
export type KeySelection<K, P = K> = KeysBetween<K> | KeysWithPrefix<P>;

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

/** A key-value store of a task, which reads its own writes. */
export interface WritableKeyValueStore<K, V> extends ReadOnlyKeyValueStore<K, V> {
  /** Replaces the value of a key. */
  put(key: K, value: V, timestampMs: number): void;
  /** Deletes a key; nothing happens if it has no value. */
  delete(key: K, timestampMs: number): void;
  /**
   * Reads and writes in one lookup: replaces the value (undefined if there is none) by the result
   * of `change`, with the greater of both times. Undefined deletes, and counts as a change even if
   * there was no value.
   */
  update(key: K, timestampMs: number, change: (value: V | undefined) => V | undefined): void;
}

/** The same as operators use it, with what is passed on. */
export interface KeyValueStore<K, V> extends WritableKeyValueStore<K, V> {
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
  /** The same of some keys, in the order of their bytes or against it, as a range. */
  passedRows(keys: KeySelection<K, unknown>, isReverse: boolean): IterableIterator<TableRow<K, V>>;
}

/** A key in a group; both are bytes that nobody changes. */
export interface GroupedKey {
  readonly group: Buffer;
  readonly key: Buffer;
}

/** A store of keys within groups. */
export interface GroupedStore<V> {
  readonly name: string;
  put(key: GroupedKey, value: V, timestampMs: number): void;
  delete(key: GroupedKey, timestampMs: number): void;
  /** The entries of a group, in the order of their keys' bytes. */
  group(group: Buffer): StoreEntry<GroupedKey, V>[];
}

/** A row of a table as it was passed on. It may be the store's own object: read it at once. */
export interface PassedRow<V> {
  readonly value: V;
  readonly timestampMs: number;
}

/** The row of a key. */
export interface TableRow<K, V> extends PassedRow<V> {
  readonly key: K;
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

/** A store of windows that can be read: a value for each key and window start. */
export interface ReadOnlyWindowStore<K, V> {
  readonly name: string;
  /** The value of a key in one window, or undefined if there is none; live, as that of a key. */
  get(key: K, windowStartMs: number): V | undefined;
  /** The same with its time. */
  entry(key: K, windowStartMs: number): StoreEntry<K, V> | undefined;
  /**
   * The entries of a key in the windows that start from `fromMs` to `toMs`, both included, oldest
   * first.
   */
  fetch(key: K, fromMs: number, toMs: number): IterableIterator<StoreEntry<K, V>>;
  /** The same, newest first. */
  backwardFetch(key: K, fromMs: number, toMs: number): IterableIterator<StoreEntry<K, V>>;
  /**
   * The entries of all keys, or of those selected, in the windows that start from `fromMs` to
   * `toMs`, both included: oldest window first, and in it in the order of the bytes of the keys.
   * Read while it is iterated, as in a key-value store.
   */
  fetchAll<P = K>(
    fromMs: number,
    toMs: number,
    keys?: KeySelection<K, P>,
  ): IterableIterator<StoreEntry<K, V>>;
  /** The same against the order. */
  backwardFetchAll<P = K>(
    fromMs: number,
    toMs: number,
    keys?: KeySelection<K, P>,
  ): IterableIterator<StoreEntry<K, V>>;
  /** All entries, as `fetchAll` has them. */
  all(): IterableIterator<StoreEntry<K, V>>;
  /** The same against the order. */
  backwardAll(): IterableIterator<StoreEntry<K, V>>;
  /** The starts of all windows with entries, ascending. */
  windowStarts(): number[];
  /** The entries of one window, in the order of the bytes of their keys. */
  window(windowStartMs: number): Iterable<StoreEntry<K, V>>;
}

/** A window store of a task, which reads its own writes. */
export interface WritableWindowStore<K, V> extends ReadOnlyWindowStore<K, V> {
  /** Replaces the value of a key in a window. */
  put(key: K, windowStartMs: number, value: V, timestampMs: number): void;
  /** Deletes a key of a window; nothing happens if it has no value there. */
  delete(key: K, windowStartMs: number, timestampMs: number): void;
  /** As in a key-value store, for one window. */
  update(
    key: K,
    windowStartMs: number,
    timestampMs: number,
    change: (value: V | undefined) => V | undefined,
  ): void;
}

/** The same as operators use it, with what is passed on. */
export interface WindowStore<K, V> extends WritableWindowStore<K, V> {
  /** As in a key-value store. */
  getPassed(key: K, windowStartMs: number): PassedRow<V> | undefined;
  /** The rows of one window as they were last passed on, in the order of the keys' bytes. */
  passedRows(windowStartMs: number): IterableIterator<TableRow<K, V>>;
  /** Calls `visit` with each entry of one window, in no order; do not change it meanwhile. */
  visit(windowStartMs: number, visit: (entry: StoreEntry<K, V>) => void): void;
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

/** A stretch of time, both ends included. */
export interface SessionBounds {
  readonly startMs: number;
  readonly endMs: number;
}

/** A value for a stretch of time. */
export interface Session<V> extends SessionBounds {
  /** The time of the newest record that went into the value. */
  readonly timestampMs: number;
  readonly value: V;
}

/** A session of a key. */
export interface KeySession<K, V> extends Session<V> {
  readonly key: K;
}

/** Sessions that end at `earliestEndMs` or later and start by `latestStartMs`. Default: all. */
export interface SessionRange {
  readonly earliestEndMs?: number;
  readonly latestStartMs?: number;
}

/** A session store that can be read. */
export interface ReadOnlySessionStore<K, V> {
  readonly name: string;
  /** A session by its bounds, or undefined if there is none; live, as the value of a key. */
  get(key: K, bounds: SessionBounds): Session<V> | undefined;
  /**
   * The sessions of a key by their ends, oldest first. Read while it is iterated, as in a key-value
   * store.
   */
  fetch(key: K, range?: SessionRange): IterableIterator<KeySession<K, V>>;
  /** The same, newest first. */
  backwardFetch(key: K, range?: SessionRange): IterableIterator<KeySession<K, V>>;
  /**
   * The sessions of the keys from `from` to `to`, both included, in the order of the bytes of their
   * keys; undefined for no limit. Those of a key by their ends.
   */
  fetchAll(from?: K, to?: K, range?: SessionRange): IterableIterator<KeySession<K, V>>;
  /** The same against the order. */
  backwardFetchAll(from?: K, to?: K, range?: SessionRange): IterableIterator<KeySession<K, V>>;
  /** The same, in order, of the keys that begin with the bytes of `prefix`, as `KeysWithPrefix`. */
  prefixScan<P = K>(
    prefix: P,
    range?: SessionRange,
    serde?: Pick<Serde<P>, 'serialize'>,
  ): IterableIterator<KeySession<K, V>>;
}

/** A session store of a task, which reads its own writes. */
export interface WritableSessionStore<K, V> extends ReadOnlySessionStore<K, V> {
  /**
   * Replaces the value of a session, which is found by both its bounds.
   *
   * @throws LogError INVALID_OPTION if it ends before it starts.
   */
  put(key: K, bounds: SessionBounds, value: V, timestampMs: number): void;
  /** Deletes a session; nothing happens if there is none with these bounds. */
  delete(key: K, bounds: SessionBounds): void;
}

/** A session to be passed on. */
export interface SessionEntry<K, V> extends Omit<Session<V>, 'value'> {
  readonly key: K;
  /** Undefined if it was deleted, or merged into another. */
  readonly value: V | undefined;
}

/** A session to be passed on, and its value when it was last passed on. */
export type OnHeldSession<K, V> = (entry: SessionEntry<K, V>, before: V | undefined) => void;

/**
 * The same as operators use it: the values of a key, each for a stretch of time. Here no two of a
 * key end at the same time, and they start in the order in which they end. In the store they are
 * together in stretches of time, by their ends.
 */
export interface SessionStore<K, V> extends WritableSessionStore<K, V> {
  /** The sessions of a key that end at `earliestEndMs` or later and start by `latestStartMs`. */
  find(key: K, earliestEndMs: number, latestStartMs: number): Session<V>[];
  /**
   * Replaces the value of a session (undefined if there is none) by the result of `change`, with
   * the greater of both times. Undefined deletes, and counts as a change even without a value.
   */
  update(
    key: K,
    bounds: Omit<Session<V>, 'value'>,
    change: (value: V | undefined) => V | undefined,
  ): void;
  /** A copy of a session's value for `remove`; undefined if none is needed. */
  imageOf(key: K, session: Session<V>): V | undefined;
  /**
   * Removes a session that is merged into another: a change only if it was passed on.
   *
   * @param image as `imageOf` returned it, before a function could change the value in place.
   */
  remove(key: K, session: Session<V>, image: V | undefined): void;
  /**
   * Replaces sessions that are merged by one that has their place, with the value given, or by none
   * if that is undefined. Only where nothing waits to be passed on: see `holdChanges`.
   */
  replace(
    key: K,
    merged: readonly Session<V>[],
    bounds: Omit<Session<V>, 'value'>,
    value: V | undefined,
  ): void;
  /** A copy of a value, which nobody changes in place. */
  copy(value: V): V;
  /** The key's bytes as text, which sorts as they do. */
  keyText(key: K): string;
  /** The start of the stretch that holds the sessions that end at this time. */
  stretchOf(endMs: number): number;
  /** The starts of all stretches with sessions, ascending. */
  stretches(): readonly number[];
  /** The sessions of a stretch; do not change the store meanwhile. */
  stretch(startMs: number): Iterable<readonly [K, Session<V>]>;
  /**
   * As in a key-value store. `onHeld` also gets a session each time that it is removed, and
   * `onForgotten` one that leaves the list because it was removed before it was passed on.
   */
  holdChanges(
    onHeld?: OnHeldSession<K, V>,
    onForgotten?: (entry: SessionEntry<K, V>) => void,
  ): void;
  keepBefore(): void;
  /** As in a key-value store. */
  hold(key: K, bounds: Omit<Session<V>, 'value'>, before: V | undefined): void;
  /** As in a key-value store. */
  passChanges(visit: OnHeldSession<K, V>): void;
  /** The same for one session, if it waits. */
  passChange(key: K, bounds: SessionBounds, visit: OnHeldSession<K, V>): void;
  /** When the oldest stretch expires as a whole; Infinity if there is none. */
  readonly expiresMs: number;
  /** Removes the stretches that have expired, without a record in the changelog. */
  expire(timeMs: number): void;
}

/** A value as it was from one time up to, but not including, another. */
export interface VersionOf<V> extends PassedRow<V> {
  /** Infinity for the latest version. */
  readonly validToMs: number;
}

/**
 * What became of a version: it is the latest of its key, or one of the past, or it was not kept
 * because it is older than the history.
 */
export type VersionedPut = 'latest' | 'past' | 'expired';

/** A version of a key. */
export interface KeyVersion<K, V> extends VersionOf<V> {
  readonly key: K;
}

/** A versioned store that can be read. */
export interface ReadOnlyVersionedStore<K, V> extends KeyedStore<K, V> {
  /** The value at a time; undefined if there was none. Default: the latest. */
  get(key: K, asOfMs?: number): V | undefined;
  /** The same with the times from and to which it is valid. */
  getVersion(key: K, asOfMs?: number): VersionOf<V> | undefined;
  /**
   * The versions of a key that were valid at any time from `fromMs` to `toMs`, both included,
   * oldest first, as they are when it is first read; by default all that the history has.
   */
  history(key: K, fromMs?: number, toMs?: number): IterableIterator<VersionOf<V>>;
  /** The same, newest first. */
  backwardHistory(key: K, fromMs?: number, toMs?: number): IterableIterator<VersionOf<V>>;
  /**
   * The versions at a time, by default the latest, of the keys from `from` to `to`, both included,
   * in the order of the bytes of their keys; undefined for no limit. Read while it is iterated, as
   * in a key-value store.
   */
  range(from?: K, to?: K, asOfMs?: number): IterableIterator<KeyVersion<K, V>>;
  /** The same against the order. */
  reverseRange(from?: K, to?: K, asOfMs?: number): IterableIterator<KeyVersion<K, V>>;
  /** As `range`, of the keys that begin with the bytes of `prefix`, as `KeysWithPrefix`. */
  prefixScan<P = K>(
    prefix: P,
    asOfMs?: number,
    serde?: Pick<Serde<P>, 'serialize'>,
  ): IterableIterator<KeyVersion<K, V>>;
}

/**
 * A store that knows the past (Kafka Streams: `VersionedKeyValueStore`). Each value is valid from
 * its time until that of the next one of its key. It can be read as of any time within the history,
 * which counts from the newest time ever put; the latest version of a key always stays.
 */
export interface VersionedStore<K, V> extends ReadOnlyVersionedStore<K, V> {
  /** Adds a version, or replaces that of the same time; null deletes from then on. */
  put(key: K, value: V | null, timestampMs: number): VersionedPut;
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

/** How long an entry stays without a change, and the name of the store of their times. */
export interface StoreTtl {
  readonly ttlMs: number;
  readonly times: string;
}

/** The topology's description of a store. */
export interface StoreSpec<K = unknown, V = unknown> extends StoreHandle {
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  /** When its entries expire; undefined for a store whose entries live until they are deleted. */
  readonly expiry?: StoreExpiry;
  /** Of a session store: the length of a stretch, whose sessions are kept, and expire, together. */
  readonly stretchMs?: number;
  /** The windows in it, as text: their bytes do not tell how long they are. */
  readonly windows?: string;
  /** True if a window store has panes, which its operator merges into windows. */
  readonly holdsPanes?: boolean;
  /** Of a key-value store of the user's own whose entries expire. */
  readonly ttl?: StoreTtl;
  /** Of the store of the times of rows that expire: how long those stay without a change. */
  readonly ttlMs?: number;
  /** For a versioned store: how far back from its newest time it can be read. */
  readonly historyMs?: number;
  /**
   * The source of a restore: a changelog topic of its own, the topic that it copies, or nothing:
   * then it begins empty, unless the task has ended in order.
   */
  readonly backing: 'changelog' | 'none' | { readonly sourceTopic: string };
  /** False for a store in memory, which a restart reads back as a whole. Default: true. */
  readonly persistent?: boolean;
}
