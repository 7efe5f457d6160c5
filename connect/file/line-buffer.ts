/** Large enough for few writes, small enough for a hundred partitions to have one each. */
const BUFFER_BYTES = 64 * 1024;
/** A UTF-8 character takes at most three bytes for each unit of a JavaScript string. */
const BYTES_PER_CHAR_MAX = 3;
const LF = 10;

/** Lines of text on their way into a file, as bytes. */
export class LineBuffer {
  #sizeBytes = 0;
  #full: Buffer[] = [];
  /** The buffer being filled, up to `#filledBytes`. */
  #buffer: Buffer = EMPTY;
  #filledBytes = 0;

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Appends a line and its line end. */
  append(line: string): void {
    const neededBytes = line.length * BYTES_PER_CHAR_MAX + 1;
    if (neededBytes > this.#buffer.length - this.#filledBytes) {
      this.#turn();
      this.#buffer = Buffer.allocUnsafeSlow(Math.max(BUFFER_BYTES, neededBytes));
    }
    const writtenBytes = this.#buffer.write(line, this.#filledBytes);
    this.#buffer[this.#filledBytes + writtenBytes] = LF;
    this.#filledBytes += writtenBytes + 1;
    this.#sizeBytes += writtenBytes + 1;
  }

  /** Returns all bytes, in order, and leaves the buffer empty. */
  take(): readonly Buffer[] {
    this.#turn();
    const taken = this.#full;
    this.#full = [];
    this.#sizeBytes = 0;
    return taken;
  }

  #turn(): void {
    if (this.#filledBytes > 0) this.#full.push(this.#buffer.subarray(0, this.#filledBytes));
    this.#buffer = EMPTY;
    this.#filledBytes = 0;
  }
}

const EMPTY = Buffer.alloc(0);
