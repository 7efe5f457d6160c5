import {
  batchBaseOffset,
  batchSizeBytes,
  checkBatch,
  LOG_OVERHEAD,
  readBatchHeader,
  type BatchFault,
  type BatchHeader,
} from '../../record/batch.ts';
import { coordinatorEpochAt, markerTypeAt } from '../../record/control.ts';
import { RecordCursor } from '../../record/record-cursor.ts';
import type { RecordPlace } from '../../record/unpack.ts';
import { readChunk } from './log-reader.ts';
import type { ProducerStates } from '../producer-states.ts';
import { INT32_MAX, type Segment } from './segment.ts';

/** Why a scan stopped before the end of the file. */
export type ScanFault = BatchFault | 'offsets do not rise';

/** What a scan feeds besides the segment itself. */
export interface ScanOptions {
  readonly place: RecordPlace;
  readonly indexIntervalBytes: number;
  readonly producers: ProducerStates;
  /** The log was durable up to there, and nothing is missing right below. */
  readonly recoveryPoint: number;
  /** The producers know everything below. */
  readonly producersFrom: number;
  readonly nowMs: number;
}

/** Read at once while scanning: several batches of the default size, and cheap to hold. */
const SCAN_BYTES = 4 * 1024 * 1024;

/**
 * Reads the batches of `segment` from where it stands (`admittedBytes`) to the end of its file,
 * checks each, and feeds indexes and producers. Stops at the first bad one: `segment` then ends
 * just before it.
 */
export async function scanSegment(
  segment: Segment,
  sizeBytes: number,
  options: ScanOptions,
): Promise<ScanFault | undefined> {
  const cursor = new RecordCursor(options.place);
  while (segment.admittedBytes < sizeBytes) {
    const position = segment.admittedBytes;
    const chunk = await readWholeBatches(segment, position, sizeBytes);
    const isLast = position + chunk.length === sizeBytes;
    for (let at = 0; at < chunk.length;) {
      const fault = checkBatch(chunk, at, chunk.length);
      const isCutByChunk = fault === 'header cut short' || fault === 'batch cut short';
      if (fault !== undefined && isCutByChunk && at > 0 && !isLast) break;
      if (fault !== undefined) return fault;
      const header = readBatchHeader(chunk, at);
      if (!isInOrder(header, segment, options.recoveryPoint)) return 'offsets do not rise';
      const isBehindGap = header.baseOffset > segment.nextOffset;
      if (isBehindGap && reachesNext(chunk, at, header)) return 'offsets do not rise';
      segment.admit(header, options.indexIntervalBytes);
      if (header.producerId >= 0 && header.baseOffset >= options.producersFrom) {
        if (header.isControl) {
          cursor.open(chunk, at);
          endTransaction(segment, cursor, options);
        } else {
          options.producers.append(header, options.nowMs);
        }
      }
      at += header.sizeBytes;
    }
    segment.noteWritten();
  }
  return undefined;
}

/** Whether a batch may come next, for all that is known: offsets stand outside of the checksum. */
function isInOrder(
  { baseOffset, lastOffset }: BatchHeader,
  segment: Segment,
  recoveryPoint: number,
): boolean {
  const { nextOffset } = segment;
  // Something was there below the recovery point, and compaction does not come so far.
  const leavesOut = nextOffset < recoveryPoint && nextOffset < baseOffset;
  const isAcross = leavesOut && lastOffset >= recoveryPoint;
  const isBeyond = lastOffset - segment.baseOffset > INT32_MAX;
  return baseOffset >= nextOffset && !isAcross && !isBeyond;
}

/** Whether the batch behind, a sound one, begins within this one: then this one is wrong. */
function reachesNext(chunk: Buffer, at: number, { sizeBytes, lastOffset }: BatchHeader): boolean {
  const next = at + sizeBytes;
  if (checkBatch(chunk, next, chunk.length) !== undefined) return false;
  return batchBaseOffset(chunk, next) <= lastOffset;
}

/** A chunk that holds at least the whole first batch, if the file does. */
async function readWholeBatches(
  segment: Segment,
  position: number,
  sizeBytes: number,
): Promise<Buffer> {
  const left = sizeBytes - position;
  const chunk = await readChunk(segment, position, Math.min(SCAN_BYTES, left));
  if (chunk.length < LOG_OVERHEAD) return chunk;
  const first = batchSizeBytes(chunk, 0);
  return first > chunk.length && first <= left ? readChunk(segment, position, first) : chunk;
}

function endTransaction(segment: Segment, cursor: RecordCursor, options: ScanOptions): void {
  if (!cursor.next()) return;
  const type = markerTypeAt(cursor);
  if (type === undefined) return;
  const { producers, nowMs } = options;
  const { producerId, producerEpoch } = cursor.header;
  // A late marker of a producer that was replaced ends nothing; Kafka's logs may hold one.
  if (producerEpoch < (producers.get(producerId)?.epoch ?? producerEpoch)) return;
  const aborted = producers.end(cursor.header, type, coordinatorEpochAt(cursor), nowMs);
  const newest = segment.indexes.aborted.at(-1);
  if (aborted === undefined) return;
  if (newest === undefined || newest.lastOffset < aborted.lastOffset)
    segment.indexes.aborted.push(aborted);
}
