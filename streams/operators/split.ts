import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { synchronous } from './results.ts';

/** A value on its way from `split` to its branch. */
export interface Routed<V> {
  readonly branch: number;
  readonly value: V;
}

/**
 * Sends each record to the branch of the first predicate that is true [OP-8]. If none is, it goes
 * to the extra branch after the last one, or nowhere if `hasRest` is false [OP-24].
 */
export function split<K, V>(
  predicates: readonly ((record: StreamRecord<K, V>) => boolean)[],
  hasRest: boolean,
): Operator<K, V, K, Routed<V>> {
  const count = hasRest ? predicates.length + 1 : predicates.length;
  return {
    kind: 'split',
    changesKey: false,
    start: (forward) => ({
      process: (record) => {
        let branch = 0;
        for (const predicate of predicates) {
          if (synchronous(predicate(record))) break;
          branch++;
        }
        if (branch < count) forward(record.withValue({ branch, value: record.value }));
      },
    }),
  };
}

/** Forwards what `split` sends to branch number `branch`. */
export function branch<K, V>(branch: number): Operator<K, Routed<V>, K, V> {
  return {
    kind: 'branch',
    changesKey: false,
    start: (forward) => ({
      process: (record) => {
        if (record.value.branch === branch) forward(record.withValue(record.value.value));
      },
    }),
  };
}
