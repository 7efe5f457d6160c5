/** What a format implements for the file source; for the sink see `sink/sink-format.ts`. */
import type { FileSystem } from '../../core/index.ts';
import type { SourceOffset } from '../connector.ts';

/** Some rows of a file, and the offset after them. */
export interface RowBatch<Row> {
  readonly rows: readonly Row[];
  /** `open` with this offset continues after these rows. */
  readonly offset: SourceOffset;
  /** Bytes read so far, including these rows; an estimate if rows are packed. */
  readonly doneBytes: number;
  /** The line of `rows[index]`, from 1; its row number if the format has no lines. */
  readonly lineOf: (index: number) => number;
  /** The pieces of the file that became no row. */
  readonly bad?: readonly BadRow[] | undefined;
}

/** A piece of a file that became no row. */
export interface BadRow {
  /** Its bytes, a copy; undefined if they cannot be told apart. Cut off if it is too long. */
  readonly raw: Uint8Array | undefined;
  /** Of its start, as `lineOf`. */
  readonly line: number;
  readonly positionBytes: number | undefined;
  /** Why; it names the place. */
  readonly error: Error;
}

/** Reads one file from front to back. */
export interface RowReader<Row> {
  /** Reads the next rows, a few thousand at a time; undefined at the end of the file. */
  next(): Promise<RowBatch<Row> | undefined>;
  /** Closes the file. Called once, even after a failure. */
  close(): Promise<void>;
}

/** A file to read. */
export interface InputFile {
  readonly fileSystem: FileSystem;
  /** As the user named it; part of every message. */
  readonly path: string;
  /** Where the last run stopped; undefined for a new file. */
  readonly offset: SourceOffset | undefined;
  /**
   * True if more may be appended: text after the last line end is not whole yet and is left for
   * later.
   */
  readonly isFollowed: boolean;
  /** Makes the error for an offset that this format did not write. */
  readonly badOffset: () => Error;
}

/** A format for reading files. */
export interface SourceFormat<Row> {
  /** For messages: `csv`. */
  readonly name: string;
  /** What messages call the result of `lineOf`. */
  readonly unit: 'line' | 'row';
  /** True if it can read files that are still growing (`isFollowed`). */
  readonly canFollow: boolean;
  /**
   * Opens a file and checks that it is still the one that `offset` came from.
   *
   * @throws ConnectError FILE_NOT_FOUND, NOT_A_FILE, ACCESS_DENIED, STORAGE_FAILED, FILE_CHANGED,
   *   INVALID_SOURCE_OFFSET, and errors about the head of the file.
   */
  open(file: InputFile): Promise<RowReader<Row>>;
}
