import type { Serde } from '../../core/index.ts';
import type { AsyncOrder } from '../operators/awaiting.ts';
import type { NodeOptions, RekeyingOptions } from './node-options.ts';

/** Options of an operator whose function may take its time. */
export interface AsyncOptions<K, V> extends NodeOptions {
  /** How many calls each task may have under way; 1 to 10,000. Default 16. */
  readonly concurrency?: number;
  /**
   * In which order results are passed on.
   *
   * - `partition`: that of the records. The next ones are called meanwhile; a slow call delays what
   *   comes after it.
   * - `key`: that of the records of a key, which are called one after the other. A slow call
   *   delays its key alone, and a key has one call at a time. Records without a key have no order.
   * - `none`: that in which calls end.
   *
   * Default: `partition`.
   */
  readonly order?: AsyncOrder;
  /**
   * How long a call may take, in milliseconds, 1 or more; then its signal is aborted, what it still
   * returns is ignored, and it has failed. Default 30,000.
   */
  readonly timeoutMs?: number;
  /**
   * How often a call that fails is repeated, 0 to 1,000, before `onError` decides. Only its own
   * record waits, and those that come after it in the order; others go on. Default 0.
   */
  readonly retries?: number;
  /** How long to wait before the first retry; it doubles with each, up to 1 min. Default 100 ms. */
  readonly backoffMs?: number;
  /**
   * How many records may wait for their results in each task, before it reads no more; 1 to
   * 1,000,000. What one record or a closing window brings is taken whole. Default: four times the
   * concurrency.
   */
  readonly maxPending?: number;
  /** Names the store of the records that wait, and its changelog. Default: the node's name. */
  readonly store?: string;
  /** Writes the keys of records that wait. Default: the stream's serde, or msgpack. */
  readonly key?: Serde<K>;
  /** Writes the values of records that wait. Default: the stream's serde, or msgpack. */
  readonly value?: Serde<V>;
}

/** The same of an operator whose results may have other keys. */
export interface AsyncRekeyingOptions<K, V> extends AsyncOptions<K, V>, RekeyingOptions {}

/** How long a lookup keeps what it has found, in the memory of each task. */
export interface LookupCacheOptions {
  /** How many keys are kept, 1 or more; those used least recently go first. Default 10,000. */
  readonly maxEntries?: number;
  /** How long a value is used before it is asked for again, in milliseconds; 1 or more. */
  readonly ttlMs: number;
  /** The same for keys for which nothing was found. Default 0: they are asked for each time. */
  readonly missesTtlMs?: number;
}

/** Options of a lookup. `concurrency` limits the calls; records of a key never need two at once. */
export interface LookupOptions<K, V> extends AsyncOptions<K, V> {
  /** Default: nothing is kept. Then records that wait at the same time still share a call. */
  readonly cache?: LookupCacheOptions;
}

/** Options of a lookup of many keys at once. */
export interface LookupManyOptions<K, V> extends LookupOptions<K, V> {
  /** How many keys a call asks for at most, 1 to 100,000. Default 100. */
  readonly batchMax?: number;
}
