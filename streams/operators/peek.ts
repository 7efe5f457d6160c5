import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { synchronous } from './results.ts';

/**
 * Calls `look` with each record and forwards it unchanged [OP-6]. After a crash `look` sees
 * uncommitted records again: use it to observe, not for effects that count.
 */
export function peek<K, V>(look: (record: StreamRecord<K, V>) => unknown): Operator<K, V, K, V> {
  return {
    kind: 'peek',
    changesKey: false,
    start: (forward) => ({
      process: (record) => {
        synchronous(look(record));
        forward(record);
      },
    }),
  };
}

/** Forwards everything: for merged streams, or a table read as a stream [OP-7]. */
export function pass<K, V>(kind: string): Operator<K, V, K, V> {
  return { kind, changesKey: false, start: (forward) => ({ process: forward }) };
}
