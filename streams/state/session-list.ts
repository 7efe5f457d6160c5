import { int64, NO_ROOM, type Serde } from '../../core/index.ts';
import type { Session, SessionBounds } from '../topology/store.ts';
import { owned } from './codec.ts';
import type { StoreWrite } from './store-kind.ts';

const INT64 = int64();
const TIME_BYTES = 8;
const LENGTH_BYTES = 4;
const HEAD_BYTES = 3 * TIME_BYTES + LENGTH_BYTES;

/** The methods of a session store that write. */
export const SESSION_METHODS: Readonly<Record<string, StoreWrite>> = {
  put: { key: 0, value: 2 },
  update: { key: 0, change: 2 },
  replace: { key: 0, value: 3 },
};

/**
 * The sessions of a key and stretch, by their ends, each as
 *
 *     start i64 | end i64 | timestamp i64 | length of the value u32 | value
 */
export function sessionListSerde<V>(value: Serde<V>): Serde<Session<V>[]> {
  return {
    name: value.name,
    serialize(sessions, target, position) {
      let end = position;
      for (const { startMs, endMs, timestampMs, value: content } of sessions) {
        const valueAt = end + HEAD_BYTES;
        if (valueAt > target.length) return NO_ROOM;
        INT64.serialize(startMs, target, end);
        INT64.serialize(endMs, target, end + TIME_BYTES);
        INT64.serialize(timestampMs, target, end + 2 * TIME_BYTES);
        end = value.serialize(content, target, valueAt);
        if (end === NO_ROOM) return NO_ROOM;
        target.writeUInt32BE(end - valueAt, valueAt - LENGTH_BYTES);
      }
      return end;
    },
    deserialize(source, start, end) {
      const sessions: Session<V>[] = [];
      for (let position = start; position < end;) {
        const time = (index: number): number => {
          const from = position + index * TIME_BYTES;
          return INT64.deserialize(source, from, from + TIME_BYTES);
        };
        const [startMs, endMs, timestampMs] = [time(0), time(1), time(2)];
        const valueAt = position + HEAD_BYTES;
        position = valueAt + source.readUInt32BE(valueAt - LENGTH_BYTES);
        const content = value.deserialize(source, valueAt, position);
        sessions.push({ startMs, endMs, timestampMs, value: owned(content) });
      }
      return sessions;
    },
  };
}

/** Sorts sessions by their ends alone. */
export function endsBefore({ endMs }: SessionBounds, timeMs: number): boolean {
  return endMs < timeMs;
}

/** The order of the sessions of a key: by their ends, and those of one end by their starts. */
export function isBefore(session: SessionBounds, { startMs, endMs }: SessionBounds): boolean {
  return session.endMs < endMs || (session.endMs === endMs && session.startMs < startMs);
}

/** True for the same session. */
export function isSame(a: SessionBounds, b: SessionBounds): boolean {
  return a.endMs === b.endMs && a.startMs === b.startMs;
}
