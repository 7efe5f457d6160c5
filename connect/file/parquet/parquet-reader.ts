import { setImmediate as nextTurn } from 'node:timers/promises';
import { LogError, type File } from '../../../core/index.ts';
import { present } from '../../../core/internal.ts';
import type { SourceOffset } from '../../connector.ts';
import { ConnectError } from '../../errors.ts';
import { fileChanged, fileFailure } from '../failure.ts';
import type { BadRow, InputFile, RowBatch, RowReader } from '../format.ts';
import { BadValue, type ValueOption } from './bad-value.ts';
import type { PageSource } from './file-window.ts';
import { invalidParquet, readFooter, reasonOf, type Footer } from './footer.ts';
import { MemoryBudget } from './memory-budget.ts';
import { readColumnChunks, type RowGroup } from './metadata.ts';
import { templateOf } from './plan.ts';
import type { SchemaNode } from './schema.ts';
import { TableColumn, type ColumnOptions } from './table-column.ts';

/** `ParquetOptions` of any row type, with every default filled in. */
export interface ReaderOptions extends ColumnOptions {
  readonly columns: readonly string[] | undefined;
}

/** A position in a Parquet file, as committed. */
interface ParquetOffset {
  /** Rows before it. */
  readonly row: number;
  readonly sizeBytes: number;
  /** CRC-32 of the footer, which locates everything in the file and so tells files apart. */
  readonly check: number;
}

type Row = Record<string, unknown>;

/** Some milliseconds of work. */
const ROWS_PER_BATCH = 4096;

/** What is read of a column at once: less if there are many. */
const READ_BYTES_MIN = 64 * 1024;
const READ_BYTES_MAX = 1024 * 1024;
const READ_BYTES_OF_ALL = 256 * 1024 * 1024;

/** What to do about a value that only another setting can tell. */
const ADVICE: Readonly<Record<ValueOption, string>> = {
  timestamps: "read times as numbers (timestamps: 'ms')",
  numbers: "read them as bigints or text (numbers: 'bigint' or 'text')",
  maps: "read maps as lists of entries (maps: 'entries')",
};

/** Reads a Parquet file row group by row group, and only the pages of the wanted columns. */
export class ParquetReader implements RowReader<object> {
  readonly #file: File;
  readonly #path: string;
  readonly #footer: Footer;
  readonly #columns: readonly SchemaNode[];
  readonly #options: ReaderOptions;
  readonly #source: PageSource;
  /** A row without values. */
  readonly #template: object;
  /** The number of rows before the next one to return. */
  #row: number;
  /** The row group to open next, and the number of rows up to the end of the open one. */
  #groupIndex = 0;
  #groupEnd = 0;
  /** The columns of the group that holds `#row`; empty before the first group. */
  #open: readonly TableColumn[] = [];

  private constructor(input: InputFile, file: File, footer: Footer, options: ReaderOptions) {
    this.#file = file;
    this.#path = input.path;
    this.#footer = footer;
    this.#options = options;
    this.#row = startRow(input, footer);
    this.#columns = selectColumns(input.path, footer, options.columns);
    this.#template = templateOf(this.#columns.map(({ name }) => name));
    this.#source = {
      file,
      endPosition: footer.position,
      readBytes: Math.max(
        READ_BYTES_MIN,
        Math.min(READ_BYTES_MAX, Math.floor(READ_BYTES_OF_ALL / footer.schema.endColumn)),
      ),
      memory: new MemoryBudget(),
    };
  }

  /** @throws ConnectError as `SourceFormat.open`; INVALID_PARQUET, UNKNOWN_COLUMN */
  static async open(input: InputFile, options: ReaderOptions): Promise<ParquetReader> {
    const { fileSystem, path } = input;
    let file: File | undefined;
    try {
      file = await fileSystem.open(path, 'read');
      return new ParquetReader(input, file, await readFooter(file), options);
    } catch (cause) {
      await file?.close();
      throw cause instanceof ConnectError ? cause : fileFailure(path, 'open', cause);
    }
  }

  async next(): Promise<RowBatch<object> | undefined> {
    while (this.#row >= this.#groupEnd) {
      this.#endGroup();
      const group = this.#footer.rowGroups[this.#groupIndex++];
      if (group === undefined) return undefined;
      const groupStart = this.#groupEnd;
      this.#groupEnd += group.rowCount;
      if (this.#row < this.#groupEnd) await this.#openGroup(group, this.#row - groupStart);
    }
    await nextTurn();
    let count = Math.min(ROWS_PER_BATCH, this.#groupEnd - this.#row);
    for (const column of this.#open) {
      try {
        count = await column.fill(count);
      } catch (cause) {
        throw this.#undecodable(column, cause);
      }
    }
    return this.#take(count);
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #openGroup(group: RowGroup, skippedRows: number): Promise<void> {
    const columns: TableColumn[] = [];
    const { bytes, position, schema } = this.#footer;
    let name = '';
    try {
      const chunks = readColumnChunks(bytes, group);
      if (chunks.length !== schema.endColumn) {
        throw new RangeError(`${chunks.length} columns instead of ${schema.endColumn}`);
      }
      for (const node of this.#columns) {
        ({ name } = node);
        columns.push(new TableColumn(node, chunks, this.#source, this.#options));
      }
    } catch (cause) {
      const column = name === '' ? '' : `, column ${name}`;
      throw this.#invalid(`row group ${this.#groupIndex}${column}`, position, cause);
    }
    this.#open = columns;
    if (skippedRows === 0) return;
    for (const column of columns) {
      try {
        await column.skip(skippedRows);
      } catch (cause) {
        throw this.#undecodable(column, cause);
      }
    }
  }

  /** Closes the row group that was read. */
  #endGroup(): void {
    for (const column of this.#open) {
      try {
        column.close();
      } catch (cause) {
        throw this.#undecodable(column, cause);
      }
    }
    this.#open = [];
  }

  /** Takes the next rows, which all columns have ready. */
  #take(count: number): RowBatch<object> {
    const firstRow = this.#row + 1;
    const rows: Row[] = [];
    for (let index = 0; index < count; index++) rows.push({ ...this.#template });
    const bad = new Map<number, BadRow>();
    for (const column of this.#open) {
      const { name } = column;
      const values = this.#valuesOf(column, count);
      for (let index = 0; index < count; index++) {
        const value = values[index];
        if (value instanceof BadValue && !bad.has(index)) {
          bad.set(index, this.#badRow(firstRow + index, column, value));
        }
        rows[index]![name] = value;
      }
    }
    this.#row += count;
    const { sizeBytes, check, rowCount } = this.#footer;
    const offset: ParquetOffset = { row: this.#row, sizeBytes, check };
    const batch = {
      offset: { ...offset },
      doneBytes: Math.round((sizeBytes * this.#row) / rowCount),
    };
    if (bad.size === 0) return { ...batch, rows, lineOf: (index) => firstRow + index };
    const good = [...rows.keys()].filter((index) => !bad.has(index));
    return {
      ...batch,
      rows: good.map((index) => rows[index]!),
      lineOf: (index) => firstRow + (good[index] ?? count),
      bad: [...bad.entries()].sort(([a], [b]) => a - b).map(([, input]) => input),
    };
  }

  #valuesOf(column: TableColumn, count: number): readonly unknown[] {
    try {
      return column.take(count);
    } catch (cause) {
      throw this.#undecodable(column, cause);
    }
  }

  #badRow(row: number, column: TableColumn, { reason, option }: BadValue): BadRow {
    const place = `row ${row}, column ${column.name}`;
    const error =
      option === undefined
        ? this.#invalid(place, column.startPosition, reason)
        : new ConnectError('ROW_FAILED', `${this.#path}, ${place}: ${reason}; ${ADVICE[option]}`, {
            file: this.#path,
            line: row,
            option,
          });
    // Its bytes are all over the row group.
    return { raw: undefined, line: row, positionBytes: undefined, error };
  }

  #undecodable(column: TableColumn, cause: unknown): Error {
    // The file was cut; or a codec's package is missing.
    if (cause instanceof ConnectError || cause instanceof LogError) return cause;
    const place = `row group ${this.#groupIndex}, column ${column.name}`;
    return this.#invalid(place, column.position, cause);
  }

  #invalid(place: string, positionBytes: number, cause: unknown): ConnectError {
    const { sizeBytes } = this.#footer;
    const reason = `${place}: ${reasonOf(cause)}`;
    const details = { file: this.#path, sizeBytes, positionBytes, reason };
    return invalidParquet(details, cause instanceof Error ? cause : undefined);
  }
}

/** The number of rows that were read before. */
function startRow({ path, offset, badOffset }: InputFile, { check }: Footer): number {
  if (offset === undefined) return 0;
  const known = parquetOffset(offset);
  if (known === undefined) throw badOffset();
  if (known.check === check) return known.row;
  throw fileChanged(path, 'its footer, which describes all of its content, is another one');
}

function parquetOffset(offset: SourceOffset): ParquetOffset | undefined {
  const known = offset as unknown as ParquetOffset;
  const isOurs = [known.row, known.check].every((each) => Number.isSafeInteger(each) && each >= 0);
  return isOurs ? known : undefined;
}

function selectColumns(
  file: string,
  { schema, sizeBytes, position }: Footer,
  wanted: readonly string[] | undefined,
): readonly SchemaNode[] {
  const names = schema.children.map(({ name }) => name);
  const columns = [...new Set(wanted ?? names)].map((column) => {
    const index = names.indexOf(column);
    if (index === -1) {
      const message = `${file} has no column ${column}; it has ${names.join(', ')}`;
      throw new ConnectError('UNKNOWN_COLUMN', message, { file, column, columns: names });
    }
    if (names.includes(column, index + 1)) {
      const reason =
        `two columns are called ${column}, and a row can have only one of them: ` +
        'name the others in columns';
      throw invalidParquet({ file, sizeBytes, positionBytes: position, reason });
    }
    return present(schema.children[index], 'the index was found');
  });
  return columns;
}
