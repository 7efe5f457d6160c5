import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { msgpack } from './msgpack.ts';
import { roundTrip } from './serdes.suite.ts';
import { deserializeBytes, serializeToBytes, type Serde } from './serde.ts';

const hex = <T>(serde: Serde<T>, value: T) => serializeToBytes(serde, value).toString('hex');

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
