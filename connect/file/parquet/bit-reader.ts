const VARINT_BYTES_MAX = 10;

/** Reads numbers of up to 64 bits, in two halves of 32, from packed bits and varints. */
export class BitReader {
  readonly #bytes: Buffer;
  /** The next byte, and how many of its bits were read. */
  #at: number;
  #bit = 0;
  /** The halves of the varint that was read last: the low one is unsigned. */
  low = 0;
  high = 0;

  constructor(bytes: Buffer, position: number) {
    this.#bytes = bytes;
    this.#at = position;
  }

  /** The position of the next byte. */
  get position(): number {
    return this.#at;
  }

  /** The bytes that are left. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** Takes the next bytes. @throws RangeError if there are not so many. */
  take(count: number): Buffer {
    if (count > this.left) throw new RangeError('packed numbers end too early');
    this.#at += count;
    this.#bit = 0;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  /**
   * The next bits, up to 32, as an unsigned number, from the lowest bit of each byte on. Bits
   * behind the end are 0.
   */
  bits(count: number): number {
    if (count === 0) return 0;
    const bytes = this.#bytes;
    const at = this.#at;
    const bit = this.#bit;
    let value =
      (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>>
      bit;
    const end = bit + count;
    if (end > 32) value |= bytes[at + 4]! << (32 - bit);
    if (count < 32) value &= 2 ** count - 1;
    this.#at = at + (end >>> 3);
    this.#bit = end & 7;
    return value >>> 0;
  }

  /** Reads a varint that a number holds exactly. */
  natural(): number {
    this.varint();
    const value = this.high * 0x1_0000_0000 + this.low;
    if (!Number.isSafeInteger(value)) throw new RangeError('packed numbers with a huge count');
    return value;
  }

  /** Reads a varint with the sign in its lowest bit; leaves a signed high half. */
  zigzag(): void {
    this.varint();
    const { low, high } = this;
    const sign = -(low & 1);
    this.low = (((low >>> 1) | (high << 31)) ^ sign) >>> 0;
    this.high = (high >>> 1) ^ sign;
  }

  /** Leaves two unsigned halves. */
  varint(): void {
    let [low, high] = [0, 0];
    for (let index = 0; index < VARINT_BYTES_MAX; index++) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) break;
      this.#at++;
      const shift = 7 * index;
      const bits = byte & 0x7f;
      if (shift < 32) low |= bits << shift;
      if (shift === 28) high |= bits >>> 4;
      if (shift > 32) high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.low = low >>> 0;
        this.high = high >>> 0;
        return;
      }
    }
    throw new RangeError('packed numbers end too early, or one is huge');
  }
}
