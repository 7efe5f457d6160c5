import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bigint64, bytes, double, int16, int32, int64, msgpack, uuid } from './binary.ts';
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

/** MessagePack has no -0 among its integers; everything else must be as it was. */
function withoutNegativeZero(value: unknown): unknown {
  if (value === 0) return 0;
  if (Array.isArray(value)) return value.map(withoutNegativeZero);
  if (value instanceof Map) {
    return new Map(
      [...value].map(([key, each]) => [key, each].map(withoutNegativeZero) as [unknown, unknown]),
    );
  }
  if (value instanceof Set) return new Set([...value].map(withoutNegativeZero));
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, withoutNegativeZero(each)]),
  );
}

describe('[SERDE-6] msgpack() keeps what JavaScript has', () => {
  test('[SERDE-6] plain values come back as they were', () => {
    const value = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: false,
      maxDepth: 3,
      key: fc.string().filter((key) => key !== '__proto__'),
    });
    fc.assert(
      fc.property(value, (original) => {
        const read = roundTrip(msgpack<unknown>(), original);
        expect(withoutNegativeZero(read)).toEqual(withoutNegativeZero(original));
      }),
    );
  });

  test('[SERDE-6] typed arrays, undefined and cycles come back too', () => {
    const cycle: Record<string, unknown> = { name: 'self', none: undefined };
    cycle['self'] = cycle;
    const read = roundTrip(msgpack<Record<string, unknown>>(), cycle);
    expect(read['self']).toBe(read);
    expect('none' in read).toBe(true);
    const numbers = { wide: new Float64Array([1, 2.5]), bytes: new Uint8Array([1, 2]) };
    expect(roundTrip(msgpack<typeof numbers>(), numbers)).toMatchObject({
      wide: new Float64Array([1, 2.5]),
    });
  });

  test.each([new Uint8Array([1, 2, 3]), Buffer.from([1, 2, 3])])(
    '[SERDE-6] %s in a value is a copy of what was read',
    (bytes) => {
      const source = serializeToBytes(msgpack<unknown>(), { bytes });
      const read = deserializeBytes(msgpack<{ bytes: Uint8Array }>(), source);
      source.fill(9);
      expect([...read.bytes]).toEqual([1, 2, 3]);
    },
  );

  test('[SERDE-6] plain values are MessagePack that anybody reads', () => {
    expect(hex(msgpack<unknown>(), { a: 1, b: ['x', null, true] })).toBe(
      'de0002a16101a16293a178c0c3',
    );
    const shared = [1];
    expect(roundTrip(msgpack<unknown>(), { one: shared, two: shared })).toEqual({
      one: [1],
      two: [1],
    });
  });

  test('[SERDE-6] a Map is a Map however deep it stands', () => {
    let value: unknown = new Map([[{ k: 1 }, new Map([['inner', 1n]])]]);
    for (let depth = 0; depth < 200; depth++) value = depth % 2 === 0 ? [value] : { value };
    expect(roundTrip(msgpack<unknown>(), value)).toEqual(value);
    expect(roundTrip(msgpack<unknown>(), new Set([new Map()]))).toEqual(new Set([new Map()]));
  });

  test('[SERDE-6] bytes that are no MessagePack are refused', () => {
    for (const bytes of [[], [0xdc], [0x92, 1], [1, 2]]) {
      expect(() => deserializeBytes(msgpack(), Buffer.from(bytes))).toThrow(Error);
    }
  });
});
