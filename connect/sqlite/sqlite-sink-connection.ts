import { resolve } from 'node:path';
import { asError, present } from '../../core/internal.ts';
import type {
  ConnectionContext,
  RefusedRow,
  SinkConnection,
  SinkDatabase,
  TableChanges,
  TableName,
  ValueList,
} from '../sql/sql-connection.ts';
import { conflictClause, quoteName, quoteNames, quoteTable } from '../sql/sql-text.ts';
import { isRefusal, SqliteFile, sqliteFailure } from './sqlite-database.ts';
import { toSqlite } from './sqlite-values.ts';

/** A file of SQLite that sinks write to. */
export function sqliteSinkDatabase(path: string, busyTimeoutMs: number): SinkDatabase {
  const label = resolve(path); // the working directory may change while it runs
  return {
    label,
    async connect(context: ConnectionContext) {
      const file = await SqliteFile.open({ ...context, path: label, busyTimeoutMs });
      return SqliteSinkConnection.open(label, file);
    },
  };
}

class SqliteSinkConnection implements SinkConnection {
  /** A transaction that writes is the only one. */
  readonly rowLock = '';
  readonly #path: string;
  readonly #file: SqliteFile;

  private constructor(path: string, file: SqliteFile) {
    this.#path = path;
    this.#file = file;
  }

  static async open(path: string, file: SqliteFile): Promise<SqliteSinkConnection> {
    try {
      // Drivers are built with other defaults for files in WAL mode.
      await file.patiently('open', () => file.run('PRAGMA synchronous = FULL', []));
    } catch (cause) {
      file.close();
      throw cause;
    }
    return new SqliteSinkConnection(path, file);
  }

  async begin(): Promise<void> {
    await this.#file.patiently('begin', () => this.#file.run('BEGIN IMMEDIATE', []));
  }

  async query(sql: string, values: ValueList): Promise<readonly ValueList[]> {
    const given = values.map(toSqlite);
    return this.#file.patiently('write', () => this.#file.all(sql, given));
  }

  async createTable(table: TableName, columns: readonly string[]): Promise<void> {
    const sql = `CREATE TABLE IF NOT EXISTS ${quoteTable(table)} (${columns.join(', ')})`;
    await this.#file.patiently('create a table in', () => this.#file.run(sql, []));
  }

  async columnsOf(table: TableName): Promise<readonly string[] | undefined> {
    const name = present(table.at(-1), 'a table has a name');
    const schema = table.length > 1 ? `${quoteName(table[0]!)}.` : '';
    // Columns that are computed are hidden, and cannot be written.
    const sql = `PRAGMA ${schema}table_info(${quoteName(name)})`;
    const rows = await this.#file.patiently('open', () => this.#file.all(sql, []));
    return rows.length === 0 ? undefined : rows.map((row) => String(row[1]));
  }

  async apply(changes: TableChanges): Promise<readonly RefusedRow[]> {
    const sql = statementOf(changes);
    const refused: RefusedRow[] = [];
    for (const [index, row] of changes.rows.entries()) {
      const cause = this.#refusal(sql, row);
      if (cause !== undefined) refused.push({ index, cause });
    }
    return refused;
  }

  async commit(): Promise<void> {
    await this.#file.patiently('commit', () => this.#file.run('COMMIT', []));
  }

  async close(): Promise<void> {
    this.#file.close();
  }

  /** Writes a row, or returns why SQLite does not take it. */
  #refusal(sql: string, row: ValueList): Error | undefined {
    let values: ValueList;
    try {
      values = row.map(toSqlite);
    } catch (cause) {
      return asError(cause); // it has no form there
    }
    try {
      this.#file.run(sql, values);
      return undefined;
    } catch (cause) {
      if (isRefusal(cause)) return asError(cause);
      throw sqliteFailure(this.#path, 'write', cause);
    }
  }
}

function statementOf(changes: TableChanges): string {
  const { table, kind, columns } = changes;
  if (kind === 'delete') {
    const equal = columns.map((column) => `${quoteName(column)} = ?`).join(' AND ');
    return `DELETE FROM ${quoteTable(table)} WHERE ${equal}`;
  }
  const marks = columns.map(() => '?').join(', ');
  return (
    `INSERT INTO ${quoteTable(table)} (${quoteNames(columns)}) ` +
    `VALUES (${marks})${conflictClause(changes)}`
  );
}
