import type { Topic } from '../../core/index.ts';
import { checkOptions, type OptionChecks } from '../../core/internal.ts';
import type { SourceConnector } from '../connector.ts';
import {
  checkSqlSource,
  SQL_SOURCE_CHECKS,
  type AnySqlSourceOptions,
  type SqlSourceOptions,
} from '../sql/sql-source-options.ts';
import { sqlSource } from '../sql/sql-source.ts';
import { checkConnection, POSTGRES_CHECKS, type PostgresOptions } from './postgres-options.ts';
import { postgresSourceDatabase } from './postgres-source-connection.ts';

/** What `postgresSource` reads, and how a row becomes a record. */
export interface PostgresSourceOptions<Row, K, V>
  extends PostgresOptions, SqlSourceOptions<Row, K, V> {}

const CHECKS: OptionChecks<PostgresSourceOptions<unknown, unknown, unknown>> = {
  ...SQL_SOURCE_CHECKS,
  ...POSTGRES_CHECKS,
};

/**
 * Reads a table of PostgreSQL, or what a query finds there, into a topic. Rows and the place behind
 * them are committed together, so each row is in the topic once, whatever happens to the process; a
 * row that has changed (`timestampColumn`) is there once for each change that was seen.
 *
 * A row is an object of its columns. Integers are numbers, or bigints beyond 2^53; `numeric` is
 * text with all its digits, times are text in ISO 8601 (`timestamptz` in UTC), `bytea` is a Buffer,
 * JSON is what it says, arrays are lists, and everything else is the text that PostgreSQL prints.
 * `Row` is not checked.
 *
 * Without `incrementingColumn` everything is read at once, and with `follow` again after each
 * `pollIntervalMs`: that is for tables that fit into memory.
 *
 * Needs the package `pg`.
 *
 * @example
 * postgresSource({
 *   ...{ topic: orders, connection, table: 'orders', incrementingColumn: 'id' },
 *   ...{ timestampColumn: 'changed_at', timestampDelayMs: 5_000, follow: true },
 *   key: (order: Order) => order.id,
 * })
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function postgresSource<Row, K, V>(
  options: PostgresSourceOptions<Row, K, V> &
    ([Row] extends [V] ? unknown : Required<Pick<PostgresSourceOptions<Row, K, V>, 'value'>>),
): SourceConnector<Topic<K, V>> {
  const all: PostgresSourceOptions<Row, K, V> = options;
  checkOptions<object>('postgresSource', all, CHECKS, ['topic', 'connection', 'key'] as never);
  checkConnection('postgresSource', all.connection);
  const common = all as unknown as AnySqlSourceOptions;
  checkSqlSource('postgresSource', common);
  const connector = sqlSource(common, postgresSourceDatabase(all.connection), 'postgres');
  return connector as SourceConnector<Topic<K, V>>;
}
