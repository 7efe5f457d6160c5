import type { Clock } from '../../clock.ts';
import { type LogError } from '../../errors.ts';
import type { RecordPlace } from '../../record/unpack.ts';
import type { FileSystem } from '../../storage/file-system.ts';
import { storageFailure } from '../../storage/failure.ts';
import { errnoOf } from '../../storage/node-fs.ts';
import { BatchCleaner, lastOf } from './batch-cleaner.ts';
import { CleanedTransactions } from './cleaned-transactions.ts';
import {
  fillOffsetMap,
  groupSegments,
  isFaultOfLog,
  sizeOf,
  writeCleaned,
  type CleanerOptions,
} from './cleaner.ts';
import { isCompacted, type LogConfig } from '../log-config.ts';
import { findHeader } from '../segment/log-reader.ts';
import { OffsetMap } from './offset-map.ts';
import type { ProducerState } from '../producer-states.ts';
import type { Segment } from '../segment/segment.ts';
import { abortedIn } from '../segment/segment-list.ts';
import { namesIn, removeUnfinished } from './swap.ts';

/** A live view of the log to compact. */
interface CompactedLog {
  readonly place: RecordPlace;
  readonly config: LogConfig;
  readonly producers: { all(): Iterable<ProducerState> };
  readonly logStartOffset: number;
  readonly lastStableOffset: number;
  readonly durableOffset: number;
  /** The reason why appends fail, or undefined if they do not. */
  readonly failure: LogError | undefined;
}

/** Its files, and the operation that replaces some of them. */
interface CompactedFiles {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly clock: Clock;
  /** The value in `cleaner-offset-checkpoint`. */
  readonly cleanedOffset?: number;
  readonly segments: () => readonly Segment[];
  /**
   * Replaces the segments that a `.cleaned` one was made from. Returns false if they are not all
   * there any more. Durable when it resolves.
   *
   * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL: the log has either the old segments or the new
   *   one.
   */
  readonly replace: (old: readonly Segment[], cleaned: Segment) => Promise<boolean>;
}

/** The part of a log that waits for compaction. */
export interface Cleanable {
  /** Bytes that were compacted before. */
  readonly cleanBytes: number;
  /** Bytes that can be compacted now, for the first time. */
  readonly dirtyBytes: number;
  /** `dirtyBytes` as a share of both. */
  readonly dirtyRatio: number;
  /** True if the topic's settings call for compaction now. */
  readonly isDue: boolean;
}

export interface CompactOptions {
  /**
   * Compaction leaves records from here on alone. Must include all that recovery would read again.
   */
  readonly upTo: number;
  /** Memory limit for the keys of one pass. */
  readonly dedupeBufferBytes: number;
  readonly signal?: AbortSignal;
}

/** The result of a compaction. */
export interface Compacted {
  readonly passes: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  /** The first offset that is not compacted. */
  readonly cleanedOffset: number;
}

/**
 * Keeps only the newest record of each key (Kafka: `LogCleaner`, `Cleaner`). Runs beside appends
 * and reads: it reads only sealed segments and replaces each group of them atomically.
 */
export class Compaction {
  readonly #log: CompactedLog;
  readonly #files: CompactedFiles;
  /** Everything below was compacted once. Moves at the end of a pass. */
  #cleanedOffset: number;
  /** Set by a failure that a retry would meet again. */
  #fault: unknown;
  #running: Promise<unknown> = Promise.resolve();

  constructor(log: CompactedLog, files: CompactedFiles) {
    this.#log = log;
    this.#files = files;
    const { cleanedOffset = 0 } = files;
    // The log was truncated or restarted since: its present content was never compacted.
    const isOfThisLog = cleanedOffset <= (files.segments().at(-1)?.nextOffset ?? 0);
    this.#cleanedOffset = isOfThisLog ? cleanedOffset : 0;
  }

  /** Everything below was compacted once. */
  get cleanedOffset(): number {
    return Math.max(this.#cleanedOffset, this.#log.logStartOffset);
  }

  /** True after damage was found: the log is no longer compacted. */
  get isGivenUp(): boolean {
    return this.#fault !== undefined;
  }

  /** The compactable part below `upTo`, or undefined if the log is not compacted. */
  async measure(upTo: number): Promise<Cleanable | undefined> {
    const { config, failure } = this.#log;
    if (!isCompacted(config) || failure !== undefined || this.isGivenUp) return undefined;
    const { clean, dirty } = this.#divide(upTo);
    const [cleanBytes, dirtyBytes] = [sizeOf(clean), sizeOf(dirty)];
    const dirtyRatio = dirtyBytes === 0 ? 0 : dirtyBytes / (cleanBytes + dirtyBytes);
    let isDue = dirtyRatio > config.minCleanableDirtyRatio;
    if (!isDue && dirty[0] !== undefined) {
      const firstMs = (await findHeader(dirty[0], -Infinity, 0))?.maxTimestampMs;
      isDue =
        firstMs !== undefined && this.#files.clock.nowMs() - firstMs > config.maxCompactionLagMs;
    }
    return { cleanBytes, dirtyBytes, dirtyRatio, isDue };
  }

  /**
   * Compacts all that it can. The replacements are durable when it resolves. Concurrent calls run
   * one after the other. Returns undefined if there was nothing to do.
   *
   * @throws LogError CORRUPT_BATCH, CORRUPT_MESSAGE, UNSUPPORTED_COMPRESSION_TYPE: the log is no
   *   longer compacted.
   * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR, CLOSED: the log has lost nothing that it must
   *   keep.
   */
  run(options: CompactOptions): Promise<Compacted | undefined> {
    const result = this.#running.then(() => this.#run(options));
    this.#running = result.catch(() => undefined);
    return result;
  }

  /** Resolves when no compaction runs. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run({ upTo, dedupeBufferBytes, signal }: CompactOptions): Promise<Compacted | undefined> {
    const { fileSystem } = this.#files;
    const { place } = this.#log;
    let sum = { passes: 0, readBytes: 0, writtenBytes: 0, cleanedOffset: this.cleanedOffset };
    const checkMayContinue = (): void => {
      const { failure } = this.#log;
      if (failure !== undefined) throw failure;
      signal?.throwIfAborted();
    };
    try {
      for (;;) {
        checkMayContinue();
        const { config } = this.#log;
        const { dirty, clean } = this.#divide(upTo);
        if (!isCompacted(config) || this.isGivenUp || sizeOf(dirty) === 0) break;
        await this.#removeLeftOvers();
        const options = { fileSystem, place, config, checkMayContinue };
        const pass = await this.#pass([...clean, ...dirty], dedupeBufferBytes, options);
        if (pass === undefined) break; // the log has changed meanwhile: the next call retries
        sum = {
          passes: sum.passes + 1,
          readBytes: sum.readBytes + pass.readBytes,
          writtenBytes: sum.writtenBytes + pass.writtenBytes,
          cleanedOffset: this.cleanedOffset,
        };
      }
    } catch (error) {
      if (isFaultOfLog(error)) this.#fault = error;
      // Free the space on a full disk. The next attempt removes whatever cannot be removed now.
      if (this.#log.failure === undefined) {
        await this.#removeLeftOvers().catch(() => undefined);
      }
      const isOfDisk = errnoOf(error) !== undefined;
      throw isOfDisk ? storageFailure(this.#files.directory, 'write', error) : error;
    }
    return sum.passes === 0 ? undefined : sum;
  }

  /** One pass: fills the map once and cleans all segments that it covers. */
  async #pass(
    segments: readonly Segment[],
    dedupeBufferBytes: number,
    options: CleanerOptions,
  ): Promise<{ readonly readBytes: number; readonly writtenBytes: number } | undefined> {
    const { cleanedOffset } = this;
    const endOffset = segments.at(-1)!.nextOffset;
    const map = new OffsetMap(dedupeBufferBytes);
    const dirty = segments.filter(({ nextOffset }) => nextOffset > cleanedOffset);
    const met = this.#transactions(cleanedOffset, endOffset);
    await fillOffsetMap(dirty, cleanedOffset, map, met, options);
    const reached = segments.filter(({ baseOffset }) => baseOffset <= map.latestOffset);
    const { producers } = this.#log;
    const cleaner = new BatchCleaner({
      place: options.place,
      config: options.config,
      nowMs: this.#files.clock.nowMs(),
      map,
      transactions: this.#transactions(reached[0]!.baseOffset, endOffset),
      producers: new Map([...producers.all()].map((state) => [state.producerId, lastOf(state)])),
    });
    let [readBytes, writtenBytes] = [0, 0];
    for (const group of groupSegments(reached, options.config)) {
      const cleaned = await writeCleaned(group, cleaner, options);
      if (!(await this.#files.replace(group, cleaned))) return undefined;
      readBytes += sizeOf(group);
      writtenBytes += cleaned.writtenBytes;
    }
    this.#cleanedOffset = map.latestOffset + 1;
    return { readBytes, writtenBytes };
  }

  #transactions(from: number, upTo: number): CleanedTransactions {
    return new CleanedTransactions(abortedIn(this.#files.segments(), from, upTo));
  }

  /**
   * The segments that were compacted before, and those that can be now. Excludes the active
   * segment, unsynced batches, open transactions, and records that are too young.
   */
  #divide(upTo: number): { readonly clean: Segment[]; readonly dirty: Segment[] } {
    const { config, lastStableOffset, durableOffset } = this.#log;
    const limit = Math.min(upTo, lastStableOffset, durableOffset);
    const youngerMs = this.#files.clock.nowMs() - config.minCompactionLagMs;
    const [clean, dirty]: [Segment[], Segment[]] = [[], []];
    for (const segment of this.#files.segments().slice(0, -1)) {
      const isYoung = config.minCompactionLagMs > 0 && segment.maxTimestampMs > youngerMs;
      if (segment.nextOffset > limit || (isYoung && segment.nextOffset > this.cleanedOffset)) break;
      if (segment.nextOffset <= this.cleanedOffset) clean.push(segment);
      else dirty.push(segment);
    }
    return { clean, dirty };
  }

  /** Left-overs of a failed attempt must not mix with the files of this one. */
  async #removeLeftOvers(): Promise<void> {
    const { fileSystem, directory } = this.#files;
    try {
      await removeUnfinished(fileSystem, directory, await namesIn(fileSystem, directory));
    } catch (cause) {
      throw storageFailure(directory, 'remove', cause);
    }
  }
}
