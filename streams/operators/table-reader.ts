import { keyValueStore } from '../state/key-value-store.ts';
import { windowStore } from '../state/window-store.ts';
import type { OperatorContext } from '../topology/operator.ts';
import type { PassedRow } from '../topology/store.ts';
import type { Windowed } from '../topology/windows.ts';

/**
 * Finds the row of a key as its table passed it on last; undefined for none. A versioned table can
 * be read as it was at a time; another is always read as it is.
 */
export type ReadRow<K, V> = (key: K, asOfMs?: number) => PassedRow<V> | undefined;

/**
 * How other operators read a table: as it was passed on, never ahead of its changes [OP-TABLE-2]. A
 * table without a store reads those behind it.
 */
export interface TableReader<K, V> {
  /** The names of the stores that it reads; the node that opens it lists them as its own. */
  readonly stores: readonly string[];
  /** Called once, when the processor that reads starts. */
  open(context: OperatorContext): ReadRow<K, V>;
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
  };
}

/** Reads a table of windows that is kept in a window store, while they are open. */
export function windowReader<K, V>(store: string): TableReader<Windowed<K>, V> {
  return {
    stores: [store],
    open: (context) => {
      const table = context.store(windowStore<K, V>(store));
      table.keepBefore();
      return ({ key, windowStartMs }) => table.getPassed(key, windowStartMs);
    },
  };
}
