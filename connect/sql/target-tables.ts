import { ConnectError } from '../errors.ts';
import type { SinkConnection, TableName } from './sql-connection.ts';
import type { AnySqlSinkOptions } from './sql-sink-options.ts';
import { quoteName, quoteNames, showTable, tableOf } from './sql-text.ts';

/** The table of a topic. */
export interface TargetTable {
  readonly table: TableName;
  /** Read again when a row has others: somebody may have added them. */
  columns: ReadonlySet<string>;
}

/** The tables that a sink writes to: by its template, one for each topic. */
export class TargetTables {
  readonly #options: AnySqlSinkOptions;
  readonly #connection: SinkConnection;
  readonly #label: string;
  readonly #byTopic = new Map<string, TargetTable>();

  constructor(options: AnySqlSinkOptions, connection: SinkConnection, label: string) {
    this.#options = options;
    this.#connection = connection;
    this.#label = label;
  }

  /** Finds, or creates, the tables of topics. @throws ConnectError UNKNOWN_TABLE */
  async open(topics: readonly string[]): Promise<void> {
    await this.#connection.begin();
    for (const topic of topics) await this.add(topic);
    await this.#connection.commit();
  }

  /** The table of a topic; undefined if it was not looked for yet. */
  get(topic: string): TargetTable | undefined {
    return this.#byTopic.get(topic);
  }

  /** The same inside a transaction: looks for it. @throws ConnectError UNKNOWN_TABLE */
  async add(topic: string): Promise<TargetTable> {
    const { table: template = '{topic}', create, keyColumns = [] } = this.#options;
    const table = tableOf(template, topic);
    if (create !== undefined) {
      await this.#connection.createTable(table, definitions(create, keyColumns));
    }
    const columns = await this.#connection.columnsOf(table);
    if (columns === undefined) throw unknownTable(this.#label, table);
    const target: TargetTable = { table, columns: new Set(columns) };
    this.#byTopic.set(topic, target);
    return target;
  }

  /** Why a table cannot take rows of such columns; undefined if it can. */
  async faultOf(target: TargetTable, columns: readonly string[]): Promise<string | undefined> {
    const isUnknown = (column: string): boolean => !target.columns.has(column);
    if (!columns.some(isUnknown)) return undefined;
    target.columns = new Set(await this.#connection.columnsOf(target.table));
    const unknown = columns.find(isUnknown);
    if (unknown === undefined) return undefined;
    return `the table ${showTable(target.table)} has no column ${unknown} that can be written`;
  }
}

function definitions(
  create: Readonly<Record<string, string>>,
  keyColumns: readonly string[],
): readonly string[] {
  const columns = Object.entries(create).map(([name, type]) => `${quoteName(name)} ${type}`);
  const key = keyColumns.length === 0 ? [] : [`PRIMARY KEY (${quoteNames(keyColumns)})`];
  return [...columns, ...key];
}

/** UNKNOWN_TABLE, for a sink. */
function unknownTable(database: string, name: TableName): ConnectError {
  const table = showTable(name);
  const message =
    `the database ${database} has no table ${table}; create it, or give the sink the option ` +
    'create with its columns';
  return new ConnectError('UNKNOWN_TABLE', message, { database, table });
}
