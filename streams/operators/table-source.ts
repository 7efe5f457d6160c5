import { keyValueStore } from '../state/key-value-store.ts';
import type { Operator } from '../topology/operator.ts';

/**
 * Keeps the newest value of each key of its topic in a store, and forwards each change [OP-10]. A
 * null value deletes; records without a key are dropped.
 */
export function tableSource<K, V>(store: string): Operator<K, V, K, V> {
  return {
    kind: 'table-source',
    changesKey: false,
    start(forward, context) {
      const table = context.store(keyValueStore<K, V>(store));
      return {
        process: (record) => {
          const { key, value, timestampMs } = record;
          if (key === null) {
            context.drop('null-key');
            return;
          }
          if (value === null) table.delete(key, timestampMs);
          else table.put(key, value, timestampMs);
          forward(record);
        },
      };
    },
  };
}
