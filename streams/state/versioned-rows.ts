import type {
  KeyVersion,
  ReadOnlyKeyValueStore,
  ReadOnlyVersionedStore,
  StoreEntry,
} from '../topology/store.ts';

/** The latest version of each key, as the rows of a table. */
export function newestRows<K, V>(store: ReadOnlyVersionedStore<K, V>): ReadOnlyKeyValueStore<K, V> {
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
    prefixScan: (prefix, serde) => rowsOf(store.prefixScan(prefix, undefined, serde)),
    all: () => rowsOf(store.range()),
    reverseAll: () => rowsOf(store.reverseRange()),
    entries: () => store.entries(),
  };
}
