import {
  batchBaseOffset,
  batchSizeBytes,
  NO_TIMESTAMP,
  readBatchHeader,
} from '../../record/batch.ts';
import { RecordCursor } from '../../record/record-cursor.ts';
import type { RecordPlace } from '../../record/unpack.ts';
import { findHeader, readSegment } from './log-reader.ts';
import type { Segment } from './segment.ts';

export interface TimestampedOffset {
  readonly offset: number;
  readonly timestampMs: number;
}

/** Bytes per read while searching. */
const SEARCH_BYTES = 256 * 1024;

/** The range to search: offsets from `from` on, below `upTo`. */
export interface SearchRange {
  readonly from: number;
  readonly upTo: number;
  readonly place: RecordPlace;
}

/**
 * The first record in the range that is stamped `timestampMs` or later, or undefined. Reads the
 * batches from the position that the time index gives.
 */
export async function findTimestamp(
  segments: readonly Segment[],
  timestampMs: number,
  range: SearchRange,
): Promise<TimestampedOffset | undefined> {
  for (const segment of [...segments]) {
    if (segment.maxTimestampMs < timestampMs) continue;
    const from = (await startOf(segment, timestampMs)) ?? segment.baseOffset;
    for await (const bytes of readRange(segment, { ...range, from: Math.max(from, range.from) })) {
      const found = searchBatches(bytes, timestampMs, range);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** The newest timestamp of a record in the range, and the first record that has it. */
export async function findNewest(
  segments: readonly Segment[],
  range: SearchRange,
): Promise<TimestampedOffset | undefined> {
  let newestMs = NO_TIMESTAMP;
  const byTime = segments.toSorted((a, b) => b.maxTimestampMs - a.maxTimestampMs);
  for (const segment of byTime) {
    if (segment.maxTimestampMs <= newestMs) break;
    // Not found if it is a marker's, or was deleted, or is not written yet.
    const found = await findTimestamp([segment], segment.maxTimestampMs, range);
    newestMs = Math.max(newestMs, found?.timestampMs ?? (await newestIn(segment, range)));
  }
  return newestMs === NO_TIMESTAMP ? undefined : findTimestamp(segments, newestMs, range);
}

/** The newest timestamp of a segment's records in the range, by reading them. */
async function newestIn(segment: Segment, range: SearchRange): Promise<number> {
  let newestMs = NO_TIMESTAMP;
  const cursor = new RecordCursor(range.place);
  for await (const bytes of readRange(segment, range)) {
    for (let at = 0; at < bytes.length; at += batchSizeBytes(bytes, at)) {
      const header = readBatchHeader(bytes, at);
      if (header.isControl || header.maxTimestampMs <= newestMs) continue;
      cursor.open(bytes, at);
      while (cursor.next()) {
        if (cursor.offset >= range.from) newestMs = Math.max(newestMs, cursor.timestampMs);
      }
    }
  }
  return newestMs;
}

/**
 * The offset before which no record of `segment` is stamped `timestampMs` or later, by the time
 * index; undefined if it has no such entry, or one that disagrees with the log.
 */
async function startOf(segment: Segment, timestampMs: number): Promise<number | undefined> {
  const { offsets, times } = segment.indexes;
  const entry = times.lookup(timestampMs);
  if (entry === undefined) return undefined;
  const { position } = offsets.lookup(entry.offset);
  const header = await findHeader(segment, entry.offset, position);
  const isRight =
    header?.lastOffset === entry.offset && header.maxTimestampMs === entry.timestampMs;
  return isRight ? entry.offset : undefined;
}

/** Yields the batches of a segment in a range, in runs. */
async function* readRange(segment: Segment, { from, upTo }: SearchRange): AsyncGenerator<Buffer> {
  let offset = Math.max(from, segment.baseOffset);
  let start: { readonly position: number; readonly lastOffset?: number | undefined } =
    segment.indexes.offsets.lookup(offset);
  while (offset < upTo) {
    const limits = { endOffset: upTo, maxBytes: SEARCH_BYTES };
    const { bytes, nextOffset, nextPosition } = await readSegment(segment, {
      offset,
      ...start,
      ...limits,
    });
    if (bytes.length === 0) return;
    yield bytes;
    [offset, start] = [nextOffset, { position: nextPosition }];
  }
}

function searchBatches(
  bytes: Buffer,
  timestampMs: number,
  range: SearchRange,
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
