import fc from 'fast-check';
import { bytes } from '../serde/binary.ts';
import { batchSizeBytes, readBatchHeader } from './batch.ts';
import { BatchWriter, type BatchSeal } from './batch-writer.ts';
import { RecordCursor } from './record-cursor.ts';

/** A record as tests write and compare it: bytes as text, one character a byte. */
export interface PlainRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [string, string | null])[];
}

export type RecordToWrite = Partial<Omit<PlainRecord, 'offset'>>;

export const TEST_PLACE = { topic: 'test', partition: 0 };

/** A batch of `records`, in a writer that grows as need be. */
export function batchOf(records: readonly RecordToWrite[], seal: BatchSeal = {}): Buffer {
  const writer = new BatchWriter(128);
  for (const record of records) {
    while (!append(writer, record)) writer.grow(writer.capacityBytes * 2);
  }
  return writer.close(seal);
}

export function append(writer: BatchWriter, record: RecordToWrite): boolean {
  const { timestampMs = 0, key = null, value = null, headers = [] } = record;
  const keyBytes = key === null ? null : Buffer.from(key, 'latin1');
  return writer.append(
    timestampMs,
    keyBytes,
    0,
    keyBytes?.length ?? 0,
    bytes(),
    value === null ? null : Buffer.from(value, 'latin1'),
    headers.map(([name, text]) => ({
      key: name,
      value: text === null ? null : Buffer.from(text, 'latin1'),
    })),
  );
}

/** All records in batches that stand back to back, control batches left out. */
export function recordsOf(batches: Buffer): PlainRecord[] {
  const records: PlainRecord[] = [];
  const cursor = new RecordCursor(TEST_PLACE);
  for (let at = 0; at < batches.length; at += batchSizeBytes(batches, at)) {
    if (readBatchHeader(batches, at).isControl) continue;
    cursor.open(batches, at);
    while (cursor.next()) records.push(recordAt(cursor));
  }
  return records;
}

export function recordAt(cursor: RecordCursor): PlainRecord {
  const { source, offset, timestampMs, keyStart, keyEnd, valueStart, valueEnd } = cursor;
  return {
    offset,
    timestampMs,
    key: keyStart < 0 ? null : source.toString('latin1', keyStart, keyEnd),
    value: valueStart < 0 ? null : source.toString('latin1', valueStart, valueEnd),
    headers: cursor.headers.map(({ key, value }) => [
      key,
      value === null ? null : Buffer.from(value).toString('latin1'),
    ]),
  };
}

/** What `recordsOf` gives for a batch of `records` at `baseOffset`. */
export function expectedRecords(records: readonly RecordToWrite[], baseOffset = 0): PlainRecord[] {
  return records.map((record, index) => ({
    offset: baseOffset + index,
    timestampMs: record.timestampMs ?? 0,
    key: record.key ?? null,
    value: record.value ?? null,
    headers: record.headers ?? [],
  }));
}

/** Text of bytes 0 to 255; short mostly, now and then longer than one byte of length can say. */
const latin1 = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 12 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary-ascii', minLength: 60, maxLength: 70 }) },
  { weight: 1, arbitrary: fc.nat(20_000).map((length) => 'v'.repeat(length)) },
);

/** Records with nulls, empty texts, headers and timestamps in any order. */
export const arbitraryRecord: fc.Arbitrary<Required<RecordToWrite>> = fc.record({
  timestampMs: fc.oneof(
    fc.integer({ min: 0, max: 1000 }),
    fc.maxSafeNat(),
    fc.constantFrom(-1, 0, Number.MAX_SAFE_INTEGER),
  ),
  key: fc.option(latin1),
  value: fc.option(latin1),
  headers: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fc.tuple(fc.string(), fc.option(latin1)), { maxLength: 4 }) },
  ),
});
