/** Values that Kafka Connect's converters and ours are compared with. */
import fc from 'fast-check';
import type { ConnectSchema } from '../../../connect/converters/connect-schema.ts';
import {
  LOGICAL,
  parseConnectSchema,
  scaleOf,
} from '../../../connect/converters/connect-schema.ts';

/** A value in the form in which the oracle takes it: numbers are text. */
export type Neutral =
  null | boolean | string | readonly Neutral[] | { readonly [name: string]: Neutral };

/** Made of a schema and one of its values. */
export interface Typed {
  readonly schema: unknown;
  readonly value: Neutral;
}

const DAY_MS = 86_400_000;

const integer = (bits: number) =>
  fc.oneof(
    fc.bigInt({ min: -(2n ** BigInt(bits - 1)), max: 2n ** BigInt(bits - 1) - 1n }),
    fc.constantFrom(0n, 1n, -1n, 2n ** BigInt(bits - 1) - 1n, -(2n ** BigInt(bits - 1))),
  );

/**
 * Fractions of few digits: Java before 19 prints some others with a digit too many.
 */
const fraction = fc
  .tuple(fc.integer({ min: -9_999_999, max: 9_999_999 }), fc.integer({ min: -9, max: 9 }))
  .map(([digits, exponent]) => Number(`${digits}e${exponent}`));

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.constantFrom('', 'é €𝄞', '"\\/\b\f\n\r\t\u0001\u001f\u007f', '\u2028', 'null'),
);

const named = (type: string, name: string, parameters?: object) => ({
  ...{ type, optional: false, name, version: 1 },
  ...(parameters !== undefined && { parameters }),
});

/** The schemas of single values, and their values. */
const primitive: fc.Arbitrary<Typed> = fc.oneof(
  fc.boolean().map((value): Typed => ({ schema: of('boolean'), value })),
  ...[8, 16, 32, 64].map((bits) =>
    integer(bits).map((value): Typed => ({ schema: of(`int${bits}`), value: String(value) })),
  ),
  fraction.map((value): Typed => ({ schema: of('double'), value: String(value) })),
  fc.integer({ min: -999_999, max: 999_999 }).map((count): Typed => {
    return { schema: of('float'), value: String(count / 16) };
  }),
  text.map((value): Typed => ({ schema: of('string'), value })),
  fc.uint8Array({ maxLength: 9 }).map((bytes): Typed => {
    return { schema: of('bytes'), value: Buffer.from(bytes).toString('base64') };
  }),
  fc
    .tuple(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), fc.nat({ max: 9 }))
    .map(([unscaled, scale]): Typed => ({
      schema: named('bytes', LOGICAL.decimal, { scale: String(scale) }),
      value: decimal(unscaled, scale),
    })),
  fc.integer({ min: -100_000, max: 100_000 }).map((days): Typed => {
    return { schema: named('int32', LOGICAL.date), value: String(days * DAY_MS) };
  }),
  fc.nat({ max: DAY_MS - 1 }).map((ms): Typed => {
    return { schema: named('int32', LOGICAL.time), value: String(ms) };
  }),
  fc.integer({ min: -8e12, max: 8e12 }).map((ms): Typed => {
    return { schema: named('int64', LOGICAL.timestamp), value: String(ms) };
  }),
);

function of(type: string): object {
  return { type, optional: false };
}

function decimal(unscaled: bigint, scale: number): string {
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  const whole = digits.slice(0, digits.length - scale);
  const sign = unscaled < 0n ? '-' : '';
  return scale === 0 ? `${sign}${whole}` : `${sign}${whole}.${digits.slice(-scale)}`;
}

/** Values of any schema, up to three levels deep. */
export const typed: fc.Arbitrary<Typed> = fc.letrec<{ any: Typed }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    primitive,
    tie('any').chain(({ schema, value }) => {
      const items = fc.array(fc.constant(value), { maxLength: 3 });
      return items.map((list): Typed => ({
        schema: { type: 'array', optional: false, items: schema },
        value: list,
      }));
    }),
    fc.tuple(primitive, tie('any')).map(([key, inner]): Typed => ({
      schema: { type: 'map', optional: false, keys: key.schema, values: inner.schema },
      value: [[key.value, inner.value]],
    })),
    fc.tuple(tie('any'), tie('any'), fc.boolean()).map(([a, b, isMissing]): Typed => {
      const optional = { ...(b.schema as object), optional: true };
      const fields = [
        { ...(a.schema as object), field: 'a' },
        { ...optional, field: 'b c' },
      ];
      return {
        schema: { type: 'struct', optional: false, name: 'any.Record', fields },
        value: { a: a.value, 'b c': isMissing ? null : b.value },
      };
    }),
  ),
})).any;

/** Our value for the oracle's. */
export function ours(schema: ConnectSchema, value: Neutral): unknown {
  if (value === null) return null;
  if (schema.name === LOGICAL.decimal) return value;
  if (schema.name !== undefined && isTime(schema)) return new Date(Number(value));
  switch (schema.type) {
    case 'boolean':
    case 'string':
      return value;
    case 'bytes':
      return Buffer.from(value as string, 'base64');
    case 'float':
      return Math.fround(Number(value));
    case 'double':
      return Number(value);
    case 'array':
      return (value as readonly Neutral[]).map((each) => ours(schema.items, each));
    case 'map': {
      const entries = (value as readonly (readonly [Neutral, Neutral])[]).map(([key, each]) => {
        return [ours(schema.keys, key), ours(schema.values, each)] as const;
      });
      return schema.keys.type === 'string'
        ? Object.fromEntries(entries as unknown as (readonly [string, unknown])[])
        : entries;
    }
    case 'struct': {
      const entries = schema.fields.map(({ field, schema: inner }) => {
        const part = (value as Readonly<Record<string, Neutral>>)[field] ?? null;
        return [field, ours(inner, part)] as const;
      });
      return Object.fromEntries(entries);
    }
    default: {
      const number = Number(value);
      return Number.isSafeInteger(number) ? number : BigInt(value as string);
    }
  }
}

function isTime({ name }: ConnectSchema): boolean {
  return name === LOGICAL.date || name === LOGICAL.time || name === LOGICAL.timestamp;
}

/** The oracle's value with numbers that JavaScript prints in the same way. */
export function comparable(schema: ConnectSchema, value: Neutral): unknown {
  const read = ours(schema, value);
  if (schema.name === LOGICAL.decimal && typeof read === 'string') {
    const scale = scaleOf(schema);
    const [whole = '', fraction = ''] = read.split('.');
    return scale > 0 ? `${whole}.${fraction.padEnd(scale, '0')}` : read;
  }
  return read;
}

/** A value of ours with its floats rounded to 32 bits: we keep their digits. */
export function rounded(schema: ConnectSchema, value: unknown): unknown {
  if (value === null) return null;
  switch (schema.type) {
    case 'float':
      return Math.fround(value as number);
    case 'array':
      return (value as readonly unknown[]).map((each) => rounded(schema.items, each));
    case 'map': {
      const isObject = schema.keys.type === 'string';
      const entries = isObject ? Object.entries(value as object) : (value as [unknown, unknown][]);
      const made = entries.map(([key, each]) => {
        return [rounded(schema.keys, key), rounded(schema.values, each)] as const;
      });
      return isObject ? Object.fromEntries(made as unknown as [string, unknown][]) : made;
    }
    case 'struct': {
      const parts = value as Readonly<Record<string, unknown>>;
      return Object.fromEntries(
        schema.fields.map(({ field, schema: inner }) => [field, rounded(inner, parts[field])]),
      );
    }
    default:
      return value;
  }
}

/** The schema of some JSON. */
export function schemaOf(json: unknown): ConnectSchema {
  return parseConnectSchema(json);
}

/** Values without a schema: integers and fractions of few digits. */
export const plain: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.boolean(),
    fc.integer(),
    fraction.filter((value) => !Number.isInteger(value) && Math.abs(value) >= 1e-3),
    text.filter((each) => !/\p{Cc}/u.test(each)),
    fc.constant(null),
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'é', 'x.y'), tie('any'), { noNullPrototype: true }),
  ),
})).any;
