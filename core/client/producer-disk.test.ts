import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readValues } from '../../test/kit/read-topic.ts';
import type { Acks } from '../broker/broker-api.ts';
import { silentLogger } from '../logger.ts';
import { seededRandom } from '../random.ts';
import { string } from '../serde/text.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import { openLog } from './log.ts';
import { topic } from './topic.ts';

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
