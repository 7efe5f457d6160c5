/** What a format implements for the file sink: rows to bytes. */
import type { OutputBuffer } from './output-buffer.ts';

/** Turns the rows of one part into its bytes. */
export interface PartEncoder<Row> {
  /**
   * Adds a row: appends its bytes to `out`, or keeps it for `flush` or `end`. A header comes before
   * the first row, which is at `out.positionBytes` 0.
   *
   * @throws Error why the row does not fit the format. The caller takes back what was appended and
   *   leaves the row out, so nothing else may have changed.
   */
  encode(row: Row, out: OutputBuffer): void;
  /** The bytes of rows that are kept, roughly; they count when a part is measured. Default: 0. */
  readonly keptBytes?: number;
  /**
   * Appends what was kept so that the file, cut here, is whole. Called before each commit if the
   * format is appendable. Default: nothing was kept.
   */
  flush?(out: OutputBuffer): void;
  /** Appends what ends the part, such as a footer. Default: what `flush` does. */
  end?(out: OutputBuffer): void;
}

/** Turns the rows of one output into the bytes of its parts. */
export interface RowEncoder<Row> {
  /**
   * The columns: known from the start, from the first row, or from the `columns` that an earlier
   * run kept. Undefined until then, and if the format has none.
   */
  readonly columns: readonly string[] | undefined;
  /**
   * Other settings that the bytes depend on, as text. A part that was begun with others is not
   * continued: the next rows begin a new one. Default: none.
   */
  readonly settings?: string;
  /**
   * True if a row that a topic has as these bytes, written by a serde of the kind that the format
   * `carries`, may be written as they are, with a line feed behind them. False leaves it to
   * `encode`. Default: always false.
   */
  isLine?(source: Buffer, start: number, end: number): boolean;
  /**
   * Begins a part, or continues one if the format is appendable.
   *
   * @param file its name, the same each time it is continued.
   */
  part(file: string): PartEncoder<Row>;
}

/** A format for writing files. */
export interface SinkFormat<Row> {
  /** Stored in the manifest: `csv`. */
  readonly name: string;
  /** The extension of part files: letters and digits. Default: the name. */
  readonly extension?: string;
  /**
   * True: a file that is cut behind any `flush` is whole and can be continued, so each commit adds
   * to the open parts. False: only `end` makes a file whole, so a part is committed when it is
   * full, and after a crash its rows are written again from the log.
   */
  readonly isAppendable: boolean;
  /** True if pieces of it may be compressed one by one, as text may: the option `compression`. */
  readonly isCompressible: boolean;
  /**
   * Which bytes of a topic may be lines of a file, if `isLine` of the encoder agrees: those of
   * `json()`, or of `string()` and `bytes()`. Default: none.
   */
  readonly carries?: 'text' | 'json' | undefined;
  /**
   * Makes the encoder of one output; loads the packages that it needs.
   *
   * @param columns that earlier runs wrote; undefined for a new output.
   * @throws ConnectError PACKAGE_MISSING
   */
  encoder(columns: readonly string[] | undefined): RowEncoder<Row> | Promise<RowEncoder<Row>>;
}
