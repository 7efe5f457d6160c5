/** Small numbers, one after the other: levels, indices into a dictionary. */
export interface NumberReader {
  /** Reads the next `count` numbers into `target`, from `at` on. @throws RangeError */
  read(target: Uint8Array | Int32Array, at: number, count: number): void;
}

/** The number of bits that numbers up to `max` take. */
export function bitWidth(max: number): number {
  return 32 - Math.clz32(max);
}

/** Wider numbers do not fit into the 32 bits that are collected here, with 7 more from a byte. */
const COLLECTED_BITS_MAX = 24;
const VARINT_BYTES_MAX = 5;

/**
 * Reads Parquet's mixture of runs and packed numbers (encoding RLE):
 *
 *     run     count << 1 varint | the number, in as many bytes as its bits need
 *     packed  count / 8 << 1 | 1 varint | numbers of `width` bits, from the lowest bit on
 */
export class RunReader implements NumberReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  readonly #width: number;
  #at: number;
  /** Numbers left in the current run. */
  #left = 0;
  /** The number that the run repeats; undefined if it is packed. */
  #repeated: number | undefined;
  /** Packed: bits of bytes before `#at` that are not used yet. */
  #bits = 0;
  #bitCount = 0;

  /** @param width in bits, up to 32. */
  constructor(bytes: Buffer, start: number, end: number, width: number) {
    if (width > 32) throw new RangeError(`numbers of ${width} bits`);
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#width = width;
  }

  read(target: Uint8Array | Int32Array, at: number, count: number): void {
    if (this.#width === 0) {
      // Some writers leave out the runs of numbers without bits.
      target.fill(0, at, at + count);
      return;
    }
    const end = at + count;
    while (at < end) {
      if (this.#left === 0) this.#nextRun();
      const taken = Math.min(this.#left, end - at);
      if (this.#repeated !== undefined) target.fill(this.#repeated, at, at + taken);
      else this.#unpack(target, at, taken);
      this.#left -= taken;
      at += taken;
    }
  }

  #nextRun(): void {
    const head = this.#varint();
    const count = Math.floor(head / 2);
    if (count === 0) throw new RangeError('a run of no numbers');
    if (head % 2 === 1) {
      this.#left = count * 8;
      this.#repeated = undefined;
      this.#bits = 0;
      this.#bitCount = 0;
      return;
    }
    this.#left = count;
    const bytes = Math.ceil(this.#width / 8);
    if (bytes > this.#end - this.#at) throw new RangeError('runs of numbers end too early');
    let value = 0;
    for (let index = 0; index < bytes; index++) value |= this.#bytes[this.#at++]! << (8 * index);
    this.#repeated = value;
  }

  /** Only the numbers that are asked for must be there: some writers cut the last run short. */
  #unpack(target: Uint8Array | Int32Array, at: number, count: number): void {
    const width = this.#width;
    const missingBits = count * width - this.#bitCount;
    if (missingBits > (this.#end - this.#at) * 8)
      throw new RangeError('packed numbers end too early');
    if (width > COLLECTED_BITS_MAX) {
      this.#unpackWide(target, at, count);
      return;
    }
    const bytes = this.#bytes;
    const mask = 2 ** width - 1;
    let [from, bits, bitCount] = [this.#at, this.#bits, this.#bitCount];
    for (const end = at + count; at < end; at++) {
      while (bitCount < width) {
        bits |= bytes[from++]! << bitCount;
        bitCount += 8;
      }
      target[at] = bits & mask;
      bits >>>= width;
      bitCount -= width;
    }
    this.#at = from;
    this.#bits = bits;
    this.#bitCount = bitCount;
  }

  /** Bit by bit: no dictionary is that large, but some writers always use 32 bits. */
  #unpackWide(target: Uint8Array | Int32Array, at: number, count: number): void {
    for (const end = at + count; at < end; at++) {
      let value = 0;
      for (let bit = 0; bit < this.#width; bit++) {
        if (this.#bitCount === 0) {
          this.#bits = this.#bytes[this.#at++]!;
          this.#bitCount = 8;
        }
        value |= (this.#bits & 1) << bit;
        this.#bits >>>= 1;
        this.#bitCount--;
      }
      target[at] = value;
    }
  }

  #varint(): number {
    let value = 0;
    for (let index = 0, factor = 1; index < VARINT_BYTES_MAX; index++, factor *= 0x80) {
      if (this.#at >= this.#end) throw new RangeError('runs of numbers end too early');
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    throw new RangeError('a run with a huge count');
  }
}

/** Reads levels as the oldest files have them: packed from the highest bit of each byte on. */
export class PackedLevelReader implements NumberReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  readonly #width: number;
  #at: number;
  #bits = 0;
  #bitCount = 0;

  /** @param width in bits, up to 8. */
  constructor(bytes: Buffer, start: number, end: number, width: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#width = width;
  }

  read(target: Uint8Array | Int32Array, at: number, count: number): void {
    const width = this.#width;
    for (const end = at + count; at < end; at++) {
      if (this.#bitCount < width) {
        if (this.#at >= this.#end) throw new RangeError('packed levels end too early');
        this.#bits = ((this.#bits << 8) | this.#bytes[this.#at++]!) & 0xffff;
        this.#bitCount += 8;
      }
      this.#bitCount -= width;
      target[at] = (this.#bits >>> this.#bitCount) & (2 ** width - 1);
    }
  }
}
