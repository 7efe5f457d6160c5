import type { ConsumerRecord } from '../../core/index.ts';
import type { TableChanges, TableName } from './sql-connection.ts';
import type { AnySqlSinkOptions } from './sql-sink-options.ts';

/** What becomes of one record. */
export interface RowChange {
  readonly kind: TableChanges['kind'];
  readonly columns: readonly string[];
  readonly values: readonly unknown[];
}

/** Makes the changes of records, each by itself. */
export class RowChanges {
  readonly #row: (record: ConsumerRecord) => unknown;
  readonly #columns: readonly string[] | undefined;
  readonly #keyColumns: readonly string[];

  constructor({ row, columns, keyColumns = [] }: AnySqlSinkOptions) {
    this.#row = row ?? ((record) => record.value);
    this.#columns = columns;
    this.#keyColumns = keyColumns;
  }

  /** Undefined if the record is left out. @throws what is wrong with it. */
  changeOf(record: ConsumerRecord): RowChange | undefined {
    const keyColumns = this.#keyColumns;
    if (keyColumns.length > 0 && record.value === null) {
      const values = keyColumns.map((column) => this.#keyPart(record, column));
      return { kind: 'delete', columns: keyColumns, values };
    }
    const row = this.#row(record);
    if (row === undefined) return undefined;
    if (!isObject(row)) throw new TypeError('the row is no object with columns');
    const [columns, values]: [string[], unknown[]] = [[], []];
    for (const column of this.#columns ?? Object.keys(row)) {
      const value = Object.hasOwn(row, column) ? row[column] : undefined;
      if (value === undefined) continue;
      columns.push(column);
      values.push(value);
    }
    for (const column of keyColumns) {
      const index = columns.indexOf(column);
      if (index < 0) {
        columns.push(column);
        values.push(this.#keyPart(record, column));
      } else if (values[index] === null) throw new TypeError(`the key column ${column} is null`);
    }
    if (columns.length === 0) throw new TypeError('the row has no columns');
    return { kind: keyColumns.length > 0 ? 'upsert' : 'insert', columns, values };
  }

  /** What the record's key has for a column. */
  #keyPart({ key }: ConsumerRecord, column: string): unknown {
    let part: unknown;
    if (isObject(key)) part = Object.hasOwn(key, column) ? key[column] : undefined;
    else if (this.#keyColumns.length === 1) part = key;
    if (part !== undefined && part !== null) return part;
    throw new TypeError(`neither the row nor the record's key has ${column}`);
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return !(value instanceof Uint8Array) && !(value instanceof Date);
}

/** Changes that one statement makes, and the records that they are of. */
export class ChangeGroup {
  readonly changes: TableChanges;
  readonly records: ConsumerRecord[] = [];
  /** Why none of them can be made; undefined if the table has all the columns. */
  readonly fault: string | undefined;
  readonly #rows: (readonly unknown[])[] = [];

  constructor(
    table: TableName,
    { kind, columns }: RowChange,
    options: { readonly keyColumns: readonly string[]; readonly fault: string | undefined },
  ) {
    const { keyColumns, fault } = options;
    this.changes = { table, kind, columns, keyColumns, rows: this.#rows };
    this.fault = fault;
  }

  /** True if the change is one of the same kind and columns. */
  takes(table: TableName, { kind, columns }: RowChange): boolean {
    const own = this.changes;
    if (own.kind !== kind || own.table !== table) return false;
    if (own.columns === columns) return true;
    if (own.columns.length !== columns.length) return false;
    for (let index = 0; index < columns.length; index++) {
      if (own.columns[index] !== columns[index]) return false;
    }
    return true;
  }

  add(record: ConsumerRecord, { values }: RowChange): void {
    this.records.push(record);
    this.#rows.push(values);
  }
}
