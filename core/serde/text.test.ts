import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { roundTrip } from './serdes.suite.ts';
import { deserializeBytes, serializeToBytes } from './serde.ts';
import { json, readText, string, writeText } from './text.ts';

/**
 * Well-formed text of every width in UTF-8; around sixteen characters the code takes another way.
 */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.string({ unit: 'binary-ascii', minLength: 14, maxLength: 18 }),
);

describe('[SERDE-1] string() is UTF-8', () => {
  test('[SERDE-1] text comes back as it was', () => {
    fc.assert(
      fc.property(text, (value) => {
        expect(roundTrip(string(), value)).toBe(value);
        expect(serializeToBytes(string(), value).toString('utf8')).toBe(value);
      }),
      { examples: [[''], ['\u{10ffff}'.repeat(5)], ['ä'.repeat(16)], ['\uffff'.repeat(17)]] },
    );
  });

  test('[SERDE-10] half a surrogate pair is refused', () => {
    for (const half of ['\ud800', 'a\udc00b', '\udc00\ud800', 'x'.repeat(20) + '\ud900']) {
      expect(() => serializeToBytes(string(), half)).toThrow(
        /half of a surrogate pair \(\\ud[89c]00/,
      );
      expect(roundTrip(json<string>(), half)).toBe(half);
    }
  });

  test('[SERDE-1] bytes that are not UTF-8 become U+FFFD', () => {
    for (const bytes of [[0xff], [0xc3], [0x41, 0xe2, 0x82], [0x80, 0x80, 0x80, 0x80, 0x80]]) {
      const expected = Buffer.from(bytes).toString('utf8');
      expect(deserializeBytes(string(), Buffer.from(bytes))).toBe(expected);
    }
  });

  test('[SERDE-1] values that are no strings are refused', () => {
    const value = 5 as unknown as string;
    expect(() => serializeToBytes(string(), value)).toThrow('expected a string, got number');
  });

  test('[SERDE-1] text is read from any place, short or long', () => {
    const long = 'äöü€😀 and plain text';
    const source = Buffer.from(`..${long}..`);
    expect(readText(source, 2, source.length - 2)).toBe(long);
    for (let end = 2; end < 12; end++) {
      expect(readText(source, 2, end)).toBe(source.toString('utf8', 2, end));
    }
    const target = Buffer.alloc(100);
    expect(writeText(long, target, 50)).toBe(50 + Buffer.byteLength(long));
  });
});

describe('[SERDE-2] json() is JSON text', () => {
  test('[SERDE-2] what JSON has comes back as it was', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const expected = JSON.parse(JSON.stringify(value)) as unknown; // -0 becomes 0
        expect(roundTrip(json<unknown>(), value)).toEqual(expected);
      }),
    );
  });

  test('[SERDE-2] what has no JSON form is refused', () => {
    const write = (value: unknown) => () => serializeToBytes(json<unknown>(), value);
    expect(write(undefined)).toThrow('undefined has no JSON form');
    expect(write(() => 1)).toThrow('function has no JSON form');
    const circle: unknown[] = [];
    circle.push(circle);
    expect(write(circle)).toThrow(TypeError);
  });

  test('[SERDE-2] bytes that are no JSON are refused', () => {
    for (const bytes of ['', '{', 'nul', '1 2']) {
      expect(() => deserializeBytes(json(), Buffer.from(bytes))).toThrow(SyntaxError);
    }
  });
});
