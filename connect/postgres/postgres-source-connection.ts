import { ConnectError } from '../errors.ts';
import { fromText, pageQuery, type PageDialect } from '../sql/page-query.ts';
import type {
  ConnectionContext,
  Page,
  Place,
  SourceConnection,
  SourceDatabase,
  SourceRelation,
} from '../sql/sql-connection.ts';
import { PostgresClient } from './postgres-client.ts';
import { labelOf, type PostgresConnection } from './postgres-options.ts';
import { textValue, TIME_TYPES } from './postgres-values.ts';

/** A database that sources read. */
export function postgresSourceDatabase(connection: PostgresConnection): SourceDatabase {
  const label = labelOf(connection);
  return {
    label,
    async connect(relation: SourceRelation, context: ConnectionContext) {
      const client = await PostgresClient.open(connection, context);
      try {
        return await PostgresSourceConnection.open(label, client, relation);
      } catch (cause) {
        await client.close();
        throw cause;
      }
    },
  };
}

class PostgresSourceConnection implements SourceConnection {
  readonly #client: PostgresClient;
  readonly #relation: SourceRelation;
  /** Of the relation, in order. */
  readonly #columns: readonly string[];
  readonly #dialect: PageDialect;

  private constructor(
    client: PostgresClient,
    relation: SourceRelation,
    columns: readonly string[],
    dialect: PageDialect,
  ) {
    this.#client = client;
    this.#relation = relation;
    this.#columns = columns;
    this.#dialect = dialect;
  }

  static async open(
    label: string,
    client: PostgresClient,
    relation: SourceRelation,
  ): Promise<PostgresSourceConnection> {
    const { incrementing, timestamp, timestampDelayMs } = relation;
    await client.query('open', 'SET default_transaction_read_only = on');
    const { fields } = await client.query('open', `SELECT * FROM ${fromText(relation)} LIMIT 0`);
    const columns = fields.map(({ name }) => name);
    for (const column of [incrementing, timestamp]) {
      if (column === undefined || columns.includes(column)) continue;
      const known = columns.join(', ');
      const message = `what is read of ${label} has no column ${column}, only ${known}`;
      throw new ConnectError('UNKNOWN_COLUMN', message, { file: label, column, columns });
    }
    const type = fields.find(({ name }) => name === timestamp)?.dataTypeID ?? 0;
    // The server's clock: it is what has stamped the rows.
    const limit = TIME_TYPES.has(type)
      ? `(now() - ${timestampDelayMs} * interval '1 millisecond')`
      : `(extract(epoch FROM now()) * 1000 - ${timestampDelayMs})`;
    return new PostgresSourceConnection(client, relation, columns, {
      mark: (index) => `$${index}`,
      placeOf: (column) => `${column}::text`, // with all its digits
      aged: timestampDelayMs > 0 ? (column) => `${column} <= ${limit}` : undefined,
    });
  }

  async page(after: Place | undefined, limit: number): Promise<Page> {
    const { incrementing, timestamp } = this.#relation;
    const sql = pageQuery(this.#relation, this.#dialect, { hasPlace: after !== undefined, limit });
    const place =
      timestamp === undefined ? [after?.incrementing] : [after?.timestamp, after?.incrementing];
    const values = after === undefined ? [] : place.map(textValue);
    const { rows: found } = await this.#client.query('read', sql, values);
    const rows = found.map((row) => {
      return Object.fromEntries(this.#columns.map((name, index) => [name, row[index]]));
    });
    const last = found.at(-1);
    if (last === undefined || incrementing === undefined) return { rows, last: undefined };
    const at = this.#columns.length;
    return { rows, last: { incrementing: last[at], timestamp: last[at + 1] } };
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}
