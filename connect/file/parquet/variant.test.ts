import { expect, test } from 'vitest';
import { BadValue } from './bad-value.ts';
import type { Shredded } from './plan.ts';
import { VariantDecoder, type VariantGroup } from './variant.ts';

const OPTIONS = { timestamps: 'ms', numbers: 'bigint' } as const;
const NO_NAMES = Buffer.from([1, 0, 0]);
const NOT_SHREDDED: Shredded = { typed: 'nothing', element: undefined, fields: new Map() };
const PRIMITIVE: Shredded = { ...NOT_SHREDDED, typed: 'primitive' };

/** Metadata with these names. */
function names(...all: readonly string[]): Buffer {
  let end = 0;
  const ends = all.map((name) => (end += name.length));
  return Buffer.concat([Buffer.from([1, all.length, 0, ...ends]), Buffer.from(all.join(''))]);
}

/** An object of one-byte ids and offsets. */
function object(fields: readonly (readonly [id: number, value: readonly number[]])[]): number[] {
  let end = 0;
  const offsets = fields.map(([, { length }]) => (end += length));
  const ids = fields.map(([id]) => id);
  return [2, fields.length, ...ids, 0, ...offsets, ...fields.flatMap(([, value]) => value)];
}

function list(...values: readonly (readonly number[])[]): number[] {
  let end = 0;
  const offsets = values.map(({ length }) => (end += length));
  return [3, values.length, 0, ...offsets, ...values.flat()];
}

function decode(group: VariantGroup, shredded = NOT_SHREDDED): unknown {
  return new VariantDecoder(OPTIONS).decode({ metadata: NO_NAMES, ...group }, shredded);
}

const valueOf = (bytes: readonly number[], metadata: Buffer = NO_NAMES): unknown => {
  return decode({ value: Uint8Array.from(bytes), metadata });
};

function int(width: number, value: number | bigint): number[] {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), 0);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value) >> 64n), 8);
  return [...bytes.subarray(0, width)];
}

test.each<readonly [what: string, bytes: readonly number[], value: unknown]>([
  ['null', [0], null],
  ['true', [1 << 2], true],
  ['false', [2 << 2], false],
  ['int8', [3 << 2, ...int(1, -34)], -34],
  ['int16', [4 << 2, ...int(2, -1234)], -1234],
  ['int32', [5 << 2, ...int(4, -12345)], -12345],
  ['int64', [6 << 2, ...int(8, -9876543210)], -9876543210],
  ['large int64', [6 << 2, ...int(8, 2n ** 62n)], 2n ** 62n],
  ['double', [7 << 2, ...Buffer.from(Float64Array.of(-14.3).buffer)], -14.3],
  ['float', [14 << 2, ...Buffer.from(Float32Array.of(-0.5).buffer)], -0.5],
  ['decimal4', [8 << 2, 4, ...int(4, -1234567890)], -123456.789],
  ['decimal8', [9 << 2, 9, ...int(8, 1234567890987654321n)], '1234567890.987654321'],
  ['decimal16', [10 << 2, 9, ...int(16, -9876543210123456789n)], '-9876543210.123456789'],
  ['date', [11 << 2, ...int(4, -1)], -86_400_000],
  ['timestamp', [12 << 2, ...int(8, -1)], -1],
  ['timestamp without zone', [13 << 2, ...int(8, 1999)], 1],
  ['binary', [15 << 2, 2, 0, 0, 0, 0xff, 7], new Uint8Array([0xff, 7])],
  ['string', [16 << 2, 2, 0, 0, 0, 0xc3, 0xa4], 'ä'],
  ['short string', [(3 << 2) | 1, 110, 47, 97], 'n/a'],
  ['time', [17 << 2, ...int(8, 45_234_123_456)], 45_234_123_456],
  ['timestamp of nanoseconds', [18 << 2, ...int(8, -1_000_001)], -2],
  ['the same without zone', [19 << 2, ...int(8, 1_999_999)], 1],
  [
    'uuid',
    [20 << 2, ...(Array(16).fill(0x11) as number[])],
    '11111111-1111-1111-1111-111111111111',
  ],
  ['list', list([0], list(), [(1 << 2) | 1, 97]), [null, [], 'a']],
])('[CONNECT-PARQUET-19] a variant holds %s', (_, bytes, value) => {
  expect(valueOf(bytes)).toEqual(value);
});

test('[CONNECT-PARQUET-19] objects have the names of the metadata, in any order', () => {
  const metadata = names('a', '__proto__');
  const value = valueOf(
    object([
      [1, [1 << 2]],
      [0, list([0])],
    ]),
    metadata,
  );
  expect(JSON.stringify(value)).toBe('{"__proto__":true,"a":[null]}');
});

const SHREDDED_OBJECT: Shredded = {
  typed: 'object',
  element: undefined,
  fields: new Map([
    ['a', PRIMITIVE],
    ['b', PRIMITIVE],
  ]),
};

test('[CONNECT-PARQUET-19] columns of their own are merged with the rest', () => {
  expect(decode({ typed_value: 5 }, PRIMITIVE)).toBe(5);
  expect(decode({ value: Uint8Array.of(1 << 2), typed_value: null }, PRIMITIVE)).toBe(true);
  expect(decode({ value: null, typed_value: null }, PRIMITIVE)).toBe(null);
  const elements: Shredded = { typed: 'list', element: PRIMITIVE, fields: new Map() };
  const items = [
    { typed_value: 'x', value: null },
    { typed_value: null, value: Uint8Array.of(0) },
  ];
  expect(decode({ typed_value: items }, elements)).toEqual(['x', null]);
  const metadata = names('a', 'b', 'c');
  const rest = Uint8Array.from(
    object([
      [1, [1 << 2]],
      [2, [2 << 2]],
    ]),
  );
  const typed = { a: { value: null, typed_value: 1 }, b: { value: null, typed_value: null } };
  // What the rest says of a field with columns does not count.
  expect(decode({ metadata, value: rest, typed_value: typed }, SHREDDED_OBJECT)).toEqual({
    c: false,
    a: 1,
  });
  expect(decode({ metadata, value: null, typed_value: typed }, SHREDDED_OBJECT)).toEqual({ a: 1 });
});

/** Lists in lists. */
function nested(depth: number): number[] {
  let value = [0];
  for (let level = 0; level < depth; level++) {
    value = [3 | (3 << 2), 1, 0, 0, 0, 0, ...int(4, value.length), ...value];
  }
  return value;
}

test.each<readonly [what: string, group: () => unknown, reason: RegExp]>([
  [
    'two values',
    () => decode({ value: Uint8Array.of(0), typed_value: 1 }, PRIMITIVE),
    /two values/,
  ],
  [
    'a value that is no object beside typed fields',
    () => decode({ value: Uint8Array.of(0), typed_value: {} }, SHREDDED_OBJECT),
    /two values/,
  ],
  ['no metadata', () => decode({ metadata: null, value: Uint8Array.of(0) }), /without metadata/],
  ['metadata of version 2', () => valueOf([0], Buffer.from([2, 0, 0])), /version 2/],
  ['more names than bytes', () => valueOf([0], Buffer.from([1, 255, 0])), /beyond its end/],
  ['names that overlap', () => valueOf([0], Buffer.from([1, 2, 0, 1, 0, 97])), /names overlap/],
  ['a name that is not there', () => valueOf(object([[1, [0]]]), names('a')), /without the name 1/],
  [
    'a field twice',
    () =>
      valueOf(
        object([
          [0, [0]],
          [0, [0]],
        ]),
        names('a'),
      ),
    /field twice/,
  ],
  ['an unknown type', () => valueOf([21 << 2]), /unknown type 21/],
  ['a string without its end', () => valueOf([(3 << 2) | 1, 97]), /beyond its end/],
  ['a cut number', () => valueOf([5 << 2, 1, 2]), /beyond its end/],
  ['more elements than bytes', () => valueOf([3, 200, 0]), /beyond its end/],
  ['an element behind the end', () => valueOf([3, 1, 9, 10, 0]), /beyond its end/],
  ['elements that overlap', () => valueOf([3, 2, 0, 0, 1, 0]), /parts overlap/],
  ['text that is not UTF-8', () => valueOf([(1 << 2) | 1, 0xff]), /not UTF-8/],
  ['a scale of 39', () => valueOf([8 << 2, 39, 0, 0, 0, 0]), /scale of 39/],
])('[CONNECT-PARQUET-19] a variant with %s is a bad value', (_, decoded, reason) => {
  const value = decoded();
  expect(value).toBeInstanceOf(BadValue);
  expect((value as BadValue).reason).toMatch(reason);
});

test('[CONNECT-PARQUET-19] a variant that refers to itself over and over is a bad value', () => {
  // Ten lists in a row; each has ten elements, at different places of the next one.
  const levels = 10;
  const bytes: number[] = [];
  const width = 13;
  for (let level = 0; level < levels; level++) {
    const next = Array.from({ length: 10 }, (_, index) => index);
    bytes.push(3, 10, ...next, 10, width);
  }
  bytes.push(...Array<number>(32).fill(0));
  expect(valueOf(bytes)).toBeInstanceOf(BadValue);
});

test('[CONNECT-PARQUET-19] a variant that is too deep is a bad value', () => {
  expect(JSON.stringify(valueOf(nested(90)))).toBe(`${'['.repeat(90)}null${']'.repeat(90)}`);
  const value = valueOf(nested(150));
  expect((value as BadValue).reason).toMatch(/levels deep/);
});
