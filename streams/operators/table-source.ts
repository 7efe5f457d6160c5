import { keyValueStore } from '../state/key-value-store.ts';
import type { Change } from '../topology/change.ts';
import type { Operator, Processor } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { changeOf, passingOn, type TableEmit } from './emit.ts';
import { resultRecord } from './results.ts';
import { expiring, TimeToLive, type OnExpired } from './time-to-live.ts';

/**
 * Keeps the newest value of each key of its topic in a store, and passes its changes on as `emit`
 * says; with `each` these are its records [OP-10]. A null value deletes; records without a key are
 * dropped.
 *
 * @param ttlMs How long a row stays without a change; default: for ever [OP-TTL-1].
 */
export function tableSource<K, V>(
  store: string,
  emit: TableEmit,
  ttlMs?: number,
): Operator<K, V, K, Change<V>> {
  return {
    kind: 'table-source',
    changesKey: false,
    start(forward, context) {
      const table = context.store(keyValueStore<K, V>(store));
      const { sendsOldValues } = context;
      const apply = (record: StreamRecord<K, V>): void => {
        const { key, value, timestampMs } = record;
        if (isAbsent(key)) context.drop('null-key', record);
        else if (isAbsent(value)) table.delete(key, timestampMs);
        else table.put(key, value, timestampMs);
      };
      const ttl = ttlMs === undefined ? undefined : new TimeToLive<K, V>(ttlMs, table, context);
      if (emit !== 'each') {
        const passing = passingOn({ store: table, emit, apply, forward, context });
        return ttl === undefined ? passing : expiring(passing, { ttl, context });
      }
      // Its values are not changed in place, so that none has to be copied.
      const passing: Processor<K, V> = {
        process: (record) => {
          const { key, value } = record;
          const before = sendsOldValues && !isAbsent(key) ? table.get(key) : undefined;
          apply(record);
          if (isAbsent(key)) return;
          forward(record.withValue(changeOf(value ?? undefined, before, sendsOldValues)));
        },
      };
      if (ttl === undefined) return passing;
      const onExpired: OnExpired<K, V> = (key, before, timestampMs) => {
        const change = changeOf(undefined, before, sendsOldValues);
        forward(resultRecord(key, change, timestampMs, context.partition));
      };
      return expiring(passing, { ttl, context, onExpired });
    },
  };
}

/** An undefined from a mapper counts as null. */
function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}
