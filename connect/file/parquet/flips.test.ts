import { expect, test } from 'vitest';
import { ConnectError } from '../../errors.ts';
import { fileSystemOf, readTolerantly } from '../../../test/kit/connect.ts';
import { goldenBytes, goldenRows } from '../../../test/kit/parquet-golden.ts';
import { parquet } from '../parquet.ts';

/** Of the bits of each file, every so manieth is flipped; the soak flips all (1). */
const STRIDE = Number(process.env['PARQUET_FLIP_STRIDE'] ?? 23);
const FILES = ['tiny.plain', 'tiny.checksums', 'tiny-nested', 'tiny-delta'] as const;
/** Far more than any of these files can take. */
const DEADLINE_MS = 5000;

type Outcome = 'the same rows' | 'other rows' | 'bad rows' | 'INVALID_PARQUET';

/** Reads a damaged file; anything but rows or INVALID_PARQUET is a failure. */
async function outcomeOf(content: Buffer, expected: string): Promise<Outcome> {
  const file = 'damaged.parquet';
  try {
    const { rows, bad } = await readTolerantly(parquet(), file, fileSystemOf(content));
    for (const { error } of bad) checkFailure(error, content, ['INVALID_PARQUET', 'ROW_FAILED']);
    if (bad.length > 0) return 'bad rows';
    return textOf(rows) === expected ? 'the same rows' : 'other rows';
  } catch (error) {
    checkFailure(error, content, ['INVALID_PARQUET']);
    return 'INVALID_PARQUET';
  }
}

function checkFailure(error: unknown, content: Buffer, codes: readonly string[]): void {
  if (!(error instanceof ConnectError) || !codes.includes(error.code)) throw error;
  expect(error.details).toMatchObject({ file: 'damaged.parquet' });
  if (!ConnectError.is(error, 'INVALID_PARQUET')) return;
  const { positionBytes } = error.details;
  if (!(positionBytes >= 0 && positionBytes <= content.length)) throw error;
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'bigint' ? `${each}n` : each,
  );
}

test.each(FILES)(
  `[CONNECT-PARQUET-14] every bit flipped (1 of ${STRIDE}) ends in rows or INVALID_PARQUET: %s`,
  async (name) => {
    const good = goldenBytes(name);
    const expected = textOf(goldenRows(name));
    expect(await outcomeOf(good, expected)).toBe('the same rows');
    // The smallest one is always flipped whole.
    const stride = name === 'tiny.plain' ? Math.min(STRIDE, 1) : STRIDE;
    const counts = new Map<Outcome, number>();
    for (let bit = 0; bit < good.length * 8; bit += stride) {
      const content = Buffer.from(good);
      content[bit >> 3]! ^= 1 << (bit & 7);
      const start = performance.now();
      const outcome = await outcomeOf(content, expected);
      expect(performance.now() - start, `bit ${bit}`).toBeLessThan(DEADLINE_MS);
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    }
    expect(counts.get('INVALID_PARQUET')).toBeGreaterThan(0);
  },
  600_000,
);

test('[CONNECT-PARQUET-14] a flipped bit of a page with a checksum is noticed', async () => {
  const good = goldenBytes('tiny.checksums');
  const expected = textOf(goldenRows('tiny.checksums'));
  // The pages of this file hold `a` and `b` in a dictionary; all before it is a page, too.
  const dictionary = good.indexOf(Buffer.from([1, 0, 0, 0, 97, 1, 0, 0, 0, 98]));
  expect(dictionary).toBeGreaterThan(4);
  for (let bit = dictionary * 8; bit < (dictionary + 10) * 8; bit++) {
    const content = Buffer.from(good);
    content[bit >> 3]! ^= 1 << (bit & 7);
    expect(await outcomeOf(content, expected)).toBe('INVALID_PARQUET');
  }
});

test.each(FILES)('[CONNECT-PARQUET-14] cut at any byte: INVALID_PARQUET: %s', async (name) => {
  const good = goldenBytes(name);
  for (let length = 0; length < good.length; length++) {
    expect(await outcomeOf(good.subarray(0, length), '')).toBe('INVALID_PARQUET');
  }
});

test('[CONNECT-PARQUET-14] any wrong size of the metadata is INVALID_PARQUET', async () => {
  const good = goldenBytes('tiny.plain');
  const right = good.readUInt32LE(good.length - 8);
  const wrong = [
    0,
    1,
    right - 1,
    right + 1,
    good.length - 12,
    good.length - 11,
    2 ** 31,
    2 ** 32 - 1,
  ];
  for (const size of [...wrong, ...Array.from({ length: good.length }, (_, each) => each)]) {
    if (size === right) continue;
    const content = Buffer.from(good);
    content.writeUInt32LE(size, content.length - 8);
    expect(await outcomeOf(content, '')).toBe('INVALID_PARQUET');
  }
});

test('[CONNECT-PARQUET-14] sound metadata over random pages', async () => {
  const good = goldenBytes('nested.v2');
  const footerAt = good.length - 8 - good.readUInt32LE(good.length - 8);
  let state = 1;
  const next = (): number => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 16;
  for (let round = 0; round < 300; round++) {
    const content = Buffer.from(good);
    const start = 4 + (next() % (footerAt - 4));
    const end = Math.min(footerAt, start + 1 + (next() % 64));
    for (let at = start; at < end; at++) content[at] = next();
    await outcomeOf(content, '');
  }
});
