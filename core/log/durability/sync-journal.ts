import { join } from 'node:path';
import { LogError } from '../../errors.ts';
import { Exclusive } from '../../exclusive.ts';
import type { Logger } from '../../logger.ts';
import { storageFailure } from '../../storage/failure.ts';
import type { File, FileSystem } from '../../storage/file-system.ts';
import { encodeFrame, frameSizeBytes, type JournalEntry } from './journal-frame.ts';

/** One is written while the partitions in the other are brought to where they do not need it. */
export const JOURNAL_FILES = ['sync-journal-0', 'sync-journal-1'] as const;
/** After a power cut at most two files of this size are written once more. */
const FILE_BYTES = 16 * 1024 * 1024;
/**
 * Fewer partitions than this are synced themselves, one beside the other: that takes as long and
 * needs no second write.
 */
const GROUP_MIN = 4;

/** A partition that has bytes in the journal. */
export interface JournalSource {
  /**
   * Makes its own files durable up to an offset: for that the journal is not needed any more.
   *
   * @throws LogError CLOSED when its topic was deleted; any other when the disk failed.
   */
  flush(offset: number): Promise<void>;
}

/** What a partition wants to be durable: all that it has written since its last sync. */
export interface SyncRequest {
  readonly entry: JournalEntry;
  /** The offset behind the bytes. */
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
  /** From how many partitions on one sync of the journal replaces theirs; default 4. */
  readonly groupMin?: number;
  /** Default 16 MiB. */
  readonly fileBytes?: number;
}

/**
 * One sync for many partitions. What they have written since their last sync is written once more,
 * into one file, and that is synced; their own files follow when it is full, or at a checkpoint.
 * After a power cut `redoJournal` brings back what they have lost
 * (docs/decisions/0003-sync-journal.md).
 *
 * Group commit: while one group is made durable the next one gathers, so the more partitions wait,
 * the more share a sync.
 */
export class SyncJournal {
  readonly #options: Required<SyncJournalOptions>;
  #waiting: Waiting[] = [];
  #working: Promise<void> | undefined;
  #active: JournalFile;
  #other: JournalFile;
  /** Set by a failed sync: from then on every partition is synced itself. */
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
   * Resolves with true when the journal has the bytes on stable storage, and with false when
   * `syncFile` was called instead and has ended.
   */
  sync(request: SyncRequest): Promise<boolean> {
    return new Promise((done) => {
      this.#waiting.push({ request, done });
      this.#working ??= this.#work();
    });
  }

  /**
   * Ends the journal. Its files go when every partition was made durable without it; otherwise
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
    await Promise.resolve(); // what is asked for in this turn is one group
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      const isJournaled = group.length >= this.#options.groupMin && (await this.#write(group));
      if (!isJournaled) await Promise.all(group.map(({ request }) => request.syncFile()));
      for (const { done } of group) done(isJournaled);
    }
    this.#working = undefined;
  }

  /** False when the journal cannot take the group: it has no room, or the disk fails. */
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
      this.#isGivenUp = true;
      this.#warn('synced', cause);
      // What was synced before may share a block of the disk with what has failed.
      for (const each of [this.#other, file]) void this.#retire(each);
      return false;
    }
    file.note(requests);
    return true;
  }

  /** Goes on in the other file, unless a partition still needs what that holds. */
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
      `${directory}: the journal cannot be ${what}; each partition is synced itself instead: ` +
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
  /** Who has bytes in it, and up to where. */
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

  /** True while a partition has bytes in it that its own file may not have durably. */
  get isNeeded(): boolean {
    return this.#sources.size > 0;
  }

  hasRoomFor(requests: readonly SyncRequest[], fileBytes: number): boolean {
    return this.#sizeBytes + frameBytes(requests) <= fileBytes;
  }

  /** Begins anew: frames of another generation are written over what it holds. */
  begin(generation: number): void {
    this.#generation = generation;
    this.#frameCount = 0;
    this.#sizeBytes = 0;
  }

  /** Writes a frame behind the last one. */
  async write(requests: readonly SyncRequest[]): Promise<void> {
    this.#file ??= await this.#options.fileSystem.open(this.path, 'create');
    await this.#file.write(this.#encode(requests), this.#sizeBytes);
  }

  /** Makes what was written durable, and the first time its name too. */
  async sync(): Promise<void> {
    await this.#file?.sync();
    if (this.#isNamed) return;
    const { fileSystem, directory } = this.#options;
    await fileSystem.syncDirectory(directory);
    this.#isNamed = true;
  }

  /** Says that the frame of these requests is durable. */
  note(requests: readonly SyncRequest[]): void {
    this.#sizeBytes += frameBytes(requests);
    this.#frameCount++;
    for (const { source, nextOffset } of requests) this.#sources.set(source, nextOffset);
  }

  /** Makes every partition durable that has bytes in it. */
  async retire(): Promise<void> {
    for (const [source, offset] of this.#sources) {
      try {
        await source.flush(offset);
      } catch (cause) {
        // Of a failed partition this may be all that has the bytes. One that is closed while the
        // log goes on is of a deleted topic.
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
