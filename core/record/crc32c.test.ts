import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32c, crc32cOfLoop } from './crc32c.ts';

/** Vectors of RFC 3720, B.4, and the usual check value. */
const VECTORS: readonly [string, Buffer, number][] = [
  ['"123456789"', Buffer.from('123456789'), 0xe3069283],
  ['nothing', Buffer.alloc(0), 0],
  ['32 zeros', Buffer.alloc(32), 0x8a9136aa],
  ['32 bytes of ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
  ['0 to 31', Buffer.from(Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e],
  ['31 to 0', Buffer.from(Array.from({ length: 32 }, (_, index) => 31 - index)), 0x113fdb5c],
];

test.each(VECTORS)('[RECORD-2] the checksum of %s is the published one', (_, bytes, checksum) => {
  expect(crc32c(bytes, 0, bytes.length)).toBe(checksum);
  expect(crc32cOfLoop(bytes, 0, bytes.length)).toBe(checksum);
});

test('[RECORD-2] the loop and the native checksum agree on every range', () => {
  const range = fc
    .uint8Array({ minLength: 0, maxLength: 2000, size: 'max' })
    .chain((bytes) => fc.tuple(fc.constant(bytes), fc.nat(bytes.length), fc.nat(bytes.length)));
  fc.assert(
    fc.property(range, ([bytes, one, other]) => {
      const [start, end] = [Math.min(one, other), Math.max(one, other)];
      // Whatever the length, `crc32c` of a longer input goes through the native package.
      const padded = Buffer.concat([bytes, Buffer.alloc(300)]);
      expect(crc32c(padded, start, end)).toBe(crc32cOfLoop(padded, start, end));
      expect(crc32c(padded, start, end + 300)).toBe(crc32cOfLoop(padded, start, end + 300));
    }),
  );
});
