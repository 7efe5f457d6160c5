import { asError } from '../../core/internal.ts';
import { Secret } from '../config.ts';
import { ConnectError } from '../errors.ts';
import { loadPackage } from '../packages.ts';
import { codeOf, databaseFailed, unavailable, type SqlOperation } from '../sql/failure.ts';
import type { ConnectionContext, ValueList } from '../sql/sql-connection.ts';
import { labelOf, type PostgresConnection } from './postgres-options.ts';
import { parserOf } from './postgres-values.ts';

/** What is used of `pg`. */
interface Driver {
  readonly default: { readonly Client: new (options: object) => DriverClient };
}
interface DriverClient {
  connect(): Promise<unknown>;
  query(query: object): Promise<DriverResult>;
  end(): Promise<void>;
  on(event: 'error', listener: (error: unknown) => void): unknown;
}
interface DriverResult {
  /** What was done, such as `COMMIT`. */
  readonly command: string;
  readonly rows: readonly ValueList[];
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[];
}

const PACKAGE = 'pg';
const CONNECT_TIMEOUT_MS = 10_000;
/** How long a statement waits for a row that another transaction has locked. */
const LOCK_TIMEOUT_MS = 30_000;
/** How long `end` waits for a server that does not answer. */
const END_MS = 1_000;

/** Times as ISO 8601 in UTC, intervals too, bytes as hex: what `parserOf` reads. */
const SESSION =
  "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'iso_8601'; " +
  `SET bytea_output = 'hex'; SET extra_float_digits = 1; SET lock_timeout = ${LOCK_TIMEOUT_MS}`;

/** A session with PostgreSQL, with coded errors. Its calls do not overlap. */
export class PostgresClient {
  readonly #label: string;
  readonly #client: DriverClient;
  readonly #context: ConnectionContext;
  /** Set when the connection is lost: nothing can be done with it any more. */
  #lost: { readonly cause: unknown } | undefined;

  private constructor(label: string, client: DriverClient, context: ConnectionContext) {
    this.#label = label;
    this.#client = client;
    this.#context = context;
    // Without a listener it would end the process.
    client.on('error', (cause) => (this.#lost ??= { cause }));
  }

  /** @throws ConnectError PACKAGE_MISSING, DATABASE_UNAVAILABLE, DATABASE_FAILED */
  static async open(
    connection: PostgresConnection,
    context: ConnectionContext,
  ): Promise<PostgresClient> {
    const { default: pg } = await loadPackage<Driver>(PACKAGE, 'use PostgreSQL');
    const { host = 'localhost', port = 5432, database, user, password, ssl = false } = connection;
    const { connectTimeoutMs = CONNECT_TIMEOUT_MS } = connection;
    const label = labelOf(connection);
    const client = new pg.Client({
      ...{ host, port, database, user, ssl, keepAlive: true, application_name: 'millrace' },
      password: password instanceof Secret ? password.reveal() : password,
      connectionTimeoutMillis: connectTimeoutMs,
      types: { getTypeParser: parserOf },
    });
    const opened = new PostgresClient(label, client, context);
    try {
      await client.connect();
      await client.query({ text: SESSION });
    } catch (cause) {
      await opened.close();
      throw postgresFailure(label, 'open', cause);
    }
    return opened;
  }

  /** Runs a statement with parameters `$1`, `$2` ... as text, and returns its rows. */
  async query(
    operation: SqlOperation,
    text: string,
    values: ValueList = [],
  ): Promise<DriverResult> {
    try {
      return await this.queryRaw(text, values);
    } catch (cause) {
      throw postgresFailure(this.#label, operation, cause);
    }
  }

  /** The same. @throws what the driver throws. */
  async queryRaw(text: string, values: ValueList = []): Promise<DriverResult> {
    if (this.#lost !== undefined) throw this.#lost.cause;
    return this.#client.query({ text, rowMode: 'array', ...(values.length > 0 && { values }) });
  }

  /** Ends the session; a transaction that is open is rolled back. Does not reject. */
  async close(): Promise<void> {
    const { clock } = this.#context;
    // The server may be gone, and its answer with it.
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(END_MS, resolve);
      const done = (): void => {
        timer.cancel();
        resolve();
      };
      this.#client.end().then(done, done);
    });
  }
}

/** Codes, or classes of them, after which another connection may succeed. */
const PASSING = /^(08|53|57P0[1-5]|57014|40001|40P01|40003|55P03|25P03|25006|58000|XX000)/;
/** Codes of values that a table does not take, and of a row that a statement would change twice. */
const REFUSED = /^(21000|22|23|42804|54000|P0001)/;
const SQLSTATE = /^[0-9A-Z]{5}$/;

/** True if the values of a statement are the reason, and not what it stands on. */
export function isRefusal(cause: unknown): boolean {
  return REFUSED.test(codeOf(cause) ?? '');
}

/** Turns a failure of the server, or of the way to it, into a coded error. */
export function postgresFailure(label: string, operation: SqlOperation, cause: unknown): Error {
  if (cause instanceof ConnectError) return cause;
  const code = codeOf(cause) ?? '';
  // What comes from no server is a failure of the network: it has no code of five characters.
  if (!SQLSTATE.test(code) || PASSING.test(code)) return unavailable(label, operation, cause);
  return databaseFailed(label, operation, asError(cause));
}
