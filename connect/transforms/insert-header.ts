import { configSchema, field, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';

const CONFIG = configSchema({
  header: field.string({ doc: 'The name of the header.' }),
  valueLiteral: field.string({ doc: 'Its text.' }),
});

/** Adds a header: Kafka Connect's `InsertHeader`. */
export const insertHeader: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'InsertHeader',
  doc: 'Adds a header with a fixed text.',
  config: CONFIG,
  create({ header, valueLiteral }) {
    const added = { key: header, value: Buffer.from(valueLiteral) };
    return (record) => ({ ...record, headers: [...record.headers, added] });
  },
};
