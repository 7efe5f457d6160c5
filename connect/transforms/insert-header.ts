import { serializeToBytes } from '../../core/index.ts';
import { configSchema, field, type ConfigOf } from '../config.ts';
import { SIMPLE_HEADERS } from '../converters/simple-header.ts';
import { parseValue } from '../converters/value-parser.ts';
import type { TransformPlugin } from '../plugin.ts';

const CONFIG = configSchema({
  header: field.string({ doc: 'The name of the header.' }),
  valueLiteral: field.string({ doc: 'Its value: a number, true, a list ... or text.' }),
});

/** Adds a header: Kafka Connect's `InsertHeader`. */
export const insertHeader: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'InsertHeader',
  doc: 'Adds a header with a fixed value, as the header converter writes it.',
  config: CONFIG,
  create({ header, valueLiteral }, converter = SIMPLE_HEADERS) {
    const value = parseValue(valueLiteral);
    const bytes = value === null ? null : serializeToBytes(converter, value);
    const added = { key: header, value: bytes };
    return (record) => ({ ...record, headers: [...record.headers, added] });
  },
};
