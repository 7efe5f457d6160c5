import { serializeToBytes, type Serde } from '../../core/index.ts';
import { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import { keyValue, type KeyValue } from './results.ts';
import type { Row } from './table-view.ts';

/** How the rows of a table are grouped. */
export interface TableGrouping<K, V, K2, V2> {
  /** The group of a row, and its value there; without either the row is in no group. */
  readonly mapper: (row: Row<K, V>) => KeyValue<K2 | null | undefined, V2 | null | undefined>;
  /** Compares groups that are objects. */
  readonly key: Serde<K2>;
  /** True if the table passes on changes of the past too: they change no group. */
  readonly isVersioned: boolean;
}

/**
 * Moves the changes of rows to their groups [OP-GROUP-2], as KTableRepartitionMap.java: a row that
 * stays in its group is one change there, another first leaves its old group and then joins the new
 * one.
 */
export function groupTable<K, V, K2, V2>(
  grouping: TableGrouping<K, V, K2, V2>,
): Operator<K, Change<V>, K2, Change<V2>> {
  const { mapper, key: keySerde, isVersioned } = grouping;
  const pairOf = (key: K, value: V | null | undefined): KeyValue<K2, V2> | undefined => {
    if (value === null || value === undefined) return undefined;
    const pair = keyValue(mapper({ key, value }));
    return isGrouped(pair) ? pair : undefined;
  };
  return {
    kind: 'group-table',
    changesKey: true,
    oldValues: 'needed',
    start: (forward) => ({
      process: (record) => {
        const { key, value: change } = record;
        const { isLatest } = change;
        if (isVersioned && !isLatest) return;
        const after = pairOf(key, change.newValue);
        const before = pairOf(key, change.oldValue);
        if (
          after !== undefined &&
          before !== undefined &&
          isSame(after.key, before.key, keySerde)
        ) {
          const both = new Change(after.value, before.value, isLatest);
          forward(record.withKeyValue(after.key, both));
          return;
        }
        if (before !== undefined) {
          forward(record.withKeyValue(before.key, new Change<V2>(null, before.value, isLatest)));
        }
        if (after !== undefined) {
          forward(record.withKeyValue(after.key, new Change<V2>(after.value, null, isLatest)));
        }
      },
    }),
  };
}

function isGrouped<K, V>(
  pair: KeyValue<K | null | undefined, V | null | undefined>,
): pair is KeyValue<K, V> {
  return (pair.key ?? null) !== null && (pair.value ?? null) !== null;
}

/** Keys that are objects are equal when their bytes are, as in stores. */
function isSame<K>(a: K, b: K, serde: Serde<K>): boolean {
  if (typeof a !== 'object') return a === b;
  return serializeToBytes(serde, a).equals(serializeToBytes(serde, b));
}
