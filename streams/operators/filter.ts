import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { synchronous } from './results.ts';

/**
 * Forwards the records for which `predicate` is true, unchanged and in order [OP-1].
 *
 * Stateless. The key stays, so no repartition topic follows.
 */
export function filter<K, V>(
  predicate: (record: StreamRecord<K, V>) => boolean,
): Operator<K, V, K, V> {
  return {
    kind: 'filter',
    changesKey: false,
    start: (forward) => ({
      process: (record) => {
        if (synchronous(predicate(record))) forward(record);
      },
    }),
  };
}

/** Forwards the records for which `predicate` is false [OP-21]. */
export function filterNot<K, V>(
  predicate: (record: StreamRecord<K, V>) => boolean,
): Operator<K, V, K, V> {
  return {
    ...filter<K, V>((record) => !synchronous(predicate(record))),
    kind: 'filter-not',
  };
}
