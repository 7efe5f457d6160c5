import { show } from '../../core/internal.ts';
import { configSchema, field, issuesOf, type ConfigOf } from '../config.ts';
import { simpleText } from '../converters/simple-text.ts';
import type { TransformPlugin } from '../plugin.ts';
import { changeFields, TARGET, withPart } from './record-part.ts';

const INTEGER_BITS = { int8: 8, int16: 16, int32: 32, int64: 64 } as const;
const TYPES = [
  ...['string', 'number', 'integer', 'boolean', 'int8', 'int16', 'int32', 'int64'],
  ...['float32', 'float64'],
] as const;
type CastType =
  'string' | 'number' | 'integer' | 'boolean' | 'float32' | 'float64' | keyof typeof INTEGER_BITS;

const CONFIG = configSchema(
  {
    spec: field.list({
      doc: `Fields and their types, such as age:integer, or one type for all: ${TYPES.join()}.`,
    }),
    ...TARGET,
  },
  ({ spec }) => issuesOf('spec', () => spec.map(castOf)),
);

/** Casts fields, or the whole key or value: Kafka Connect's `Cast`. */
export const cast: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'Cast',
  doc: 'Casts fields, or the whole key or value, to another type.',
  config: CONFIG,
  create({ spec, target }) {
    const types = spec.map(castOf);
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
          const value = fields[name] ?? null;
          changed[name] = value === null ? null : castTo(value, type);
        }
        return changed;
      });
  },
};

function castOf(each: string): { readonly name: string; readonly type: CastType } {
  const at = each.lastIndexOf(':');
  return { name: at < 0 ? '' : each.slice(0, at), type: typeOf(each.slice(at + 1)) };
}

function typeOf(type: string): CastType {
  const found = TYPES.find((each) => each === type);
  if (found !== undefined) return found;
  throw new TypeError(`${show(type)} is no type; there are ${TYPES.join(', ')}`);
}

/** @throws TypeError, RangeError if the type has no such value. */
function castTo(value: unknown, type: CastType): unknown {
  switch (type) {
    case 'string':
      return simpleText(value);
    case 'boolean':
      return booleanOf(value);
    case 'number':
    case 'float64':
      return numberOf(value);
    case 'float32':
      return Math.fround(numberOf(value));
    case 'integer':
    case 'int8':
    case 'int16':
    case 'int32':
    case 'int64':
      return integerOf(value, type === 'integer' ? 64 : INTEGER_BITS[type]);
  }
}

function booleanOf(value: unknown): boolean {
  if (typeof value === 'string') {
    if (/^true$/i.test(value)) return true;
    if (/^false$/i.test(value)) return false;
    throw new TypeError(`${show(value)} is neither true nor false`);
  }
  if (typeof value === 'boolean') return value;
  return typeof value === 'bigint' ? value !== 0n : Math.trunc(numberOf(value)) !== 0;
}

function numberOf(value: unknown): number {
  if (typeof value === 'boolean') return value ? 1 : 0;
  const isDecimal =
    typeof value === 'string' && /^\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*$/.test(value);
  const isNumber = typeof value === 'number' || typeof value === 'bigint' || isDecimal;
  const number = isNumber ? Number(value) : NaN;
  if (Number.isNaN(number)) throw new TypeError(`${show(value)} is no number`);
  return number;
}

/** Fractions are cut off, but not those of text. */
function integerOf(value: unknown, bits: number): number | bigint {
  if (typeof value === 'string' && !/^[-+]?\d+$/.test(value)) {
    throw new TypeError(`${show(value)} is no integer`);
  }
  const isExact = typeof value === 'string' || typeof value === 'bigint';
  const integer = isExact ? BigInt(value) : wholeOf(numberOf(value));
  if (BigInt.asIntN(bits, integer) !== integer) {
    throw new RangeError(`${show(value)} does not fit into ${bits} bits`);
  }
  return Number.isSafeInteger(Number(integer)) ? Number(integer) : integer;
}

function wholeOf(value: number): bigint {
  if (!Number.isFinite(value)) throw new RangeError(`${value} is no integer`);
  return BigInt(Math.trunc(value));
}
