import { BATCH_OVERHEAD, batchSizeBytes, checkBatch, type BatchFault } from '../../record/batch.ts';

/** Consecutive batches of a file. */
export interface BatchRun {
  /** The batches, from their first byte on; fresh memory, so records may stay views of it. */
  readonly bytes: Buffer;
  /** The file position of the first one. */
  readonly position: number;
  /** The fault right after the last one, where the walk ends. */
  readonly fault: BatchFault | undefined;
}

export interface WalkOptions {
  /** Reads `count` bytes at `position`; fewer only at the end of the file. */
  readonly read: (position: number, count: number) => Promise<Buffer>;
  /** The start of a batch. */
  readonly from: number;
  /** The end of the file. */
  readonly to: number;
  /** Bytes per read; a larger batch is read separately. */
  readonly chunkBytes: number;
  /**
   * Reads headers only: checks nothing but lengths, and the last batch of a run may consist of no
   * more than its header.
   */
  readonly isHeadersOnly?: boolean;
}

/**
 * Walks through the batches of a file; all code that reads a whole log uses it. Yields runs, so
 * that callers need no promise per batch: the batches of a run are `batchSizeBytes` apart.
 */
export async function* walkBatches(options: WalkOptions): AsyncGenerator<BatchRun> {
  const { read, from, to, chunkBytes, isHeadersOnly = false } = options;
  let want = chunkBytes;
  for (let position = from; position < to;) {
    const chunk = await read(position, Math.min(want, to - position));
    const isLast = position + chunk.length >= to || chunk.length < Math.min(want, to - position);
    const leftBytes = to - position;
    const { length, nextAt, fault } = isHeadersOnly
      ? headersIn(chunk, leftBytes, isLast)
      : batchesIn(chunk, leftBytes, isLast);
    if (length === 0 && fault === undefined) {
      // The first batch is larger than the chunk.
      want = chunk.length < BATCH_OVERHEAD ? BATCH_OVERHEAD : batchSizeBytes(chunk, 0);
      continue;
    }
    yield { bytes: chunk.subarray(0, length), position, fault };
    if (fault !== undefined) return;
    position += nextAt;
    want = chunkBytes;
  }
}

interface Found {
  /** The number of bytes in the batches of the run. */
  readonly length: number;
  /** The start of the next batch, relative to the chunk. */
  readonly nextAt: number;
  readonly fault: BatchFault | undefined;
}

/** The whole, sound batches at the start of a chunk; `leftBytes` of the file are left. */
function batchesIn(chunk: Buffer, leftBytes: number, isLast: boolean): Found {
  let at = 0;
  while (at < chunk.length) {
    const fault = checkBatch(chunk, at, chunk.length);
    const isCut = fault === 'header cut short' || fault === 'batch cut short';
    if (isCut && !isLast && !reachesBehind(chunk, at, leftBytes)) {
      return { length: at, nextAt: at, fault: undefined };
    }
    if (fault !== undefined) return { length: at, nextAt: at, fault };
    at += batchSizeBytes(chunk, at);
  }
  return { length: at, nextAt: at, fault: undefined };
}

/** The batches whose headers are in the chunk. */
function headersIn(chunk: Buffer, leftBytes: number, isLast: boolean): Found {
  let at = 0;
  while (at + BATCH_OVERHEAD <= chunk.length) {
    const sizeBytes = batchSizeBytes(chunk, at);
    if (sizeBytes < BATCH_OVERHEAD) return found(chunk, at, 'length field out of range');
    at += sizeBytes;
    if (at > leftBytes) return found(chunk, at, 'batch cut short');
  }
  const isCut = isLast && at < chunk.length;
  return found(chunk, at, isCut ? 'header cut short' : undefined);
}

function found(chunk: Buffer, nextAt: number, fault: BatchFault | undefined): Found {
  return { length: Math.min(nextAt, chunk.length), nextAt, fault };
}

/** Whether the length of a batch whose header is in the chunk exceeds the file. */
function reachesBehind(chunk: Buffer, at: number, leftBytes: number): boolean {
  return chunk.length - at >= BATCH_OVERHEAD && at + batchSizeBytes(chunk, at) > leftBytes;
}
