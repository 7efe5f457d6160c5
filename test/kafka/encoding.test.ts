import fc from 'fast-check';
import { murmur2, partitionOfKey } from 'millrace';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { placeBatch } from '../../core/record/batch.ts';
import { batchOf, recordsOf } from '../../core/record/records.suite.ts';
import { SEED } from '../kit/seed.ts';
import { KafkaPlayer } from './player.ts';
import { KNOWN_CODECS, recordToSend } from './steps.ts';

let kafka: KafkaPlayer;
beforeAll(() => {
  kafka = new KafkaPlayer();
});
afterAll(() => kafka.kill());

/** Like timestamps of sent records, and some of any age. */
const anyRecord = fc
  .tuple(recordToSend, fc.option(fc.maxSafeNat(), { freq: 3 }))
  .map(([record, timestampMs]) => ({ ...record, ...(timestampMs !== null && { timestampMs }) }));

const batch = fc.record({
  baseOffset: fc.nat({ max: 2 ** 52 }),
  producerId: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  producerEpoch: fc.nat({ max: 0x7fff }),
  baseSequence: fc.nat({ max: 0x7fff_ffff }),
  isTransactional: fc.boolean(),
  records: fc.array(anyRecord, { minLength: 1, maxLength: 20 }),
});

test(`[KAFKA-1] [RECORD-3] the batch of Kafka's producer (seed ${SEED})`, async () => {
  const same = fc.asyncProperty(batch, async ({ baseOffset, records, ...seal }) => {
    const ours = batchOf(records, seal);
    placeBatch(ours, 0, { baseOffset, leaderEpoch: 0 });
    const theirs = await kafka.encode({ codec: 'none', baseOffset, records, ...seal });
    expect(ours.toString('hex')).toBe(theirs.toString('hex'));
  });
  await fc.assert(same, { seed: SEED, numRuns: 300 });
});

test.each(KNOWN_CODECS)(
  `[KAFKA-1] Kafka's batches in %s are read (seed ${SEED})`,
  async (codec) => {
    const read = fc.asyncProperty(batch, async ({ records, ...seal }) => {
      const theirs = await kafka.encode({ codec, records, ...seal });
      const { baseOffset } = seal;
      const expected = records.map((record, index) => ({ ...record, offset: baseOffset + index }));
      expect(recordsOf(theirs)).toEqual(expected);
    });
    await fc.assert(read, { seed: SEED, numRuns: 100 });
  },
);

test(`[PRODUCER-8] a key goes to the partition that Kafka chooses (seed ${SEED})`, async () => {
  const [keys = []] = fc.sample(
    fc.array(fc.uint8Array({ maxLength: 70 }), { minLength: 1000, maxLength: 1000, size: 'max' }),
    { seed: SEED, numRuns: 1 },
  );
  const ours = keys.map((key) => ({
    hash: murmur2(key, 0, key.length),
    partition: partitionOfKey(key, 0, key.length, 17),
  }));
  const texts = keys.map((key) => Buffer.from(key).toString('latin1'));
  const { hashes, partitions } = await kafka.partitions(texts, 17);
  expect(ours).toEqual(hashes.map((hash, index) => ({ hash, partition: partitions[index] })));
});
