import { configSchema, field, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';
import { changeFields, TARGET, type Fields } from './record-part.ts';

const CONFIG = configSchema({
  delimiter: field.string({ doc: 'Stands between the names.', default: '.' }),
  ...TARGET,
});

/** Makes one level of nested objects: Kafka Connect's `Flatten`. */
export const flatten: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'Flatten',
  doc: 'Makes one level of nested objects; lists stay as they are.',
  config: CONFIG,
  create({ delimiter, target }) {
    return (record) =>
      changeFields(record, target, (fields) => {
        const flat: Record<string, unknown> = {};
        addFlat(flat, fields, '', delimiter);
        return flat;
      });
  },
};

function addFlat(
  flat: Record<string, unknown>,
  fields: Fields,
  prefix: string,
  delimiter: string,
): void {
  for (const [name, value] of Object.entries(fields)) {
    const path = prefix === '' ? name : prefix + delimiter + name;
    const isNested = Object.prototype.toString.call(value) === '[object Object]';
    if (isNested) addFlat(flat, value as Fields, path, delimiter);
    else flat[path] = value;
  }
}
