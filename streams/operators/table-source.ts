import { keyValueStore } from '../state/key-value-store.ts';
import type { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { changeOf, passingOn, type TableEmit } from './emit.ts';

/**
 * Keeps the newest value of each key of its topic in a store, and passes its changes on as `emit`
 * says; with `each` these are its records [OP-10]. A null value deletes; records without a key are
 * dropped.
 */
export function tableSource<K, V>(store: string, emit: TableEmit): Operator<K, V, K, Change<V>> {
  return {
    kind: 'table-source',
    changesKey: false,
    start(forward, context) {
      const table = context.store(keyValueStore<K, V>(store));
      const { sendsOldValues } = context;
      const apply = ({ key, value, timestampMs }: StreamRecord<K, V>): void => {
        if (isAbsent(key)) context.drop('null-key');
        else if (isAbsent(value)) table.delete(key, timestampMs);
        else table.put(key, value, timestampMs);
      };
      if (emit !== 'each') return passingOn({ store: table, emit, apply, forward, context });
      // Its values are not changed in place, so that none has to be copied.
      return {
        process: (record) => {
          const { key, value } = record;
          const before = sendsOldValues && !isAbsent(key) ? table.get(key) : undefined;
          apply(record);
          if (isAbsent(key)) return;
          forward(record.withValue(changeOf(value ?? undefined, before, sendsOldValues)));
        },
      };
    },
  };
}

/** An undefined from a mapper counts as null. */
function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}
