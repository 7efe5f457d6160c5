import type { Observable } from 'rxjs';
import type { Serde } from '../../core/index.ts';
import type { ReadOnlyRecordStore, RecordEntry } from './record-store.ts';
import type {
  KeySelection,
  KeySession,
  KeyVersion,
  ReadOnlyKeyValueStore,
  ReadOnlySessionStore,
  ReadOnlyVersionedStore,
  ReadOnlyWindowStore,
  Session,
  SessionBounds,
  SessionRange,
  VersionOf,
} from './store.ts';
import type { Windowed } from './windows.ts';

/**
 * What is found by a query that may have many results. Each iteration is a query of its own. Of one
 * task it shows one state, however long the iteration takes: what is still unread when the task
 * commits is kept in memory until then.
 */
export interface QueryResults<T> extends AsyncIterable<T> {
  /** The same in lists of some hundred, which is faster. */
  batches(): AsyncIterable<readonly T[]>;
  /** All of it. */
  toArray(): Promise<T[]>;
}

/** A value with its key, and the time of the newest record that went into it. */
export interface QueriedRow<K, V> {
  readonly key: K;
  readonly value: V;
  readonly timestampMs: number;
}

/** A value of a key and window. */
export interface QueriedWindow<K, V> extends QueriedRow<K, V> {
  readonly windowStartMs: number;
}

/**
 * A query that goes on: it begins with what is there, and follows what each commit changes, also
 * when the tasks restart. A commit that fails is never seen.
 *
 * It hands over at a later turn of the event loop, and then only the newest value of each key, so
 * that memory does not grow. A subscriber gets that at once; a loop, `for await (...)`, takes its
 * time. Unsubscribing, or leaving the loop, lets go of everything.
 */
export interface LiveQuery<T> extends Observable<T>, AsyncIterable<T> {}

/** A row that a live query has found; without a value if it was deleted. */
export interface WatchedRow<K, V> {
  readonly key: K;
  readonly value: V | undefined;
  readonly timestampMs: number;
}

/** What a commit has done to a row of a table; null for no value. */
export interface TableChange<K, V> {
  readonly key: K;
  readonly oldValue: V | null;
  readonly newValue: V | null;
  /** That of the new value, or of the deletion. */
  readonly timestampMs: number;
}

/** A key-value store of an application, as others than its tasks read it. */
export interface QueryableKeyValueStore<K, V> {
  /** The name that the topology has given it. */
  readonly name: string;
  /** The value of a key, or undefined if there is none. */
  get(key: K): Promise<V | undefined>;
  /** The same with its time. */
  entry(key: K): Promise<QueriedRow<K, V> | undefined>;
  /**
   * The rows of the keys from `from` to `to`, both included, in the order of the bytes of their
   * keys; undefined for no limit.
   */
  range(from: K | undefined, to: K | undefined): QueryResults<QueriedRow<K, V>>;
  /** The same against the order. */
  reverseRange(from: K | undefined, to: K | undefined): QueryResults<QueriedRow<K, V>>;
  /** The rows whose keys begin with the bytes of `prefix`; its serde is by default the keys'. */
  prefixScan<P = K>(prefix: P, serde?: Pick<Serde<P>, 'serialize'>): QueryResults<QueriedRow<K, V>>;
  /** All rows, in the order of the bytes of their keys. */
  all(): QueryResults<QueriedRow<K, V>>;
  /** The same against the order. */
  reverseAll(): QueryResults<QueriedRow<K, V>>;
  /** About how many entries there are, without counting them. */
  approximateNumEntries(): Promise<number>;
  /** The value of a key, and each new one; undefined while there is none. */
  watch(key: K): LiveQuery<V | undefined>;
  /**
   * The rows of the keys from `from` to `to`, both included, by default all of them; then, after
   * commits that change some, those. In the order of the bytes of their keys.
   */
  watchRange(from?: K, to?: K): LiveQuery<readonly WatchedRow<K, V>[]>;
}

/** A window store of an application, as others than its tasks read it. */
export interface QueryableWindowStore<K, V> {
  readonly name: string;
  /** The value of a key in the window that starts then, or undefined if there is none. */
  get(key: K, windowStartMs: number): Promise<V | undefined>;
  /** The same with its time. */
  entry(key: K, windowStartMs: number): Promise<QueriedWindow<K, V> | undefined>;
  /** The values of a key in windows that start from `fromMs` to `toMs`, both included. */
  fetch(key: K, fromMs: number, toMs: number): QueryResults<QueriedWindow<K, V>>;
  /** The same, newest first. */
  backwardFetch(key: K, fromMs: number, toMs: number): QueryResults<QueriedWindow<K, V>>;
  /**
   * The values of all keys, or of those selected, in windows that start from `fromMs` to `toMs`,
   * both included: oldest window first, and in it in the order of the bytes of the keys.
   */
  fetchAll<P = K>(
    fromMs: number,
    toMs: number,
    keys?: KeySelection<K, P>,
  ): QueryResults<QueriedWindow<K, V>>;
  /** The same against the order. */
  backwardFetchAll<P = K>(
    fromMs: number,
    toMs: number,
    keys?: KeySelection<K, P>,
  ): QueryResults<QueriedWindow<K, V>>;
  /** All values, as `fetchAll` has them. */
  all(): QueryResults<QueriedWindow<K, V>>;
  /** The same against the order. */
  backwardAll(): QueryResults<QueriedWindow<K, V>>;
}

/**
 * A table of windows or sessions of an application, as others than its tasks read it, however it is
 * kept. Of a table with a time of grace it has those that have not closed.
 */
export interface QueryableWindowedTable<K, V> {
  readonly name: string;
  /** The value of a key in the window or session that starts then; undefined if there is none. */
  get(key: K, windowStartMs: number): Promise<V | undefined>;
  /** The same with its window and its time. */
  entry(key: K, windowStartMs: number): Promise<QueriedRow<Windowed<K>, V> | undefined>;
  /**
   * The rows of a key whose windows start from `fromMs` to `toMs`, both included, oldest first. By
   * default all of them.
   */
  fetch(key: K, fromMs?: number, toMs?: number): QueryResults<QueriedRow<Windowed<K>, V>>;
  /** The same, newest first. */
  backwardFetch(key: K, fromMs?: number, toMs?: number): QueryResults<QueriedRow<Windowed<K>, V>>;
  /**
   * The same of all keys, or of those selected; those of one start in the order of the bytes of
   * their keys.
   */
  fetchAll<P = K>(
    fromMs?: number,
    toMs?: number,
    keys?: KeySelection<K, P>,
  ): QueryResults<QueriedRow<Windowed<K>, V>>;
  /** The same against the order. */
  backwardFetchAll<P = K>(
    fromMs?: number,
    toMs?: number,
    keys?: KeySelection<K, P>,
  ): QueryResults<QueriedRow<Windowed<K>, V>>;
  /** As `get`, and each new value; a window that closes stays as it was last. */
  watch(key: K, windowStartMs: number): LiveQuery<V | undefined>;
  /** As `fetch`; then, after commits that change some of the rows, those. */
  watchFetch(
    key: K,
    fromMs?: number,
    toMs?: number,
  ): LiveQuery<readonly WatchedRow<Windowed<K>, V>[]>;
  /** As `fetchAll`, in the same way. */
  watchFetchAll(fromMs?: number, toMs?: number): LiveQuery<readonly WatchedRow<Windowed<K>, V>[]>;
}

/** A table of windows or sessions inside a task, however it is kept. */
export interface ReadOnlyWindowedTable<K, V> {
  readonly name: string;
  /** The value of a window of a key, or undefined if there is none; live, as that of a store. */
  get(key: K, windowStartMs: number): V | undefined;
  /** The same with its time, and the end of the window. */
  entry(key: K, windowStartMs: number): QueriedRow<Windowed<K>, V> | undefined;
  /**
   * The windows of a key that start from `fromMs` to `toMs`, both included, oldest first; by
   * default all of them.
   */
  fetch(key: K, fromMs?: number, toMs?: number): IterableIterator<QueriedRow<Windowed<K>, V>>;
  /** The same, newest first. */
  backwardFetch(
    key: K,
    fromMs?: number,
    toMs?: number,
  ): IterableIterator<QueriedRow<Windowed<K>, V>>;
  /** The windows of all keys, or of those selected, as `QueryableWindowedTable` has them. */
  fetchAll<P = K>(
    fromMs?: number,
    toMs?: number,
    keys?: KeySelection<K, P>,
  ): IterableIterator<QueriedRow<Windowed<K>, V>>;
  /** The same against the order. */
  backwardFetchAll<P = K>(
    fromMs?: number,
    toMs?: number,
    keys?: KeySelection<K, P>,
  ): IterableIterator<QueriedRow<Windowed<K>, V>>;
}

/** A session store of an application, as others than its tasks read it. */
export interface QueryableSessionStore<K, V> {
  readonly name: string;
  /** A session by its bounds, or undefined if there is none. */
  get(key: K, bounds: SessionBounds): Promise<Session<V> | undefined>;
  /** The sessions of a key by their ends, oldest first. */
  fetch(key: K, range?: SessionRange): QueryResults<KeySession<K, V>>;
  /** The same, newest first. */
  backwardFetch(key: K, range?: SessionRange): QueryResults<KeySession<K, V>>;
  /**
   * The sessions of the keys from `from` to `to`, both included, in the order of the bytes of their
   * keys; undefined for no limit. Those of a key by their ends.
   */
  fetchAll(from?: K, to?: K, range?: SessionRange): QueryResults<KeySession<K, V>>;
  /** The same against the order. */
  backwardFetchAll(from?: K, to?: K, range?: SessionRange): QueryResults<KeySession<K, V>>;
  /** The same, in order, of the keys that begin with the bytes of `prefix`, as `KeysWithPrefix`. */
  prefixScan<P = K>(
    prefix: P,
    range?: SessionRange,
    serde?: Pick<Serde<P>, 'serialize'>,
  ): QueryResults<KeySession<K, V>>;
}

/** A versioned store of an application, as others than its tasks read it. */
export interface QueryableVersionedStore<K, V> {
  readonly name: string;
  /** The value at a time; undefined if there was none. Default: the latest. */
  get(key: K, asOfMs?: number): Promise<V | undefined>;
  /** The same with the times from and to which it is valid. */
  getVersion(key: K, asOfMs?: number): Promise<VersionOf<V> | undefined>;
  /**
   * The versions of a key that were valid at any time from `fromMs` to `toMs`, both included,
   * oldest first; by default all that the history has.
   */
  history(key: K, fromMs?: number, toMs?: number): QueryResults<VersionOf<V>>;
  /** The same, newest first. */
  backwardHistory(key: K, fromMs?: number, toMs?: number): QueryResults<VersionOf<V>>;
  /**
   * The versions at a time, by default the latest, of the keys from `from` to `to`, both included,
   * in the order of the bytes of their keys; undefined for no limit.
   */
  range(from?: K, to?: K, asOfMs?: number): QueryResults<KeyVersion<K, V>>;
  /** The same against the order. */
  reverseRange(from?: K, to?: K, asOfMs?: number): QueryResults<KeyVersion<K, V>>;
  /** As `range`, of the keys that begin with the bytes of `prefix`, as `KeysWithPrefix`. */
  prefixScan<P = K>(
    prefix: P,
    asOfMs?: number,
    serde?: Pick<Serde<P>, 'serialize'>,
  ): QueryResults<KeyVersion<K, V>>;
}

/** A record store of an application, as others than its tasks read it. */
export interface QueryableRecordStore<K, V> {
  readonly name: string;
  /**
   * The records of a key from `fromMs` to `toMs`, both included, oldest first, those of one time in
   * the order in which they came.
   */
  fetch(key: K, fromMs: number, toMs: number): QueryResults<RecordEntry<K, V>>;
  /** The same against the order. */
  backwardFetch(key: K, fromMs: number, toMs: number): QueryResults<RecordEntry<K, V>>;
  /**
   * The records of all keys, or of those selected, from `fromMs` to `toMs`, both included, in
   * segments of time, oldest first; in each in the order of the bytes of their keys.
   */
  fetchAll<P = K>(
    fromMs: number,
    toMs: number,
    keys?: KeySelection<K, P>,
  ): QueryResults<RecordEntry<K, V>>;
  /** The same against the order. */
  backwardFetchAll<P = K>(
    fromMs: number,
    toMs: number,
    keys?: KeySelection<K, P>,
  ): QueryResults<RecordEntry<K, V>>;
  /** All records, as `fetchAll` has them. */
  all(): QueryResults<RecordEntry<K, V>>;
  /** The same against the order. */
  backwardAll(): QueryResults<RecordEntry<K, V>>;
}

/** How a table is read inside a task, as by the test driver. */
export type ReadOnlyTableStore<K, V> = [K] extends [Windowed<infer I>]
  ? ReadOnlyWindowedTable<I, V>
  : ReadOnlyKeyValueStore<K, V>;

/** How a store of this kind is queried. */
export type Queryable<Store> =
  Store extends ReadOnlyKeyValueStore<infer K, infer V>
    ? QueryableKeyValueStore<K, V>
    : Store extends ReadOnlyWindowStore<infer K, infer V>
      ? QueryableWindowStore<K, V>
      : Store extends ReadOnlySessionStore<infer K, infer V>
        ? QueryableSessionStore<K, V>
        : Store extends ReadOnlyVersionedStore<infer K, infer V>
          ? QueryableVersionedStore<K, V>
          : Store extends ReadOnlyRecordStore<infer K, infer V>
            ? QueryableRecordStore<K, V>
            : Store extends ReadOnlyWindowedTable<infer K, infer V>
              ? QueryableWindowedTable<K, V>
              : never;

/** How a table is queried. */
export type QueryableTable<K, V> = Queryable<ReadOnlyTableStore<K, V>>;

/** What a query sees. */
export interface QueryOptions {
  /**
   * `read_committed` (default): the state of each task as of its last commit. `read_uncommitted`:
   * the newest state, with changes that may still be undone; a list that is not read to its end
   * when a task ends fails with STORE_UNAVAILABLE. Live queries always follow commits.
   */
  readonly isolationLevel?: 'read_committed' | 'read_uncommitted';
}
