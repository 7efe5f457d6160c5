import { serializeToBytes, type Serde } from '../../core/index.ts';
import { configSchema, field, type ConfigOf } from '../config.ts';
import { SIMPLE_HEADERS } from '../converters/simple-header.ts';
import type { TransformPlugin } from '../plugin.ts';
import { fieldsOf, TARGET, withPart } from './record-part.ts';

const CONFIG = configSchema(
  {
    fields: field.list({ doc: 'The fields.' }),
    headers: field.list({ doc: 'The names of their headers, in the same order.' }),
    operation: field.choice(['move', 'copy'], { doc: 'Whether the fields go or stay.' }),
    ...TARGET,
  },
  ({ fields, headers }) => {
    if (fields.length === headers.length) return [];
    return [
      { field: 'headers', problem: `it must have as many names as fields, ${fields.length}` },
    ];
  },
);

/** Makes headers of fields: Kafka Connect's `HeaderFrom`. */
export const headerFrom: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'HeaderFrom',
  doc: 'Moves or copies fields of key or value to headers, as the header converter writes them.',
  config: CONFIG,
  create({ fields: names, headers, operation, target }, converter = SIMPLE_HEADERS) {
    return (record) => {
      const part = record[target];
      if (part === null) return record;
      const kept: Record<string, unknown> = { ...fieldsOf(part, target) };
      const added = names.map((name, index) => {
        const value = Object.hasOwn(kept, name) ? kept[name] : null;
        if (operation === 'move') Reflect.deleteProperty(kept, name);
        return { key: headers[index]!, value: bytesOf(value, converter) };
      });
      const changed = operation === 'move' ? withPart(record, target, kept) : record;
      return { ...changed, headers: [...record.headers, ...added] };
    };
  },
};

function bytesOf(value: unknown, converter: Serde<unknown>): Uint8Array | null {
  return value === null || value === undefined ? null : serializeToBytes(converter, value);
}
