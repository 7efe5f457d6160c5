import { integer, text, type OptionChecks } from '../../core/internal.ts';

/** What the SQLite sink and the SQLite source have in common. */
export interface SqliteOptions {
  /** The file of the database. A sink creates it if it is missing. */
  readonly path: string;
  /**
   * How long to wait while another process has the database locked, in milliseconds; then the run
   * ends with DATABASE_UNAVAILABLE. Default: 5,000.
   */
  readonly busyTimeoutMs?: number;
}

export const SQLITE_CHECKS: OptionChecks<SqliteOptions> = {
  path: text,
  busyTimeoutMs: integer(0, 2 ** 31 - 1),
};

// As Python's sqlite3 and better-sqlite3.
export const BUSY_TIMEOUT_MS = 5_000;
