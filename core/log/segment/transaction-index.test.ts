import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodeAbortedTransactions,
  encodeAbortedTransactions,
  type AbortedTransaction,
} from './transaction-index.ts';

const entries: fc.Arbitrary<AbortedTransaction[]> = fc
  .array(fc.tuple(fc.maxSafeNat(), fc.nat(1000), fc.nat(1000), fc.nat(1000)), { maxLength: 20 })
  .map((steps) => {
    let lastOffset = 0;
    return steps.map(([producerId, step, length, ahead]) => {
      lastOffset += step + 1;
      const firstOffset = Math.max(0, lastOffset - length);
      const lastStableOffset = Math.min(firstOffset + ahead, lastOffset + 1);
      return { producerId, firstOffset, lastOffset, lastStableOffset };
    });
  });

test('[LOG-INDEX-5] an aborted transaction has exactly these bytes', () => {
  const entry = { producerId: 7, firstOffset: 5, lastOffset: 9, lastStableOffset: 10 };
  expect(encodeAbortedTransactions([entry]).toString('hex')).toBe(
    ['0000', '0000000000000007', '0000000000000005', '0000000000000009', '000000000000000a'].join(
      '',
    ),
  );
});

test('[LOG-INDEX-5] written entries are read back', () => {
  fc.assert(
    fc.property(entries, (written) => {
      expect(decodeAbortedTransactions(encodeAbortedTransactions(written))).toEqual(written);
    }),
  );
});

test('[LOG-INDEX-5] a file that is cut inside an entry, or of another version, is rejected', () => {
  fc.assert(
    fc.property(entries, fc.nat(), (written, cut) => {
      const bytes = encodeAbortedTransactions(written);
      const size = cut % (bytes.length + 1);
      const read = decodeAbortedTransactions(bytes.subarray(0, size));
      if (size % 34 === 0) expect(read).toEqual(written.slice(0, size / 34));
      else expect(read).toBeUndefined();
      if (written.length === 0) return;
      bytes[(cut % written.length) * 34 + 1] = 1;
      expect(decodeAbortedTransactions(bytes)).toBeUndefined();
    }),
  );
});

test('[LOG-INDEX-5] entries that do not rise, or end before they begin, are rejected', () => {
  const [one, two] = [
    { producerId: 1, firstOffset: 0, lastOffset: 5, lastStableOffset: 6 },
    { producerId: 1, firstOffset: 6, lastOffset: 9, lastStableOffset: 10 },
  ];
  const decoded = (list: AbortedTransaction[]) =>
    decodeAbortedTransactions(encodeAbortedTransactions(list));
  expect(decoded([two, one])).toBeUndefined();
  expect(decoded([one, one])).toBeUndefined();
  expect(decoded([{ ...one, firstOffset: 6 }])).toBeUndefined();
  expect(decoded([{ ...one, lastStableOffset: 7 }])).toBeUndefined();
  expect(decodeAbortedTransactions(Buffer.alloc(68))).toBeUndefined(); // zeros of a preallocation
});
