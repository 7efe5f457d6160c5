import { BadValue } from '../parquet/bad-value.ts';

/** Values that take no bytes, such as null: so many may stand in any block. */
const FREE_VALUES = 1_000_000;
/** And so many more for each byte. */
const VALUES_PER_BYTE = 8;
const LONG_BYTES_MAX = 10;

/**
 * The bytes of a block, read value by value. Whatever they are, reading ends: nothing reaches
 * behind them, and the number of values that they may hold is limited.
 *
 * All that is read throws a RangeError with the reason if the bytes are damaged.
 */
export class BlockInput {
  readonly bytes: Buffer;
  /** Where the next value begins. */
  at = 0;
  /** The 64-bit integer that was read last, in two halves: the low one unsigned. */
  low = 0;
  high = 0;
  /** The first value of the row that cannot be told; its row is bad. */
  #bad: BadValue | undefined;
  #valuesLeft: number;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.#valuesLeft = FREE_VALUES + bytes.length * VALUES_PER_BYTE;
  }

  /** Counts a record, or an entry of a list: some take no byte. */
  spend(): void {
    if (--this.#valuesLeft < 0)
      throw new RangeError('it claims more values than its bytes can hold');
  }

  /** Goes on behind `count` bytes; returns where they begin. */
  skip(count: number): number {
    const start = this.at;
    if (count < 0 || count > this.bytes.length - start) {
      throw new RangeError(`a value of ${count} bytes reaches behind the end of its block`);
    }
    this.at += count;
    return start;
  }

  byte(): number {
    return this.bytes[this.skip(1)]!;
  }

  /** Reads an integer: zigzag, seven bits a byte, lowest first. Also in `low` and `high`. */
  long(): number {
    let [low, high] = [0, 0];
    for (let count = 1, shift = 0; count <= LONG_BYTES_MAX; count++, shift += 7) {
      const byte = this.byte();
      const bits = byte & 0x7f;
      if (shift < 32) low |= bits << shift;
      if (shift >= 32) high |= bits << (shift - 32);
      else if (shift > 25) high |= bits >>> (32 - shift);
      if (byte > 0x7f) continue;
      if (count === LONG_BYTES_MAX && bits > 1) break;
      const sign = -(low & 1);
      this.low = (((low >>> 1) | (high << 31)) ^ sign) >>> 0;
      this.high = (high >>> 1) ^ sign;
      return this.high * 0x1_0000_0000 + this.low;
    }
    throw new RangeError('an integer has more than 64 bits');
  }

  int(): number {
    const value = this.long();
    if (value === (value | 0)) return value;
    throw new RangeError(`${value} does not fit into an int`);
  }

  /** A value that a conversion has made. */
  note(value: unknown): unknown {
    if (value instanceof BadValue) this.#bad ??= value;
    return value;
  }

  /** The first such value since the last call that cannot be told. */
  takeBad(): BadValue | undefined {
    const bad = this.#bad;
    this.#bad = undefined;
    return bad;
  }
}
