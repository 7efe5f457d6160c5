import fc from 'fast-check';
import { expect, test } from 'vitest';
import { json, string } from '../serde/text.ts';
import { checkBatch, CODECS, readBatchHeader } from './batch.ts';
import { BatchWriter } from './batch-writer.ts';
import {
  append,
  arbitraryRecord,
  batchOf,
  expectedRecords,
  recordsOf,
  type RecordToWrite,
} from './records.suite.ts';
import { NO_HEADERS } from './record.ts';

const arbitraryRecords = fc.array(arbitraryRecord, { minLength: 1, maxLength: 20 });

test('[RECORD-7] what is written is read back, compressed or not', () => {
  fc.assert(
    fc.property(arbitraryRecords, fc.constantFrom(...CODECS), (records, codec) => {
      const batch = batchOf(records, { codec });
      expect(checkBatch(batch, 0, batch.length)).toBeUndefined();
      expect(recordsOf(batch)).toEqual(expectedRecords(records));
      const header = readBatchHeader(batch, 0);
      const times = records.map(({ timestampMs }) => timestampMs);
      expect(header).toMatchObject({
        codec,
        recordCount: records.length,
        lastOffset: records.length - 1,
        baseTimestampMs: times[0],
        maxTimestampMs: Math.max(...times),
        producerId: -1,
        producerEpoch: -1,
        baseSequence: -1,
        isTransactional: false,
        isControl: false,
      });
    }),
    { examples: [[[{ timestampMs: 0, key: null, value: null, headers: [] }], 'none']] },
  );
});

test('[RECORD-7] timestamps may lie any way around the first', () => {
  const timestamps = fc.array(fc.maxSafeNat(), { minLength: 1, maxLength: 10 });
  fc.assert(
    fc.property(timestamps, (times) => {
      const records = times.map((timestampMs) => ({ timestampMs, value: 'x' }));
      expect(recordsOf(batchOf(records))).toEqual(expectedRecords(records));
    }),
    { examples: [[[2 ** 53 - 1, 0]], [[0, 2 ** 53 - 1]], [[2 ** 52 + 1, 0, 1]]] },
  );
});

test('[RECORD-8] a record that does not fit changes nothing', () => {
  const capacity = fc.integer({ min: 62, max: 400 });
  fc.assert(
    fc.property(arbitraryRecords, capacity, (records, capacityBytes) => {
      const writer = new BatchWriter(capacityBytes);
      const taken: RecordToWrite[] = [];
      for (const record of records) {
        const { sizeBytes, recordCount, maxTimestampMs } = writer;
        if (append(writer, record)) {
          taken.push(record);
          expect(writer.sizeBytes).toBeLessThanOrEqual(capacityBytes);
        } else {
          expect(writer).toMatchObject({ sizeBytes, recordCount });
          if (recordCount > 0) expect(writer.maxTimestampMs).toBe(maxTimestampMs);
        }
      }
      if (taken.length === 0) return;
      const batch = writer.close();
      expect(checkBatch(batch, 0, batch.length)).toBeUndefined();
      expect(recordsOf(batch)).toEqual(expectedRecords(taken));
    }),
  );
});

test('[RECORD-8] growing keeps what was written', () => {
  fc.assert(
    fc.property(arbitraryRecords, (records) => {
      const writer = new BatchWriter(62);
      for (const record of records) {
        while (!append(writer, record)) writer.grow(writer.capacityBytes + 7);
      }
      const batch = writer.close();
      expect(batch.length).toBe(writer.sizeBytes);
      expect(recordsOf(batch)).toEqual(expectedRecords(records));
    }),
    { numRuns: 30 },
  );
});

test('[RECORD-8] lengths that need more or fewer bytes than the last are corrected', () => {
  const lengths = [0, 1, 63, 64, 50, 8191, 8192, 3, 8200, 64, 63, 20_000, 0];
  const records = lengths.flatMap((length) => [
    { value: 'v'.repeat(length) },
    { key: 'k'.repeat(length), value: 'v' },
    { headers: [['h', 'x'.repeat(length)]] as const },
  ]);
  expect(recordsOf(batchOf(records))).toEqual(expectedRecords(records));
});

test('[RECORD-8] a value that cannot be serialised leaves the batch as it was', () => {
  const writer = new BatchWriter(500);
  writer.append(1, null, 0, 0, string(), 'first', NO_HEADERS);
  const { sizeBytes } = writer;
  expect(() => writer.append(2, null, 0, 0, json<unknown>(), () => 1, NO_HEADERS)).toThrow(
    TypeError,
  );
  expect(writer).toMatchObject({ sizeBytes, recordCount: 1 });
  writer.append(3, null, 0, 0, string(), 'second', NO_HEADERS);
  expect(recordsOf(writer.close())).toEqual(
    expectedRecords([
      { timestampMs: 1, value: 'first' },
      { timestampMs: 3, value: 'second' },
    ]),
  );
});

test('[RECORD-8] a key may be a part of a larger buffer', () => {
  const writer = new BatchWriter(500);
  const memory = Buffer.from('0123456789'.repeat(5));
  writer.append(0, memory, 3, 6, string(), 'short', NO_HEADERS);
  writer.append(0, memory, 3, 43, string(), 'long', NO_HEADERS);
  const keys = recordsOf(writer.close()).map(({ key }) => key);
  expect(keys).toEqual(['345', memory.toString('latin1', 3, 43)]);
});
