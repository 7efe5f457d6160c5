import { expect, test } from 'vitest';
import { checkEach } from '../../test/kit/check-each.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { shareOf } from '../../test/kit/share.ts';
import type { Topic } from '../client/topic.ts';
import { LogError } from '../errors.ts';
import { seededRandom } from '../random.ts';
import { type MemoryFileSystem } from '../storage/memory-fs.ts';
import { changesNothing } from '../storage/memory-operations.ts';
import { repairLog, type Repair, type RepairPlan } from './repair.ts';
import {
  DIRECTORY,
  filesBelow,
  openSample,
  overwrite,
  plain,
  sampleLog,
  sure,
} from './sample-log.suite.ts';
import { verifyLog } from './verify.ts';

const FIRST_LOG = `${DIRECTORY}/plain-0/00000000000000000000.log`;

const repair = (disk: MemoryFileSystem, confirm = (): boolean => true): Promise<Repair> =>
  repairLog(DIRECTORY, { fileSystem: disk, confirm });

const problemCount = async (disk: MemoryFileSystem): Promise<number> =>
  (await verifyLog(DIRECTORY, { fileSystem: disk })).problemCount;

type Values = Map<number, string | null>;

/** The values of a topic, by offset. */
async function valuesOf(
  disk: MemoryFileSystem,
  topic: Topic<string, string>,
  isolation: 'read_committed' | 'read_uncommitted',
): Promise<Values> {
  const log = await openSample(disk);
  const records = await readTopic(log, topic, isolation);
  await log.close();
  return new Map(records.map(({ offset, value }) => [offset, value]));
}

/** The lost offsets. Fails if a record has changed or appeared from nowhere. */
function lostOf(before: Values, after: Values): number[] {
  for (const [offset, value] of after) expect(value).toBe(before.get(offset));
  return [...before.keys()].filter((offset) => !after.has(offset));
}

/** Damages one byte of a batch in the middle of the first segment. */
async function damageBatch(disk: MemoryFileSystem): Promise<Buffer> {
  const bytes = await disk.readFile(FIRST_LOG);
  const [start, size] = [12 + bytes.readInt32BE(8), 12 + bytes.readInt32BE(8)];
  bytes[start + 80]! ^= 1;
  await overwrite(disk, FIRST_LOG, bytes.subarray(start, start + size), start);
  return Buffer.from(bytes.subarray(start, start + size));
}

test('[VERIFY-6] whatever byte is damaged, all other batches are read', async () => {
  const whole = await sampleLog();
  const [plainBefore, sureBefore] = [
    await valuesOf(whole.kill(), plain, 'read_uncommitted'),
    await valuesOf(whole.kill(), sure, 'read_committed'),
  ];
  const cases: { path: string; at: number; damaged: number }[] = [];
  for (const [path, content] of await filesBelow(whole)) {
    for (let at = cases.length % 7; at < content.length; at += 31) {
      cases.push({ path, at, damaged: content[at]! ^ (1 << (at % 8)) });
    }
  }
  expect(cases.length).toBeGreaterThan(200);
  await checkEach(shareOf(cases, 100), async ({ path, at, damaged }) => {
    const disk = whole.kill(seededRandom(at));
    await overwrite(disk, path, Buffer.from([damaged]), at);
    const where = `${path} at ${at}`;
    const { isDone, problems } = await repair(disk);
    expect({ where, isDone, problems }).toEqual({ where, isDone: true, problems: [] });
    expect({ where, count: await problemCount(disk) }).toEqual({ where, count: 0 });
    const lost = [
      ...lostOf(plainBefore, await valuesOf(disk.kill(), plain, 'read_uncommitted')),
      ...lostOf(sureBefore, await valuesOf(disk.kill(), sure, 'read_committed')),
    ];
    const isLog = /\/(plain|sure)-0\/.*\.log$/.test(path);
    expect({ where, lost, isFine: lost.length <= (isLog ? 2 : 0) }).toMatchObject({
      where,
      isFine: true,
    });
  });
}, 120_000);

test('[VERIFY-7] removed bytes are kept, with a manifest; offsets continue', async () => {
  const disk = await sampleLog();
  const damaged = await damageBatch(disk);
  const { keptIn } = await repair(disk);
  expect(keptIn).toEqual([`${DIRECTORY}/repair.1`]);
  const text = (await disk.readFile(`${DIRECTORY}/repair.1/manifest.json`)).toString();
  const { kept } = JSON.parse(text) as { kept: { file: string; keptAs: string }[] };
  const entry = kept.find(({ file }) => file === 'plain-0/00000000000000000000.log');
  expect(entry).toMatchObject({ sizeBytes: damaged.length });
  const copy = await disk.readFile(`${DIRECTORY}/repair.1/${entry?.keptAs ?? ''}`);
  expect(copy.equals(damaged)).toBe(true);

  const log = await openSample(disk);
  const { offset } = await log.producer().send(plain, { key: 'next', value: 'next' });
  expect(offset).toBe(16);
  const offsets = (await readTopic(log, plain)).map((record) => record.offset);
  expect(offsets).toEqual([0, ...Array.from({ length: 15 }, (_, at) => at + 2)]);
  await log.close();
  expect(await problemCount(disk)).toBe(0);
});

test('[VERIFY-8] a repair does nothing unconfirmed, or while the log is open', async () => {
  const disk = await sampleLog();
  await damageBatch(disk);
  const before = await filesBelow(disk);
  const plans: RepairPlan[] = [];
  const confirm = (plan: RepairPlan): boolean => plans.push(plan) < 1;
  const { isDone, problems } = await repairLog(DIRECTORY, { fileSystem: disk, confirm });
  expect({ isDone, problems: problems.length }).toEqual({ isDone: false, problems: 1 });
  expect(plans).toMatchObject([{ steps: [expect.stringContaining('an empty batch') as string] }]);
  expect(await filesBelow(disk)).toEqual(before);

  const whole = await sampleLog();
  const log = await openSample(whole);
  const error: unknown = await repair(whole).catch((cause: unknown) => cause);
  expect(LogError.is(error, 'LOG_LOCKED') && error.details.ownerPid).toBe(process.pid);
  await log.close();
});

/** Damage of several kinds at once. */
async function damageMuch(disk: MemoryFileSystem): Promise<Buffer> {
  const damaged = await damageBatch(disk);
  await overwrite(disk, `${DIRECTORY}/recovery-point-offset-checkpoint`, Buffer.from('x'), 0);
  const list = `${DIRECTORY}/sure-0/00000000000000000000.txnindex`;
  await overwrite(disk, list, Buffer.from([9]), 9);
  const index = `${DIRECTORY}/sure-0/00000000000000000000.index`;
  await overwrite(disk, index, Buffer.from([9]), 3);
  return damaged;
}

test.each([
  ['a power cut', (disk: MemoryFileSystem, seed: number) => disk.crash(seededRandom(seed))],
  ['kill -9', (disk: MemoryFileSystem, seed: number) => disk.kill(seededRandom(seed))],
])(
  '[VERIFY-9] a repair that ends with %s at any operation can be repeated',
  async (_, crash) => {
    const disk = await sampleLog();
    const plainBefore = await valuesOf(disk.kill(), plain, 'read_uncommitted');
    const sureBefore = await valuesOf(disk.kill(), sure, 'read_committed');
    const damaged = await damageMuch(disk);
    const moments: MemoryFileSystem[] = [];
    disk.onOperation = ({ kind, number }) => {
      if (!changesNothing(kind)) moments.push(crash(disk, number));
    };
    await repair(disk);
    expect(moments.length).toBeGreaterThan(50);
    await checkEach(moments.entries(), async ([at, moment]) => {
      const { isDone, problems } = await repair(moment);
      expect({ at, isDone, problems }).toEqual({ at, isDone: true, problems: [] });
      expect({ at, count: await problemCount(moment) }).toEqual({ at, count: 0 });
      const files = await filesBelow(moment);
      const isKept = [...files].some(
        ([path, content]) => path.includes('/repair.') && content.equals(damaged),
      );
      expect({ at, isKept }).toEqual({ at, isKept: true });
      const plainAfter = await valuesOf(moment.kill(), plain, 'read_uncommitted');
      expect({ at, lost: lostOf(plainBefore, plainAfter) }).toEqual({ at, lost: [1] });
      const sureAfter = await valuesOf(moment.kill(), sure, 'read_committed');
      expect({ at, sureAfter }).toEqual({ at, sureAfter: sureBefore });
    });
  },
  60_000,
);
