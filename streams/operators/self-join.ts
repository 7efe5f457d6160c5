import { recordStore } from '../state/record-store.ts';
import type { Operator } from '../topology/operator.ts';
import type { KeptRecord } from '../topology/record-store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { synchronous } from './results.ts';
import { isAbsent, STREAM_JOIN_KINDS, type StreamJoin } from './stream-join.ts';

/**
 * Joins a stream with itself, with one store for both sides [OP-JOIN-5]. The results are those of
 * a join of two streams: first the record as the left one, then as the right one, also with itself.
 */
export function joinWithItself<K, V, R>(
  join: Omit<StreamJoin<K, V, V, R>, 'kind' | 'rightStore'>,
): Operator<K, V, K, R> {
  const { window, joiner, leftStore } = join;
  const { beforeMs, afterMs } = window;
  return {
    kind: STREAM_JOIN_KINDS.inner,
    changesKey: false,
    start(forward, context) {
      const store = context.store(recordStore<K, V>(leftStore));
      let current: StreamRecord<K, V>; // saves a closure for each record
      const pass = (value: R, partnerMs: number): void =>
        forward(current.with(current.key, value, Math.max(current.timestampMs, partnerMs)));
      const asLeft = ({ recordValue, timestampMs }: KeptRecord<K, V>): void =>
        pass(synchronous(joiner(current.value, recordValue, current)), timestampMs);
      const asRight = ({ recordValue, timestampMs }: KeptRecord<K, V>): void =>
        pass(synchronous(joiner(recordValue, current.value, current)), timestampMs);
      return {
        deadlineMs: Infinity, // its time is kept, for what has expired
        advance: () => undefined,
        process: (record) => {
          const { key, value, timestampMs } = record;
          if (isAbsent(value)) {
            context.drop('null-value', record);
            return;
          }
          if (isAbsent(key)) {
            context.drop('null-key', record);
            return;
          }
          current = record;
          const streamTimeMs = context.streamTimeMs();
          const aliveMs = store.expiredBeforeMs(streamTimeMs);
          store.find(key, Math.max(timestampMs - beforeMs, aliveMs), timestampMs + afterMs, asLeft);
          if (timestampMs < aliveMs) context.drop('late', record);
          else store.add(record, 'kept');
          const nowMs = store.expiredBeforeMs(streamTimeMs);
          store.find(key, Math.max(timestampMs - afterMs, nowMs), timestampMs + beforeMs, asRight);
          store.expire(streamTimeMs);
        },
      };
    },
  };
}
