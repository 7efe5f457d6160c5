import fc from 'fast-check';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { LogError } from '../errors.ts';
import {
  ATTRIBUTE,
  BATCH,
  batchSizeBytes,
  checkBatch,
  CODECS,
  readBatchHeader,
  sealBatch,
} from './batch.ts';
import { RecordCursor } from './record-cursor.ts';
import { arbitraryRecord, batchOf, recordAt, recordsOf, TEST_PLACE } from './records.suite.ts';
import { writeVarint } from './varint.ts';

/** A batch with these bytes as its records, and a right checksum. */
function batchWith(records: Buffer, recordCount: number, attributes = 0): Buffer {
  const batch = Buffer.concat([batchOf([{}]).subarray(0, BATCH.records), records]);
  batch.writeInt32BE(batch.length - 12, BATCH.length);
  batch.writeInt32BE(recordCount, BATCH.recordCount);
  batch.writeInt32BE(Math.max(0, recordCount - 1), BATCH.lastOffsetDelta);
  batch.writeInt16BE(attributes, BATCH.attributes);
  sealBatch(batch, 0);
  return batch;
}

function varint(value: number): Buffer {
  const bytes = Buffer.alloc(5);
  return bytes.subarray(0, writeVarint(bytes, 0, value));
}

/** A record of these parts, each a varint or bytes, with its length before it. */
function recordBytes(...parts: readonly (number | string)[]): Buffer {
  const body = Buffer.concat(
    parts.map((part) => (typeof part === 'number' ? varint(part) : Buffer.from(part, 'latin1'))),
  );
  return Buffer.concat([varint(body.length), body]);
}

/** Reads all there is to read of a batch; returns how many records. */
function readAll(source: Buffer, position = 0): number {
  const cursor = new RecordCursor(TEST_PLACE);
  cursor.open(source, position);
  let count = 0;
  for (; cursor.next(); count++) recordAt(cursor);
  return count;
}

function codeOf(call: () => unknown): string {
  try {
    call();
    return 'no error';
  } catch (error) {
    return error instanceof LogError ? error.code : String(error);
  }
}

test.each<[string, Buffer, number]>([
  ['no records where one should be', Buffer.alloc(0), 1],
  ['a record less than the count', recordBytes('\0', 0, 0, -1, -1, 0), 2],
  [
    'bytes after the last record',
    Buffer.concat([recordBytes('\0', 0, 0, -1, -1, 0), varint(0)]),
    1,
  ],
  ['an empty record', recordBytes(), 1],
  ['a negative length', varint(-5), 1],
  ['a length beyond the end', recordBytes('\0', 0, 0, -1, -1, 0).subarray(0, -1), 1],
  ['a huge length', Buffer.concat([varint(0x7fff_ffff), Buffer.alloc(8)]), 1],
  ['a key beyond the record', recordBytes('\0', 0, 0, 3, 'ab', -1, 0), 1],
  ['a huge key', recordBytes('\0', 0, 0, 0x7fff_ffff, 'ab', -1, 0), 1],
  ['a value beyond the record', recordBytes('\0', 0, 0, -1, 2, 'a', 0), 1],
  ['a record that ends before its headers', recordBytes('\0', 0, 0, -1, 1, 'a'), 1],
  ['bytes after no headers', recordBytes('\0', 0, 0, -1, -1, 0, 'x'), 1],
  ['a header less than the count', recordBytes('\0', 0, 0, -1, -1, 2, 1, 'h', -1), 1],
  ['bytes after the headers', recordBytes('\0', 0, 0, -1, -1, 1, 1, 'h', -1, 'x'), 1],
  ['fewer than no headers', recordBytes('\0', 0, 0, -1, -1, -1), 1],
  ['many headers', recordBytes('\0', 0, 0, -1, -1, 0x7fff_ffff, 0, -1, 0, -1), 1],
  ['a null header key', recordBytes('\0', 0, 0, -1, -1, 1, -1, -1), 1],
  ['a header value beyond the record', recordBytes('\0', 0, 0, -1, -1, 1, 1, 'h', 9, 'x'), 1],
  ['a varint without an end', recordBytes('\0', 0, '\xff'.repeat(5)), 1],
  ['a varlong without an end', recordBytes('\0', '\xff'.repeat(10), 0, -1, -1, 0), 1],
])('[RECORD-9] %s is CORRUPT_MESSAGE', (_, records, count) => {
  const batch = batchWith(records, count);
  expect(checkBatch(batch, 0, batch.length)).toBeUndefined();
  expect(codeOf(() => readAll(batch))).toBe('CORRUPT_MESSAGE');
  // What follows in the fetched bytes makes no difference.
  const followed = Buffer.concat([batch, batchOf([{ key: 'k', value: 'v' }])]);
  expect(codeOf(() => readAll(followed))).toBe('CORRUPT_MESSAGE');
});

test('[RECORD-9] a record with malformed headers is skipped as a whole', () => {
  const bad = recordBytes('\0', 0, 0, -1, -1, 2, 1, 'h', -1);
  const batch = batchWith(Buffer.concat([bad, recordBytes('\0', 0, 1, -1, 1, 'v', 0)]), 2);
  const cursor = new RecordCursor(TEST_PLACE);
  cursor.open(batch, 0);
  cursor.next();
  expect(codeOf(() => cursor.headers)).toBe('CORRUPT_MESSAGE');
  expect(cursor.next()).toBe(true);
  expect(recordAt(cursor)).toMatchObject({ offset: 1, value: 'v' });
});

test('[RECORD-9] lengths below zero other than -1 are null, as in Kafka', () => {
  const batch = batchWith(recordBytes('\0', 0, 0, -7, -2, 1, 1, 'h', -3), 1);
  expect(recordsOf(batch)).toMatchObject([{ key: null, value: null, headers: [['h', null]] }]);
});

test('[RECORD-9] with any bytes under a right checksum, reading ends and stays in bounds', () => {
  const damage = fc.record({
    records: fc.array(arbitraryRecord, { minLength: 1, maxLength: 4 }),
    codec: fc.constantFrom('none', 'none', 'none', ...CODECS),
    edits: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
    count: fc.option(fc.integer({ min: 0, max: 100 })),
  });
  const seen = new Set<string>();
  fc.assert(
    fc.property(damage, ({ records, codec, edits, count }) => {
      const batch = batchOf(records, { codec });
      for (const [at, byte] of edits) {
        batch[BATCH.records + (at % (batch.length - BATCH.records))] = byte;
      }
      if (count !== null) {
        batch.writeInt32BE(count, BATCH.recordCount);
        batch.writeInt32BE(Math.max(0, count - 1), BATCH.lastOffsetDelta);
      }
      sealBatch(batch, 0);
      expect(checkBatch(batch, 0, batch.length)).toBeUndefined();
      // Bytes of others on both sides: a view into them would show.
      const source = Buffer.concat([Buffer.alloc(70, '<'), batch, Buffer.alloc(70, '>')]);
      seen.add(codeOf(() => checkInside(source, 70, batch.length)));
    }),
    { numRuns: 2000 },
  );
  expect(seen).toEqual(new Set(['no error', 'CORRUPT_MESSAGE']));
});

/** Reads a batch and expects every position and view to lie in its bytes. */
function checkInside(source: Buffer, position: number, sizeBytes: number): void {
  const cursor = new RecordCursor(TEST_PLACE);
  cursor.open(source, position);
  const isPlain = cursor.source === source;
  const [start, end] = isPlain ? [position, position + sizeBytes] : [0, cursor.source.length];
  for (let count = 0; cursor.next(); count++) {
    if (count > sizeBytes && isPlain) throw new Error('more records than bytes');
    const { keyStart, keyEnd, valueStart, valueEnd } = cursor;
    for (const [from, to] of [
      [keyStart, keyEnd],
      [valueStart, valueEnd],
    ] as const) {
      if (from >= 0 && (from < start || to < from || to > end)) throw new Error('outside');
    }
    for (const { value } of cursor.headers) {
      if (value === null) continue;
      const from = value.byteOffset - cursor.source.byteOffset;
      if (from < start || from + value.length > end) throw new Error('header outside');
    }
  }
}

test('[RECORD-10] records that do not unpack are CORRUPT_MESSAGE', () => {
  const packed = gzipSync(recordBytes('\0', 0, 0, -1, -1, 0));
  expect(readAll(batchWith(packed, 1, 1))).toBe(1);
  expect(codeOf(() => readAll(batchWith(packed.subarray(0, -3), 1, 1)))).toBe('CORRUPT_MESSAGE');
  expect(codeOf(() => readAll(batchWith(Buffer.from('no gzip'), 1, 1)))).toBe('CORRUPT_MESSAGE');
});

test.each([5, 6, 7])('[RECORD-18] codec %i is one to be told of, and the batch is sound', (id) => {
  const batch = batchWith(Buffer.from('packed'), 1, id);
  expect(checkBatch(batch, 0, batch.length)).toBeUndefined();
  expect(readBatchHeader(batch, 0).codec).toBeUndefined();
  expect(codeOf(() => readAll(batch))).toBe('UNSUPPORTED_COMPRESSION_TYPE');
  expect(() => readAll(batch)).toThrow(
    `test-0: the batch at offset 0 is compressed with codec ${id}, which this version does not ` +
      'know; it knows 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd',
  );
});

test('[RECORD-11] under LogAppendTime every record has the time of the batch', () => {
  const batch = batchOf([{ timestampMs: 5 }, { timestampMs: 99 }, { timestampMs: 7 }]);
  batch.writeInt16BE(ATTRIBUTE.logAppendTime, BATCH.attributes);
  sealBatch(batch, 0);
  expect(recordsOf(batch).map(({ timestampMs }) => timestampMs)).toEqual([99, 99, 99]);
});

test('[RECORD-12] one cursor reads many batches, wherever it left the one before', () => {
  const plain = batchOf([{ key: 'a' }, { key: 'b', headers: [['h', 'x']] }]);
  const packed = batchOf([{ key: 'c' }, { key: 'd' }], { codec: 'gzip' });
  const source = Buffer.concat([plain, packed, plain]);
  const cursor = new RecordCursor(TEST_PLACE);
  const keys: (string | null)[] = [];
  for (let at = 0; at < source.length; at += batchSizeBytes(source, at)) {
    cursor.open(source, at);
    if (!cursor.next()) break;
    keys.push(recordAt(cursor).key); // and the second record is not read
    expect(cursor.hasHeaders).toBe(false);
  }
  expect(keys).toEqual(['a', 'c', 'a']);
  cursor.open(source, 0);
  cursor.next();
  cursor.next();
  expect(cursor.hasHeaders).toBe(true);
  expect(recordAt(cursor).headers).toEqual([['h', 'x']]);
  expect(recordAt(cursor).headers).toEqual([['h', 'x']]); // as often as one likes
  expect(cursor.next()).toBe(false);
  expect(cursor.next()).toBe(false);
});
