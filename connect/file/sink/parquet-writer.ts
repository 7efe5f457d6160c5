import { gzipSync } from 'node:zlib';
import type { ByteWriter, ParquetWriter, SchemaElement } from 'hyparquet-writer';
import { assert, compress } from '../../../core/internal.ts';
import { loadPackage } from '../../packages.ts';
import type { OutputBuffer } from './output-buffer.ts';
import { columnOf, parquetTypeOf, type Column, type ParquetColumnType } from './parquet-columns.ts';
import type { PartEncoder, RowEncoder } from './sink-format.ts';

/** How Parquet is written. */
export interface ParquetWriteOptions {
  readonly types?: Readonly<Record<string, ParquetColumnType>> | undefined;
  readonly compression?: 'snappy' | 'gzip' | 'zstd' | 'none' | undefined;
}

/** What is used of hyparquet-writer. */
interface Library {
  readonly ByteWriter: typeof ByteWriter;
  readonly ParquetWriter: typeof ParquetWriter;
}

/** A row group, the unit that readers load, is full at this many bytes of values, or rows. */
const GROUP_BYTES = 8 * 1024 * 1024;
const GROUP_ROWS = 100_000;

const CODECS = { snappy: 'SNAPPY', gzip: 'GZIP', zstd: 'ZSTD', none: 'UNCOMPRESSED' } as const;
const COMPRESSORS = {
  GZIP: (bytes: Uint8Array) => gzipSync(bytes),
  ZSTD: (bytes: Uint8Array) => compress('zstd', Buffer.from(bytes)),
};

/**
 * Makes the encoder of one output. `columns` are `name type` each, as the manifest keeps them.
 *
 * @throws ConnectError PACKAGE_MISSING
 */
export async function parquetEncoder(
  options: ParquetWriteOptions,
  columns: readonly string[] | undefined,
): Promise<RowEncoder<object>> {
  const library = await loadPackage<Library>('hyparquet-writer', 'write Parquet');
  return new ParquetEncoder(library, options, columns);
}

class ParquetEncoder implements RowEncoder<object> {
  readonly #library: Library;
  readonly #options: ParquetWriteOptions;
  #known: readonly Column[] | undefined;

  constructor(library: Library, options: ParquetWriteOptions, kept: readonly string[] | undefined) {
    this.#library = library;
    this.#options = options;
    const { types } = options;
    if (types !== undefined) {
      this.#known = Object.entries(types).map(([name, type]) => columnOf(name, type));
    } else if (kept !== undefined) {
      this.#known = kept.map((text) => {
        const end = text.lastIndexOf(' ');
        return columnOf(text.slice(0, end), text.slice(end + 1) as ParquetColumnType);
      });
    }
  }

  get columns(): readonly string[] | undefined {
    return this.#known?.map(({ name, type }) => `${name} ${type}`);
  }

  part(): PartEncoder<object> {
    return new ParquetPart(this);
  }

  /** The columns; those of this row if it is the first one. */
  columnsFor(row: Readonly<Record<string, unknown>>): readonly Column[] {
    if (this.#known !== undefined) return this.#known;
    return Object.entries(row).map(([name, value]) => columnOf(name, parquetTypeOf(name, value)));
  }

  /** The first row could be written: its columns are those of the output. */
  keep(columns: readonly Column[]): void {
    this.#known ??= columns;
  }

  /** Begins a file. */
  begin(columns: readonly Column[]): { readonly bytes: ByteWriter; readonly file: ParquetWriter } {
    const { compression = 'snappy' } = this.#options;
    const bytes = new this.#library.ByteWriter(GROUP_BYTES / 8);
    const root = { name: 'root', num_children: columns.length };
    const schema: SchemaElement[] = [root, ...columns.map(({ element }) => element)];
    const codec = CODECS[compression];
    const options = { writer: bytes, schema, codec, compressors: COMPRESSORS };
    const file = new this.#library.ParquetWriter({ ...options, createdBy: 'millrace' });
    return { bytes, file };
  }
}

/** One Parquet file. Rows are kept until they fill a row group; `end` writes what lists them. */
class ParquetPart implements PartEncoder<object> {
  readonly #encoder: ParquetEncoder;
  /** Of the first row on. */
  #columns: readonly Column[] | undefined;
  #values: unknown[][] = [];
  #rows = 0;
  #keptBytes = 0;
  #writing: ReturnType<ParquetEncoder['begin']> | undefined;
  /** Set if the library failed: the file must not be finished. */
  #failure: unknown;

  constructor(encoder: ParquetEncoder) {
    this.#encoder = encoder;
  }

  get keptBytes(): number {
    return this.#keptBytes;
  }

  encode(row: object, out: OutputBuffer): void {
    if (typeof row !== 'object' || (row as object | null) === null || Array.isArray(row)) {
      throw new TypeError('a Parquet row is an object with a property for each column');
    }
    const fields = row as Readonly<Record<string, unknown>>;
    const columns = this.#columns ?? this.#encoder.columnsFor(fields);
    const values: unknown[] = [];
    let sizeBytes = 0;
    let known = 0;
    for (const { name, valueOf, sizeOf } of columns) {
      const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
      if (field !== undefined) known++;
      const value = field === undefined || field === null ? null : valueOf(field);
      if (value !== null) sizeBytes += sizeOf(value);
      values.push(value);
    }
    checkNames(fields, columns, known);
    // From here on the row is in.
    this.#encoder.keep(columns);
    this.#columns = columns;
    if (this.#values.length === 0) this.#values = columns.map(() => []);
    for (const [index, value] of values.entries()) this.#values[index]!.push(value);
    this.#rows++;
    this.#keptBytes += sizeBytes;
    if (this.#rows >= GROUP_ROWS || this.#keptBytes >= GROUP_BYTES) this.#writeGroup(out);
  }

  end(out: OutputBuffer): void {
    if (this.#rows > 0) this.#writeGroup(out);
    if (this.#failure !== undefined) throw this.#failure as Error;
    assert(this.#writing !== undefined, 'a part that ends has rows');
    void this.#writing.file.finish();
    this.#pass(out);
  }

  /** The library's failures must not look like those of the row that happened to be the last. */
  #writeGroup(out: OutputBuffer): void {
    const columns = this.#columns!;
    try {
      this.#writing ??= this.#encoder.begin(columns);
      const columnData = columns.map(({ name }, index) => ({ name, data: this.#values[index]! }));
      void this.#writing.file.write({ columnData, rowGroupSize: this.#rows });
      this.#pass(out);
    } catch (cause) {
      this.#failure ??= cause;
    }
    this.#values = columns.map(() => []);
    this.#rows = 0;
    this.#keptBytes = 0;
  }

  /** Moves what the library has written into the part. */
  #pass(out: OutputBuffer): void {
    const { bytes } = this.#writing!;
    out.appendBytes(new Uint8Array(bytes.buffer, 0, bytes.index));
    bytes.index = 0; // its `offset`, where it is in the file, goes on
  }
}

/** @throws TypeError if the row has a column that the file does not have. */
function checkNames(
  fields: Readonly<Record<string, unknown>>,
  columns: readonly Column[],
  known: number,
): void {
  const names = Object.keys(fields);
  if (names.length === known) return;
  const odd = names.find((name) => !columns.some((column) => column.name === name));
  if (odd === undefined || fields[odd] === undefined) return;
  const list = columns.map(({ name }) => name).join(', ');
  throw new TypeError(`column ${odd} is not in the file, whose columns are ${list}`);
}
