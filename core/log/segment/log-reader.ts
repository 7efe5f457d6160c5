import { LogError } from '../../errors.ts';
import {
  batchBaseOffset,
  batchLastOffset,
  batchSizeBytes,
  BATCH_OVERHEAD,
  checkBatch,
  LOG_OVERHEAD,
  readBatchHeader,
  type BatchHeader,
} from '../../record/batch.ts';
import type { RecordPlace } from '../../record/unpack.ts';
import { storageFailure } from '../../storage/failure.ts';
import { walkBatches, type BatchRun } from './batch-walk.ts';
import type { Segment } from './segment.ts';

/** Whole batches, as stored in the log. */
export interface ReadResult {
  /** Empty if nothing is readable at the offset yet. */
  readonly bytes: Buffer;
  /** The offset after the last batch, or the requested one if there are none. */
  readonly nextOffset: number;
  /** The position where the batch at `nextOffset` will start. */
  readonly nextPosition: number;
}

/** Reads from the batch that holds `offset`; the search starts at `position`. */
export interface ReadRequest {
  readonly offset: number;
  readonly position: number;
  /** The last offset of the batch at `position` according to an index; the read verifies it. */
  readonly lastOffset?: number | undefined;
  /** Batches from here on are not readable. */
  readonly endOffset: number;
  /** The first batch is returned even if it is larger (KIP-74). */
  readonly maxBytes: number;
}

/** Enough for the header of a batch that is larger than the bytes read. */
const READ_BYTES_MIN = 16 * 1024;

/**
 * Reads whole, checked batches of one segment. The bytes are fresh memory: records may stay views
 * of them.
 *
 * @throws LogError CORRUPT_BATCH with file and position if the bytes are no sound batch.
 */
export async function readSegment(segment: Segment, request: ReadRequest): Promise<ReadResult> {
  const end = segment.writtenBytes; // fixed now: later writes are for the next read
  let { position } = request;
  // Without an index entry, the position is the end of an earlier read.
  let from = position === 0 ? segment.baseOffset : -Infinity;
  if (position > 0 && request.lastOffset === undefined) from = request.offset;
  let want = Math.max(request.maxBytes, READ_BYTES_MIN);
  for (;;) {
    const chunk = await readChunk(segment, position, Math.min(want, end - position));
    if (isMisled(chunk, request)) {
      segment.indexes.offsets.distrust();
      return readSegment(segment, { ...request, position: 0, lastOffset: undefined });
    }
    const skipped = skipBelow(segment, chunk, { ...request, position, from });
    const rest = chunk.length - skipped;
    const isWhole = rest >= BATCH_OVERHEAD && batchSizeBytes(chunk, skipped) <= rest;
    if (isWhole || (rest === 0 && position + skipped === end)) {
      return wholeBatches(segment, chunk, { ...request, position, start: skipped });
    }
    // The batch is larger than the chunk, or starts in its last bytes: read all of it, from its
    // start.
    position += skipped;
    want = Math.max(want, rest >= LOG_OVERHEAD ? batchSizeBytes(chunk, skipped) : READ_BYTES_MIN);
    if (rest === end - position) throw corrupt(segment, position, 'batch cut short');
    from = -Infinity;
    request = { ...request, lastOffset: undefined }; // the index was right
  }
}

/** True if an index led to a position without the batch that it names. */
function isMisled(chunk: Buffer, { lastOffset }: ReadRequest): boolean {
  if (lastOffset === undefined) return false;
  return chunk.length < BATCH_OVERHEAD || batchLastOffset(chunk, 0) !== lastOffset;
}

/**
 * The header of the first batch from `position` on that reaches `offset`, unchecked; undefined if
 * there is none, or no batch at `position`.
 */
export async function findHeader(
  segment: Segment,
  offset: number,
  position: number,
): Promise<BatchHeader | undefined> {
  for await (const { bytes } of walkHeaders(segment, position)) {
    for (let at = 0; at < bytes.length; at += batchSizeBytes(bytes, at)) {
      if (batchLastOffset(bytes, at) >= offset) return readBatchHeader(bytes, at);
    }
  }
  return undefined;
}

/** The batches of a segment from `from` on, for callers that need only headers; unchecked. */
export function walkHeaders(segment: Segment, from: number): AsyncGenerator<BatchRun> {
  const read = (position: number, count: number) => readChunk(segment, position, count);
  const to = segment.writtenBytes;
  return walkBatches({ read, from, to, chunkBytes: READ_BYTES_MIN, isHeadersOnly: true });
}

/** Reads `count` bytes at `position`; fewer mean damage, because the log has written them. */
export async function readChunk(
  segment: Segment,
  position: number,
  count: number,
): Promise<Buffer> {
  const chunk = Buffer.allocUnsafeSlow(count);
  const file = await segment.file();
  const read = await file.read(chunk, position).catch((cause: unknown) => {
    throw storageFailure(segment.logPath, 'read', cause);
  });
  if (read < count) throw corrupt(segment, position + read, 'the file is shorter than the log');
  return chunk;
}

/**
 * The position in `chunk`, which starts at `position`, of the first batch that reaches `offset`.
 * The first one in it begins at offset `from` or later.
 */
function skipBelow(
  segment: Segment,
  chunk: Buffer,
  request: ReadRequest & { readonly from: number },
): number {
  const { offset, position } = request;
  let { from } = request;
  let [at, skipped] = [0, -1];
  let hasOffset = false;
  while (chunk.length - at >= BATCH_OVERHEAD) {
    checkOffsets(segment, chunk, { at, position, from });
    from = batchLastOffset(chunk, at) + 1;
    if (from > offset) {
      hasOffset = batchBaseOffset(chunk, at) <= offset;
      break;
    }
    const size = batchSizeBytes(chunk, at);
    if (size < BATCH_OVERHEAD) throw corrupt(segment, position + at, 'length field out of range');
    if (size > chunk.length - at) return at;
    skipped = at;
    at += size;
  }
  // No batch has the offset: compaction removed it, or the previous batch's end is too low.
  if (!hasOffset && skipped >= 0 && offset < segment.nextOffset) {
    const fault = checkBatch(chunk, skipped, chunk.length);
    if (fault !== undefined) throw corrupt(segment, position + skipped, fault);
  }
  return at;
}

/**
 * The checksum of a batch does not cover its base offset: the only possible check is that it fits
 * between the previous batch and the end of the segment.
 */
function checkOffsets(
  segment: Segment,
  chunk: Buffer,
  place: { readonly at: number; readonly position: number; readonly from: number },
): void {
  const { at, position, from } = place;
  const [baseOffset, lastOffset] = [batchBaseOffset(chunk, at), batchLastOffset(chunk, at)];
  if (from <= baseOffset && baseOffset <= lastOffset && lastOffset < segment.nextOffset) return;
  throw corrupt(segment, position + at, 'offsets do not rise');
}

/** The whole batches in `chunk` from `start` on, up to the limits. The first one must be whole. */
function wholeBatches(
  segment: Segment,
  chunk: Buffer,
  request: ReadRequest & { readonly start: number },
): ReadResult {
  const { start, position, endOffset, maxBytes } = request;
  let at = start;
  let nextOffset = request.offset;
  while (chunk.length - at >= BATCH_OVERHEAD) {
    // Also check the one after the last: its base offset shows whether the last is right.
    checkOffsets(segment, chunk, { at, position, from: at > start ? nextOffset : -Infinity });
    const size = batchSizeBytes(chunk, at);
    if (at > start && (at - start + size > maxBytes || size > chunk.length - at)) break;
    if (batchBaseOffset(chunk, at) >= endOffset) break;
    const fault = checkBatch(chunk, at, chunk.length);
    if (fault !== undefined) throw corrupt(segment, position + at, fault);
    nextOffset = batchLastOffset(chunk, at) + 1;
    at += size;
  }
  return { bytes: chunk.subarray(start, at), nextOffset, nextPosition: position + at };
}

/** CORRUPT_BATCH at a position of a segment. */
export function corrupt(segment: Segment, positionBytes: number, reason: string): LogError {
  const file = segment.logPath;
  return new LogError(
    'CORRUPT_BATCH',
    `${file} is damaged at byte ${positionBytes}: ${reason}; ` +
      'the records from there on cannot be read',
    { file, positionBytes, reason },
  );
}

/** OFFSET_OUT_OF_RANGE for an offset that the log does not have yet, or no longer has. */
export function outOfRange(
  log: {
    readonly place: RecordPlace;
    readonly logStartOffset: number;
    readonly highWatermark: number;
  },
  offset: number,
): LogError {
  const { place, logStartOffset, highWatermark } = log;
  const { topic, partition } = place;
  return new LogError(
    'OFFSET_OUT_OF_RANGE',
    `offset ${offset} of ${topic}-${partition} cannot be read: ` +
      `the log has ${logStartOffset} to ${highWatermark}`,
    { topic, partition, offset, logStartOffset, highWatermark },
  );
}

/** CLOSED for a log that was closed. */
export function closed({ topic, partition }: RecordPlace): LogError {
  const what = `${topic}-${partition}`;
  return new LogError('CLOSED', `${what} is closed`, { what });
}
