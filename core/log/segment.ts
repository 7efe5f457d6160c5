import { join } from 'node:path';
import { assert } from '../assert.ts';
import { NO_TIMESTAMP, type BatchHeader } from '../record/batch.ts';
import { storageFailure } from '../storage/failure.ts';
import type { File, FileSystem } from '../storage/file-system.ts';
import {
  LOG_SUFFIX,
  OFFSET_INDEX_SUFFIX,
  offsetName,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from './file-names.ts';
import { OffsetIndex, TimeIndex } from './sparse-index.ts';
import {
  encodeAbortedTransactions,
  TRANSACTION_ENTRY_BYTES,
  type AbortedTransaction,
} from './transaction-index.ts';

/** The three lookup structures over a segment. */
export interface SegmentIndexes {
  readonly offsets: OffsetIndex;
  readonly times: TimeIndex;
  /** By rising `lastOffset`. */
  readonly aborted: AbortedTransaction[];
}

export function emptyIndexes(baseOffset: number): SegmentIndexes {
  return { offsets: new OffsetIndex(baseOffset), times: new TimeIndex(baseOffset), aborted: [] };
}

/** How much of the three indexes stands in their files. */
interface IndexedCounts {
  offsets: number;
  times: number;
  aborted: number;
}

/**
 * One segment: its file of batches and the three indexes over it. Batches are first *admitted*
 * (offset and position are fixed, the indexes know them), later *written* (`LogWriter` moves
 * `writtenBytes`); readers see what is written.
 */
export class Segment {
  readonly baseOffset: number;
  readonly directory: string;
  readonly indexes: SegmentIndexes;
  /** Bytes given to batches. Moves at admission. */
  admittedBytes = 0;
  /** Bytes the operating system has. Moves when a write is done; readers stop here. */
  writtenBytes = 0;
  /** The offset after the newest admitted batch. */
  nextOffset: number;
  /** The newest record's timestamp, and the last offset of the batch that holds it. */
  maxTimestampMs = NO_TIMESTAMP;
  #maxTimestampOffset: number;
  /** The first batch's timestamp, for rolling by time; NO_TIMESTAMP while empty. */
  firstTimestampMs = NO_TIMESTAMP;
  #bytesSinceIndexEntry = 0;
  readonly #fileSystem: FileSystem;
  #file: Promise<File> | undefined;
  /** What `flushIndexes` has put into the files. */
  readonly #flushed: IndexedCounts;

  /** An empty segment; `indexes` that were read from its files are taken over by `resume`. */
  constructor(
    fileSystem: FileSystem,
    directory: string,
    baseOffset: number,
    indexes: SegmentIndexes = emptyIndexes(baseOffset),
  ) {
    this.#fileSystem = fileSystem;
    this.directory = directory;
    this.baseOffset = baseOffset;
    this.nextOffset = baseOffset;
    this.indexes = indexes;
    this.#maxTimestampOffset = baseOffset;
    const { offsets, times, aborted } = indexes;
    this.#flushed = { offsets: offsets.count, times: times.count, aborted: aborted.length };
    const newest = times.last();
    if (newest !== undefined) {
      this.maxTimestampMs = newest.timestampMs;
      this.#maxTimestampOffset = newest.offset;
    }
  }

  /** The path of one of the segment's files. */
  path(suffix: string): string {
    return join(this.directory, offsetName(this.baseOffset) + suffix);
  }

  get logPath(): string {
    return this.path(LOG_SUFFIX);
  }

  /** The file of batches, opened at the first call and made when absent. */
  file(): Promise<File> {
    this.#file ??= this.#fileSystem.open(this.logPath, 'create').catch((cause: unknown) => {
      this.#file = undefined;
      throw storageFailure(this.logPath, 'open', cause);
    });
    return this.#file;
  }

  /**
   * Takes in a batch that goes to `admittedBytes`, and feeds the indexes by Kafka's rule
   * (`LogSegment.append`): an entry once more than `indexIntervalBytes` went by since the last.
   */
  admit(header: BatchHeader, indexIntervalBytes: number): void {
    assert(header.baseOffset >= this.nextOffset, 'offsets rise within a segment');
    if (this.firstTimestampMs === NO_TIMESTAMP) this.firstTimestampMs = header.maxTimestampMs;
    if (header.maxTimestampMs > this.maxTimestampMs) {
      this.maxTimestampMs = header.maxTimestampMs;
      this.#maxTimestampOffset = header.lastOffset;
    }
    if (this.#bytesSinceIndexEntry > indexIntervalBytes) {
      this.indexes.offsets.append(header.lastOffset, this.admittedBytes);
      this.indexes.times.maybeAppend(this.maxTimestampMs, this.#maxTimestampOffset);
      this.#bytesSinceIndexEntry = 0;
    }
    this.#bytesSinceIndexEntry += header.sizeBytes;
    this.admittedBytes += header.sizeBytes;
    this.nextOffset = header.lastOffset + 1;
  }

  /**
   * The last time entry, which Kafka adds on roll and close so that the newest time is in the
   * index.
   */
  closeTimeIndex(): void {
    if (this.maxTimestampMs === NO_TIMESTAMP) return;
    this.indexes.times.maybeAppend(this.maxTimestampMs, this.#maxTimestampOffset);
  }

  /**
   * Goes on at `sizeBytes`, where the batch at `nextOffset` will start: what stands before is
   * believed.
   */
  resume(sizeBytes: number, nextOffset: number): void {
    this.admittedBytes = sizeBytes;
    this.writtenBytes = sizeBytes;
    this.nextOffset = nextOffset;
  }

  /** True when some index entries are in memory only. */
  get hasUnflushedIndexes(): boolean {
    const { offsets, times, aborted } = this.indexes;
    const flushed = this.#flushed;
    return (
      flushed.offsets < offsets.count ||
      flushed.times < times.count ||
      flushed.aborted < aborted.length
    );
  }

  /**
   * Appends the new index entries to their files and syncs them. Durable when it resolves. One call
   * at a time.
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
    // Kafka makes this file at the first abort only.
    if (upTo.aborted > from.aborted) {
      const bytes = encodeAbortedTransactions(aborted.slice(from.aborted));
      await this.#writeIndex(
        TRANSACTION_INDEX_SUFFIX,
        bytes,
        from.aborted * TRANSACTION_ENTRY_BYTES,
      );
    }
    Object.assign(this.#flushed, upTo);
  }

  /**
   * Writes the three index files anew, shortening what is there: after recovery found other
   * entries.
   */
  async rewriteIndexes(): Promise<void> {
    Object.assign(this.#flushed, { offsets: 0, times: 0, aborted: 0 });
    for (const suffix of [OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX]) {
      if ((await this.#fileSystem.stat(this.path(suffix))) === undefined) continue;
      await this.#fileSystem.remove(this.path(suffix));
    }
    await this.flushIndexes();
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
}
