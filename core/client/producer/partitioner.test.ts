import { expect, test } from 'vitest';
import { murmur2, partitionOfKey } from './partitioner.ts';

// The vectors of Kafka's UtilsTest.testMurmur2.
test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('[PRODUCER-8] murmur2 of %s is %i, wherever it stands', (text, expected) => {
  const bytes = Buffer.from(text);
  expect(murmur2(bytes, 0, bytes.length)).toBe(expected);
  const inside = Buffer.concat([Buffer.from('before'), bytes, Buffer.from('after')]);
  expect(murmur2(inside, 6, 6 + bytes.length)).toBe(expected);
  const partition = partitionOfKey(bytes, 0, bytes.length, 7);
  expect(partition).toBe((expected & 0x7fffffff) % 7);
});
