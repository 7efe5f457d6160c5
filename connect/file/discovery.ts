import { readdir, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { escapePath, glob, isDynamicPattern } from 'tinyglobby';
import {
  nodeFileSystem,
  type Clock,
  type FileIdentity,
  type FileSystem,
} from '../../core/index.ts';
import { identityOf } from '../../core/internal.ts';
import { ConnectError } from '../errors.ts';
import { fileFailure, notAFile, notStored } from './failure.ts';

/** A file, as it was when it was found. */
export interface FoundFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly identity: FileIdentity | undefined;
  /**
   * True if a later change cannot have the same time as the last one: then a file with the same
   * size and times has the same content.
   */
  readonly isSettled: boolean;
}

/** What to find. */
export interface FileSearch {
  readonly fileSystem: FileSystem;
  /** A file, a directory, or a pattern. */
  readonly path: string;
  /** Patterns of what to leave out. */
  readonly exclude: readonly string[];
  /** Leaves out files that were changed later than so long ago; 0 for none. */
  readonly minAgeMs: number;
  readonly clock: Clock;
}

/** How coarse the times of a file may be: the kernel's ticks are 1 to 10 ms. */
const SETTLED_MS = 100;
/** How long files are looked at in one go. */
const SLICE_MS = 8;
/** How many files are looked at between two looks at the clock. */
const SLICE_FILES = 64;

/**
 * Finds the files that `path` names, sorted by name: the file itself, those in it if it is a
 * directory (but not in directories below, nor hidden ones), or those that match it as a pattern
 * (`flights/*.csv`, `logs/**\/2024-*.jsonl`). Relative paths stay relative to the working
 * directory, and absolute ones stay absolute: a file's name, which is the key of its offset, is the
 * same wherever the program was started.
 *
 * Patterns are matched on the machine's disk, whatever the file system.
 *
 * @throws ConnectError FILE_NOT_FOUND, NOT_A_FILE, NO_FILE_MATCHES; ACCESS_DENIED also for a
 *   directory on the way that cannot be read: its files would silently be left out.
 */
export async function findFiles(search: FileSearch): Promise<FoundFile[]> {
  const { fileSystem, path, exclude } = search;
  const isWhole = await isDirectory(search);
  const itself = isWhole ? undefined : await findFile(search, path);
  if (itself !== undefined) return [itself];
  if (!isWhole && !isDynamicPattern(path)) throw fileFailure(path, 'open', absence());
  const names = isWhole
    ? await match(`${escapePath(path.replace(/\/+$/, ''))}/*`, exclude, false)
    : await match(path, exclude, true);
  // By code units, as everywhere: the order is the same on every machine.
  names.sort((a, b) => (a < b ? -1 : 1));
  const found = fileSystem === nodeFileSystem ? await lookAt(search, names) : [];
  if (fileSystem !== nodeFileSystem) {
    for (const name of names) {
      const file = await findFile(search, name);
      if (file !== undefined) found.push(file);
    }
  }
  if (names.length > 0) return found.filter((file) => isOldEnough(search, file));
  const message = isWhole
    ? `no file is in the directory ${path}; those in directories below it take a pattern`
    : `no file matches ${path}; check the pattern: it is taken from ${process.cwd()}`;
  throw new ConnectError('NO_FILE_MATCHES', message, { pattern: path });
}

async function isDirectory({ fileSystem, path }: FileSearch): Promise<boolean> {
  try {
    return (await fileSystem.stat(path))?.isDirectory === true;
  } catch {
    return false; // looking for a file of that name tells what is wrong
  }
}

/**
 * A file by its name; undefined if there is none.
 *
 * @throws ConnectError NOT_A_FILE, ACCESS_DENIED, STORAGE_FAILED
 */
export async function findFile(
  { fileSystem, clock }: Pick<FileSearch, 'fileSystem' | 'clock'>,
  path: string,
): Promise<FoundFile | undefined> {
  if (fileSystem === nodeFileSystem) return statNow(path, clock.nowMs());
  let found;
  try {
    found = await fileSystem.stat(path);
  } catch (cause) {
    throw fileFailure(path, 'open', cause);
  }
  if (found === undefined) return undefined;
  if (found.isDirectory) throw notAFile(path);
  const { sizeBytes, modifiedMs, identity } = found;
  return { path, sizeBytes, modifiedMs, identity, isSettled: isSettled(identity, clock.nowMs()) };
}

/**
 * Looks at the files of the machine's disk: without a promise each, because there may be 100,000.
 */
async function lookAt({ clock }: FileSearch, names: readonly string[]): Promise<FoundFile[]> {
  const found: FoundFile[] = [];
  let nowMs = clock.nowMs();
  let startMs = clock.monotonicMs();
  for (let index = 0; index < names.length; index++) {
    const file = statNow(names[index]!, nowMs);
    // A file may have gone since the directory was read.
    if (file !== undefined) found.push(file);
    if (index % SLICE_FILES > 0 || clock.monotonicMs() - startMs < SLICE_MS) continue;
    await nextTurn();
    nowMs = clock.nowMs();
    startMs = clock.monotonicMs();
  }
  return found;
}

function statNow(path: string, nowMs: number): FoundFile | undefined {
  let stat;
  try {
    stat = statSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    throw fileFailure(path, 'open', cause);
  }
  if (stat === undefined) return undefined;
  if (stat.isDirectory()) throw notAFile(path);
  // A pipe or device reports size 0, like an empty file; opening it could wait for ever.
  if (!stat.isFile()) throw notStored(path);
  const { size: sizeBytes, mtimeMs: modifiedMs } = stat;
  const identity = identityOf(stat);
  return { path, sizeBytes, modifiedMs, identity, isSettled: isSettled(identity, nowMs) };
}

function isSettled(identity: FileIdentity | undefined, nowMs: number): boolean {
  return identity !== undefined && nowMs - identity.changedMs > SETTLED_MS;
}

function isOldEnough({ minAgeMs, clock }: FileSearch, { modifiedMs }: FoundFile): boolean {
  return minAgeMs === 0 || clock.nowMs() - modifiedMs >= minAgeMs;
}

/** Finds what a pattern matches. A directory that cannot be read is an error, not an empty one. */
async function match(
  pattern: string,
  exclude: readonly string[],
  hasHidden: boolean,
): Promise<string[]> {
  let failure: { readonly path: string; readonly cause: unknown } | undefined;
  const watched = ((...args: Parameters<typeof readdir>) => {
    const [path] = args;
    const done = args.at(-1) as unknown as (error: unknown, entries: unknown) => void;
    const options = args.slice(1, -1) as [];
    readdir(path, ...options, (error: NodeJS.ErrnoException | null, entries: unknown) => {
      if (error !== null && error.code !== 'ENOENT')
        failure ??= { path: String(path), cause: error };
      done(error, entries);
    });
  }) as typeof readdir;
  const names = await glob(pattern, {
    fs: { readdir: watched },
    dot: hasHidden,
    absolute: isAbsolute(pattern),
    ignore: exclude,
  });
  if (failure !== undefined) throw fileFailure(failure.path, 'list', failure.cause);
  return names;
}

function absence(): Error {
  return Object.assign(new TypeError('no such file'), { code: 'ENOENT' });
}
