import { dirname, join } from 'node:path';
import type { Clock, FileSystem } from '../../../core/index.ts';
import type { SourceContext, SourceOffset } from '../../connector.ts';
import { findFile, type FileSearch, type FoundFile } from '../discovery.ts';
import { fileFailure } from '../failure.ts';
import {
  fileKey,
  identified,
  isFileOf,
  isSameLook,
  isUnchanged,
  offsetFileKey,
} from './file-identity.ts';
import { unpackedName } from './open-bytes.ts';

/** A file that is followed. */
interface Tracked {
  /** Its name at the last look, which is also its source partition. */
  path: string;
  /** As it was when it was last read to its end; undefined before. */
  read: FoundFile | undefined;
  /** Undefined before something of it was read. */
  offset: SourceOffset | undefined;
  /** As in `FollowedFiles`: the last look that found it. */
  look: number;
  /** Where it is in the index. */
  key: string | undefined;
}

/**
 * A file that another one may be a copy of: it is, if it has the content that the offset covers.
 */
export interface Original {
  readonly offset: SourceOffset;
  /** Set if it is only a copy that counts when the file of this name lost that content. */
  readonly path: string | undefined;
}

/** A file to read. */
export interface FileToRead {
  readonly file: FoundFile;
  /**
   * Where it was read to; if it is not the file that the offset is for, it is read from its start.
   */
  readonly offset: SourceOffset | undefined;
  /** Files that it may be a copy of. */
  readonly copyOf: readonly Original[];
  /** True if what it has is not read, if it is read for the first time. */
  readonly isFromEnd: boolean;
}

/** How to follow. */
export interface FollowOptions extends Pick<FileSearch, 'fileSystem' | 'minAgeMs'> {
  readonly start: 'beginning' | 'end';
}

/** What a look found. */
export interface Look {
  /**
   * Files that have another name now, in an order in which no offset is overwritten before it is
   * written elsewhere: commit these before anything is read.
   */
  readonly moved: readonly { readonly path: string; readonly offset: SourceOffset }[];
  readonly toRead: readonly FileToRead[];
}

/** How long a renamed file is watched outside the pattern: its writer may not have noticed yet. */
const ROTATED_MS = 5_000;
/** How many looks a removed file is remembered, because it may appear again, packed. */
const LOOKS_REMEMBERED = 10;

/**
 * Recognises files that are followed, whatever happens to their names: by device and inode, and in
 * the end by content.
 */
export class FollowedFiles {
  readonly #fileSystem: FileSystem;
  readonly #minAgeMs: number;
  /** True if the files of the first look are read from their ends. */
  readonly #isFirst: boolean;
  readonly #context: SourceContext;
  readonly #clock: Clock;
  readonly #byPath = new Map<string, Tracked>();
  readonly #byKey = new Map<string, Tracked>();
  /** Renamed files that are no longer found by the pattern, and until when they are watched. */
  readonly #rotated = new Map<string, number>();
  /** Files that are gone, by name. */
  readonly #gone = new Map<string, Tracked>();
  /** The number of looks so far. */
  #look = 0;

  /** Starts with the files of the offsets that are committed. */
  constructor({ fileSystem, minAgeMs, start }: FollowOptions, context: SourceContext) {
    this.#fileSystem = fileSystem;
    this.#minAgeMs = minAgeMs;
    this.#context = context;
    this.#clock = context.clock;
    for (const partition of context.partitions?.() ?? []) {
      const { file: path } = partition;
      if (path !== undefined) this.#track(path, context.offset(partition));
    }
    // An earlier run has seen what was there.
    this.#isFirst = start === 'end' && this.#byPath.size === 0;
  }

  /** Notes how far a file was read. `isRead` says that nothing of it is left for now. */
  note(file: FoundFile, offset: SourceOffset | undefined, isRead: boolean): void {
    const tracked = this.#byPath.get(file.path) ?? this.#track(file.path, undefined);
    // It may have been a copy that was put back: from now on it is this file.
    tracked.offset = offset ?? (tracked.offset && identified(tracked.offset, file, false));
    if (isRead) tracked.read = file;
    this.#index(tracked, fileKey(file));
  }

  /** Compares the files that are there now with those that were. */
  async look(found: readonly FoundFile[]): Promise<Look> {
    this.#look++;
    const all = [...found, ...(await this.#stillRotated())];
    const changed: FoundFile[] = [];
    for (const file of all) {
      const tracked = this.#byPath.get(file.path) ?? this.#committed(file.path);
      if (tracked === undefined || !isReadAs(tracked, file)) {
        changed.push(file);
        continue;
      }
      tracked.look = this.#look;
      tracked.read ??= file;
    }
    const names = new Map<string, FoundFile>();
    const { moves, toRead } = this.#sort(changed, () => {
      if (names.size === 0) for (const file of all) names.set(file.path, file);
      return names;
    });
    moves.push(...(await this.#searchLost(new Set(moves.map(({ tracked }) => tracked)))));
    const moved = this.#move(moves);
    const renamed = moves.map(({ file, tracked }) => {
      return { file, offset: tracked.offset, copyOf: NONE, isFromEnd: false };
    });
    // What was renamed or copied is older than what has its name now, and a copy is recognised only
    // until the offset of its original is overwritten.
    const copies = toRead.filter(({ copyOf }) => copyOf.length > 0);
    const others = toRead.filter(({ copyOf }) => copyOf.length === 0);
    return { moved, toRead: [...renamed, ...copies, ...others] };
  }

  /** Sorts changed files into those that were renamed, and those to read under their own name. */
  #sort(changed: readonly FoundFile[], names: () => ReadonlyMap<string, FoundFile>) {
    const moves: Move[] = [];
    const moving = new Set<Tracked>();
    const unknown = new Set<FoundFile>();
    const newKeys = new Set<string>();
    /** What was known about files that have changed, by name. */
    const before = new Map<string, SourceOffset>();
    const known = new Map<FoundFile, SourceOffset | undefined>();
    for (const file of changed) {
      const tracked = this.#byPath.get(file.path);
      if (tracked?.offset !== undefined) before.set(file.path, tracked.offset);
      if (tracked !== undefined && isFileOf(file, tracked.offset, true)) {
        tracked.look = this.#look;
        known.set(file, tracked.offset);
        continue;
      }
      const key = fileKey(file);
      const owner = key === undefined ? undefined : this.#byKey.get(key);
      if (owner === undefined || !isFileOf(file, owner.offset, false)) {
        // One file may have two names, such as a link: it is read under the first of them.
        const isSecondName = key !== undefined && newKeys.has(key);
        if (this.#isOldEnough(file) && !isSecondName) unknown.add(file);
        if (key !== undefined) newKeys.add(key);
        continue;
      }
      const isStillThere = fileKey(names().get(owner.path)) === key;
      if (isStillThere || moving.has(owner)) continue;
      moves.push({ tracked: owner, file });
      moving.add(owner);
    }
    const toRead: FileToRead[] = [];
    for (const file of changed) {
      if (known.has(file))
        toRead.push({ file, offset: known.get(file), copyOf: NONE, isFromEnd: false });
      else if (unknown.has(file)) toRead.push(this.#asNew(file, before));
    }
    return { moves, toRead };
  }

  #asNew(file: FoundFile, before: ReadonlyMap<string, SourceOffset>): FileToRead {
    const { path } = file;
    const copyOf: Original[] = [];
    const add = (offset: SourceOffset | undefined, of: string | undefined): void => {
      if (offset !== undefined) copyOf.push({ offset, path: of });
    };
    const unpacked = unpackedName(path);
    if (unpacked !== undefined) {
      add((this.#byPath.get(unpacked) ?? this.#gone.get(unpacked))?.offset, undefined);
    }
    // Rotation by copying leaves `app.log.1` or `app.log-2001` beside an `app.log` that is cut.
    for (const { index } of path.matchAll(/[-._~]/g)) {
      const name = path.slice(0, index);
      add(before.get(name), name);
    }
    return { file, offset: undefined, copyOf, isFromEnd: this.#isFirst && this.#look === 1 };
  }

  /** Looks for files under other names that were not found again. */
  async #searchLost(moving: ReadonlySet<Tracked>): Promise<Move[]> {
    const lost = [...this.#byPath.values()].filter((tracked) => {
      return tracked.look !== this.#look && !moving.has(tracked);
    });
    const moves: Move[] = [];
    const directories = new Map<string, ReadonlyMap<string, FoundFile>>();
    for (const tracked of lost) {
      const directory = dirname(tracked.path);
      let files = directories.get(directory);
      if (tracked.key !== undefined && tracked.offset !== undefined) {
        files ??= await this.#filesIn(directory);
        directories.set(directory, files);
      }
      const file = tracked.key === undefined ? undefined : files?.get(tracked.key);
      // After a crash in the midst of a rename, the file may be known by its new name, too.
      const isKnown =
        (tracked.key !== undefined && this.#byKey.get(tracked.key) !== tracked) ||
        (file !== undefined && this.#byPath.get(file.path)?.look === this.#look);
      if (file !== undefined && !isKnown && isFileOf(file, tracked.offset, false)) {
        this.#rotated.set(file.path, this.#clock.monotonicMs() + ROTATED_MS);
        moves.push({ tracked, file });
      } else {
        this.#forget(tracked);
      }
    }
    for (const [path, tracked] of this.#gone) {
      if (this.#look - tracked.look > LOOKS_REMEMBERED) this.#gone.delete(path);
    }
    return moves;
  }

  /** The files of a directory by identity. */
  async #filesIn(directory: string): Promise<ReadonlyMap<string, FoundFile>> {
    const files = new Map<string, FoundFile>();
    let entries;
    try {
      entries = await this.#fileSystem.list(directory);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return files;
      throw fileFailure(directory, 'list', cause);
    }
    for (const { name, isDirectory } of entries) {
      if (isDirectory) continue;
      const file = await this.#find(directory === '.' ? name : join(directory, name));
      const key = fileKey(file);
      if (file !== undefined && key !== undefined) files.set(key, file);
    }
    return files;
  }

  /** A file, if it is one and can be looked at. */
  async #find(path: string): Promise<FoundFile | undefined> {
    try {
      return await findFile({ fileSystem: this.#fileSystem, clock: this.#clock }, path);
    } catch {
      return undefined; // a directory, a pipe, a file of others: not one that was read
    }
  }

  /** The renamed files that are still watched. */
  async #stillRotated(): Promise<FoundFile[]> {
    const files: FoundFile[] = [];
    for (const [path, untilMs] of this.#rotated) {
      const file = await this.#find(path);
      const tracked = this.#byPath.get(path);
      const isOurs = tracked !== undefined && fileKey(file) === tracked.key;
      const isOver = this.#clock.monotonicMs() > untilMs;
      if (file !== undefined && isOurs && (!isOver || !isReadAs(tracked, file))) {
        files.push(file);
        continue;
      }
      this.#rotated.delete(path);
      if (isOurs) this.#forget(tracked);
    }
    return files;
  }

  /** Gives moved files their new names; returns their offsets, in an order to commit them in. */
  #move(moves: readonly Move[]): Look['moved'] {
    const ordered: Move[] = [];
    const left = [...moves];
    while (left.length > 0) {
      // One whose new name is not the old one of another that is still to move. In a ring, any.
      const index = left.findIndex(({ file }) => {
        return !left.some(({ tracked }) => tracked.path === file.path);
      });
      ordered.push(...left.splice(Math.max(index, 0), 1));
    }
    for (const { tracked, file } of ordered) {
      if (this.#byPath.get(tracked.path) === tracked) this.#byPath.delete(tracked.path);
      tracked.path = file.path;
      tracked.look = this.#look;
      const former = this.#byPath.get(file.path);
      if (former !== undefined && former !== tracked) this.#forget(former);
      this.#byPath.set(file.path, tracked);
    }
    return ordered.flatMap(({ tracked: { path, offset } }) => {
      return offset === undefined ? [] : [{ path, offset }];
    });
  }

  #isOldEnough({ modifiedMs }: FoundFile): boolean {
    return this.#minAgeMs === 0 || this.#clock.nowMs() - modifiedMs >= this.#minAgeMs;
  }

  /** A file by its committed offset, where they could not be listed. */
  #committed(path: string): Tracked | undefined {
    if (this.#context.partitions !== undefined) return undefined;
    const offset = this.#context.offset({ file: path });
    return offset === undefined ? undefined : this.#track(path, offset);
  }

  #track(path: string, offset: SourceOffset | undefined): Tracked {
    const tracked = { path, read: undefined, offset, look: this.#look, key: undefined };
    this.#byPath.set(path, tracked);
    this.#index(tracked, offsetFileKey(offset));
    return tracked;
  }

  #index(tracked: Tracked, key: string | undefined): void {
    if (key === tracked.key) return;
    if (tracked.key !== undefined && this.#byKey.get(tracked.key) === tracked) {
      this.#byKey.delete(tracked.key);
    }
    tracked.key = key;
    if (key === undefined) return;
    const other = this.#byKey.get(key);
    // The offset was committed for two names when a rename was interrupted: the later one counts.
    if (other === undefined || isBehind(other.offset, tracked.offset))
      this.#byKey.set(key, tracked);
  }

  #forget(tracked: Tracked): void {
    this.#index(tracked, undefined);
    if (this.#byPath.get(tracked.path) === tracked) this.#byPath.delete(tracked.path);
    this.#gone.set(tracked.path, tracked);
  }
}

/** A file that has another name now. */
interface Move {
  readonly tracked: Tracked;
  readonly file: FoundFile;
}

/** True if a file is as it was when it was read to its end, by this run or the one before. */
function isReadAs({ read, offset }: Tracked, file: FoundFile): boolean {
  return read === undefined ? isUnchanged(file, offset) : isSameLook(file, read);
}

const NONE: readonly Original[] = [];

/** True if the first offset is before the second one, as far as text formats tell. */
function isBehind(one: SourceOffset | undefined, other: SourceOffset | undefined): boolean {
  return Number(one?.['position'] ?? -1) < Number(other?.['position'] ?? -1);
}
