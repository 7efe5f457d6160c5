import { int64, NO_ROOM, type Serde } from '../../core/index.ts';
import { namesAround } from '../../core/internal.ts';
import { owned } from './codec.ts';

/** A value from its time on, until the time of the next version. Undefined for a deletion. */
export interface StoredVersion<V> {
  readonly timestampMs: number;
  readonly value: V | undefined;
}

const INT64 = int64();
const COUNT_BYTES = 4;
/** The time as i64, the size of the value as i32. */
const HEAD_BYTES = 12;
const DELETED = -1;

/** The number of versions as u32; for each its time, its size or -1, and its value. */
export function versionsSerde<V>(value: Serde<V>): Serde<StoredVersion<V>[]> {
  return {
    ...namesAround((name) => `versions(${name})`, value),
    serialize(versions, target, position) {
      if (target.length - position < COUNT_BYTES) return NO_ROOM;
      let at = target.writeUInt32BE(versions.length, position);
      for (const version of versions) {
        const start = at + HEAD_BYTES;
        if (start > target.length) return NO_ROOM;
        INT64.serialize(version.timestampMs, target, at);
        const isDeleted = version.value === undefined;
        const end = isDeleted ? start : value.serialize(version.value, target, start);
        if (end === NO_ROOM) return NO_ROOM;
        target.writeInt32BE(isDeleted ? DELETED : end - start, start - COUNT_BYTES);
        at = end;
      }
      return at;
    },
    deserialize(source, start) {
      const count = source.readUInt32BE(start);
      const versions: StoredVersion<V>[] = [];
      let at = start + COUNT_BYTES;
      for (let index = 0; index < count; index++) {
        const from = at + HEAD_BYTES;
        const timestampMs = INT64.deserialize(source, at, at + HEAD_BYTES - COUNT_BYTES);
        const size = source.readInt32BE(from - COUNT_BYTES);
        at = size === DELETED ? from : from + size;
        const read = size === DELETED ? undefined : owned(value.deserialize(source, from, at));
        versions.push({ timestampMs, value: read });
      }
      return versions;
    },
  };
}
