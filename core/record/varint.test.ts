import fc from 'fast-check';
import { expect, test } from 'vitest';
import { varintSize, writeVarint, writeVarlong } from './varint.ts';

const INT32_EDGES = [
  0, 1, -1, 63, 64, -64, -65, 8191, 8192, -8192, -8193, 1_048_575, 1_048_576,
].concat(
  [-1_048_576, -1_048_577, 134_217_727, 134_217_728, -134_217_728, -134_217_729],
  [0x3fff_ffff, 0x4000_0000, -0x4000_0000, -0x4000_0001, 0x7fff_ffff, -0x8000_0000],
);
const INT53_EDGES = [
  2 ** 31,
  2 ** 32,
  2 ** 34,
  2 ** 35,
  2 ** 41,
  2 ** 48,
  2 ** 51,
  2 ** 52,
  2 ** 53,
]
  .flatMap((power) => [power - 1, power, power + 1, 1 - power, -power, -1 - power])
  .filter(Number.isSafeInteger)
  .concat(INT32_EDGES);

/** The same in BigInt, after the definition: zigzag, then seven bits a byte. */
function reference(value: number): number[] {
  const wide = BigInt(value);
  let zigzag = BigInt.asUintN(64, (wide << 1n) ^ (wide >> 63n));
  const bytes: number[] = [];
  for (; zigzag > 0x7fn; zigzag >>= 7n) bytes.push(Number(zigzag & 0x7fn) | 0x80);
  bytes.push(Number(zigzag));
  return bytes;
}

function written(
  write: (target: Uint8Array, position: number, value: number) => number,
  value: number,
): number[] {
  const target = new Uint8Array(24).fill(0xee);
  const end = write(target, 3, value);
  expect([...target.subarray(0, 3), ...target.subarray(end)]).toEqual(Array(27 - end).fill(0xee));
  return [...target.subarray(3, end)];
}

test('[RECORD-1] varints of 32 bits are zigzag, seven bits a byte', () => {
  const check = (value: number) => {
    expect(written(writeVarint, value)).toEqual(reference(value));
    expect(varintSize(value)).toBe(reference(value).length);
  };
  INT32_EDGES.forEach(check);
  fc.assert(fc.property(fc.integer(), check));
});

test('[RECORD-1] varlongs are the same up to the last safe integer', () => {
  const check = (value: number) => {
    expect(written(writeVarlong, value)).toEqual(reference(value));
  };
  INT53_EDGES.forEach(check);
  fc.assert(fc.property(fc.maxSafeInteger(), check));
});
