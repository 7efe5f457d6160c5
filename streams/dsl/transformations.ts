import { msgpack } from '../../core/index.ts';
import { transformTable } from '../operators/transform-table.ts';
import type { RowTransformerSupplier } from '../topology/processor.ts';
import { checkFunctions } from './arguments.ts';
import { checkNodeOptions, type TransformOptions } from './node-options.ts';
import type { TableParts } from './parts.ts';
import { checkStores, connectStores } from './processors.ts';
import { checkTableEmit, nodeName } from './tables.ts';
import { addKeptTable } from './views.ts';

const METHOD = 'transformValues';

/** Adds a table whose rows a transformer of the user's own makes; it is always stored. */
export function addTransformation<K, V, V2>(
  parts: TableParts<K, V>,
  supplier: RowTransformerSupplier<K, V, unknown>,
  options: TransformOptions<NonNullable<V2>>,
): TableParts<K, V2> {
  checkFunctions(METHOD, { supplier });
  checkNodeOptions(METHOD, options, ['name', 'store', 'value', 'emit', 'stores']);
  const { emit = 'each', value = msgpack(), stores: handles = [] } = options;
  checkTableEmit(METHOD, emit);
  checkStores(METHOD, handles);
  const { graph, node: parent } = parts;
  const node = nodeName(graph, 'transform-values', options);
  const { store = node } = options;
  const stores = connectStores(graph, METHOD, handles, node);
  const kept = { node, store, value, emit, parents: [parent], stores };
  return addKeptTable<K, V, V2>(parts, kept, (table) =>
    transformTable<K, V, NonNullable<V2>>(supplier, handles, table),
  );
}
