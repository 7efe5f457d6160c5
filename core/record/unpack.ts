import { LogError } from '../errors.ts';
import {
  BATCH,
  batchBaseOffset,
  BATCH_OVERHEAD,
  CODEC_MASK,
  CODECS,
  LOG_OVERHEAD,
  readBatchHeader,
  sealBatch,
  type Codec,
} from './batch.ts';
import { compress, decompress } from './compression.ts';

/** The partition that batches belong to, for error messages. */
export interface RecordPlace {
  readonly topic: string;
  readonly partition: number;
}

/**
 * The records of the batch at `position`, which `checkBatch` found sound, as they were before
 * compression: a view of `source` where they are plain.
 *
 * @throws LogError UNSUPPORTED_COMPRESSION_TYPE
 * @throws LogError CORRUPT_MESSAGE if they do not unpack, or unpack to more than the limit.
 */
export function unpackRecords(source: Buffer, position: number, place: RecordPlace): Buffer {
  const { baseOffset, codec, sizeBytes } = readBatchHeader(source, position);
  if (codec === undefined) throw unknownCodec(source, position, place);
  const block = source.subarray(position + BATCH.records, position + sizeBytes);
  try {
    return decompress(codec, block);
  } catch (cause) {
    if (cause instanceof LogError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    const reason = `the ${codec} block of the batch at offset ${baseOffset} is damaged: ${why}`;
    throw malformed(place, reason, cause);
  }
}

/**
 * A copy of a batch, compressed with `codec` (Kafka: `LogValidator`). Nothing else of its header or
 * records changes.
 *
 * @throws LogError UNSUPPORTED_COMPRESSION_TYPE, CORRUPT_MESSAGE, as `unpackRecords`.
 */
export function repackBatch(
  batch: Buffer,
  { codec, level, place }: { codec: Codec; level: number | undefined; place: RecordPlace },
): Buffer {
  const block = compress(codec, unpackRecords(batch, 0, place), level);
  const packed = Buffer.concat([batch.subarray(0, BATCH_OVERHEAD), block]);
  const attributes = packed.readInt16BE(BATCH.attributes) & ~CODEC_MASK;
  packed.writeInt16BE(attributes | CODECS.indexOf(codec), BATCH.attributes);
  packed.writeInt32BE(packed.length - LOG_OVERHEAD, BATCH.length);
  sealBatch(packed, 0);
  return packed;
}

/** CORRUPT_MESSAGE: the checksum is right, so the producer built a malformed batch. */
export function malformed(place: RecordPlace, reason: string, cause?: unknown): LogError {
  const { topic, partition } = place;
  const message = `${topic}-${partition}: ${reason}`;
  return new LogError('CORRUPT_MESSAGE', message, { topic, partition, reason }, { cause });
}

/** UNSUPPORTED_COMPRESSION_TYPE for the batch at `position`: its codec number is unknown. */
export function unknownCodec(
  source: Buffer,
  position: number,
  { topic, partition }: RecordPlace,
): LogError {
  const id = source.readInt16BE(position + BATCH.attributes) & CODEC_MASK;
  const known = CODECS.map((name, index) => `${index} ${name}`).join(', ');
  return new LogError(
    'UNSUPPORTED_COMPRESSION_TYPE',
    `${topic}-${partition}: the batch at offset ${batchBaseOffset(source, position)} is ` +
      `compressed with codec ${id}, which this version does not know; it knows ${known}`,
    { codec: String(id) },
  );
}
