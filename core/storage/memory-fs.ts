import { systemClock, type Clock } from '../clock.ts';
import { seededRandom, type Random } from '../random.ts';
import type { DirectoryEntry, File, FileStat, FileSystem, OpenMode } from './file-system.ts';
import { MemoryContent } from './memory-content.ts';
import { filesBelow, MemoryDirectory, type MemoryNode } from './memory-directory.ts';
import { MemoryFile } from './memory-file.ts';
import { Operations, systemError, type Fault, type Operation } from './memory-operations.ts';

export interface MemoryFileSystemOptions {
  /** Decides how long operations take and what survives a crash. Default: a fixed seed. */
  readonly random?: Random;
  /** For `FileStat.modifiedMs`. Default: the machine's. */
  readonly clock?: Pick<Clock, 'nowMs'>;
  /**
   * The most bytes in all files together: a write beyond it is cut short with ENOSPC. Default: no
   * limit.
   */
  readonly capacityBytes?: number;
  /**
   * Called when an operation has taken effect or failed, before its caller knows. A test can call
   * `crash()` or `kill()` here for the state after a failure at this very moment. Default: none.
   */
  readonly onOperation?: (operation: Operation) => void;
}

/**
 * A file system in memory that is as unkind as disks are allowed to be, for tests of all code that
 * must survive crashes.
 *
 * - **Crashes.** It separates synced from unsynced changes. `crash()` is a power cut: each write
 *   since the last sync of its file is lost, kept, or torn between sectors of 512 bytes, in any
 *   order, and a file whose size got further than its bytes has zeros there; each name that was
 *   created, moved or removed since the last `syncDirectory` is the old or the new one. `kill()` is
 *   the death of the process: everything written stays. Both return a new file system and leave
 *   this one running, so one run can be crashed after each of its operations.
 * - **Faults.** `fail()` makes chosen operations fail. A failed sync loses the bytes that it
 *   covered for good, although reads still show them and the next sync succeeds, as on Linux.
 * - **A full disk.** `capacityBytes`; raise it, or remove files, to make room.
 *
 * Operations take one to three turns of the event loop (`setImmediate`) and take effect at the end,
 * so concurrent calls may overtake each other. Their durations and all outcomes come from one
 * `Random`: the same calls with the same seed have the same outcome.
 *
 * Not modelled: links, permissions, and the space that names take. Paths start at `/`.
 *
 * @example
 * const fileSystem = new MemoryFileSystem({ random: seededRandom(7) });
 * await workWith(fileSystem);
 * await recoverFrom(fileSystem.crash(seededRandom(8)));
 */
export class MemoryFileSystem implements FileSystem {
  /** As in `MemoryFileSystemOptions`. */
  capacityBytes: number;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #operations: Operations;
  #root = new MemoryDirectory();
  /** The number of crashes and kills before this file system. */
  #generation = 0;
  #openFileCount = 0;

  constructor(options: MemoryFileSystemOptions = {}) {
    this.capacityBytes = options.capacityBytes ?? Infinity;
    this.#clock = options.clock ?? systemClock;
    this.#operations = new Operations(options.random ?? seededRandom(1));
    this.onOperation = options.onOperation;
  }

  /** Distinguishes the machine from itself before a crash: locks from before are stale now. */
  get incarnation(): string {
    return String(this.#generation);
  }

  /** As in `MemoryFileSystemOptions`; a file system after a crash has none at first. */
  get onOperation(): ((operation: Operation) => void) | undefined {
    return this.#operations.done;
  }

  set onOperation(done: ((operation: Operation) => void) | undefined) {
    this.#operations.done = done;
  }

  /** Operations so far, including failed ones. */
  get operationCount(): number {
    return this.#operations.count;
  }

  /** Open files. */
  get openFileCount(): number {
    return this.#openFileCount;
  }

  /** Bytes in all files that have a name. */
  get usedBytes(): number {
    let sum = 0;
    for (const { sizeBytes } of filesBelow(this.#root)) sum += sizeBytes;
    return sum;
  }

  /**
   * Makes operations fail: once or `fault.times` times, or until the returned function is called.
   *
   * @example
   * fileSystem.fail({ at: fileSystem.operationCount + 3, code: 'EIO' });
   * fileSystem.fail({ at: ({ kind }) => kind === 'write', code: 'ENOSPC', writtenBytes: 100 });
   */
  fail(fault: Fault): () => void {
    return this.#operations.addFault(fault);
  }

  /**
   * Returns a possible state after a power cut at this moment, as a new file system in which
   * everything is durable. Each call is another outcome.
   *
   * @param random decides the outcome, and is then the new file system's. Default: that of this
   *   one.
   */
  crash(random = this.#operations.random): MemoryFileSystem {
    return this.#next(MemoryDirectory.afterCrash(this.#root, random), random);
  }

  /**
   * Returns the state after the death of the process at this moment, as a new file system. Unsynced
   * changes are there, and a later `crash()` may still take them.
   */
  kill(random = this.#operations.random): MemoryFileSystem {
    return this.#next(MemoryDirectory.copy(this.#root), random);
  }

  async open(path: string, mode: OpenMode): Promise<File> {
    await this.#operations.wait();
    const isNew = mode === 'create' && this.#nodeAt(path) === undefined;
    return this.#operations.run({ kind: isNew ? 'create' : 'open', path }, () => {
      if (isNew) return this.#create(path);
      const node = this.#nodeAt(path);
      if (node === undefined) throw systemError('ENOENT', 'open', path);
      if (node.isDirectory) throw systemError('EISDIR', 'open', path);
      return this.#handle(path, node, mode !== 'read');
    });
  }

  async readFile(path: string): Promise<Buffer> {
    const file = await this.open(path, 'read');
    try {
      const content = Buffer.alloc(await file.sizeBytes());
      return content.subarray(0, await file.read(content, 0));
    } finally {
      await file.close();
    }
  }

  async createExclusive(path: string, content: Uint8Array): Promise<void> {
    await this.#operations.wait();
    const sizeBytes = content.length;
    this.#operations.run({ kind: 'create', path, sizeBytes }, () => {
      if (this.#nodeAt(path) !== undefined) throw systemError('EEXIST', 'open', path);
      if (sizeBytes > this.#roomBytes()) throw systemError('ENOSPC', 'write', path);
      const created = new MemoryContent(this.#clock.nowMs());
      created.write(Buffer.from(content), 0, created.modifiedMs);
      this.#name(path, created, 'open');
    });
  }

  async list(path: string): Promise<DirectoryEntry[]> {
    await this.#operations.wait();
    return this.#operations.run({ kind: 'list', path }, () => {
      const { entries } = this.#directoryAt(path, 'scandir');
      return [...entries].map(([name, { isDirectory }]) => ({ name, isDirectory }));
    });
  }

  async stat(path: string): Promise<FileStat | undefined> {
    await this.#operations.wait();
    return this.#operations.run({ kind: 'stat', path }, () => {
      const node = this.#nodeAt(path);
      if (node === undefined) return undefined;
      const { isDirectory } = node;
      if (isDirectory) return { sizeBytes: 0, modifiedMs: 0, isDirectory };
      return { sizeBytes: node.sizeBytes, modifiedMs: node.modifiedMs, isDirectory };
    });
  }

  async makeDirectory(path: string): Promise<void> {
    const names = namesOf(path);
    for (let depth = 1; depth <= names.length; depth++) {
      const above = `/${names.slice(0, depth).join('/')}`;
      await this.#operations.wait();
      const node = this.#nodeAt(above);
      if (node?.isDirectory === true) continue;
      this.#operations.run({ kind: 'makeDirectory', path: above }, () => {
        if (node !== undefined) {
          throw systemError(depth < names.length ? 'ENOTDIR' : 'EEXIST', 'mkdir', path);
        }
        this.#name(above, new MemoryDirectory(), 'mkdir');
      });
    }
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#operations.wait();
    this.#operations.run({ kind: 'rename', path: from, to }, () => {
      const node = this.#nodeAt(from);
      const replaced = this.#nodeAt(to);
      const [source, target] = [this.#placeOf(from, 'rename'), this.#placeOf(to, 'rename')];
      if (node === undefined) throw systemError('ENOENT', 'rename', from);
      if (node === replaced) return;
      if (replaced !== undefined && replaced.isDirectory !== node.isDirectory) {
        throw systemError(node.isDirectory ? 'ENOTDIR' : 'EISDIR', 'rename', from);
      }
      if (replaced?.isDirectory === true && replaced.entries.size > 0) {
        throw systemError('ENOTEMPTY', 'rename', from);
      }
      const isIntoItself = namesOf(from).every((name, depth) => namesOf(to)[depth] === name);
      if (isIntoItself) throw systemError('EINVAL', 'rename', from);
      MemoryDirectory.change([
        { ...source, node: undefined },
        { ...target, node },
      ]);
    });
  }

  async remove(path: string): Promise<void> {
    await this.#operations.wait();
    this.#operations.run({ kind: 'remove', path }, () => {
      const node = this.#nodeAt(path);
      if (node === undefined) throw systemError('ENOENT', 'unlink', path);
      if (node.isDirectory) throw systemError('EISDIR', 'unlink', path);
      this.#name(path, undefined, 'unlink');
    });
  }

  async removeDirectory(path: string): Promise<void> {
    const directory = this.#nodeAt(path);
    if (directory === undefined) return;
    if (!directory.isDirectory) {
      await this.remove(path);
      return;
    }
    for (const [name, { isDirectory }] of [...directory.entries]) {
      await (isDirectory
        ? this.removeDirectory(`${path}/${name}`)
        : this.remove(`${path}/${name}`));
    }
    await this.#operations.wait();
    this.#operations.run({ kind: 'removeDirectory', path }, () => {
      if (directory.entries.size > 0) throw systemError('ENOTEMPTY', 'rmdir', path);
      this.#name(path, undefined, 'rmdir');
    });
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#operations.wait();
    const directory = this.#directoryAt(path, 'fsync');
    const covered = directory.beginSync();
    await this.#operations.wait();
    this.#operations.run(
      { kind: 'syncDirectory', path },
      () => {
        directory.endSync(covered);
      },
      () => {
        directory.failSync(covered, this.#operations.random);
      },
    );
  }

  #next(root: MemoryDirectory, random: Random): MemoryFileSystem {
    const next = new MemoryFileSystem({
      random,
      clock: this.#clock,
      capacityBytes: this.capacityBytes,
    });
    next.#root = root;
    next.#generation = this.#generation + 1;
    return next;
  }

  #create(path: string): File {
    const content = new MemoryContent(this.#clock.nowMs());
    this.#name(path, content, 'open');
    return this.#handle(path, content, true);
  }

  #handle(path: string, content: MemoryContent, isWritable: boolean): File {
    this.#openFileCount++;
    return new MemoryFile(path, content, isWritable, {
      operations: this.#operations,
      nowMs: () => this.#clock.nowMs(),
      roomBytes: () => this.#roomBytes(),
      closed: () => {
        this.#openFileCount--;
      },
    });
  }

  /** Bytes by which files may still grow. */
  #roomBytes(): number {
    if (this.capacityBytes === Infinity) return Infinity; // counting walks the tree
    return Math.max(0, this.capacityBytes - this.usedBytes);
  }

  /** Sets a name to a node, or removes it. */
  #name(path: string, node: MemoryNode | undefined, syscall: string): void {
    MemoryDirectory.change([{ ...this.#placeOf(path, syscall), node }]);
  }

  #placeOf(path: string, syscall: string): { directory: MemoryDirectory; name: string } {
    const names = namesOf(path);
    const name = names.at(-1);
    if (name === undefined) throw systemError('EINVAL', syscall, path);
    return { directory: this.#directoryOf(names.slice(0, -1), syscall), name };
  }

  #directoryAt(path: string, syscall: string): MemoryDirectory {
    return this.#directoryOf(namesOf(path), syscall);
  }

  #directoryOf(names: readonly string[], syscall: string): MemoryDirectory {
    const node = this.#nodeOf(names);
    if (node === undefined) throw systemError('ENOENT', syscall, `/${names.join('/')}`);
    if (!node.isDirectory) throw systemError('ENOTDIR', syscall, `/${names.join('/')}`);
    return node;
  }

  #nodeAt(path: string): MemoryNode | undefined {
    return this.#nodeOf(namesOf(path));
  }

  #nodeOf(names: readonly string[]): MemoryNode | undefined {
    let node: MemoryNode | undefined = this.#root;
    for (const name of names) {
      if (node?.isDirectory !== true) return undefined;
      node = node.entries.get(name);
    }
    return node;
  }
}

/** The parts of recent paths: simulations use the same few repeatedly. */
const knownNames = new Map<string, readonly string[]>();
const KNOWN_NAMES_MAX = 1000;

/** The parts of a path; `..` at the root stays there. */
function namesOf(path: string): readonly string[] {
  let names = knownNames.get(path);
  if (names !== undefined) return names;
  names = splitPath(path);
  if (knownNames.size >= KNOWN_NAMES_MAX) knownNames.clear();
  knownNames.set(path, names);
  return names;
}

function splitPath(path: string): string[] {
  const names: string[] = [];
  for (const part of path.split(/[/\\]/)) {
    if (part === '..') names.pop();
    else if (part !== '' && part !== '.') names.push(part);
  }
  return names;
}
