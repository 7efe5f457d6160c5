/**
 * What the SQL connectors need of a database. `connect/sqlite` and `connect/postgres` each have
 * one; everything above it is the same for both.
 */
import type { Clock } from '../../core/index.ts';

/** A table: its schema, if one is named, and its name. */
export type TableName = readonly string[];

/** A row as databases give it, in the order of the statement's columns. */
export type ValueList = readonly unknown[];

/** Changes of one kind to one table. */
export interface TableChanges {
  readonly table: TableName;
  /** `upsert` and `delete` go by `keyColumns`. */
  readonly kind: 'insert' | 'upsert' | 'delete';
  /** What each of the rows has; of a `delete` they are the key columns. */
  readonly columns: readonly string[];
  readonly keyColumns: readonly string[];
  /** In order: of two changes of a key, the later one holds. */
  readonly rows: readonly ValueList[];
}

/** A row that the database does not take. */
export interface RefusedRow {
  /** Which one of the changes. */
  readonly index: number;
  readonly cause: Error;
}

/**
 * A connection that a sink writes through. Its calls do not overlap.
 *
 * Every call may reject with DATABASE_UNAVAILABLE, DISK_FULL or STORAGE_FAILED, after which another
 * connection may succeed, or with DATABASE_FAILED. The transaction is gone then, and the connection
 * of no more use.
 */
export interface SinkConnection {
  /**
   * What follows a `SELECT` that keeps others from changing its rows until the transaction ends.
   */
  readonly rowLock: string;
  /** Begins a transaction that may write. */
  begin(): Promise<void>;
  /** Runs a statement with a parameter for each `?`, and returns its rows. */
  query(sql: string, values: ValueList): Promise<readonly ValueList[]>;
  /** Creates a table unless it exists; the columns are given with their types, in SQL. */
  createTable(table: TableName, columns: readonly string[]): Promise<void>;
  /** The names of the columns that can be written; undefined if there is no such table. */
  columnsOf(table: TableName): Promise<readonly string[] | undefined>;
  /**
   * Makes changes inside the transaction, in order, all but those that it returns: the database
   * refuses their values, and would refuse them again.
   */
  apply(changes: TableChanges): Promise<readonly RefusedRow[]>;
  /** Commits: what was written is durable when it resolves. */
  commit(): Promise<void>;
  /** Rolls back what is not committed, and ends the connection. Does not reject. */
  close(): Promise<void>;
}

/** What a connection is opened with. */
export interface ConnectionContext {
  readonly clock: Clock;
  /** Ends waits. */
  readonly signal: AbortSignal;
}

/** A database that sinks write to. */
export interface SinkDatabase {
  /** Names it in messages, without any secret. */
  readonly label: string;
  connect(context: ConnectionContext): Promise<SinkConnection>;
}

/**
 * Where a source stands: the values of its columns in the last row, in the database's own terms.
 */
export interface Place {
  readonly incrementing: unknown;
  /** Undefined without such a column. */
  readonly timestamp: unknown;
}

/** What a source reads. */
export interface SourceRelation {
  /** A table, or a query without ORDER BY or LIMIT. */
  readonly from: { readonly table: TableName } | { readonly query: string };
  /** Undefined to read everything again and again. */
  readonly incrementing: string | undefined;
  readonly timestamp: string | undefined;
  /** Rows are read when their timestamp is so old; 0 for at once. */
  readonly timestampDelayMs: number;
}

/** Some rows in order. */
export interface Page {
  /** The values are as the connector's documentation has them. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** Where the last one stands; undefined of no rows, and without an incrementing column. */
  readonly last: Place | undefined;
}

/** A connection that a source reads through. Fails as a `SinkConnection` does. */
export interface SourceConnection {
  /** The rows behind a place, at most so many. @throws ConnectError UNKNOWN_COLUMN */
  page(after: Place | undefined, limit: number): Promise<Page>;
  /** Ends the connection. Does not reject. */
  close(): Promise<void>;
}

/** A database that sources read. */
export interface SourceDatabase {
  /** Names it in messages, without any secret. */
  readonly label: string;
  connect(relation: SourceRelation, context: ConnectionContext): Promise<SourceConnection>;
}
