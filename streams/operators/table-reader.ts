import { serializeToBytes, type Serde } from '../../core/index.ts';
import { selectedRange } from '../state/key-range.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import { SortedEntries, type Sorted } from '../state/sorted-entries.ts';
import { windowStore } from '../state/window-store.ts';
import type { OperatorContext } from '../topology/operator.ts';
import type { KeySelection, PassedRow, TableRow } from '../topology/store.ts';
import type { Windowed } from '../topology/windows.ts';

/**
 * Finds the row of a key as its table passed it on last; undefined for none. A versioned table can
 * be read as it was at a time; another is always read as it is.
 */
export type ReadRow<K, V> = (key: K, asOfMs?: number) => PassedRow<V> | undefined;

/** Lists the rows of some keys so, in the order of the bytes of their keys or against it. */
export type ListRows<K, V> = (
  keys: KeySelection<K, unknown>,
  isReverse: boolean,
) => IterableIterator<TableRow<K, V>>;

/**
 * How other operators read a table: as it was passed on, never ahead of its changes [OP-TABLE-2]. A
 * table without a store reads those behind it.
 */
export interface TableReader<K, V> {
  /** The names of the stores that it reads; the node that opens it lists them as its own. */
  readonly stores: readonly string[];
  /** Called once, when the processor that reads starts. */
  open(context: OperatorContext): ReadRow<K, V>;
  /** The same for lists of rows. */
  openList(context: OperatorContext): ListRows<K, V>;
}

/** Reads a table that is kept in a key-value store. */
export function storeReader<K, V>(store: string): TableReader<K, V> {
  return {
    stores: [store],
    open: (context) => {
      const table = context.store(keyValueStore<K, V>(store));
      table.keepBefore();
      return (key) => table.getPassed(key);
    },
    openList: (context) => {
      const table = context.store(keyValueStore<K, V>(store));
      table.keepBefore();
      return (keys, isReverse) => table.passedRows(keys, isReverse);
    },
  };
}

/** A table of windows that is kept in a window store. */
export interface WindowTable<K> {
  readonly store: string;
  /** Of the table. */
  readonly key: Serde<Windowed<K>>;
  readonly sizeMs: number;
}

/** Reads a table of windows while they are open; lists are sorted when they are begun. */
export function windowReader<K, V>({
  store,
  key: serde,
  sizeMs,
}: WindowTable<K>): TableReader<Windowed<K>, V> {
  return {
    stores: [store],
    open: (context) => {
      const table = context.store(windowStore<K, V>(store));
      table.keepBefore();
      return ({ key, windowStartMs }) => table.getPassed(key, windowStartMs);
    },
    openList: (context) => {
      const table = context.store(windowStore<K, V>(store));
      table.keepBefore();
      return function* (keys, isReverse) {
        const rows = new SortedEntries<SortedRow<Windowed<K>, V>>();
        for (const windowStartMs of table.windowStarts()) {
          for (const { key: inner, value, timestampMs } of table.passedRows(windowStartMs)) {
            const key = { key: inner, windowStartMs, windowEndMs: windowStartMs + sizeMs };
            const row = { key, value, timestampMs };
            rows.add({ keyBytes: serializeToBytes(serde, key), row });
          }
        }
        const { start, end } = selectedRange(serde, keys);
        const found = rows.range(start, end);
        for (const { row } of isReverse ? found.reverse() : found) yield row;
      };
    },
  };
}

interface SortedRow<K, V> extends Sorted {
  readonly row: TableRow<K, V>;
}

/** The rows of one key in two tables. */
export interface RowPair<K, VL, VR> {
  readonly key: K;
  readonly left: TableRow<K, VL> | undefined;
  readonly right: TableRow<K, VR> | undefined;
}

/** Merges the rows of two tables, both in the order of the bytes of their keys or against it. */
export function* pairRows<K, VL, VR>(
  key: Serde<K>,
  lefts: Iterable<TableRow<K, VL>>,
  rights: Iterable<TableRow<K, VR>>,
  isReverse: boolean,
): Generator<RowPair<K, VL, VR>> {
  const sign = isReverse ? -1 : 1;
  const bytesOf = (row: TableRow<K, unknown>) => serializeToBytes(key, row.key);
  const others = rights[Symbol.iterator]();
  const next = (): TableRow<K, VR> | undefined => {
    const read = others.next();
    return read.done === true ? undefined : read.value;
  };
  let right = next();
  for (const left of lefts) {
    const bytes = bytesOf(left);
    let order = 1;
    while (right !== undefined) {
      order = sign * Buffer.compare(bytesOf(right), bytes);
      if (order >= 0) break;
      yield { key: right.key, left: undefined, right };
      right = next();
    }
    const isPair = right !== undefined && order === 0;
    yield { key: left.key, left, right: isPair ? right : undefined };
    if (isPair) right = next();
  }
  for (; right !== undefined; right = next()) yield { key: right.key, left: undefined, right };
}
