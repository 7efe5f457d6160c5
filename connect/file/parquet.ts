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
 * Parquet, in all its encodings and compressions but LZO. A row is an object with a property for
 * each column, null where there is no value. 64-bit integers become numbers where they are exact,
 * else bigints; decimals become numbers where all their digits fit, else text. `Row` is taken on
 * trust.
 *
 * Read page by page: memory holds one page of each column, and the packed bytes of one row group.
 * Nested columns are read a whole row group at once, and decimals in them are products of floats.
 *
 * @example
 * parquet<{ date: Date; delay: number; origin: string }>({ columns: ['date', 'delay', 'origin'] })
 */
export function parquet<Row extends object>(options: ParquetOptions<Row> = {}): SourceFormat<Row> {
  checkOptions('parquet', options, CHECKS);
  return {
    name: 'parquet',
    unit: 'row',
    canFollow: false, // its end says what is in it
    async open(file) {
      // Loaded when it is needed: it compiles a WebAssembly module.
      const { ParquetReader } = await import('./parquet-reader.ts');
      return (await ParquetReader.open(file, options)) as RowReader<Row>;
    },
  };
}
