import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { synchronous } from './results.ts';

/**
 * Calls `action` with each record and forwards nothing [OP-22]. After a crash `action` sees
 * uncommitted records again.
 */
export function foreach<K, V>(
  action: (record: StreamRecord<K, V>) => unknown,
): Operator<K, V, never, never> {
  return {
    kind: 'foreach',
    changesKey: false,
    start: () => ({ process: (record) => void synchronous(action(record)) }),
  };
}
