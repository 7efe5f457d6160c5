import type { Serde } from '../../core/index.ts';
import type { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import { copying } from '../state/copying.ts';

/**
 * Forwards the new values of a table's changes; null for a deleted row.
 *
 * The table may later change the object in place. So if an operator behind this one may keep it, it
 * gets a copy [OP-TABLE-10].
 */
export function changesToStream<K, V>(serde: Serde<NonNullable<V>>): Operator<K, Change<V>, K, V> {
  return {
    kind: 'to-stream',
    changesKey: false,
    start(forward, { areValuesKept }) {
      if (!areValuesKept) {
        return { process: (record) => forward(record.withValue(record.value.newValue as V)) };
      }
      const copy = copying<V>(serde);
      return { process: (record) => forward(record.withValue(copy(record.value.newValue) as V)) };
    },
  };
}

/**
 * The same without the changes of the past, as a versioned table has: so the last record of a key
 * is its row.
 */
export function latestToStream<K, V>(serde: Serde<NonNullable<V>>): Operator<K, Change<V>, K, V> {
  const all = changesToStream<K, V>(serde);
  return {
    ...all,
    start(forward, context) {
      const passing = all.start(forward, context);
      return {
        process: (record) => {
          if (record.value.isLatest) passing.process(record);
          else context.drop('late', record);
        },
      };
    },
  };
}
