import type { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';

/** Forwards the new values of a table's changes; null for a deleted row. */
export function changesToStream<K, V>(): Operator<K, Change<V>, K, V> {
  return {
    kind: 'to-stream',
    changesKey: false,
    start: (forward) => ({
      process: (record) => forward(record.withValue(record.value.newValue as V)),
    }),
  };
}
