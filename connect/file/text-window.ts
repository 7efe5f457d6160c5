import { crc32 } from 'node:zlib';
import type { ByteInput } from './source/byte-input.ts';

/** The size of one read: a few thousand rows, some milliseconds of work. */
const CHUNK_BYTES = 256 * 1024;
/** Enough to tell apart files that share a header, and fast to read back. */
export const CHECK_BYTES = 1024;

/**
 * The part of a file that is in memory.
 *
 *      #base            start                     end
 *        | <= CHECK_BYTES | not parsed yet          | not read yet ...   sizeBytes
 *        +----------------+-------------------------+-----
 *                 #buffer
 */
export class TextWindow {
  readonly #input: ByteInput;
  #buffer: Buffer = EMPTY;
  /** Where the buffer starts in the file; moves when the buffer is filled. */
  #base = 0;
  /** In the buffer: everything before it has been parsed. */
  start = 0;
  /** In the buffer: everything before it has been read from the file. */
  end = 0;

  constructor(input: ByteInput) {
    this.#input = input;
  }

  /** The position of `start` in the file. */
  get position(): number {
    return this.#base + this.start;
  }

  /** True if everything has been read from the file. */
  get isAtEnd(): boolean {
    return this.#base + this.end >= this.#input.sizeBytes;
  }

  /** The file as far as it is known: up to `end` if its size is not known. */
  get sizeBytes(): number {
    const { sizeBytes } = this.#input;
    return sizeBytes === Infinity ? this.#base + this.end : sizeBytes;
  }

  /** The bytes from `start` to `to`, a view. */
  view(to: number = this.end): Buffer {
    return this.#buffer.subarray(this.start, to);
  }

  /** CRC-32 of up to CHECK_BYTES bytes before `start`. */
  check(): number {
    return crc32(this.#buffer.subarray(Math.max(0, this.start - CHECK_BYTES), this.start));
  }

  /** Up to `count` bytes before `start`, a view. */
  before(count: number): Buffer {
    return this.#buffer.subarray(Math.max(0, this.start - count), this.start);
  }

  /** CRC-32 of the first CHECK_BYTES bytes, if they are still in memory. */
  headSoFar(): number | undefined {
    return this.#base === 0 ? crc32(this.#buffer.subarray(0, CHECK_BYTES)) : undefined;
  }

  /** Begins at `position`, with the bytes before it that `check` covers. */
  async begin(position: number): Promise<void> {
    this.#base = Math.max(0, position - CHECK_BYTES);
    this.start = this.end = 0;
    const before = position - this.#base;
    await this.#read(this.#wanted(before + CHUNK_BYTES));
    this.start = Math.min(before, this.end);
  }

  /** CRC-32 of the first CHECK_BYTES bytes. Call it before `begin`. */
  async head(): Promise<number> {
    const head = Buffer.allocUnsafe(CHECK_BYTES);
    return crc32(head.subarray(0, await this.#input.read(head, 0)));
  }

  /** Reads more into the buffer. */
  async fill(): Promise<void> {
    const leftBytes = this.end - this.start;
    const keptBytes = Math.min(this.start, CHECK_BYTES) + leftBytes;
    const kept = this.#buffer.subarray(this.end - keptBytes, this.end);
    this.#base += this.end - keptBytes;
    this.start = keptBytes - leftBytes;
    this.end = keptBytes;
    // Doubles each time, so that a long record is not scanned again and again.
    await this.#read(this.#wanted(Math.max(CHUNK_BYTES, leftBytes)), kept);
  }

  /** How many bytes to read: no more than there are. */
  #wanted(bytes: number): number {
    return Math.max(0, Math.min(bytes, this.#input.sizeBytes - this.#base - this.end));
  }

  /** Reads behind `end`, and keeps `kept` before that. */
  async #read(wantedBytes: number, kept: Buffer = EMPTY): Promise<void> {
    const neededBytes = this.end + wantedBytes;
    // A small file has a small buffer: there may be thousands of them.
    if (neededBytes > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(neededBytes);
    kept.copy(this.#buffer);
    if (wantedBytes === 0) return;
    const target = this.#buffer.subarray(this.end, neededBytes);
    this.end += await this.#input.read(target, this.#base + this.end);
  }
}

const EMPTY = Buffer.alloc(0);
