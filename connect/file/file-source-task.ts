import type { FileSystem } from '../../core/index.ts';
import { sleep } from '../../core/internal.ts';
import type {
  SourceBatch,
  SourceContext,
  SourceOffset,
  SourceTask,
  SourceTaskProgress,
} from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { findFiles, type FileSearch, type FoundFile } from './discovery.ts';
import type { InputFile, RowReader } from './format.ts';
import {
  fileKey,
  identified,
  isFileOf,
  isUnchanged,
  offsetFileKey,
} from './source/file-identity.ts';
import { FollowedFiles, type FileToRead } from './source/followed-files.ts';
import { OpenAhead } from './source/open-ahead.ts';
import { RecordMaker, type RecordMapping } from './source/record-maker.ts';
import { ReadFiles, type WhenRead } from './source/when-read.ts';

/** `FileSourceOptions` with every default filled in, except for the functions. */
export interface FileSourceTaskOptions<Row, K, V> extends RecordMapping<Row, K, V> {
  readonly name: string;
  readonly path: string;
  readonly exclude: readonly string[];
  readonly minAgeMs: number;
  readonly follow: boolean;
  readonly start: 'beginning' | 'end';
  readonly whenRead: WhenRead;
  readonly pollIntervalMs: number;
  readonly fileSystem: FileSystem;
}

/**
 * Reads files one after the other. With `follow` it then looks at the files again and opens those
 * that have changed since, each where it stopped reading.
 */
export class FileSourceTask<Row, K, V> implements SourceTask {
  readonly #options: FileSourceTaskOptions<Row, K, V>;
  readonly #context: SourceContext;
  readonly #maker: RecordMaker<Row, K, V>;
  /** Undefined without `follow`. */
  readonly #followed: FollowedFiles | undefined;
  readonly #ahead: OpenAhead<Row>;
  readonly #done: ReadFiles;
  /** Offsets of files that were renamed, to be returned before anything is read. */
  #moved: SourceBatch[] = [];
  /** The open file, and its offset behind the last batch. */
  #reader: RowReader<Row> | undefined;
  #offset: SourceOffset | undefined;
  /** Set if the last batch said that the file goes on, or that it ends. */
  #isEnd: boolean | undefined;
  /** Where files continue that are copies of others. */
  readonly #copied = new WeakMap<FileToRead, SourceOffset>();
  /** Set once the files have been looked at. */
  #hasLooked = false;
  #progress = { total: 0, done: 0, current: 0, files: 0, filesDone: 0 };

  /** @param files to read, as they were found; with `follow` it looks itself. */
  constructor(
    files: readonly FoundFile[],
    options: FileSourceTaskOptions<Row, K, V>,
    context: SourceContext,
  ) {
    this.#options = options;
    this.#context = context;
    this.#maker = new RecordMaker(options);
    this.#ahead = new OpenAhead((file) => this.#open(file));
    this.#done = new ReadFiles(options.fileSystem, context.clock, options.whenRead);
    this.#followed = options.follow ? new FollowedFiles(options, context) : undefined;
    if (!options.follow) this.#plan(files, this.#unread(files));
  }

  async poll(): Promise<SourceBatch | undefined> {
    if (!this.#hasLooked && this.#followed === undefined) {
      // An earlier run has committed these, but may have ended before it was done with them.
      this.#hasLooked = true;
      await this.#done.finish();
    }
    for (;;) {
      const moved = this.#moved.shift();
      if (moved !== undefined) return moved;
      const next = this.#ahead.current;
      if (next === undefined) {
        if (!(await this.#lookAgain())) return undefined;
        continue;
      }
      const batch = await this.#next(next);
      if (batch !== undefined) return batch;
      if (this.#context.signal.aborted) return undefined;
    }
  }

  async committed(): Promise<void> {
    await this.#ahead.settle(); // some systems do not remove open files
    await this.#done.finish();
  }

  progress(): SourceTaskProgress {
    const { total, done, current, files, filesDone } = this.#progress;
    const file = this.#ahead.current?.file;
    // It may have grown before it was opened.
    const grown = file === undefined ? 0 : Math.max(0, current - file.sizeBytes);
    return {
      ...{ unit: 'bytes', done: done + current, total: total + grown, current: file?.path },
      ...(file !== undefined && {
        ...{ currentDone: current, currentTotal: Math.max(current, file.sizeBytes) },
      }),
      parts: { done: filesDone, total: files },
    };
  }

  async close(): Promise<void> {
    await this.#reader?.close();
    await this.#ahead.close();
  }

  /**
   * Reads the next rows of a file; at its end it goes on to the next file, mostly with undefined.
   */
  async #next(next: FileToRead): Promise<SourceBatch | undefined> {
    const { file } = next;
    const { path } = file;
    if (this.#reader === undefined) {
      this.#offset = this.#isEnd = undefined;
      this.#reader = await this.#ahead.take();
    }
    const batch = await this.#reader?.next();
    if (batch === undefined) {
      this.#progress.done += file.sizeBytes;
      this.#progress.filesDone++;
      this.#progress.current = 0;
      this.#ahead.advance();
      const reader = this.#reader;
      this.#reader = undefined;
      if (reader === undefined) return undefined; // it is gone
      await this.#ahead.release(reader);
      const start = next.offset ?? this.#copied.get(next);
      if ((this.#offset ?? start) !== undefined) this.#done.add(file);
      const end = this.#endOf(file, start);
      this.#followed?.note(file, end?.offset, true);
      return end;
    }
    this.#isEnd = batch.isEnd;
    this.#progress.current = batch.doneBytes;
    const isRead = batch.isEnd === true && batch.doneBytes === file.sizeBytes;
    this.#offset = identified(batch.offset, file, isRead);
    this.#followed?.note(file, this.#offset, false);
    return this.#maker.batchOf(path, batch, this.#offset);
  }

  /**
   * Notes with the offset which file it is for, or that all of it was read, so that the next run
   * need not open it; undefined if that is known, or not certain.
   */
  #endOf(file: FoundFile, start: SourceOffset | undefined): SourceBatch | undefined {
    const offset = this.#offset ?? start;
    if (offset === undefined) return undefined;
    if (this.#options.follow) {
      // An offset without an identity, or a copy that was put back.
      const isSame = fileKey(file) === offsetFileKey(offset);
      return isSame ? undefined : this.#without(file.path, identified(offset, file, false));
    }
    const isNoted = this.#isEnd === true && this.#offset !== undefined;
    if (isNoted || !file.isSettled) return undefined;
    return this.#without(file.path, identified(offset, file, true));
  }

  /** A batch of no records. */
  #without(path: string, offset: SourceOffset): SourceBatch {
    return { records: [], partition: { file: path }, offset };
  }

  /** The files that may have changed since they were read. */
  #unread(files: readonly FoundFile[]): FileToRead[] {
    const unread: FileToRead[] = [];
    for (const file of files) {
      const committed = this.#context.offset({ file: file.path });
      // Where files are removed when they were read, a new one may have the name of a former one.
      const isOther = this.#options.whenRead !== 'keep' && !isFileOf(file, committed, true);
      const offset = isOther ? undefined : committed;
      if (isUnchanged(file, offset)) this.#done.add(file);
      else unread.push({ file, offset, copyOf: [], isFromEnd: false });
    }
    return unread;
  }

  #plan(found: readonly FoundFile[], toRead: readonly FileToRead[]): void {
    const total = found.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const left = toRead.reduce((sum, { file }) => sum + file.sizeBytes, 0);
    const files = Math.max(found.length, toRead.length); // renamed ones may be no longer found
    this.#progress = {
      ...{ total, done: Math.max(0, total - left), current: 0 },
      ...{ files, filesDone: files - toRead.length },
    };
    this.#ahead.plan(toRead);
  }

  /** Looks at the files again, after the interval. False if there is nothing more to do. */
  async #lookAgain(): Promise<boolean> {
    const followed = this.#followed;
    if (followed === undefined) return false;
    const { clock, signal } = this.#context;
    if (this.#hasLooked) await sleep(clock, this.#options.pollIntervalMs, signal);
    if (signal.aborted) return false;
    this.#hasLooked = true;
    const found = await this.#find();
    const { moved, toRead } = await followed.look(found);
    this.#moved = moved.map(({ path, offset }) => this.#without(path, offset));
    this.#plan(found, toRead);
    return true;
  }

  async #find(): Promise<readonly FoundFile[]> {
    const { clock } = this.#context;
    // A file that is known may be young.
    const search: FileSearch = { ...this.#options, clock, minAgeMs: 0 };
    try {
      return await findFiles(search);
    } catch (cause) {
      if (!isAbsence(cause)) throw cause;
      return [];
    }
  }

  /** Opens a file; undefined if it is followed and gone. */
  async #open(toRead: FileToRead): Promise<RowReader<Row> | undefined> {
    const { file, offset, copyOf, isFromEnd } = toRead;
    const { path } = file;
    let known = offset;
    for (const { offset: read, path: original } of copyOf) {
      if (known !== undefined) break;
      const isIntact = original !== undefined && (await this.#isCopy(original, read));
      if (isIntact || !(await this.#isCopy(path, read))) continue;
      known = read;
      this.#copied.set(toRead, read);
    }
    try {
      const { follow: isFollowed } = this.#options;
      const { sizeBytes: foundBytes } = file;
      return await this.#openAt(path, known, { isFollowed, isFromEnd, foundBytes });
    } catch (cause) {
      if (this.#options.follow && isAbsence(cause)) return undefined;
      throw cause;
    }
  }

  /** True if a file has the content that an offset of another one covers. */
  async #isCopy(path: string, offset: SourceOffset): Promise<boolean> {
    try {
      const reader = await this.#openAt(path, offset, { isFollowed: false });
      await reader.close();
      return true;
    } catch (cause) {
      // Whatever is wrong with it shows again when it is read.
      if (cause instanceof ConnectError) return false;
      throw cause;
    }
  }

  #openAt(
    path: string,
    offset: SourceOffset | undefined,
    how: Pick<InputFile, 'isFollowed' | 'isFromEnd' | 'foundBytes'>,
  ): Promise<RowReader<Row>> {
    const { name: connector, fileSystem, format } = this.#options;
    const badOffset = (): ConnectError => {
      const message =
        `the offset that is committed for ${path} was not written by ${format.name}(): ` +
        'use the former format, or give the source another name to start over';
      const details = { connector, partition: path, offset: JSON.stringify(offset) };
      return new ConnectError('INVALID_SOURCE_OFFSET', message, details);
    };
    const { isCarried } = this.#maker;
    return format.open({ fileSystem, path, offset, ...how, isCarried, badOffset });
  }
}

/** True if the file does not exist yet, or no longer. */
function isAbsence(cause: unknown): boolean {
  return ConnectError.is(cause, 'FILE_NOT_FOUND') || ConnectError.is(cause, 'NO_FILE_MATCHES');
}
