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

/** The log that is compacted, as it stands at each moment. */
interface CompactedLog {
  readonly place: RecordPlace;
  readonly config: LogConfig;
  readonly producers: { all(): Iterable<ProducerState> };
  readonly logStartOffset: number;
  readonly lastStableOffset: number;
  readonly durableOffset: number;
  /** Why nothing can be appended, if so. */
  readonly failure: LogError | undefined;
}

/** Its files, and how some of them give way to others. */
interface CompactedFiles {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly clock: Clock;
  /** As `cleaner-offset-checkpoint` has it. */
  readonly cleanedOffset?: number;
  readonly segments: () => readonly Segment[];
  /**
   * Puts a segment, whose files are `.cleaned`, in the place of those that it was made from; false
   * when they are not all there any more. Durable when it resolves.
   *
   * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL: the log has the old ones, or the new one.
   */
  readonly replace: (old: readonly Segment[], cleaned: Segment) => Promise<boolean>;
}

/** How much of a log waits for compaction. */
export interface Cleanable {
  /** Bytes that were compacted before. */
  readonly cleanBytes: number;
  /** Bytes that can be compacted now, for the first time. */
  readonly dirtyBytes: number;
  /** `dirtyBytes` of both. */
  readonly dirtyRatio: number;
  /** By the topic's settings it is time. */
  readonly isDue: boolean;
}

export interface CompactOptions {
  /** Records from here on are left alone. What an opening would read again has to be among them. */
  readonly upTo: number;
  /** Memory for the keys of one pass. */
  readonly dedupeBufferBytes: number;
  readonly signal?: AbortSignal;
}

/** What a compaction did. */
export interface Compacted {
  readonly passes: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  /** Where the part begins that is not compacted. */
  readonly cleanedOffset: number;
}

/**
 * Keeps of a log the newest record of each key (Kafka: `LogCleaner`, `Cleaner`). Beside appends and
 * reads: only segments that are not appended to any more are looked at, and each group of them is
 * replaced at once.
 */
export class Compaction {
  readonly #log: CompactedLog;
  readonly #files: CompactedFiles;
  /** Everything below was compacted once. Moves when a pass is through. */
  #cleanedOffset: number;
  /** Set by what another attempt would meet again. */
  #fault: unknown;
  #running: Promise<unknown> = Promise.resolve();

  constructor(log: CompactedLog, files: CompactedFiles) {
    this.#log = log;
    this.#files = files;
    const { cleanedOffset = 0 } = files;
    // A log that was cut or begun anew since: what is in it now was not seen.
    const isOfThisLog = cleanedOffset <= (files.segments().at(-1)?.nextOffset ?? 0);
    this.#cleanedOffset = isOfThisLog ? cleanedOffset : 0;
  }

  /** Everything below was compacted once. */
  get cleanedOffset(): number {
    return Math.max(this.#cleanedOffset, this.#log.logStartOffset);
  }

  /** True when the log was found damaged: it is not compacted any more. */
  get isGivenUp(): boolean {
    return this.#fault !== undefined;
  }

  /** What could be compacted below `upTo`; undefined for a log that is not. */
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
   * Compacts all that can be. What was replaced is durable when it resolves. One call at a time
   * does anything; undefined when there was nothing to do.
   *
   * @throws LogError CORRUPT_BATCH, CORRUPT_MESSAGE, UNSUPPORTED_COMPRESSION_TYPE: the log is not
   *   compacted any more.
   * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR, CLOSED: the log holds all that it has to.
   */
  run(options: CompactOptions): Promise<Compacted | undefined> {
    const result = this.#running.then(() => this.#run(options));
    this.#running = result.catch(() => undefined);
    return result;
  }

  /** Resolves when nothing is being compacted. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run({ upTo, dedupeBufferBytes, signal }: CompactOptions): Promise<Compacted | undefined> {
    const { fileSystem } = this.#files;
    const { place } = this.#log;
    let sum = { passes: 0, readBytes: 0, writtenBytes: 0, cleanedOffset: this.cleanedOffset };
    const checkGoesOn = (): void => {
      const { failure } = this.#log;
      if (failure !== undefined) throw failure;
      signal?.throwIfAborted();
    };
    try {
      for (;;) {
        checkGoesOn();
        const { config } = this.#log;
        const { dirty, clean } = this.#divide(upTo);
        if (!isCompacted(config) || this.isGivenUp || sizeOf(dirty) === 0) break;
        await this.#removeLeftOvers();
        const options = { fileSystem, place, config, checkGoesOn };
        const pass = await this.#pass([...clean, ...dirty], dedupeBufferBytes, options);
        if (pass === undefined) break; // the log has changed under it: the next turn sees to it
        sum = {
          passes: sum.passes + 1,
          readBytes: sum.readBytes + pass.readBytes,
          writtenBytes: sum.writtenBytes + pass.writtenBytes,
          cleanedOffset: this.cleanedOffset,
        };
      }
    } catch (error) {
      if (isFaultOfLog(error)) this.#fault = error;
      // A full disk is not to stay so. What cannot be removed now is so by the next attempt.
      if (this.#log.failure === undefined) {
        await this.#removeLeftOvers().catch(() => undefined);
      }
      const isOfDisk = errnoOf(error) !== undefined;
      throw isOfDisk ? storageFailure(this.#files.directory, 'write', error) : error;
    }
    return sum.passes === 0 ? undefined : sum;
  }

  /** One filling of the map, and all segments up to where it came. */
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
   * The segments that were compacted before, and those that can be now. Not among them: the one
   * that is appended to, what is not durable, open transactions, and records that are too young.
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

  /** What an attempt that failed has left must not get in among the files of this one. */
  async #removeLeftOvers(): Promise<void> {
    const { fileSystem, directory } = this.#files;
    try {
      await removeUnfinished(fileSystem, directory, await namesIn(fileSystem, directory));
    } catch (cause) {
      throw storageFailure(directory, 'remove', cause);
    }
  }
}
