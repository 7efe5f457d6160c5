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
  /** Where `rows[index]` stands; undefined if the format cannot tell. Ask before the next read. */
  readonly rawOf?: ((index: number) => RawRow) | undefined;
  /** The same rows as bytes, if the format's rows are text; valid until the next read. */
  readonly packed?: PackedRows | undefined;
  /** True if nothing of the file is left. Undefined: that shows when `next` is called. */
  readonly isEnd?: boolean | undefined;
}

/** A row as it stands in the file. */
export interface RawRow {
  /** A copy. */
  readonly raw: Uint8Array;
  readonly positionBytes: number;
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

/** Rows as they stand in the file: row `i` is `bytes[bounds[2 * i], bounds[2 * i + 1])`. */
export interface PackedRows {
  readonly bytes: Buffer;
  readonly bounds: Uint32Array;
  readonly count: number;
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
  /** Its size when it was found; undefined if it was not looked for. */
  readonly foundBytes?: number | undefined;
  /** Where the last run stopped; undefined for a new file. */
  readonly offset: SourceOffset | undefined;
  /**
   * True if more may be appended: text after the last line end is not whole yet and is left for
   * later. A file whose content is not what `offset` covers was replaced and is read from its
   * start.
   */
  readonly isFollowed: boolean;
  /** True if a file without an offset is read from its end: only what is appended. */
  readonly isFromEnd?: boolean | undefined;
  /** True if the rows are only carried: `packed` is read, and `rows` most likely not. */
  readonly isCarried?: boolean | undefined;
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
  /** What the bytes of a row are for a topic: what such a serde would write. Default: nothing. */
  readonly carries?: 'text' | 'json' | undefined;
  /**
   * Opens a file and checks that it is still the one that `offset` came from.
   *
   * @throws ConnectError FILE_NOT_FOUND, NOT_A_FILE, ACCESS_DENIED, STORAGE_FAILED, FILE_CHANGED,
   *   INVALID_SOURCE_OFFSET, and errors about the head of the file.
   */
  open(file: InputFile): Promise<RowReader<Row>>;
}
