import { msgpack } from '../../core/index.ts';
import { changeSerde } from '../operators/change-serde.ts';
import { groupTable } from '../operators/group-table.ts';
import type { KeyValue } from '../operators/results.ts';
import type { Row } from '../operators/table-view.ts';
import { checkFunctions } from './arguments.ts';
import type { GroupedTableParts } from './kgrouped-table.ts';
import { checkNodeOptions, type GroupOptions } from './node-options.ts';
import { addOperator, type TableMaker, type TableParts } from './parts.ts';

/** Adds the operator that moves the rows of a table to their groups. */
export function addTableGrouping<K, V, K2, V2>(
  parts: TableParts<K, V>,
  mapper: (row: Row<K, NonNullable<V>>) => KeyValue<K2, V2>,
  options: GroupOptions<NonNullable<K2>, NonNullable<V2>>,
  table: TableMaker,
): GroupedTableParts<NonNullable<K2>, NonNullable<V2>> {
  checkFunctions('groupBy', { mapper });
  checkNodeOptions('groupBy', options, ['name', 'key', 'value', 'partitions']);
  const { graph, node: parent, isVersioned, stream } = parts;
  const { key = msgpack(), value: rowValue = msgpack(), partitions } = options;
  const operator = groupTable<K, NonNullable<V>, NonNullable<K2>, NonNullable<V2>>({
    mapper: mapper as (row: Row<K, NonNullable<V>>) => KeyValue<NonNullable<K2>, NonNullable<V2>>,
    ...{ key, isVersioned },
  });
  const node = graph.nameFor(operator.kind, options.name, parent);
  addOperator(graph, operator, { name: node, parents: [parent], errors: options });
  const value = changeSerde(rowValue);
  return { graph, node, key, value, rowValue, mustRepartition: true, partitions, stream, table };
}
