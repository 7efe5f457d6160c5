/**
 * The only access to the disk. Two implementations: `nodeFileSystem` (the machine's) and
 * `MemoryFileSystem` (crashes and faults on demand); one shared suite holds them to this page.
 *
 * Failures are Node's: an Error whose `code` is ENOENT, EEXIST, EACCES, ENOSPC, EIO ... The caller
 * knows which operation failed and turns them into a coded error of its own (`storageFailure`).
 */
export interface FileSystem {
  /**
   * Distinguishes a simulated machine from itself before a crash: a process that held a lock then
   * is gone, although its pid is alive. Absent on a real machine.
   */
  readonly incarnation?: string;
  /**
   * Opens a file. `read`: must exist. `write`: reading and writing, must exist. `create`: reading
   * and writing, created if absent; the new name is durable only after `syncDirectory`.
   */
  open(path: string, mode: OpenMode): Promise<File>;
  /** The whole content. */
  readFile(path: string): Promise<Buffer>;
  /**
   * Creates a file with `content`; fails with EEXIST if the name is taken. The name appears only
   * with the whole content. Not synced.
   */
  createExclusive(path: string, content: Uint8Array): Promise<void>;
  /** The entries of a directory, in no particular order. */
  list(directory: string): Promise<DirectoryEntry[]>;
  /** Size and time of a file or directory, or undefined if there is none. */
  stat(path: string): Promise<FileStat | undefined>;
  /** Creates a directory and its parents; no error if it exists. */
  makeDirectory(path: string): Promise<void>;
  /**
   * Renames a file or directory; replaces an existing file atomically. Durable after
   * `syncDirectory`.
   */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file. Fails with ENOENT if there is none. */
  remove(path: string): Promise<void>;
  /** Removes a directory and all in it. No error if there is none. */
  removeDirectory(path: string): Promise<void>;
  /** Makes the names in a directory durable: all that was created, renamed and removed in it. */
  syncDirectory(path: string): Promise<void>;
}

export type OpenMode = 'read' | 'write' | 'create';

export interface DirectoryEntry {
  readonly name: string;
  readonly isDirectory: boolean;
}

export interface FileStat {
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly isDirectory: boolean;
  /** Which file it is, under whatever name; absent if the file system cannot tell. */
  readonly identity?: FileIdentity | undefined;
}

/** Tells a file from another one that takes its name. */
export interface FileIdentity {
  /** The file system. The same disk may have another number after a restart of the machine. */
  readonly device: number;
  /** The file's number there. The number of a removed file is given to the next one. */
  readonly inode: number;
  /** When it was created; 0 or `changedMs` where that is not recorded. */
  readonly bornMs: number;
  /** The last change of its content, name or rights. Unlike `modifiedMs`, no program can set it. */
  readonly changedMs: number;
}

/**
 * An open file. Reads may overlap with everything; writes to one range must not overlap with each
 * other. Positions are bytes from the start.
 */
export interface File {
  readonly path: string;
  /**
   * Writes all of `buffers`, in order, from `position` on. Resolves when the operating system has
   * them. If it fails, any part of them may have been written.
   */
  write(buffers: readonly Uint8Array[], position: number): Promise<void>;
  /**
   * Fills `target` from `position` on and returns the bytes read: fewer only at the end of the
   * file.
   */
  read(target: Buffer, position: number): Promise<number>;
  /**
   * Makes the content durable (fdatasync: including the size, not the name). Never repeat a failed
   * one.
   */
  sync(): Promise<void>;
  /** Truncates or zero-extends the file. */
  truncate(sizeBytes: number): Promise<void>;
  /** The size according to the operating system. */
  sizeBytes(): Promise<number>;
  /** Closes the file. Makes nothing durable. */
  close(): Promise<void>;
}
