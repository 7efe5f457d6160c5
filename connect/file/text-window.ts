import { crc32 } from 'node:zlib';
import type { ByteInput } from './source/byte-input.ts';

/** The size of one read: a few thousand rows, some milliseconds of work. */
export const CHUNK_BYTES: number = 256 * 1024;
/** Enough to tell apart files that share a header, and fast to read back. */
export const CHECK_BYTES = 1024;
/** The room for what is kept before bytes that are read ahead: more is left over of few chunks. */
const ROOM_BYTES = 16 * 1024;

/** A read of the next chunk, while the one before is being parsed. */
interface AheadRead {
  /** Takes them from ROOM_BYTES on. */
  readonly buffer: Buffer;
  readonly reading: Promise<number>;
}

/**
 * The part of a file that is in memory. The next part is read ahead into a second buffer, and the
 * two change places when it is needed.
 *
 *      #base            start                     end
 *        | <= CHECK_BYTES | not parsed yet          | not read yet ...   sizeBytes
 *        +----------------+-------------------------+-----
 *                 #buffer
 */
export class TextWindow {
  readonly #input: ByteInput;
  readonly #chunkBytes: number;
  #buffer: Buffer = EMPTY;
  /** The memory that the buffer is a part of. */
  #whole: Buffer = EMPTY;
  /** Where the buffer starts in the file; moves when the buffer is filled. */
  #base = 0;
  /** In the buffer: everything before it has been parsed. */
  start = 0;
  /** In the buffer: everything before it has been read from the file. */
  end = 0;
  /** Set from `readAhead` until `fill`. */
  #ahead: AheadRead | undefined;
  /** The buffer for the next read ahead; undefined before there is one. */
  #spare: Buffer | undefined;

  /** @param chunkBytes the size of one read. */
  constructor(input: ByteInput, chunkBytes: number) {
    this.#input = input;
    this.#chunkBytes = chunkBytes;
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
    await this.#read(this.#wanted(before + this.#chunkBytes));
    this.start = Math.min(before, this.end);
  }

  /** CRC-32 of the first CHECK_BYTES bytes. Call it before `begin`. */
  async head(): Promise<number> {
    const head = Buffer.allocUnsafe(CHECK_BYTES);
    return crc32(head.subarray(0, await this.#input.read(head, 0)));
  }

  /**
   * Begins to read the next part, if there is more and little of this one is left. Views of this
   * one stay as they are until `readAhead` is called again behind the next `fill`.
   */
  readAhead(): void {
    const leftBytes = this.end - this.start;
    const wantedBytes = this.#wanted(this.#chunkBytes);
    if (this.#ahead !== undefined || wantedBytes === 0) return;
    if (leftBytes + CHECK_BYTES > ROOM_BYTES) return;
    const buffer = this.#spare ?? Buffer.allocUnsafeSlow(ROOM_BYTES + this.#chunkBytes);
    const target = buffer.subarray(ROOM_BYTES, ROOM_BYTES + wantedBytes);
    const reading = this.#input.read(target, this.#base + this.end);
    reading.catch(() => undefined); // `fill` fails with it, unless the run has ended before
    this.#spare = undefined;
    this.#ahead = { buffer, reading };
  }

  /** Resolves when nothing is being read. */
  async idle(): Promise<void> {
    await this.#ahead?.reading.catch(() => undefined);
  }

  /** Reads more into the buffer, or takes what was read ahead. */
  async fill(): Promise<void> {
    const leftBytes = this.end - this.start;
    const keptBytes = Math.min(this.start, CHECK_BYTES) + leftBytes;
    const kept = this.#buffer.subarray(this.end - keptBytes, this.end);
    const ahead = this.#ahead;
    this.#ahead = undefined;
    const aheadBytes = await ahead?.reading;
    this.#base += this.end - keptBytes;
    this.start = keptBytes - leftBytes;
    this.end = keptBytes;
    if (ahead !== undefined && aheadBytes !== undefined) {
      const from = ROOM_BYTES - keptBytes;
      kept.copy(ahead.buffer, from);
      // Only a whole one is of use: that of a small file, or of a long record, has another size.
      if (this.#whole.length === ahead.buffer.length) this.#spare = this.#whole;
      this.#whole = ahead.buffer;
      this.#buffer = ahead.buffer.subarray(from);
      this.end += aheadBytes;
      return;
    }
    // Doubles each time, so that a long record is not scanned again and again.
    await this.#read(this.#wanted(Math.max(this.#chunkBytes, leftBytes)), kept);
  }

  /** How many bytes to read: no more than there are. */
  #wanted(bytes: number): number {
    return Math.max(0, Math.min(bytes, this.#input.sizeBytes - this.#base - this.end));
  }

  /** Reads behind `end`, and keeps `kept` before that. */
  async #read(wantedBytes: number, kept: Buffer = EMPTY): Promise<void> {
    const neededBytes = this.end + wantedBytes;
    // A small file has a small buffer: there may be thousands of them.
    if (neededBytes > this.#buffer.length) {
      this.#buffer = this.#whole = Buffer.allocUnsafeSlow(neededBytes);
    }
    kept.copy(this.#buffer);
    if (wantedBytes === 0) return;
    const target = this.#buffer.subarray(this.end, neededBytes);
    this.end += await this.#input.read(target, this.#base + this.end);
  }
}

const EMPTY = Buffer.alloc(0);
