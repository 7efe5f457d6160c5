import { expect, test } from 'vitest';
import { readTopic } from '../../test/kit/read-topic.ts';
import type { Log } from '../client/log.ts';
import { openLog } from '../client/open-log.ts';
import { topic } from '../client/topic.ts';
import { silentLogger } from '../logger.ts';
import { batchSizeBytes } from '../record/batch.ts';
import { string } from '../serde/text.ts';
import { seededRandom } from '../random.ts';
import { replaceFile } from '../storage/atomic-file.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import { changesNothing } from '../storage/memory-operations.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { repairLog } from './repair.ts';
import { DIRECTORY, filesBelow, openSample, overwrite, sampleLog } from './sample-log.suite.ts';
import { verifyLog } from './verify.ts';

const table = topic('table', {
  key: string(),
  value: string(),
  partitions: 1,
  config: { cleanupPolicy: 'compact', segmentBytes: 1024, minCleanableDirtyRatio: 0.01 },
});
const PARTITION = '/data/table-0';
const CLEANED = '/data/cleaner-offset-checkpoint';
type Moment = readonly [operation: string, disk: MemoryFileSystem];

const open = (fileSystem: MemoryFileSystem, clock = new ManualClock()): Promise<Log> =>
  openLog('/data', { fileSystem, clock, logger: silentLogger });

/** Compacts a topic of two keys. Returns the disk after each change, and at the end. */
async function compact(): Promise<{ moments: Moment[]; whole: MemoryFileSystem }> {
  const [disk, clock] = [new MemoryFileSystem(), new ManualClock()];
  const log = await open(disk, clock);
  for (let at = 0; at < 24; at++) {
    await log.producer().send(table, { key: `k${at % 2}`, value: `value ${at} `.repeat(9) });
  }
  const moments: Moment[] = [];
  disk.onOperation = ({ kind, path, number }) => {
    if (changesNothing(kind)) return;
    const now = disk.kill(seededRandom(number));
    const isSwap = path.endsWith('.swap') || path.endsWith('.cleaned');
    if (isSwap || moments.length > 0) moments.push([`${kind} ${path}`, now]);
  };
  for (let turns = 0; turns < 12; turns++) {
    clock.advance(5000);
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  disk.onOperation = undefined;
  await log.close();
  return { moments, whole: disk.kill() };
}

/** The newest value of each key. */
async function tableOf(disk: MemoryFileSystem): Promise<Map<string | null, string | null>> {
  const log = await open(disk);
  const records = await readTopic(log, table);
  await log.close();
  return new Map(records.map(({ key, value }) => [key, value]));
}

test('[VERIFY-10] verify sees an interrupted compaction as the next opening will', async () => {
  const { moments, whole } = await compact();
  const expected = await tableOf(whole.kill());
  expect(expected.size).toBe(2);
  const notes = new Set<string>();
  for (const [operation, disk] of moments) {
    const found = await verifyLog('/data', { fileSystem: disk });
    const all = [...found.problems, ...found.partitions.flatMap(({ problems }) => problems)];
    const problems = all.filter(({ severity }) => severity === 'problem');
    expect({ operation, problems }).toEqual({ operation, problems: [] });
    for (const { what } of all) notes.add(what.replace(/ \d+/, ''));
    const records = found.partitions.find((each) => each.topic === table.name)?.records;
    const opened = disk.kill();
    expect(await tableOf(opened)).toEqual(expected);
    const after = await verifyLog(PARTITION, { fileSystem: opened });
    expect({ operation, records }).toEqual({ operation, records: after.partitions[0]?.records });
  }
  expect([...notes].sort()).toEqual([
    'it and more are of segments that were removed',
    'it and more are what a compaction was writing',
    'it is of segments that were removed',
    'it is what a compaction has made of this segment and those behind it',
    'it is what a compaction was writing',
  ]);
}, 60_000);

/** The moments at which a compacted segment existed but had not replaced the old ones. */
async function swapsAmong(moments: readonly Moment[]): Promise<Moment[]> {
  const swaps: Moment[] = [];
  for (const [operation, disk] of moments) {
    const names = (await disk.list(PARTITION)).map(({ name }) => name);
    if (names.some((name) => name.endsWith('.log.swap'))) swaps.push([operation, disk]);
  }
  return swaps;
}

test('[VERIFY-6] [VERIFY-10] a repair finishes an interrupted compaction', async () => {
  const { moments, whole } = await compact();
  const expected = await tableOf(whole.kill());
  const swaps = await swapsAmong(moments);
  expect(swaps.length).toBeGreaterThan(9);
  for (const [operation, disk] of swaps) {
    // Also damage its first record and its end.
    const path = (await disk.list(PARTITION)).find(({ name }) => name.endsWith('.log.swap'));
    const file = `${PARTITION}/${path!.name}`;
    const { length } = await disk.readFile(file);
    for (const at of [70, length - 40, length - 55]) {
      const damaged = disk.kill();
      await overwrite(damaged, file, Buffer.from([0xee]), at);
      let asked = 0;
      const confirm = () => ++asked > 0;
      const { isDone, problems } = await repairLog('/data', { fileSystem: damaged, confirm });
      const kept = problems.filter(({ severity }) => severity === 'problem');
      expect({ operation, at, isDone, kept, asked }).toEqual({
        operation,
        at,
        isDone: true,
        kept: [],
        asked: 1,
      });
      for (const [key, value] of await tableOf(damaged)) {
        if (at > 70) expect(value).toBe(expected.get(key));
      }
    }
  }
}, 60_000);

test('[COMPACTION-8] [VERIFY-10] impossible offsets remove no segment', async () => {
  const { moments, whole } = await compact();
  const expected = await tableOf(whole.kill());
  const [, swapping] = (await swapsAmong(moments))[0]!;
  const file = `${PARTITION}/00000000000000000000.log.swap`;
  const bytes = await swapping.readFile(file);
  let last = 0;
  while (last + batchSizeBytes(bytes, last) < bytes.length) last += batchSizeBytes(bytes, last);
  await overwrite(swapping, file, Buffer.from([1]), last + 5); // of its base offset
  const before = await filesBelow(swapping, PARTITION);
  await expect(open(swapping)).rejects.toMatchObject({ code: 'CORRUPT_BATCH' });
  expect(await filesBelow(swapping, PARTITION)).toEqual(before);
  await repairLog('/data', { fileSystem: swapping, confirm: () => true });
  expect(await tableOf(swapping)).toEqual(expected);
});

test('[VERIFY-2] [VERIFY-6] cleaner-offset-checkpoint is compared with the logs', async () => {
  const { whole } = await compact();
  const content = await whole.readFile(CLEANED);
  expect(content.toString()).toMatch(/^0\n\d\n(.*\n)*table 0 \d+\n$/);
  const unnoticed: number[] = [];
  for (const [at, byte] of content.entries()) {
    for (let bit = 0; bit < 8; bit++) {
      const disk = whole.kill();
      await overwrite(disk, CLEANED, Buffer.from([byte ^ (1 << bit)]), at);
      const { problemCount } = await verifyLog('/data', { fileSystem: disk });
      if (problemCount === 0) unnoticed.push(at);
      const { problems } = await repairLog('/data', { fileSystem: disk, confirm: () => true });
      const left = problems.filter(({ severity }) => severity === 'problem');
      expect({ at, bit, left }).toEqual({ at, bit, left: [] });
    }
  }
  // Another offset within the log is just as valid: the end of each line.
  const digits = [...content.toString('latin1').matchAll(/(?<= \d )\d+(?=\n)/g)];
  const within = digits.flatMap(({ 0: text, index }) => Array.from(text, (_, at) => index + at));
  expect(unnoticed.filter((at) => !within.includes(at) && at !== content.length - 1)).toEqual([]);
  const disk = whole.kill();
  await replaceFile(disk, CLEANED, Buffer.from('0\n1\ntable 0 99\n'));
  expect(await verifyLog('/data', { fileSystem: disk })).toMatchObject({
    problems: [{ file: CLEANED, what: 'table-0 has 99, not 0' }],
  });
  expect((await tableOf(disk)).size).toBe(2);
}, 60_000);

test('[VERIFY-2] [VERIFY-6] a missing list of aborted transactions is rebuilt', async () => {
  const disk = await sampleLog();
  const lists = [...(await filesBelow(disk))].filter(([path]) => path.endsWith('.txnindex'));
  expect(lists.length).toBeGreaterThan(1);
  for (const [path, content] of lists) {
    await disk.remove(path);
    const { partitions } = await verifyLog('/data', { fileSystem: disk });
    const what = expect.stringContaining('it lacks the transaction of producer') as string;
    const problems = partitions.flatMap((each) => each.problems);
    expect(problems).toMatchObject([{ severity: 'problem', file: path, what }]);
    await repairLog('/data', { fileSystem: disk, confirm: () => true });
    expect((await disk.readFile(path)).equals(content)).toBe(true);
  }
});

test('[VERIFY-10] plain files with the name of a partition are no partitions', async () => {
  const disk = await sampleLog();
  for (const name of [
    'notes-2024',
    '.lock.4711-0-1',
    '.lock.takeover.4711-0-2',
    '.lock.takeover',
  ]) {
    await replaceFile(disk, `${DIRECTORY}/${name}`, Buffer.from('plain'));
  }
  const { problemCount, partitions } = await verifyLog(DIRECTORY, { fileSystem: disk });
  expect(problemCount).toBe(0);
  expect(partitions).toHaveLength(4);
  const repair = await repairLog(DIRECTORY, { fileSystem: disk, confirm: () => true });
  expect(repair).toEqual({ isDone: true, keptIn: [], problems: [] });
  await (await openSample(disk)).close();
  const names = (await disk.list(DIRECTORY)).map(({ name }) => name);
  expect(names).toContain('notes-2024');
  expect(names.filter((name) => name.startsWith('.lock'))).toEqual([]);
});
