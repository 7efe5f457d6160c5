import { msgpack } from '../../core/index.ts';
import { transformTable } from '../operators/transform-table.ts';
import type { RowTransformerSupplier } from '../topology/processor.ts';
import { checkFunctions } from './arguments.ts';
import { checkNodeOptions, type TransformOptions } from './node-options.ts';
import type { TableParts } from './parts.ts';
import { connect, connectionsOf } from './processors.ts';
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
  checkNodeOptions(METHOD, options, ['name', 'store', 'value', 'emit', 'stores', 'tables']);
  const { emit = 'each', value = msgpack() } = options;
  checkTableEmit(METHOD, emit);
  const { graph, node: parent } = parts;
  const connections = connectionsOf(METHOD, graph, options);
  const node = nodeName(graph, 'transform-values', options, parent);
  const { store = node } = options;
  const stores = connect(graph, METHOD, connections, node);
  const kept = { node, store, value, emit, parents: [parent], stores, errors: options };
  return addKeptTable<K, V, V2>(parts, kept, (table) =>
    transformTable<K, V, NonNullable<V2>>(supplier, connections, table),
  );
}
