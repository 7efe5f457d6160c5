import { join } from 'node:path';
import { assert } from '../../assert.ts';
import { LogError } from '../../errors.ts';
import { NO_TIMESTAMP, placeBatch, type BatchHeader } from '../../record/batch.ts';
import { placeFile, replaceFile } from '../../storage/atomic-file.ts';
import { storageFailure } from '../../storage/failure.ts';
import type { File, FileSystem } from '../../storage/file-system.ts';
import {
  LOG_SUFFIX,
  OFFSET_INDEX_SUFFIX,
  offsetName,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from './file-names.ts';
import { isCompacted, type LogConfig } from '../log-config.ts';
import { OffsetIndex, TimeIndex } from './sparse-index.ts';
import {
  digestOf,
  encodeAbortedTransactions,
  type AbortedDigest,
  type AbortedTransaction,
} from './transaction-index.ts';

/** Relative offsets and positions are 32-bit numbers in the indexes. */
export const INT32_MAX = 0x7fff_ffff;

/** The three indexes of a segment. */
export interface SegmentIndexes {
  readonly offsets: OffsetIndex;
  readonly times: TimeIndex;
  /** By rising `lastOffset`. */
  readonly aborted: AbortedTransaction[];
}

export function emptyIndexes(baseOffset: number): SegmentIndexes {
  return { offsets: new OffsetIndex(baseOffset), times: new TimeIndex(baseOffset), aborted: [] };
}

/** How much of the three indexes is in their files. */
interface IndexedCounts {
  offsets: number;
  times: number;
  aborted: number;
}

/**
 * One segment: its file of batches and the three indexes over it. Batches are first *admitted*
 * (offset and position are fixed, the indexes contain them), later *written* (the writer calls
 * `noteWritten`); readers see only written ones.
 */
export class Segment {
  readonly baseOffset: number;
  readonly directory: string;
  readonly indexes: SegmentIndexes;
  /** Bytes assigned to batches. Moves at admission. */
  #admittedBytes = 0;
  /** Bytes that the operating system has. Moves after each write; readers stop here. */
  #writtenBytes = 0;
  /** The offset after the newest admitted batch. */
  #nextOffset: number;
  /** The newest record's timestamp, and the last offset of the batch that holds it. */
  #maxTimestampMs = NO_TIMESTAMP;
  #maxTimestampOffset: number;
  /** The first batch's timestamp, for rolling by time; NO_TIMESTAMP while empty. */
  #firstTimestampMs = NO_TIMESTAMP;
  #bytesSinceIndexEntry = 0;
  readonly #fileSystem: FileSystem;
  #file: Promise<File> | undefined;
  #isRemoved = false;
  /** The entries that `flushIndexes` has put into the files. */
  readonly #flushed: IndexedCounts;
  /** Cached digest of the entries below an offset, with their count: they only grow in number. */
  #digest: AbortedDigest | undefined;
  /** Set if an index file is missing: the next `flushIndexes` creates it, even if empty. */
  #lacksFile = false;

  /** An empty segment; `resume` adopts `indexes` that were read from its files. */
  constructor(
    fileSystem: FileSystem,
    directory: string,
    baseOffset: number,
    indexes: SegmentIndexes = emptyIndexes(baseOffset),
  ) {
    this.#fileSystem = fileSystem;
    this.directory = directory;
    this.baseOffset = baseOffset;
    this.#nextOffset = baseOffset;
    this.indexes = indexes;
    this.#maxTimestampOffset = baseOffset;
    const { offsets, times, aborted } = indexes;
    this.#flushed = { offsets: offsets.count, times: times.count, aborted: aborted.length };
    const newest = times.last();
    if (newest !== undefined) {
      this.#maxTimestampMs = newest.timestampMs;
      this.#maxTimestampOffset = newest.offset;
    }
  }

  get admittedBytes(): number {
    return this.#admittedBytes;
  }

  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  get nextOffset(): number {
    return this.#nextOffset;
  }

  get maxTimestampMs(): number {
    return this.#maxTimestampMs;
  }

  /** The name of one of the segment's files. */
  name(suffix: string): string {
    return offsetName(this.baseOffset) + suffix;
  }

  /** The path of one of the segment's files. */
  path(suffix: string): string {
    return join(this.directory, this.name(suffix));
  }

  get logPath(): string {
    return this.path(LOG_SUFFIX);
  }

  /** Records that the file has lost its name: once closed, it stays closed. */
  noteRemoved(): void {
    this.#isRemoved = true;
  }

  get isRemoved(): boolean {
    return this.#isRemoved;
  }

  /**
   * The file of batches, opened at the first call and created if absent.
   *
   * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR
   */
  file(): Promise<File> {
    if (this.#isRemoved && this.#file === undefined) {
      const details = { file: this.logPath, operation: 'open' };
      const message = `${this.logPath} was removed`;
      return Promise.reject(new LogError('KAFKA_STORAGE_ERROR', message, details));
    }
    this.#file ??= this.#fileSystem.open(this.logPath, 'create').catch((cause: unknown) => {
      this.#file = undefined;
      throw storageFailure(this.logPath, 'open', cause);
    });
    return this.#file;
  }

  /** False if the batch needs a new segment because of its size, its time, or a full index. */
  hasRoomFor(header: BatchHeader, config: LogConfig): boolean {
    if (this.#admittedBytes === 0) return true;
    const { segmentBytes, segmentIndexBytes } = config;
    // The active segment is not compacted, so it must not stay active longer than a record may
    // wait.
    const segmentMs = isCompacted(config)
      ? Math.min(config.segmentMs, config.maxCompactionLagMs)
      : config.segmentMs;
    const { offsets, times } = this.indexes;
    const sizeBytes = this.#admittedBytes + header.sizeBytes;
    const lastOffset = this.#nextOffset + header.lastOffset - header.baseOffset;
    return (
      sizeBytes <= Math.min(segmentBytes, INT32_MAX) &&
      lastOffset - this.baseOffset <= INT32_MAX &&
      header.maxTimestampMs - this.#firstTimestampMs <= segmentMs &&
      (offsets.count + 1) * OffsetIndex.ENTRY_BYTES <= segmentIndexBytes &&
      (times.count + 1) * TimeIndex.ENTRY_BYTES <= segmentIndexBytes
    );
  }

  /**
   * Gives a batch the next offsets and the epoch of `header`, in its bytes too, and admits it.
   * Returns its header with them.
   */
  place(batch: Buffer, header: BatchHeader, indexIntervalBytes: number): BatchHeader {
    const baseOffset = this.#nextOffset;
    placeBatch(batch, 0, { baseOffset, leaderEpoch: header.leaderEpoch });
    const lastOffset = baseOffset + header.lastOffset - header.baseOffset;
    const placed = { ...header, baseOffset, lastOffset };
    this.admit(placed, indexIntervalBytes);
    return placed;
  }

  /**
   * Admits a batch at position `admittedBytes`, and feeds the indexes by Kafka's rule
   * (`LogSegment.append`): one entry after more than `indexIntervalBytes` since the last.
   */
  admit(header: BatchHeader, indexIntervalBytes: number): void {
    assert(header.baseOffset >= this.#nextOffset, 'offsets rise within a segment');
    if (this.#firstTimestampMs === NO_TIMESTAMP) this.#firstTimestampMs = header.maxTimestampMs;
    if (header.maxTimestampMs > this.#maxTimestampMs) {
      this.#maxTimestampMs = header.maxTimestampMs;
      this.#maxTimestampOffset = header.lastOffset;
    }
    if (this.#bytesSinceIndexEntry > indexIntervalBytes) {
      this.indexes.offsets.append(header.lastOffset, this.#admittedBytes);
      this.indexes.times.maybeAppend(this.#maxTimestampMs, this.#maxTimestampOffset);
      this.#bytesSinceIndexEntry = 0;
    }
    this.#bytesSinceIndexEntry += header.sizeBytes;
    this.#admittedBytes += header.sizeBytes;
    this.#nextOffset = header.lastOffset + 1;
  }

  /**
   * Adds the last time entry, as Kafka does on roll and close, so that the index has the newest
   * time.
   */
  closeTimeIndex(): void {
    if (this.#maxTimestampMs === NO_TIMESTAMP) return;
    this.indexes.times.maybeAppend(this.#maxTimestampMs, this.#maxTimestampOffset);
  }

  /** Records that the operating system has the file up to here; default: all admitted bytes. */
  noteWritten(upToBytes = this.#admittedBytes): void {
    this.#writtenBytes = upToBytes;
  }

  /**
   * Continues at `sizeBytes`, where the batch at `nextOffset` will start, and trusts all before it.
   * `firstTimestampMs` is that of its first batch.
   */
  resume(sizeBytes: number, nextOffset: number, firstTimestampMs = NO_TIMESTAMP): void {
    this.#admittedBytes = sizeBytes;
    this.#writtenBytes = sizeBytes;
    this.#nextOffset = nextOffset;
    this.#firstTimestampMs = firstTimestampMs;
  }

  /** Records that the index files hold all entries of the indexes. */
  noteFlushed(): void {
    const { offsets, times, aborted } = this.indexes;
    const upTo = { offsets: offsets.count, times: times.count, aborted: aborted.length };
    Object.assign(this.#flushed, upTo);
  }

  /** The digest of the aborted transactions whose marker is below `upTo`; undefined for none. */
  abortedDigest(upTo: number): AbortedDigest | undefined {
    const { aborted } = this.indexes;
    const count = aborted.findLastIndex(({ lastOffset }) => lastOffset < upTo) + 1;
    if (count !== (this.#digest?.count ?? 0)) this.#digest = digestOf(aborted.slice(0, count));
    return this.#digest;
  }

  /** Records that `.index` or `.timeindex` is missing and must be rebuilt. */
  noteMissingIndex(): void {
    this.#lacksFile = true;
  }

  /** True if some index entries are only in memory. */
  get hasUnflushedIndexes(): boolean {
    const { offsets, times, aborted } = this.indexes;
    const flushed = this.#flushed;
    return (
      this.#lacksFile ||
      flushed.offsets < offsets.count ||
      flushed.times < times.count ||
      flushed.aborted < aborted.length
    );
  }

  /**
   * Appends the new index entries to their files and syncs them. Durable once the directory is
   * synced too. One call at a time.
   *
   * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR: the next call writes the same entries again.
   */
  async flushIndexes(): Promise<void> {
    const { offsets, times, aborted } = this.indexes;
    const from = { ...this.#flushed };
    const upTo = { offsets: offsets.count, times: times.count, aborted: aborted.length };
    await this.#writeIndex(
      OFFSET_INDEX_SUFFIX,
      offsets.encode(from.offsets),
      from.offsets * OffsetIndex.ENTRY_BYTES,
    );
    await this.#writeIndex(
      TIME_INDEX_SUFFIX,
      times.encode(from.times),
      from.times * TimeIndex.ENTRY_BYTES,
    );
    // Kafka creates this file only at the first abort. It is replaced, not appended to: recovery
    // does not search the log for entries that it has lost, so it must never be seen cut short.
    if (upTo.aborted > from.aborted) {
      const bytes = encodeAbortedTransactions(aborted);
      await placeFile(this.#fileSystem, this.path(TRANSACTION_INDEX_SUFFIX), bytes);
    }
    Object.assign(this.#flushed, upTo);
    this.#lacksFile = false;
  }

  /**
   * Removes entries from the index files that the indexes do not have, after recovery found others.
   * Needs disk space only for aborted transactions; `flushIndexes` adds the entries that the files
   * lack.
   *
   * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR
   */
  async trimIndexes(): Promise<void> {
    const { offsets, times } = this.#flushed;
    await this.#shorten(OFFSET_INDEX_SUFFIX, offsets * OffsetIndex.ENTRY_BYTES);
    await this.#shorten(TIME_INDEX_SUFFIX, times * TimeIndex.ENTRY_BYTES);
    const path = this.path(TRANSACTION_INDEX_SUFFIX);
    const { aborted } = this.indexes;
    if (aborted.length === 0 && (await this.#fileSystem.stat(path)) === undefined) return;
    await replaceFile(this.#fileSystem, path, encodeAbortedTransactions(aborted));
    this.#flushed.aborted = aborted.length;
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file !== undefined) await (await file).close();
  }

  async #writeIndex(suffix: string, bytes: Buffer, position: number): Promise<void> {
    const path = this.path(suffix);
    try {
      const file = await this.#fileSystem.open(path, 'create');
      try {
        if (bytes.length > 0) await file.write([bytes], position);
        await file.sync();
      } finally {
        await file.close();
      }
    } catch (cause) {
      throw storageFailure(path, 'write', cause);
    }
  }

  /** Truncates an index file, durably: the old entries must not come back after new ones follow. */
  async #shorten(suffix: string, sizeBytes: number): Promise<void> {
    const path = this.path(suffix);
    try {
      if (((await this.#fileSystem.stat(path))?.sizeBytes ?? 0) <= sizeBytes) return;
      const file = await this.#fileSystem.open(path, 'write');
      try {
        await file.truncate(sizeBytes);
        await file.sync();
      } finally {
        await file.close();
      }
    } catch (cause) {
      throw storageFailure(path, 'truncate', cause);
    }
  }
}
