import { assert, present } from '../../assert.ts';
import { LogError } from '../../errors.ts';
import { batchSizeBytes, readBatchHeader } from '../../record/batch.ts';
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
import { walkBatches } from '../segment/batch-walk.ts';
import { corrupt } from '../segment/log-reader.ts';
import type { OffsetMap } from './offset-map.ts';
import { Segment } from '../segment/segment.ts';
import { encodeAbortedTransactions } from '../segment/transaction-index.ts';

/** Bytes per read, and per turn of the event loop: a few milliseconds of work. */
const READ_BYTES = 512 * 1024;
/** Bytes per write. */
const WRITE_BYTES = 1024 * 1024;

export interface CleanerOptions {
  readonly fileSystem: FileSystem;
  readonly place: RecordPlace;
  readonly config: LogConfig;
  /** Throws to stop the cleaning. Called repeatedly. */
  readonly checkMayContinue: () => void;
  /** The largest segment; default: the largest position that an index can hold. */
  readonly sizeBytesMax?: number;
}

/**
 * Fills `map` with the newest offset of each key from `fromOffset` on, segment by segment, until
 * they end or the map is full; `map.latestOffset` is the last offset covered. Skips records of
 * aborted transactions.
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
 * Groups adjacent segments that together fit the limits of one segment (Kafka:
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
 * Writes the remaining batches of `group` as one segment whose file names end in `.cleaned`. When
 * it resolves, their content is durable, but their names are not. The segment ends at exactly the
 * same offset as the group, with an empty batch if necessary, so that recovery of an interrupted
 * swap knows which segments it replaces.
 *
 * @throws LogError CORRUPT_BATCH, CORRUPT_MESSAGE, UNSUPPORTED_COMPRESSION_TYPE, DISK_FULL,
 *   KAFKA_STORAGE_ERROR: the old segments remain.
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

/** The log file of a segment in the making. */
class CleanedFile {
  readonly #segment: Segment;
  readonly #options: CleanerOptions;
  #file: File | undefined;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  /** The bytes by which batches may still grow. */
  #spareBytes: number;

  /** @param sourceBytes of the source segments: reserved, so that they fit unchanged. */
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
   * Adds the cleaned form of the batch `chunk[start, end)`. A batch can grow, by a date or a block
   * that compresses worse; if there is no room for that, this pass leaves it unchanged.
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

  /** Writes the collected batches if they exceed `limitBytes`. */
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
  // Even an empty index is written: it replaces the old one.
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

/** Yields the batches of a sealed segment from position `from` on, whole and checked, in runs. */
async function* batchesOf(
  segment: Segment,
  from: number,
  { fileSystem, checkMayContinue }: CleanerOptions,
): AsyncGenerator<Buffer> {
  const { logPath } = segment;
  // Opens its own file: the segment's may be closed before such a long read ends.
  const file = await fileSystem.open(logPath, 'read').catch((cause: unknown) => {
    throw storageFailure(logPath, 'open', cause);
  });
  const read = async (at: number, count: number): Promise<Buffer> => {
    checkMayContinue();
    const chunk = Buffer.allocUnsafeSlow(count);
    const length = await file.read(chunk, at).catch((cause: unknown) => {
      throw storageFailure(logPath, 'read', cause);
    });
    const reason = 'the file is shorter than the log';
    if (length < count) throw corrupt(segment, at + length, reason);
    return chunk;
  };
  try {
    const walk = { read, from, to: segment.writtenBytes, chunkBytes: READ_BYTES };
    for await (const { bytes, position, fault } of walkBatches(walk)) {
      if (bytes.length > 0) yield bytes;
      if (fault !== undefined) throw corrupt(segment, position + bytes.length, fault);
    }
  } finally {
    await file.close();
  }
}

/** True for a failure that a retry would meet again, because the log itself is damaged. */
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
