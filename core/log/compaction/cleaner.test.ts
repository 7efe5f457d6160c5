import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SEED } from '../../../test/kit/seed.ts';
import { batchSizeBytes, placeBatch, readBatchHeader } from '../../record/batch.ts';
import { batchOf, TEST_PLACE } from '../../record/records.suite.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { BatchCleaner } from './batch-cleaner.ts';
import { CleanedTransactions } from './cleaned-transactions.ts';
import { groupSegments, sizeOf, writeCleaned } from './cleaner.ts';
import { LOG_CONFIG_DEFAULTS } from '../log-config.ts';
import { OffsetMap } from './offset-map.ts';
import { Segment } from '../segment/segment.ts';

const INT32_MAX = 0x7fff_ffff;
const disk = new MemoryFileSystem();

/** Segments with these sizes and numbers of offsets, and these gaps before them. */
const anySegments = fc
  .array(
    fc.record({
      bytes: fc.oneof(fc.nat(1000), fc.integer({ min: INT32_MAX - 2000, max: INT32_MAX })),
      span: fc.oneof(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 2 ** 31 - 9, max: 2 ** 31 }),
      ),
      gap: fc.oneof(fc.nat(9), fc.integer({ min: 2 ** 31 - 9, max: 2 ** 33 })),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map((sizes) => {
    let nextOffset = 0;
    return sizes.map(({ bytes, span, gap }) => {
      const segment = new Segment(disk, '/data', nextOffset + gap);
      nextOffset = segment.baseOffset + Math.min(span, INT32_MAX);
      segment.resume(bytes, nextOffset);
      return segment;
    });
  });

test(`[COMPACTION-15] no group is larger than a segment can be (seed ${SEED})`, () => {
  const fits = (group: readonly Segment[], segmentBytes: number): boolean =>
    sizeOf(group) <= segmentBytes &&
    group.at(-1)!.nextOffset - 1 - group[0]!.baseOffset <= INT32_MAX;
  const property = fc.property(anySegments, (segments) => {
    for (const segmentBytes of [1024, INT32_MAX]) {
      const groups = groupSegments(segments, { ...LOG_CONFIG_DEFAULTS, segmentBytes });
      expect(groups.flat()).toEqual(segments);
      for (const [index, group] of groups.entries()) {
        if (group.length > 1) expect(fits(group, segmentBytes)).toBe(true);
        const next = groups[index + 1]?.[0];
        const span = (next?.nextOffset ?? 0) - group[0]!.baseOffset;
        // None is smaller than necessary; a span of exactly 2^31 may be left out.
        if (next !== undefined && span <= INT32_MAX) {
          expect(fits([...group, next], segmentBytes)).toBe(false);
        }
      }
    }
  });
  fc.assert(property, { seed: SEED, numRuns: 500 });
});

/** Cleans a segment of tombstones, which get a date. Returns it before and after. */
async function clean(sizeBytesMax: (sourceBytes: number) => number): Promise<[Buffer, Buffer]> {
  const fileSystem = new MemoryFileSystem();
  await fileSystem.makeDirectory('/data');
  const source = new Segment(fileSystem, '/data', 0);
  const batches: Buffer[] = [];
  for (let at = 0; at < 9; at++) {
    const batch = batchOf([{ key: `k${at}`, value: null, timestampMs: 1_700_000_000_000 }]);
    placeBatch(batch, 0, { baseOffset: at, leaderEpoch: 0 });
    source.admit(readBatchHeader(batch, 0), 100);
    batches.push(batch);
  }
  await (await source.file()).write(batches, 0);
  source.noteWritten();
  const map = new OffsetMap(1000);
  map.latestOffset = 8;
  const cleaner = new BatchCleaner({
    place: TEST_PLACE,
    config: LOG_CONFIG_DEFAULTS,
    nowMs: 1_800_000_000_000,
    map,
    transactions: new CleanedTransactions([]),
    producers: new Map(),
  });
  const cleaned = await writeCleaned([source], cleaner, {
    fileSystem,
    place: TEST_PLACE,
    config: LOG_CONFIG_DEFAULTS,
    checkMayContinue: () => undefined,
    sizeBytesMax: sizeBytesMax(source.writtenBytes),
  });
  expect(cleaned.nextOffset).toBe(9);
  return [Buffer.concat(batches), await fileSystem.readFile(`${cleaned.logPath}.cleaned`)];
}

test('[COMPACTION-15] batches do not grow beyond the largest segment', async () => {
  const [before, grown] = await clean((sourceBytes) => 2 * sourceBytes);
  expect(grown.length).toBeGreaterThan(before.length);
  const [, same] = await clean((sourceBytes) => sourceBytes);
  expect(same.equals(before)).toBe(true);
  const growth = (grown.length - before.length) / 9;
  const [, partly] = await clean((sourceBytes) => sourceBytes + 2 * growth + 1);
  expect(partly.length).toBe(before.length + 2 * growth);
  const second = batchSizeBytes(grown, 0);
  expect(partly.subarray(0, 2 * second).equals(grown.subarray(0, 2 * second))).toBe(true);
});
