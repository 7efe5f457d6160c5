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
import { BUSY_TIMEOUT_MS, SQLITE_CHECKS, type SqliteOptions } from './sqlite-options.ts';
import { sqliteSourceDatabase } from './sqlite-source-connection.ts';

/** What `sqliteSource` reads, and how a row becomes a record. */
export interface SqliteSourceOptions<Row, K, V>
  extends SqliteOptions, SqlSourceOptions<Row, K, V> {}

const CHECKS: OptionChecks<SqliteSourceOptions<unknown, unknown, unknown>> = {
  ...SQL_SOURCE_CHECKS,
  ...SQLITE_CHECKS,
};

/**
 * Reads a table of SQLite, or what a query finds there, into a topic. Rows and the place behind
 * them are committed together, so each row is in the topic once, whatever happens to the process; a
 * row that has changed (`timestampColumn`) is there once for each change that was seen.
 *
 * A row is an object of its columns: INTEGER is a number, or a bigint beyond 2^53, REAL a number,
 * TEXT a string, BLOB a Buffer. `Row` is not checked.
 *
 * Without `incrementingColumn` everything is read at once, and with `follow` again after each
 * `pollIntervalMs`: that is for tables that fit into memory.
 *
 * Needs the package `libsql`.
 *
 * @example
 * sqliteSource({
 *   ...{ topic: airports, path: 'airports.db', table: 'airports', incrementingColumn: 'id' },
 *   key: (airport: Airport) => airport.iata,
 * })
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function sqliteSource<Row, K, V>(
  options: SqliteSourceOptions<Row, K, V> &
    ([Row] extends [V] ? unknown : Required<Pick<SqliteSourceOptions<Row, K, V>, 'value'>>),
): SourceConnector<Topic<K, V>> {
  const all: SqliteSourceOptions<Row, K, V> = options;
  checkOptions<object>('sqliteSource', all, CHECKS, ['topic', 'path', 'key'] as never);
  const common = all as unknown as AnySqlSourceOptions;
  checkSqlSource('sqliteSource', common);
  const { path, busyTimeoutMs = BUSY_TIMEOUT_MS } = all;
  const connector = sqlSource(common, sqliteSourceDatabase(path, busyTimeoutMs), 'sqlite');
  return connector as SourceConnector<Topic<K, V>>;
}
