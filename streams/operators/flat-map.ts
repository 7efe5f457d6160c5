import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { keyValue, several, synchronous, type KeyValue } from './results.ts';

/** Turns each record into any number, in the order of the iterable [OP-5]. */
export function flatMap<K, V, K2, V2>(
  mapper: (record: StreamRecord<K, V>) => Iterable<KeyValue<K2, V2>>,
): Operator<K, V, K2, V2> {
  return {
    kind: 'flat-map',
    changesKey: true,
    start: (forward) => ({
      process: (record) => {
        for (const made of several(mapper(record))) {
          const { key, value } = keyValue(made);
          forward(record.withKeyValue(key, value));
        }
      },
    }),
  };
}

/** The same for the value alone; the key stays, so no repartition topic follows [OP-5]. */
export function flatMapValues<K, V, V2>(
  mapper: (value: V, record: StreamRecord<K, V>) => Iterable<V2>,
): Operator<K, V, K, V2> {
  return {
    kind: 'flat-map-values',
    changesKey: false,
    start: (forward) => ({
      process: (record) => {
        for (const value of several(mapper(record.value, record))) {
          forward(record.withValue(synchronous(value)));
        }
      },
    }),
  };
}
