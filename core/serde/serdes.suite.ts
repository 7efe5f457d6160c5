import { expect } from 'vitest';
import { deserializeBytes, NO_ROOM, serializeToBytes, type Serde } from './serde.ts';

/**
 * Writes `value` into buffers of every size around what it takes, and reads it back from the middle
 * of a larger buffer. Returns what was read.
 */
export function roundTrip<T>(serde: Serde<T>, value: T): T {
  const bytes = serializeToBytes(serde, value);
  const smaller = new Set([0, 1, bytes.length >> 1, bytes.length - 2, bytes.length - 1]);
  for (const room of smaller) {
    if (room >= 0 && room < bytes.length) expectNoRoom(serde, value, room);
  }
  for (const room of [bytes.length, bytes.length + 1, bytes.length + 100]) {
    const target = Buffer.alloc(3 + room, 0xee);
    expect(serde.serialize(value, target, 3)).toBe(3 + bytes.length);
    expect(target.subarray(3, 3 + bytes.length).equals(bytes)).toBe(true);
    expect(target.subarray(0, 3).equals(Buffer.alloc(3, 0xee))).toBe(true);
  }
  const source = Buffer.concat([Buffer.from('before'), bytes, Buffer.from('after')]);
  const read = serde.deserialize(source, 6, 6 + bytes.length);
  expect(deserializeBytes(serde, new Uint8Array(bytes))).toEqual(read);
  return read;
}

/** A buffer that is too short is NO_ROOM, and nothing before the position is touched. */
function expectNoRoom<T>(serde: Serde<T>, value: T, room: number): void {
  const target = Buffer.alloc(3 + room, 0xee);
  expect(serde.serialize(value, target, 3)).toBe(NO_ROOM);
  expect(target.subarray(0, 3).equals(Buffer.alloc(3, 0xee))).toBe(true);
}
