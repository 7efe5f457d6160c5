import { keyValueStore } from '../state/key-value-store.ts';
import type { Operator, OperatorContext } from '../topology/operator.ts';
import type { ReadOnlyKeyValueStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { synchronous } from './results.ts';

/** How a stream joins a table. */
export interface TableJoin<K, V, KT, VT, VR> {
  /** The name of the table's store. */
  readonly store: string;
  /** A global table is the same in every task; another has the partition of the task. */
  readonly isGlobal: boolean;
  /** The key in the table; null or undefined for none. */
  readonly key: (record: StreamRecord<K, V>) => KT | null | undefined;
  readonly joiner: (left: V, right: VT, record: StreamRecord<K, V>) => VR;
  /** Also call the joiner, with undefined, if the table has no such key. */
  readonly isLeft: boolean;
}

/**
 * Looks up each record's key in a table and forwards the joiner's result [OP-9]. It reads the table
 * when the record is processed: a later change of the table joins nothing again. It drops and
 * counts null values and, in an inner join, null keys and records without a row.
 */
export function joinTable<K, V, KT, VT, VR>(
  join: TableJoin<K, V, KT, VT, VR>,
): Operator<K, V, K, VR> {
  const { key: keyOf, isLeft } = join;
  const joiner = join.joiner as (left: V, right: VT | undefined, record: StreamRecord<K, V>) => VR;
  return {
    kind: isLeft ? 'left-join' : 'join',
    changesKey: false,
    start(forward, context) {
      const get = join.isGlobal
        ? globalReader<KT, VT>(join, context)
        : tableReader<KT, VT>(join, context);
      return {
        process: (record) => {
          if (record.value === null || record.value === undefined) {
            context.drop('null-value');
            return;
          }
          const key = synchronous(keyOf(record));
          const isNull = key === null || key === undefined;
          const right = isNull ? undefined : get(key);
          if (right !== undefined || isLeft) {
            forward(record.withValue(synchronous(joiner(record.value, right, record))));
          } else {
            context.drop(isNull ? 'null-key' : 'unmatched');
          }
        },
      };
    },
  };
}

type Reader<K, V> = (key: K) => V | undefined;

function globalReader<K, V>({ store }: StoreName, context: OperatorContext): Reader<K, V> {
  const table: ReadOnlyKeyValueStore<K, V> = context.globalStore(store);
  return (key) => table.get(key);
}

/** Reads a table as it was passed on: never ahead of its changes. */
function tableReader<K, V>({ store }: StoreName, context: OperatorContext): Reader<K, V> {
  const table = context.store(keyValueStore<K, V>(store));
  table.keepBefore();
  return (key) => table.getPassed(key);
}

type StoreName = Pick<TableJoin<never, never, never, never, never>, 'store'>;
