import { configSchema, field, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';
import { fieldsOf, withPart } from './record-part.ts';

const CONFIG = configSchema({ fields: field.list({ doc: 'The fields of the value.' }) });

/** Makes a key of fields of the value: Kafka Connect's `ValueToKey`. */
export const valueToKey: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'ValueToKey',
  doc: 'Makes the key an object with fields of the value; use ExtractField for one alone.',
  config: CONFIG,
  create({ fields: names }) {
    return (record) => {
      const fields = fieldsOf(record.value, 'value');
      const key = Object.fromEntries(names.map((name) => [name, fields[name] ?? null]));
      return withPart(record, 'key', key);
    };
  },
};
