import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bigint64, bytes, double, int16, int32, int64, uuid } from './binary.ts';
import { roundTrip } from './serdes.suite.ts';
import { deserializeBytes, serializeToBytes, type Serde } from './serde.ts';

const hex = <T>(serde: Serde<T>, value: T) => serializeToBytes(serde, value).toString('hex');

describe('[SERDE-3] bytes() takes bytes as they are', () => {
  test('[SERDE-3] they come back as they were', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), (value) => {
        expect(Buffer.from(value).equals(roundTrip(bytes(), value))).toBe(true);
      }),
    );
  });

  test('[SERDE-3] reading gives a view, not a copy', () => {
    const source = Buffer.from('abc');
    const view = bytes().deserialize(source, 1, 3);
    source[1] = 'x'.charCodeAt(0);
    expect(Buffer.from(view).toString()).toBe('xc');
  });

  test('[SERDE-3] values that are no bytes are refused', () => {
    const value = 'text' as unknown as Uint8Array;
    expect(() => serializeToBytes(bytes(), value)).toThrow('expected bytes, got string');
  });
});

describe('[SERDE-4] numbers are big-endian and as wide as they say', () => {
  test('[SERDE-4] the bytes are those of the serializers of Kafka', () => {
    expect(hex(int16(), -2)).toBe('fffe');
    expect(hex(int32(), 258)).toBe('00000102');
    expect(hex(int64(), -1)).toBe('ffffffffffffffff');
    expect(hex(int64(), 2 ** 40)).toBe('0000010000000000');
    expect(hex(bigint64(), 1n)).toBe('0000000000000001');
    expect(hex(double(), 1.5)).toBe('3ff8000000000000');
  });

  test('[SERDE-4] every value of the range comes back as it was', () => {
    const check =
      <T>(serde: Serde<T>) =>
      (value: T) => {
        expect(roundTrip(serde, value)).toBe(value);
      };
    fc.assert(fc.property(fc.integer({ min: -0x8000, max: 0x7fff }), check(int16())));
    fc.assert(fc.property(fc.integer(), check(int32())));
    fc.assert(fc.property(fc.maxSafeInteger(), check(int64())));
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), check(bigint64())),
    );
    fc.assert(fc.property(fc.double(), check(double())));
  });

  test.each<[string, Serde<never>, readonly unknown[]]>([
    ['int16', int16() as Serde<never>, [0x8000, -0x8001, 0.5, NaN, '1', 1n, null]],
    ['int32', int32() as Serde<never>, [2 ** 31, -(2 ** 31) - 1, 0.5, Infinity, '1', undefined]],
    ['int64', int64() as Serde<never>, [2 ** 53, -(2 ** 53), 0.5, 1n]],
    ['bigint64', bigint64() as Serde<never>, [2n ** 63n, -(2n ** 63n) - 1n, 1]],
    ['double', double() as Serde<never>, ['1', null, 1n]],
  ])('[SERDE-4] %s refuses what is outside its range', (_, serde, values) => {
    for (const value of values) {
      expect(() => serde.serialize(value as never, Buffer.alloc(20), 0)).toThrow(RangeError);
    }
  });

  test('[SERDE-4] any other number of bytes is refused', () => {
    for (const serde of [int16(), int32(), int64(), bigint64(), double()] as Serde<unknown>[]) {
      const { length } = serializeToBytes(serde, serde.name === 'bigint64' ? 1n : 1);
      for (const wrong of [0, length - 1, length + 1]) {
        expect(() => deserializeBytes(serde, Buffer.alloc(wrong))).toThrow(RangeError);
      }
    }
  });

  test('[SERDE-4] int64 refuses to read what it cannot hold, and names bigint64', () => {
    for (const value of [2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n, -(2n ** 63n)]) {
      const written = serializeToBytes(bigint64(), value);
      expect(() => deserializeBytes(int64(), written)).toThrow(`${value} exceeds 2^53`);
    }
  });
});

describe('[SERDE-5] uuid() is the text of a UUID', () => {
  test('[SERDE-5] it comes back in lower case', () => {
    fc.assert(
      fc.property(fc.uuid(), (value) => {
        expect(roundTrip(uuid(), value.toUpperCase())).toBe(value);
        expect(serializeToBytes(uuid(), value).toString()).toBe(value);
      }),
    );
  });

  test('[SERDE-5] any other text is refused, written or read', () => {
    const good = '123e4567-e89b-12d3-a456-426614174000';
    for (const text of ['', good.slice(1), `${good}0`, good.replace('e', 'g')]) {
      expect(() => serializeToBytes(uuid(), text)).toThrow(TypeError);
      expect(() => deserializeBytes(uuid(), Buffer.from(text))).toThrow(TypeError);
    }
  });
});
