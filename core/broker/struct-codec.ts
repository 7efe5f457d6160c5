import { readInt64, writeInt64 } from '../int64.ts';

/**
 * Kafka's classic (not "flexible") structs: big-endian numbers, strings and byte arrays behind an
 * int16 or int32 length, arrays behind an int32 count.
 */
export class StructWriter {
  #bytes = Buffer.alloc(256);
  #position = 0;

  int8(value: number): this {
    this.#room(1).writeInt8(value, this.#position);
    this.#position += 1;
    return this;
  }

  int16(value: number): this {
    this.#room(2).writeInt16BE(value, this.#position);
    this.#position += 2;
    return this;
  }

  int32(value: number): this {
    this.#room(4).writeInt32BE(value, this.#position);
    this.#position += 4;
    return this;
  }

  int64(value: number): this {
    writeInt64(this.#room(8), this.#position, value);
    this.#position += 8;
    return this;
  }

  string(value: string | null): this {
    if (value === null) return this.int16(-1);
    const sizeBytes = Buffer.byteLength(value);
    this.int16(sizeBytes);
    this.#room(sizeBytes).write(value, this.#position);
    this.#position += sizeBytes;
    return this;
  }

  bytes(value: Uint8Array): this {
    this.int32(value.length);
    this.#room(value.length).set(value, this.#position);
    this.#position += value.length;
    return this;
  }

  array<T>(items: readonly T[], write: (item: T) => void): this {
    this.int32(items.length);
    for (const item of items) write(item);
    return this;
  }

  /** What was written, in memory of its own. */
  end(): Buffer {
    return this.#bytes.subarray(0, this.#position);
  }

  #room(sizeBytes: number): Buffer {
    if (this.#position + sizeBytes > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(this.#bytes.length * 2, this.#position + sizeBytes));
      this.#bytes.copy(larger);
      this.#bytes = larger;
    }
    return this.#bytes;
  }
}

/** Reads what `StructWriter` or Kafka wrote. Running past the end throws a RangeError. */
export class StructReader {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  int8(): number {
    return this.#bytes.readInt8(this.#advance(1));
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#advance(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#advance(4));
  }

  int64(): number {
    return readInt64(this.#bytes, this.#advance(8));
  }

  string(): string {
    return this.nullableString() ?? '';
  }

  nullableString(): string | null {
    const sizeBytes = this.int16();
    if (sizeBytes < 0) return null;
    const start = this.#advance(sizeBytes);
    return this.#bytes.toString('utf8', start, start + sizeBytes);
  }

  /** A string of a "flexible" struct: an unsigned varint of its length + 1 in front. */
  compactString(): string {
    let [sizePlusOne, shift, byte] = [0, 0, 0x80];
    for (; byte >= 0x80; shift += 7) {
      byte = this.#bytes.readUInt8(this.#advance(1));
      sizePlusOne |= (byte & 0x7f) << shift;
    }
    const sizeBytes = Math.max(0, sizePlusOne - 1);
    const start = this.#advance(sizeBytes);
    return this.#bytes.toString('utf8', start, start + sizeBytes);
  }

  bytes(): Buffer {
    const sizeBytes = Math.max(0, this.int32());
    const start = this.#advance(sizeBytes);
    return Buffer.from(this.#bytes.subarray(start, start + sizeBytes));
  }

  array<T>(read: () => T): T[] {
    const count = this.int32();
    const items: T[] = [];
    for (let index = 0; index < count; index++) items.push(read());
    return items;
  }

  #advance(sizeBytes: number): number {
    const start = this.#position;
    if (start + sizeBytes > this.#bytes.length) {
      throw new RangeError(
        `a struct of ${this.#bytes.length} bytes ends within a field at ${start}`,
      );
    }
    this.#position = start + sizeBytes;
    return start;
  }
}
