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
import { checkConnection, POSTGRES_CHECKS, type PostgresOptions } from './postgres-options.ts';
import { postgresSinkDatabase } from './postgres-sink-connection.ts';

/** What `postgresSink` writes, and where. */
export interface PostgresSinkOptions<K, V> extends PostgresOptions, SqlSinkOptions<K, V> {}

const CHECKS: OptionChecks<PostgresSinkOptions<unknown, unknown>> = {
  ...SQL_SINK_CHECKS,
  ...POSTGRES_CHECKS,
};

/**
 * Writes topics to tables of PostgreSQL, each record once: the offsets are in the same database, in
 * the table `millrace_offsets`, and change in the same transaction. A later run with the same name
 * takes the output from an earlier one, which ends with SINK_FENCED.
 *
 * Rows travel as JSON, and the server makes the values by the types of the columns: dates as ISO
 * 8601, bytes as hex, bigints and decimal text with all their digits, objects and lists for columns
 * of JSON. A record whose row the table refuses is rejected (ROW_UNWRITABLE), and the run goes on
 * if it tolerates that. When the connection is lost, the run ends with DATABASE_UNAVAILABLE, and
 * with `retries` begins again at the last commit.
 *
 * Needs the package `pg`.
 *
 * @example
 * const connection = { host: 'db', database: 'shop', user: 'millrace', password, ssl: true };
 * postgresSink({ topic: orders, connection, keyColumns: ['id'] })
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function postgresSink<K, V>(
  options: PostgresSinkOptions<K, V> &
    ([V] extends [object] ? unknown : Required<Pick<PostgresSinkOptions<K, V>, 'row'>>),
): SinkConnector<Topic<K, V>> {
  const all: PostgresSinkOptions<K, V> = options;
  checkOptions<object>('postgresSink', all, CHECKS, ['topic', 'connection'] as never);
  checkConnection('postgresSink', all.connection);
  const common = all as unknown as AnySqlSinkOptions;
  checkSqlSink('postgresSink', common);
  const connector = sqlSink(common, postgresSinkDatabase(all.connection), 'postgres');
  return connector as SinkConnector<Topic<K, V>>;
}
