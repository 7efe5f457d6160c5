import { expect, test } from 'vitest';
import { batchLastOffset, batchSizeBytes, BATCH_OVERHEAD } from '../../record/batch.ts';
import { batchOf } from '../../record/records.suite.ts';
import { walkBatches } from './batch-walk.ts';

/** Consecutive batches of different sizes. */
const FILE = Buffer.concat(
  [1, 90, 7, 300, 2].map((length) => batchOf([{ value: 'v'.repeat(length) }])),
);

/** The starts of a walk's batches, and the fault that ended it. */
async function walk(file: Buffer, chunkBytes: number, isHeadersOnly: boolean) {
  const read = (position: number, count: number) =>
    Promise.resolve(file.subarray(position, position + count));
  const starts: number[] = [];
  let fault: string | undefined;
  const options = { read, from: 0, to: file.length, chunkBytes, isHeadersOnly };
  for await (const run of walkBatches(options)) {
    for (let at = 0; at < run.bytes.length; at += batchSizeBytes(run.bytes, at)) {
      starts.push(run.position + at);
      expect(batchLastOffset(run.bytes, at)).toBe(batchLastOffset(file, run.position + at));
    }
    fault = run.fault;
  }
  return { starts, fault };
}

const STARTS: number[] = [];
for (let at = 0; at < FILE.length; at += batchSizeBytes(FILE, at)) STARTS.push(at);

test.each([false, true])(
  '[LOG-4] a walk finds every batch, whatever the size of its reads; headers only: %j',
  async (isHeadersOnly) => {
    for (let chunkBytes = 1; chunkBytes <= FILE.length + 1; chunkBytes++) {
      expect(await walk(FILE, chunkBytes, isHeadersOnly)).toEqual({
        starts: STARTS,
        fault: undefined,
      });
    }
  },
);

test('[LOG-15] a walk ends right before the first unsound batch', async () => {
  for (const [index, start] of STARTS.entries()) {
    const damaged = Buffer.from(FILE);
    damaged[start + BATCH_OVERHEAD]! ^= 1;
    for (const chunkBytes of [1, 61, 100, 1000]) {
      const fault = 'checksum mismatch';
      const starts = STARTS.slice(0, index);
      expect(await walk(damaged, chunkBytes, false)).toEqual({ starts, fault });
    }
  }
});

test('[LOG-13] a walk reports a file that ends within a batch, wherever it was cut', async () => {
  for (let length = 1; length < FILE.length; length++) {
    if (STARTS.includes(length)) continue;
    const whole = STARTS.filter((start) => start + batchSizeBytes(FILE, start) <= length);
    const isHeaderCut = length - STARTS.findLast((start) => start < length)! < BATCH_OVERHEAD;
    for (const chunkBytes of [1, 61, 1000]) {
      const { starts, fault } = await walk(FILE.subarray(0, length), chunkBytes, false);
      const expected = isHeaderCut ? 'header cut short' : 'batch cut short';
      expect({ length, starts, fault }).toEqual({ length, starts: whole, fault: expected });
    }
  }
});
