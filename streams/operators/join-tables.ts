import type { Serde } from '../../core/index.ts';
import { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import type { PassedRow, TableRow } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { pass } from './peek.ts';
import { synchronous } from './results.ts';
import { pairRows, type TableReader } from './table-reader.ts';
import type { TableView } from './table-view.ts';

/** How the rows of two tables become those of a third. */
export interface TableJoin<K, VL, VR, V> {
  /** Undefined stands for no row, and is given only where one is not required. */
  readonly joiner: (left: VL | undefined, right: VR | undefined, key: K) => V | null | undefined;
  readonly requiresLeft: boolean;
  readonly requiresRight: boolean;
  /**
   * True if changes that can make no difference are not passed on. False if that cannot be told:
   * the row of the other side may have gone by the same record.
   */
  readonly isSkipping: boolean;
}

/** The value of a row of the join; null for none. */
function joinedValue<K, VL, VR, V>(
  { joiner, requiresLeft, requiresRight }: TableJoin<K, VL, VR, V>,
  left: VL | undefined,
  right: VR | undefined,
  key: K,
): V | null {
  if (left === undefined && (requiresLeft || right === undefined)) return null;
  if (right === undefined && requiresRight) return null;
  return synchronous(joiner(left, right, key)) ?? null;
}

/** The same join with its sides exchanged. */
export function reversed<K, VL, VR, V>({
  joiner,
  requiresLeft,
  requiresRight,
  isSkipping,
}: TableJoin<K, VL, VR, V>): TableJoin<K, VR, VL, V> {
  return {
    joiner: (right, left, key) => joiner(left, right, key),
    requiresLeft: requiresRight,
    requiresRight: requiresLeft,
    isSkipping,
  };
}

/**
 * What a change of the left table makes of the join, given the row of the right one; undefined if
 * it can make no difference there.
 */
export function joinedChange<K, VL, VR, V>(
  join: TableJoin<K, VL, VR, V>,
  { key, value: { newValue, oldValue, isLatest } }: StreamRecord<K, Change<VL>>,
  row: PassedRow<VR> | undefined,
  sendsOldValues: boolean,
): Change<V> | undefined {
  const [left, before] = [newValue ?? undefined, oldValue ?? undefined];
  const right = row?.value;
  if (right === undefined && join.isSkipping) {
    if (join.requiresRight || (left === undefined && before === undefined)) return undefined;
  }
  const joined = joinedValue(join, left, right, key);
  const joinedBefore = sendsOldValues ? joinedValue(join, before, right, key) : undefined;
  return new Change(joined, joinedBefore, isLatest);
}

/** The time of a result: the greater of both. */
export function joinedMs(timestampMs: number, row: PassedRow<unknown> | undefined): number {
  return row === undefined ? timestampMs : Math.max(timestampMs, row.timestampMs);
}

/**
 * Joins each change of the left table with the row of the right one, as it was passed on last
 * [OP-TJOIN-1]. The time of a result is the greater of both. As KTableKTableInnerJoin.java,
 * ...LeftJoin, ...RightJoin and ...OuterJoin: a change that can make no difference, without a row
 * on the other side, is not passed on. `isVersioned` is true if the left table also passes on
 * changes of the past, which join nothing.
 */
export function joinTables<K, VL, VR, V>(
  join: TableJoin<K, VL, VR, V>,
  other: TableReader<K, VR>,
  isVersioned: boolean,
): Operator<K, Change<VL>, K, Change<V>> {
  return {
    kind: 'join-tables',
    changesKey: false,
    oldValues: join.requiresRight ? 'passed' : 'needed',
    start: (forward, context) => {
      const read = other.open(context);
      const { sendsOldValues } = context;
      return {
        process: (record) => {
          const { key, value, timestampMs } = record;
          if (isVersioned && !value.isLatest) {
            context.drop('late', record);
            return;
          }
          const row = read(key);
          const joined = joinedChange(join, record, row, sendsOldValues);
          if (joined !== undefined) forward(record.with(key, joined, joinedMs(timestampMs, row)));
        },
      };
    },
  };
}

/** Passes on the changes of both sides of a join. */
export function mergeSides<K, V>(): Operator<K, Change<V>, K, Change<V>> {
  return { ...pass<K, Change<V>>('merge-tables'), oldValues: 'passed' };
}

/** The rows of a join, for a store, which knows what makes no difference if the sides do not. */
export function joinedRows<K, V>({
  isSkipping,
}: Pick<TableJoin<K, never, never, V>, 'isSkipping'>): TableView<K, V, V> {
  return { kind: 'merge-tables', view: (value) => value, skipsAbsent: !isSkipping };
}

/** Reads a join that stores nothing, through the readers of both tables. */
export function joinReader<K, VL, VR, V>(
  join: TableJoin<K, VL, VR, V>,
  keySerde: Serde<K>,
  left: TableReader<K, VL>,
  right: TableReader<K, VR>,
): TableReader<K, V> {
  const joined = (
    key: K,
    one: PassedRow<VL> | undefined,
    other: PassedRow<VR> | undefined,
  ): TableRow<K, V> | undefined => {
    const value = joinedValue(join, one?.value, other?.value, key);
    if (value === null) return undefined;
    return { key, value, timestampMs: joinedMs(one?.timestampMs ?? -Infinity, other) };
  };
  return {
    stores: [...new Set([...left.stores, ...right.stores])],
    open: (context) => {
      const [readLeft, readRight] = [left.open(context), right.open(context)];
      return (key) => joined(key, readLeft(key), readRight(key));
    },
    openList: (context) => {
      const [listLeft, listRight] = [left.openList(context), right.openList(context)];
      return function* (keys, isReverse) {
        const [ones, others] = [listLeft(keys, isReverse), listRight(keys, isReverse)];
        for (const pair of pairRows(keySerde, ones, others, isReverse)) {
          const row = joined(pair.key, pair.left, pair.right);
          if (row !== undefined) yield row;
        }
      };
    },
  };
}
