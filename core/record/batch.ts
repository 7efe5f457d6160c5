import { crc32c } from './crc32c.ts';
import { readInt64, writeInt64 } from '../int64.ts';

/**
 * Kafka's record batch, version 2 (magic 2), all big-endian:
 *
 *     0 baseOffset i64 | 8 length i32 | 12 partitionLeaderEpoch i32 | 16 magic i8 | 17 crc u32
 *    21 attributes i16 | 23 lastOffsetDelta i32 | 27 baseTimestamp i64 | 35 maxTimestamp i64
 *    43 producerId i64 | 51 producerEpoch i16 | 53 baseSequence i32 | 57 recordCount i32
 *    61 records, compressed as one block where the codec says so
 *
 * `length` counts what follows it; the crc covers everything from `attributes` on, so a broker may
 * set offset and epoch without touching it. (Kafka: `DefaultRecordBatch`.)
 */
export const BATCH = {
  baseOffset: 0,
  length: 8,
  partitionLeaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  recordCount: 57,
  records: 61,
} as const;

/** Bytes before `length` starts to count. */
export const LOG_OVERHEAD = 12;
/** The size of a batch without records, which compaction may leave. */
export const BATCH_OVERHEAD = BATCH.records;
const MAGIC = 2;

/** "None" in the producer fields of a batch. */
export const NO_PRODUCER_ID = -1;
export const NO_PRODUCER_EPOCH = -1;
export const NO_SEQUENCE = -1;
/** "None" as a timestamp. */
export const NO_TIMESTAMP = -1;

/** The bits of `attributes` that hold the number of the codec. */
export const CODEC_MASK = 0x07;
export const ATTRIBUTE = {
  logAppendTime: 0x08,
  transactional: 0x10,
  control: 0x20,
  deleteHorizon: 0x40,
} as const;

/** How the records of a batch are compressed, in Kafka's names. */
export type Codec = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';

/** The codecs in Kafka's numbering. */
export const CODECS: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

/** The fields of a batch, read once. */
export interface BatchHeader {
  readonly baseOffset: number;
  /** The whole batch, from `baseOffset` to its last record. */
  readonly sizeBytes: number;
  readonly lastOffset: number;
  /** Of the partition's leader at the append; -1 before that. */
  readonly leaderEpoch: number;
  readonly crc: number;
  /** Undefined for the number of a codec that Kafka 4.3 does not know. */
  readonly codec: Codec | undefined;
  readonly isTransactional: boolean;
  readonly isControl: boolean;
  readonly isLogAppendTime: boolean;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly lastSequence: number;
  readonly recordCount: number;
}

/** The size of the batch at `position`, by its length field alone. */
export function batchSizeBytes(source: Buffer, position: number): number {
  return LOG_OVERHEAD + source.readInt32BE(position + BATCH.length);
}

export function batchBaseOffset(source: Buffer, position: number): number {
  return readInt64(source, position + BATCH.baseOffset);
}

export function batchLastOffset(source: Buffer, position: number): number {
  return readInt64(source, position) + source.readInt32BE(position + BATCH.lastOffsetDelta);
}

/** Reads the header at `position`, which `checkBatch` has accepted. */
export function readBatchHeader(source: Buffer, position: number): BatchHeader {
  const attributes = source.readInt16BE(position + BATCH.attributes);
  const baseOffset = readInt64(source, position + BATCH.baseOffset);
  const lastOffsetDelta = source.readInt32BE(position + BATCH.lastOffsetDelta);
  const baseSequence = source.readInt32BE(position + BATCH.baseSequence);
  return {
    baseOffset,
    sizeBytes: batchSizeBytes(source, position),
    lastOffset: baseOffset + lastOffsetDelta,
    leaderEpoch: source.readInt32BE(position + BATCH.partitionLeaderEpoch),
    crc: source.readUInt32BE(position + BATCH.crc),
    codec: CODECS[attributes & CODEC_MASK],
    isTransactional: (attributes & ATTRIBUTE.transactional) !== 0,
    isControl: (attributes & ATTRIBUTE.control) !== 0,
    isLogAppendTime: (attributes & ATTRIBUTE.logAppendTime) !== 0,
    baseTimestampMs: readInt64(source, position + BATCH.baseTimestamp),
    maxTimestampMs: readInt64(source, position + BATCH.maxTimestamp),
    producerId: readInt64(source, position + BATCH.producerId),
    producerEpoch: source.readInt16BE(position + BATCH.producerEpoch),
    baseSequence,
    lastSequence: baseSequence < 0 ? NO_SEQUENCE : addSequence(baseSequence, lastOffsetDelta),
    recordCount: source.readInt32BE(position + BATCH.recordCount),
  };
}

/** Sequences run from 0 to 2^31-1 and wrap to 0. */
export function addSequence(sequence: number, count: number): number {
  const sum = sequence + count;
  return sum > 0x7fff_ffff ? sum - 0x8000_0000 : sum;
}

/** Why the bytes at `position` are not a whole, sound batch. */
export type BatchFault =
  | 'header cut short'
  | 'batch cut short'
  | 'length field out of range'
  | 'unknown magic'
  | 'checksum mismatch'
  | 'counts disagree';

/**
 * Checks that a whole, sound batch stands at `position` in `source[.., end)`: length, magic,
 * checksum and counts. All bytes from a disk or a caller pass through here before any other
 * function of this folder reads them.
 */
export function checkBatch(source: Buffer, position: number, end: number): BatchFault | undefined {
  if (end - position < BATCH_OVERHEAD) return 'header cut short';
  const sizeBytes = batchSizeBytes(source, position);
  if (sizeBytes < BATCH_OVERHEAD) return 'length field out of range';
  if (source.readInt8(position + BATCH.magic) !== MAGIC) return 'unknown magic';
  if (sizeBytes > end - position) return 'batch cut short';
  const crc = source.readUInt32BE(position + BATCH.crc);
  if (crc !== crc32c(source, position + BATCH.attributes, position + sizeBytes)) {
    return 'checksum mismatch';
  }
  const recordCount = source.readInt32BE(position + BATCH.recordCount);
  const lastOffsetDelta = source.readInt32BE(position + BATCH.lastOffsetDelta);
  if (recordCount < 0 || lastOffsetDelta < 0 || recordCount > lastOffsetDelta + 1) {
    return 'counts disagree';
  }
  return undefined;
}

/** The header fields of a batch in the making; the crc is computed last. */
export interface BatchHeaderFields {
  readonly sizeBytes: number;
  readonly attributes: number;
  readonly lastOffsetDelta: number;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
}

/** Writes header and checksum around records that already stand at `BATCH.records`. */
export function writeBatchHeader(
  target: Buffer,
  position: number,
  fields: BatchHeaderFields,
): void {
  writeInt64(target, position + BATCH.baseOffset, 0);
  target.writeInt32BE(fields.sizeBytes - LOG_OVERHEAD, position + BATCH.length);
  target.writeInt32BE(-1, position + BATCH.partitionLeaderEpoch);
  target.writeInt8(MAGIC, position + BATCH.magic);
  target.writeInt16BE(fields.attributes, position + BATCH.attributes);
  target.writeInt32BE(fields.lastOffsetDelta, position + BATCH.lastOffsetDelta);
  writeInt64(target, position + BATCH.baseTimestamp, fields.baseTimestampMs);
  writeInt64(target, position + BATCH.maxTimestamp, fields.maxTimestampMs);
  writeInt64(target, position + BATCH.producerId, fields.producerId);
  target.writeInt16BE(fields.producerEpoch, position + BATCH.producerEpoch);
  target.writeInt32BE(fields.baseSequence, position + BATCH.baseSequence);
  target.writeInt32BE(fields.recordCount, position + BATCH.recordCount);
  sealBatch(target, position);
}

/** Recomputes the checksum after a field that it covers was set. */
export function sealBatch(target: Buffer, position: number): void {
  const end = position + batchSizeBytes(target, position);
  const crc = crc32c(target, position + BATCH.attributes, end);
  target.writeUInt32BE(crc, position + BATCH.crc);
}

/** Gives a closed batch another producer or sequence before it is sent. */
export function resealBatch(
  target: Buffer,
  producer: {
    readonly producerId: number;
    readonly producerEpoch: number;
    readonly baseSequence: number;
  },
): void {
  writeInt64(target, BATCH.producerId, producer.producerId);
  target.writeInt16BE(producer.producerEpoch, BATCH.producerEpoch);
  target.writeInt32BE(producer.baseSequence, BATCH.baseSequence);
  sealBatch(target, 0);
}

/** Sets what only the broker knows. Neither field is under the checksum. */
export function placeBatch(
  target: Buffer,
  position: number,
  place: { readonly baseOffset: number; readonly leaderEpoch: number },
): void {
  writeInt64(target, position + BATCH.baseOffset, place.baseOffset);
  target.writeInt32BE(place.leaderEpoch, position + BATCH.partitionLeaderEpoch);
}

/** The producer id that a batch claims. */
export function batchProducer(source: Buffer): {
  readonly producerId: number;
  readonly producerEpoch: number;
} {
  if (source.length < BATCH_OVERHEAD)
    return { producerId: NO_PRODUCER_ID, producerEpoch: NO_PRODUCER_EPOCH };
  const producerId = readInt64(source, BATCH.producerId);
  return { producerId, producerEpoch: source.readInt16BE(BATCH.producerEpoch) };
}

/** True if a batch claims to belong to a transaction. */
export function isTransactionalBatch(source: Buffer): boolean {
  if (source.length < BATCH_OVERHEAD) return false;
  return (source.readInt16BE(BATCH.attributes) & ATTRIBUTE.transactional) !== 0;
}
