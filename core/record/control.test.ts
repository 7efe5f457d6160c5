import { expect, test } from 'vitest';
import { checkBatch, readBatchHeader } from './batch.ts';
import { bytes } from '../serde/binary.ts';
import { BatchWriter } from './batch-writer.ts';
import { coordinatorEpochAt, encodeMarker, markerTypeAt } from './control.ts';
import { NO_HEADERS } from './record.ts';
import { RecordCursor } from './record-cursor.ts';
import { TEST_PLACE } from './records.suite.ts';

const MARKER = {
  producerId: 9,
  producerEpoch: 2,
  coordinatorEpoch: 5,
  timestampMs: 1_700_000_000_000,
};

/** An ABORT marker, written by hand from Kafka's format. */
const GOLDEN = [
  '0000000000000000' + '00000042' + 'ffffffff' + '02' + 'df25f164',
  '0030' + '00000000' + '0000018bcfe56800' + '0000018bcfe56800',
  '0000000000000009' + '0002' + 'ffffffff' + '00000001',
  '20' + '00' + '00' + '00' + '08' + '00000000' + '0c' + '000000000005' + '00',
].join('');

function cursorAt(batch: Buffer): RecordCursor {
  const cursor = new RecordCursor(TEST_PLACE);
  cursor.open(batch, 0);
  cursor.next();
  return cursor;
}

/** A control batch of this key and value. */
function controlBatch(key: Buffer | null, value: Buffer | null): Buffer {
  const writer = new BatchWriter(200);
  writer.append(0, key, 0, key?.length ?? 0, bytes(), value, NO_HEADERS);
  return writer.close({ isControl: true, isTransactional: true, producerId: 1, producerEpoch: 0 });
}

test('[RECORD-13] a marker is these bytes', () => {
  expect(encodeMarker({ ...MARKER, type: 'ABORT' }).toString('hex')).toBe(GOLDEN);
});

test.each(['ABORT', 'COMMIT'] as const)('[RECORD-13] a marker says %s and who ended it', (type) => {
  const batch = encodeMarker({ ...MARKER, type });
  expect(checkBatch(batch, 0, batch.length)).toBeUndefined();
  expect(readBatchHeader(batch, 0)).toMatchObject({
    isControl: true,
    isTransactional: true,
    producerId: 9,
    producerEpoch: 2,
    baseSequence: -1,
    lastSequence: -1,
  });
  const cursor = cursorAt(batch);
  expect(markerTypeAt(cursor)).toBe(type);
  expect(coordinatorEpochAt(cursor)).toBe(5);
  expect(cursor.timestampMs).toBe(MARKER.timestampMs);
});

test('[RECORD-13] control records that end no transaction are no markers', () => {
  const leaderChange = Buffer.from([0, 0, 0, 2]);
  for (const key of [null, Buffer.alloc(0), Buffer.alloc(3), leaderChange]) {
    expect(markerTypeAt(cursorAt(controlBatch(key, Buffer.alloc(6))))).toBeUndefined();
  }
});

test('[RECORD-13] a marker without a readable value has no coordinator epoch', () => {
  const key = Buffer.from([0, 0, 0, 1]);
  for (const value of [null, Buffer.alloc(0), Buffer.alloc(5, 1)]) {
    const cursor = cursorAt(controlBatch(key, value));
    expect(markerTypeAt(cursor)).toBe('COMMIT');
    expect(coordinatorEpochAt(cursor)).toBe(-1);
  }
  // A later version may say more; the beginning stays.
  const longer = cursorAt(controlBatch(key, Buffer.from([0, 1, 0, 0, 0, 7, 9, 9])));
  expect(coordinatorEpochAt(longer)).toBe(7);
});
