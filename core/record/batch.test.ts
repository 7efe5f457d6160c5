import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  addSequence,
  BATCH,
  batchBaseOffset,
  batchLastOffset,
  batchProducer,
  batchSizeBytes,
  checkBatch,
  placeBatch,
  readBatchHeader,
  resealBatch,
  sealBatch,
} from './batch.ts';
import { batchOf, expectedRecords, recordsOf, type RecordToWrite } from './records.suite.ts';

const BASE_MS = 1_700_000_000_000;

const RECORDS: readonly RecordToWrite[] = [
  { timestampMs: BASE_MS, key: 'k1', value: 'hello' },
  {
    timestampMs: BASE_MS - 1,
    headers: [
      ['h', '\x01'],
      ['n', null],
    ],
  },
];

const SEAL = { producerId: 7, producerEpoch: 1, baseSequence: 3, isTransactional: true };

/** Written by hand from Kafka's format, its checksum by another implementation. */
const GOLDEN = [
  '0000000000000000', // baseOffset
  '0000004d', // length: 89 bytes in all
  'ffffffff', // partitionLeaderEpoch
  '02', // magic
  '2cac1d42', // crc
  '0010', // attributes: transactional
  '00000001', // lastOffsetDelta
  '0000018bcfe56800', // baseTimestamp
  '0000018bcfe56800', // maxTimestamp
  '0000000000000007', // producerId
  '0001', // producerEpoch
  '00000003', // baseSequence
  '00000002', // recordCount
  '1a' + '00' + '00' + '00' + '04' + '6b31' + '0a' + '68656c6c6f' + '00',
  '1a' + '00' + '01' + '02' + '01' + '01' + '04' + '0268' + '0201' + '026e' + '01',
].join('');

test('[RECORD-3] a batch is these bytes', () => {
  expect(batchOf(RECORDS, SEAL).toString('hex')).toBe(GOLDEN);
});

test('[RECORD-3] these bytes are this batch', () => {
  const batch = Buffer.from(GOLDEN, 'hex');
  expect(checkBatch(batch, 0, batch.length)).toBeUndefined();
  expect(readBatchHeader(batch, 0)).toEqual({
    baseOffset: 0,
    sizeBytes: 89,
    leaderEpoch: -1,
    lastOffset: 1,
    crc: 0x2cac1d42,
    codec: 'none',
    isTransactional: true,
    isControl: false,
    isLogAppendTime: false,
    baseTimestampMs: BASE_MS,
    maxTimestampMs: BASE_MS,
    producerId: 7,
    producerEpoch: 1,
    baseSequence: 3,
    lastSequence: 4,
    recordCount: 2,
  });
  expect(recordsOf(batch)).toEqual(expectedRecords(RECORDS));
});

test('[RECORD-4] every flipped bit under the checksum is detected', () => {
  const sound = batchOf(RECORDS, SEAL);
  const records = recordsOf(sound);
  for (let position = 0; position < sound.length; position++) {
    for (let bit = 0; bit < 8; bit++) {
      const batch = Buffer.from(sound);
      batch[position]! ^= 1 << bit;
      const fault = checkBatch(batch, 0, batch.length);
      // The broker sets these two after the producer made the checksum.
      const isCovered = position >= BATCH.length && position !== BATCH.partitionLeaderEpoch;
      if (position < BATCH.length) continue;
      if (position >= BATCH.partitionLeaderEpoch && position < BATCH.magic) {
        expect(fault).toBeUndefined();
        expect(recordsOf(batch)).toEqual(records);
      } else if (isCovered) {
        expect(fault, `byte ${position} bit ${bit}`).toBeDefined();
      }
    }
  }
});

test('[RECORD-4] a batch cut anywhere is detected', () => {
  const sound = batchOf(RECORDS, SEAL);
  for (let end = 0; end < sound.length; end++) {
    const fault = end < 61 ? 'header cut short' : 'batch cut short';
    expect(checkBatch(sound, 0, end)).toBe(fault);
  }
});

test.each<[string, (batch: Buffer) => void]>([
  ['counts disagree', (batch) => batch.writeInt32BE(-1, BATCH.recordCount)],
  ['counts disagree', (batch) => batch.writeInt32BE(3, BATCH.recordCount)],
  ['counts disagree', (batch) => batch.writeInt32BE(-1, BATCH.lastOffsetDelta)],
])('[RECORD-4] %s is noticed under a right checksum', (fault, damage) => {
  const batch = batchOf(RECORDS, SEAL);
  damage(batch);
  sealBatch(batch, 0);
  expect(checkBatch(batch, 0, batch.length)).toBe(fault);
});

test.each<[string, (batch: Buffer) => void]>([
  ['unknown magic', (batch) => batch.writeInt8(1, BATCH.magic)],
  ['length field out of range', (batch) => batch.writeInt32BE(48, BATCH.length)],
  ['length field out of range', (batch) => batch.writeInt32BE(-12, BATCH.length)],
  ['length field out of range', (batch) => batch.writeInt32BE(-0x8000_0000, BATCH.length)],
  ['batch cut short', (batch) => batch.writeInt32BE(0x7fff_ffff, BATCH.length)],
])('[RECORD-4] %s is noticed', (fault, damage) => {
  const batch = batchOf(RECORDS, SEAL);
  damage(batch);
  expect(checkBatch(batch, 0, batch.length)).toBe(fault);
});

test('[RECORD-4] a batch that compaction emptied is sound', () => {
  const batch = batchOf(RECORDS, SEAL).subarray(0, BATCH.records);
  batch.writeInt32BE(BATCH.records - 12, BATCH.length);
  batch.writeInt32BE(0, BATCH.recordCount);
  sealBatch(batch, 0);
  expect(checkBatch(batch, 0, batch.length)).toBeUndefined();
  expect(readBatchHeader(batch, 0)).toMatchObject({ lastOffset: 1, lastSequence: 4 });
  expect(recordsOf(batch)).toEqual([]);
});

test('[RECORD-5] placing a batch moves its offsets and keeps its checksum right', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat(1000), (offset, before) => {
      const baseOffset = Math.min(offset, Number.MAX_SAFE_INTEGER - 1);
      const bytes = Buffer.concat([Buffer.alloc(before, 0xaa), batchOf(RECORDS, SEAL)]);
      placeBatch(bytes, before, { baseOffset, leaderEpoch: 3 });
      expect(checkBatch(bytes, before, bytes.length)).toBeUndefined();
      expect(batchBaseOffset(bytes, before)).toBe(baseOffset);
      expect(batchLastOffset(bytes, before)).toBe(baseOffset + 1);
      expect(batchSizeBytes(bytes, before)).toBe(89);
      expect(bytes.readInt32BE(before + BATCH.partitionLeaderEpoch)).toBe(3);
      expect(recordsOf(bytes.subarray(before))).toEqual(expectedRecords(RECORDS, baseOffset));
    }),
  );
});

test('[RECORD-5] resealing gives a batch to another producer', () => {
  const batch = batchOf(RECORDS, SEAL);
  const producer = { producerId: 2 ** 40, producerEpoch: 32_000, baseSequence: 0x7fff_ffff };
  resealBatch(batch, producer);
  expect(checkBatch(batch, 0, batch.length)).toBeUndefined();
  expect(readBatchHeader(batch, 0)).toMatchObject({ ...producer, lastSequence: 0 });
  expect(batchProducer(batch)).toEqual({ producerId: 2 ** 40, producerEpoch: 32_000 });
  expect(recordsOf(batch)).toEqual(expectedRecords(RECORDS));
  expect(batchProducer(batch.subarray(0, 60))).toEqual({ producerId: -1, producerEpoch: -1 });
});

test('[RECORD-6] sequences run to 2^31-1 and start over at 0', () => {
  const sequence = fc.integer({ min: 0, max: 0x7fff_ffff });
  fc.assert(
    fc.property(sequence, sequence, (from, count) => {
      expect(addSequence(from, count)).toBe((from + count) % 2 ** 31);
    }),
  );
  expect(addSequence(0x7fff_ffff, 1)).toBe(0);
  expect(addSequence(0x7fff_ffff, 0)).toBe(0x7fff_ffff);
});
