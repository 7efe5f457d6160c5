import { expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { readTopic } from '../../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { BATCH, CODECS, readBatchHeader, sealBatch } from '../../record/batch.ts';
import { batchOf } from '../../record/records.suite.ts';
import { silentLogger } from '../../logger.ts';
import { string } from '../../serde/text.ts';
import type { Log } from '../log.ts';
import { openLog } from '../open-log.ts';
import { topic } from '../topic.ts';

const open = () => openLog(temporaryDirectory(), { logger: silentLogger });
const lines = Array.from({ length: 400 }, (_, line) => `line ${line} of some that are alike`);

/** The first batch of a topic as it is stored. */
async function storedBatch(log: Log, name: string) {
  const { partitions } = await log.api.fetch({
    isolationLevel: 'read_uncommitted',
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 1,
    partitions: [{ topic: name, partition: 0, fetchOffset: 0, maxBytes: 1 }],
  });
  return Buffer.from(partitions[0]!.records);
}

const settings = (['producer', ...CODECS] as const).map((stored) => [stored] as const);

test.each(settings)(
  '[RECORD-19] compressionType %s of a topic, any of a producer',
  async (stored) => {
    await using log = await open();
    for (const sent of CODECS) {
      const config = { compressionType: stored };
      const each = topic(`by-${sent}`, { key: string(), value: string(), partitions: 1, config });
      await using producer = log.producer({ compressionType: sent });
      await producer.sendAll(
        each,
        lines.map((value) => ({ value })),
      );
      const codec = stored === 'producer' ? sent : stored;
      expect(readBatchHeader(await storedBatch(log, each.name), 0).codec).toBe(codec);
      const read = await readTopic(log, each);
      expect(read.map(({ value, offset }) => [offset, value])).toEqual([...lines.entries()]);
    }
  },
);

test('[RECORD-10] [RECORD-19] levels of a producer and of a topic', async () => {
  await using log = await open();
  const text = Array.from({ length: 900 }, (_, line) => `${line},${(line * 7919) % 1013}`).join();
  const sizes: number[] = [];
  for (const [index, level] of [-20, 19].entries()) {
    for (const isOfTopic of [true, false]) {
      const levels = { compressionZstdLevel: level };
      const config = isOfTopic ? { compressionType: 'zstd' as const, ...levels } : {};
      const name = `levels-${index}-${isOfTopic}`;
      const each = topic(name, { key: string(), value: string(), partitions: 1, config });
      const options = isOfTopic ? {} : { compressionType: 'zstd' as const, ...levels };
      await using producer = log.producer(options);
      await producer.send(each, { value: text });
      sizes.push((await storedBatch(log, name)).length);
    }
  }
  const [topicLow, producerLow, topicHigh, producerHigh] = sizes as [
    number,
    number,
    number,
    number,
  ];
  expect(topicHigh).toBeLessThan(topicLow);
  expect(producerHigh).toBeLessThan(producerLow);
  expect(() => log.producer({ compressionGzipLevel: 10 })).toThrow('compressionGzipLevel must be');
  expect(() => log.producer({ compressionZstdLevel: 23 })).toThrow('an integer, -131072 to 22');
});

test('[RECORD-17] [RECORD-18] [RECORD-19] what cannot be packed anew is refused', async () => {
  await using log = await open();
  const config = { 'compression.type': 'zstd', 'max.message.bytes': '1000' };
  await log.admin().createTopic('strict', { partitions: 1, config });
  const produce = async (batch: Buffer) => {
    const batches = [{ topic: 'strict', partition: 0, records: batch }];
    const { results } = await log.api.produce({ acks: 1, batches });
    return results[0]?.error?.code;
  };
  const cut = batchOf([{ value: 'v'.repeat(99) }], { codec: 'lz4' }).subarray(0, -8);
  cut.writeInt32BE(cut.length - 12, BATCH.length);
  sealBatch(cut, 0);
  expect(await produce(cut)).toBe('CORRUPT_MESSAGE');
  const unknown = batchOf([{ value: 'v' }]);
  unknown.writeInt16BE(5, BATCH.attributes);
  sealBatch(unknown, 0);
  expect(await produce(unknown)).toBe('UNSUPPORTED_COMPRESSION_TYPE');
  await log.admin().createTopic('plain', {
    partitions: 1,
    config: { ...config, 'compression.type': 'none' },
  });
  const each = topic('plain', { key: string(), value: string(), partitions: 1 });
  await using producer = log.producer({ compressionType: 'zstd' });
  expect(await codeOf(producer.send(each, { value: 'v'.repeat(5000) }))).toBe('MESSAGE_TOO_LARGE');
});
