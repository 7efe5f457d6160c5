import { show } from '../../core/internal.ts';
import { configSchema, field, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';
import { changeFields, TARGET } from './record-part.ts';

const CONFIG = configSchema({
  fields: field.list({ doc: 'The fields.' }),
  replacement: field.string({
    doc: 'What stands there instead, of text and numbers; else an empty value of the type.',
    optional: true,
  }),
  ...TARGET,
});

/** Hides what fields hold: Kafka Connect's `MaskField`. */
export const maskField: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'MaskField',
  doc: 'Replaces what fields hold by an empty value of the same type, or by another one.',
  config: CONFIG,
  create({ fields: names, replacement, target }) {
    return (record) =>
      changeFields(record, target, (fields) => {
        const masked: Record<string, unknown> = { ...fields };
        for (const name of names) {
          const value = fields[name] ?? null;
          const hidden = replacement === undefined ? emptyOf(value) : likeOf(value, replacement);
          masked[name] = value === null ? null : hidden;
        }
        return masked;
      });
  },
};

/** The replacement as the type that it replaces. @throws TypeError */
function likeOf(value: unknown, replacement: string): unknown {
  switch (typeof value) {
    case 'string':
      return replacement;
    case 'number': {
      const number = Number(replacement);
      if (Number.isFinite(number)) return number;
      break;
    }
    case 'bigint':
      if (/^-?\d+$/.test(replacement)) return BigInt(replacement);
      break;
    default:
      if (value === null) return null;
  }
  throw new TypeError(`${show(value)} cannot be replaced by ${show(replacement)}`);
}

function emptyOf(value: unknown): unknown {
  if (typeof value === 'string') return '';
  if (typeof value === 'number') return 0;
  if (typeof value === 'bigint') return 0n;
  if (typeof value === 'boolean') return false;
  if (Array.isArray(value)) return [];
  if (value instanceof Date) return new Date(0);
  return value instanceof Uint8Array ? new Uint8Array(0) : {};
}
