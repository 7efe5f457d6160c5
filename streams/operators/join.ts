import type { Forward, Operator, OperatorContext } from '../topology/operator.ts';
import type { ReadOnlyKeyValueStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { synchronous } from './results.ts';
import type { TableReader } from './table-reader.ts';

/** How a stream joins a table. */
export interface TableJoin<K, V, KT, VT, VR> {
  /** A global table is the same in every task; another has the partition of the task. */
  readonly table: { readonly global: string } | TableReader<KT, VT>;
  /** The key in the table; null or undefined for none. */
  readonly key: (record: StreamRecord<K, V>) => KT | null | undefined;
  readonly joiner: (left: V, right: VT, record: StreamRecord<K, V>) => VR;
  /** Also call the joiner, with undefined, if the table has no such key. */
  readonly isLeft: boolean;
}

/**
 * Looks up each record's key in a table and forwards the joiner's result [OP-9]. It reads the table
 * when the record is processed, a versioned one as of the record's time [OP-ASOF-2]: a later change
 * of the table joins nothing again. It drops and counts null values and, in an inner join, null
 * keys and records without a row.
 */
export function joinTable<K, V, KT, VT, VR>(
  join: TableJoin<K, V, KT, VT, VR>,
): Operator<K, V, K, VR> {
  return {
    kind: joinKind(join),
    changesKey: false,
    start: (forward, context) => ({ process: joiningWith(join, forward, context) }),
  };
}

export function joinKind({ isLeft }: { readonly isLeft: boolean }): string {
  return isLeft ? 'left-join' : 'join';
}

/** Joins the records that it gets, and forwards the results. */
export function joiningWith<K, V, KT, VT, VR>(
  join: TableJoin<K, V, KT, VT, VR>,
  forward: Forward<K, VR>,
  context: OperatorContext,
): Forward<K, V> {
  const { key: keyOf, isLeft } = join;
  const joiner = join.joiner as (left: V, right: VT | undefined, record: StreamRecord<K, V>) => VR;
  const get = valueReader(join.table, context);
  return (record) => {
    if (record.value === null || record.value === undefined) {
      context.drop('null-value', record);
      return;
    }
    const key = synchronous(keyOf(record));
    const isNull = key === null || key === undefined;
    const right = isNull ? undefined : get(key, record.timestampMs);
    if (right !== undefined || isLeft) {
      forward(record.withValue(synchronous(joiner(record.value, right, record))));
    } else {
      context.drop(isNull ? 'null-key' : 'unmatched', record);
    }
  };
}

function valueReader<K, V>(
  table: TableJoin<unknown, unknown, K, V, unknown>['table'],
  context: OperatorContext,
): (key: K, asOfMs: number) => V | undefined {
  if ('global' in table) {
    const store: ReadOnlyKeyValueStore<K, V> = context.globalStore(table.global);
    return (key) => store.get(key);
  }
  const read = table.open(context);
  return (key, asOfMs) => read(key, asOfMs)?.value;
}
