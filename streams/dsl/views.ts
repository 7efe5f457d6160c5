import { msgpack, type Serde } from '../../core/index.ts';
import { checkArgument } from '../../core/internal.ts';
import type { TableEmit } from '../operators/emit.ts';
import {
  storedView,
  storedWindowedView,
  tableView,
  viewReader,
  type TableView,
} from '../operators/table-view.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import { windowedKeyStoreSpec } from '../state/windowed-key-store.ts';
import type { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import type { StoreSpec } from '../topology/store.ts';
import type { Windowed } from '../topology/windows.ts';
import { checkNodeOptions, type ViewOptions } from './node-options.ts';
import { addOperator, type TableParts } from './parts.ts';
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
  const node = nodeName(graph, view.kind, options);
  if (store === undefined) {
    const operator = tableView<K, NonNullable<V>, NonNullable<V2>>(view, isVersioned);
    addOperator(graph, operator, { name: node, parents: [parent] });
    const reader = parts.reader && viewReader(view, parts.reader);
    return { ...parts, node, store, reader, valueSerde };
  }
  const value = valueSerde ?? msgpack();
  const kept = { node, store, value, emit, parents: [parent] };
  return addStoredView<K, V, V2>(parts, view, kept);
}

/** How a view is kept. */
interface KeptView<V> {
  readonly node: string;
  readonly store: string;
  readonly value: Serde<V>;
  readonly emit: TableEmit;
  readonly parents: readonly string[];
}

/** Adds a view with a store; the rows of windows that close leave it then. */
export function addStoredView<K, V, V2>(
  parts: Omit<TableParts<K, V>, 'node' | 'store' | 'valueSerde'>,
  view: TableView<K, NonNullable<V>, NonNullable<V2>>,
  { node, store, value, emit, parents }: KeptView<NonNullable<V2>>,
): TableParts<K, V2> {
  const { graph, keySerde, windows, isWindowed, stream } = parts;
  const add = <KS, KO>(
    spec: StoreSpec<KS, NonNullable<V2>>,
    operator: Operator<KO, Change<NonNullable<V>>, KO, Change<NonNullable<V2>>>,
  ): void => {
    const stores = addTableStores(graph, { node, emit, keySerde, spec });
    addOperator(graph, operator, { name: node, parents, stores });
  };
  const kept = { store, value, emit };
  if (windows === undefined) {
    const spec = { ...keyValueStore(store), key: keySerde, value, backing: 'changelog' } as const;
    add(spec, storedView(view, kept));
  } else {
    // The keys have windows, as the table tells, and their type does not.
    const key = keySerde as unknown as Serde<Windowed<unknown>>;
    const ofWindows = view as unknown as TableView<
      Windowed<unknown>,
      NonNullable<V>,
      NonNullable<V2>
    >;
    const { lifeMs } = windows;
    add(
      windowedKeyStoreSpec({ store, key, value, node, lifeMs }),
      storedWindowedView(ofWindows, kept),
    );
  }
  if (!isWindowed) return storedTable({ graph, node, store, keySerde, valueSerde: value, stream });
  return { ...parts, node, store, reader: undefined, valueSerde: value };
}

/** Only what is stored can wait before it is passed on. */
export function checkViewOptions<V>(method: string, options: ViewOptions<V>): void {
  checkNodeOptions(method, options, ['name', 'store', 'value', 'emit']);
  const { store, emit } = options;
  if (emit === undefined) return;
  checkTableEmit(method, emit);
  checkArgument(method, 'emit', emit, () =>
    store === undefined ? 'left out without a store: each change is passed on at once' : undefined,
  );
}
