import { LogError } from '../errors.ts';
import {
  ATTRIBUTE,
  BATCH,
  checkBatch,
  readBatchHeader,
  sealBatch,
  type BatchHeader,
} from '../record/batch.ts';
import { compressionLevel } from '../record/compression.ts';
import { writeInt64 } from '../int64.ts';
import { NULL_POSITION, RecordCursor } from '../record/record-cursor.ts';
import type { RecordPlace } from '../record/unpack.ts';
import { repackBatch, unknownCodec } from '../record/unpack.ts';
import { isCompacted, type LogConfig } from './log-config.ts';

/** The settings that a batch is checked against. */
export interface AdmissionRules {
  readonly place: RecordPlace;
  readonly config: LogConfig;
  readonly nowMs: number;
}

/** A batch in the form in which the log stores it. */
export interface AdmittedBatch {
  readonly batch: Buffer;
  readonly header: BatchHeader;
}

/**
 * Checks a client's batch on its own, regardless of the log's state (Kafka: `LogValidator`). Stamps
 * it if the topic asks for the append time, and recompresses it if the topic asks for another
 * codec.
 *
 * @throws LogError MESSAGE_TOO_LARGE, CORRUPT_MESSAGE, INVALID_RECORD, INVALID_TIMESTAMP,
 *   UNSUPPORTED_COMPRESSION_TYPE
 */
export function admitBatch(batch: Buffer, rules: AdmissionRules): AdmittedBatch {
  const { place, config } = rules;
  const { topic, partition } = place;
  checkSize(batch, rules);
  const fault = checkBatch(batch, 0, batch.length);
  if (fault !== undefined) {
    const message = `a batch for ${topic}-${partition} is damaged: ${fault}`;
    throw new LogError('CORRUPT_MESSAGE', message, { topic, partition, reason: fault });
  }
  let header = readBatchHeader(batch, 0);
  if (header.codec === undefined) throw unknownCodec(batch, 0, place);
  const reason = faultOf(header, batch);
  if (reason !== undefined) throw invalidRecord(place, reason);
  if (config.messageTimestampType === 'LogAppendTime') header = stampAppendTime(batch, rules.nowMs);
  else checkTimestamps(header, rules);
  if (isCompacted(config)) checkKeys(batch, place);
  const codec = config.compressionType;
  if (codec === 'producer' || codec === header.codec) return { batch, header };
  const packed = repackBatch(batch, { codec, level: compressionLevel(codec, config), place });
  checkSize(packed, rules);
  return { batch: packed, header: readBatchHeader(packed, 0) };
}

function checkSize({ length: sizeBytes }: Buffer, { place, config }: AdmissionRules): void {
  const { maxMessageBytes: limitBytes } = config;
  if (sizeBytes <= limitBytes) return;
  const { topic } = place;
  throw new LogError(
    'MESSAGE_TOO_LARGE',
    `a batch of ${sizeBytes} bytes for ${topic} exceeds maxMessageBytes=${limitBytes}`,
    { topic, sizeBytes, limitBytes },
  );
}

function faultOf(header: BatchHeader, batch: Buffer): string | undefined {
  if (header.sizeBytes !== batch.length) return 'more than one batch at a time';
  if (header.isControl) return 'clients write no control records';
  if (header.recordCount === 0) return 'an empty batch';
  if (header.recordCount !== batch.readInt32BE(BATCH.lastOffsetDelta) + 1)
    return 'gaps between its offsets';
  if (header.producerId < 0) return undefined;
  if (header.producerEpoch < 0 || header.baseSequence < 0)
    return 'a producer id without epoch or sequence';
  return undefined;
}

function checkTimestamps(header: BatchHeader, { place, config, nowMs }: AdmissionRules): void {
  const { messageTimestampAfterMaxMs, messageTimestampBeforeMaxMs } = config;
  const isAhead = header.maxTimestampMs - nowMs > messageTimestampAfterMaxMs;
  const isBehind = nowMs - header.baseTimestampMs > messageTimestampBeforeMaxMs;
  if (!isAhead && !isBehind) return;
  const [side, limit] = isAhead
    ? ['ahead of', `messageTimestampAfterMaxMs=${messageTimestampAfterMaxMs}`]
    : ['behind', `messageTimestampBeforeMaxMs=${messageTimestampBeforeMaxMs}`];
  const timestampMs = isAhead ? header.maxTimestampMs : header.baseTimestampMs;
  const { topic, partition } = place;
  throw new LogError(
    'INVALID_TIMESTAMP',
    `a record for ${topic}-${partition} is stamped ${timestampMs}, ` +
      `too far ${side} the broker's clock (${nowMs}; ${limit})`,
    { topic, partition, timestampMs },
  );
}

/** A compacted topic keeps the newest record of each key, so each needs one. */
function checkKeys(batch: Buffer, place: RecordPlace): void {
  const cursor = new RecordCursor(place);
  cursor.open(batch, 0);
  while (cursor.next()) {
    if (cursor.keyStart === NULL_POSITION)
      throw invalidRecord(place, 'a record without a key, in a compacted topic');
  }
}

function invalidRecord(place: RecordPlace, reason: string): LogError {
  const { topic, partition } = place;
  const message = `a batch for ${topic}-${partition} was refused: ${reason}`;
  return new LogError('INVALID_RECORD', message, { topic, partition, reason });
}

/** Marks the batch as stamped by the broker: readers give all its records `maxTimestamp`. */
function stampAppendTime(batch: Buffer, nowMs: number): BatchHeader {
  const attributes = batch.readInt16BE(BATCH.attributes) | ATTRIBUTE.logAppendTime;
  batch.writeInt16BE(attributes, BATCH.attributes);
  writeInt64(batch, BATCH.maxTimestamp, nowMs);
  sealBatch(batch, 0);
  return readBatchHeader(batch, 0);
}
