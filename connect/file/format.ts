/** What the file source and the file sink ask of a format. */
import type { FileSystem } from '../../core/index.ts';
import type { SourceOffset } from '../connector.ts';

/** Some rows of a file, and the place behind them. */
export interface RowBatch<Row> {
  readonly rows: readonly Row[];
  /** Goes on behind these rows when given to `open`. */
  readonly offset: SourceOffset;
  /**
   * Bytes of the file that have been read, these rows included; an estimate where rows are packed.
   */
  readonly doneBytes: number;
  /** The line or, where there are no lines, the row at which `rows[index]` stands, from 1. */
  readonly lineOf: (index: number) => number;
}

/** Reads one file from front to back. */
export interface RowReader<Row> {
  /** The next rows, some thousand at a time; undefined at the end of the file. */
  next(): Promise<RowBatch<Row> | undefined>;
  /** Lets go of the file. Called once, also after a failure. */
  close(): Promise<void>;
}

/** A file that is to be read. */
export interface InputFile {
  readonly fileSystem: FileSystem;
  /** As the user named it; part of every message. */
  readonly path: string;
  /** Where the last run stopped; undefined at the beginning. */
  readonly offset: SourceOffset | undefined;
  /**
   * True when more may be appended: what stands at the end of the file without a line end is not
   * whole yet, and is left for later.
   */
  readonly isFollowed: boolean;
  /** Makes the error for an offset that this format did not write. */
  readonly badOffset: () => Error;
}

/** A format that files are read in. */
export interface SourceFormat<Row> {
  /** For messages: `csv`. */
  readonly name: string;
  /** What a line of `lineOf` is called in messages. */
  readonly unit: 'line' | 'row';
  /** True when files can be read that are still being appended to (`isFollowed`). */
  readonly canFollow: boolean;
  /**
   * Opens a file and checks that it is still the one that `offset` was made from.
   *
   * @throws ConnectError FILE_NOT_FOUND, NOT_A_FILE, ACCESS_DENIED, STORAGE_FAILED, FILE_CHANGED,
   *   INVALID_SOURCE_OFFSET, and what is wrong with the head of the file.
   */
  open(file: InputFile): Promise<RowReader<Row>>;
}

/** Turns rows into lines of one output. */
export interface RowEncoder<Row> {
  /**
   * The columns, where the format has such: known from the start, from the first row, or from
   * `columns` that a former run kept. Undefined before, and where there are none.
   */
  readonly columns: readonly string[] | undefined;
  /** The first line of each file, without its end; undefined for none. Asked for after a row. */
  readonly header: string | undefined;
  /**
   * One row as text, without its end.
   *
   * @throws Error why the row does not fit the format; the caller adds which it is.
   */
  encode(row: Row): string;
}

/** A format that files are written in. */
export interface SinkFormat<Row> {
  /** In the manifest, and what part files end with: `csv`. */
  readonly name: string;
  /**
   * Makes what turns the rows of one output into lines.
   *
   * @param columns that former runs wrote; undefined for a new output.
   */
  encoder(columns: readonly string[] | undefined): RowEncoder<Row>;
}
