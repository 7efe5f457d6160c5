import type { File, FileSystem } from '../../core/storage/file-system.ts';
import { nodeFileSystem } from '../../core/storage/node-fs.ts';

/** One call of a file system: its name and its path. */
export interface Call {
  readonly name: keyof FileSystem | keyof File;
  readonly path: string;
}

/** Decides the outcome of a call: undefined lets it through; may wait before it answers. */
export type Fault = (call: Call) => Error | undefined | Promise<Error | undefined>;

/** An error like Node's, such as `errno('ENOSPC')`. */
export function errno(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

/**
 * The machine's file system with faults: each call asks `fault` first. A failed call has done
 * nothing.
 */
export class FaultyFileSystem implements FileSystem {
  fault: Fault;
  readonly #inner: FileSystem;

  constructor(fault: Fault = () => undefined, inner: FileSystem = nodeFileSystem) {
    this.fault = fault;
    this.#inner = inner;
  }

  async open(...args: Parameters<FileSystem['open']>): Promise<File> {
    await this.#check({ name: 'open', path: args[0] });
    return new FaultyFile(await this.#inner.open(...args), (call) => this.#check(call));
  }
  async readFile(...args: Parameters<FileSystem['readFile']>) {
    await this.#check({ name: 'readFile', path: args[0] });
    return this.#inner.readFile(...args);
  }
  async createExclusive(...args: Parameters<FileSystem['createExclusive']>) {
    await this.#check({ name: 'createExclusive', path: args[0] });
    return this.#inner.createExclusive(...args);
  }
  async list(...args: Parameters<FileSystem['list']>) {
    await this.#check({ name: 'list', path: args[0] });
    return this.#inner.list(...args);
  }
  async stat(...args: Parameters<FileSystem['stat']>) {
    await this.#check({ name: 'stat', path: args[0] });
    return this.#inner.stat(...args);
  }
  async makeDirectory(...args: Parameters<FileSystem['makeDirectory']>) {
    await this.#check({ name: 'makeDirectory', path: args[0] });
    return this.#inner.makeDirectory(...args);
  }
  async rename(...args: Parameters<FileSystem['rename']>) {
    await this.#check({ name: 'rename', path: args[0] });
    return this.#inner.rename(...args);
  }
  async remove(...args: Parameters<FileSystem['remove']>) {
    await this.#check({ name: 'remove', path: args[0] });
    return this.#inner.remove(...args);
  }
  async removeDirectory(...args: Parameters<FileSystem['removeDirectory']>) {
    await this.#check({ name: 'removeDirectory', path: args[0] });
    return this.#inner.removeDirectory(...args);
  }
  async syncDirectory(...args: Parameters<FileSystem['syncDirectory']>) {
    await this.#check({ name: 'syncDirectory', path: args[0] });
    return this.#inner.syncDirectory(...args);
  }

  async #check(call: Call): Promise<void> {
    const error = await this.fault(call);
    if (error !== undefined) throw error;
  }
}

class FaultyFile implements File {
  readonly path: string;
  readonly #inner: File;
  readonly #check: (call: Call) => Promise<void>;

  constructor(inner: File, check: (call: Call) => Promise<void>) {
    this.path = inner.path;
    this.#inner = inner;
    this.#check = check;
  }

  async write(...args: Parameters<File['write']>) {
    await this.#check({ name: 'write', path: this.path });
    return this.#inner.write(...args);
  }
  async read(...args: Parameters<File['read']>) {
    await this.#check({ name: 'read', path: this.path });
    return this.#inner.read(...args);
  }
  async sync() {
    await this.#check({ name: 'sync', path: this.path });
    return this.#inner.sync();
  }
  async truncate(...args: Parameters<File['truncate']>) {
    await this.#check({ name: 'truncate', path: this.path });
    return this.#inner.truncate(...args);
  }
  async sizeBytes() {
    await this.#check({ name: 'sizeBytes', path: this.path });
    return this.#inner.sizeBytes();
  }
  /** Never fails: a dying process closes its files. */
  close() {
    return this.#inner.close();
  }
}
