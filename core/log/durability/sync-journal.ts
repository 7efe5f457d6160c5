import { join } from 'node:path';
import { LogError } from '../../errors.ts';
import { Exclusive } from '../../exclusive.ts';
import type { Logger } from '../../logger.ts';
import { isOutOfDescriptors } from '../../storage/descriptors.ts';
import { storageFailure } from '../../storage/failure.ts';
import type { File, FileSystem } from '../../storage/file-system.ts';
import { encodeFrame, frameSizeBytes, type JournalEntry } from './journal-frame.ts';

/** One file is written while the partitions in the other are synced. */
export const JOURNAL_FILES = ['sync-journal-0', 'sync-journal-1'] as const;
/** Recovery from a power cut rewrites at most two files of this size. */
const FILE_BYTES = 16 * 1024 * 1024;
/**
 * Fewer partitions than this are synced directly, in parallel: that takes as long and needs no
 * second write.
 */
const GROUP_MIN = 4;

/** A partition that has bytes in the journal. */
export interface JournalSource {
  /**
   * Makes its own files durable up to an offset, which then no longer needs the journal.
   *
   * @throws LogError CLOSED when its topic was deleted; any other code if the disk failed.
   */
  flush(offset: number): Promise<void>;
}

/** The bytes that a partition needs durable: all that it has written since its last sync. */
export interface SyncRequest {
  readonly entry: JournalEntry;
  /** The offset after the bytes. */
  readonly nextOffset: number;
  readonly source: JournalSource;
  /** Makes the partition's own file durable instead. Never rejects. */
  readonly syncFile: () => Promise<void>;
}

interface Waiting {
  readonly request: SyncRequest;
  readonly done: (isJournaled: boolean) => void;
}

export interface SyncJournalOptions {
  readonly fileSystem: FileSystem;
  /** The data directory. */
  readonly directory: string;
  readonly logger: Logger;
  /** The fewest partitions for which one sync of the journal replaces theirs; default 4. */
  readonly groupMin?: number;
  /** Default 16 MiB. */
  readonly fileBytes?: number;
}

/**
 * One sync for many partitions. Writes all that they have written since their last sync a second
 * time, into one file, and syncs that; their own files are synced when it is full, or at a
 * checkpoint. After a power cut `redoJournal` restores what they have lost
 * (docs/decisions/0003-sync-journal.md).
 *
 * Group commit: while one group is made durable, the next one gathers, so the more partitions wait,
 * the more share a sync.
 */
export class SyncJournal {
  readonly #options: Required<SyncJournalOptions>;
  #waiting: Waiting[] = [];
  #working: Promise<void> | undefined;
  #active: JournalFile;
  #other: JournalFile;
  /** Set by a failed sync: from then on every partition is synced directly. */
  #isGivenUp = false;
  readonly #retiring = new Exclusive();

  constructor(options: SyncJournalOptions) {
    this.#options = { groupMin: GROUP_MIN, fileBytes: FILE_BYTES, ...options };
    const [first, second] = JOURNAL_FILES;
    this.#active = new JournalFile(options, first);
    this.#other = new JournalFile(options, second);
    this.#active.begin(1);
  }

  /**
   * Resolves with true once the journal has the bytes on stable storage, or with false once
   * `syncFile`, called instead, has ended.
   */
  sync(request: SyncRequest): Promise<boolean> {
    return new Promise((done) => {
      this.#waiting.push({ request, done });
      this.#working ??= this.#work();
    });
  }

  /**
   * Ends the journal. Removes its files if every partition was made durable without it; otherwise
   * (`isNeeded`) they wait for the next opening.
   *
   * @throws LogError KAFKA_STORAGE_ERROR: files that are still there do no harm.
   */
  async close({ isNeeded }: { readonly isNeeded: boolean }): Promise<void> {
    await this.#working;
    await this.#retiring.idle();
    const files = [this.#active, this.#other].filter(({ isThere }) => isThere);
    const { fileSystem, directory } = this.#options;
    try {
      const closed = await Promise.allSettled(files.map((file) => file.close()));
      for (const each of closed) if (each.status === 'rejected') throw each.reason;
      if (isNeeded || files.length === 0) return;
      for (const { path } of files) await fileSystem.remove(path);
      await fileSystem.syncDirectory(directory);
    } catch (cause) {
      throw storageFailure(directory, 'remove', cause);
    }
  }

  async #work(): Promise<void> {
    await Promise.resolve(); // all requests of this turn form one group
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      const isJournaled = group.length >= this.#options.groupMin && (await this.#write(group));
      if (!isJournaled) await Promise.all(group.map(({ request }) => request.syncFile()));
      for (const { done } of group) done(isJournaled);
    }
    this.#working = undefined;
  }

  /** Returns false if the journal cannot take the group: it has no room, or the disk fails. */
  async #write(group: readonly Waiting[]): Promise<boolean> {
    if (this.#isGivenUp) return false;
    const requests = group.map(({ request }) => request);
    const { fileBytes } = this.#options;
    if (!this.#active.hasRoomFor(requests, fileBytes)) this.#turn();
    if (!this.#active.hasRoomFor(requests, fileBytes)) return false;
    const file = this.#active;
    try {
      await file.write(requests);
    } catch (cause) {
      this.#warn('written', cause); // the partitions' own files may well have room
      return false;
    }
    try {
      await file.sync();
    } catch (cause) {
      if (isOutOfDescriptors(cause)) return false; // nothing was lost
      this.#isGivenUp = true;
      this.#warn('synced', cause);
      // Bytes synced earlier may share a disk block with those that failed.
      for (const each of [this.#other, file]) void this.#retire(each);
      return false;
    }
    file.note(requests);
    return true;
  }

  /** Switches to the other file, unless a partition still needs its content. */
  #turn(): void {
    const [full, next] = [this.#active, this.#other];
    if (next.isNeeded) {
      void this.#retire(next);
      return;
    }
    next.begin(full.generation + 1);
    [this.#active, this.#other] = [next, full];
    void this.#retire(full);
  }

  #retire(file: JournalFile): Promise<void> {
    return this.#retiring.run(() => file.retire());
  }

  #warn(what: string, cause: unknown): void {
    const { logger, directory } = this.#options;
    logger.warn(
      `${directory}: the journal cannot be ${what}; each partition is synced directly instead: ` +
        String(cause),
    );
  }
}

/** One of the two files: frames of one generation, from its beginning on. */
class JournalFile {
  readonly path: string;
  readonly #options: SyncJournalOptions;
  #file: File | undefined;
  /** Its name is durable. */
  #isNamed = false;
  #generation = 0;
  #frameCount = 0;
  #sizeBytes = 0;
  /** The partitions with bytes in it, and up to which offset. */
  readonly #sources = new Map<JournalSource, number>();

  constructor(options: SyncJournalOptions, name: string) {
    this.#options = options;
    this.path = join(options.directory, name);
  }

  get generation(): number {
    return this.#generation;
  }

  get isThere(): boolean {
    return this.#file !== undefined;
  }

  /** True while the file holds bytes that the partition's own file may not have durably. */
  get isNeeded(): boolean {
    return this.#sources.size > 0;
  }

  hasRoomFor(requests: readonly SyncRequest[], fileBytes: number): boolean {
    return this.#sizeBytes + frameBytes(requests) <= fileBytes;
  }

  /** Restarts the file: frames of a new generation overwrite its content. */
  begin(generation: number): void {
    this.#generation = generation;
    this.#frameCount = 0;
    this.#sizeBytes = 0;
  }

  /** Writes a frame after the last one. */
  async write(requests: readonly SyncRequest[]): Promise<void> {
    this.#file ??= await this.#options.fileSystem.open(this.path, 'create');
    await this.#file.write(this.#encode(requests), this.#sizeBytes);
  }

  /** Makes the written frames durable, and the first time the file's name too. */
  async sync(): Promise<void> {
    await this.#file?.sync();
    if (this.#isNamed) return;
    const { fileSystem, directory } = this.#options;
    await fileSystem.syncDirectory(directory);
    this.#isNamed = true;
  }

  /** Records that the frame of these requests is durable. */
  note(requests: readonly SyncRequest[]): void {
    this.#sizeBytes += frameBytes(requests);
    this.#frameCount++;
    for (const { source, nextOffset } of requests) this.#sources.set(source, nextOffset);
  }

  /** Makes every partition durable that has bytes in the file. */
  async retire(): Promise<void> {
    for (const [source, offset] of this.#sources) {
      try {
        await source.flush(offset);
      } catch (cause) {
        // Keep the bytes of a failed partition: this may be the only copy. A partition closed while
        // the log runs belongs to a deleted topic.
        if (!LogError.is(cause, 'CLOSED')) continue;
      }
      this.#sources.delete(source);
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  #encode(requests: readonly SyncRequest[]): Buffer[] {
    const place = { generation: this.#generation, index: this.#frameCount };
    return encodeFrame(
      place,
      requests.map(({ entry }) => entry),
    );
  }
}

function frameBytes(requests: readonly SyncRequest[]): number {
  return frameSizeBytes(requests.map(({ entry }) => entry));
}
