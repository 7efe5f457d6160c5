import { assert, present } from '../../assert.ts';
import { LogError } from '../../errors.ts';
import { storageFailure } from '../../storage/failure.ts';
import type { FileSystem } from '../../storage/file-system.ts';
import type { BatchHeader } from '../../record/batch.ts';
import type { Segment } from '../segment/segment.ts';
import type { JournalSource, SyncJournal } from './sync-journal.ts';
import { UnsyncedBytes } from './unsynced-bytes.ts';

/**
 * After so much that a commit will have to sync, the syncing begins: a commit then waits for what
 * was written last, not for all that the transaction has written.
 */
const SYNC_AHEAD_BYTES = 1024 * 1024;

/** Batches that one write brings to the disk: they succeed or fail together. */
class Round {
  readonly segment: Segment;
  readonly batches: Buffer[] = [];
  /** The offset after the last batch. */
  nextOffset = -1;
  isTransactional = false;
  readonly done: Promise<void>;
  resolve!: () => void;
  reject!: (error: LogError) => void;

  constructor(segment: Segment) {
    this.segment = segment;
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Whoever cares waits on `done` itself; a round that nobody waits on must not end the process.
    this.done.catch(() => undefined);
  }
}

/** What the writer tells the log it writes for. */
export interface LogWriterEvents {
  /** The operating system has everything below `nextOffset`. */
  readonly written: (nextOffset: number) => void;
  /** A write or a sync failed. This writer is done; the log decides how to go on. */
  readonly failed: (error: LogError, operation: 'write' | 'sync') => void;
}

export interface LogWriterOptions {
  readonly fileSystem: FileSystem;
  readonly events: LogWriterEvents;
  /** All of the log, written up to their end; what is appended goes to the last one. */
  readonly segments: readonly Segment[];
  /** Everything below is on stable storage. */
  readonly durableOffset: number;
  /** Everything below is there in the partition's own files. */
  readonly flushedOffset: number;
  readonly journal: PartitionJournal | undefined;
}

/** The journal of the data directory, and what it has to know of this partition. */
export interface PartitionJournal {
  readonly journal: SyncJournal;
  /** The name of the partition's directory. */
  readonly directory: string;
  readonly topicId: string;
  readonly source: JournalSource;
}

/**
 * Brings the batches of one partition to the disk, in order: while one write runs, the next ones
 * gather, and one call writes them all; likewise one sync covers everything written before it
 * began (group commit). Where there is little to sync, the journal may do it for many partitions
 * at once: that is durable too, but only a sync of the files themselves is *flushed*.
 */
export class LogWriter {
  readonly #fileSystem: FileSystem;
  readonly #events: LogWriterEvents;
  /** What waits to be written, in order; the last one gathers what is handed in. */
  #rounds: Round[] = [];
  /** The one that is being written. */
  #current: Round | undefined;
  /** Set while rounds are written. */
  #writing: Promise<void> | undefined;
  /**
   * Set while a sync runs, of the files or of the journal. Resolves with why it was not tried, if
   * so.
   */
  #syncing: Promise<LogError | undefined> | undefined;
  readonly #journal: PartitionJournal | undefined;
  /** What the journal would have to keep. */
  readonly #forJournal = new UnsyncedBytes();
  /** Bytes written for transactions since a sync last began. */
  #aheadBytes = 0;
  /** Segments with bytes that no sync has covered. */
  readonly #unsynced = new Set<Segment>();
  /** Segments whose names may not be durable: their directory is synced with them. */
  readonly #unnamed = new Set<Segment>();
  /** Everything below is in the operating system. */
  #writtenOffset: number;
  /** Everything below is on stable storage, in the journal at least. */
  #durableOffset: number;
  /** Everything below is on stable storage in the partition's own files. */
  #flushedOffset: number;
  /** Set by the first failure; after it nothing is written or acknowledged. */
  #failure: LogError | undefined;
  /** Set by a failed sync: what it covered may be gone, whatever a later sync says. */
  #syncFailure: LogError | undefined;

  constructor(options: LogWriterOptions) {
    this.#fileSystem = options.fileSystem;
    this.#events = options.events;
    this.#journal = options.journal;
    const { segments } = options;
    const newest = present(segments.at(-1), 'a log has at least one segment');
    this.#writtenOffset = newest.nextOffset;
    this.#durableOffset = Math.min(options.durableOffset, newest.nextOffset);
    this.#flushedOffset = Math.min(options.flushedOffset, newest.nextOffset);
    const unsynced = segments.filter(({ nextOffset }) => nextOffset > options.flushedOffset);
    for (const segment of [...unsynced, newest]) this.#noteUnsynced(segment); // or new, or cut
  }

  get writtenOffset(): number {
    return this.#writtenOffset;
  }

  get durableOffset(): number {
    return this.#durableOffset;
  }

  get flushedOffset(): number {
    return this.#flushedOffset;
  }

  /** Why nothing can be appended any more, if so. */
  get failure(): LogError | undefined {
    return this.#failure;
  }

  /** Why what was written is not to be relied on, if so. */
  get syncFailure(): LogError | undefined {
    return this.#syncFailure;
  }

  /** Says that a segment has bytes or a name that may not be durable. */
  #noteUnsynced(segment: Segment): void {
    this.#unsynced.add(segment);
    this.#unnamed.add(segment);
  }

  /**
   * Takes a batch that `segment` has admitted. The promise is shared by a whole round: it resolves
   * when the operating system has its batches, and rejects when none of them is in the log.
   */
  write(
    segment: Segment,
    bytes: Buffer,
    { lastOffset, isTransactional }: BatchHeader,
  ): Promise<void> {
    assert(this.#failure === undefined, 'no write after a failure');
    let round = this.#rounds.at(-1);
    if (round?.segment !== segment) {
      round = new Round(segment);
      this.#rounds.push(round);
    }
    round.batches.push(bytes);
    round.nextOffset = lastOffset + 1;
    round.isTransactional ||= isTransactional;
    this.#writing ??= this.#drain();
    return round.done;
  }

  /**
   * Resolves when the operating system has everything below `offset`, which was handed to `write`.
   *
   * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL
   */
  async written(offset: number): Promise<void> {
    if (this.#writtenOffset >= offset) return;
    if (this.#failure !== undefined) throw this.#failure;
    const isAwaited = (round: Round | undefined) =>
      round !== undefined && round.nextOffset >= offset;
    const round = isAwaited(this.#current) ? this.#current : this.#rounds.find(isAwaited);
    await present(round, 'what is waited for is being written').done;
  }

  /**
   * Resolves when everything below `offset` is on stable storage.
   *
   * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL: what was not durable before may be lost.
   */
  async sync(offset: number): Promise<void> {
    while (this.#durableOffset < offset) {
      await this.written(offset);
      if (this.#failure !== undefined) throw this.#failure; // perhaps of meanwhile: no second sync
      this.#syncing ??= this.#syncOnce();
      const untried = await this.#syncing;
      if (untried !== undefined) throw untried;
    }
  }

  /**
   * Resolves when everything below `offset` is on stable storage in the partition's own files.
   *
   * @throws LogError as `sync`.
   */
  async flush(offset: number): Promise<void> {
    while (this.#flushedOffset < offset) {
      await this.written(offset);
      if (this.#failure !== undefined) throw this.#failure;
      this.#syncing ??= this.#flushOnce();
      const untried = await this.#syncing;
      if (untried !== undefined) throw untried;
    }
  }

  /** Refuses whatever is asked from here on, with `error`: the files are being closed. */
  end(error: LogError): void {
    this.#failure = error;
  }

  /**
   * Begins an empty segment on the disk. Durable when it resolves, with all that stands before it.
   *
   * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR
   */
  async begin(segment: Segment): Promise<void> {
    await this.#syncBefore(segment);
    await segment.file();
    await this.#fileSystem.syncDirectory(segment.directory).catch((cause: unknown) => {
      const error = storageFailure(segment.directory, 'sync', cause);
      if (!wasNotTried(error)) this.#fail(error, 'sync');
      throw error;
    });
  }

  /** Forgets a segment that is to be removed: nothing of it has to be durable. */
  forget(segment: Segment): void {
    this.#unsynced.delete(segment);
    this.#unnamed.delete(segment);
  }

  /** Says that files of the log failed elsewhere, and have to be loaded anew. */
  noteFailedWrite(error: LogError): void {
    this.#fail(error, 'write');
  }

  /** Runs what also syncs the directory: when that fails, names that it covered may be lost. */
  async naming(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (cause) {
      const isSync =
        LogError.is(cause, 'KAFKA_STORAGE_ERROR') && cause.details.operation === 'sync';
      if (isSync) this.#fail(cause, 'sync');
      throw cause;
    }
  }

  /** Resolves when neither a write nor a sync runs or waits. Failures were reported elsewhere. */
  async idle(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    while (this.#syncing !== undefined) await this.#syncing;
  }

  /** Writes round after round until none waits. Never rejects: a failure goes to the rounds. */
  async #drain(): Promise<void> {
    // Let the caller finish: what it appends in this turn of the event loop joins the round.
    await Promise.resolve();
    while (this.#failure === undefined) {
      const round = this.#rounds.shift();
      this.#current = round;
      if (round === undefined) break;
      try {
        await this.#writeRound(round);
        round.resolve();
      } catch (error) {
        this.#fail(error as LogError, 'write', round);
      }
    }
    this.#writing = undefined;
  }

  async #writeRound(round: Round): Promise<void> {
    const { segment, batches, nextOffset } = round;
    const isFirst = segment.writtenBytes === 0;
    if (isFirst) await this.#syncBefore(segment);
    const file = await segment.file();
    await file.write(batches, segment.writtenBytes).catch((cause: unknown) => {
      throw storageFailure(file.path, 'write', cause);
    });
    // Only now: a sync that began during the write does not cover it.
    this.#unsynced.add(segment);
    if (isFirst) this.#unnamed.add(segment);
    if (this.#journal !== undefined) this.#forJournal.add(segment, segment.writtenBytes, batches);
    for (const { length } of batches) segment.writtenBytes += length;
    this.#writtenOffset = nextOffset;
    this.#events.written(nextOffset);
    if (round.isTransactional)
      this.#aheadBytes += batches.reduce((sum, { length }) => sum + length, 0);
    if (this.#failure === undefined && this.#aheadBytes >= SYNC_AHEAD_BYTES) {
      this.#syncing ??= this.#flushOnce();
    }
  }

  /**
   * Makes durable what stands before a segment that is begun. So a power cut tears the end of the
   * last segment and nothing else: recovery may believe all before it, and finds no gap.
   */
  async #syncBefore(segment: Segment): Promise<void> {
    const isUnsynced = () => [...this.#unsynced].some((other) => other !== segment);
    while (this.#syncing !== undefined || isUnsynced()) {
      if (this.#failure !== undefined) throw this.#failure;
      this.#syncing ??= this.#flushOnce();
      const untried = await this.#syncing;
      if (untried !== undefined) throw untried;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** By way of the journal, if that takes it. Never rejects: waiters look at `#failure`. */
  async #syncOnce(): Promise<LogError | undefined> {
    const bytes = this.#unnamed.size === 0 ? this.#forJournal.take() : undefined;
    if (this.#journal === undefined || bytes === undefined) return this.#flushOnce();
    const { journal, directory, topicId, source } = this.#journal;
    const covered = this.#writtenOffset;
    let untried: LogError | undefined;
    const isJournaled = await journal.sync({
      entry: { directory, topicId, ...bytes },
      nextOffset: covered,
      source,
      syncFile: async () => {
        untried = await this.#flushOnce();
      },
    });
    if (!isJournaled) return untried; // and another one may have begun
    this.#durableOffset = Math.max(this.#durableOffset, covered);
    this.#syncing = undefined;
    return undefined;
  }

  /**
   * Never rejects: waiters look at `#failure`. Resolves with an error when some files were not
   * synced for want of a descriptor: none was lost then, and the next sync covers them.
   */
  async #flushOnce(): Promise<LogError | undefined> {
    if (this.#syncFailure !== undefined) {
      this.#syncing = undefined; // failed while the journal was asked: no second sync
      return undefined;
    }
    const covered = this.#writtenOffset;
    this.#aheadBytes = 0;
    const segments = [...this.#unsynced];
    const unnamed = [...this.#unnamed];
    const directories = new Set(unnamed.map(({ directory }) => directory));
    this.#unsynced.clear();
    this.#unnamed.clear();
    this.#forJournal.restart();
    try {
      const syncs = segments.map(async (segment) => (await segment.file()).sync());
      for (const directory of directories) syncs.push(this.#fileSystem.syncDirectory(directory));
      // All of them end before anybody hears of a failure: the files may then be closed.
      const failures = (await Promise.allSettled(syncs))
        .filter((result) => result.status === 'rejected')
        .map(({ reason }) => storageFailure(segments.at(-1)?.logPath ?? '', 'sync', reason));
      const lost = failures.find((error) => !wasNotTried(error));
      if (lost !== undefined) throw lost;
      // One that failed meanwhile may have lost what this one was to cover.
      if (this.syncFailure !== undefined) return undefined;
      if (failures.length > 0) {
        for (const segment of segments) if (!segment.isRemoved) this.#unsynced.add(segment);
        for (const segment of unnamed) if (!segment.isRemoved) this.#unnamed.add(segment);
        this.#forJournal.lose();
        return failures[0];
      }
      this.#durableOffset = Math.max(this.#durableOffset, covered);
      this.#flushedOffset = Math.max(this.#flushedOffset, covered);
    } catch (error) {
      this.#fail(error as LogError, 'sync');
    } finally {
      this.#syncing = undefined;
    }
    return undefined;
  }

  /**
   * A failed sync outweighs a failed write: after it not even what was written can be relied on.
   */
  #fail(error: LogError, operation: 'write' | 'sync', round?: Round): void {
    round?.reject(error);
    if (this.#failure !== undefined && operation === 'write') return;
    this.#failure = error;
    if (operation === 'sync') this.#syncFailure = error;
    // What waits builds on offsets that will not be.
    for (const waiting of this.#rounds.splice(0)) waiting.reject(error);
    this.#events.failed(error, operation);
  }
}

/** True when a sync did not come to pass for want of a descriptor: nothing is lost by that. */
function wasNotTried(error: LogError): boolean {
  return error.code === 'TOO_MANY_OPEN_FILES';
}
