/**
 * Kafka's variable-length integers: zigzag, then seven bits a byte, lowest first, the high bit set
 * on all but the last byte (`ByteUtils.writeVarint`, `writeVarlong`).
 */

/** Bytes that `value` takes, for 32-bit values. */
export function varintSize(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  if (zigzag < 0x80) return 1;
  if (zigzag < 0x4000) return 2;
  if (zigzag < 0x20_0000) return 3;
  return zigzag < 0x1000_0000 ? 4 : 5;
}

/** Writes a 32-bit `value` at `position` and returns the position after it. */
export function writeVarint(target: Uint8Array, position: number, value: number): number {
  let zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  while (zigzag > 0x7f) {
    target[position++] = (zigzag & 0x7f) | 0x80;
    zigzag >>>= 7;
  }
  target[position++] = zigzag;
  return position;
}

const INT30 = 0x4000_0000;

/**
 * Writes a `value` of up to 53 bits at `position` and returns the position after it. Takes at most
 * eight bytes.
 */
export function writeVarlong(target: Uint8Array, position: number, value: number): number {
  if (value < INT30 && value >= -INT30) return writeVarint(target, position, value);
  // The sign is the lowest bit of the zigzag, which as a whole would need 54 bits.
  const magnitude = value >= 0 ? value : -1 - value;
  target[position++] = (magnitude % 0x40) * 2 + (value >= 0 ? 0x80 : 0x81);
  let rest = Math.floor(magnitude / 0x40); // never zero: small values went another way
  while (rest > 0x7f) {
    target[position++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  target[position++] = rest;
  return position;
}
