import { LogError, type ConsumerRecord, type Topic } from '../../core/index.ts';
import { callback, instance, plain, show, text, type OptionChecks } from '../../core/internal.ts';
import { tableOf } from './sql-text.ts';

/** A row for a table, by column. A column that is undefined is left out. */
export type SqlRow = Readonly<Record<string, unknown>>;

/** What the SQL sinks have in common. */
export interface SqlSinkOptions<K, V> {
  /**
   * Identifies the sink in the log and in the database, for ever. Default: the name of the first
   * topic, with `-sqlite` or `-postgres`.
   */
  readonly name?: string;
  /** What is written: one topic, or several of the same types. */
  readonly topic: Topic<K, V> | readonly Topic<K, V>[];
  /**
   * The table, in which `{topic}` stands for the topic's name; a dot ends the name of a schema.
   * Default: `{topic}`.
   *
   * @example
   * table: 'sales.{topic}'
   */
  readonly table?: string;
  /**
   * Makes a record's row; undefined leaves the record out. Default: the fields of the value, which
   * must be an object.
   */
  readonly row?: (record: ConsumerRecord<K, V>) => SqlRow | undefined;
  /** The fields of the row that are written. Default: all of them. */
  readonly columns?: readonly string[];
  /**
   * The columns that identify a row, such as the primary key; a unique constraint must cover them.
   * With them a record replaces what the row has, or inserts it, and a record with a null value
   * deletes it. Those that a row lacks are taken from the record's key: its fields, or itself if
   * there is one such column. Default: none, and each record is inserted.
   */
  readonly keyColumns?: readonly string[];
  /**
   * Creates tables that are missing, with these columns and their types in SQL, and `keyColumns` as
   * the primary key. Default: a table that is missing is an error.
   *
   * @example
   * create: { id: 'BIGINT', name: 'TEXT NOT NULL' }
   */
  readonly create?: Readonly<Record<string, string>>;
}

/** The options of a sink of any topic. */
export type AnySqlSinkOptions = SqlSinkOptions<unknown, unknown>;

export const SQL_SINK_CHECKS: OptionChecks<AnySqlSinkOptions> = {
  name: text,
  topic: (value) =>
    [value].flat().length > 0 && [value].flat().every((each) => instance(each) === undefined)
      ? undefined
      : 'a topic, or a list of topics',
  table: text,
  row: callback,
  columns: (value) => (isNames(value) ? undefined : 'a list of names of columns'),
  keyColumns: (value) => (isNames(value) ? undefined : 'a list of names of columns'),
  create: (value) =>
    plain(value) === undefined && isNames(Object.values(value as object))
      ? undefined
      : "an object of columns and their types, such as { id: 'BIGINT' }",
};

function isNames(value: unknown): boolean {
  return (
    Array.isArray(value) && value.length > 0 && value.every((each) => text(each) === undefined)
  );
}

/** @throws LogError INVALID_OPTION for options that do not go together. */
export function checkSqlSink(what: string, options: AnySqlSinkOptions): void {
  const { topic, table = '{topic}', create, columns, keyColumns = [] } = options;
  const topics = [topic].flat();
  if (tableOf(table, topics[0]!.name).some((part) => part === '')) {
    refuse(what, 'table', table, 'a name, or a schema and a name, such as sales.{topic}');
  }
  for (const key of keyColumns) {
    if (create !== undefined && !Object.hasOwn(create, key)) {
      refuse(what, 'create', create, `an object with the key column ${key}`);
    }
    if (columns !== undefined && !columns.includes(key)) {
      refuse(what, 'columns', columns, `a list with the key column ${key}`);
    }
  }
}

function refuse(what: string, option: string, given: unknown, allowed: string): never {
  const value = show(given);
  const message = `${what}: ${option} must be ${allowed}, not ${value}`;
  throw new LogError('INVALID_OPTION', message, { option, value, allowed });
}
