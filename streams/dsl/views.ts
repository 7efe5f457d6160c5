import { msgpack, type Serde } from '../../core/index.ts';
import { checkArgument } from '../../core/internal.ts';
import { storedView, tableView, viewReader, type TableView } from '../operators/table-view.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import { invalid } from './arguments.ts';
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
  const { graph, node: parent, keySerde, isWindowed, isVersioned, stream } = parts;
  const { store, emit = 'each', value: valueSerde = view.valueSerde } = options;
  const node = nodeName(graph, view.kind, options);
  if (store === undefined) {
    const operator = tableView<K, NonNullable<V>, NonNullable<V2>>(view, isVersioned);
    addOperator(graph, operator, { name: node, parents: [parent] });
    const reader = parts.reader && viewReader(view, parts.reader);
    return { ...parts, node, store, reader, valueSerde };
  }
  if (isWindowed) throw invalid(`${method}: a view of a table of windows cannot have a store`);
  const value = valueSerde ?? msgpack();
  const spec = { ...keyValueStore(store), key: keySerde, value, backing: 'changelog' } as const;
  const stores = addTableStores(graph, { node, emit, keySerde, spec });
  const operator = storedView(view, { store, value, emit });
  addOperator(graph, operator, { name: node, parents: [parent], stores });
  return storedTable({ graph, node, store, keySerde, valueSerde: value, stream });
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
