import { readInt64, writeInt64 } from '../int64.ts';

/** Kafka's strings stand behind an int16 length. */
export const STRING_BYTES_MAX = 0x7fff;

/**
 * Kafka's structs. Classic ones: big-endian numbers, strings and byte arrays behind an int16 or
 * int32 length, arrays behind an int32 count. "Flexible" ones: lengths and counts as unsigned
 * varints of one more, and tagged fields at the end of each struct.
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

  /** An unsigned varint: seven bits a byte, lowest first. */
  uvarint(value: number): this {
    let left = value;
    for (; left > 0x7f; left >>>= 7) this.int8(((left & 0x7f) | 0x80) - 0x100);
    return this.int8(left);
  }

  /** A string of a "flexible" struct, behind its length + 1. */
  compactString(value: string): this {
    const sizeBytes = Buffer.byteLength(value);
    this.uvarint(sizeBytes + 1);
    this.#room(sizeBytes).write(value, this.#position);
    this.#position += sizeBytes;
    return this;
  }

  /** An array of a "flexible" struct, behind its count + 1. */
  compactArray<T>(items: readonly T[], write: (item: T) => void): this {
    this.uvarint(items.length + 1);
    for (const item of items) write(item);
    return this;
  }

  /** A copy of what was written. */
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

  /** True while unread bytes are left. */
  get hasMore(): boolean {
    return this.#position < this.#bytes.length;
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

  /** As `StructWriter.uvarint`. */
  uvarint(): number {
    let [value, shift, byte] = [0, 0, 0x80];
    for (; byte >= 0x80; shift += 7) {
      byte = this.#bytes.readUInt8(this.#advance(1));
      value |= (byte & 0x7f) << shift;
    }
    return value >>> 0;
  }

  /** A string of a "flexible" struct; null is read as empty. */
  compactString(): string {
    const sizeBytes = Math.max(0, this.uvarint() - 1);
    const start = this.#advance(sizeBytes);
    return this.#bytes.toString('utf8', start, start + sizeBytes);
  }

  /** An array of a "flexible" struct; null is read as empty. */
  compactArray<T>(read: () => T): T[] {
    const count = Math.max(0, this.uvarint() - 1);
    const items: T[] = [];
    for (let index = 0; index < count; index++) items.push(read());
    return items;
  }

  /**
   * The tagged fields at the end of a "flexible" struct: those that `readers` knows are read, the
   * others stepped over.
   */
  tags(readers: Readonly<Record<number, () => void>> = {}): void {
    const count = this.uvarint();
    for (let index = 0; index < count; index++) {
      const [tag, sizeBytes] = [this.uvarint(), this.uvarint()];
      const start = this.#advance(sizeBytes);
      this.#position = start;
      readers[tag]?.();
      this.#position = start + sizeBytes;
    }
  }

  bytes(): Buffer {
    const sizeBytes = Math.max(0, this.int32());
    const start = this.#advance(sizeBytes);
    return Buffer.from(this.#bytes.subarray(start, start + sizeBytes));
  }

  /** A byte array of a "flexible" struct; null is read as empty. */
  compactBytes(): Buffer {
    const sizeBytes = Math.max(0, this.uvarint() - 1);
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
