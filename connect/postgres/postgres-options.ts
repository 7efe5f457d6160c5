import {
  anything,
  flag,
  instance,
  integer,
  plain,
  text,
  checkOptions,
  type OptionChecks,
} from '../../core/internal.ts';
import { Secret } from '../config.ts';

/** Where a database is, and who asks. */
export interface PostgresConnection {
  /** A name, an address, or the directory of a Unix socket. Default: `localhost`. */
  readonly host?: string;
  /** Default: 5432. */
  readonly port?: number;
  readonly database: string;
  readonly user: string;
  /** It is printed nowhere. Default: none. */
  readonly password?: string | Secret;
  /**
   * Whether the connection is encrypted and the server's certificate checked; an object has what
   * `tls.connect` takes, such as `{ ca }`. Default: false.
   */
  readonly ssl?: boolean | Readonly<Record<string, unknown>>;
  /** How long a connection may take to open, in milliseconds. Default: 10,000. */
  readonly connectTimeoutMs?: number;
}

/** What the PostgreSQL sink and the PostgreSQL source have in common. */
export interface PostgresOptions {
  readonly connection: PostgresConnection;
}

const CONNECTION_CHECKS: OptionChecks<PostgresConnection> = {
  host: text,
  port: integer(1, 65_535),
  database: text,
  user: text,
  password: (value) => (value instanceof Secret ? undefined : text(value)),
  ssl: (value) =>
    flag(value) === undefined || plain(value) === undefined
      ? undefined
      : 'true, false, or options of TLS',
  connectTimeoutMs: integer(1, 2 ** 31 - 1),
};

export const POSTGRES_CHECKS: OptionChecks<PostgresOptions> = { connection: instance };

/** @throws LogError UNKNOWN_OPTION, INVALID_OPTION; no message has the password. */
export function checkConnection(what: string, connection: PostgresConnection): void {
  // A password that is none would be shown otherwise.
  const { password, ...others } = connection;
  const given = { ...others, ...(password !== undefined && { password: hidden(password) }) };
  const required = ['database', 'user'] as const;
  checkOptions(`${what}.connection`, given, { ...CONNECTION_CHECKS, password: anything }, required);
}

function hidden(password: unknown): Secret {
  return password instanceof Secret ? password : new Secret(String(password));
}

/** The database for messages: without who asks, and how they prove it. */
export function labelOf({ host = 'localhost', port = 5432, database }: PostgresConnection): string {
  return `postgres://${host}:${port}/${database}`;
}
