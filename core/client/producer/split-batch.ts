import { addSequence, BATCH_OVERHEAD, type BatchHeader } from '../../record/batch.ts';
import { BatchWriter, type BatchSeal } from '../../record/batch-writer.ts';
import { NULL_POSITION, RecordCursor } from '../../record/record-cursor.ts';
import type { RecordPlace } from '../../record/unpack.ts';
import { bytes } from '../../serde/binary.ts';

const VIEW = bytes();

/**
 * The two halves of a batch of two records or more, of the same producer, with its codec, and next
 * to each other in its sequence. The batch itself stays as it is.
 *
 * @throws LogError UNSUPPORTED_COMPRESSION_TYPE, CORRUPT_MESSAGE
 */
export function splitBatch(
  batch: Buffer,
  options: { readonly from: RecordPlace; readonly level: number | undefined },
): readonly [Buffer, Buffer] {
  const cursor = new RecordCursor(options.from);
  cursor.open(batch, 0);
  const { header } = cursor;
  const firstCount = Math.ceil(header.recordCount / 2);
  const seal = sealOf(header, options.level);
  const first = copyRecords(cursor, firstCount).close(seal);
  const { baseSequence } = seal;
  const second = copyRecords(cursor, header.recordCount - firstCount).close({
    ...seal,
    ...(baseSequence !== undefined && { baseSequence: addSequence(baseSequence, firstCount) }),
  });
  return [first, second];
}

function sealOf(header: BatchHeader, level: number | undefined): BatchSeal {
  const { codec = 'none', isTransactional, producerId, producerEpoch, baseSequence } = header;
  const producer = producerId < 0 ? {} : { producerId, producerEpoch, baseSequence };
  return { codec, level, isTransactional, ...producer };
}

/** The next `count` records of the cursor, in a batch of their own. */
function copyRecords(cursor: RecordCursor, count: number): BatchWriter {
  const { source } = cursor;
  const writer = new BatchWriter(BATCH_OVERHEAD + source.length);
  for (let copied = 0; copied < count; copied++) {
    cursor.next();
    const { timestampMs, keyStart, keyEnd, valueStart, valueEnd, headers } = cursor;
    const key = keyStart === NULL_POSITION ? null : source;
    const value = valueStart === NULL_POSITION ? null : source.subarray(valueStart, valueEnd);
    while (!writer.append(timestampMs, key, keyStart, keyEnd, VIEW, value, headers)) {
      writer.grow(writer.capacityBytes * 2);
    }
  }
  return writer;
}
