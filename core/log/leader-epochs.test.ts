import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SEED } from '../../test/kit/seed.ts';
import { topic } from '../client/topic.ts';
import type { Log } from '../client/log.ts';
import { openLog } from '../client/open-log.ts';
import { verifyLog } from '../check/verify.ts';
import { silentLogger } from '../logger.ts';
import { readBatchHeader } from '../record/batch.ts';
import { string } from '../serde/text.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import { replaceFile } from '../storage/atomic-file.ts';
import {
  decodeLeaderEpochs,
  encodeLeaderEpochs,
  epochAt,
  withinLog,
  type LeaderEpoch,
} from './leader-epochs.ts';

const epochsOf = (steps: readonly (readonly [number, number])[]): LeaderEpoch[] => {
  let [epoch, startOffset] = [-1, -1];
  return steps.map(([more, further]) => {
    epoch += more;
    startOffset += further;
    return { epoch, startOffset };
  });
};
const step = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 9 }));
const anyEpochs = fc.array(step, { minLength: 1, maxLength: 6 }).map(epochsOf);

test(`[KAFKA-6] epochs keep to the ends of the log, none goes back (seed ${SEED})`, () => {
  const property = fc.property(anyEpochs, fc.nat(60), fc.nat(60), (epochs, from, length) => {
    const [startOffset, nextOffset] = [from, from + length];
    const within = withinLog(epochs, startOffset, nextOffset);
    expect(decodeLeaderEpochs(encodeLeaderEpochs(within))).toEqual(within);
    expect(within.at(-1)?.epoch).toBe(epochs.at(-1)?.epoch);
    for (const each of within) expect(each.startOffset).toBeLessThanOrEqual(nextOffset);
    for (let offset = startOffset; offset < nextOffset; offset++) {
      expect(epochAt(within, offset)).toBe(epochAt(epochs, offset));
    }
    expect(withinLog(within, startOffset, nextOffset)).toEqual(within);
  });
  fc.assert(property, { seed: SEED, numRuns: 500 });
});

test('[KAFKA-6] a damaged file of epochs is rejected', () => {
  expect(decodeLeaderEpochs(Buffer.from(''))).toEqual([]); // as Kafka creates it
  for (const content of ['0\n1\n0 0', '1\n1\n0 0\n', '0\n2\n0 0\n', '0\n1\n0 -1\n', '0\n1\n0\n']) {
    expect(decodeLeaderEpochs(Buffer.from(content))).toBeUndefined();
  }
  for (const lines of ['1 0\n0 5', '0 5\n1 5', '0 5\n0 6']) {
    expect(decodeLeaderEpochs(Buffer.from(`0\n2\n${lines}\n`))).toBeUndefined();
  }
});

const letters = topic('letters', {
  key: string(),
  value: string(),
  partitions: 1,
  config: { segmentBytes: 1024 },
});
const TEXT = 'a letter '.repeat(20);
const FILE = '/data/letters-0/leader-epoch-checkpoint';

const open = (fileSystem: MemoryFileSystem): Promise<Log> =>
  openLog('/data', { fileSystem, logger: silentLogger });

/** Opens the log, sends some records, and closes it. */
async function send(disk: MemoryFileSystem, count: number): Promise<void> {
  const log = await open(disk);
  for (let at = 0; at < count; at++) await log.producer().send(letters, { value: TEXT });
  await log.close();
}

/** The first offset of each batch and its epoch. */
async function batchesOf(disk: MemoryFileSystem): Promise<[number, number][]> {
  const batches: [number, number][] = [];
  for (const { name } of await disk.list('/data/letters-0')) {
    if (!name.endsWith('.log')) continue;
    const bytes = await disk.readFile(`/data/letters-0/${name}`);
    for (let at = 0; at < bytes.length;) {
      const { baseOffset, leaderEpoch, sizeBytes } = readBatchHeader(bytes, at);
      batches.push([baseOffset, leaderEpoch]);
      at += sizeBytes;
    }
  }
  return batches.sort(([a], [b]) => a - b);
}

const write = (disk: MemoryFileSystem, lines: readonly string[]): Promise<void> =>
  replaceFile(disk, FILE, Buffer.from(['0', String(lines.length), ...lines, ''].join('\n')));
const read = async (disk: MemoryFileSystem): Promise<string> =>
  (await disk.readFile(FILE)).toString();
const problems = async (disk: MemoryFileSystem): Promise<number> =>
  (await verifyLog('/data', { fileSystem: disk })).problemCount;

test('[KAFKA-6] appends get the newest epoch, whatever was cut from the log', async () => {
  const disk = new MemoryFileSystem();
  await send(disk, 6);
  expect(await read(disk)).toBe('0\n1\n0 0\n');
  await write(disk, ['0 0', '2 6']);
  await send(disk, 6);
  await write(disk, ['0 0', '2 6', '5 99']); // its batches were lost
  await send(disk, 6);
  expect(await read(disk)).toBe('0\n3\n0 0\n2 6\n5 12\n');
  const epochs = Array.from({ length: 18 }, (_, at) => [at, at < 6 ? 0 : at < 12 ? 2 : 5]);
  expect(await batchesOf(disk)).toEqual(epochs);
  expect(await problems(disk)).toBe(0);

  const log = await open(disk);
  await log.admin().deleteRecords([{ topic: letters.name, partition: 0, offset: 8 }]);
  await log.close();
  expect(await problems(disk)).toBe(0);
  await send(disk, 1);
  expect(await read(disk)).toBe('0\n2\n2 8\n5 12\n');
  expect(await problems(disk)).toBe(0);
});

test('[KAFKA-6] a damaged or missing file of epochs is rebuilt from the batches', async () => {
  const disk = new MemoryFileSystem();
  await send(disk, 3);
  await write(disk, ['0 0', '4 3']);
  await send(disk, 3);
  await replaceFile(disk, FILE, Buffer.from('what'));
  await send(disk, 1);
  expect(await read(disk)).toBe('0\n2\n0 0\n4 3\n');
  await write(disk, ['4 5']); // as a killed Kafka leaves it after records were deleted
  await send(disk, 1);
  expect(await read(disk)).toBe('0\n2\n0 0\n4 3\n');
  await disk.remove(FILE);
  await send(disk, 1);
  expect((await batchesOf(disk)).slice(-3)).toEqual([
    [6, 4],
    [7, 4],
    [8, 4],
  ]);
  expect(await read(disk)).toBe('0\n2\n0 0\n4 3\n');
  expect(await problems(disk)).toBe(0);
});
