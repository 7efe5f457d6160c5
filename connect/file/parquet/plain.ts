import type { Conversion } from './conversion.ts';
import type { NumberReader } from './levels.ts';
import type { PhysicalType } from './metadata.ts';

/** Reads the values of a page, converted; nulls are not among them. */
export interface ValueReader {
  /**
   * Reads the next `count` values into `target`, from `at` on.
   *
   * @throws RangeError if there are not so many.
   */
  read(target: unknown[], at: number, count: number): void;
  /** The size of all text and bytes that it has made. */
  readonly madeBytes: number;
}

/** What to know of the type of a column to read its values. */
export interface ValueType {
  readonly type: PhysicalType;
  /** The size of FIXED_LEN_BYTE_ARRAY values. */
  readonly typeLength: number;
  readonly conversion: Conversion;
}

/** Reads values that lie one after the other (encoding PLAIN). */
export function plainReader(
  bytes: Buffer,
  { type, typeLength, conversion }: ValueType,
): ValueReader {
  switch (type) {
    case 'BOOLEAN':
      return new PlainBooleans(bytes);
    case 'INT32':
    case 'FLOAT':
    case 'DOUBLE':
      return new PlainNumbers(bytes, type, conversion);
    case 'INT64':
      return new PlainIntegers64(bytes, conversion);
    case 'INT96':
      return new PlainFixedBytes(bytes, 12, conversion);
    case 'FIXED_LEN_BYTE_ARRAY':
      return new PlainFixedBytes(bytes, typeLength, conversion);
    case 'BYTE_ARRAY':
      return new PlainBytes(bytes, conversion);
  }
}

/** The number of bytes that each PLAIN value takes at least. */
export function plainBytesMin({ type, typeLength }: ValueType): number {
  switch (type) {
    case 'BOOLEAN':
      return 1 / 8;
    case 'INT32':
    case 'FLOAT':
    case 'BYTE_ARRAY':
      return 4;
    case 'INT64':
    case 'DOUBLE':
      return 8;
    case 'INT96':
      return 12;
    case 'FIXED_LEN_BYTE_ARRAY':
      return typeLength;
  }
}

/** RangeError: fewer values than the headers promise. */
export function tooFew(): RangeError {
  return new RangeError('a page has fewer values than its header says');
}

class PlainBooleans implements ValueReader {
  readonly madeBytes = 0;
  readonly #bytes: Buffer;
  #bit = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  read(target: unknown[], at: number, count: number): void {
    if (this.#bit + count > this.#bytes.length * 8) throw tooFew();
    for (const end = this.#bit + count; this.#bit < end; this.#bit++) {
      target[at++] = ((this.#bytes[Math.floor(this.#bit / 8)]! >>> (this.#bit % 8)) & 1) === 1;
    }
  }
}

/** Little-endian numbers that JavaScript's hold exactly. */
class PlainNumbers implements ValueReader {
  readonly madeBytes = 0;
  readonly #view: DataView;
  readonly #type: 'INT32' | 'FLOAT' | 'DOUBLE';
  readonly #conversion: Conversion;
  #at = 0;

  constructor(bytes: Buffer, type: 'INT32' | 'FLOAT' | 'DOUBLE', conversion: Conversion) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#type = type;
    this.#conversion = conversion;
  }

  read(target: unknown[], at: number, count: number): void {
    const view = this.#view;
    let from = this.#at;
    const sizeBytes = this.#type === 'DOUBLE' ? 8 : 4;
    if (count * sizeBytes > view.byteLength - from) throw tooFew();
    const end = at + count;
    switch (this.#type) {
      case 'INT32':
        for (let index = at; index < end; index++, from += 4) {
          target[index] = view.getInt32(from, true);
        }
        break;
      case 'FLOAT':
        for (let index = at; index < end; index++, from += 4) {
          target[index] = view.getFloat32(from, true);
        }
        break;
      case 'DOUBLE':
        for (let index = at; index < end; index++, from += 8) {
          target[index] = view.getFloat64(from, true);
        }
    }
    this.#at = from;
    convertNumbers(this.#conversion, target, at, end);
  }
}

/** Converts the numbers in `target`, in place. */
export function convertNumbers(
  { number }: Conversion,
  target: unknown[],
  at: number,
  end: number,
): void {
  if (number === undefined) return;
  for (let index = at; index < end; index++) target[index] = number(target[index] as number);
}

class PlainIntegers64 implements ValueReader {
  readonly madeBytes = 0;
  readonly #view: DataView;
  readonly #conversion: Conversion;
  #at = 0;

  constructor(bytes: Buffer, conversion: Conversion) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#conversion = conversion;
  }

  read(target: unknown[], at: number, count: number): void {
    const { integer64 } = this.#conversion;
    const view = this.#view;
    let from = this.#at;
    if (count * 8 > view.byteLength - from) throw tooFew();
    for (const end = at + count; at < end; at++, from += 8) {
      target[at] = integer64(view.getUint32(from, true), view.getInt32(from + 4, true));
    }
    this.#at = from;
  }
}

class PlainFixedBytes implements ValueReader {
  madeBytes = 0;
  readonly #bytes: Buffer;
  readonly #sizeBytes: number;
  readonly #conversion: Conversion;
  #at = 0;

  constructor(bytes: Buffer, sizeBytes: number, conversion: Conversion) {
    this.#bytes = bytes;
    this.#sizeBytes = sizeBytes;
    this.#conversion = conversion;
  }

  read(target: unknown[], at: number, count: number): void {
    const { bytes: convert } = this.#conversion;
    const sizeBytes = this.#sizeBytes;
    if (count * sizeBytes > this.#bytes.length - this.#at) throw tooFew();
    for (const end = at + count; at < end; at++, this.#at += sizeBytes) {
      target[at] = convert(this.#bytes, this.#at, this.#at + sizeBytes);
    }
    this.madeBytes += count * sizeBytes;
  }
}

/** Each value behind its length, u32 LE. */
class PlainBytes implements ValueReader {
  madeBytes = 0;
  readonly #bytes: Buffer;
  readonly #conversion: Conversion;
  #at = 0;

  constructor(bytes: Buffer, conversion: Conversion) {
    this.#bytes = bytes;
    this.#conversion = conversion;
  }

  read(target: unknown[], at: number, count: number): void {
    const { bytes: convert } = this.#conversion;
    const bytes = this.#bytes;
    let from = this.#at;
    for (const end = at + count; at < end; at++) {
      const start = from + 4;
      if (start > bytes.length) throw tooFew();
      from = start + bytes.readUInt32LE(from);
      if (from > bytes.length) throw new RangeError('a value reaches beyond its page');
      target[at] = convert(bytes, start, from);
    }
    this.madeBytes += from - this.#at;
    this.#at = from;
  }
}

/** Booleans as a mixture of runs and packed bits (encoding RLE). */
export class RunBooleans implements ValueReader {
  readonly madeBytes = 0;
  readonly #runs: NumberReader;

  constructor(runs: NumberReader) {
    this.#runs = runs;
  }

  read(target: unknown[], at: number, count: number): void {
    for (const end = at + count; at < end;) {
      const taken = Math.min(SCRATCH.length, end - at);
      this.#runs.read(SCRATCH, 0, taken);
      for (let index = 0; index < taken; index++) target[at++] = SCRATCH[index] === 1;
    }
  }
}

/** Values by their index in the dictionary of the column chunk. */
export class DictionaryReader implements ValueReader {
  readonly madeBytes = 0; // they exist once
  readonly #indices: NumberReader;
  readonly #dictionary: readonly unknown[];

  constructor(indices: NumberReader, dictionary: readonly unknown[]) {
    this.#indices = indices;
    this.#dictionary = dictionary;
  }

  read(target: unknown[], at: number, count: number): void {
    const dictionary = this.#dictionary;
    for (const end = at + count; at < end;) {
      const taken = Math.min(SCRATCH.length, end - at);
      this.#indices.read(SCRATCH, 0, taken);
      for (let index = 0; index < taken; index++) {
        const entry = SCRATCH[index]!;
        // Indices of 32 bits may have become negative.
        if (entry >= dictionary.length || entry < 0) {
          throw new RangeError('a value is not in the dictionary');
        }
        target[at++] = dictionary[entry];
      }
    }
  }
}

/** Numbers on their way to values; nothing stays in it between two calls. */
const SCRATCH = new Int32Array(1024);
