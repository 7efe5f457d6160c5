import { customSerde } from '../../core/index.ts';
import { avroType } from '../avro-types.ts';
import { configSchema, field, type ConfigOf } from '../config.ts';
import type { ConverterPlugin } from '../plugin.ts';

const CONFIG = configSchema({
  schema: field.object({ doc: 'The schema of the values, as Avro writes it.' }),
});

/**
 * Avro's binary encoding of a schema that the config holds; the bytes have no header. Timestamps
 * and dates are Dates. Needs the package `avsc`.
 */
export const avroConverter: ConverterPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'converter',
  name: 'avro',
  doc: 'Avro, of a schema in the config.',
  config: CONFIG,
  async create({ schema }) {
    const type = await avroType(schema, 'convert Avro');
    return customSerde<unknown>({
      name: 'avro',
      serialize: (value) => type.toBuffer(value),
      deserialize: (bytes) => type.fromBuffer(Buffer.from(bytes)),
    });
  },
};
