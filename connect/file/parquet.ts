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
   * millisecond are cut off.
   */
  readonly timestamps?: 'date' | 'ms';
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
  types: (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.values(value).every((type) => isType(type) === undefined)
      ? undefined
      : `the type of each column, one of ${PARQUET_TYPES.join(', ')}`,
  compression: oneOf('snappy', 'gzip', 'zstd', 'none'),
};

/**
 * Parquet, in all its encodings and compressions except LZO. A row is an object with a property for
 * each column, null for a missing value. 64-bit integers become numbers if those are exact, else
 * bigints; decimals become numbers if all their digits fit, else text. `Row` is not checked.
 *
 * It reads page by page: memory holds one page of each column and the packed bytes of one row
 * group. It reads nested columns a whole row group at once, and decimals in them are products of
 * floats.
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
      // Loaded on first use, because it compiles a WebAssembly module.
      const { ParquetReader } = await import('./parquet-reader.ts');
      return (await ParquetReader.open(file, options)) as RowReader<Row>;
    },
    async encoder(kept) {
      const { parquetEncoder } = await import('./sink/parquet-writer.ts');
      return parquetEncoder(options, kept);
    },
  };
}
