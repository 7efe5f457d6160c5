import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { threadId } from 'node:worker_threads';
import { Underway } from '../underway.ts';
import type {
  DirectoryEntry,
  File,
  FileIdentity,
  FileStat,
  FileSystem,
  OpenMode,
} from './file-system.ts';

const OPEN_FLAGS: Record<OpenMode, number> = {
  read: fs.constants.O_RDONLY,
  write: fs.constants.O_RDWR,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT,
};

const open = promisify(fs.open);
const close = promisify(fs.close);

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
    return {
      sizeBytes: stat.size,
      modifiedMs: stat.mtimeMs,
      isDirectory: stat.isDirectory(),
      identity: identityOf(stat),
    };
  },
  makeDirectory: (path) => makeDirectory(path),
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

/** The identity of a file by its `fs.Stats`. */
export function identityOf(stat: fs.Stats): FileIdentity {
  const { dev: device, ino: inode, birthtimeMs: bornMs, ctimeMs: changedMs } = stat;
  return { device, inode, bornMs, changedMs };
}

/**
 * Creates a directory and its parents. Avoids Node's `recursive`, which loops forever if the parent
 * exists and accepts no new names, as in /proc.
 */
async function makeDirectory(path: string, isRepeated = false): Promise<void> {
  try {
    await fs.promises.mkdir(path);
  } catch (cause) {
    const parent = dirname(path);
    if (errnoOf(cause) === 'ENOENT' && parent !== path) {
      const isThere = (await fs.promises.stat(parent).catch(ignoreAbsence)) !== undefined;
      // Another call may have made the parent since; but that of /proc is there each time.
      if (isThere && isRepeated) throw cause;
      if (!isThere) await makeDirectory(parent);
      await makeDirectory(path, isThere);
      return;
    }
    // The error for an existing directory varies: EEXIST, EISDIR, EROFS, EPERM for a drive.
    const found = await fs.promises.stat(path).catch(() => undefined);
    if (found?.isDirectory() !== true) throw cause;
  }
}

/** Takes the outcome of a call of Node's callback API. */
type Done<R> = (error: NodeJS.ErrnoException | null, result: R) => void;

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
    return this.#call((done) => writeAll(this.#descriptor, buffers, position, done));
  }

  read(target: Buffer, position: number): Promise<number> {
    return this.#call((done) => readAll(this.#descriptor, target, position, done));
  }

  sync(): Promise<void> {
    return this.#call((done) => fs.fdatasync(this.#descriptor, done as fs.NoParamCallback));
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#call((done) => {
      fs.ftruncate(this.#descriptor, sizeBytes, done as fs.NoParamCallback);
    });
  }

  async sizeBytes(): Promise<number> {
    const { size } = await this.#call<fs.Stats>((done) => fs.fstat(this.#descriptor, done));
    return size;
  }

  async close(): Promise<void> {
    await this.#underway.idle();
    await close(this.#descriptor);
  }

  /** Makes a call that `close` waits for. One promise each: a commit makes five in a row. */
  #call<R>(start: (done: Done<R>) => void): Promise<R> {
    this.#underway.begin();
    return new Promise((resolve, reject) => {
      const done: Done<R> = (error, result) => {
        this.#underway.end();
        if (error === null) resolve(result);
        else reject(error);
      };
      try {
        start(done);
      } catch (cause) {
        done(cause as Error, undefined as R); // arguments that Node refuses
      }
    });
  }
}

/** A read may be short before the end of the file; the next one reads the rest. */
function readAll(descriptor: number, target: Buffer, position: number, done: Done<number>): void {
  const fill = (filled: number): void => {
    const room = target.length - filled;
    fs.read(descriptor, target, filled, room, position + filled, (error, count) => {
      if (error !== null) done(error, filled);
      else if (count === 0 || count === room) done(null, filled + count);
      else fill(filled + count);
    });
  };
  fill(0);
}

/** IOV_MAX of Linux and macOS: the kernel refuses a longer vector. */
const BUFFERS_PER_WRITE_MAX = 1024;

/** A write may be short without an error; the next one writes the rest. */
function writeAll(
  descriptor: number,
  buffers: readonly Uint8Array[],
  position: number,
  done: Done<void>,
): void {
  const head =
    buffers.length > BUFFERS_PER_WRITE_MAX ? buffers.slice(0, BUFFERS_PER_WRITE_MAX) : buffers;
  fs.writev(descriptor, head as NodeJS.ArrayBufferView[], position, (error, written) => {
    if (error !== null) {
      done(error, undefined);
      return;
    }
    const rest = skipBytes(buffers, written);
    if (rest.length === 0) done(null, undefined);
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
