import { configSchema, field, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';
import { changeFields, TARGET } from './record-part.ts';

const CONFIG = configSchema({
  fields: field.list({ doc: 'The fields.' }),
  replacement: field.string({
    doc: 'What stands there instead; else an empty value of the type.',
    optional: true,
  }),
  ...TARGET,
});

/** Hides what fields hold: Kafka Connect's `MaskField`. */
export const maskField: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'MaskField',
  doc: 'Replaces what fields hold by an empty value of the same type, or by a text.',
  config: CONFIG,
  create({ fields: names, replacement, target }) {
    return (record) =>
      changeFields(record, target, (fields) => {
        const masked: Record<string, unknown> = { ...fields };
        for (const name of names) {
          if (Object.hasOwn(fields, name)) masked[name] = replacement ?? emptyOf(fields[name]);
        }
        return masked;
      });
  },
};

function emptyOf(value: unknown): unknown {
  if (typeof value === 'string') return '';
  if (typeof value === 'number') return 0;
  if (typeof value === 'bigint') return 0n;
  if (typeof value === 'boolean') return false;
  if (Array.isArray(value)) return [];
  return typeof value === 'object' && value !== null && !(value instanceof Date) ? {} : null;
}
