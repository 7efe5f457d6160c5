import { able } from '../../core/internal.ts';
import type { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import type { RowTransformerSupplier } from '../topology/processor.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { storesFor } from './emit.ts';
import { NodeContext, Supplied, type Connections } from './node-context.ts';
import { synchronous } from './results.ts';
import { expiring, keepRows, type KeptTable } from './stored-view.ts';

/**
 * Replaces the value of each row by what a transformer of the user's own makes of its change, which
 * may depend on stores [OP-TABLE-12]. As KTableTransformValues.java with a store: the transformer
 * is called once for each change, also for a deletion, and the value before is what was kept.
 */
export function transformTable<K, V, V2>(
  supplier: RowTransformerSupplier<K, V, unknown>,
  connections: Connections,
  kept: KeptTable<V2>,
): Operator<K, Change<NonNullable<V>>, K, Change<V2>> {
  return {
    kind: 'transform-values',
    changesKey: false,
    keyedStores: storesFor(kept.store, kept.emit),
    start: (forward, task) => {
      const context = new NodeContext<K, V>({ context: task, connections });
      const own = new Supplied('transformValues', () => supplier(context), isTransformer);
      const rowOf = (record: StreamRecord<K, Change<NonNullable<V>>>): V2 | null => {
        const current = record.withValue(record.value.newValue as V);
        context.current = current;
        try {
          const row = synchronous(own.made.transform(current)) as V2 | null | undefined;
          return row ?? null;
        } finally {
          context.current = undefined; // also if it fails: the change may be dropped
          context.dropLate();
        }
      };
      const keeping = keepRows({ rowOf, skipsAbsent: false }, kept, forward, task);
      // Assigned, because a spread would read its deadline once and for all.
      return Object.assign(expiring(keeping, context), {
        init: () => own.init(),
        close: () => own.close(),
      });
    },
  };
}

const isTransformer = able('an object with a method transform', 'transform');
