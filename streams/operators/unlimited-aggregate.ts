import { keyValueStore } from '../state/key-value-store.ts';
import type { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { UnlimitedWindows, Windowed } from '../topology/windows.ts';
import { reasonToDrop, type Aggregation } from './aggregate.ts';
import { passingOn } from './emit.ts';

export interface UnlimitedAggregation<K, V, A> extends Aggregation<K, V, A> {
  readonly windows: UnlimitedWindows;
}

/**
 * Keeps one value for each key, of the records from the window's start on; older ones are left out
 * as by a filter [OP-UNLIMITED-1].
 */
export function unlimitedAggregate<K, V, A>({
  add,
  emit,
  windows: { startMs },
  ...aggregation
}: UnlimitedAggregation<K, V, A>): Operator<K, V, Windowed<K>, Change<A>> {
  return {
    kind: `unlimited-${aggregation.kind}`,
    changesKey: false,
    start(forward, context) {
      const store = context.store(keyValueStore<Windowed<K>, A>(aggregation.store));
      let current: StreamRecord<K, V>; // the record that `change` adds: saves a closure per record
      const change = (value: A | undefined) => add(value, current) ?? undefined;
      const apply = (record: StreamRecord<K, V>): void => {
        const reason = reasonToDrop(record);
        if (reason !== undefined) {
          context.drop(reason, record);
          return;
        }
        const { key, timestampMs } = record;
        if (timestampMs < startMs) return;
        current = record;
        const windowed = { key, windowStartMs: startMs, windowEndMs: Infinity };
        store.update(windowed, timestampMs, change);
      };
      return passingOn<Windowed<K>, V, A, K>({ store, emit, apply, forward, context });
    },
  };
}
