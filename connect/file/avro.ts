import { checkOptions, JSON_NUMBERS, oneOf, type OptionChecks } from '../../core/internal.ts';
import type { SourceFormat } from './format.ts';
import type { SinkFormat } from './sink/sink-format.ts';

/** The options of `avro`. */
export interface AvroOptions {
  /**
   * The schema of a row, as Avro writes it: an object, or its JSON as text. Default: none, for a
   * source, which finds it in each file; a sink needs one.
   */
  readonly schema?: object | string;
  /** How a sink compresses each block. Default: `deflate`, which every reader knows. */
  readonly compression?: 'deflate' | 'none';
  /** What timestamps and dates become in a source: a Date (default), or milliseconds since 1970. */
  readonly timestamps?: 'date' | 'ms';
  /**
   * What becomes in a source of numbers that a double cannot hold, a long beyond 2^53 or a decimal
   * with too many digits: `bigint` (default; such a decimal is text), `text`, `error`, which makes
   * the row bad input, or `double`, the nearest one.
   */
  readonly numbers?: 'bigint' | 'text' | 'error' | 'double';
}

/** Avro, for reading and writing. */
export interface AvroFormat<Row> extends SourceFormat<Row>, SinkFormat<Row> {}

const CHECKS: OptionChecks<AvroOptions> = {
  schema: (value) => (isSchema(value) ? undefined : 'a schema of Avro, as an object or as JSON'),
  compression: oneOf('deflate', 'none'),
  timestamps: oneOf('date', 'ms'),
  numbers: oneOf(...JSON_NUMBERS),
};

/**
 * Avro's object container files. `Row` is not checked.
 *
 * A source reads them block by block, packed with deflate, snappy, zstandard or not at all. Records
 * and maps are objects, a union is the value in it, enums are their symbols, bytes are a
 * Uint8Array, decimals numbers. Damage is INVALID_AVRO with the position of the block. With
 * `follow`, a block is read when it is whole.
 *
 * For a sink each file has the schema, which has to be given; after a change of it the sink begins
 * new files. `timestamp-millis` and `date` take Dates, or numbers as they are. A row that does not
 * fit the schema is an error. Writing needs the package `avsc`.
 *
 * @example
 * const fields = [{ name: 'minutes', type: 'int' }];
 * avro<Delay>({ schema: { type: 'record', name: 'Delay', fields } })
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function avro<Row = unknown>(
  options: AvroOptions & Required<Pick<AvroOptions, 'schema'>>,
): AvroFormat<Row>;
export function avro<Row = unknown>(options?: AvroOptions): SourceFormat<Row>;
export function avro<Row>(options: AvroOptions = {}): AvroFormat<Row> | SourceFormat<Row> {
  checkOptions('avro', options, CHECKS);
  const { schema, compression = 'deflate', timestamps = 'date', numbers = 'bigint' } = options;
  const source: SourceFormat<Row> = {
    name: 'avro',
    unit: 'row',
    canFollow: true,
    async open(file) {
      const { AvroReader } = await import('./avro/avro-reader.ts');
      return AvroReader.open<Row>(file, { timestamps, numbers });
    },
  };
  if (schema === undefined) return source;
  const text = typeof schema === 'string' ? schema : JSON.stringify(schema);
  return {
    ...source,
    isAppendable: true,
    isCompressible: false,
    async encoder() {
      const { avroEncoder } = await import('./sink/avro-encoder.ts');
      return avroEncoder<Row>(text, compression);
    },
  };
}

function isSchema(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return true;
  if (typeof value !== 'string') return false;
  try {
    JSON.parse(value);
    return true;
  } catch {
    return false; // as the message says
  }
}
