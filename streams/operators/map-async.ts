import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { awaiting, type Awaited } from './awaiting.ts';
import type { AsyncCall } from './calls.ts';
import { keyValue, type KeyValue } from './results.ts';

/** As `map`, with a function that may take its time [OP-ASYNC-1]. */
export function mapAsync<K, V, K2, V2>(
  mapper: (
    record: StreamRecord<K, V>,
    call: AsyncCall,
  ) => KeyValue<K2, V2> | PromiseLike<KeyValue<K2, V2>>,
  awaited: Awaited<K>,
): Operator<K, V, K2, V2> {
  return awaiting<K, V, K2, V2, KeyValue<K2, V2>>({
    ...{ kind: 'map-async', changesKey: true, awaited, isSerial: true },
    start: (calls) => ({
      ask: (record) => calls.run((call) => mapper(record, call)),
      answer: (record, result) => {
        const { key, value } = keyValue(result);
        return record.withKeyValue(key, value);
      },
    }),
  });
}

/** As `mapValues`, with a function that may take its time. */
export function mapValuesAsync<K, V, V2>(
  mapper: (value: V, record: StreamRecord<K, V>, call: AsyncCall) => V2 | PromiseLike<V2>,
  awaited: Awaited<K>,
): Operator<K, V, K, V2> {
  return awaiting<K, V, K, V2, V2>({
    ...{ kind: 'map-values-async', changesKey: false, awaited, isSerial: true },
    start: (calls) => ({
      ask: (record) => calls.run((call) => mapper(record.value, record, call)),
      answer: (record, value) => record.withValue(value),
    }),
  });
}

/** As `filter`, with a predicate that may take its time. */
export function filterAsync<K, V>(
  predicate: (record: StreamRecord<K, V>, call: AsyncCall) => boolean | PromiseLike<boolean>,
  awaited: Awaited<K>,
): Operator<K, V, K, V> {
  return awaiting<K, V, K, V, boolean>({
    ...{ kind: 'filter-async', changesKey: false, awaited, isSerial: true },
    start: (calls) => ({
      ask: (record) => calls.run((call) => predicate(record, call)),
      answer: (record, isKept) => (isKept ? record : undefined),
    }),
  });
}
