import type { Serde } from '../../core/index.ts';
import { able, checkArgument, checkOptions, flag, integer, text } from '../../core/internal.ts';
import { timesStoreOf } from '../operators/time-to-live.ts';
import { keyValueStore as keyValueHandle } from '../state/key-value-store.ts';
import { recordStore as recordHandle } from '../state/record-store.ts';
import { sessionStore as sessionHandle, sessionStoreSpec } from '../state/session-store.ts';
import { versionedStore as versionedHandle } from '../state/versioned-store.ts';
import { windowStore as windowHandle } from '../state/window-store.ts';
import type { WritableRecordStore } from '../topology/record-store.ts';
import type {
  StoreHandle,
  StoreSpec,
  VersionedStore,
  WritableKeyValueStore,
  WritableSessionStore,
  WritableWindowStore,
} from '../topology/store.ts';

/** A store of your own, to be added with `StreamsBuilder.addStore`. */
export type OwnStore<K, V, Store> = StoreSpec<K, V> & StoreHandle<Store>;

/** What a store of your own keeps, and how. */
export interface OwnStoreOptions<K, V> {
  /** Writes the keys into changelog and checkpoint. */
  readonly key: Serde<K>;
  /** Writes the values into changelog and checkpoint. */
  readonly value: Serde<V>;
  /**
   * False for a store without a changelog: it is there again after an end in order, and empty after
   * a crash or another failure. Default: true.
   */
  readonly changelog?: boolean;
  /**
   * False for a store in memory, which each start reads back from the changelog, all of it.
   * Default: true.
   */
  readonly persistent?: boolean;
}

/** The same for a key-value store. */
export interface OwnKeyValueStoreOptions<K, V> extends OwnStoreOptions<K, V> {
  /**
   * How long an entry stays without a change: until the event time of the first processor connected
   * to the store is this much later than that of its last change, and at most a 16th of this
   * longer; then it is deleted. In milliseconds. Default: entries stay until they are deleted.
   */
  readonly ttlMs?: number;
}

/** The same for a store of windows. */
export interface OwnWindowStoreOptions<K, V> extends OwnStoreOptions<K, V> {
  /**
   * How long a window stays: until the event time of the first processor connected to the store is
   * this much later than the window's start. In milliseconds.
   */
  readonly retentionMs: number;
}

/**
 * A key-value store for processors. With a name alone, and its types, it names a store that there
 * is, such as that of a table, for the test driver.
 *
 * @example
 * const seen = builder.addStore(keyValueStore('seen', { key: string(), value: int64() }));
 * driver.store(keyValueStore<string, number>('counts')).get('a');
 */
export function keyValueStore<K, V>(
  name: string,
  options: OwnKeyValueStoreOptions<K, V>,
): OwnStore<K, V, WritableKeyValueStore<K, V>>;
export function keyValueStore<K, V>(name: string): StoreHandle<WritableKeyValueStore<K, V>>;
export function keyValueStore<K, V>(
  name: string,
  options?: OwnKeyValueStoreOptions<K, V>,
): StoreHandle<WritableKeyValueStore<K, V>> {
  checkArgument('keyValueStore', 'name', name, text);
  if (options === undefined) return keyValueHandle<K, V>(name);
  const checks = { ...CHECKS, ttlMs: integer(1) };
  checkOptions('keyValueStore', options, checks, ['key', 'value']);
  const { ttlMs } = options;
  const ttl = ttlMs === undefined ? {} : { ttl: { ttlMs, times: timesStoreOf(name) } };
  return { ...keyValueHandle<K, V>(name), ...specOf(options), ...ttl };
}

/**
 * A store of a value for each key and window, for processors. With a name alone it names a store
 * that there is, as `keyValueStore` does.
 */
export function windowStore<K, V>(
  name: string,
  options: OwnWindowStoreOptions<K, V>,
): OwnStore<K, V, WritableWindowStore<K, V>>;
export function windowStore<K, V>(name: string): StoreHandle<WritableWindowStore<K, V>>;
export function windowStore<K, V>(
  name: string,
  options?: OwnWindowStoreOptions<K, V>,
): StoreHandle<WritableWindowStore<K, V>> {
  checkArgument('windowStore', 'name', name, text);
  if (options === undefined) return windowHandle<K, V>(name);
  checkOptions('windowStore', options, RETAINED, ['key', 'value', 'retentionMs']);
  // The node is that of the first processor connected to it.
  const expiry = { lifeMs: options.retentionMs, node: '' };
  const spec = { ...specOf(options), expiry };
  return { ...windowHandle<K, V>(name), ...spec };
}

/** The same for a store of sessions. */
export interface OwnSessionStoreOptions<K, V> extends OwnStoreOptions<K, V> {
  /**
   * How long a session stays: until the event time of the first processor connected to the store is
   * this much later than its end, and at most a 16th of that longer. In milliseconds.
   */
  readonly retentionMs: number;
}

/**
 * A store of a value for each key and stretch of time, for processors. With a name alone it names a
 * store that there is, such as that of an aggregation in session or sliding windows.
 */
export function sessionStore<K, V>(
  name: string,
  options: OwnSessionStoreOptions<K, V>,
): OwnStore<K, V, WritableSessionStore<K, V>>;
export function sessionStore<K, V>(name: string): StoreHandle<WritableSessionStore<K, V>>;
export function sessionStore<K, V>(
  name: string,
  options?: OwnSessionStoreOptions<K, V>,
): StoreHandle<WritableSessionStore<K, V>> {
  checkArgument('sessionStore', 'name', name, text);
  if (options === undefined) return sessionHandle<K, V>(name);
  checkOptions('sessionStore', options, RETAINED, ['key', 'value', 'retentionMs']);
  const { key, value, retentionMs } = options;
  const times = { reachMs: 0, lifeMs: retentionMs };
  // The node is that of the first processor connected to it, as of all that expire.
  const { expiry, stretchMs } = sessionStoreSpec({ store: name, node: '', key, value, ...times });
  const spec = { ...specOf(options), expiry, stretchMs };
  return { ...sessionHandle<K, V>(name), ...spec };
}

/** The same for a versioned store. */
export interface OwnVersionedStoreOptions<K, V> extends OwnStoreOptions<K, V> {
  /** How far back from the newest time ever put it can be read, in milliseconds. */
  readonly historyMs: number;
}

/**
 * A store of the versions of each key, for processors. With a name alone it names a store that
 * there is, such as that of a versioned table.
 *
 * @example
 * const prices = versionedStore('prices', { key: string(), value: double(), historyMs: days(1) });
 * store.get('tea', timestampMs); // as of then
 */
export function versionedStore<K, V>(
  name: string,
  options: OwnVersionedStoreOptions<K, V>,
): OwnStore<K, V, VersionedStore<K, V>>;
export function versionedStore<K, V>(name: string): StoreHandle<VersionedStore<K, V>>;
export function versionedStore<K, V>(
  name: string,
  options?: OwnVersionedStoreOptions<K, V>,
): StoreHandle<VersionedStore<K, V>> {
  checkArgument('versionedStore', 'name', name, text);
  if (options === undefined) return versionedHandle<K, V>(name);
  const checks = { ...CHECKS, historyMs: integer(0) };
  checkOptions('versionedStore', options, checks, ['key', 'value', 'historyMs']);
  const spec = { ...specOf(options), historyMs: options.historyMs };
  return { ...versionedHandle<K, V>(name), ...spec };
}

/** The same for a store of records. */
export interface OwnRecordStoreOptions<K, V> extends OwnStoreOptions<K, V> {
  /**
   * How long a record stays: until the event time of the first processor connected to the store,
   * and that of the newest record, are this much later than its own, and up to half as long again,
   * or up to a second if that is more. In milliseconds.
   */
  readonly retentionMs: number;
}

/**
 * A store of records, also of several with one key and time, for processors (Kafka Streams: a
 * window store that retains duplicates). With a name alone it names a store that there is.
 */
export function recordStore<K, V>(
  name: string,
  options: OwnRecordStoreOptions<K, V>,
): OwnStore<K, V, WritableRecordStore<K, V>>;
export function recordStore<K, V>(name: string): StoreHandle<WritableRecordStore<K, V>>;
export function recordStore<K, V>(
  name: string,
  options?: OwnRecordStoreOptions<K, V>,
): StoreHandle<WritableRecordStore<K, V>> {
  checkArgument('recordStore', 'name', name, text);
  if (options === undefined) return recordHandle<K, V>(name);
  checkOptions('recordStore', options, RETAINED, ['key', 'value', 'retentionMs']);
  const spec = { ...specOf(options), expiry: { lifeMs: options.retentionMs, node: '' } };
  return { ...recordHandle<K, V>(name), ...spec };
}

const serde = able('a serde, such as string()', 'serialize', 'deserialize');
const CHECKS = { key: serde, value: serde, changelog: flag, persistent: flag };
const RETAINED = { ...CHECKS, retentionMs: integer(0) };

function specOf<K, V>(options: OwnStoreOptions<K, V>): Omit<StoreSpec<K, V>, keyof StoreHandle> {
  const { key, value, changelog = true, persistent = true } = options;
  return { key, value, backing: changelog ? 'changelog' : 'none', persistent };
}
