import { able, checkArgument } from '../../core/internal.ts';
import type { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import type { RowTransformer, RowTransformerSupplier } from '../topology/processor.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { NodeContext, type Connections } from './node-context.ts';
import { synchronous } from './results.ts';
import { keepRows, type KeptTable } from './stored-view.ts';

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
    start: (forward, context) => {
      const own = new NodeContext<K, V>({ context, connections });
      const transforming = new Transforming<K, V, V2>(own, () => supplier(own));
      const rowOf = (record: StreamRecord<K, Change<NonNullable<V>>>) => transforming.rowOf(record);
      const keeping = keepRows({ rowOf, skipsAbsent: false }, kept, forward, context);
      return {
        ...keeping,
        init: () => transforming.init(),
        get deadlineMs() {
          return Math.min(own.expiryMs(), keeping.deadlineMs ?? Infinity);
        },
        advance: (streamTimeMs, beforeMs, precedesRecord) => {
          const { deadlineMs = Infinity } = keeping;
          if (deadlineMs <= streamTimeMs) keeping.advance?.(streamTimeMs, beforeMs, precedesRecord);
          own.expire(streamTimeMs);
        },
        close: () => transforming.close(),
      };
    },
  };
}

/** The transformer of one task. */
class Transforming<K, V, V2> {
  readonly #context: NodeContext<K, V>;
  readonly #supplier: () => RowTransformer<K, V, unknown>;
  /** Undefined before `init`. */
  #transformer: RowTransformer<K, V, unknown> | undefined;

  constructor(context: NodeContext<K, V>, supplier: () => RowTransformer<K, V, unknown>) {
    this.#context = context;
    this.#supplier = supplier;
  }

  init(): void {
    const made: unknown = synchronous(this.#supplier());
    checkArgument('transformValues', 'the result of the supplier', made, isTransformer);
    this.#transformer = made as RowTransformer<K, V, unknown>;
  }

  rowOf(record: StreamRecord<K, Change<NonNullable<V>>>): V2 | null {
    const context = this.#context;
    const current = record.withValue(record.value.newValue as V);
    context.current = current;
    const row = synchronous(this.#transformer!.transform(current)) as V2 | null | undefined;
    context.current = undefined;
    context.dropLate();
    return row ?? null;
  }

  close(): void {
    const transformer = this.#transformer;
    this.#transformer = undefined;
    synchronous(transformer?.close?.());
  }
}

const isTransformer = able('an object with a method transform', 'transform');
