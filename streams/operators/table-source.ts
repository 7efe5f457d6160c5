import { keyValueStore } from '../state/key-value-store.ts';
import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { passingOn, type TableEmit } from './emit.ts';

/**
 * Keeps the newest value of each key of its topic in a store, and passes its changes on as `emit`
 * says; with `each` these are its records [OP-10]. A null value deletes; records without a key are
 * dropped.
 */
export function tableSource<K, V>(store: string, emit: TableEmit): Operator<K, V, K, V> {
  return {
    kind: 'table-source',
    changesKey: false,
    start(forward, context) {
      const table = context.store(keyValueStore<K, V>(store));
      const apply = (record: StreamRecord<K, V>): boolean => {
        const { key, value, timestampMs } = record;
        if (key === null) {
          context.drop('null-key');
          return false;
        }
        if (value === null) table.delete(key, timestampMs);
        else table.put(key, value, timestampMs);
        return true;
      };
      if (emit !== 'each') return passingOn({ store: table, emit, apply, forward, context });
      return {
        process: (record) => {
          if (apply(record)) forward(record);
        },
      };
    },
  };
}
