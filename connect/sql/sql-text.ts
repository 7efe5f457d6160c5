import type { TableChanges, TableName } from './sql-connection.ts';

/** A name in quotes: whatever it holds, it stays a name. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A table in quotes: `"sales"."orders"`. */
export function quoteTable(table: TableName): string {
  return table.map(quoteName).join('.');
}

/** Names in quotes, with commas. */
export function quoteNames(names: readonly string[]): string {
  return names.map(quoteName).join(', ');
}

/**
 * The table that a template such as `sales.{topic}` names for a topic. Dots of the template end the
 * name of a schema; those of the topic do not.
 */
export function tableOf(template: string, topic: string): TableName {
  return template.split('.').map((part) => part.replaceAll('{topic}', topic));
}

/** A table as messages show it. */
export function showTable(table: TableName): string {
  return table.join('.');
}

/** What follows the values of an INSERT: nothing, or what becomes of a row that is there. */
export function conflictClause({ kind, columns, keyColumns }: TableChanges): string {
  if (kind !== 'upsert') return '';
  const others = columns.filter((column) => !keyColumns.includes(column));
  const target = ` ON CONFLICT (${quoteNames(keyColumns)})`;
  if (others.length === 0) return `${target} DO NOTHING`;
  const set = others.map((column) => `${quoteName(column)} = excluded.${quoteName(column)}`);
  return `${target} DO UPDATE SET ${set.join(', ')}`;
}
