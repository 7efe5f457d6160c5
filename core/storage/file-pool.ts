import { dirname, normalize, sep } from 'node:path';
import { assert } from '../assert.ts';
import { Exclusive } from '../exclusive.ts';
import { Descriptors, type Resident } from './descriptors.ts';
import type { DirectoryEntry, File, FileStat, FileSystem, OpenMode } from './file-system.ts';
import { systemError } from './memory-operations.ts';

/**
 * A file system whose open files share `openFilesMax` descriptors. The least recently used file
 * gives up its descriptor, and gets another one at its next use. Calls that need a descriptor for a
 * moment, such as the sync of a directory, wait for one too.
 *
 * - A file with written bytes is synced before its descriptor is closed: Linux reports a failed
 *   write-back once, to those that have the file open, and may forget it if none has. If that sync
 *   fails, the next `sync()` of the file fails (docs/decisions/0001-no-second-fsync.md).
 * - A file keeps its content if its name is moved or removed through this file system: it is
 *   reopened by its new name, or keeps its descriptor, uncounted, if it has no name.
 * - If the system has no descriptor left (EMFILE, ENFILE), an idle file gives one up for the call,
 *   which fails only if there is none.
 */
export function pooledFiles(
  fileSystem: FileSystem,
  options: { readonly openFilesMax: number },
): FileSystem {
  return new FilePool(fileSystem, options.openFilesMax);
}

class FilePool implements FileSystem {
  readonly incarnation?: string;
  readonly #inner: FileSystem;
  readonly #descriptors: Descriptors;
  /** By path: contents with open files, unsynced bytes, or unreported failures. */
  readonly #contents = new Map<string, Content>();
  /** How many of them are somewhere below each directory. */
  readonly #below = new Map<string, number>();
  #contentCount = 0;

  constructor(inner: FileSystem, openFilesMax: number) {
    this.#inner = inner;
    if (inner.incarnation !== undefined) this.incarnation = inner.incarnation;
    this.#descriptors = new Descriptors(openFilesMax);
  }

  async open(path: string, mode: OpenMode): Promise<File> {
    for (;;) {
      const content = this.#contentAt(path);
      content.users++;
      const file = new PooledFile(path, mode, content, {
        open: (at, reopenMode) => this.#inner.open(at, reopenMode),
        descriptors: this.#descriptors,
        closed: () => this.#leave(content),
      });
      try {
        if (await file.begin()) return file;
      } catch (cause) {
        this.#leave(content);
        throw cause;
      }
      this.#leave(content);
    }
  }

  readFile(path: string): Promise<Buffer> {
    return this.#descriptors.lend(() => this.#inner.readFile(path));
  }

  createExclusive(path: string, content: Uint8Array): Promise<void> {
    return this.#descriptors.lend(() => this.#inner.createExclusive(path, content));
  }

  list(directory: string): Promise<DirectoryEntry[]> {
    return this.#descriptors.lend(() => this.#inner.list(directory));
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#inner.stat(path);
  }

  makeDirectory(path: string): Promise<void> {
    return this.#inner.makeDirectory(path);
  }

  async rename(from: string, to: string): Promise<void> {
    const [source, target] = [normalize(from), normalize(to)];
    if (source === target) return this.#inner.rename(from, to);
    const moved = this.#contentsIn(source);
    const replaced = this.#contentsIn(target);
    await exclusively([...moved, ...replaced], async () => {
      await keepingOpen(replaced, () => this.#inner.rename(from, to));
      for (const content of replaced) this.#loseName(content);
      for (const content of moved) {
        this.#forget(content);
        content.path = target + content.path.slice(source.length);
        this.#remember(content);
      }
    });
  }

  async remove(path: string): Promise<void> {
    await this.#removeNames(path, () => this.#inner.remove(path));
  }

  async removeDirectory(path: string): Promise<void> {
    await this.#removeNames(path, () =>
      this.#descriptors.lend(() => this.#inner.removeDirectory(path)),
    );
  }

  syncDirectory(path: string): Promise<void> {
    return this.#descriptors.lend(() => this.#inner.syncDirectory(path));
  }

  async #removeNames(path: string, remove: () => Promise<void>): Promise<void> {
    const removed = this.#contentsIn(normalize(path));
    await exclusively(removed, async () => {
      await keepingOpen(removed, remove);
      for (const content of removed) this.#loseName(content);
    });
  }

  #contentAt(path: string): Content {
    const at = normalize(path);
    let content = this.#contents.get(at);
    if (content === undefined) {
      content = new Content(at, ++this.#contentCount);
      this.#remember(content);
    }
    return content;
  }

  /** The known contents at `path` and below it. */
  #contentsIn(path: string): Content[] {
    const exact = this.#contents.get(path);
    if (exact !== undefined) return [exact];
    const below = path.endsWith(sep) ? path : path + sep;
    if (!this.#below.has(dirname(below + 'x'))) return [];
    return [...this.#contents.values()].filter((content) => content.path.startsWith(below));
  }

  #loseName(content: Content): void {
    content.isGone = true;
    this.#forget(content);
  }

  #leave(content: Content): void {
    content.users--;
    if (content.users === 0 && !content.isUnsettled) this.#forget(content);
  }

  #remember(content: Content): void {
    const replaced = this.#contents.get(content.path);
    if (replaced !== undefined) this.#forget(replaced);
    this.#contents.set(content.path, content);
    for (const each of directoriesOf(content.path)) {
      this.#below.set(each, (this.#below.get(each) ?? 0) + 1);
    }
  }

  #forget(content: Content): void {
    if (this.#contents.get(content.path) !== content) return;
    this.#contents.delete(content.path);
    for (const each of directoriesOf(content.path)) {
      const left = this.#below.get(each)! - 1;
      if (left === 0) this.#below.delete(each);
      else this.#below.set(each, left);
    }
  }
}

/** The directories that a path is in, from the innermost one to the root. */
function directoriesOf(path: string): string[] {
  const directories: string[] = [];
  let inner = path;
  for (let outer = dirname(inner); outer !== inner; outer = dirname(inner)) {
    directories.push(outer);
    inner = outer;
  }
  return directories;
}

/** The content of one file, whatever its name and however often it is open. */
class Content {
  /** Its name now. Changes with a rename, while `names` is held. */
  path: string;
  /** The order in which to hold the names of several contents. */
  readonly number: number;
  /** Serialises opening by name and changes of names. */
  readonly names = new Exclusive();
  readonly files = new Set<PooledFile>();
  /** Set once its name was removed, or given to another content. */
  isGone = false;
  /** Open files, and files being opened. */
  users = 0;
  /** Set by a failed sync of the pool's own; cleared once a `sync` call has reported it. */
  failure: { readonly cause: unknown } | undefined;
  /** Counts changes of the content. */
  #changes = 0;
  /** The last change that a successful sync covers; -1 before the first one. */
  #synced = -1;

  constructor(path: string, number: number) {
    this.path = path;
    this.number = number;
  }

  get isDirty(): boolean {
    return this.#changes > Math.max(0, this.#synced);
  }

  /** True if a sync of this pool has covered all of it. */
  get isSynced(): boolean {
    return this.#synced === this.#changes;
  }

  /** True if it must be remembered even while no file has it open. */
  get isUnsettled(): boolean {
    return this.isDirty || this.failure !== undefined;
  }

  noteChange(): void {
    this.#changes++;
  }

  sync(file: File): Promise<void> {
    const covered = this.#changes;
    return file.sync().then(() => {
      this.#synced = Math.max(this.#synced, covered);
    });
  }

  /** Throws the unreported failure, if any. */
  throwFailure(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure.cause;
  }
}

/** The parts of its pool that a file needs. */
interface PooledFileHost {
  readonly descriptors: Descriptors;
  readonly open: (path: string, mode: OpenMode) => Promise<File>;
  readonly closed: () => void;
}

/** An open file that has a descriptor while in use, and may lose it while idle. */
class PooledFile implements File, Resident {
  readonly path: string;
  readonly #mode: OpenMode;
  readonly #content: Content;
  readonly #host: PooledFileHost;
  /** Set while it has a descriptor. */
  #file: File | undefined;
  /** Set while it gets or gives up a descriptor. */
  #changing: Promise<void> | undefined;
  /** True if its descriptor counts. */
  #isCounted = false;
  /** True if its descriptor must stay: the name means another file, or is about to. */
  #isPinned = false;
  /** Running calls. */
  #callCount = 0;
  #isClosed = false;
  /** Set by a waiting `close`; called once no call runs any more. */
  #idle: (() => void) | undefined;

  constructor(path: string, mode: OpenMode, content: Content, host: PooledFileHost) {
    this.path = path;
    this.#mode = mode;
    this.#content = content;
    this.#host = host;
  }

  get isDirty(): boolean {
    return this.#content.isDirty;
  }

  /** Opens it for the first time. Returns false if the content has lost its name meanwhile. */
  async begin(): Promise<boolean> {
    const isOpen = await this.#takeAndOpen(this.#mode);
    this.#rest();
    return isOpen;
  }

  write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    return this.#use((file) => file.write(buffers, position), { isChange: true });
  }

  read(target: Buffer, position: number): Promise<number> {
    return this.#use((file) => file.read(target, position));
  }

  async sync(): Promise<void> {
    this.#checkOpen('sync');
    this.#content.throwFailure();
    if (this.#file === undefined && this.#changing === undefined && this.#content.isSynced) return;
    await this.#use((file) => this.#content.sync(file));
    this.#content.throwFailure(); // it may have lost the bytes of this sync
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#use((file) => file.truncate(sizeBytes), { isChange: true });
  }

  sizeBytes(): Promise<number> {
    return this.#use((file) => file.sizeBytes());
  }

  async close(): Promise<void> {
    this.#checkOpen('close');
    this.#isClosed = true;
    if (this.#callCount > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    this.#host.descriptors.keep(this);
    await this.#changing;
    this.#content.files.delete(this);
    const file = this.#file;
    this.#file = undefined;
    try {
      await file?.close();
    } finally {
      this.#uncount();
      this.#host.closed();
    }
  }

  /** Closes the descriptor, after a sync if anything was written. Never rejects. */
  giveUp(): Promise<void> {
    const file = this.#file;
    assert(file !== undefined && this.#callCount === 0, 'an idle file gives up its descriptor');
    this.#file = undefined;
    this.#isCounted = false; // the caller that asked for it has it
    this.#changing = this.#syncAndClose(file).finally(() => {
      this.#changing = undefined;
    });
    return this.#changing;
  }

  /** Gets a descriptor that stays and does not count; the caller holds the content's `names`. */
  async pin(): Promise<void> {
    this.#isPinned = true;
    this.#host.descriptors.keep(this);
    if (this.#file === undefined) {
      const { descriptors, open } = this.#host;
      const reopen = () => open(this.#content.path, this.#reopenMode);
      const file = await descriptors.retry(reopen, { mayWait: false }); // others wait for `names`
      if (this.#isClosed && this.#callCount === 0) await file.close();
      else this.#file = file;
    }
    this.#uncount();
  }

  unpin(): void {
    this.#isPinned = false;
    this.#rest();
  }

  async #syncAndClose(file: File): Promise<void> {
    const content = this.#content;
    try {
      if (content.isDirty) await content.sync(file);
    } catch (cause) {
      content.failure ??= { cause };
    }
    await file.close().catch(() => undefined); // the bytes are synced, or their loss is known
  }

  async #use<R>(work: (file: File) => Promise<R>, { isChange = false } = {}): Promise<R> {
    this.#checkOpen('use');
    this.#callCount++;
    if (this.#callCount === 1) this.#host.descriptors.keep(this);
    try {
      const file = this.#file ?? (await this.#reopen());
      if (!isChange) return await work(file);
      this.#content.noteChange();
      try {
        return await work(file);
      } finally {
        this.#content.noteChange(); // a sync that began meanwhile may not cover it
      }
    } finally {
      this.#callCount--;
      if (this.#callCount === 0) {
        this.#rest();
        this.#idle?.();
      }
    }
  }

  /** Gets a descriptor again; concurrent calls share it. */
  async #reopen(): Promise<File> {
    while (this.#file === undefined) {
      this.#changing ??= this.#takeAndOpen(this.#reopenMode)
        .then(() => undefined)
        .finally(() => {
          this.#changing = undefined;
        });
      await this.#changing;
    }
    return this.#file;
  }

  /** Never create the file again after the first opening: its name may now be another's. */
  get #reopenMode(): OpenMode {
    return this.#mode === 'create' ? 'write' : this.#mode;
  }

  async #takeAndOpen(mode: OpenMode): Promise<boolean> {
    const { descriptors } = this.#host;
    await descriptors.take();
    const openByName = async (): Promise<boolean> => {
      if (this.#file !== undefined || this.#content.isGone) return false; // pinned, or too late
      this.#file = await this.#host.open(this.#content.path, mode);
      this.#content.files.add(this);
      this.#isCounted = true;
      return true;
    };
    let isTaken = false;
    try {
      isTaken = await descriptors.retry(() => this.#content.names.run(openByName));
    } finally {
      if (!isTaken) descriptors.give();
    }
    return this.#file !== undefined;
  }

  /** Marks it as idle, so that it may lose its descriptor. */
  #rest(): void {
    const isIdle = this.#callCount === 0 && !this.#isClosed && !this.#isPinned;
    if (isIdle && this.#file !== undefined && this.#isCounted) this.#host.descriptors.rest(this);
  }

  #uncount(): void {
    if (!this.#isCounted) return;
    this.#isCounted = false;
    this.#host.descriptors.give();
  }

  #checkOpen(call: string): void {
    if (this.#isClosed) throw systemError('EBADF', call, this.path);
  }
}

/** Runs `task` and keeps the names of `contents` unchanged meanwhile. */
function exclusively(contents: readonly Content[], task: () => Promise<void>): Promise<void> {
  const ordered = contents.toSorted((a, b) => a.number - b.number);
  return ordered.reduceRight(
    (inner, { names }) =>
      () =>
        names.run(inner),
    task,
  )();
}

/** Runs a task that removes the names of `contents`: their open files keep their descriptors. */
async function keepingOpen(contents: readonly Content[], task: () => Promise<void>): Promise<void> {
  const files = contents.flatMap((content) => [...content.files]);
  try {
    for (const file of files) await file.pin();
    await task();
  } catch (cause) {
    for (const file of files) file.unpin();
    throw cause;
  }
}
