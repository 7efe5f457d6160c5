import { batchBaseOffset, batchSizeBytes, readBatchHeader } from '../record/batch.ts';
import { RecordCursor, type RecordPlace } from '../record/record-cursor.ts';
import { readSegment } from './log-reader.ts';
import type { Segment } from './segment.ts';

export interface TimestampedOffset {
  readonly offset: number;
  readonly timestampMs: number;
}

/** Read at once while searching. */
const SEARCH_BYTES = 256 * 1024;

/**
 * The first record in [from, upTo) that is stamped `timestampMs` or later, or undefined. The time
 * index says where to begin; the batches from there on are read.
 */
export async function findTimestamp(
  segments: readonly Segment[],
  timestampMs: number,
  range: { readonly from: number; readonly upTo: number; readonly place: RecordPlace },
): Promise<TimestampedOffset | undefined> {
  for (const segment of [...segments]) {
    if (segment.maxTimestampMs < timestampMs) continue;
    let offset = Math.max(segment.indexes.times.lookup(timestampMs), range.from);
    let position = segment.indexes.offsets.lookup(offset);
    while (offset < range.upTo) {
      const request = { offset, position, endOffset: range.upTo, maxBytes: SEARCH_BYTES };
      const { bytes, nextOffset, nextPosition } = await readSegment(segment, request);
      if (bytes.length === 0) break;
      const found = searchBatches(bytes, timestampMs, range);
      if (found !== undefined) return found;
      [offset, position] = [nextOffset, nextPosition];
    }
  }
  return undefined;
}

function searchBatches(
  bytes: Buffer,
  timestampMs: number,
  range: { readonly from: number; readonly upTo: number; readonly place: RecordPlace },
): TimestampedOffset | undefined {
  const cursor = new RecordCursor(range.place);
  for (let at = 0; at < bytes.length; at += batchSizeBytes(bytes, at)) {
    if (batchBaseOffset(bytes, at) >= range.upTo) return undefined;
    const header = readBatchHeader(bytes, at);
    if (header.maxTimestampMs < timestampMs || header.isControl) continue;
    cursor.open(bytes, at);
    while (cursor.next()) {
      if (cursor.timestampMs < timestampMs || cursor.offset < range.from) continue;
      return { offset: cursor.offset, timestampMs: cursor.timestampMs };
    }
  }
  return undefined;
}
