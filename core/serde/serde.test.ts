import { expect, test } from 'vitest';
import { roundTrip } from './serdes.suite.ts';
import { asBuffer, customSerde, serializeToBytes } from './serde.ts';
import { string } from './text.ts';

test('[SERDE-7] customSerde makes a serde of two functions', () => {
  const reversed = customSerde<string>({
    name: 'reversed',
    serialize: (value) => Uint8Array.from(Buffer.from(value)).reverse(),
    deserialize: (bytes) => Buffer.from(Uint8Array.from(bytes).reverse()).toString(),
  });
  expect(reversed.name).toBe('reversed');
  expect(roundTrip(reversed, 'abc')).toBe('abc');
  expect(serializeToBytes(reversed, 'abc').toString()).toBe('cba');
  expect(roundTrip(reversed, '')).toBe('');
});

test('[SERDE-7] serializeToBytes takes values of any size, each in memory of its own', () => {
  const lengths = [0, 1, 4095, 4096, 4097, 20_000, 300_000];
  const all = lengths.map((length) => serializeToBytes(string(), 'x'.repeat(length)));
  expect(all.map(({ length }) => length)).toEqual(lengths);
  expect(all.every((bytes) => bytes.every((byte) => byte === 'x'.charCodeAt(0)))).toBe(true);
});

test('[SERDE-7] asBuffer is the same memory', () => {
  const memory = new Uint8Array([0, 1, 2, 3, 4]);
  const view = asBuffer(memory.subarray(1, 4));
  memory[2] = 9;
  expect([...view]).toEqual([1, 9, 3]);
  expect(asBuffer(view)).toBe(view);
});
