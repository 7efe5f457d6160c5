import {
  batchBaseOffset,
  batchSizeBytes,
  BATCH,
  BATCH_OVERHEAD,
  checkBatch,
  readBatchHeader,
  type BatchFault,
  type BatchHeader,
} from '../record/batch.ts';
import { walkBatches } from '../log/segment/batch-walk.ts';
import type { File } from '../storage/file-system.ts';

/** A whole, sound batch. */
export interface SoundBatch {
  readonly kind: 'batch';
  readonly start: number;
  readonly end: number;
  /** Contains the batch from `at` on. */
  readonly source: Buffer;
  readonly at: number;
  readonly header: BatchHeader;
}

/** Bytes that are no batch, up to the next sound batch or the end of the file. */
export interface Damage {
  readonly kind: 'damage';
  readonly start: number;
  readonly end: number;
  readonly reason: BatchFault;
}

export type Stretch = SoundBatch | Damage;

/** The possible base offsets of a batch after damage. */
export interface OffsetRange {
  readonly from: number;
  readonly upTo: number;
}

/** Bytes per read: several batches of the default size, and cheap to hold. */
const CHUNK_BYTES = 1024 * 1024;
const MAGIC = 2;

/**
 * Walks through the file of a segment, up to `sizeBytes`, and past damage: after a bad batch it
 * searches for the next sound one, first at the end that the bad one claims, then byte by byte.
 * Holds a chunk of the file in memory, or one batch if that is larger.
 *
 * @param plausible the base offsets to accept after damage: bytes of a value may look like a batch.
 * @param from the start of a batch.
 */
export async function* walkStretches(
  file: File,
  sizeBytes: number,
  plausible: () => OffsetRange,
  from = 0,
): AsyncGenerator<Stretch, void, undefined> {
  const window = new Window(file, sizeBytes);
  const read = (position: number, count: number) => window.bytes(position, count);
  for (let start = from; start < sizeBytes;) {
    const walk = { read, from: start, to: sizeBytes, chunkBytes: CHUNK_BYTES };
    for await (const { bytes: source, position, fault } of walkBatches(walk)) {
      for (let at = 0; at < source.length;) {
        const header = readBatchHeader(source, at);
        const end = start + header.sizeBytes;
        yield { kind: 'batch', start, end, source, at, header };
        at += header.sizeBytes;
        start = end;
      }
      if (fault === undefined) continue;
      start = position + source.length;
      const end = await nextSound(window, start, plausible());
      yield { kind: 'damage', start, end, reason: fault };
      start = end;
    }
  }
}

/** The batch at `start`, or its fault. */
async function soundBatchAt(window: Window, start: number): Promise<SoundBatch | BatchFault> {
  const head = await window.bytes(start, BATCH_OVERHEAD);
  if (head.length < BATCH_OVERHEAD) return 'header cut short';
  const claimed = batchSizeBytes(head, 0);
  // A length that exceeds the file is a fault in itself: no read is necessary to see it.
  const isInside = claimed >= BATCH_OVERHEAD && claimed <= window.sizeBytes - start;
  const source = isInside ? await window.bytes(start, claimed) : head;
  const fault = checkBatch(source, 0, source.length);
  if (fault !== undefined) return fault;
  const header = readBatchHeader(source, 0);
  return { kind: 'batch', start, end: start + claimed, source, at: 0, header };
}

/** The position of the next sound batch, or the end of the file. */
async function nextSound(window: Window, start: number, range: OffsetRange): Promise<number> {
  const head = await window.bytes(start, BATCH_OVERHEAD);
  const claimedEnd = head.length < BATCH_OVERHEAD ? start : start + batchSizeBytes(head, 0);
  if (claimedEnd === window.sizeBytes) return claimedEnd;
  if (claimedEnd >= start + BATCH_OVERHEAD && (await isPlausible(window, claimedEnd, range))) {
    return claimedEnd;
  }
  for (let at = start + 1; at + BATCH_OVERHEAD <= window.sizeBytes;) {
    const bytes = await window.bytes(at, Math.min(CHUNK_BYTES, window.sizeBytes - at));
    const magic = bytes.indexOf(MAGIC, BATCH.magic);
    if (magic < 0) {
      at += Math.max(1, bytes.length - BATCH.magic);
      continue;
    }
    at += magic - BATCH.magic;
    if (await isPlausible(window, at, range)) return at;
    at++;
  }
  return window.sizeBytes;
}

async function isPlausible(
  window: Window,
  position: number,
  { from, upTo }: OffsetRange,
): Promise<boolean> {
  if (position + BATCH_OVERHEAD > window.sizeBytes) return false;
  const baseOffset = batchBaseOffset(await window.bytes(position, BATCH_OVERHEAD), 0);
  if (baseOffset < from || baseOffset >= upTo) return false;
  return typeof (await soundBatchAt(window, position)) === 'object';
}

/** The part of a file that is in memory. */
class Window {
  readonly sizeBytes: number;
  readonly #file: File;
  #start = 0;
  #chunk: Buffer = Buffer.alloc(0);

  constructor(file: File, sizeBytes: number) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
  }

  /** The bytes at `position`: fewer than `count` only at the end of the file. */
  async bytes(position: number, count: number): Promise<Buffer> {
    const end = Math.min(position + count, this.sizeBytes);
    if (position < this.#start || end > this.#start + this.#chunk.length) {
      const wanted = Math.min(Math.max(count, CHUNK_BYTES), this.sizeBytes - position);
      const chunk = Buffer.allocUnsafeSlow(Math.max(0, wanted)); // callers keep the old chunk
      this.#chunk = chunk.subarray(0, await this.#file.read(chunk, position));
      this.#start = position;
    }
    return this.#chunk.subarray(position - this.#start, end - this.#start);
  }
}
