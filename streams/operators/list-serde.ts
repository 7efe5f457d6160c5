import { NO_ROOM, type Serde } from '../../core/index.ts';
import { namesAround } from '../../core/internal.ts';
import { unpinned } from '../state/codec.ts';

const SIZE_BYTES = 4;

/** A list of values: their number, u32, and each behind its size, u32. */
export function listSerde<V>(value: Serde<V>): Serde<V[]> {
  return {
    ...namesAround((name) => `list(${name})`, value),
    serialize(values, target, position) {
      let end = position + SIZE_BYTES;
      if (end > target.length) return NO_ROOM;
      target.writeUInt32BE(values.length, position);
      for (const each of values) {
        end = writeSized(value, each, target, end);
        if (end === NO_ROOM) return NO_ROOM;
      }
      return end;
    },
    deserialize(source, start) {
      let at = start + SIZE_BYTES;
      const values: V[] = [];
      for (let count = source.readUInt32BE(start); count > 0; count--) {
        const end = sizedEnd(source, at);
        values.push(readSized(value, source, at));
        at = end;
      }
      return values;
    },
  };
}

/** Writes a value behind its size. */
export function writeSized<V>(serde: Serde<V>, value: V, target: Buffer, position: number): number {
  const start = position + SIZE_BYTES;
  if (start > target.length) return NO_ROOM;
  const end = serde.serialize(value, target, start);
  if (end !== NO_ROOM) target.writeUInt32BE(end - start, position);
  return end;
}

/** Where a value behind its size ends. */
export function sizedEnd(source: Buffer, position: number): number {
  return position + SIZE_BYTES + source.readUInt32BE(position);
}

/** Reads a value behind its size. */
export function readSized<V>(serde: Serde<V>, source: Buffer, position: number): V {
  return unpinned(serde.deserialize(source, position + SIZE_BYTES, sizedEnd(source, position)));
}
