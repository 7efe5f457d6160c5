import { NO_ROOM, type Serde } from '../../core/index.ts';
import { namesAround, varintSize, writeVarint } from '../../core/internal.ts';
import { Change } from '../topology/change.ts';

/** The last byte: which of the two values there are. */
const OLD = 0;
const NEW = 1;
const BOTH = 2;
const VARINT_BYTES_MAX = 5;

/**
 * A change as Kafka Streams writes it into a repartition topic, so that both values travel in one
 * record [OP-GROUP-3] (ChangedSerializer.java, KIP-904):
 *
 *     old value                              | 0
 *     new value                              | 1
 *     size of the new value, varint | new | old | 2
 *
 * A change of nothing to nothing cannot be written.
 */
export function changeSerde<V>(value: Serde<V>): Serde<Change<V>> {
  return {
    ...namesAround((name) => `change(${name})`, value),
    serialize({ newValue, oldValue = null }, target, position) {
      if (newValue === null && oldValue === null) throw new TypeError('neither value is there');
      if (newValue === null)
        return flagged(OLD, target, writeOne(value, oldValue, target, position));
      if (oldValue === null)
        return flagged(NEW, target, writeOne(value, newValue, target, position));
      // The size comes first and is known last: leave room for the longest, then close the gap.
      const room = position + VARINT_BYTES_MAX;
      const newEnd = writeOne(value, newValue, target, room);
      if (newEnd === NO_ROOM) return NO_ROOM;
      const sizeBytes = newEnd - room;
      const start = position + varintSize(sizeBytes);
      target.copyWithin(start, room, newEnd);
      writeVarint(target, position, sizeBytes);
      return flagged(BOTH, target, writeOne(value, oldValue, target, start + sizeBytes));
    },
    deserialize(source, start, end) {
      const last = end - 1;
      const flag = source[last];
      if (start < end && flag === OLD)
        return new Change(null, value.deserialize(source, start, last), true);
      if (start < end && flag === NEW)
        return new Change(value.deserialize(source, start, last), null, true);
      if (start >= end || flag !== BOTH) throw new RangeError('these bytes are not a change');
      const sizeBytes = readSize(source, start);
      const newStart = start + varintSize(sizeBytes);
      const newEnd = newStart + sizeBytes;
      if (sizeBytes < 0 || newEnd > last) throw new RangeError('these bytes are not a change');
      const newValue = value.deserialize(source, newStart, newEnd);
      return new Change(newValue, value.deserialize(source, newEnd, last), true);
    },
  };
}

function writeOne<V>(serde: Serde<V>, value: V | null, target: Buffer, position: number): number {
  return position > target.length ? NO_ROOM : serde.serialize(value as V, target, position);
}

function flagged(flag: number, target: Buffer, end: number): number {
  if (end === NO_ROOM || end >= target.length) return NO_ROOM;
  target[end] = flag;
  return end + 1;
}

/** A varint; one that is too long for the bytes makes a size that does not fit either. */
function readSize(source: Buffer, start: number): number {
  let zigzag = 0;
  for (let index = 0; index < VARINT_BYTES_MAX; index++) {
    const byte = source[start + index] ?? 0;
    zigzag |= (byte & 0x7f) << (7 * index);
    if (byte < 0x80) break;
  }
  return (zigzag >>> 1) ^ -(zigzag & 1);
}
