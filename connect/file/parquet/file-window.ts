import type { File } from '../../../core/index.ts';
import { readBytes } from './footer.ts';
import type { MemoryBudget } from './memory-budget.ts';

/** Where the pages of a file are. */
export interface PageSource {
  readonly file: File;
  /** Pages lie before it: the start of the footer. */
  readonly endPosition: number;
  /** How much of a column to read at once. */
  readonly readBytes: number;
  readonly memory: MemoryBudget;
}

/** Reads a part of a file from its start to its end, many bytes at a time. */
export class FileWindow {
  readonly #source: PageSource;
  /** The next byte, in the file, and the end. */
  #position: number;
  #end: number;
  /** What was read of the file, where that begins there, and what counts as taken for it. */
  #buffer: Buffer = Buffer.alloc(0);
  #bufferPosition = 0;
  #heldBytes = 0;

  /** @throws RangeError if the end lies behind that of all pages. */
  constructor(source: PageSource, start: number, end: number) {
    if (end > source.endPosition) throw new RangeError('it points behind its own end');
    this.#source = source;
    this.#position = start;
    this.#end = end;
  }

  /** The next byte, in the file. */
  get position(): number {
    return this.#position;
  }

  /** The number of bytes up to the end. */
  get left(): number {
    return this.#end - this.#position;
  }

  /** Moves the end by so many bytes, as far as there are pages. */
  extend(byBytes: number): void {
    this.#end = Math.min(this.#end + byBytes, this.#source.endPosition);
  }

  /** Moves on by up to `left` bytes. */
  skip(sizeBytes: number): void {
    this.#position += sizeBytes;
  }

  /** Returns the next `sizeBytes` bytes or more; `left` has so many. A view: it stays as it is. */
  async load(sizeBytes: number): Promise<Buffer> {
    const start = this.#position - this.#bufferPosition;
    if (start + sizeBytes <= this.#buffer.length) return this.#buffer.subarray(start);
    const { file, readBytes: usualBytes, memory } = this.#source;
    const end = Math.min(this.#position + Math.max(sizeBytes, usualBytes), this.#end);
    memory.replace(this.#heldBytes, end - this.#position);
    this.#heldBytes = end - this.#position;
    this.#buffer = await readBytes(file, this.#position, end);
    this.#bufferPosition = this.#position;
    return this.#buffer;
  }

  /** Gives its memory back. */
  close(): void {
    this.#buffer = Buffer.alloc(0);
    this.#source.memory.replace(this.#heldBytes, 0);
    this.#heldBytes = 0;
  }
}
