import { expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { errno, FaultyFileSystem } from '../../../test/kit/faulty-fs.ts';
import { tap } from '../../../test/kit/tap.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { silentLogger } from '../../logger.ts';
import { string } from '../../serde/text.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import { openLog, type OpenLogOptions } from '../open-log.ts';
import { Producer } from './producer.ts';
import { topic } from '../topic.ts';

const letters = topic('letters', { key: string(), value: string(), partitions: 1 });
const spread = topic('spread', { key: string(), value: string(), partitions: 4 });

const open = (options: OpenLogOptions = {}) =>
  openLog(temporaryDirectory(), { logger: silentLogger, ...options });

test('[PRODUCER-18] metrics: what was sent, how large, and how long it took', async () => {
  const clock = new ManualClock();
  await using log = await open();
  const api = tap(log.api, {
    produce: async (request) => {
      clock.advance(7);
      return await log.api.produce(request);
    },
  });
  const options = { lingerMs: 20, compressionType: 'gzip' } as const;
  const producer = new Producer(api, options, { clock });
  expect(producer.metrics()).toMatchObject({
    recordSendTotal: 0,
    batchSizeAvg: 0,
    compressionRateAvg: 0,
    recordQueueTimeAvgMs: 0,
    bufferTotalBytes: 32 * 1024 * 1024,
  });
  const writer = await producer.writer(letters);
  for (let count = 0; count < 10; count++) writer.write(null, 'x'.repeat(100), 0);
  // A kilobyte at first, then four times as much: not the whole batch size.
  expect(producer.metrics().bufferUsedBytes).toBe(4_096);
  clock.advance(20);
  await producer.flush();
  writer.write(null, 'refused', 2 ** 45);
  await producer.flush();
  const metrics = producer.metrics();
  expect(metrics).toMatchObject({
    recordSendTotal: 11,
    recordErrorTotal: 1,
    recordRetryTotal: 0,
    batchTotal: 2,
    requestTotal: 2,
    requestsInFlight: 0,
    requestLatencyAvgMs: 7,
    requestLatencyMaxMs: 7,
    recordQueueTimeAvgMs: 10,
    recordQueueTimeMaxMs: 20,
    bufferUsedBytes: 0,
    bufferExhaustedTotal: 0,
  });
  expect(metrics.batchSizeAvg).toBe(metrics.outgoingByteTotal / 2);
  expect(metrics.batchSizeMax).toBeGreaterThanOrEqual(metrics.batchSizeAvg);
  expect(metrics.compressionRateAvg).toBeGreaterThan(0.05);
  expect(metrics.compressionRateAvg).toBeLessThan(0.5);
});

test('[PRODUCER-18] metrics count records that are sent again as retries', async () => {
  let isFull = false;
  const fileSystem = new FaultyFileSystem(({ name, path }) =>
    isFull && name === 'write' && path.includes('/letters-') ? errno('ENOSPC') : undefined,
  );
  await using log = await open({ fileSystem });
  await using producer = log.producer({ retryBackoffMs: 5, retryBackoffMaxMs: 5 });
  await producer.send(letters, { value: 'a' });
  isFull = true;
  const sent = producer.sendAll(letters, [{ value: 'b' }, { value: 'c' }]);
  await expect.poll(() => producer.metrics().recordRetryTotal).toBeGreaterThan(2);
  isFull = false;
  await sent;
  expect(producer.metrics()).toMatchObject({ recordSendTotal: 3, recordErrorTotal: 0 });
});

test('[PRODUCER-18] partitionsFor lists the partitions of a topic, and makes it', async () => {
  await using log = await open();
  const producer = log.producer();
  expect(await producer.partitionsFor(spread)).toEqual(
    [0, 1, 2, 3].map((partition) => ({ topic: 'spread', partition })),
  );
  await producer.close();
  expect(await codeOf(producer.partitionsFor(spread))).toBe('CLOSED');
});
