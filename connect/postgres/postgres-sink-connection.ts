import { asError, present, stringifyJson } from '../../core/internal.ts';
import type {
  ConnectionContext,
  RefusedRow,
  SinkConnection,
  SinkDatabase,
  TableChanges,
  TableName,
  ValueList,
} from '../sql/sql-connection.ts';
import { databaseFailed } from '../sql/failure.ts';
import { conflictClause, quoteNames, quoteTable } from '../sql/sql-text.ts';
import { isRefusal, PostgresClient, postgresFailure } from './postgres-client.ts';
import { labelOf, type PostgresConnection } from './postgres-options.ts';
import { jsonValue, rowsAsJson } from './postgres-values.ts';

/** A database that sinks write to. */
export function postgresSinkDatabase(connection: PostgresConnection): SinkDatabase {
  const label = labelOf(connection);
  return {
    label,
    async connect(context: ConnectionContext) {
      return new PostgresSinkConnection(label, await PostgresClient.open(connection, context));
    },
  };
}

/** Which changes of a statement: from one index up to another. */
interface Range {
  readonly start: number;
  readonly end: number;
}

class PostgresSinkConnection implements SinkConnection {
  readonly rowLock = ' FOR UPDATE';
  readonly #label: string;
  readonly #client: PostgresClient;

  constructor(label: string, client: PostgresClient) {
    this.#label = label;
    this.#client = client;
  }

  async begin(): Promise<void> {
    await this.#client.query('begin', 'BEGIN');
  }

  async query(sql: string, values: ValueList): Promise<readonly ValueList[]> {
    let index = 0;
    const text = sql.replaceAll('?', () => `$${++index}`);
    return (await this.#client.query('write', text, values)).rows;
  }

  async createTable(table: TableName, columns: readonly string[]): Promise<void> {
    const name = quoteTable(table);
    // Looks first: who may not create tables may still write to those that there are.
    if (await this.#exists(table)) return;
    // Two that create a table at the same time would fail; the lock ends with the transaction.
    await this.#client.query(
      'create a table in',
      "SELECT pg_advisory_xact_lock(hashtext('millrace'), 1)",
    );
    const sql = `CREATE TABLE IF NOT EXISTS ${name} (${columns.join(', ')})`;
    await this.#client.query('create a table in', sql);
  }

  async columnsOf(table: TableName): Promise<readonly string[] | undefined> {
    if (!(await this.#exists(table))) return undefined;
    // A column that is computed cannot be written.
    const { rows } = await this.#client.query(
      'open',
      'SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) ' +
        "AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
      [quoteTable(table)],
    );
    return rows.map(([name]) => String(name));
  }

  async apply(changes: TableChanges): Promise<readonly RefusedRow[]> {
    const refused: RefusedRow[] = [];
    await this.#client.query('write', 'SAVEPOINT millrace');
    await this.#applyRange(changes, { start: 0, end: changes.rows.length }, refused);
    await this.#client.query('write', 'RELEASE SAVEPOINT millrace');
    return refused;
  }

  async commit(): Promise<void> {
    const { command } = await this.#client.query('commit', 'COMMIT');
    if (command === 'COMMIT') return;
    // The server answers so, without an error, if a statement before it has failed.
    throw databaseFailed(this.#label, 'commit', new TypeError('it was rolled back'));
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  /** Makes the changes of a range, in halves where a row is refused, until that is alone. */
  async #applyRange(changes: TableChanges, range: Range, refused: RefusedRow[]): Promise<void> {
    const { start, end } = range;
    const cause = await this.#refusal(changes, changes.rows.slice(start, end));
    if (cause !== undefined) {
      await this.#client.query('write', 'ROLLBACK TO SAVEPOINT millrace');
      if (end - start === 1) {
        refused.push({ index: start, cause });
        return;
      }
      const middle = (start + end) >> 1;
      await this.#applyRange(changes, { start, end: middle }, refused);
      await this.#applyRange(changes, { start: middle, end }, refused);
      return;
    }
    // What follows may fail: this stays.
    if (end - start < changes.rows.length) {
      await this.#client.query('write', 'RELEASE SAVEPOINT millrace');
      await this.#client.query('write', 'SAVEPOINT millrace');
    }
  }

  /** Makes changes, or returns why one of them is refused. */
  async #refusal(changes: TableChanges, rows: readonly ValueList[]): Promise<Error | undefined> {
    let json: string;
    try {
      json = rowsAsJson(changes.columns, newestOf(changes, rows));
    } catch (cause) {
      return asError(cause); // a value has no form there
    }
    try {
      await this.#client.queryRaw(statementOf(changes), [json]);
      return undefined;
    } catch (cause) {
      if (isRefusal(cause)) return asError(cause);
      throw postgresFailure(this.#label, 'write', cause);
    }
  }

  async #exists(table: TableName): Promise<boolean> {
    const sql = 'SELECT to_regclass($1) IS NOT NULL';
    const { rows } = await this.#client.query('open', sql, [quoteTable(table)]);
    return present(rows[0], 'a SELECT without FROM has a row')[0] === true;
  }
}

/**
 * The server makes rows of JSON, by the types of the table: one parameter for any number of rows,
 * and no type needs to be known here.
 */
function statementOf(changes: TableChanges): string {
  const { table, kind, columns } = changes;
  const name = quoteTable(table);
  const rows = `json_populate_recordset(NULL::${name}, $1::text::json)`;
  const names = quoteNames(columns);
  if (kind === 'delete') {
    return `DELETE FROM ${name} WHERE (${names}) IN (SELECT ${names} FROM ${rows})`;
  }
  const conflict = conflictClause(changes);
  return `INSERT INTO ${name} (${names}) SELECT ${names} FROM ${rows}${conflict}`;
}

/** Of the rows of one key the last: a statement changes no row twice. */
function newestOf(changes: TableChanges, rows: readonly ValueList[]): readonly ValueList[] {
  const { kind, columns, keyColumns } = changes;
  if (kind !== 'upsert') return rows;
  const places = keyColumns.map((column) => columns.indexOf(column));
  const newest = new Map<string, ValueList>();
  for (const row of rows) {
    const key = stringifyJson(places.map((place) => jsonValue(row[place]))) ?? '';
    newest.delete(key); // so that it goes to the end
    newest.set(key, row);
  }
  return newest.size === rows.length ? rows : [...newest.values()];
}
