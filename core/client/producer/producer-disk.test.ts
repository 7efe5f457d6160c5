import fc from 'fast-check';
import { expect, test } from 'vitest';
import { errno, FaultyFileSystem } from '../../../test/kit/faulty-fs.ts';
import { readValues } from '../../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import type { Acks } from '../../protocol/broker-api.ts';
import { silentLogger } from '../../logger.ts';
import { seededRandom } from '../../random.ts';
import { string } from '../../serde/text.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { openLog } from '../open-log.ts';
import { topic } from '../topic.ts';

const RECORDS = 300;
const letters = topic('letters', {
  key: string(),
  value: string(),
  partitions: 1,
  config: { segmentBytes: 2_000 },
});

test('[PRODUCER-3] a disk full at any byte delays records; each arrives once', async () => {
  const values = Array.from({ length: RECORDS }, (_, index) => `${index}`.padEnd(30, '.'));
  const roomBytes = fc.nat(RECORDS * 40);
  const acks = fc.constantFrom<Acks>(1, 'all');
  let fullCount = 0;
  const property = fc.asyncProperty(fc.nat(), roomBytes, acks, async (seed, room, wanted) => {
    const fileSystem = new MemoryFileSystem({ random: seededRandom(seed) });
    await using log = await openLog('/data', { fileSystem, logger: silentLogger });
    const options = { acks: wanted, batchSize: 256, retryBackoffMs: 1, retryBackoffMaxMs: 4 };
    await using producer = log.producer(options);
    await producer.send(letters, { value: 'first' });
    fileSystem.capacityBytes = fileSystem.usedBytes + room;
    fileSystem.onOperation = () => {
      if (fileSystem.usedBytes < fileSystem.capacityBytes) return;
      fileSystem.onOperation = undefined;
      fullCount++;
      setTimeout(() => (fileSystem.capacityBytes = Infinity), 5);
    };
    const records = values.map((value) => ({ value }));
    expect(await producer.sendAll(letters, records)).toBe(RECORDS);
    expect(await readValues(log, letters)).toEqual(['first', ...values]);
  });
  await fc.assert(property, { numRuns: 40 });
  expect(fullCount).toBeGreaterThan(10); // or the disk had room for all
});

const plain = topic('plain', { key: string(), value: string(), partitions: 1 });

test('[PRODUCER-3] what was written, not synced, when a disk is full arrives once', async () => {
  const disk = { isFull: false, writes: 0, heldSyncs: 0 };
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  let isHeld = false;
  const fileSystem = new FaultyFileSystem(async ({ name, path }) => {
    if (!path.includes('/plain-') || !path.endsWith('.log')) return undefined;
    if (name === 'write') disk.writes++;
    if (name === 'sync' && isHeld) {
      disk.heldSyncs++;
      await held;
    }
    // No room for a write, nor for the cut that follows it.
    return disk.isFull && (name === 'write' || name === 'truncate') ? errno('ENOSPC') : undefined;
  });
  await using log = await openLog(temporaryDirectory(), { fileSystem, logger: silentLogger });
  const options = { batchSize: 256, retryBackoffMs: 5, retryBackoffMaxMs: 5 };
  await using producer = log.producer(options);
  const values = Array.from({ length: 200 }, (_, index) => `${index}`.padEnd(60, '.'));
  const send = (from: number, to: number) =>
    values.slice(from, to).map((value) => producer.send(plain, { value }));
  const until = async (isSo: () => boolean) => {
    while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  const sent = send(0, 1);
  await sent[0];
  isHeld = true;
  sent.push(...send(1, 2));
  await until(() => disk.heldSyncs === 1); // those that follow wait for it
  const { writes } = disk;
  sent.push(...send(2, 150)); // some fifty batches
  await until(() => disk.writes > writes);
  disk.isFull = true;
  sent.push(...send(150, 200));
  await until(() => disk.writes > writes + 1);
  isHeld = false;
  release();
  await until(() => producer.metrics().recordRetryTotal > 150);
  disk.isFull = false;
  const offsets = (await Promise.all(sent)).map(({ offset }) => offset);
  expect(offsets).toEqual(values.map((_, index) => index));
  expect(await readValues(log, plain)).toEqual(values);
});
