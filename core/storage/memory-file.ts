import type { File } from './file-system.ts';
import type { MemoryContent } from './memory-content.ts';
import { systemError, type Operations, type OperationKind } from './memory-operations.ts';

/** The parts of its file system that an open file needs. */
export interface MemoryFileHost {
  readonly operations: Operations;
  nowMs(): number;
  /** Bytes by which files may still grow. */
  roomBytes(): number;
  closed(): void;
}

/** An open file of a `MemoryFileSystem`. It keeps its content if the name is moved or removed. */
export class MemoryFile implements File {
  readonly path: string;
  readonly #content: MemoryContent;
  readonly #isWritable: boolean;
  readonly #host: MemoryFileHost;
  #isOpen = true;

  constructor(path: string, content: MemoryContent, isWritable: boolean, host: MemoryFileHost) {
    this.path = path;
    this.#content = content;
    this.#isWritable = isWritable;
    this.#host = host;
  }

  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    const { operations } = this.#host;
    await operations.wait();
    this.#check('write', this.#isWritable);
    const sizeBytes = buffers.reduce((sum, { length }) => sum + length, 0);
    operations.run(
      { kind: 'write', path: this.path, sizeBytes },
      () => {
        const limitBytes = this.#content.sizeBytes + this.#host.roomBytes() - position;
        this.#put(buffers, position, limitBytes);
        if (limitBytes < sizeBytes) throw systemError('ENOSPC', 'write', this.path);
      },
      (fault) => {
        this.#put(buffers, position, fault.writtenBytes ?? 0);
      },
    );
  }

  async read(target: Buffer, position: number): Promise<number> {
    const read = () => this.#content.read(target, position);
    return this.#perform('read', read);
  }

  async sync(): Promise<void> {
    const { operations } = this.#host;
    await operations.wait();
    this.#check('sync');
    const covered = this.#content.beginSync();
    await operations.wait();
    operations.run(
      { kind: 'sync', path: this.path },
      () => {
        this.#content.endSync(covered);
      },
      () => {
        this.#content.failSync(covered, operations.random);
      },
    );
  }

  async truncate(sizeBytes: number): Promise<void> {
    const { operations } = this.#host;
    await operations.wait();
    this.#check('truncate', this.#isWritable);
    operations.run({ kind: 'truncate', path: this.path, sizeBytes }, () => {
      this.#content.truncate(sizeBytes, this.#host.nowMs());
    });
  }

  async sizeBytes(): Promise<number> {
    return this.#perform('size', () => this.#content.sizeBytes);
  }

  async close(): Promise<void> {
    const release = () => {
      this.#isOpen = false;
      this.#host.closed();
    };
    await this.#host.operations.wait();
    this.#check('close');
    // As on Linux: the descriptor is gone even if closing fails.
    this.#host.operations.run({ kind: 'close', path: this.path }, release, release);
  }

  async #perform<T>(kind: OperationKind, effect: () => T): Promise<T> {
    await this.#host.operations.wait();
    this.#check(kind);
    return this.#host.operations.run({ kind, path: this.path }, effect);
  }

  #check(kind: OperationKind, isAllowed = true): void {
    if (!this.#isOpen || !isAllowed) throw systemError('EBADF', kind, this.path);
  }

  /** Writes at most `limitBytes` of `buffers`. */
  #put(buffers: readonly Uint8Array[], position: number, limitBytes: number): void {
    const bytes = Buffer.concat(buffers).subarray(0, Math.max(0, limitBytes));
    this.#content.write(bytes, position, this.#host.nowMs());
  }
}
