import { BadValue } from './bad-value.ts';
import { textOf, uuidOf } from './byte-values.ts';
import {
  datesOf,
  decimal,
  decimalOf64,
  integersOf,
  timestampsOf,
  type ValueOptions,
} from './number-values.ts';
import type { Shredded } from './plan.ts';

/** A variant, or a part of one, as it lies in columns; null or absent for what is not there. */
export interface VariantGroup {
  readonly metadata?: Uint8Array | null;
  readonly value?: Uint8Array | null;
  readonly typed_value?: unknown;
}

/** What a field is whose columns are all null. */
const MISSING = Symbol('missing');

const DEPTH_MAX = 100;
const DECIMAL_SCALE_MAX = 38;

/** The lowest two bits of a value. */
const BASIC = { primitive: 0, shortText: 1, object: 2, list: 3 } as const;

/**
 * Decodes variants (VariantEncoding.md and VariantShredding.md of Parquet): values that bring their
 * own types, of which some parts may have columns of their own.
 */
export class VariantDecoder {
  readonly #numbers: ValueOptions['numbers'];
  readonly #integer64: (low: number, high: number) => unknown;
  readonly #microseconds: (low: number, high: number) => unknown;
  readonly #nanoseconds: (low: number, high: number) => unknown;
  readonly #days: (days: number) => unknown;
  /** The metadata that was read last, and the names in it: mostly all rows have the same. */
  #metadata: Buffer | undefined;
  #names: readonly string[] = [];
  /** The value that is being read. */
  #bytes: Buffer = Buffer.alloc(0);
  /** Bytes of it that were not read: parts that overlap could make it grow without end. */
  #left = 0;
  #depth = 0;
  /** The first part of the current variant that cannot be told. */
  #bad: BadValue | undefined;

  constructor(options: ValueOptions) {
    this.#numbers = options.numbers;
    this.#integer64 = integersOf(true, options);
    this.#microseconds = timestampsOf('MICROS', options);
    this.#nanoseconds = timestampsOf('NANOS', options);
    this.#days = datesOf(options);
  }

  /** Returns the value of a variant; a BadValue if it is damaged. */
  decode(group: VariantGroup, shredded: Shredded): unknown {
    this.#bad = undefined;
    try {
      this.#readMetadata(group.metadata ?? undefined);
      const value = this.#merge(group, shredded);
      return this.#badOr(value === MISSING ? null : value);
    } catch (error) {
      if (error instanceof RangeError) return new BadValue(error.message);
      throw error;
    }
  }

  #badOr(value: unknown): unknown {
    return this.#bad ?? value;
  }

  /** Puts the encoded and the typed part of a value together. */
  #merge({ value = null, typed_value: typed = null }: VariantGroup, shredded: Shredded): unknown {
    if (typed === null) return value === null ? MISSING : this.#encoded(value);
    if (shredded.typed === 'object') {
      return this.#mergeObject(value, typed as Record<string, VariantGroup | null>, shredded);
    }
    if (value !== null) throw new RangeError('a variant with two values');
    if (shredded.typed !== 'list') return typed;
    return (typed as readonly (VariantGroup | null)[]).map((element) => {
      const merged = this.#merge(element ?? {}, shredded.element!);
      return merged === MISSING ? null : merged;
    });
  }

  /** The encoded part has the fields without columns of their own. */
  #mergeObject(
    value: Uint8Array | null,
    typed: Readonly<Record<string, VariantGroup | null>>,
    { fields }: Shredded,
  ): object {
    const entries: [string, unknown][] = [];
    if (value !== null) {
      if ((value[0]! & 3) !== BASIC.object) throw new RangeError('a variant with two values');
      const rest = Object.entries(this.#encoded(value) as object) as [string, unknown][];
      entries.push(...rest.filter(([name]) => !fields.has(name)));
    }
    for (const [name, shredded] of fields) {
      const field = this.#merge(typed[name] ?? {}, shredded);
      if (field !== MISSING) entries.push([name, field]);
    }
    return Object.fromEntries(entries);
  }

  /**
   *     version 1 in the low 4 bits, size of offsets - 1 in the high 2 | count of names |
   *     offsets of the names, and of their end | names
   */
  #readMetadata(metadata: Uint8Array | undefined): void {
    if (metadata === undefined) throw new RangeError('a variant without metadata');
    if (this.#metadata?.equals(metadata) === true) return;
    this.#metadata = undefined;
    this.#open(metadata);
    const head = this.#byte(0);
    if ((head & 15) !== 1) throw new RangeError(`a variant of version ${head & 15}`);
    const size = (head >>> 6) + 1;
    const count = this.#natural(1, size);
    const offsetsAt = 1 + size;
    this.#take(offsetsAt, (count + 1) * size);
    const namesAt = offsetsAt + (count + 1) * size;
    const names: string[] = [];
    let start = this.#peek(offsetsAt, size);
    for (let index = 1; index <= count; index++) {
      const end = this.#peek(offsetsAt + index * size, size);
      if (end < start) throw new RangeError('a variant whose names overlap');
      const name = this.#text(namesAt + start, end - start);
      if (typeof name !== 'string') throw new RangeError(name.reason);
      names.push(name);
      start = end;
    }
    this.#names = names;
    this.#metadata = Buffer.from(metadata);
  }

  #encoded(value: Uint8Array): unknown {
    this.#open(value);
    return this.#value(0);
  }

  #open(bytes: Uint8Array): void {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#left = bytes.length;
    this.#depth = 0;
  }

  #value(at: number): unknown {
    if (++this.#depth > DEPTH_MAX) {
      throw new RangeError(`a variant that is more than ${DEPTH_MAX} levels deep`);
    }
    const head = this.#byte(at);
    const header = head >>> 2;
    const value = this.#body(head & 3, header, at + 1);
    if (value instanceof BadValue) this.#bad ??= value;
    this.#depth--;
    return value;
  }

  #body(basicType: number, header: number, at: number): unknown {
    switch (basicType) {
      case BASIC.shortText:
        return this.#text(at, header);
      case BASIC.object:
        return this.#object(header, at);
      case BASIC.list:
        return this.#list(header, at);
      default:
        return this.#primitive(header, at);
    }
  }

  /** count, in 4 bytes if it is large | ids of the names | offsets of the values | values */
  #object(header: number, at: number): object {
    const countSize = (header & 16) === 0 ? 1 : 4;
    const count = this.#natural(at, countSize);
    const idSize = ((header >>> 2) & 3) + 1;
    const idsAt = at + countSize;
    this.#take(idsAt, count * idSize);
    const places = this.#places(count, (header & 3) + 1, idsAt + count * idSize);
    const entries = places.map((place, index): [string, unknown] => {
      const id = this.#peek(idsAt + index * idSize, idSize);
      const name = this.#names[id];
      if (name === undefined) throw new RangeError(`a variant without the name ${id}`);
      return [name, this.#value(place)];
    });
    const object = Object.fromEntries(entries);
    if (Object.keys(object).length < count) throw new RangeError('a variant with a field twice');
    return object;
  }

  /** count, in 4 bytes if it is large | offsets of the values | values */
  #list(header: number, at: number): unknown[] {
    const countSize = (header & 4) === 0 ? 1 : 4;
    const count = this.#natural(at, countSize);
    const places = this.#places(count, (header & 3) + 1, at + countSize);
    return places.map((place) => this.#value(place));
  }

  /** Where the parts of an object or list begin: behind their offsets, and those of their end. */
  #places(count: number, size: number, at: number): number[] {
    this.#take(at, (count + 1) * size);
    const valuesAt = at + (count + 1) * size;
    const places: number[] = [];
    for (let index = 0; index < count; index++) {
      places.push(valuesAt + this.#peek(at + index * size, size));
    }
    if (new Set(places).size < count) throw new RangeError('a variant whose parts overlap');
    return places;
  }

  #primitive(type: number, at: number): unknown {
    switch (type) {
      case 0:
        return null;
      case 1:
        return true;
      case 2:
        return false;
      case 3:
        return this.#take(at, 1).readInt8();
      case 4:
        return this.#take(at, 2).readInt16LE();
      case 5:
        return this.#take(at, 4).readInt32LE();
      case 6:
      case 17: // microseconds of the day
        return this.#halves(at, this.#integer64);
      case 7:
        return this.#take(at, 8).readDoubleLE();
      case 8:
      case 9:
      case 10:
        return this.#decimal(type, at);
      case 11:
        return this.#days(this.#take(at, 4).readInt32LE());
      case 12:
      case 13:
        return this.#halves(at, this.#microseconds);
      case 14:
        return this.#take(at, 4).readFloatLE();
      case 15:
        return new Uint8Array(this.#take(at + 4, this.#natural(at, 4)));
      case 16:
        return this.#text(at + 4, this.#natural(at, 4));
      case 18:
      case 19:
        return this.#halves(at, this.#nanoseconds);
      case 20:
        return uuidOf(this.#take(at, 16), 0, 16);
      default:
        throw new RangeError(`a variant with a value of the unknown type ${type}`);
    }
  }

  #halves(at: number, convert: (low: number, high: number) => unknown): unknown {
    const bytes = this.#take(at, 8);
    return convert(bytes.readUInt32LE(0), bytes.readInt32LE(4));
  }

  /** Scale u8, then the unscaled value in 4, 8 or 16 bytes. */
  #decimal(type: number, at: number): unknown {
    const scale = this.#byte(at);
    if (scale > DECIMAL_SCALE_MAX) throw new RangeError(`a decimal with a scale of ${scale}`);
    const options = { scale, numbers: this.#numbers };
    if (type === 8) return decimal(this.#take(at + 1, 4).readInt32LE(), options);
    if (type === 9) return this.#halves(at + 1, (low, high) => decimalOf64(low, high, options));
    const bytes = this.#take(at + 1, 16);
    return decimal((bytes.readBigInt64LE(8) << 64n) + bytes.readBigUInt64LE(0), options);
  }

  #text(at: number, length: number): string | BadValue {
    return textOf(this.#take(at, length), 0, length);
  }

  #byte(at: number): number {
    return this.#take(at, 1)[0]!;
  }

  #natural(at: number, size: number): number {
    return this.#take(at, size).readUIntLE(0, size);
  }

  /** The same for bytes that were taken. */
  #peek(at: number, size: number): number {
    return this.#bytes.readUIntLE(at, size);
  }

  /** Counts bytes as read, and returns a view of them. */
  #take(at: number, length: number): Buffer {
    if (length > this.#bytes.length - at) {
      throw new RangeError('a variant that reaches beyond its end');
    }
    this.#left -= length;
    if (this.#left < 0) throw new RangeError('a variant whose parts overlap');
    return this.#bytes.subarray(at, at + length);
  }
}
