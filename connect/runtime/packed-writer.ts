import { LogError, NO_ROOM, type Serde, type Topic, type TopicWriter } from '../../core/index.ts';
import type { PackedRecords } from '../connector.ts';

/** A value that is bytes already. One object serves all of them: it is written at once. */
interface PackedValue {
  bytes: Buffer;
  start: number;
  end: number;
}

const PACKED: Serde<PackedValue> = {
  name: 'packed',
  serialize({ bytes, start, end }, target, position) {
    if (end - start > target.length - position) return NO_ROOM;
    return position + bytes.copy(target, position, start, end);
  },
  deserialize: (bytes, start, end) => ({ bytes, start, end }),
};

/** Handles for the same topics, whose values are packed. */
const handles = new WeakMap<object, Topic<unknown, PackedValue>>();

/**
 * Writes packed records, up to the first one that is refused; returns how many. What was refused is
 * not in the log, and the same record in plain form is refused with a better message.
 *
 * @throws LogError a failure of the producer.
 */
export function writePacked(
  writer: TopicWriter<unknown, unknown>,
  packed: PackedRecords,
  nowMs: number,
): number {
  const { topic } = writer;
  let handle = handles.get(topic);
  if (handle === undefined) {
    handle = { ...topic, value: PACKED };
    handles.set(topic, handle);
  }
  const packedWriter = writer.for(handle);
  const { bytes, bounds, count, keys, timestampsMs, headers, partitions } = packed;
  const value: PackedValue = { bytes, start: 0, end: 0 };
  let index = 0;
  try {
    for (; index < count; index++) {
      value.start = bounds[2 * index]!;
      value.end = bounds[2 * index + 1]!;
      packedWriter.write(
        keys?.[index] ?? null,
        value,
        timestampsMs?.[index] ?? nowMs,
        headers?.[index],
        partitions?.[index],
      );
    }
  } catch (cause) {
    if (!(cause instanceof LogError) || cause.fatal) throw cause;
  }
  return index;
}
