import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LogError } from '../errors.ts';
import { exactNumber, mayLoseDigits, parseJson, stringifyJson } from './json-numbers.ts';
import type { JsonNumbers } from './json-numbers.ts';
import { roundTrip } from './serdes.suite.ts';
import { deserializeBytes, serializeToBytes } from './serde.ts';
import { isJsonSerde, json } from './text.ts';

/** Parses in the middle of other bytes. */
function parse(text: string, numbers: JsonNumbers): unknown {
  const source = Buffer.from(`12345678901234567${text}12345678901234567`);
  return parseJson(text, source, 17, source.length - 17, numbers);
}

const LOSSY = ['9007199254740993', '-18446744073709551615', '12345678901234567890123'];
const BEYOND = ['1e400', '-1E+400', `1${'0'.repeat(400)}.5`];
const ROUNDED = ['0.12345678901234567890', '12345678.12345678901', '1e-400', '1.00000000000000001'];
const EXACT = [
  '9007199254740992',
  '18446744073709552000',
  '0',
  '-0',
  '1.50',
  '1e3',
  '9007199254740991',
  '1e22',
  '0.1',
  '1.7976931348623157e308',
];

describe('[SERDE-9] json() loses no digits of integers', () => {
  const read = (text: string, numbers?: JsonNumbers): unknown =>
    deserializeBytes(json(numbers && { numbers }), Buffer.from(`{"a":[${text}]}`));

  test('[SERDE-9] integers beyond 2^53 are bigints, and are written as numbers', () => {
    for (const text of LOSSY) {
      expect(read(text)).toEqual({ a: [BigInt(text)] });
      expect(serializeToBytes(json(), read(text)).toString()).toBe(`{"a":[${text}]}`);
    }
    for (const text of [...EXACT, ...ROUNDED]) expect(read(text)).toEqual({ a: [Number(text)] });
    for (const text of BEYOND) expect(() => read(text)).toThrow(/beyond the range|exceeds/);
    const value = { id: 2n ** 64n, list: [1n, -(10n ** 30n)], text: '0n:5', n: 1 };
    expect(roundTrip(json<unknown>(), value)).toEqual({ ...value, list: [1, -(10n ** 30n)] });
  });

  test('[SERDE-9] the option numbers says what they are otherwise', () => {
    for (const text of [...LOSSY, ...BEYOND, ...ROUNDED]) {
      expect(read(text, 'text')).toEqual({ a: [text] });
      expect(() => read(text, 'error')).toThrow(/does not fit into a double/);
      expect(read(text, 'double')).toEqual({ a: [Number(text)] });
    }
    for (const text of EXACT) {
      expect(read(text, 'text')).toEqual({ a: [Number(text)] });
      expect(read(text, 'error')).toEqual({ a: [Number(text)] });
    }
    expect(() => json({ numbers: 'float' } as never)).toThrow(LogError);
    expect(isJsonSerde(json({ numbers: 'text' }))).toBe(true);
    expect(isJsonSerde({ ...json() })).toBe(false);
  });
});

const NUMBERS: readonly JsonNumbers[] = ['bigint', 'text', 'error', 'double'];

/** JSON texts with numbers of all kinds, and strings that look like them. */
const number = fc.oneof(
  fc.constantFrom(...LOSSY, ...BEYOND, ...ROUNDED, ...EXACT),
  fc
    .tuple(fc.bigInt(), fc.nat(30), fc.integer({ min: -340, max: 340 }))
    .map(([n, cut, exponent]) => {
      const digits = String(n);
      const at = Math.min(digits.length, Math.max(cut, n < 0n ? 2 : 1));
      const fraction = digits.slice(at);
      const tail = exponent % 3 === 0 ? '' : `e${exponent}`;
      return `${digits.slice(0, at)}${fraction && `.${fraction}`}${tail}`;
    }),
);
const document = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    number,
    number.map((token) => JSON.stringify(`x ${token}`)),
    fc.constantFrom('null', 'true', 'false', '""', '"\\u0031\\"2"', '"__proto__"', '"\\\\"'),
    fc.array(tie('value'), { maxLength: 4 }).map((all) => `[ ${all.join(' ,')}]`),
    fc
      .uniqueArray(fc.tuple(fc.constantFrom('"a"', '"__proto__"', '"1e400"'), tie('value')), {
        selector: ([name]) => name, // JSON.parse forgets the first of two
      })
      .map((all) => `{${all.map(([name, value]) => `${name} :\t${value}`).join(',')}}`),
  ),
})).value;

test('[SERDE-9] any JSON is read as by a parser that looks at each number', () => {
  fc.assert(
    fc.property(document, fc.constantFrom(...NUMBERS), (text, numbers) => {
      expect(outcome(() => parse(text, numbers))).toEqual(outcome(() => reference(text, numbers)));
    }),
    { numRuns: 3_000 },
  );
});

test('[SERDE-9] only numbers that may lose digits take the slow way', () => {
  const may = (text: string): boolean => {
    const bytes = Buffer.from(text);
    return mayLoseDigits(bytes, 0, bytes.length, 'bigint');
  };
  for (const plain of [
    '{"id":"9007199254740993"}',
    '{"at":1700000000000,"x":0.30000000000000004}',
    '"3e123abc"',
    '{"uuid":"550e8400-e29b-41d4-a716-446655440000","n":1e22}',
  ]) {
    expect([plain, may(plain)]).toEqual([plain, false]);
  }
  for (const large of [...LOSSY, ...BEYOND])
    expect([large, may(`[${large}]`)]).toEqual([large, true]);
});

test('[SERDE-9] bigints are written whatever the text beside them', () => {
  const text = fc.constantFrom('0n:1', '1n:', 'a', '"0n:2"');
  fc.assert(
    fc.property(fc.dictionary(text, fc.oneof(fc.bigInt(), text)), (value) => {
      const written = stringifyJson({ value, last: 1n })!;
      expect(reference(written, 'bigint')).toEqual({ value: plain(value), last: 1 });
    }),
  );
  const circle: unknown[] = [1n];
  circle.push(circle);
  expect(() => stringifyJson(circle)).toThrow(TypeError);
});

function plain(value: Record<string, unknown>): unknown {
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => {
      return [name, typeof each === 'bigint' ? exactNumber(String(each), 'bigint') : each];
    }),
  );
}

function outcome(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return (error as Error).name;
  }
}

/** Marks each number in the text, parses that, and makes values of the marks. */
function reference(text: string, numbers: JsonNumbers): unknown {
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) =>
    token.startsWith('"') ? token : `{"#":"${token}"}`,
  );
  return JSON.parse(marked, (_, value: unknown) => {
    const isMark = typeof value === 'object' && value !== null && Object.hasOwn(value, '#');
    return isMark ? exactNumber((value as { '#': string })['#'], numbers) : value;
  });
}
