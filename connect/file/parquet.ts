import { checkOptions, oneOf, type OptionChecks } from '../../core/internal.ts';
import type { RowReader, SourceFormat } from './format.ts';

/** The options of `parquet`. */
export interface ParquetOptions<Row> {
  /** What to read; a column that is left out costs nothing. Default: all. */
  readonly columns?: readonly (keyof Row & string)[];
  /**
   * What timestamps and dates become: a Date (default), or milliseconds since 1970. Parts of a
   * millisecond are cut off.
   */
  readonly timestamps?: 'date' | 'ms';
}

const CHECKS: OptionChecks<ParquetOptions<object>> = {
  columns: (value) =>
    Array.isArray(value) && value.length > 0 ? undefined : 'a list of column names',
  timestamps: oneOf('date', 'ms'),
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
 * @example
 * parquet<{ date: Date; delay: number; origin: string }>({ columns: ['date', 'delay', 'origin'] })
 */
export function parquet<Row extends object>(options: ParquetOptions<Row> = {}): SourceFormat<Row> {
  checkOptions('parquet', options, CHECKS);
  return {
    name: 'parquet',
    unit: 'row',
    canFollow: false, // its contents are listed at its end
    async open(file) {
      // Loaded on first use, because it compiles a WebAssembly module.
      const { ParquetReader } = await import('./parquet-reader.ts');
      return (await ParquetReader.open(file, options)) as RowReader<Row>;
    },
  };
}
