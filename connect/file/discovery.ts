import { promises, readdir } from 'node:fs';
import { isAbsolute } from 'node:path';
import { glob, isDynamicPattern } from 'tinyglobby';
import { nodeFileSystem, type FileSystem } from '../../core/index.ts';
import { ConnectError } from '../errors.ts';
import { fileFailure, notAFile, notStored } from './failure.ts';

/** A file, with its size when it was found. */
export interface FoundFile {
  readonly path: string;
  readonly sizeBytes: number;
}

/**
 * Finds the files that `path` names, sorted by name: the file itself, or those that match it as a
 * pattern (`flights/*.csv`, `logs/**\/2024-*.jsonl`). Relative paths stay relative to the working
 * directory, and absolute ones stay absolute: a file's name, which is the key of its offset, is the
 * same wherever the program was started.
 *
 * Patterns are matched on the machine's disk, whatever the file system.
 *
 * @throws ConnectError FILE_NOT_FOUND, NOT_A_FILE, NO_FILE_MATCHES; ACCESS_DENIED also for a
 *   directory on the way that cannot be read: its files would silently be left out.
 */
export async function findFiles(fileSystem: FileSystem, path: string): Promise<FoundFile[]> {
  const itself = await stat(fileSystem, path);
  if (itself !== undefined) return [itself];
  if (!isDynamicPattern(path)) throw fileFailure(path, 'open', absence());
  const names = await match(path);
  // By code units, as everywhere: the order is the same on every machine.
  names.sort((a, b) => (a < b ? -1 : 1));
  const found: FoundFile[] = [];
  for (const name of names) {
    const file = await stat(fileSystem, name);
    if (file === undefined) throw fileFailure(name, 'open', absence());
    found.push(file);
  }
  if (found.length > 0) return found;
  const message = `no file matches ${path}; check the pattern: it is taken from ${process.cwd()}`;
  throw new ConnectError('NO_FILE_MATCHES', message, { pattern: path });
}

async function stat(fileSystem: FileSystem, path: string): Promise<FoundFile | undefined> {
  let found;
  let isStream = false;
  try {
    found = await fileSystem.stat(path);
    // A pipe or device reports size 0, like an empty file; opening it could wait for ever.
    if (found?.sizeBytes === 0 && !found.isDirectory && fileSystem === nodeFileSystem) {
      isStream = !(await promises.stat(path)).isFile();
    }
  } catch (cause) {
    throw fileFailure(path, 'open', cause);
  }
  if (found === undefined) return undefined;
  if (found.isDirectory) throw notAFile(path);
  if (isStream) throw notStored(path);
  return { path, sizeBytes: found.sizeBytes };
}

/** Finds what a pattern matches. A directory that cannot be read is an error, not an empty one. */
async function match(pattern: string): Promise<string[]> {
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
    dot: true,
    absolute: isAbsolute(pattern),
  });
  if (failure !== undefined) throw fileFailure(failure.path, 'list', failure.cause);
  return names;
}

function absence(): Error {
  return Object.assign(new TypeError('no such file'), { code: 'ENOENT' });
}
