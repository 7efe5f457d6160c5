import type { ByteSpan } from '../../../core/internal.ts';

/** What the first rows of a part need; it grows with them. */
const FIRST_BYTES = 16 * 1024;
/** A buffer that a huge row has made larger than this is given back. */
const KEPT_BYTES_MAX = 1024 * 1024;
/** A UTF-8 character takes at most three bytes for each unit of a JavaScript string. */
const BYTES_PER_UNIT_MAX = 3;
/** Longer text is measured first, rather than given three times its room. */
const UNITS_MAX = 64 * 1024;
const LF = 10;
const EMPTY = Buffer.alloc(0);

/** The bytes of a part on their way into its file, in one buffer that grows. */
export class OutputBuffer {
  #buffer: Buffer = EMPTY;
  #filledBytes = 0;
  /** The bytes of the part that have left the buffer. */
  #passedBytes: number;

  /** @param passedBytes of the part, by earlier runs. */
  constructor(passedBytes = 0) {
    this.#passedBytes = passedBytes;
  }

  /** The bytes in the buffer. */
  get waitingBytes(): number {
    return this.#filledBytes;
  }

  /** Where the next byte stands in the part, before compression: 0 at its beginning. */
  get positionBytes(): number {
    return this.#passedBytes + this.#filledBytes;
  }

  /** Appends text as UTF-8. */
  appendText(text: string): void {
    this.#reserve(maxBytesOf(text));
    this.#filledBytes += this.#buffer.write(text, this.#filledBytes);
  }

  /** Appends text as UTF-8, and a line feed. */
  appendLine(text: string): void {
    this.#reserve(maxBytesOf(text) + 1);
    const end = this.#filledBytes + this.#buffer.write(text, this.#filledBytes);
    this.#buffer[end] = LF;
    this.#filledBytes = end + 1;
  }

  /** Appends bytes; they are copied. */
  appendBytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#filledBytes);
    this.#filledBytes += bytes.length;
  }

  /** @internal Appends the bytes of a span, which are copied, and a line feed. */
  appendByteLine({ source, start, end }: ByteSpan): void {
    this.#reserve(end - start + 1);
    const position = this.#filledBytes + source.copy(this.#buffer, this.#filledBytes, start, end);
    this.#buffer[position] = LF;
    this.#filledBytes = position + 1;
  }

  /** Takes back what was appended behind a position that is still in the buffer. */
  truncate(positionBytes: number): void {
    this.#filledBytes = positionBytes - this.#passedBytes;
  }

  /** The bytes in the buffer: a view, until the next call of anything here. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#filledBytes);
  }

  /** Empties the buffer, whose bytes are now in the file. */
  pass(): void {
    this.#passedBytes += this.#filledBytes;
    this.#filledBytes = 0;
    if (this.#buffer.length > KEPT_BYTES_MAX) this.#buffer = EMPTY;
  }

  /** Gives the memory back; nothing is appended any more. */
  release(): void {
    this.#buffer = EMPTY;
    this.#filledBytes = 0;
  }

  #reserve(neededBytes: number): void {
    const end = this.#filledBytes + neededBytes;
    if (end <= this.#buffer.length) return;
    const buffer = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, this.#buffer.length * 2, end));
    this.#buffer.copy(buffer, 0, 0, this.#filledBytes);
    this.#buffer = buffer;
  }
}

function maxBytesOf(text: string): number {
  return text.length <= UNITS_MAX ? text.length * BYTES_PER_UNIT_MAX : Buffer.byteLength(text);
}
