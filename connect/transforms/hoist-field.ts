import { configSchema, field, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';
import { TARGET, withPart } from './record-part.ts';

const CONFIG = configSchema({
  field: field.string({ doc: 'The name of the only field of the new object.' }),
  ...TARGET,
});

/** Wraps the key or value in an object: Kafka Connect's `HoistField`. */
export const hoistField: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'HoistField',
  doc: 'Wraps the key or value in an object with one field.',
  config: CONFIG,
  create({ field: name, target }) {
    return (record) => withPart(record, target, { [name]: record[target] });
  },
};
