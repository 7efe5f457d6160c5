/**
 * Kafka's 64-bit integers as JavaScript numbers, read and written as two halves: BigInt has no
 * place on the hot path, and offsets and times stay far below 2^53.
 */

const HIGH = 0x1_0000_0000;

export function readInt64(source: Buffer, position: number): number {
  return source.readInt32BE(position) * HIGH + source.readUInt32BE(position + 4);
}

export function writeInt64(target: Buffer, position: number, value: number): void {
  const high = Math.floor(value / HIGH);
  target.writeInt32BE(high, position);
  target.writeUInt32BE(value - high * HIGH, position + 4);
}
