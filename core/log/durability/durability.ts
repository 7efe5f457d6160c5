import { basename } from 'node:path';
import { assert, present } from '../../assert.ts';
import type { LogError } from '../../errors.ts';
import { Exclusive } from '../../exclusive.ts';
import type { BatchHeader } from '../../record/batch.ts';
import type { File } from '../../storage/file-system.ts';
import type { LogContents } from '../log-contents.ts';
import type { PartitionLogOptions } from '../partition-log-options.ts';
import { closed } from '../segment/log-reader.ts';
import { closeAll } from '../segment/segment-list.ts';
import type { Segment } from '../segment/segment.ts';
import { syncFailure, writeFailure, type Failure } from './failure.ts';
import {
  after,
  healthOf,
  isWritable,
  obstacleIn,
  OPEN,
  type DurabilityState,
  type Health,
  type State,
  type StateEvent,
} from './states.ts';
import type { JournalSource } from './sync-journal.ts';
import { Unsynced } from './unsynced.ts';
import { WriteRounds, type Round } from './write-rounds.ts';

/**
 * The operations of a task that has exclusive use of the files. It does not wait for a reload,
 * which waits for the task: while a reload is due, these calls fail.
 */
export interface Turn {
  /** As `Durability.flush`. */
  readonly flush: (offset: number) => Promise<void>;
  /**
   * Makes the names in the log's directory durable.
   *
   * @throws LogError KAFKA_STORAGE_ERROR: names may be lost, and the log is dead.
   */
  readonly syncNames: () => Promise<void>;
  /**
   * Creates an empty segment on the disk. When it resolves, it and all before it are durable.
   *
   * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR
   */
  readonly begin: (segment: Segment) => Promise<void>;
  /** Forgets a segment about to be removed: none of it has to be durable. */
  readonly forget: (segment: Segment) => void;
  /** Reports a half-done change of the files: the log is reloaded after this task. */
  readonly reload: (failure: Failure) => void;
}

/**
 * Writes appended batches to the disk, tracks how far they got, and handles failures. It alone
 * writes and syncs the files of an open log and changes its state (docs/internals/durability.md).
 * Three things happen at a time, each at most once:
 *
 * - *a write*: while it runs, the next batches gather, and one call writes them all;
 * - *a sync*: it covers all that was written before it began, so many callers share it. If there is
 *   little to sync, the journal may do it for many partitions at once: that is durable too, but
 *   only a sync of the files themselves is *flushed*;
 * - *a turn*: a checkpoint, a removal, a swap, or the reload after a failed write. It has exclusive
 *   use of the names in the directory and runs while no write and no sync does.
 */
export class Durability implements JournalSource {
  readonly #options: PartitionLogOptions;
  /** Its name in the data directory. */
  readonly #name: string;
  readonly #contents: LogContents;
  readonly #rounds = new WriteRounds();
  readonly #turns = new Exclusive();
  readonly #turn: Turn;
  /** Only `#apply` changes it. */
  #state: State = OPEN;
  /** Replaced by a reload. */
  #unsynced: Unsynced;
  /** Everything below is in the operating system. */
  #writtenOffset: number;
  /** Everything below is on stable storage, in the journal at least. */
  #durableOffset: number;
  /** Everything below is on stable storage in the partition's own files. */
  #flushedOffset: number;
  /** Set while rounds are written. */
  #writing: Promise<void> | undefined;
  /**
   * Set while a sync of the files or the journal runs. Resolves with its failure; never rejects.
   */
  #syncing: Promise<Failure | undefined> | undefined;
  /** Set from a failure until the reload has succeeded or failed. Never rejects. */
  #reloading: Promise<void> | undefined;

  constructor(options: PartitionLogOptions, contents: LogContents) {
    this.#options = options;
    this.#name = basename(options.directory);
    this.#contents = contents;
    const { nextOffset } = contents;
    this.#writtenOffset = nextOffset;
    this.#durableOffset = Math.min(options.recoveryPoint, nextOffset);
    this.#flushedOffset = this.#durableOffset;
    this.#unsynced = new Unsynced(contents.segments, this.#flushedOffset);
    this.#turn = {
      flush: (offset) => this.#flushInTurn(offset),
      syncNames: () => this.#syncNames(),
      begin: (segment) => this.#begin(segment),
      forget: (segment) => this.#unsynced.forget(segment),
      reload: (failure) => this.#apply({ kind: 'failed', failure }),
    };
  }

  get state(): DurabilityState {
    return this.#state.kind;
  }

  /** Below this, the operating system has everything. */
  get writtenOffset(): number {
    return this.#writtenOffset;
  }

  /** Everything below survives a power cut. */
  get durableOffset(): number {
    return this.#durableOffset;
  }

  /** The reason why appends fail, or undefined if they do not. */
  get failure(): LogError | undefined {
    const state = this.#state;
    const isEnding = state.kind === 'closing' || state.kind === 'closed';
    return isEnding ? state.cause : obstacleIn(state);
  }

  /** The reason why reads fail, or undefined if they do not. */
  get readFailure(): LogError | undefined {
    const state = this.#state;
    const isGone = state.kind === 'closed' || (state.kind === 'closing' && state.isAbandoned);
    return isGone ? state.cause : undefined;
  }

  get #health(): Health {
    return healthOf(this.#state);
  }

  /**
   * Checks that a batch can be appended. Retries the reload if, after a failed write, there was no
   * room even for that.
   *
   * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR, CLOSED
   */
  checkWritable(): void {
    const { failure } = this;
    if (failure === undefined) return;
    this.#apply({ kind: 'refused' });
    throw failure;
  }

  /**
   * Queues a batch that `segment` has admitted. All batches of a round share the promise: it
   * resolves when the operating system has them, and rejects if none of them is in the log.
   */
  write(segment: Segment, bytes: Buffer, header: BatchHeader): Promise<void> {
    assert(this.failure === undefined, 'no write after a failure');
    const done = this.#rounds.add(segment, bytes, header);
    this.#writing ??= this.#writeRounds();
    return done;
  }

  /**
   * Resolves when the operating system has everything below `offset`, which was handed to `write`.
   *
   * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL, CLOSED
   */
  async written(offset: number): Promise<void> {
    if (this.#writtenOffset >= offset) return;
    const obstacle = obstacleIn(this.#health);
    if (obstacle !== undefined) throw obstacle;
    await present(this.#rounds.find(offset), 'a queued offset has a round').done;
  }

  /**
   * Resolves when everything below `offset` is on stable storage. Many callers share one sync.
   *
   * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL, CLOSED: batches that were not durable before
   *   may be lost.
   */
  async sync(offset: number): Promise<void> {
    while (this.#durableOffset < offset) {
      await this.written(offset);
      await this.#syncOnce('journal');
    }
  }

  /**
   * The same without the journal: in the partition's own files.
   *
   * @throws LogError as `sync`.
   */
  async flush(offset: number): Promise<void> {
    while (this.#flushedOffset < offset) {
      await this.written(offset);
      await this.#syncOnce('files');
    }
  }

  /** Runs `task`, which changes files other than by writes and syncs, once no other task runs. */
  alone<R>(task: (turn: Turn) => Promise<R>): Promise<R> {
    return this.#turns.run(() => task(this.#turn));
  }

  /** Fails every later append, and every later read if the log is abandoned. */
  startClosing(isAbandoned: boolean): void {
    const cause = closed(this.#options.place);
    this.#apply({ kind: 'closing', cause, isAbandoned });
  }

  /**
   * Waits for running operations, runs `last`, and closes the files.
   *
   * @throws LogError the failure of `last`, or the reason why it did not run.
   */
  async close<R>(last: (turn: Turn) => Promise<R>): Promise<R> {
    let syncCause = closed(this.#options.place);
    try {
      await this.#quiet();
      const obstacle = obstacleIn(this.#health);
      if (obstacle !== undefined) throw obstacle;
      return await this.alone(last);
    } catch (cause) {
      syncCause = writeFailure(this.#options.directory, 'write', cause).error;
      throw cause;
    } finally {
      await this.#giveBack(syncCause);
    }
  }

  /** Waits for running operations and closes the files as they are. */
  async abandon(): Promise<void> {
    await this.#quiet();
    await this.#giveBack(closed(this.#options.place));
  }

  async #giveBack(syncCause: LogError): Promise<void> {
    this.#apply({ kind: 'closed', syncCause });
    await this.#lanesIdle(); // a sync may have begun since
    await closeAll(this.#contents.segments);
  }

  /** Resolves when nothing but running reads touches the files. */
  async #quiet(): Promise<void> {
    do {
      await this.#turns.idle(); // the reload has one
      await this.#lanesIdle();
    } while (this.#reloading !== undefined);
  }

  /** Resolves when neither a write nor a sync runs or waits. Failures were reported elsewhere. */
  async #lanesIdle(): Promise<void> {
    for (;;) {
      const lane = this.#writing ?? this.#syncing;
      if (lane === undefined) return;
      await lane;
    }
  }

  /** The only code that changes the state; also does what follows from the change. */
  #apply(event: StateEvent): void {
    const before = this.#health;
    this.#state = after(this.#state, event);
    const now = this.#health;
    const obstacle = obstacleIn(now);
    if (obstacle !== undefined) this.#rounds.rejectWaiting(obstacle);
    if (now.kind === 'reloading' && before.kind !== now.kind) this.#reloading = this.#reload();
  }

  /** Writes rounds until none waits. Never rejects: the rounds get the failure. */
  async #writeRounds(): Promise<void> {
    // Let the caller finish: all that it appends in this turn of the event loop joins the round.
    await Promise.resolve();
    while (isWritable(this.#health)) {
      const round = this.#rounds.next();
      if (round === undefined) break;
      const failure = await this.#writeRound(round);
      this.#rounds.end(failure?.error);
      if (failure !== undefined) this.#apply({ kind: 'failed', failure });
    }
    this.#writing = undefined;
  }

  async #writeRound(round: Round): Promise<Failure | undefined> {
    const { segment, batches, nextOffset } = round;
    const position = segment.writtenBytes;
    try {
      if (position === 0) await this.#syncBefore(segment);
      const file = await segment.file();
      await file.write(batches, position);
    } catch (cause) {
      return writeFailure(segment.logPath, 'write', cause);
    }
    // Only now: a sync that began during the write does not cover it.
    this.#unsynced.add(round, position, this.#options.journal !== undefined);
    segment.noteWritten(batches.reduce((sum, { length }) => sum + length, position));
    this.#writtenOffset = nextOffset;
    this.#contents.producers.settle(nextOffset);
    this.#options.advanced();
    if (this.#state.kind !== 'open') this.#apply({ kind: 'written' });
    const isBehind = this.#unsynced.isTooMuchAhead && isWritable(this.#health);
    if (isBehind) void this.#startSync('files');
    return undefined;
  }

  /**
   * Makes everything before a new segment durable. So a power cut tears only the end of the last
   * segment: recovery may trust all before it, and finds no gap.
   */
  async #syncBefore(segment: Segment): Promise<void> {
    for (;;) {
      const obstacle = obstacleIn(this.#health);
      if (obstacle !== undefined) throw obstacle;
      if (this.#syncing === undefined && !this.#unsynced.isBeside(segment)) return;
      await this.#startSync('files');
    }
  }

  /** Begins a sync, or joins the running one. */
  #startSync(by: 'journal' | 'files'): Promise<Failure | undefined> {
    this.#syncing ??= this.#syncBy(by);
    return this.#syncing;
  }

  async #syncBy(by: 'journal' | 'files'): Promise<Failure | undefined> {
    try {
      return await (by === 'journal' ? this.#syncByJournal() : this.#syncFiles());
    } finally {
      this.#syncing = undefined;
    }
  }

  /** Syncs through the journal if that accepts the bytes. */
  async #syncByJournal(): Promise<Failure | undefined> {
    const { journal: shared } = this.#options;
    const bytes = this.#unsynced.takeForJournal();
    if (shared === undefined || bytes === undefined) return this.#syncFiles();
    const covered = this.#writtenOffset;
    let failure: Failure | undefined;
    const isJournaled = await shared.journal.sync({
      entry: { directory: this.#name, topicId: shared.topicId, ...bytes },
      nextOffset: covered,
      source: this,
      syncFile: async () => {
        failure = await this.#syncFiles();
      },
    });
    if (isJournaled && this.#deathCause() === undefined) {
      this.#durableOffset = Math.max(this.#durableOffset, covered);
    }
    return failure;
  }

  async #syncFiles(): Promise<Failure | undefined> {
    if (this.#deathCause() !== undefined) return undefined; // it failed meanwhile: never sync again
    const covered = this.#writtenOffset;
    const { segments, areNamed } = this.#unsynced.take();
    const syncs = segments.map((segment) => syncSegment(segment));
    if (!areNamed) syncs.push(this.#syncDirectory());
    // Wait for all of them before reporting a failure: the files may be closed right after.
    const failures = (await Promise.all(syncs)).filter((failure) => failure !== undefined);
    const failure = failures.find(({ kind }) => kind === 'sync') ?? failures[0];
    if (failure !== undefined) {
      this.#apply({ kind: 'failed', failure });
      return failure;
    }
    // A concurrent sync of names may have failed and lost what this one was to cover.
    if (this.#deathCause() !== undefined) return undefined;
    this.#durableOffset = Math.max(this.#durableOffset, covered);
    this.#flushedOffset = Math.max(this.#flushedOffset, covered);
    return undefined;
  }

  async #syncDirectory(): Promise<Failure | undefined> {
    const { fileSystem, directory } = this.#options;
    try {
      await fileSystem.syncDirectory(directory);
      return undefined;
    } catch (cause) {
      return syncFailure(directory, cause);
    }
  }

  /** As `Turn.syncNames`. */
  async #syncNames(): Promise<void> {
    this.#checkNotDead(); // never sync again after a failure
    const failure = await this.#syncDirectory();
    if (failure !== undefined) {
      this.#apply({ kind: 'failed', failure });
      throw failure.error;
    }
    this.#checkNotDead(); // a concurrent sync may have lost the same names
  }

  #checkNotDead(): void {
    const cause = this.#deathCause();
    if (cause !== undefined) throw cause;
  }

  /** The reason why no sync can be trusted any more, or undefined if it can. */
  #deathCause(): LogError | undefined {
    const health = this.#health;
    return health.kind === 'dead' ? health.cause : undefined;
  }

  /** Waits for one sync, its own or a shared one, or for the end of a reload. */
  async #syncOnce(by: 'journal' | 'files'): Promise<void> {
    const health = this.#health;
    if (health.kind === 'reloading') {
      await present(this.#reloading, 'a reload that is due runs or waits for its turn');
      return;
    }
    const obstacle = obstacleIn(health);
    if (obstacle !== undefined) throw obstacle;
    const failure = await this.#startSync(by);
    if (failure !== undefined) throw failure.error;
  }

  async #begin(segment: Segment): Promise<void> {
    await this.written(segment.baseOffset); // a crash must not leave a gap before it
    await this.#syncBefore(segment);
    await segment.file();
    await this.#syncNames();
  }

  async #flushInTurn(offset: number): Promise<void> {
    while (this.#flushedOffset < offset) {
      await this.written(offset);
      const obstacle = obstacleIn(this.#health);
      if (obstacle !== undefined) throw obstacle;
      const failure = await this.#startSync('files');
      if (failure !== undefined) throw failure.error;
    }
  }

  async #reload(): Promise<void> {
    await this.#turns.run(async () => {
      await this.#lanesIdle();
      const outcome = this.#health.kind === 'reloading' ? await this.#load() : undefined;
      this.#reloading = undefined;
      if (outcome !== undefined) this.#apply(outcome); // otherwise a sync has failed meanwhile
    });
  }

  async #load(): Promise<StateEvent> {
    const { directory } = this.#options;
    const contents = this.#contents;
    try {
      await contents.reload(this.#writtenOffset, this.#durableOffset);
    } catch (cause) {
      return { kind: 'reload failed', failure: writeFailure(directory, 'truncate', cause) };
    }
    this.#unsynced = new Unsynced(contents.segments, this.#flushedOffset);
    return { kind: 'reloaded' };
  }
}

/** Opening the file is not part of the sync: if it fails, the written bytes are not lost. */
async function syncSegment(segment: Segment): Promise<Failure | undefined> {
  const { logPath } = segment;
  let file: File;
  try {
    file = await segment.file();
  } catch (cause) {
    return writeFailure(logPath, 'open', cause);
  }
  try {
    await file.sync();
    return undefined;
  } catch (cause) {
    return syncFailure(logPath, cause);
  }
}
