import { expect, test } from 'vitest';
import { BATCH, batchSizeBytes } from '../record/batch.ts';
import { replaceFile } from '../storage/atomic-file.ts';
import type { MemoryFileSystem } from '../storage/memory-fs.ts';
import { repairLog } from './repair.ts';
import { DIRECTORY, openSample, overwrite, plain, sampleLog } from './sample-log.suite.ts';
import { verifyLog } from './verify.ts';

const PARTITION = `${DIRECTORY}/plain-0`;
const EPOCHS = `${PARTITION}/leader-epoch-checkpoint`;

/** A log that a broker of epoch 0 began and one of epoch 7 continued. */
async function logOfTwoEpochs(): Promise<MemoryFileSystem> {
  const disk = await sampleLog();
  await replaceFile(disk, EPOCHS, Buffer.from('0\n2\n0 0\n7 16\n'));
  const log = await openSample(disk);
  for (let at = 0; at < 5; at++) await log.producer().send(plain, { key: 'k', value: `${at}` });
  await log.close();
  return disk;
}

const problemCount = async (disk: MemoryFileSystem): Promise<number> =>
  (await verifyLog(PARTITION, { fileSystem: disk })).problemCount;
const repair = (disk: MemoryFileSystem) =>
  repairLog(DIRECTORY, { fileSystem: disk, confirm: () => true });

test('[VERIFY-2] [VERIFY-6] a changed byte in the file of epochs is mended', async () => {
  const whole = await logOfTwoEpochs();
  expect(await problemCount(whole)).toBe(0);
  for (const [at, byte] of (await whole.readFile(EPOCHS)).entries()) {
    for (let bit = 0; bit < 8; bit++) {
      const disk = whole.kill();
      await overwrite(disk, EPOCHS, Buffer.from([byte ^ (1 << bit)]), at);
      expect({ at, bit, noticed: (await problemCount(disk)) > 0 }).toMatchObject({ noticed: true });
      const { isDone, problems } = await repair(disk);
      expect({ at, bit, isDone, problems }).toEqual({ at, bit, isDone: true, problems: [] });
    }
  }
  for (const content of [undefined, '']) {
    const disk = whole.kill();
    if (content === undefined) await disk.remove(EPOCHS);
    else await replaceFile(disk, EPOCHS, Buffer.from(content));
    expect(await problemCount(disk)).toBe(1);
    await repair(disk);
    expect((await disk.readFile(EPOCHS)).toString()).toBe('0\n2\n0 0\n7 16\n');
  }
}, 60_000);

test('[VERIFY-2] [VERIFY-6] the file of epochs corrects the epoch of a batch', async () => {
  const whole = await logOfTwoEpochs();
  const names = (await whole.list(PARTITION)).map(({ name }) => name);
  let count = 0;
  for (const name of names.filter((each) => each.endsWith('.log'))) {
    const path = `${PARTITION}/${name}`;
    const content = await whole.readFile(path);
    for (let at = 0; at < content.length; at += batchSizeBytes(content, at)) {
      const disk = whole.kill();
      const byte = at + BATCH.partitionLeaderEpoch + (count++ % 4);
      await overwrite(disk, path, Buffer.from([content[byte]! ^ 1]), byte);
      expect({ name, at, found: await problemCount(disk) }).toEqual({ name, at, found: 1 });
      await repair(disk);
      expect((await disk.readFile(path)).equals(content)).toBe(true);
    }
  }
  expect(count).toBe(21);
}, 60_000);

test('[VERIFY-6] the replacement of lost records has their epoch', async () => {
  const disk = await logOfTwoEpochs();
  const names = (await disk.list(PARTITION)).map(({ name }) => name);
  const path = `${PARTITION}/${names
    .filter((name) => name.endsWith('.log'))
    .sort()
    .at(-1)!}`;
  const content = await disk.readFile(path);
  await overwrite(disk, path, Buffer.from([content.at(-70)! ^ 1]), content.length - 70);
  expect(await problemCount(disk)).toBeGreaterThan(0);
  const { isDone, problems } = await repair(disk);
  expect({ isDone, problems }).toEqual({ isDone: true, problems: [] });
  const mended = await disk.readFile(path);
  const epochs = [];
  for (let at = 0; at < mended.length; at += batchSizeBytes(mended, at)) {
    epochs.push(mended.readInt32BE(at + BATCH.partitionLeaderEpoch));
  }
  expect(epochs.slice(-5)).toEqual([7, 7, 7, 7, 7]);
});
