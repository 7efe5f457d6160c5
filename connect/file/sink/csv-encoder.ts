import type { OutputBuffer } from './output-buffer.ts';
import type { PartEncoder, RowEncoder } from './sink-format.ts';
import { isWellFormed } from './text-encoders.ts';

/** Writes rows as CSV records, behind a header. */
export class CsvEncoder implements RowEncoder<object>, PartEncoder<object> {
  columns: readonly string[] | undefined;
  readonly settings?: string;
  readonly #delimiter: string;
  readonly #special: RegExp;
  /** True if numbers never need quotes: no number contains the delimiter. */
  readonly #isNumberPlain: boolean;

  constructor(delimiter: string, columns: readonly string[] | undefined) {
    this.columns = columns;
    this.#delimiter = delimiter;
    if (delimiter !== ',') this.settings = `delimiter ${delimiter}`;
    // A byte order mark at the start of a file would be dropped when it is read back.
    this.#special = new RegExp(`["\\r\\n\\ufeff${delimiter.replace(/[\\\]^-]/, '\\$&')}]`);
    this.#isNumberPlain = !/[-+.\w]/.test(delimiter);
  }

  part(): this {
    return this;
  }

  encode(row: object, out: OutputBuffer): void {
    if (typeof row !== 'object' || (row as object | null) === null) {
      throw new TypeError(
        `a CSV row is an object with a property for each column, not ${typeof row}`,
      );
    }
    const values = row as Record<string, unknown>;
    const names = Object.keys(values);
    const columns = this.columns ?? names;
    for (const name of names) {
      if (columns.includes(name)) continue;
      throw new TypeError(`column ${name} is not in the header: ${columns.join(', ')}`);
    }
    let line = '';
    for (let index = 0; index < columns.length; index++) {
      if (index > 0) line += this.#delimiter;
      line += this.#field(values[columns[index]!]);
    }
    // An empty line would be skipped when it is read back.
    if (columns.length === 1 && line === '') line = '""';
    if (!isWellFormed(line)) {
      throw new TypeError('it holds half a surrogate pair, which is no text');
    }
    if (out.positionBytes === 0) {
      out.appendLine(columns.map((name) => this.#field(name)).join(this.#delimiter));
    }
    out.appendLine(line);
    this.columns = columns; // of the first row that could be written
  }

  #field(value: unknown): string {
    if (typeof value === 'number' && this.#isNumberPlain) return String(value);
    const text = textOf(value);
    if (text === undefined) return '';
    return text === '' || this.#special.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }
}

/** A value as text; undefined for none. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (value === null || value === undefined) return undefined;
  if (value instanceof Date) return value.toISOString();
  if (typeof value === 'object') return JSON.stringify(value);
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') {
    return String(value);
  }
  throw new TypeError(`a ${typeof value} has no form in CSV`);
}
