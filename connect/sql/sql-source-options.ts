import { LogError, type Topic } from '../../core/index.ts';
import {
  callback,
  flag,
  instance,
  integer,
  plain,
  text,
  type OptionChecks,
} from '../../core/internal.ts';

/** Where a source begins that has not read anything yet. */
export interface SqlStart {
  /** The value of `incrementingColumn`. */
  readonly incrementing: string | number | bigint;
  /** The value of `timestampColumn`, where there is one. Default: there is none. */
  readonly timestamp?: string | number | bigint | Date;
}

/** What the SQL sources have in common. */
export interface SqlSourceOptions<Row, K, V> {
  /**
   * Identifies the source in the log, for ever. Default: the name of the topic, with `-sqlite` or
   * `-postgres`.
   */
  readonly name?: string;
  readonly topic: Topic<K, V>;
  /** What is read; a dot ends the name of a schema. Default: none, and `query` is read. */
  readonly table?: string;
  /**
   * What is read instead: a SELECT without ORDER BY and LIMIT, which has the columns below.
   * Default: none, and `table` is read.
   */
  readonly query?: string;
  /**
   * A column whose values are unique and grow, such as a sequence: only rows with larger values
   * than those that were read are new. Rows in which it is null are not read. Default: none, and
   * everything is read again and again.
   *
   * A sequence is counted before a transaction commits: of two that run at the same time, the one
   * with the smaller value may commit last, and its row is passed over. `timestampColumn` with
   * `timestampDelayMs` is safe from that.
   */
  readonly incrementingColumn?: string;
  /**
   * A column with the time of the last change: rows are read again when it moves. Of rows with one
   * time, `incrementingColumn` tells which ones were read. Default: none, and changes are not seen.
   */
  readonly timestampColumn?: string;
  /**
   * Leaves rows alone until their timestamp is so old, in milliseconds: longer than any transaction
   * takes from the moment that it takes the time to its commit. Otherwise a row that becomes
   * visible behind younger ones is passed over. Default: 0.
   */
  readonly timestampDelayMs?: number;
  /** Reads only what comes after it, the first time. Default: everything. */
  readonly startAfter?: SqlStart;
  /** The record's key, which decides its partition; null spreads the records. */
  readonly key: (row: Row) => NoInfer<K> | null;
  /** The record's value. Default: the row, if it is such a value. */
  readonly value?: (row: Row) => NoInfer<V> | null;
  /** Event time, a Date or milliseconds since 1970. Default: the time at which the row is read. */
  readonly timestamp?: (row: Row) => number | Date;
  /**
   * False: reads what is there, then ends. True: looks again after `pollIntervalMs`, until it is
   * stopped. Default: false.
   */
  readonly follow?: boolean;
  /** With `follow`, how long to wait before the next look, in milliseconds. Default: 5,000. */
  readonly pollIntervalMs?: number;
  /** How many rows a query fetches. Without `incrementingColumn` it is all. Default: 2,000. */
  readonly pageRows?: number;
}

/** The options of a source of any topic. */
export type AnySqlSourceOptions = SqlSourceOptions<unknown, unknown, unknown>;

export const SQL_SOURCE_CHECKS: OptionChecks<AnySqlSourceOptions> = {
  name: text,
  topic: (value) => (instance(value) === undefined ? undefined : 'a topic'),
  table: text,
  query: text,
  incrementingColumn: text,
  timestampColumn: text,
  timestampDelayMs: integer(0),
  startAfter: plain,
  key: callback,
  value: callback,
  timestamp: callback,
  follow: flag,
  pollIntervalMs: integer(1),
  pageRows: integer(1, 1_000_000),
};

/** @throws LogError INVALID_OPTION for options that do not go together. */
export function checkSqlSource(what: string, options: AnySqlSourceOptions): void {
  const { table, query, incrementingColumn, timestampColumn, startAfter } = options;
  if ((table === undefined) === (query === undefined)) {
    refuse(what, 'table', table, 'given, or else query, and not both');
  }
  if (timestampColumn !== undefined && incrementingColumn === undefined) {
    refuse(what, 'incrementingColumn', undefined, 'given, too: of rows of one time it tells which');
  }
  if (options.timestampDelayMs !== undefined && timestampColumn === undefined) {
    refuse(what, 'timestampDelayMs', 'given', 'left out unless there is a timestampColumn');
  }
  if (startAfter === undefined) return;
  const isFitting =
    incrementingColumn !== undefined &&
    (startAfter as Partial<SqlStart>).incrementing !== undefined &&
    (startAfter.timestamp === undefined) === (timestampColumn === undefined);
  if (!isFitting) {
    refuse(
      what,
      'startAfter',
      'others',
      'values for incrementingColumn, and timestampColumn if any',
    );
  }
}

function refuse(what: string, option: string, given: unknown, allowed: string): never {
  const message = `${what}: ${option} must be ${allowed}`;
  throw new LogError('INVALID_OPTION', message, { option, value: String(given), allowed });
}
