import { BitReader } from './bit-reader.ts';
import { UNPACKED_BYTES_MAX } from './compression.ts';
import type { Conversion } from './conversion.ts';
import { convertNumbers, tooFew, type ValueReader } from './plain.ts';

/** A block of this many numbers has at least as many bytes where they differ. */
const BLOCK_NUMBERS_MAX = 1 << 24;

/**
 * Reads integers of 64 bits, as two of 32, that lie as differences (encoding DELTA_BINARY_PACKED):
 *
 *     numbers in a block | miniblocks in a block | count: varints | first number zigzag varint
 *     blocks: least difference zigzag varint | width of each miniblock u8 |
 *             miniblocks: differences less the least one, in `width` bits each, lowest bit first
 *
 * Sums wrap around at 64 bits.
 */
export class DeltaReader {
  readonly #source: BitReader;
  readonly #count: number;
  readonly #miniblocks: number;
  readonly #miniblockNumbers: number;
  /** Numbers that were not returned yet. */
  #left: number;
  /** The current number; the next one is a difference away. */
  low = 0;
  high = 0;
  /** Of the current block: the least difference, and the widths of its further miniblocks. */
  #leastLow = 0;
  #leastHigh = 0;
  #widths: Buffer = Buffer.alloc(0);
  /** Of the current miniblock: the width of its numbers, and how many are left. */
  #width = 0;
  #miniblockLeft = 0;

  constructor(bytes: Buffer, start: number) {
    this.#source = new BitReader(bytes, start);
    const blockNumbers = this.#source.natural();
    this.#miniblocks = this.#source.natural();
    this.#count = this.#source.natural();
    this.#left = this.#count;
    this.#miniblockNumbers = blockNumbers / this.#miniblocks;
    const isSound = blockNumbers <= BLOCK_NUMBERS_MAX && this.#miniblockNumbers % 8 === 0;
    if (!isSound || blockNumbers === 0) {
      throw new RangeError(`blocks of ${blockNumbers} numbers in ${this.#miniblocks} parts`);
    }
    this.#source.zigzag();
    this.low = this.#source.low;
    this.high = this.#source.high;
  }

  /** Moves to the next number: `high` and `low`, which is unsigned. */
  next(): void {
    const left = this.#left;
    if (left <= 0) throw tooFew();
    this.#left = left - 1;
    if (left === this.#count) return;
    if (this.#miniblockLeft === 0) this.#nextMiniblock();
    this.#miniblockLeft--;
    const width = this.#width;
    const low = this.#source.bits(Math.min(width, 32)) + this.#leastLow + this.low;
    const high = width > 32 ? this.#source.bits(width - 32) : 0;
    this.low = low >>> 0;
    // Three numbers of 32 bits carry up to 2.
    this.high = (high + this.#leastHigh + this.high + Math.floor(low / 0x1_0000_0000)) | 0;
  }

  /** The next number as a length or size. */
  nextLength(): number {
    this.next();
    const length = this.low | 0;
    if (length < 0) throw new RangeError(`a value of ${length} bytes`);
    return length;
  }

  /** Moves behind all of the numbers, without a look at them, and returns where that is. */
  skipAll(): number {
    for (let left = this.#count - 1; left > 0; left -= this.#miniblockNumbers) {
      this.#left = left;
      this.#nextMiniblock();
      this.#source.take((this.#miniblockNumbers * this.#width) / 8);
    }
    this.#left = 0;
    return this.#source.position;
  }

  #nextMiniblock(): void {
    const source = this.#source;
    if (this.#widths.length === 0) {
      source.zigzag();
      this.#leastLow = source.low;
      this.#leastHigh = source.high;
      this.#widths = source.take(this.#miniblocks);
    }
    const width = this.#widths[0]!;
    this.#widths = this.#widths.subarray(1);
    if (width > 64) throw new RangeError(`differences of ${width} bits`);
    // Some writers cut the last one short.
    const numbers = Math.min(this.#miniblockNumbers, this.#left + 1);
    if ((numbers * width) / 8 > source.left) throw tooFew();
    this.#width = width;
    this.#miniblockLeft = this.#miniblockNumbers;
  }
}

/** Integers (encoding DELTA_BINARY_PACKED). */
export class DeltaIntegers implements ValueReader {
  readonly madeBytes = 0;
  readonly #numbers: DeltaReader;
  readonly #type: 'INT32' | 'INT64';
  readonly #conversion: Conversion;

  constructor(bytes: Buffer, type: 'INT32' | 'INT64', conversion: Conversion) {
    this.#numbers = new DeltaReader(bytes, 0);
    this.#type = type;
    this.#conversion = conversion;
  }

  read(target: unknown[], at: number, count: number): void {
    const numbers = this.#numbers;
    const end = at + count;
    if (this.#type === 'INT32') {
      for (let index = at; index < end; index++) {
        numbers.next();
        target[index] = numbers.low | 0;
      }
      convertNumbers(this.#conversion, target, at, end);
      return;
    }
    const { integer64 } = this.#conversion;
    for (let index = at; index < end; index++) {
      numbers.next();
      target[index] = integer64(numbers.low, numbers.high);
    }
  }
}

/** All lengths, then all bytes (encoding DELTA_LENGTH_BYTE_ARRAY). */
export class DeltaLengthBytes implements ValueReader {
  madeBytes = 0;
  readonly #bytes: Buffer;
  readonly #conversion: Conversion;
  readonly #lengths: DeltaReader;
  #at: number;

  constructor(bytes: Buffer, conversion: Conversion) {
    this.#bytes = bytes;
    this.#conversion = conversion;
    this.#lengths = new DeltaReader(bytes, 0);
    this.#at = new DeltaReader(bytes, 0).skipAll();
  }

  read(target: unknown[], at: number, count: number): void {
    const { bytes: convert } = this.#conversion;
    const start = this.#at;
    for (const end = at + count; at < end; at++) {
      const from = this.#at;
      this.#at += this.#lengths.nextLength();
      if (this.#at > this.#bytes.length) throw new RangeError('a value reaches beyond its page');
      target[at] = convert(this.#bytes, from, this.#at);
    }
    this.madeBytes += this.#at - start;
  }
}

/**
 * Each value as the length of what it shares with the start of the one before, and the rest
 * (encoding DELTA_BYTE_ARRAY): all these lengths, then the rests as DELTA_LENGTH_BYTE_ARRAY.
 */
export class DeltaBytes implements ValueReader {
  madeBytes = 0;
  readonly #bytes: Buffer;
  readonly #conversion: Conversion;
  readonly #prefixes: DeltaReader;
  readonly #lengths: DeltaReader;
  #at: number;
  /** The bytes of the last value, of which `#length` count, and what they were converted to. */
  #value: Buffer = Buffer.alloc(0);
  #length = 0;
  #converted: unknown;

  constructor(bytes: Buffer, conversion: Conversion) {
    this.#bytes = bytes;
    this.#conversion = conversion;
    this.#prefixes = new DeltaReader(bytes, 0);
    const lengthsAt = new DeltaReader(bytes, 0).skipAll();
    this.#lengths = new DeltaReader(bytes, lengthsAt);
    this.#at = new DeltaReader(bytes, lengthsAt).skipAll();
  }

  read(target: unknown[], at: number, count: number): void {
    // A value may repeat a long one in a few bits, so these pages bound nothing.
    const limit = this.madeBytes + UNPACKED_BYTES_MAX;
    for (const end = at + count; at < end; at++) {
      const prefix = this.#prefixes.nextLength();
      const rest = this.#lengths.nextLength();
      if (prefix > this.#length) throw new RangeError('a value shares more than there is');
      if (rest > this.#bytes.length - this.#at) {
        throw new RangeError('a value reaches beyond its page');
      }
      const isSame = rest === 0 && prefix === this.#length && this.#converted !== undefined;
      if (!isSame) this.#convert(prefix, rest);
      if (this.madeBytes > limit) {
        throw new RangeError(`its values unpack to more than ${UNPACKED_BYTES_MAX} bytes at once`);
      }
      target[at] = this.#converted;
    }
  }

  #convert(prefix: number, rest: number): void {
    const length = prefix + rest;
    if (length > this.#value.length) {
      // It never gets longer than the page.
      const grown = Buffer.allocUnsafe(Math.max(64, 2 * length));
      this.#value.copy(grown, 0, 0, prefix);
      this.#value = grown;
    }
    this.#bytes.copy(this.#value, prefix, this.#at, this.#at + rest);
    this.#at += rest;
    this.#length = length;
    this.#converted = this.#conversion.bytes(this.#value, 0, length);
    this.madeBytes += length;
  }
}
