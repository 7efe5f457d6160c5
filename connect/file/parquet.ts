import { checkOptions, oneOf, type OptionChecks } from '../../core/internal.ts';
import type { RowReader, SourceFormat } from './format.ts';
import { PARQUET_TYPES, type ParquetColumnType } from './sink/parquet-columns.ts';
import type { SinkFormat } from './sink/sink-format.ts';

/** The options of `parquet`. */
export interface ParquetOptions<Row> {
  /** What to read; a column that is left out costs nothing. Default: all. */
  readonly columns?: readonly (keyof Row & string)[];
  /**
   * What timestamps and dates become: a Date (default), or milliseconds since 1970. Parts of a
   * millisecond are cut off, also before 1970: the millisecond is the one that had begun.
   */
  readonly timestamps?: 'date' | 'ms';
  /**
   * What becomes of numbers that a double cannot hold: an integer beyond 2^53, or a decimal with
   * too many digits. `bigint` (default): such an integer is a bigint, and such a decimal text;
   * `text`: both are text; `error`: the row is bad input; `double`: the nearest double.
   */
  readonly numbers?: 'bigint' | 'text' | 'error' | 'double';
  /**
   * What maps with text as keys become: an object (default), or a list of entries, `[key, value]`,
   * as all other maps do. A row whose map has a key twice is bad input if it should be an object.
   */
  readonly maps?: 'object' | 'entries';
  /**
   * The columns that a sink writes, in this order. Default: those of its first row; numbers are
   * `double`, bigints `int64`, Dates `timestamp`, and objects `json`.
   */
  readonly types?: Readonly<Record<string, ParquetColumnType>>;
  /** How a sink compresses pages. Default: `snappy`. */
  readonly compression?: 'snappy' | 'gzip' | 'zstd' | 'none';
}

/** Parquet: reads such rows, and writes any object. */
export interface ParquetFormat<Row> extends SourceFormat<Row>, SinkFormat<object> {}

const isType = oneOf(...PARQUET_TYPES);

const CHECKS: OptionChecks<ParquetOptions<object>> = {
  columns: (value) =>
    Array.isArray(value) && value.length > 0 ? undefined : 'a list of column names',
  timestamps: oneOf('date', 'ms'),
  numbers: oneOf('bigint', 'text', 'error', 'double'),
  maps: oneOf('object', 'entries'),
  types: (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.values(value).every((type) => isType(type) === undefined)
      ? undefined
      : `the type of each column, one of ${PARQUET_TYPES.join(', ')}`,
  compression: oneOf('snappy', 'gzip', 'zstd', 'none'),
};

const DEFAULTS = {
  columns: undefined,
  timestamps: 'date',
  numbers: 'bigint',
  maps: 'object',
} as const;

/**
 * Parquet, in all its encodings and compressions except LZO, not encrypted. A row is an object with
 * a property for each column, null for a missing value. `Row` is not checked.
 *
 * - 64-bit integers and decimals are numbers if those hold all their digits, else as `numbers`
 *   says; times of a day count in their unit;
 * - text must be UTF-8; bytes without a type are text if they are UTF-8, else a Uint8Array; JSON is
 *   parsed; an interval is `{ months, days, milliseconds }`; geometries stay well-known binary;
 * - groups are objects, repeated fields are lists, variants are the value that they hold.
 *
 * A value that cannot be told, such as text that is not UTF-8, makes its row bad input. A damaged
 * page ends the reading with INVALID_PARQUET: what is behind it can no longer be believed.
 *
 * It reads page by page: memory holds a page and a dictionary of each column, at most 2 GiB
 * together, however large the row groups are.
 *
 * A sink needs the package `hyparquet-writer`. Its files are whole or nothing: see `partMs` of
 * `fileSink`. Null and undefined are missing values; a row with a column that the file does not
 * have, or a value that its column cannot hold, is an error.
 *
 * @example
 * parquet<{ date: Date; delay: number; origin: string }>({ columns: ['date', 'delay', 'origin'] })
 */
export function parquet<Row extends object>(options: ParquetOptions<Row> = {}): ParquetFormat<Row> {
  checkOptions('parquet', options, CHECKS);
  return {
    name: 'parquet',
    unit: 'row',
    canFollow: false, // its contents are listed at its end
    isAppendable: false,
    isCompressible: false,
    async open(file) {
      // Loaded on first use: few programs read Parquet.
      const { ParquetReader } = await import('./parquet/parquet-reader.ts');
      return (await ParquetReader.open(file, { ...DEFAULTS, ...options })) as RowReader<Row>;
    },
    async encoder(kept) {
      const { parquetEncoder } = await import('./sink/parquet-writer.ts');
      return parquetEncoder(options, kept);
    },
  };
}
