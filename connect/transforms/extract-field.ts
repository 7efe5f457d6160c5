import { configSchema, field, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';
import { changeFields, TARGET, valueAt } from './record-part.ts';

const CONFIG = configSchema({
  field: field.string({ doc: 'The field, or a path such as user.id.' }),
  ...TARGET,
});

/** Replaces key or value by one of its fields: Kafka Connect's `ExtractField`. */
export const extractField: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'ExtractField',
  doc: 'Replaces the key or value by one of its fields; by null if it has none of that name.',
  config: CONFIG,
  create({ field: path, target }) {
    return (record) => changeFields(record, target, (fields) => valueAt(fields, path) ?? null);
  },
};
