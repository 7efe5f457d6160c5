import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { keyValue, synchronous, type KeyValue } from './results.ts';

/**
 * Replaces key and value; time and headers stay [OP-2]. A later grouping goes through a repartition
 * topic.
 */
export function map<K, V, K2, V2>(
  mapper: (record: StreamRecord<K, V>) => KeyValue<K2, V2>,
): Operator<K, V, K2, V2> {
  return {
    kind: 'map',
    changesKey: true,
    start: (forward) => ({
      process: (record) => {
        const { key, value } = keyValue(mapper(record));
        forward(record.withKeyValue(key, value));
      },
    }),
  };
}

/** Replaces the value; the key stays, so no repartition topic follows [OP-3]. */
export function mapValues<K, V, V2>(
  mapper: (value: V, record: StreamRecord<K, V>) => V2,
): Operator<K, V, K, V2> {
  return {
    kind: 'map-values',
    changesKey: false,
    start: (forward) => ({
      process: (record) => forward(record.withValue(synchronous(mapper(record.value, record)))),
    }),
  };
}

/** Replaces the key. A later grouping goes through a repartition topic [OP-4]. */
export function selectKey<K, V, K2>(
  selector: (record: StreamRecord<K, V>) => K2,
): Operator<K, V, K2, V> {
  return {
    kind: 'select-key',
    changesKey: true,
    start: (forward) => ({
      process: (record) => {
        forward(record.withKeyValue(synchronous(selector(record)), record.value));
      },
    }),
  };
}
