import type { Serde } from '../../core/index.ts';
import { able, checkArgument, checkOptions, flag, integer, text } from '../../core/internal.ts';
import { keyValueStore as keyValueHandle } from '../state/key-value-store.ts';
import { windowStore as windowHandle } from '../state/window-store.ts';
import type {
  StoreHandle,
  StoreSpec,
  WritableKeyValueStore,
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
  options: OwnStoreOptions<K, V>,
): OwnStore<K, V, WritableKeyValueStore<K, V>>;
export function keyValueStore<K, V>(name: string): StoreHandle<WritableKeyValueStore<K, V>>;
export function keyValueStore<K, V>(
  name: string,
  options?: OwnStoreOptions<K, V>,
): StoreHandle<WritableKeyValueStore<K, V>> {
  checkArgument('keyValueStore', 'name', name, text);
  if (options === undefined) return keyValueHandle<K, V>(name);
  checkOptions('keyValueStore', options, CHECKS, ['key', 'value']);
  return { ...keyValueHandle<K, V>(name), ...specOf(options) };
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
  const checks = { ...CHECKS, retentionMs: integer(0) };
  checkOptions('windowStore', options, checks, ['key', 'value', 'retentionMs']);
  // The node is that of the first processor connected to it.
  const expiry = { lifeMs: options.retentionMs, node: '' };
  const spec = { ...specOf(options), expiry };
  return { ...windowHandle<K, V>(name), ...spec };
}

const serde = able('a serde, such as string()', 'serialize', 'deserialize');
const CHECKS = { key: serde, value: serde, changelog: flag, persistent: flag };

function specOf<K, V>(options: OwnStoreOptions<K, V>): Omit<StoreSpec<K, V>, keyof StoreHandle> {
  const { key, value, changelog = true, persistent = true } = options;
  return { key, value, backing: changelog ? 'changelog' : 'none', persistent };
}
