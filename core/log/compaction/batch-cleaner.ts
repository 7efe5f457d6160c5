import { assert } from '../../assert.ts';
import {
  ATTRIBUTE,
  BATCH,
  BATCH_OVERHEAD,
  CODEC_MASK,
  CODECS,
  LOG_OVERHEAD,
  sealBatch,
  type BatchHeader,
} from '../../record/batch.ts';
import { compress, compressionLevel } from '../../record/compression.ts';
import { markerTypeAt } from '../../record/control.ts';
import { writeInt64 } from '../../int64.ts';
import { NULL_POSITION, RecordCursor } from '../../record/record-cursor.ts';
import type { RecordPlace } from '../../record/unpack.ts';
import { writeVarint, writeVarlong } from '../../record/varint.ts';
import type { CleanedTransactions } from './cleaned-transactions.ts';
import type { LogConfig } from '../log-config.ts';
import type { OffsetMap } from './offset-map.ts';
import type { ProducerState } from '../producer-states.ts';
import type { AbortedTransaction } from '../segment/transaction-index.ts';

/** Decides which records stay. */
export interface CleaningRules {
  readonly place: RecordPlace;
  readonly config: LogConfig;
  readonly nowMs: number;
  readonly map: OffsetMap;
  readonly transactions: CleanedTransactions;
  /** What a reader of the whole log must still find of each producer. */
  readonly producers: ReadonlyMap<number, LastOfProducer>;
}

/** The newest batch of a producer; after a marker that raised its epoch, that epoch's markers. */
export type LastOfProducer = { readonly lastOffset: number } | { readonly epoch: number };

export function lastOf({ batches, epoch }: ProducerState): LastOfProducer {
  const last = batches.at(-1);
  return last === undefined ? { epoch } : { lastOffset: last.lastOffset };
}

/** The rest of a batch after cleaning. */
export type Cleaned =
  | { readonly kind: 'same' }
  | { readonly kind: 'gone' }
  | { readonly kind: 'changed'; readonly bytes: Buffer };

const SAME: Cleaned = { kind: 'same' };
const GONE: Cleaned = { kind: 'gone' };

/** The fields of a record that may grow when its timestamp is rewritten: length and timestamp. */
const RECORD_GROWTH_MAX = 5 + 8;

/**
 * Removes compacted records from batches (Kafka: `Cleaner.cleanInto`, `MemoryRecords.filterTo`). A
 * batch keeps its first and last offset, its producer fields and its codec; its offsets get gaps.
 */
export class BatchCleaner {
  /** Entries for `.txnindex` of the markers seen since the last take. */
  #aborted: AbortedTransaction[] = [];
  readonly #rules: CleaningRules;
  readonly #cursor: RecordCursor;
  /** Start and end of the records to keep in the current batch; adjacent ones are merged. */
  #runs: number[] = [];

  constructor(rules: CleaningRules) {
    this.#rules = rules;
    this.#cursor = new RecordCursor(rules.place);
  }

  takeAborted(): AbortedTransaction[] {
    const aborted = this.#aborted;
    this.#aborted = [];
    return aborted;
  }

  /**
   * Cleans the batch at `position` of `source`, which `checkBatch` found sound. Call it for each
   * batch of the log in order.
   *
   * @param isLast keeps at least an empty batch, so that the file reaches this offset.
   * @throws LogError CORRUPT_MESSAGE, UNSUPPORTED_COMPRESSION_TYPE
   */
  clean(source: Buffer, position: number, header: BatchHeader, isLast: boolean): Cleaned {
    return header.isControl
      ? this.#cleanMarker(source, position, header, isLast)
      : this.#cleanData(source, position, header, isLast);
  }

  /** An unneeded marker gets a deletion date on the first pass and goes after that date. */
  #cleanMarker(source: Buffer, position: number, header: BatchHeader, isLast: boolean): Cleaned {
    const { transactions, nowMs } = this.#rules;
    const cursor = this.#cursor;
    cursor.open(source, position);
    // Kafka leaves an empty one to preserve its producer's state.
    const isEmpty = !cursor.next();
    const type = isEmpty ? undefined : markerTypeAt(cursor);
    const { isUnneeded, aborted } = transactions.endedBy(header, type);
    if (aborted !== undefined) this.#aborted.push(aborted);
    if (!isUnneeded && !isEmpty) return SAME;
    const horizonMs = horizonOf(source, position, header);
    if (!isEmpty && horizonMs === undefined) {
      this.#runs = [cursor.recordStart, cursor.recordEnd];
      return { kind: 'changed', bytes: this.#withHorizon(source, position, header) };
    }
    const isOver = horizonMs === undefined || horizonMs <= nowMs;
    return isOver && !isLast && !this.#isLastOfProducer(header) ? GONE : SAME;
  }

  #cleanData(source: Buffer, position: number, header: BatchHeader, isLast: boolean): Cleaned {
    const isAborted = this.#rules.transactions.isAborted(header);
    const horizonMs = horizonOf(source, position, header);
    const kept = isAborted ? NOTHING_KEPT : this.#chooseRecords(source, position, horizonMs);
    const { recordCount } = header;
    if (kept.count === 0) {
      if (!isLast && !this.#isLastOfProducer(header)) return GONE;
      return recordCount === 0 ? SAME : { kind: 'changed', bytes: empty(source, position, header) };
    }
    if (kept.hasTombstones && horizonMs === undefined) {
      const bytes = this.#withHorizon(source, position, header);
      return { kind: 'changed', bytes: this.#sealed(bytes, header, kept) };
    }
    if (kept.count === recordCount) return SAME;
    const bytes = this.#keptRecords(source, position);
    return { kind: 'changed', bytes: this.#sealed(bytes, header, kept) };
  }

  /** Collects in `#runs` the records of the batch that stay. */
  #chooseRecords(source: Buffer, position: number, horizonMs: number | undefined): Kept {
    const { map, nowMs } = this.#rules;
    const cursor = this.#cursor;
    const runs: number[] = [];
    const kept = { count: 0, maxTimestampMs: -Infinity, hasTombstones: false };
    const mayTombstonesGo = horizonMs !== undefined && horizonMs <= nowMs;
    cursor.open(source, position);
    while (cursor.next()) {
      const { keyStart, recordStart, recordEnd } = cursor;
      const isTombstone = cursor.valueStart === NULL_POSITION;
      if (cursor.offset <= map.latestOffset) {
        // A topic that was not always compacted may hold records without a key.
        if (keyStart === NULL_POSITION || (isTombstone && mayTombstonesGo)) continue;
        if (cursor.offset < map.get(cursor.source, keyStart, cursor.keyEnd)) continue;
      }
      kept.count++;
      kept.hasTombstones ||= isTombstone;
      kept.maxTimestampMs = Math.max(kept.maxTimestampMs, cursor.timestampMs);
      if (runs.at(-1) === recordStart) runs[runs.length - 1] = recordEnd;
      else runs.push(recordStart, recordEnd);
    }
    this.#runs = runs;
    return kept;
  }

  /** Kafka keeps the newest batch of each producer it knows, as far as its sequence goes. */
  #isLastOfProducer({ producerId, producerEpoch, lastOffset, isControl }: BatchHeader): boolean {
    const last = producerId < 0 ? undefined : this.#rules.producers.get(producerId);
    if (last === undefined) return false;
    if ('lastOffset' in last) return !isControl && last.lastOffset === lastOffset;
    return isControl && last.epoch === producerEpoch;
  }

  /** The batch header followed by the records of `#runs`, uncompressed. */
  #keptRecords(source: Buffer, position: number): Buffer {
    const { source: records } = this.#cursor;
    const parts = [source.subarray(position, position + BATCH_OVERHEAD)];
    for (let index = 0; index < this.#runs.length; index += 2) {
      parts.push(records.subarray(this.#runs[index], this.#runs[index + 1]));
    }
    return Buffer.concat(parts);
  }

  /**
   * The same with the date after which tombstones and markers may go. It replaces the base
   * timestamp (KIP-534), so each record's timestamp is relative to it.
   */
  #withHorizon(source: Buffer, position: number, header: BatchHeader): Buffer {
    const { nowMs, config } = this.#rules;
    const horizonMs = nowMs + config.deleteRetentionMs;
    const { source: records } = this.#cursor;
    const keptBytes = this.#keptBytes();
    const growth = header.recordCount * RECORD_GROWTH_MAX;
    const bytes = Buffer.allocUnsafe(BATCH_OVERHEAD + keptBytes + growth);
    source.copy(bytes, 0, position, position + BATCH_OVERHEAD);
    let end: number = BATCH_OVERHEAD;
    for (let index = 0; index < this.#runs.length; index += 2) {
      const runEnd = this.#runs[index + 1]!;
      for (let at = this.#runs[index]!; at < runEnd;) {
        const length = readVarlong(records, at);
        const body = at + varlongSizeAt(records, at);
        at = body + length;
        const time = body + 1; // after the attributes
        const rest = time + varlongSizeAt(records, time);
        const deltaMs = readVarlong(records, time) + header.baseTimestampMs - horizonMs;
        const timestampMs = header.isLogAppendTime ? header.maxTimestampMs - horizonMs : deltaMs;
        const timeEnd = writeVarlong(SCRATCH, 0, timestampMs);
        end = writeVarint(bytes, end, 1 + timeEnd + at - rest);
        bytes[end++] = records[body]!;
        end += SCRATCH.copy(bytes, end, 0, timeEnd);
        end += records.copy(bytes, end, rest, at);
      }
    }
    const attributes = bytes.readInt16BE(BATCH.attributes) | ATTRIBUTE.deleteHorizon;
    bytes.writeInt16BE(attributes, BATCH.attributes);
    writeInt64(bytes, BATCH.baseTimestamp, horizonMs);
    bytes.writeInt32BE(end - LOG_OVERHEAD, BATCH.length);
    const batch = bytes.subarray(0, end);
    if (header.isControl) sealBatch(batch, 0);
    return batch;
  }

  #keptBytes(): number {
    let sum = 0;
    for (let index = 0; index < this.#runs.length; index += 2) {
      sum += this.#runs[index + 1]! - this.#runs[index]!;
    }
    return sum;
  }

  /** Compresses the remaining records and sets the changed fields. */
  #sealed(bytes: Buffer, header: BatchHeader, kept: Kept): Buffer {
    const { codec = 'none', isLogAppendTime } = header;
    let batch = bytes;
    if (codec !== 'none') {
      const level = compressionLevel(codec, this.#rules.config);
      const block = compress(codec, bytes.subarray(BATCH_OVERHEAD), level);
      batch = Buffer.concat([bytes.subarray(0, BATCH_OVERHEAD), block]);
    }
    assert(kept.count <= header.recordCount, 'cleaning adds no records');
    batch.writeInt32BE(batch.length - LOG_OVERHEAD, BATCH.length);
    batch.writeInt32BE(kept.count, BATCH.recordCount);
    if (!isLogAppendTime) writeInt64(batch, BATCH.maxTimestamp, kept.maxTimestampMs);
    sealBatch(batch, 0);
    return batch;
  }
}

/** The part of a batch that stays. */
interface Kept {
  readonly count: number;
  readonly maxTimestampMs: number;
  readonly hasTombstones: boolean;
}

const NOTHING_KEPT: Kept = { count: 0, maxTimestampMs: 0, hasTombstones: false };
const SCRATCH = Buffer.alloc(16);

function horizonOf(source: Buffer, position: number, header: BatchHeader): number | undefined {
  const attributes = source.readInt16BE(position + BATCH.attributes);
  return (attributes & ATTRIBUTE.deleteHorizon) === 0 ? undefined : header.baseTimestampMs;
}

/** A batch without records: it preserves its producer's last sequence. */
function empty(source: Buffer, position: number, header: BatchHeader): Buffer {
  const bytes = Buffer.from(source.subarray(position, position + BATCH_OVERHEAD));
  const attributes = bytes.readInt16BE(BATCH.attributes) & ~(CODEC_MASK | ATTRIBUTE.deleteHorizon);
  bytes.writeInt16BE(attributes | CODECS.indexOf('none'), BATCH.attributes);
  bytes.writeInt32BE(BATCH_OVERHEAD - LOG_OVERHEAD, BATCH.length);
  writeInt64(bytes, BATCH.baseTimestamp, header.maxTimestampMs);
  bytes.writeInt32BE(0, BATCH.recordCount);
  sealBatch(bytes, 0);
  return bytes;
}

/** The number at `at`; the cursor has already validated the record. */
function readVarlong(source: Buffer, at: number): number {
  let byte = source[at++]!;
  const isNegative = (byte & 1) === 1;
  let magnitude = (byte & 0x7f) >>> 1;
  for (let factor = 0x40; byte >= 0x80; factor *= 0x80) {
    byte = source[at++]!;
    magnitude += (byte & 0x7f) * factor;
  }
  return isNegative ? -1 - magnitude : magnitude;
}

function varlongSizeAt(source: Buffer, at: number): number {
  let size = 1;
  while (source[at + size - 1]! >= 0x80) size++;
  return size;
}
