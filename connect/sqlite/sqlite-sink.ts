import type { Topic } from '../../core/index.ts';
import { checkOptions, type OptionChecks } from '../../core/internal.ts';
import type { SinkConnector } from '../connector.ts';
import {
  checkSqlSink,
  SQL_SINK_CHECKS,
  type AnySqlSinkOptions,
  type SqlSinkOptions,
} from '../sql/sql-sink-options.ts';
import { sqlSink } from '../sql/sql-sink.ts';
import { BUSY_TIMEOUT_MS, SQLITE_CHECKS, type SqliteOptions } from './sqlite-options.ts';
import { sqliteSinkDatabase } from './sqlite-sink-connection.ts';

/** What `sqliteSink` writes, and where. */
export interface SqliteSinkOptions<K, V> extends SqliteOptions, SqlSinkOptions<K, V> {}

const CHECKS: OptionChecks<SqliteSinkOptions<unknown, unknown>> = {
  ...SQL_SINK_CHECKS,
  ...SQLITE_CHECKS,
};

/**
 * Writes topics to tables of SQLite, each record once: the offsets are in the same database, in the
 * table `millrace_offsets`, and change in the same transaction. A transaction is open from the
 * first row to the next commit (`commitIntervalMs`); other processes can read meanwhile, and cannot
 * write. A later run with the same name takes the database from an earlier one, which ends with
 * SINK_FENCED.
 *
 * Integers and booleans become INTEGER, other numbers REAL, dates text in ISO 8601, bytes BLOB, and
 * objects and lists JSON. A record whose row the table refuses is rejected (ROW_UNWRITABLE), and
 * the run goes on if it tolerates that.
 *
 * Needs the package `libsql`.
 *
 * @example
 * sqliteSink({ topic: airports, path: 'airports.db', keyColumns: ['iata'] })
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function sqliteSink<K, V>(
  options: SqliteSinkOptions<K, V> &
    ([V] extends [object] ? unknown : Required<Pick<SqliteSinkOptions<K, V>, 'row'>>),
): SinkConnector<Topic<K, V>> {
  const all: SqliteSinkOptions<K, V> = options;
  checkOptions<object>('sqliteSink', all, CHECKS, ['topic', 'path'] as never);
  const common = all as unknown as AnySqlSinkOptions;
  checkSqlSink('sqliteSink', common);
  const { path, busyTimeoutMs = BUSY_TIMEOUT_MS } = all;
  const connector = sqlSink(common, sqliteSinkDatabase(path, busyTimeoutMs), 'sqlite');
  return connector as SinkConnector<Topic<K, V>>;
}
