import { assert, present } from '../../assert.ts';
import { LogError } from '../../errors.ts';
import { BATCH_OVERHEAD, checkBatch, LOG_OVERHEAD, readBatchHeader } from '../../record/batch.ts';
import { batchSizeBytes } from '../../record/batch.ts';
import { markerTypeAt } from '../../record/control.ts';
import { NULL_POSITION, RecordCursor } from '../../record/record-cursor.ts';
import type { RecordPlace } from '../../record/unpack.ts';
import { storageFailure } from '../../storage/failure.ts';
import type { File, FileSystem } from '../../storage/file-system.ts';
import type { BatchCleaner, Cleaned } from './batch-cleaner.ts';
import type { CleanedTransactions } from './cleaned-transactions.ts';
import {
  CLEANED_SUFFIX,
  LOG_SUFFIX,
  OFFSET_INDEX_SUFFIX,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from '../segment/file-names.ts';
import type { LogConfig } from '../log-config.ts';
import { corrupt } from '../segment/log-reader.ts';
import type { OffsetMap } from './offset-map.ts';
import { Segment } from '../segment/segment.ts';
import { encodeAbortedTransactions } from '../segment/transaction-index.ts';

/** Read at once, and about what is done in one turn of the event loop: some milliseconds. */
const READ_BYTES = 512 * 1024;
/** Written at once. */
const WRITE_BYTES = 1024 * 1024;

export interface CleanerOptions {
  readonly fileSystem: FileSystem;
  readonly place: RecordPlace;
  readonly config: LogConfig;
  /** Throws when the cleaning is to stop. Called again and again. */
  readonly checkGoesOn: () => void;
  /** No segment gets larger; by default what positions in an index can say. */
  readonly sizeBytesMax?: number;
}

/**
 * Fills `map` with the newest offset of each key from `fromOffset` on, through the segments in
 * order, until they end or the map is full; `map.latestOffset` says how far it came. Records of
 * aborted transactions do not count.
 */
export async function fillOffsetMap(
  segments: readonly Segment[],
  fromOffset: number,
  map: OffsetMap,
  transactions: CleanedTransactions,
  options: CleanerOptions,
): Promise<void> {
  const cursor = new RecordCursor(options.place);
  for (const segment of segments) {
    const { position } = segment.indexes.offsets.lookup(fromOffset);
    for await (const chunk of batchesOf(segment, position, options)) {
      for (let at = 0; at < chunk.length; at += batchSizeBytes(chunk, at)) {
        const header = readBatchHeader(chunk, at);
        if (header.lastOffset < fromOffset) continue;
        if (map.isFull && map.latestOffset >= fromOffset) return;
        if (header.isControl) {
          cursor.open(chunk, at);
          transactions.endedBy(header, cursor.next() ? markerTypeAt(cursor) : undefined);
        } else if (!transactions.isAborted(header)) {
          cursor.open(chunk, at);
          putKeys(cursor, fromOffset, map);
        }
        map.latestOffset = header.lastOffset;
      }
    }
    map.latestOffset = segment.nextOffset - 1;
  }
}

function putKeys(cursor: RecordCursor, fromOffset: number, map: OffsetMap): void {
  while (cursor.next()) {
    const { keyStart, offset } = cursor;
    if (keyStart === NULL_POSITION || offset < fromOffset) continue;
    map.put(cursor.source, keyStart, cursor.keyEnd, offset);
  }
}

/**
 * Neighbours that one segment can replace: together they keep to the limits of one (Kafka:
 * `Cleaner.groupSegmentsBySize`). Offsets in an index are 32-bit numbers, relative to the first.
 */
export function groupSegments(
  segments: readonly Segment[],
  { segmentBytes, segmentIndexBytes }: LogConfig,
): Segment[][] {
  const groups: Segment[][] = [];
  let sums = { bytes: 0, offsets: 0, times: 0 };
  for (const segment of segments) {
    const { offsets, times } = segment.indexes;
    const group = groups.at(-1);
    sums = {
      bytes: sums.bytes + segment.writtenBytes,
      offsets: sums.offsets + offsets.count * OFFSET_ENTRY_BYTES,
      times: sums.times + times.count * TIME_ENTRY_BYTES,
    };
    const span = segment.nextOffset - (group?.[0]?.baseOffset ?? 0);
    const isIn =
      group !== undefined &&
      sums.bytes <= segmentBytes &&
      sums.offsets <= segmentIndexBytes &&
      sums.times <= segmentIndexBytes &&
      span <= INT32_MAX;
    if (isIn) {
      group.push(segment);
      continue;
    }
    groups.push([segment]);
    sums = {
      bytes: segment.writtenBytes,
      offsets: offsets.count * OFFSET_ENTRY_BYTES,
      times: times.count * TIME_ENTRY_BYTES,
    };
  }
  return groups;
}

const OFFSET_ENTRY_BYTES = 8;
const TIME_ENTRY_BYTES = 12;
const INT32_MAX = 0x7fff_ffff;

/**
 * Writes what is left of `group` as one segment with `.cleaned` behind the names of its files.
 * Their content is durable when it resolves, their names are not. It reaches exactly as far as the
 * group, by an empty batch where need be: so a swap that a crash interrupts knows what it replaces.
 *
 * @throws LogError CORRUPT_BATCH, CORRUPT_MESSAGE, UNSUPPORTED_COMPRESSION_TYPE, DISK_FULL,
 *   KAFKA_STORAGE_ERROR: the old segments stand.
 */
export async function writeCleaned(
  group: readonly Segment[],
  cleaner: BatchCleaner,
  options: CleanerOptions,
): Promise<Segment> {
  const first = present(group[0], 'a group has a segment');
  const lastOffset = present(group.at(-1), 'a group has a segment').nextOffset - 1;
  const cleaned = new Segment(options.fileSystem, first.directory, first.baseOffset);
  const output = new CleanedFile(cleaned, options, sizeOf(group));
  await output.open();
  try {
    for (const segment of group) {
      for await (const chunk of batchesOf(segment, 0, options)) {
        for (let at = 0; at < chunk.length;) {
          const header = readBatchHeader(chunk, at);
          const end = at + header.sizeBytes;
          const isLast = header.lastOffset === lastOffset;
          output.take(chunk, at, end, cleaner.clean(chunk, at, header, isLast));
          at = end;
        }
        await output.flush(WRITE_BYTES);
      }
    }
    await output.flush(0);
    await output.sync();
  } finally {
    await output.close();
  }
  assert(cleaned.nextOffset === lastOffset + 1, 'a cleaned segment reaches as far as the old ones');
  cleaned.closeTimeIndex();
  cleaned.indexes.aborted.push(...cleaner.takeAborted());
  const hadAborted = group.some(({ indexes }) => indexes.aborted.length > 0);
  await writeIndexes(cleaned, hadAborted, options.fileSystem);
  return cleaned;
}

/** The file of batches of a segment that is being made. */
class CleanedFile {
  readonly #segment: Segment;
  readonly #options: CleanerOptions;
  #file: File | undefined;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  /** By how much batches may still grow. */
  #spareBytes: number;

  /** @param sourceBytes of what it is made from: if all of that stays as it is, it has room. */
  constructor(segment: Segment, options: CleanerOptions, sourceBytes: number) {
    this.#segment = segment;
    this.#options = options;
    this.#spareBytes = (options.sizeBytesMax ?? INT32_MAX) - sourceBytes;
  }

  get #path(): string {
    return this.#segment.path(LOG_SUFFIX + CLEANED_SUFFIX);
  }

  async open(): Promise<void> {
    this.#file = await this.#do('create', () =>
      this.#options.fileSystem.open(this.#path, 'create'),
    );
  }

  /**
   * Takes what cleaning left of the batch `chunk[start, end)`. A batch can grow, by a date or a
   * block that compresses worse; where there is no room for that, it stays as it is this time.
   */
  take(chunk: Buffer, start: number, end: number, cleaned: Cleaned): void {
    const sizeBytes = end - start;
    if (cleaned.kind === 'gone') {
      this.#spareBytes += sizeBytes;
      return;
    }
    const isRoomy =
      cleaned.kind === 'changed' && cleaned.bytes.length <= sizeBytes + this.#spareBytes;
    const bytes = isRoomy ? cleaned.bytes : chunk.subarray(start, end);
    this.#spareBytes -= bytes.length - sizeBytes;
    this.#segment.admit(readBatchHeader(bytes, 0), this.#options.config.indexIntervalBytes);
    this.#pendingBytes += bytes.length;
    const previous = this.#pending.at(-1);
    const isNext =
      previous?.buffer === bytes.buffer &&
      previous.byteOffset + previous.length === bytes.byteOffset;
    if (isNext && !isRoomy) {
      const joined = Buffer.from(bytes.buffer, previous.byteOffset, previous.length + bytes.length);
      this.#pending[this.#pending.length - 1] = joined;
    } else {
      this.#pending.push(bytes);
    }
  }

  /** Writes what was taken, once it is more than `limitBytes`. */
  async flush(limitBytes: number): Promise<void> {
    if (this.#pendingBytes <= limitBytes) return;
    const file = present(this.#file, 'the file is open');
    const [pending, segment] = [this.#pending, this.#segment];
    [this.#pending, this.#pendingBytes] = [[], 0];
    await this.#do('write', () => file.write(pending, segment.writtenBytes));
    segment.noteWritten();
  }

  async sync(): Promise<void> {
    await this.#do('sync', async () => this.#file?.sync());
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  async #do<R>(operation: 'create' | 'write' | 'sync', call: () => Promise<R>): Promise<R> {
    try {
      return await call();
    } catch (cause) {
      throw storageFailure(this.#path, operation, cause);
    }
  }
}

async function writeIndexes(
  cleaned: Segment,
  hadAborted: boolean,
  fileSystem: FileSystem,
): Promise<void> {
  const { offsets, times, aborted } = cleaned.indexes;
  const files = new Map([
    [OFFSET_INDEX_SUFFIX, offsets.encode(0)],
    [TIME_INDEX_SUFFIX, times.encode(0)],
  ]);
  // Also when nothing is left for it: it is to replace the old one.
  if (hadAborted || aborted.length > 0) {
    files.set(TRANSACTION_INDEX_SUFFIX, encodeAbortedTransactions(aborted));
  }
  for (const [suffix, bytes] of files) {
    const path = cleaned.path(suffix) + CLEANED_SUFFIX;
    try {
      const file = await fileSystem.open(path, 'create');
      try {
        if (bytes.length > 0) await file.write([bytes], 0);
        await file.sync();
      } finally {
        await file.close();
      }
    } catch (cause) {
      throw storageFailure(path, 'write', cause);
    }
  }
  cleaned.noteFlushed();
}

/** The batches of a sealed segment from `position` on, whole and checked, some at a time. */
async function* batchesOf(
  segment: Segment,
  position: number,
  { fileSystem, checkGoesOn }: CleanerOptions,
): AsyncGenerator<Buffer> {
  const { logPath } = segment;
  // A file of its own: that of the segment may be closed under a reader that takes so long.
  const file = await fileSystem.open(logPath, 'read').catch((cause: unknown) => {
    throw storageFailure(logPath, 'open', cause);
  });
  try {
    const sizeBytes = segment.writtenBytes;
    let want = READ_BYTES;
    while (position < sizeBytes) {
      checkGoesOn();
      const chunk = Buffer.allocUnsafeSlow(Math.min(want, sizeBytes - position));
      const read = await file.read(chunk, position).catch((cause: unknown) => {
        throw storageFailure(logPath, 'read', cause);
      });
      const reason = 'the file is shorter than the log';
      if (read < chunk.length) throw corrupt(segment, position + read, reason);
      const length = wholeLength(segment, chunk, position, sizeBytes);
      if (length === 0) {
        // Larger than what was read.
        want = chunk.length < LOG_OVERHEAD ? BATCH_OVERHEAD : batchSizeBytes(chunk, 0);
        continue;
      }
      want = READ_BYTES;
      yield chunk.subarray(0, length);
      position += length;
    }
  } finally {
    await file.close();
  }
}

/** How much of `chunk` is whole batches. */
function wholeLength(segment: Segment, chunk: Buffer, position: number, sizeBytes: number): number {
  let at = 0;
  while (at < chunk.length) {
    const fault = checkBatch(chunk, at, chunk.length);
    const isCut = fault === 'header cut short' || fault === 'batch cut short';
    const isAtEnd = position + chunk.length === sizeBytes;
    if (fault !== undefined && isCut && !isAtEnd) return at;
    if (fault !== undefined) throw corrupt(segment, position + at, fault);
    at += batchSizeBytes(chunk, at);
  }
  return at;
}

/** True for a failure that another attempt meets again: the log itself is at fault. */
export function isFaultOfLog(error: unknown): boolean {
  return (
    LogError.is(error, 'CORRUPT_BATCH') ||
    LogError.is(error, 'CORRUPT_MESSAGE') ||
    LogError.is(error, 'UNSUPPORTED_COMPRESSION_TYPE')
  );
}

export function sizeOf(segments: readonly Segment[]): number {
  return segments.reduce((sum, { writtenBytes }) => sum + writtenBytes, 0);
}
