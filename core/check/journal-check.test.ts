import { expect, test } from 'vitest';
import { readValues } from '../../test/kit/read-topic.ts';
import { openLog } from '../client/open-log.ts';
import { topic } from '../client/topic.ts';
import { silentLogger } from '../logger.ts';
import { seededRandom } from '../random.ts';
import { string } from '../serde/text.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import { repairLog } from './repair.ts';
import { viewLog } from './log-view.ts';
import { verifyLog } from './verify.ts';

const wide = topic('wide', { key: string(), value: string(), partitions: 5 });
const FIRST_LOG = '/data/wide-0/00000000000000000000.log';

const open = (fileSystem: MemoryFileSystem) =>
  openLog('/data', { fileSystem, random: seededRandom(5), logger: silentLogger });
const repair = (fileSystem: MemoryFileSystem) =>
  repairLog('/data', { fileSystem, confirm: () => true });
const valuesOf = async (fileSystem: MemoryFileSystem): Promise<(string | null)[]> => {
  const log = await open(fileSystem);
  const values = await readValues(log, wide, 'read_committed');
  await log.close();
  return values.sort();
};

/** A log after a power cut, with commits that only the journal made durable. */
async function afterPowerCut(seed: number) {
  const disk = new MemoryFileSystem({ random: seededRandom(1) });
  const log = await open(disk);
  const producer = log.producer({ transactionalId: 'writer' });
  const values: string[] = [];
  for (const count of ['a', 'b', 'c', 'd']) {
    const records = [0, 1, 2, 3, 4].map((partition) => ({
      value: `${count}${partition}`,
      partition,
    }));
    await producer.transaction((tx) => tx.sendAll(wide, records));
    values.push(...records.map(({ value }) => value));
  }
  const image = disk.crash(seededRandom(seed));
  await log.close();
  return { image, values: values.sort() };
}

test('[VERIFY-15] bytes only in the journal are no problem; verify changes nothing', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { image, values } = await afterPowerCut(seed);
    const names = (await image.list('/data')).map(({ name }) => name);
    expect(names).toContain('sync-journal-0');
    expect((await verifyLog('/data', { fileSystem: image })).problemCount).toBe(0);
    const view = await viewLog('/data', image);
    const viewed = [];
    for (const partition of [0, 1, 2, 3, 4]) {
      for await (const { value } of view.records('wide', partition)) viewed.push(String(value));
    }
    expect(viewed.filter((value) => values.includes(value)).sort()).toEqual(values);
    expect((await image.list('/data')).map(({ name }) => name)).toEqual(names);
    expect(await valuesOf(image)).toEqual(values);
  }
});

test('[VERIFY-15] a repair restores the journal before it mends a file', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { image, values } = await afterPowerCut(seed);
    const file = await image.open(FIRST_LOG, 'write');
    await file.write([Buffer.from([0xff])], 66); // within the first batch
    await file.close();
    const { problems } = await repair(image);
    expect(problems.filter(({ severity }) => severity === 'problem')).toEqual([]);
    const left = await valuesOf(image);
    expect(values.filter((value) => !left.includes(value))).toEqual(['a0']);
  }
});

test('[VERIFY-15] a journal whose earlier bytes are lost is moved away', async () => {
  const { image, values } = await afterPowerCut(1);
  const file = await image.open(FIRST_LOG, 'write');
  await file.truncate(0);
  await file.close();
  await expect(open(image)).rejects.toMatchObject({ code: 'CORRUPT_FILE' });
  const { problems } = await verifyLog('/data', { fileSystem: image });
  expect(problems.map(({ what }) => what)).toContain(
    'it ends at byte 0, but more of it was durable',
  );
  await repair(image);
  const left = await valuesOf(image);
  expect(
    values.filter((value) => !left.includes(value)).every((value) => value.endsWith('0')),
  ).toBe(true);
});
