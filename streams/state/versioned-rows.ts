import { serializeToBytes, type Serde } from '../../core/index.ts';
import type {
  KeyVersion,
  ReadOnlyKeyValueStore,
  ReadOnlyVersionedStore,
  StoreEntry,
  StoreSpec,
} from '../topology/store.ts';

/** A versioned store of a task. */
export type VersionedRows<K, V> = ReadOnlyVersionedStore<K, V> & { readonly spec: StoreSpec };

/** The latest version of each key, as the rows of a table. */
export function newestRows<K, V>(store: VersionedRows<K, V>): ReadOnlyKeyValueStore<K, V> {
  const rowOf = (row: Omit<KeyVersion<K, V>, 'validToMs'>): StoreEntry<K, V> => {
    return {
      key: row.key,
      windowStartMs: undefined,
      value: row.value,
      timestampMs: row.timestampMs,
    };
  };
  function* rowsOf(versions: Iterable<KeyVersion<K, V>>): IterableIterator<StoreEntry<K, V>> {
    for (const version of versions) yield rowOf(version);
  }
  const keySerde = store.spec.key as Serde<K>;
  function* withPrefix(prefix: Buffer): IterableIterator<StoreEntry<K, V>> {
    for (const version of store.range()) {
      const bytes = serializeToBytes(keySerde, version.key);
      if (bytes.subarray(0, prefix.length).equals(prefix)) yield rowOf(version);
    }
  }
  return {
    name: store.name,
    size: undefined,
    get: (key) => store.get(key),
    entry: (key) => {
      const version = store.getVersion(key);
      return version && rowOf({ key, ...version });
    },
    range: (from, to) => rowsOf(store.range(from, to)),
    reverseRange: (from, to) => rowsOf(store.reverseRange(from, to)),
    prefixScan: <P>(prefix: P, serde?: Pick<Serde<P>, 'serialize'>) =>
      withPrefix(serializeToBytes((serde ?? keySerde) as Serde<P>, prefix)),
    all: () => rowsOf(store.range()),
    reverseAll: () => rowsOf(store.reverseRange()),
    entries: () => store.entries(),
  };
}
