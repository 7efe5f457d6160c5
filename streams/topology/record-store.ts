import type { KeySelection } from './store.ts';
import type { StreamRecord } from './stream-record.ts';

/** A record that a store keeps. */
export interface KeptRecord<K, V> {
  readonly recordKey: K;
  readonly recordValue: V | undefined;
  readonly timestampMs: number;
}

/** A record of a record store. */
export interface RecordEntry<K, V> {
  readonly key: K;
  readonly value: V;
  readonly timestampMs: number;
}

/** A store of records that can be read; of a key and time it may have several. */
export interface ReadOnlyRecordStore<K, V> {
  readonly name: string;
  /**
   * The records of a key from `fromMs` to `toMs`, both included, oldest first, those of one time in
   * the order in which they came. Read while it is iterated, as in a key-value store.
   */
  fetch(key: K, fromMs: number, toMs: number): IterableIterator<RecordEntry<K, V>>;
  /** The same against the order. */
  backwardFetch(key: K, fromMs: number, toMs: number): IterableIterator<RecordEntry<K, V>>;
  /**
   * The records of all keys, or of those selected, from `fromMs` to `toMs`, both included, in
   * segments of time, oldest first; in each in the order of the bytes of their keys, those of a key
   * as `fetch` has them.
   */
  fetchAll<P = K>(
    fromMs: number,
    toMs: number,
    keys?: KeySelection<K, P>,
  ): IterableIterator<RecordEntry<K, V>>;
  /** The same against the order. */
  backwardFetchAll<P = K>(
    fromMs: number,
    toMs: number,
    keys?: KeySelection<K, P>,
  ): IterableIterator<RecordEntry<K, V>>;
  /** All records, as `fetchAll` has them. */
  all(): IterableIterator<RecordEntry<K, V>>;
  /** The same against the order. */
  backwardAll(): IterableIterator<RecordEntry<K, V>>;
}

/** A store of records of a task, which reads its own writes. */
export interface WritableRecordStore<K, V> extends ReadOnlyRecordStore<K, V> {
  /**
   * Keeps a record besides those of its key and time that are there.
   *
   * @throws LogError INVALID_OPTION for a time before 1970, or that is no whole millisecond.
   */
  put(key: K, value: V, timestampMs: number): void;
}

/**
 * The same as joins use it. A record is found by its key and time, and may wait for a time at which
 * it is passed on: from then on it is not found any more, but its time still counts.
 */
export interface RecordStore<K, V> extends WritableRecordStore<K, V> {
  /** The time of the newest record ever kept; -Infinity before the first. */
  readonly newestMs: number;
  /**
   * Keeps a record. `waiting`: until `takeWaiting` passes it on, unless it is matched before.
   * `passed`: it was passed on already, so that nothing finds it.
   */
  add(record: StreamRecord<K, V>, state: 'kept' | 'waiting' | 'passed'): void;
  /**
   * Visits the records of a key from `fromMs` to `toMs`, both included, oldest first, those of one
   * time in the order in which they came. Do not add records of the key meanwhile.
   */
  find(key: K, fromMs: number, toMs: number, visit: (record: KeptRecord<K, V>) => void): void;
  /** As `find`; those that it visits no longer wait. */
  match(key: K, fromMs: number, toMs: number, visit: (record: KeptRecord<K, V>) => void): void;
  /** The time of the oldest record that waits; Infinity for none. */
  oldestWaitingMs(): number;
  /**
   * The records up to `untilMs` that wait, which then have been passed on: oldest first, those of
   * one time in the order of their keys' bytes, those of one key in the order in which they came.
   */
  takeWaiting(untilMs: number): StreamRecord<K, V>[];
  /**
   * Records before this time have expired. Their life ends by the newest record of the store, but
   * not before stream time has got there too.
   */
  expiredBeforeMs(streamTimeMs: number): number;
  /** Removes what has expired. */
  expire(streamTimeMs: number): void;
}
