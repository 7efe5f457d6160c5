import { show } from '../../core/internal.ts';
import { configSchema, field, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';
import { changeFields, TARGET, withPart } from './record-part.ts';

const TYPES = ['string', 'number', 'integer', 'boolean'] as const;
type CastType = (typeof TYPES)[number];

const CONFIG = configSchema({
  spec: field.list({
    doc: `Fields and their types, such as age:integer, or one type for the whole: ${TYPES.join()}.`,
  }),
  ...TARGET,
});

/** Casts fields, or the whole key or value: Kafka Connect's `Cast`. */
export const cast: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'Cast',
  doc: 'Casts fields, or the whole key or value, to another type.',
  config: CONFIG,
  create({ spec, target }) {
    const types = spec.map((each) => {
      const [name = '', type] = each.includes(':') ? each.split(':') : ['', each];
      return { name, type: typeOf(type) };
    });
    const whole = types.find(({ name }) => name === '');
    if (whole !== undefined) {
      return (record) => {
        const part = record[target];
        return part === null ? record : withPart(record, target, castTo(part, whole.type));
      };
    }
    return (record) =>
      changeFields(record, target, (fields) => {
        const changed: Record<string, unknown> = { ...fields };
        for (const { name, type } of types) {
          const value = fields[name];
          if (value !== null && value !== undefined) changed[name] = castTo(value, type);
        }
        return changed;
      });
  },
};

function typeOf(type: string | undefined): CastType {
  const found = TYPES.find((each) => each === type);
  if (found !== undefined) return found;
  throw new TypeError(`${show(type)} is no type; there are ${TYPES.join(', ')}`);
}

function castTo(value: unknown, type: CastType): unknown {
  if (type === 'string') return typeof value === 'string' ? value : textOf(value);
  if (type === 'boolean') {
    if (typeof value === 'string') {
      if (/^true$/i.test(value)) return true;
      if (/^false$/i.test(value)) return false;
      throw new TypeError(`${show(value)} is neither true nor false`);
    }
    return Boolean(value);
  }
  const number = typeof value === 'string' && value.trim() === '' ? NaN : Number(value);
  if (Number.isNaN(number)) throw new TypeError(`${show(value)} is no number`);
  if (type === 'integer' && !Number.isSafeInteger(Math.trunc(number))) {
    throw new TypeError(`${show(value)} is no integer that a number holds`);
  }
  return type === 'integer' ? Math.trunc(number) : number;
}

function textOf(value: unknown): string {
  return typeof value === 'bigint' ? `${value}` : JSON.stringify(value);
}
