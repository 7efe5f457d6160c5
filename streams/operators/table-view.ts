import { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import { synchronous } from './results.ts';
import type { TableReader } from './table-reader.ts';

/** A row of a table, as its functions get it. */
export interface Row<K, V> {
  readonly key: K;
  readonly value: V;
}

/** A table made of another one, row by row. */
export interface TableView<K, V, V2> {
  /** Of its operator. */
  readonly kind: string;
  /** Its value for a row; null or undefined for none. Called again whenever the row is read. */
  readonly view: (value: V, key: K) => V2 | null | undefined;
  /** True if a change of a row that it has not, and had not, is not passed on. */
  readonly skipsAbsent: boolean;
}

/** Keeps the rows for which `predicate` is true, or false if it is `negated`. */
export function filterTable<K, V>(
  predicate: (row: Row<K, V>) => boolean,
  negated: boolean,
): TableView<K, V, V> {
  return {
    kind: 'filter-table',
    view: (value, key) => (!synchronous(predicate({ key, value })) === negated ? value : null),
    skipsAbsent: true,
  };
}

/** Replaces the value of each row; `V2` is what the mapper returns, without null. */
export function mapTableValues<K, V, V2>(
  mapper: (value: V, row: Row<K, V>) => unknown,
): TableView<K, V, V2> {
  return {
    kind: 'map-table-values',
    view: (value, key) => synchronous(mapper(value, { key, value })) as V2 | null,
    skipsAbsent: false,
  };
}

/**
 * Passes on the changes of a view and stores nothing [OP-TABLE-3]. What it does not have before and
 * after a change, a filter does not pass on, as KTableFilter.java behind a stored
 * table. `isVersioned` is true behind a table that also passes on changes of the past.
 */
export function tableView<K, V, V2>(
  view: TableView<K, V, V2>,
  isVersioned: boolean,
): Operator<K, Change<V>, K, Change<V2>> {
  const { kind } = view;
  // Behind a versioned table a change of the past, or to nothing, may matter to the past.
  const skipsAbsent = view.skipsAbsent && !isVersioned;
  return {
    kind,
    changesKey: false,
    oldValues: skipsAbsent ? 'needed' : 'passed',
    start: (forward, { sendsOldValues }) => {
      const needsOld = skipsAbsent || sendsOldValues;
      return {
        process: (record) => {
          const { key, value: change } = record;
          const newValue = viewOf(view, key, change.newValue);
          const oldValue = needsOld ? viewOf(view, key, change.oldValue) : undefined;
          if (skipsAbsent && oldValue === null && newValue === null) return;
          forward(record.withValue(new Change(newValue, oldValue, change.isLatest)));
        },
      };
    },
  };
}

/** Reads a view through the reader of its table. */
export function viewReader<K, V, V2>(
  view: TableView<K, V, V2>,
  parent: TableReader<K, V>,
): TableReader<K, V2> {
  return {
    stores: parent.stores,
    open: (context) => {
      const read = parent.open(context);
      return (key, asOfMs) => {
        const row = read(key, asOfMs);
        if (row === undefined) return undefined;
        const value = viewOf(view, key, row.value);
        return value === null ? undefined : { value, timestampMs: row.timestampMs };
      };
    },
    openList: (context) => {
      const list = parent.openList(context);
      return function* (keys, isReverse) {
        for (const { key, value: given, timestampMs } of list(keys, isReverse)) {
          const value = viewOf(view, key, given);
          if (value !== null) yield { key, value, timestampMs };
        }
      };
    },
  };
}

/** Its value for a row; null for none. */
export function viewOf<K, V, V2>(
  { view }: TableView<K, V, V2>,
  key: K,
  value: V | null | undefined,
): V2 | null {
  return value === null || value === undefined ? null : (view(value, key) ?? null);
}
