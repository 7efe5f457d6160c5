import { BATCH_OVERHEAD, batchSizeBytes, checkBatch, type BatchFault } from '../../record/batch.ts';

/** Batches that stand back to back in a file. */
export interface BatchRun {
  /** The batches, from their first byte on; fresh memory, so records may stay views of it. */
  readonly bytes: Buffer;
  /** Where the first one stands in the file. */
  readonly position: number;
  /** What is wrong right behind the last one: the walk ends there. */
  readonly fault: BatchFault | undefined;
}

export interface WalkOptions {
  /** Reads `count` bytes at `position`; fewer only where the file has no more. */
  readonly read: (position: number, count: number) => Promise<Buffer>;
  /** Where a batch starts. */
  readonly from: number;
  /** Where the file ends. */
  readonly to: number;
  /** Read at once; a larger batch is read by itself. */
  readonly chunkBytes: number;
  /**
   * Only headers are wanted: nothing is checked but lengths, and of the last batch of a run
   * perhaps no more than its header is there.
   */
  readonly isHeadersOnly?: boolean;
}

/**
 * Goes from batch to batch through a file, as everything does that reads a log from one end to
 * another. Gives them in runs, so that nobody waits for a promise at each: the batches of a run are
 * `batchSizeBytes` apart.
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
  /** Of the bytes that hold the batches of the run. */
  readonly length: number;
  /** Where the next batch starts, from the start of the chunk. */
  readonly nextAt: number;
  readonly fault: BatchFault | undefined;
}

/** The whole, sound batches at the start of a chunk; `leftBytes` are left of the file. */
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

/** The batches in a chunk whose headers are in it. */
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

/** Whether a batch whose header is in the chunk says that it ends behind the file. */
function reachesBehind(chunk: Buffer, at: number, leftBytes: number): boolean {
  return chunk.length - at >= BATCH_OVERHEAD && at + batchSizeBytes(chunk, at) > leftBytes;
}
