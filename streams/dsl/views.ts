import { msgpack, type Serde } from '../../core/index.ts';
import { checkArgument } from '../../core/internal.ts';
import type { TableEmit } from '../operators/emit.ts';
import { storedView, type KeptTable } from '../operators/stored-view.ts';
import { tableView, viewReader, type TableView } from '../operators/table-view.ts';
import { storeReader } from '../operators/table-reader.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import { windowedKeyStoreSpec, type WindowedKeyStoreOptions } from '../state/windowed-key-store.ts';
import type { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import type { ErrorPolicy } from '../topology/record-errors.ts';
import { checkNodeOptions, type JoinedTableOptions, type ViewOptions } from './node-options.ts';
import { addOperator, type TableParts, type TableWindows } from './parts.ts';
import { addTableStores, checkTableEmit, nodeName, storedTable } from './tables.ts';

/** A view, and what writes its values if no option says so. */
export interface View<K, V, V2> extends TableView<K, NonNullable<V>, NonNullable<V2>> {
  readonly valueSerde: Serde<NonNullable<V2>> | undefined;
}

/** Adds a table made of another one, row by row; it is stored only if it is given a store. */
export function addView<K, V, V2>(
  method: string,
  parts: TableParts<K, V>,
  view: View<K, V, V2>,
  options: ViewOptions<NonNullable<V2>>,
): TableParts<K, V2> {
  checkViewOptions(method, options);
  const { graph, node: parent, isVersioned } = parts;
  const { store, emit = 'each', value: valueSerde = view.valueSerde } = options;
  const node = nodeName(graph, view.kind, options, parent);
  if (store === undefined) {
    const operator = tableView<K, NonNullable<V>, NonNullable<V2>>(view, isVersioned);
    addOperator(graph, operator, { name: node, parents: [parent], errors: options });
    const reader = parts.reader && viewReader(view, parts.reader);
    return { ...parts, node, store, reader, valueSerde };
  }
  const value = valueSerde ?? msgpack();
  const kept = { node, store, value, emit, parents: [parent], errors: options };
  return addStoredView<K, V, V2>(parts, view, kept);
}

/** How a table made of another one is kept. */
export interface KeptNode<V> {
  readonly node: string;
  readonly store: string;
  readonly value: Serde<V>;
  readonly emit: TableEmit;
  readonly parents: readonly string[];
  /** Other stores that its operator uses. */
  readonly stores?: readonly string[];
  /** The options of the method. */
  readonly errors: ErrorPolicy;
}

/** What is known of a table that is made of others, before it has a node. */
export type TableBasis<K, V> = Omit<TableParts<K, V>, 'node' | 'store' | 'reader' | 'valueSerde'>;

/** Adds a view with a store. */
export function addStoredView<K, V, V2>(
  basis: TableBasis<K, V>,
  view: TableView<K, NonNullable<V>, NonNullable<V2>>,
  kept: KeptNode<NonNullable<V2>>,
): TableParts<K, V2> {
  return addKeptTable<K, V, V2>(basis, kept, (table) => storedView(view, table));
}

/** Adds a table with a store; rows of windows leave it when these have closed. */
export function addKeptTable<K, V, V2>(
  basis: TableBasis<K, V>,
  { node, store, value, emit, parents, stores: others = [], errors }: KeptNode<NonNullable<V2>>,
  operatorOf: (
    kept: KeptTable<NonNullable<V2>>,
  ) => Operator<K, Change<NonNullable<V>>, K, Change<NonNullable<V2>>>,
): TableParts<K, V2> {
  const { graph, keySerde, windows, isWindowed, stream } = basis;
  const isExpiring = windows !== undefined;
  const spec = isExpiring
    ? windowedKeyStoreSpec({ store, key: keySerde, value, node, ...endsOf(windows) })
    : ({ ...keyValueStore(store), key: keySerde, value, backing: 'changelog' } as const);
  const own = addTableStores(graph, { node, emit, keySerde, spec });
  const operator = operatorOf({ store, value, emit, isExpiring });
  addOperator(graph, operator, { name: node, parents, stores: [...own, ...others], errors });
  if (!isWindowed) return storedTable({ graph, node, store, keySerde, valueSerde: value, stream });
  const reader = storeReader<K, NonNullable<V2>>(store);
  return { ...basis, node, store, reader, valueSerde: value };
}

/** When windows end; those that are many, and end ahead of time, share stretches. */
function endsOf({ innerKey, sizeMs, lifeMs }: TableWindows): Ends {
  return { aheadMs: innerKey === undefined ? sizeMs : 0, lifeMs };
}

type Ends = Required<Pick<WindowedKeyStoreOptions<unknown, unknown>, 'aheadMs' | 'lifeMs'>>;

/** Only what is stored can wait before it is passed on. */
export function checkViewOptions<V>(
  method: string,
  options: JoinedTableOptions<V>,
  others: readonly 'repartition'[] = [],
): void {
  checkNodeOptions(method, options, ['name', 'store', 'value', 'emit', ...others]);
  const { store, emit } = options;
  if (emit === undefined) return;
  checkTableEmit(method, emit);
  checkArgument(method, 'emit', emit, () =>
    store === undefined ? 'left out without a store: each change is passed on at once' : undefined,
  );
}
