import { describe, expect, expectTypeOf, test } from 'vitest';
import { LogError } from '../errors.ts';
import { bytes, double, int32 } from './binary.ts';
import { msgpack } from './msgpack.ts';
import { customSerde, deserializeBytes, serializeToBytes, type Serde } from './serde.ts';
import { roundTrip } from './serdes.suite.ts';
import { json, string } from './text.ts';
import { validated } from './validated.ts';
import { versioned } from './versioned.ts';

interface Old {
  readonly cents: number;
}
interface Order extends Old {
  readonly currency: string;
}

const bare = json<Old>();
const one = versioned(0, bare).upgrade(1, json<Order>(), (old) => ({ ...old, currency: 'EUR' }));
const two = one.upgrade(2, msgpack<Order & { readonly tags: string[] }>(), (old) => {
  return { ...old, tags: [] };
});

describe('[EVO-1] versioned() reads the values of older versions', () => {
  test('[EVO-1] a value is written after C1 4D 56 and its version', () => {
    const order = { cents: 5, currency: 'CHF' };
    const written = serializeToBytes(one, order);
    expect(written.subarray(0, 4).toString('hex')).toBe('c14d5601');
    expect(written.toString('latin1', 4)).toBe(JSON.stringify(order));
    expect(roundTrip(one, order)).toEqual(order);
    expect(serializeToBytes(two, { ...order, tags: ['a'] })[3]).toBe(2);
    expect(roundTrip(two, { ...order, tags: ['a'] })).toEqual({ ...order, tags: ['a'] });
  });

  test('[EVO-1] it is read by the serde of its version, then upgraded step by step', () => {
    expect(deserializeBytes(one, serializeToBytes(bare, { cents: 7 }))).toEqual({
      ...{ cents: 7, currency: 'EUR' },
    });
    expect(deserializeBytes(two, serializeToBytes(bare, { cents: 7 }))).toEqual({
      ...{ cents: 7, currency: 'EUR', tags: [] },
    });
    const written = serializeToBytes(one, { cents: 8, currency: 'CHF' });
    expect(deserializeBytes(two, written)).toEqual({ cents: 8, currency: 'CHF', tags: [] });
  });

  test('[EVO-1] version 0 alone writes and reads what its serde does', () => {
    const zero = versioned(0, bare);
    expect(serializeToBytes(zero, { cents: 1 })).toEqual(serializeToBytes(bare, { cents: 1 }));
    expect(roundTrip(zero, { cents: 1 })).toEqual({ cents: 1 });
    const empty = versioned(0, string()).upgrade(1, string(), (old) => `${old}!`);
    expect(deserializeBytes(empty, Buffer.alloc(0))).toBe('!');
    expect(deserializeBytes(empty, serializeToBytes(empty, ''))).toBe('');
  });

  test('[EVO-1] numbers may have gaps', () => {
    const five = versioned(3, string()).upgrade(5, string(), (old) => old.toUpperCase());
    const old = serializeToBytes(versioned(3, string()), 'a');
    expect(deserializeBytes(five, old)).toBe('A');
  });

  test('[EVO-1] its name and those of what it reads tell which bytes fit', () => {
    expect([one.name, one.reads]).toEqual(['versioned(1, json)', ['json']]);
    expect(two.name).toBe('versioned(2, msgpack)');
    expect(two.reads).toEqual(['json', 'versioned(1, json)']);
    const inner = validated({ '~standard': standard }, two);
    expect(inner.name).toBe('validated(versioned(2, msgpack))');
    expect(inner.reads).toEqual(['validated(json)', 'validated(versioned(1, json))']);
    const renamed = customSerde({
      ...{ name: 'avro-2', reads: ['avro'] },
      ...{ serialize: () => Buffer.alloc(0), deserialize: () => 0 },
    });
    expect(versioned(0, renamed).upgrade(1, string(), String).reads).toEqual(['avro-2', 'avro']);
  });

  test('[EVO-1] types follow the versions', () => {
    expectTypeOf(two).toExtend<Serde<Order & { readonly tags: string[] }>>();
    // @ts-expect-error an upgrade makes the next version
    versioned(1, string()).upgrade(2, json<Order>(), (old: string) => old);
    // @ts-expect-error of a value of the one before
    versioned(1, string()).upgrade(2, json<number>(), (old: number) => old);
  });
});

/** Accepts everything. */
const standard = {
  version: 1,
  vendor: 'test',
  validate: (value: unknown) => ({ value }),
} as const;

describe('[EVO-2] what no declared version wrote is refused', () => {
  test('[EVO-2] a version of the future, one that was left out, and none', () => {
    const failure = (read: () => unknown): LogError => {
      try {
        read();
      } catch (error) {
        if (LogError.is(error, 'UNKNOWN_VALUE_VERSION')) return error;
        throw error;
      }
      throw new TypeError('it was read');
    };
    const newer = serializeToBytes(two, { cents: 1, currency: 'CHF', tags: [] });
    const future = failure(() => deserializeBytes(one, newer));
    expect(future.details).toEqual({ serde: 'versioned(1, json)', version: 2, newest: 1 });
    expect(future.message).toBe(
      'versioned(1, json) reads a value of version 2, and the newest that it knows is 1; a newer ' +
        'program wrote it: run that one',
    );
    const without = versioned(2, msgpack());
    const written = serializeToBytes(one, { cents: 1, currency: 'CHF' });
    expect(failure(() => deserializeBytes(without, written)).message).toContain(
      'declare version 1',
    );
    expect(failure(() => deserializeBytes(without, Buffer.from('{}'))).message).toBe(
      'versioned(2, msgpack) reads a value without a version; declare the serde that wrote it as ' +
        'version 0',
    );
  });

  test('[EVO-2] an upgrade that returns nothing, or a promise', () => {
    const old = serializeToBytes(versioned(1, string()), 'a');
    for (const [result, what] of [
      [undefined, 'undefined'],
      [null, 'null'],
      [Promise.resolve('b'), 'a promise'],
    ] as const) {
      const next = versioned(1, string()).upgrade(2, json<unknown>(), () => result);
      expect(() => deserializeBytes(next, old)).toThrow(
        `the upgrade of versioned(2, json) to version 2 returned ${what}, not a value`,
      );
    }
  });

  test('[EVO-2] versions that are none, do not grow, or could not be told apart', () => {
    for (const version of [-1, 255, 1.5, '1' as unknown as number]) {
      expect(() => versioned(version, string())).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION' }),
      );
    }
    const third = versioned(3, string());
    expect(() => third.upgrade(3, string(), String)).toThrow(
      'version must be an integer, 4 to 254',
    );
    const any = { version: 1, vendor: 'any', validate: (value: unknown) => ({ value }) } as const;
    const checked = validated({ '~standard': any }, validated({ '~standard': any }, bytes()));
    for (const serde of [bytes(), double(), int32(), checked]) {
      expect(() => versioned<unknown>(0, serde as never)).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION' }),
      );
    }
    expect(() => versioned(1, {} as never)).toThrow('serde must be a serde');
    expect(() => third.upgrade(4, string(), 5 as never)).toThrow('upgrade must be a function');
  });
});
