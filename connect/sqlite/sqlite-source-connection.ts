import { resolve } from 'node:path';
import { nodeFileSystem } from '../../core/index.ts';
import { ConnectError } from '../errors.ts';
import { pageQuery, fromText, type PageDialect } from '../sql/page-query.ts';
import type {
  ConnectionContext,
  Page,
  Place,
  SourceConnection,
  SourceDatabase,
  SourceRelation,
} from '../sql/sql-connection.ts';
import { SqliteFile } from './sqlite-database.ts';
import { fromSqlite, toSqlite } from './sqlite-values.ts';

/** A file of SQLite that sources read. */
export function sqliteSourceDatabase(path: string, busyTimeoutMs: number): SourceDatabase {
  const label = resolve(path); // the working directory may change while it runs
  return {
    label,
    async connect(relation: SourceRelation, context: ConnectionContext) {
      await checkFile(label);
      const file = await SqliteFile.open({ ...context, path: label, busyTimeoutMs });
      try {
        return await SqliteSourceConnection.open(label, file, relation, context);
      } catch (cause) {
        file.close();
        throw cause;
      }
    },
  };
}

/** SQLite would create a file that is missing. @throws ConnectError FILE_NOT_FOUND */
async function checkFile(path: string): Promise<void> {
  if ((await nodeFileSystem.stat(path)) !== undefined) return;
  throw new ConnectError('FILE_NOT_FOUND', `there is no database ${path}`, { path });
}

/** Milliseconds since 1970 of a column: text in ISO 8601, or such a number. */
function msOf(column: string): string {
  const text = `(julianday(${column}) - 2440587.5) * 86400000.0`;
  return `CASE typeof(${column}) WHEN 'text' THEN ${text} ELSE ${column} END`;
}

class SqliteSourceConnection implements SourceConnection {
  readonly #file: SqliteFile;
  readonly #relation: SourceRelation;
  readonly #context: ConnectionContext;
  /** Of the relation, in order. */
  readonly #columns: readonly string[];
  readonly #dialect: PageDialect;

  private constructor(
    file: SqliteFile,
    relation: SourceRelation,
    context: ConnectionContext,
    columns: readonly string[],
  ) {
    this.#file = file;
    this.#relation = relation;
    this.#context = context;
    this.#columns = columns;
    const { timestampDelayMs } = relation;
    this.#dialect = {
      mark: () => '?',
      placeOf: (column) => column,
      aged: timestampDelayMs > 0 ? (column) => `${msOf(column)} <= ?` : undefined,
    };
  }

  static async open(
    path: string,
    file: SqliteFile,
    relation: SourceRelation,
    context: ConnectionContext,
  ): Promise<SqliteSourceConnection> {
    await file.patiently('open', () => file.run('PRAGMA query_only = ON', []));
    const sql = `SELECT * FROM ${fromText(relation)}`;
    const columns = await file.patiently('open', () => file.columnsOf(sql));
    for (const column of [relation.incrementing, relation.timestamp]) {
      if (column === undefined || columns.includes(column)) continue;
      const message = `what is read of ${path} has no column ${column}, only ${columns.join(', ')}`;
      throw new ConnectError('UNKNOWN_COLUMN', message, { file: path, column, columns });
    }
    return new SqliteSourceConnection(file, relation, context, columns);
  }

  async page(after: Place | undefined, limit: number): Promise<Page> {
    const { incrementing, timestamp, timestampDelayMs } = this.#relation;
    const sql = pageQuery(this.#relation, this.#dialect, { hasPlace: after !== undefined, limit });
    const isTimed = timestamp !== undefined;
    const place = isTimed ? [after?.timestamp, after?.incrementing] : [after?.incrementing];
    const values = [
      ...(after === undefined ? [] : place.map(toSqlite)),
      ...(isTimed && timestampDelayMs > 0 ? [this.#context.clock.nowMs() - timestampDelayMs] : []),
    ];
    const found = await this.#file.patiently('read', () => this.#file.all(sql, values));
    const rows = found.map((row) => {
      const entries = this.#columns.map((name, index) => [name, fromSqlite(row[index])] as const);
      return Object.fromEntries(entries);
    });
    const last = found.at(-1);
    if (last === undefined || incrementing === undefined) return { rows, last: undefined };
    const at = this.#columns.length;
    return {
      rows,
      last: { incrementing: fromSqlite(last[at]), timestamp: fromSqlite(last[at + 1]) },
    };
  }

  async close(): Promise<void> {
    this.#file.close();
  }
}
