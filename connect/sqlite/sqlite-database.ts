import { sleep } from '../../core/internal.ts';
import { ConnectError } from '../errors.ts';
import { loadPackage } from '../packages.ts';
import { codeOf, databaseFailed, unavailable, type SqlOperation } from '../sql/failure.ts';
import type { ConnectionContext, ValueList } from '../sql/sql-connection.ts';

/** What is used of `libsql`: the part that `better-sqlite3` has in the same form. */
interface Driver {
  readonly default: new (path: string, options: { readonly timeout: number }) => DriverDatabase;
}
interface DriverDatabase {
  prepare(sql: string): DriverStatement;
  exec(sql: string): unknown;
  close(): unknown;
}
interface DriverStatement {
  run(...values: readonly unknown[]): unknown;
  all(...values: readonly unknown[]): unknown[];
  raw(isRaw: boolean): this;
  safeIntegers(isSafe: boolean): this;
  columns(): readonly { readonly name: string }[];
}

const PACKAGE = 'libsql';
/** How long to wait before the next look whether another process has ended its transaction. */
const BUSY_POLL_MS = 10;
/** Statements of one connection that are kept; a sink whose rows differ makes many. */
const STATEMENTS_MAX = 100;

export interface SqliteOpenOptions extends ConnectionContext {
  readonly path: string;
  /** How long to wait for other processes that write. */
  readonly busyTimeoutMs: number;
}

/** A file of SQLite, with coded errors. Its calls are as synchronous as SQLite. */
export class SqliteFile {
  readonly #options: SqliteOpenOptions;
  readonly #database: DriverDatabase;
  readonly #statements = new Map<string, DriverStatement>();

  private constructor(options: SqliteOpenOptions, database: DriverDatabase) {
    this.#options = options;
    this.#database = database;
  }

  /** Opens a file, and creates it if it is missing. @throws ConnectError PACKAGE_MISSING */
  static async open(options: SqliteOpenOptions): Promise<SqliteFile> {
    const { default: Database } = await loadPackage<Driver>(PACKAGE, 'use SQLite');
    const { path } = options;
    try {
      // It would wait for locks inside of a call, and the whole process with it: see `patiently`.
      return new SqliteFile(options, new Database(path, { timeout: 0 }));
    } catch (cause) {
      throw sqliteFailure(path, 'open', cause);
    }
  }

  /** Runs a statement that returns no rows. @throws what the driver throws. */
  run(sql: string, values: ValueList): void {
    const statement = this.#prepare(sql);
    if (values.length === 0) statement.run();
    else statement.run(values);
  }

  /**
   * Runs a statement that returns rows: integers are bigints.
   *
   * @throws what the driver throws.
   */
  all(sql: string, values: ValueList): readonly ValueList[] {
    const statement = this.#prepare(sql).raw(true).safeIntegers(true);
    return (values.length === 0 ? statement.all() : statement.all(values)) as ValueList[];
  }

  /** The columns of what a statement returns. @throws what the driver throws. */
  columnsOf(sql: string): readonly string[] {
    return this.#prepare(sql)
      .columns()
      .map(({ name }) => name);
  }

  /** Does something, and again while another connection has the lock that it needs. */
  async patiently<T>(operation: SqlOperation, work: () => T): Promise<T> {
    const { path, busyTimeoutMs, clock, signal } = this.#options;
    const endMs = clock.monotonicMs() + busyTimeoutMs;
    for (;;) {
      try {
        return work();
      } catch (cause) {
        const isOver = signal.aborted || clock.monotonicMs() >= endMs;
        if (!isBusy(cause) || isOver) throw sqliteFailure(path, operation, cause);
      }
      await sleep(clock, BUSY_POLL_MS, signal);
    }
  }

  /** Ends a transaction that is open, if there is one, and closes the file. Never throws. */
  close(): void {
    for (const end of [() => this.#database.exec('ROLLBACK'), () => this.#database.close()]) {
      try {
        end();
      } catch {
        // there was no transaction, or nothing is left to be closed
      }
    }
  }

  #prepare(sql: string): DriverStatement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      if (this.#statements.size >= STATEMENTS_MAX) this.#statements.clear();
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function isBusy(cause: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/.test(codeOf(cause) ?? '');
}

/** True if the values of a statement are the reason, and not what it stands on. */
export function isRefusal(cause: unknown): boolean {
  return /^SQLITE_(CONSTRAINT|MISMATCH|TOOBIG|RANGE)/.test(codeOf(cause) ?? '');
}

/** Turns a failure of SQLite into a coded error. */
export function sqliteFailure(path: string, operation: SqlOperation, cause: unknown): Error {
  if (cause instanceof ConnectError) return cause;
  const code = codeOf(cause) ?? '';
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (isBusy(cause)) return unavailable(path, operation, cause);
  if (code.startsWith('SQLITE_FULL')) {
    const message =
      `no room left on the disk: cannot ${operation} the database ${path}; ` +
      'free some space and run it again: it goes on where the last commit was';
    return new ConnectError('DISK_FULL', message, { file: path, operation }, { cause });
  }
  if (code.startsWith('SQLITE_IOERR')) {
    const message = `cannot ${operation} the database ${path}: ${reason}`;
    return new ConnectError('STORAGE_FAILED', message, { file: path, operation }, { cause });
  }
  return databaseFailed(path, operation, cause);
}
