import { versionedStore } from '../state/versioned-store.ts';
import { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import { isAbsent } from './stream-join.ts';
import type { TableReader } from './table-reader.ts';

/**
 * Keeps the versions of each key of its topic, each from its record's time on, and passes each on
 * as a change [OP-ASOF-1]. That of a record out of order is not the latest. A record older than the
 * history is dropped as late. Kafka: KTableSource.java with a versioned store.
 */
export function versionedTableSource<K, V>(store: string): Operator<K, V, K, Change<V>> {
  return {
    kind: 'table-source',
    changesKey: false,
    start(forward, context) {
      const table = context.store(versionedStore<K, V>(store));
      const { sendsOldValues } = context;
      return {
        process: (record) => {
          const { key, value, timestampMs } = record;
          if (isAbsent(key)) {
            context.drop('null-key', record);
            return;
          }
          const newValue = isAbsent(value) ? null : value;
          const oldValue = sendsOldValues ? (table.get(key) ?? null) : undefined;
          const put = table.put(key, newValue, timestampMs);
          if (put === 'expired') context.drop('late', record);
          else forward(record.withValue(new Change<V>(newValue, oldValue, put === 'latest')));
        },
      };
    },
  };
}

/** Reads a versioned table: as it was at a time, or else its latest version. */
export function versionedReader<K, V>(store: string): TableReader<K, V> {
  return {
    stores: [store],
    open: (context) => {
      const table = context.store(versionedStore<K, V>(store));
      return (key, asOfMs) => table.getVersion(key, asOfMs);
    },
    openList: (context) => {
      const table = context.store(versionedStore<K, V>(store));
      return (keys, isReverse) => {
        if ('prefix' in keys) return table.prefixScan(keys.prefix, undefined, keys.serde);
        const { from, to } = keys;
        return isReverse ? table.reverseRange(from, to) : table.range(from, to);
      };
    },
  };
}
