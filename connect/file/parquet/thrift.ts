const TYPE = {
  true: 1,
  false: 2,
  byte: 3,
  i16: 4,
  i32: 5,
  i64: 6,
  double: 7,
  binary: 8,
  list: 9,
  set: 10,
  map: 11,
  struct: 12,
  uuid: 13,
} as const;

/** Parquet's own structs nest 8 deep. */
const NESTING_MAX = 32;
/** Of 64 bits, 7 a byte. */
const VARINT_BYTES_MAX = 10;

/** Strict: invalid UTF-8 is an error, not replaced. */
const TEXT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Reads Thrift's compact protocol, in which Parquet writes its footer and the headers of its pages:
 *
 *     struct  fields, then a byte 0
 *     field   id - previous id in the high 4 bits, type in the low 4 | id, if the difference is 0 |
 *             value
 *     list    count in the high 4 bits, type in the low 4 | count, if it is 15 there | values
 *     number  zigzag varint
 *
 * All that it returns or skips takes up input, at least a byte each, and it goes NESTING_MAX deep:
 * its work and memory are bounded by the size of the input.
 *
 * @throws RangeError for bytes that are no such thing.
 */
export class ThriftReader {
  readonly #bytes: Buffer;
  #position: number;
  #depth = 0;
  /** Set once the input ended too early: more of it may help. */
  #ranOut = false;

  constructor(bytes: Buffer, position = 0) {
    this.#bytes = bytes;
    this.#position = position;
  }

  /** The position of the next byte. */
  get position(): number {
    return this.#position;
  }

  /** True if the input ended before what was read. */
  get ranOut(): boolean {
    return this.#ranOut;
  }

  /** Reads a struct; `visit` reads the value of each field, or returns false to skip it. */
  struct(visit: (id: number, type: number) => boolean): void {
    if (++this.#depth > NESTING_MAX) throw new RangeError('its metadata is nested too deeply');
    let id = 0;
    for (;;) {
      const head = this.#byte();
      const type = head & 0x0f;
      if (type === 0) break;
      const delta = head >>> 4;
      id = delta === 0 ? this.#zigzag() : id + delta;
      if (!visit(id, type)) this.#skip(type);
    }
    this.#depth--;
  }

  /** Reads the struct that is the value of a field. */
  structOf(type: number, visit: (id: number, type: number) => boolean): void {
    expectType(type, TYPE.struct);
    this.struct(visit);
  }

  /** Reads a list; `visit` reads each value. Returns their count. */
  list(type: number, visit: (type: number) => void): number {
    expectType(type, TYPE.list);
    const { count, element } = this.#listHead();
    for (let index = 0; index < count; index++) visit(element);
    return count;
  }

  boolean(type: number): boolean {
    if (type === TYPE.true) return true;
    expectType(type, TYPE.false);
    return false;
  }

  /** An integer of any width. */
  integer(type: number): number {
    if (type === TYPE.byte) return (this.#byte() << 24) >> 24;
    if (type !== TYPE.i16 && type !== TYPE.i32) expectType(type, TYPE.i64);
    return this.#zigzag();
  }

  /** A count, a size or a position. */
  natural(type: number, what: string): number {
    const value = this.integer(type);
    if (value < 0) throw new RangeError(`${what} is ${value}`);
    return value;
  }

  text(type: number): string {
    expectType(type, TYPE.binary);
    const start = this.#binary();
    return TEXT.decode(this.#bytes.subarray(start, this.#position));
  }

  /** Reads over a value of any type. */
  #skip(type: number): void {
    switch (type) {
      case TYPE.true:
      case TYPE.false:
        return;
      case TYPE.byte:
        this.#advance(1);
        return;
      case TYPE.i16:
      case TYPE.i32:
      case TYPE.i64:
        this.#varint();
        return;
      case TYPE.double:
        this.#advance(8);
        return;
      case TYPE.binary:
        this.#binary();
        return;
      case TYPE.list:
      case TYPE.set: {
        const { count, element } = this.#listHead();
        for (let index = 0; index < count; index++) this.#skipElement(element);
        return;
      }
      case TYPE.map: {
        const count = this.#count(this.#varint());
        const types = count === 0 ? 0 : this.#byte();
        for (let index = 0; index < count; index++) {
          this.#skipElement(types >>> 4);
          this.#skipElement(types & 0x0f);
        }
        return;
      }
      case TYPE.struct:
        this.struct(() => false);
        return;
      case TYPE.uuid:
        this.#advance(16);
        return;
      default:
        throw new RangeError(`its metadata has a value of the unknown type ${type}`);
    }
  }

  /** Booleans take a byte in lists. Lists in lists count as nested. */
  #skipElement(type: number): void {
    if (type === TYPE.true || type === TYPE.false) {
      this.#advance(1);
      return;
    }
    if (++this.#depth > NESTING_MAX) throw new RangeError('its metadata is nested too deeply');
    this.#skip(type);
    this.#depth--;
  }

  #listHead(): { readonly count: number; readonly element: number } {
    const head = this.#byte();
    const short = head >>> 4;
    const count = this.#count(short === 15 ? this.#varint() : short);
    return { count, element: head & 0x0f };
  }

  /** Checks a count of values, each of which takes a byte or more. */
  #count(count: number): number {
    if (count > this.#bytes.length - this.#position) {
      this.#ranOut = true;
      throw new RangeError(`its metadata has a list of ${count} values, more than it has bytes`);
    }
    return count;
  }

  /** Moves behind a byte string, and returns where it starts. */
  #binary(): number {
    const length = this.#varint();
    const start = this.#position;
    this.#advance(length);
    return start;
  }

  #zigzag(): number {
    const value = this.#varint();
    if (value > Number.MAX_SAFE_INTEGER) throw new RangeError('its metadata has a huge number');
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** Not exact above 2^53. */
  #varint(): number {
    let value = 0;
    for (let index = 0, factor = 1; index < VARINT_BYTES_MAX; index++, factor *= 0x80) {
      const byte = this.#byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    throw new RangeError(`its metadata has a number of more than ${VARINT_BYTES_MAX} bytes`);
  }

  #byte(): number {
    const byte = this.#bytes[this.#position];
    if (byte === undefined) this.#advance(1);
    this.#position++;
    return byte!;
  }

  #advance(count: number): void {
    if (count > this.#bytes.length - this.#position) {
      this.#ranOut = true;
      throw new RangeError('its metadata ends too early');
    }
    this.#position += count;
  }
}

function expectType(type: number, expected: number): void {
  if (type === expected) return;
  throw new RangeError(`its metadata has a value of type ${type}, not ${expected}`);
}
