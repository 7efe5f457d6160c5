import { int64, msgpack, NO_HEADERS, NO_ROOM, type Headers, type Serde } from '../../core/index.ts';
import { asBuffer } from '../../core/internal.ts';
import { unpinned } from '../state/codec.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import type { SourceBytes } from '../topology/record-errors.ts';
import type { StoreSpec } from '../topology/store.ts';
import { StreamRecord } from '../topology/stream-record.ts';

/** A record that waits for a call to end. */
export interface PendingRecord<K, V> {
  readonly record: StreamRecord<K, V>;
  /** What was read, if a failure of the record may need it. */
  readonly source: SourceBytes | undefined;
}

/** The rest of a record, besides its key, value, time and numbers. */
interface Origin {
  readonly topic: string;
  readonly headers?: Headers;
  readonly source?: SourceBytes;
}

/** Describes the store of the records that wait: by number, in the order in which they came. */
export function pendingSpec<K, V>(
  store: string,
  key: Serde<NonNullable<K>>,
  value: Serde<NonNullable<V>>,
): StoreSpec<number, PendingRecord<K, V>> {
  const serde = pendingSerde<K, V>(key, value);
  return { ...keyValueStore(store), key: int64(), value: serde, backing: 'changelog' };
}

const HAS_KEY = 1;
const HAS_VALUE = 2;
const ORIGIN = msgpack<Origin>();
/** Flags, time, offset, partition, two sizes. */
const FIXED_BYTES = 1 + 8 + 8 + 4 + 4 + 4;

/**
 * Writes records that wait:
 *
 *     flags u8 | time f64 | offset f64 | partition i32 | size of origin u32 | size of key u32
 *     origin | key | value
 */
function pendingSerde<K, V>(
  key: Serde<NonNullable<K>>,
  value: Serde<NonNullable<V>>,
): Serde<PendingRecord<K, V>> {
  return {
    name: `pending(${key.name}, ${value.name})`,
    serialize({ record, source }, target, position) {
      const originAt = position + FIXED_BYTES;
      if (originAt > target.length) return NO_ROOM;
      const { headers, topic } = record;
      const [ownKey, ownValue] = [record.key ?? null, record.value ?? null];
      const origin = { topic, ...(headers.length > 0 && { headers }), ...(source && { source }) };
      const keyAt = ORIGIN.serialize(origin, target, originAt);
      if (keyAt === NO_ROOM) return NO_ROOM;
      const valueAt = ownKey === null ? keyAt : key.serialize(ownKey, target, keyAt);
      if (valueAt === NO_ROOM) return NO_ROOM;
      const flags = (ownKey === null ? 0 : HAS_KEY) | (ownValue === null ? 0 : HAS_VALUE);
      target[position] = flags;
      target.writeDoubleBE(record.timestampMs, position + 1);
      target.writeDoubleBE(record.offset, position + 9);
      target.writeInt32BE(record.partition, position + 17);
      target.writeUInt32BE(keyAt - originAt, position + 21);
      target.writeUInt32BE(valueAt - keyAt, position + 25);
      return ownValue === null ? valueAt : value.serialize(ownValue, target, valueAt);
    },
    deserialize(source, start, end) {
      const flags = source[start] ?? 0;
      const originAt = start + FIXED_BYTES;
      const keyAt = originAt + source.readUInt32BE(start + 21);
      const valueAt = keyAt + source.readUInt32BE(start + 25);
      const hasKey = (flags & HAS_KEY) !== 0;
      const hasValue = (flags & HAS_VALUE) !== 0;
      const origin = ORIGIN.deserialize(source, originAt, keyAt);
      const record = new StreamRecord(
        (hasKey ? unpinned(key.deserialize(source, keyAt, valueAt)) : null) as K,
        (hasValue ? unpinned(value.deserialize(source, valueAt, end)) : null) as V,
        source.readDoubleBE(start + 1),
        origin.headers ?? NO_HEADERS,
        origin.topic,
        source.readInt32BE(start + 17),
        source.readDoubleBE(start + 9),
      );
      return { record, source: origin.source && withBuffers(origin.source) };
    },
  };
}

function withBuffers({ key, value, ...rest }: SourceBytes): SourceBytes {
  return { ...rest, key: key && asBuffer(key), value: value && asBuffer(value) };
}
