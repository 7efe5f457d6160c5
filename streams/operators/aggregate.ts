import { keyValueStore } from '../state/key-value-store.ts';
import type { Change } from '../topology/change.ts';
import type { DropReason, Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { passingOn, passingRows, type TableEmit } from './emit.ts';
import { expiring, TimeToLive } from './time-to-live.ts';

/** How the records of one key become one value, and when that is passed on. */
export interface Aggregation<K, V, A> {
  readonly emit: TableEmit;
  readonly kind: 'count' | 'reduce' | 'aggregate' | 'cogroup' | 'top-n';
  /** The name of its store. */
  readonly store: string;
  /** How long a row stays without a change; undefined for ever. */
  readonly ttlMs?: number | undefined;
  /** Adds a record to a key's current value, undefined at first. Null or undefined delete it. */
  readonly add: (aggregate: A | undefined, record: StreamRecord<K, V>) => A | null | undefined;
  /** False if a record leaves this aggregate as it is: nothing is kept or passed on then. */
  readonly changes?: ((aggregate: A, record: StreamRecord<K, V>) => boolean) | undefined;
}

/**
 * Keeps one value per key in a store and passes its changes on as `emit` says [OP-11]. The time of
 * a result is that of its newest record. An aggregate that becomes null or undefined is deleted,
 * and its result is null, whether or not the key had one before. Records with a null key or value
 * are dropped.
 */
export function aggregate<K, V, A>(
  aggregation: Aggregation<K, V, A>,
): Operator<K, V, K, Change<A>> {
  const { add, changes, emit, ttlMs } = aggregation;
  return {
    kind: aggregation.kind,
    changesKey: false,
    start(forward, context) {
      const store = context.store(keyValueStore<K, A>(aggregation.store));
      let current: StreamRecord<K, V>; // the record that `change` adds: saves a closure per record
      const change = (value: A | undefined) => add(value, current) ?? undefined;
      const apply = (record: StreamRecord<K, V>): void => {
        const reason = reasonToDrop(record);
        if (reason !== undefined) {
          context.drop(reason, record);
          return;
        }
        if (changes !== undefined) {
          const known = store.get(record.key);
          if (known !== undefined && !changes(known, record)) return;
        }
        current = record;
        store.update(record.key, record.timestampMs, change);
      };
      const table = passingOn({ store, emit, apply, forward, context });
      if (ttlMs === undefined) return table;
      const pass = passingRows(forward, context);
      const passChanges = emit === 'each' ? () => store.passChanges(pass) : undefined;
      return expiring(table, { ttl: new TimeToLive(ttlMs, store, context), context, passChanges });
    },
  };
}

/** Why a record is not aggregated, if so. An undefined from a mapper counts as null. */
export function reasonToDrop({ key, value }: StreamRecord): DropReason | undefined {
  if (key === null || key === undefined) return 'null-key';
  return value === null || value === undefined ? 'null-value' : undefined;
}
