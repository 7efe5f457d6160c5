import type { Serde } from '../../core/index.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import { windowedKeyStore } from '../state/windowed-key-store.ts';
import { Change } from '../topology/change.ts';
import type { Forward, Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { KeyValueStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { Windowed } from '../topology/windows.ts';
import { copying } from './copying.ts';
import { passingOn, passingRows, type TableEmit } from './emit.ts';
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

/** Where a view is kept, and when its changes are passed on. */
export interface ViewStore<V> {
  readonly store: string;
  readonly value: Serde<V>;
  readonly emit: TableEmit;
}

/** Keeps a view in a store of its own, and passes its changes on as `emit` says [OP-TABLE-4]. */
export function storedView<K, V, V2>(
  view: TableView<K, V, V2>,
  { store, value: serde, emit }: ViewStore<V2>,
): Operator<K, Change<V>, K, Change<V2>> {
  return {
    kind: view.kind,
    changesKey: false,
    start: (forward, context) => {
      const table = context.store(keyValueStore<K, V2>(store));
      return keepingView(view, { table, serde, emit }, forward, context);
    },
  };
}

/**
 * The same for a table of windows: its rows stay until their windows have closed [OP-TABLE-11]. By
 * then all their changes have come, and what waits is passed on before it goes.
 */
export function storedWindowedView<K, V, V2>(
  view: TableView<Windowed<K>, V, V2>,
  { store, value: serde, emit }: ViewStore<V2>,
): Operator<Windowed<K>, Change<V>, Windowed<K>, Change<V2>> {
  return {
    kind: view.kind,
    changesKey: false,
    start: (forward, context): Processor<Windowed<K>, Change<V>> => {
      const table = context.store(windowedKeyStore<K, V2>(store));
      const keeping = keepingView(view, { table, serde, emit }, forward, context);
      const behind = behindView(view, forward, context);
      const pass = passingRows(behind.forward, behind.context);
      return {
        ...keeping,
        get deadlineMs() {
          return Math.min(table.expiresMs, keeping.deadlineMs ?? Infinity);
        },
        advance: (streamTimeMs, beforeMs, precedesRecord) => {
          const { deadlineMs = Infinity } = keeping;
          if (deadlineMs <= streamTimeMs) {
            keeping.advance?.(streamTimeMs, beforeMs, precedesRecord);
          }
          table.passExpiring(streamTimeMs, pass);
          table.expire(streamTimeMs);
        },
      };
    },
  };
}

/** A processor that keeps a view in a store, and passes its changes on. */
function keepingView<K, V, V2>(
  view: TableView<K, V, V2>,
  kept: {
    readonly table: KeyValueStore<K, V2>;
    readonly serde: Serde<V2>;
    readonly emit: TableEmit;
  },
  forward: Forward<K, Change<V2>>,
  context: OperatorContext,
): Processor<K, Change<V>> {
  const { table: store, serde, emit } = kept;
  const copy = copying(serde);
  const apply = ({ key, value, timestampMs }: StreamRecord<K, Change<V>>): void => {
    putRow(store, key, copy(viewOf(view, key, value.newValue)), timestampMs);
  };
  return passingOn({ store, emit, apply, ...behindView(view, forward, context) });
}

/** Where the changes of a view go: a filter has to know the old values of all. */
function behindView<K, V, V2>(
  { skipsAbsent }: TableView<K, V, V2>,
  forward: Forward<K, Change<V2>>,
  context: OperatorContext,
): { readonly forward: Forward<K, Change<V2>>; readonly context: OperatorContext } {
  if (!skipsAbsent) return { forward, context };
  return { forward: unlessAbsent(forward), context: { ...context, sendsOldValues: true } };
}

/** Reads a view through the reader of its table. */
export function viewReader<K, V, V2>(
  { view }: TableView<K, V, V2>,
  parent: TableReader<K, V>,
): TableReader<K, V2> {
  return {
    stores: parent.stores,
    open: (context) => {
      const read = parent.open(context);
      return (key, asOfMs) => {
        const row = read(key, asOfMs);
        if (row === undefined) return undefined;
        const value = view(row.value, key);
        if (value === null || value === undefined) return undefined;
        return { value, timestampMs: row.timestampMs };
      };
    },
  };
}

/** Puts a row; null deletes it, which is a change even if it was not there. */
function putRow<K, V>(
  table: KeyValueStore<K, V>,
  key: K,
  value: V | null,
  timestampMs: number,
): void {
  if (value !== null) table.put(key, value, timestampMs);
  else if (table.get(key) !== undefined) table.delete(key, timestampMs);
  else table.update(key, timestampMs, nothing);
}

function nothing(): undefined {
  return undefined;
}

/** Null for no value. */
function viewOf<K, V, V2>(
  { view }: TableView<K, V, V2>,
  key: K,
  value: V | null | undefined,
): V2 | null {
  return value === null || value === undefined ? null : (view(value, key) ?? null);
}

/** Drops the changes of rows that were not there and are not. */
function unlessAbsent<K, V>(forward: Forward<K, Change<V>>): Forward<K, Change<V>> {
  return (record) => {
    const { newValue, oldValue } = record.value;
    if (newValue !== null || oldValue !== null) forward(record);
  };
}
