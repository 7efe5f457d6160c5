import { setImmediate as nextTurn } from 'node:timers/promises';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import {
  parquetReadObjects,
  parquetSchema,
  type Compressors,
  type DecodedArray,
  type RowGroup,
  type SchemaTree,
} from 'hyparquet';
import { compressors as portable } from 'hyparquet-compressors';
import type { File } from '../../core/index.ts';
import { present } from '../../core/internal.ts';
import type { SourceOffset } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { fileChanged, fileFailure } from './failure.ts';
import type { InputFile, RowBatch, RowReader } from './format.ts';
import { invalidParquet, readBytes, readFooter, type Footer } from './parquet-footer.ts';
import { decodePages } from './parquet-column.ts';
import { plainValue, TEXT_PARSERS, timestampParsers } from './parquet-values.ts';

/** `ParquetOptions` of any row type. */
interface ReaderOptions {
  readonly columns?: readonly string[];
  readonly timestamps?: 'date' | 'ms';
}

/** A position in a Parquet file, as committed. */
interface ParquetOffset {
  /** Rows before it. */
  readonly row: number;
  readonly sizeBytes: number;
  /** CRC-32 of the footer, which locates everything in the file and so tells files apart. */
  readonly check: number;
}

/** Some milliseconds of work. */
const ROWS_PER_BATCH = 4096;
const COMPRESSORS: Compressors = {
  ...portable,
  // Node's own are faster than JavaScript.
  GZIP: (input) => gunzipSync(input),
  BROTLI: (input) => brotliDecompressSync(input),
};

/** A column of the current row group. */
interface OpenColumn {
  readonly name: string;
  readonly pages: Iterator<DecodedArray, void>;
  /** The current page, and the index of its next value. */
  page: DecodedArray;
  at: number;
}

/** Reads a Parquet file row group by row group, and only the bytes of the wanted columns. */
export class ParquetReader implements RowReader<object> {
  readonly #file: File;
  readonly #path: string;
  readonly #footer: Footer;
  readonly #columns: readonly SchemaTree[];
  readonly #root: SchemaTree;
  readonly #timestamps: 'date' | 'ms';
  /** The number of rows before the next one to return. */
  #row: number;
  /** The row group to open next, and the number of rows up to the end of the open one. */
  #groupIndex = 0;
  #groupEnd = 0;
  /** The columns of the group that holds `#row`; empty before the first group. */
  #open: OpenColumn[] = [];

  private constructor(
    file: File,
    path: string,
    footer: Footer,
    row: number,
    options: ReaderOptions,
  ) {
    this.#file = file;
    this.#path = path;
    this.#footer = footer;
    this.#row = row;
    this.#root = parquetSchema(footer.metadata);
    this.#timestamps = options.timestamps ?? 'date';
    this.#columns = selectColumns(path, this.#root, options.columns);
  }

  /** @throws ConnectError as `SourceFormat.open`; INVALID_PARQUET, UNKNOWN_COLUMN */
  static async open(input: InputFile, options: ReaderOptions): Promise<ParquetReader> {
    const { fileSystem, path, offset, badOffset } = input;
    let file: File | undefined;
    try {
      file = await fileSystem.open(path, 'read');
      const footer = await readFooter(file);
      const known = offset === undefined ? undefined : parquetOffset(offset);
      if (offset !== undefined && known === undefined) throw badOffset();
      if (known !== undefined && known.check !== footer.check) {
        throw fileChanged(path, 'its footer, which describes all of its content, is another one');
      }
      return new ParquetReader(file, path, footer, known?.row ?? 0, options);
    } catch (cause) {
      await file?.close();
      throw cause instanceof ConnectError ? cause : fileFailure(path, 'open', cause);
    }
  }

  async next(): Promise<RowBatch<object> | undefined> {
    while (this.#row >= this.#groupEnd) {
      this.#endGroup();
      const group = this.#footer.metadata.row_groups[this.#groupIndex++];
      if (group === undefined) return undefined;
      const groupStart = this.#groupEnd;
      this.#groupEnd += Number(group.num_rows);
      if (this.#row < this.#groupEnd) await this.#openGroup(group, this.#row - groupStart);
    }
    for (const column of this.#open) if (this.#turnPage(column)) await nextTurn();
    const firstRow = this.#row + 1;
    const rows = this.#take(Math.min(ROWS_PER_BATCH, this.#groupEnd - this.#row));
    this.#row += rows.length;
    const { sizeBytes, check, metadata } = this.#footer;
    const offset: ParquetOffset = { row: this.#row, sizeBytes, check };
    return {
      rows,
      offset: { ...offset },
      doneBytes: Math.round((sizeBytes * this.#row) / Number(metadata.num_rows)),
      lineOf: (index) => firstRow + index,
    };
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** Closes the row group that was read. */
  #endGroup(): void {
    for (const { name, page, at, pages } of this.#open) {
      if (at === page.length && pages.next().done === true) continue;
      throw this.#undecodable(
        name,
        new TypeError('it has more values than the row group has rows'),
      );
    }
    this.#open = [];
  }

  async #openGroup(group: RowGroup, skippedRows: number): Promise<void> {
    const columns: OpenColumn[] = [];
    for (const tree of this.#columns) {
      const { name } = tree.element;
      const pages =
        tree.children.length > 0 || tree.element.repetition_type === 'REPEATED'
          ? await this.#nestedPages(name, group)
          : await this.#flatPages(tree, group);
      const column = { name, pages, page: [], at: 0 };
      for (let left = skippedRows; left > 0;) {
        if (this.#turnPage(column)) await nextTurn();
        const skipped = Math.min(left, column.page.length - column.at);
        column.at += skipped;
        left -= skipped;
      }
      columns.push(column);
    }
    this.#open = columns;
  }

  async #flatPages(tree: SchemaTree, group: RowGroup): Promise<Iterator<DecodedArray, void>> {
    const { name } = tree.element;
    const chunk = group.columns.find(({ meta_data: metadata }) => {
      return metadata?.path_in_schema[0] === name;
    });
    const metadata = chunk?.meta_data;
    if (metadata === undefined || chunk?.file_path !== undefined) {
      throw this.#invalid(`column ${name}: its data is not in the file`);
    }
    const { data_page_offset: dataOffset, dictionary_page_offset: dictionaryOffset } = metadata;
    const start = Number(dictionaryOffset ?? 0) || Number(dataOffset);
    const bytes = await this.#read(start, start + Number(metadata.total_compressed_size));
    return decodePages(bytes, metadata, {
      schemaPath: [this.#root, tree],
      compressors: COMPRESSORS,
      timestamps: this.#timestamps,
    });
  }

  /** Reads a nested column as hyparquet assembles it: all rows of the group at once. */
  async #nestedPages(name: string, group: RowGroup): Promise<Iterator<DecodedArray, void>> {
    const { metadata, sizeBytes: byteLength } = this.#footer;
    const rowEnd = this.#groupEnd;
    try {
      const rows = await parquetReadObjects({
        file: { byteLength, slice: (start, end = byteLength) => this.#read(start, end) },
        metadata,
        columns: [name],
        rowStart: rowEnd - Number(group.num_rows),
        rowEnd,
        compressors: COMPRESSORS,
        parsers: { ...TEXT_PARSERS, ...timestampParsers(this.#timestamps) },
      });
      return [rows.map((row) => plainValue(row[name]))].values();
    } catch (cause) {
      throw cause instanceof ConnectError ? cause : this.#undecodable(name, cause);
    }
  }

  /** Makes sure that a column has a next value; true if it had to decode a page for that. */
  #turnPage(column: OpenColumn): boolean {
    if (column.at < column.page.length) return false;
    try {
      do {
        const { done, value } = column.pages.next();
        if (done === true) throw new TypeError('it has fewer values than the row group has rows');
        column.page = value;
      } while (column.page.length === 0);
    } catch (cause) {
      throw this.#undecodable(column.name, cause);
    }
    column.at = 0;
    return true;
  }

  /**
   * Takes the next rows, column by column: all rows get their properties in one order, so one
   * shape.
   */
  #take(count: number): Record<string, unknown>[] {
    const rows: Record<string, unknown>[] = [];
    for (let row = 0; row < count; row++) rows.push({});
    for (const column of this.#open) {
      const { name } = column;
      for (let row = 0; row < count;) {
        this.#turnPage(column);
        const { page, at } = column;
        const end = Math.min(count, row + page.length - at);
        column.at += end - row;
        for (let from = at; row < end;) rows[row++]![name] = page[from++] as unknown;
      }
    }
    return rows;
  }

  async #read(start: number, end: number): Promise<ArrayBuffer> {
    if (end > this.#footer.sizeBytes) throw this.#invalid('it points behind its own end');
    return readBytes(this.#file, start, end);
  }

  #undecodable(column: string, cause: unknown): ConnectError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return this.#invalid(`row group ${this.#groupIndex}, column ${column}: ${reason}`, cause);
  }

  #invalid(reason: string, cause?: unknown): ConnectError {
    return invalidParquet(this.#path, this.#footer.sizeBytes, reason, cause);
  }
}

function selectColumns(
  file: string,
  { children }: SchemaTree,
  wanted: readonly string[] | undefined,
): readonly SchemaTree[] {
  const names = children.map(({ element }) => element.name);
  if (wanted === undefined) {
    // As a property it would set the row's prototype and lose the column.
    if (!names.includes('__proto__')) return children;
    const message = `${file}: __proto__ cannot be a column of a row; name the others in columns`;
    throw new ConnectError('UNKNOWN_COLUMN', message, {
      file,
      column: '__proto__',
      columns: names,
    });
  }
  return wanted.map((column) => {
    const index = names.indexOf(column);
    if (index === -1) {
      const message = `${file} has no column ${column}; it has ${names.join(', ')}`;
      throw new ConnectError('UNKNOWN_COLUMN', message, { file, column, columns: names });
    }
    return present(children[index], 'the index was found');
  });
}

function parquetOffset(offset: SourceOffset): ParquetOffset | undefined {
  const known = offset as unknown as ParquetOffset;
  const isOurs = [known.row, known.check].every((each) => Number.isSafeInteger(each) && each >= 0);
  return isOurs ? known : undefined;
}
