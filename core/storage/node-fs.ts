import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { threadId } from 'node:worker_threads';
import { Underway } from '../underway.ts';
import type { DirectoryEntry, File, FileStat, FileSystem, OpenMode } from './file-system.ts';

const OPEN_FLAGS: Record<OpenMode, number> = {
  read: fs.constants.O_RDONLY,
  write: fs.constants.O_RDWR,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT,
};

const open = promisify(fs.open);
const close = promisify(fs.close);
const fdatasync = promisify(fs.fdatasync);
const ftruncate = promisify(fs.ftruncate);
const fstat = promisify(fs.fstat);

/** The errors with which file systems without hard links, such as FAT, refuse one. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP']);
let temporaryCount = 0;

/** The file system of the machine. */
export const nodeFileSystem: FileSystem = {
  async open(path, mode) {
    return new NodeFile(path, await open(path, OPEN_FLAGS[mode], 0o644));
  },
  readFile: (path) => fs.promises.readFile(path),
  async createExclusive(path, content) {
    // A link appears together with the whole content; a file created and then written does not.
    const temporary = `${path}.${process.pid}-${threadId}-${++temporaryCount}`;
    await fs.promises.writeFile(temporary, content);
    try {
      await fs.promises.link(temporary, path);
    } catch (cause) {
      if (!NO_LINKS.has(errnoOf(cause) ?? '')) throw cause;
      await fs.promises.writeFile(path, content, { flag: 'wx' });
    } finally {
      await fs.promises.unlink(temporary);
    }
  },
  async list(directory): Promise<DirectoryEntry[]> {
    const entries = await fs.promises.readdir(directory, { withFileTypes: true });
    return entries.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }));
  },
  async stat(path): Promise<FileStat | undefined> {
    const stat = await fs.promises.stat(path).catch(ignoreAbsence);
    if (stat === undefined) return undefined;
    return { sizeBytes: stat.size, modifiedMs: stat.mtimeMs, isDirectory: stat.isDirectory() };
  },
  makeDirectory,
  rename: (from, to) => fs.promises.rename(from, to),
  remove: (path) => fs.promises.unlink(path),
  removeDirectory: (path) => fs.promises.rm(path, { recursive: true, force: true }),
  async syncDirectory(path) {
    const directory = await fs.promises.open(path, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  },
};

/**
 * Creates a directory and its parents. Avoids Node's `recursive`, which loops forever if the parent
 * exists and accepts no new names, as in /proc.
 */
async function makeDirectory(path: string): Promise<void> {
  try {
    await fs.promises.mkdir(path);
  } catch (cause) {
    const parent = dirname(path);
    if (errnoOf(cause) === 'ENOENT' && parent !== path) {
      if ((await fs.promises.stat(parent).catch(ignoreAbsence)) !== undefined) throw cause;
      await makeDirectory(parent);
      await makeDirectory(path);
      return;
    }
    // The error for an existing directory varies: EEXIST, EISDIR, EROFS, EPERM for a drive.
    const found = await fs.promises.stat(path).catch(() => undefined);
    if (found?.isDirectory() !== true) throw cause;
  }
}

/**
 * The callback API costs half as much as a FileHandle, and this is the hot path. As there, closing
 * waits for running calls: the system gives the descriptor to the next file at once, and a late
 * write would go there.
 */
class NodeFile implements File {
  readonly path: string;
  readonly #descriptor: number;
  readonly #underway = new Underway();

  constructor(path: string, descriptor: number) {
    this.path = path;
    this.#descriptor = descriptor;
  }

  write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    return this.#underway.run(() => this.#write(buffers, position));
  }

  read(target: Buffer, position: number): Promise<number> {
    return this.#underway.run(() => this.#read(target, position));
  }

  sync(): Promise<void> {
    return this.#underway.run(() => fdatasync(this.#descriptor));
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#underway.run(() => ftruncate(this.#descriptor, sizeBytes));
  }

  async sizeBytes(): Promise<number> {
    return (await this.#underway.run(() => fstat(this.#descriptor))).size;
  }

  async close(): Promise<void> {
    await this.#underway.idle();
    await close(this.#descriptor);
  }

  #write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      writeAll(this.#descriptor, buffers, position, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
  }

  #read(target: Buffer, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const fill = (filled: number): void => {
        const room = target.length - filled;
        fs.read(this.#descriptor, target, filled, room, position + filled, (error, count) => {
          if (error !== null) reject(error);
          else if (count === 0 || count === room) resolve(filled + count);
          else fill(filled + count);
        });
      };
      fill(0);
    });
  }
}

/** IOV_MAX of Linux and macOS: the kernel refuses a longer vector. */
const BUFFERS_PER_WRITE_MAX = 1024;

/** A write may be short without an error; the next one writes the rest. */
function writeAll(
  descriptor: number,
  buffers: readonly Uint8Array[],
  position: number,
  done: (error: NodeJS.ErrnoException | null) => void,
): void {
  const head =
    buffers.length > BUFFERS_PER_WRITE_MAX ? buffers.slice(0, BUFFERS_PER_WRITE_MAX) : buffers;
  fs.writev(descriptor, head as NodeJS.ArrayBufferView[], position, (error, written) => {
    if (error !== null) {
      done(error);
      return;
    }
    const rest = skipBytes(buffers, written);
    if (rest.length === 0) done(null);
    else writeAll(descriptor, rest, position + written, done);
  });
}

function skipBytes(buffers: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let index = 0;
  let left = count;
  while (index < buffers.length && left >= buffers[index]!.length) left -= buffers[index++]!.length;
  if (left === 0) return buffers.slice(index);
  return [buffers[index]!.subarray(left), ...buffers.slice(index + 1)];
}

function ignoreAbsence(error: unknown): undefined {
  if (errnoOf(error) === 'ENOENT') return undefined;
  throw error;
}

/** The code of an error of Node, such as ENOENT; undefined for any other error. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}
