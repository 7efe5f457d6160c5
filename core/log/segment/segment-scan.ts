import {
  batchBaseOffset,
  checkBatch,
  readBatchHeader,
  type BatchFault,
  type BatchHeader,
} from '../../record/batch.ts';
import { coordinatorEpochAt, markerTypeAt } from '../../record/control.ts';
import { RecordCursor } from '../../record/record-cursor.ts';
import type { RecordPlace } from '../../record/unpack.ts';
import type { ProducerStates } from '../producer-states.ts';
import { walkBatches } from './batch-walk.ts';
import { readChunk } from './log-reader.ts';
import { INT32_MAX, type Segment } from './segment.ts';
import type { AbortedTransaction } from './transaction-index.ts';

/** The reason why a scan stopped before the end of the file. */
export type ScanFault = BatchFault | 'offsets do not rise';

/** The state that a scan updates besides the segment itself. */
export interface ScanOptions {
  readonly place: RecordPlace;
  readonly indexIntervalBytes: number;
  readonly producers: ProducerStates;
  /** The log was durable up to here, and nothing is missing right below. */
  readonly recoveryPoint: number;
  /** The producers know everything below. */
  readonly producersFrom: number;
  readonly nowMs: number;
}

/** Bytes per read while scanning: several batches of the default size, and cheap to hold. */
const SCAN_BYTES = 4 * 1024 * 1024;

/**
 * Reads the batches of `segment` from its current end (`admittedBytes`) to the end of its file,
 * checks each, and feeds indexes and producers. Stops at the first bad one: `segment` then ends
 * just before it.
 */
export async function scanSegment(
  segment: Segment,
  sizeBytes: number,
  options: ScanOptions,
): Promise<ScanFault | undefined> {
  const cursor = new RecordCursor(options.place);
  const read = (position: number, count: number) => readChunk(segment, position, count);
  const walk = { read, from: segment.admittedBytes, to: sizeBytes, chunkBytes: SCAN_BYTES };
  for await (const { bytes, fault } of walkBatches(walk)) {
    for (let at = 0; at < bytes.length;) {
      const header = readBatchHeader(bytes, at);
      if (!isInOrder(header, segment, options.recoveryPoint)) return 'offsets do not rise';
      const isBehindGap = header.baseOffset > segment.nextOffset;
      if (isBehindGap && reachesNext(bytes, at, header)) return 'offsets do not rise';
      segment.admit(header, options.indexIntervalBytes);
      if (header.producerId >= 0 && header.baseOffset >= options.producersFrom) {
        if (header.isControl) {
          cursor.open(bytes, at);
          endTransaction(segment, cursor, options);
        } else {
          options.producers.append(header, options.nowMs);
        }
      }
      at += header.sizeBytes;
    }
    if (fault !== undefined) return fault;
    segment.noteWritten();
  }
  return undefined;
}

/** Whether the offsets of a batch are plausible as the next ones: no checksum covers them. */
function isInOrder(
  { baseOffset, lastOffset }: BatchHeader,
  segment: Segment,
  recoveryPoint: number,
): boolean {
  const { nextOffset } = segment;
  // Below the recovery point there was something, and compaction does not reach this far.
  const leavesOut = nextOffset < recoveryPoint && nextOffset < baseOffset;
  const isAcross = leavesOut && lastOffset >= recoveryPoint;
  const isBeyond = lastOffset - segment.baseOffset > INT32_MAX;
  return baseOffset >= nextOffset && !isAcross && !isBeyond;
}

/** Whether the next batch, a sound one, begins within this one: then this one is wrong. */
function reachesNext(chunk: Buffer, at: number, { sizeBytes, lastOffset }: BatchHeader): boolean {
  const next = at + sizeBytes;
  if (checkBatch(chunk, next, chunk.length) !== undefined) return false;
  return batchBaseOffset(chunk, next) <= lastOffset;
}

function endTransaction(segment: Segment, cursor: RecordCursor, options: ScanOptions): void {
  if (!cursor.next()) return;
  const aborted = abortedBy(cursor, options.producers, options.nowMs);
  const newest = segment.indexes.aborted.at(-1);
  if (aborted === undefined) return;
  if (newest === undefined || newest.lastOffset < aborted.lastOffset)
    segment.indexes.aborted.push(aborted);
}

/**
 * Passes the control record at `cursor` to `producers`. Returns the transaction that it aborted, if
 * any.
 */
export function abortedBy(
  cursor: RecordCursor,
  producers: ProducerStates,
  nowMs: number,
): AbortedTransaction | undefined {
  const type = markerTypeAt(cursor);
  if (type === undefined) return undefined;
  const { producerId, producerEpoch } = cursor.header;
  // A late marker of a fenced producer ends nothing; Kafka's logs may hold one.
  if (producerEpoch < (producers.get(producerId)?.epoch ?? producerEpoch)) return undefined;
  return producers.end(cursor.header, type, coordinatorEpochAt(cursor), nowMs);
}
