import { checkOptions, oneOf, type OptionChecks } from '../../core/internal.ts';
import type { SinkFormat } from './sink/sink-format.ts';

/** The options of `avro`. */
export interface AvroOptions {
  /** The schema of a row, as Avro writes it: an object, or its JSON as text. */
  readonly schema: object | string;
  /** How each block is compressed. Default: `deflate`, which every reader knows. */
  readonly compression?: 'deflate' | 'none';
}

const CHECKS: OptionChecks<AvroOptions> = {
  schema: (value) => (isSchema(value) ? undefined : 'a schema of Avro, as an object or as JSON'),
  compression: oneOf('deflate', 'none'),
};

/**
 * Avro's object container files, for writing. Each file has the schema; after a change of the
 * schema the sink begins new files. `timestamp-millis` and `date` take Dates, or numbers as they
 * are. A row that does not fit the schema is an error.
 *
 * Needs the package `avsc`.
 *
 * @example
 * const fields = [{ name: 'minutes', type: 'int' }];
 * avro<Delay>({ schema: { type: 'record', name: 'Delay', fields } })
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function avro<Row = unknown>(options: AvroOptions): SinkFormat<Row> {
  checkOptions('avro', options, CHECKS, ['schema']);
  const { schema, compression = 'deflate' } = options;
  const text = typeof schema === 'string' ? schema : JSON.stringify(schema);
  return {
    name: 'avro',
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
