import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readInt64, writeInt64 } from './int64.ts';

const EDGES = [0, 1, -1, 0x7fff_ffff, 0x8000_0000, -0x8000_0000, -0x8000_0001, 0xffff_ffff]
  .concat([0x1_0000_0000, -0x1_0000_0000, -0x1_0000_0001, 2 ** 52, -(2 ** 52)])
  .concat([Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]);

test('[RECORD-1] 64-bit integers are big-endian, and exact up to the last safe integer', () => {
  const check = (value: number) => {
    const [ours, theirs] = [Buffer.alloc(12), Buffer.alloc(12)];
    writeInt64(ours, 2, value);
    theirs.writeBigInt64BE(BigInt(value), 2);
    expect(ours.equals(theirs)).toBe(true);
    expect(readInt64(ours, 2)).toBe(value);
  };
  EDGES.forEach(check);
  fc.assert(fc.property(fc.maxSafeInteger(), check));
});
