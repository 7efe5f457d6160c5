import { show } from '../../core/internal.ts';
import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { awaiting, type Awaited } from './awaiting.ts';
import { Lookups, type LookupKey, type LookupsOptions } from './lookups.ts';
import { synchronous } from './results.ts';

/** What a record is enriched with, and how. */
export interface Lookup<K, V, KL, VT, V2> extends Omit<LookupsOptions<KL, VT>, 'nowMs'> {
  readonly by: (record: StreamRecord<K, V>) => KL | null | undefined;
  readonly joiner: (value: V, found: VT | undefined, record: StreamRecord<K, V>) => V2;
}

/** Joins each record with what a function finds for it outside [OP-LOOKUP-1]. */
export function lookup<K, V, KL extends LookupKey, VT, V2>(
  options: Lookup<K, V, KL, VT, V2>,
  awaited: Awaited<K>,
): Operator<K, V, K, V2> {
  const { by, joiner, ...asked } = options;
  return awaiting<K, V, K, V2, VT | undefined>({
    ...{ kind: 'lookup', changesKey: false, isSerial: false },
    // The calls for keys are limited, not the records that wait for them.
    awaited: { ...awaited, concurrency: Infinity },
    start: (calls, context) => {
      const lookups = new Lookups<KL, VT>({ ...asked, nowMs: () => context.wallClockMs() }, calls);
      return {
        ask: (record) => {
          let key: KL | null | undefined;
          try {
            key = checkKey(synchronous(by(record)));
          } catch (error) {
            // It is this record that fails, and not the one in process.
            return Promise.reject(error instanceof Error ? error : new TypeError(String(error)));
          }
          return key === null || key === undefined ? undefined : lookups.get(key);
        },
        answer: (record, found) =>
          record.withValue(synchronous(joiner(record.value, found, record))),
      };
    },
  });
}

/** Without types it may be anything; objects would never be equal. */
function checkKey<KL>(key: KL): KL {
  const kind = typeof key;
  if (key === null || key === undefined || kind === 'string') return key;
  if (kind === 'bigint' || (kind === 'number' && !Number.isNaN(key))) return key;
  throw new TypeError(`a lookup needs a key that is a text or a number, not ${show(key)}`);
}
