import { int64, msgpack, NO_ROOM, type Header, type Serde } from '../../core/index.ts';
import type { KeptRecord } from '../topology/record-store.ts';
import { StreamRecord } from '../topology/stream-record.ts';
import { owned, type LiveEntry } from './codec.ts';

/** It waits to be passed on. */
export const WAITS = 1;
/** It was passed on: nothing finds it any more. */
export const PASSED = 2;
/** The flags that are written; those of a store in memory are above. */
const WRITTEN = WAITS | PASSED;

const INT64 = int64();
const TIME_BYTES = 8;
const ORDER_BYTES = 4;
const LENGTH_BYTES = 4;
/** Behind each key: time and order. */
export const PLACE_BYTES = TIME_BYTES + ORDER_BYTES;

/**
 * A record in a store, with what is pending of it. It is its own key and its own value for the
 * codec, so that keeping one makes no further objects.
 */
export class StoredRecord<K, V>
  implements KeptRecord<K, V>, LiveEntry<StoredRecord<K, V>, StoredRecord<K, V>>
{
  readonly recordKey: K;
  /** Undefined once it was passed on: then it only stands for its time. */
  recordValue: V | undefined;
  readonly timestampMs: number;
  /** Tells it from others with its key and time: the order in which they came. */
  readonly order: number;
  /** The start of its segment. */
  readonly windowStartMs: number;
  /** WAITS and PASSED, and those of the store. */
  flags: number;
  /** The whole record, while it waits. */
  waiting: StreamRecord<K, V> | undefined;

  constructor(key: K, timestampMs: number, order: number, segmentStartMs: number) {
    this.recordKey = key;
    this.recordValue = undefined;
    this.timestampMs = timestampMs;
    this.order = order;
    this.windowStartMs = segmentStartMs;
    this.flags = 0;
    this.waiting = undefined;
  }

  get key(): this {
    return this;
  }

  get value(): this {
    return this;
  }
}

/** What the bytes of a value hold. */
export interface StoredContent<V> {
  readonly flags: number;
  readonly value: V | undefined;
  readonly origin: Origin | undefined;
}

/** What the record passed on later has besides key, value and time. */
interface Origin {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly headers: readonly Header[];
}

/** The key, the time as i64, the order as u32. */
export function storedKeySerde<K, V>(
  key: Serde<K>,
  segmentStartOf: (timestampMs: number) => number,
): Serde<StoredRecord<K, V>> {
  return {
    name: key.name,
    serialize(record, target, position) {
      const timeAt = key.serialize(record.recordKey, target, position);
      if (timeAt === NO_ROOM || target.length - timeAt < PLACE_BYTES) return NO_ROOM;
      INT64.serialize(record.timestampMs, target, timeAt);
      return target.writeUInt32BE(record.order, timeAt + TIME_BYTES);
    },
    deserialize(source, start, end) {
      const orderAt = end - ORDER_BYTES;
      const timeAt = orderAt - TIME_BYTES;
      const timestampMs = INT64.deserialize(source, timeAt, orderAt);
      const order = source.readUInt32BE(orderAt);
      const own = owned(key.deserialize(source, start, timeAt));
      return new StoredRecord(own, timestampMs, order, segmentStartOf(timestampMs));
    },
  };
}

/**
 * The flags in a byte; while it waits, where it comes from, after its length as u32; the value,
 * unless it was passed on.
 */
export function storedValueSerde<K, V>(
  value: Serde<V>,
): {
  readonly write: Serde<StoredRecord<K, V>>;
  readonly read: (source: Buffer, start: number) => StoredContent<V>;
} {
  const origin = msgpack<Origin>();
  const serialize = (record: StoredRecord<K, V>, target: Buffer, position: number): number => {
    if (position >= target.length) return NO_ROOM;
    const { flags, waiting, recordValue } = record;
    let end = target.writeUInt8(flags & WRITTEN, position);
    if (waiting !== undefined) {
      const originAt = end + LENGTH_BYTES;
      if (originAt > target.length) return NO_ROOM;
      const { topic, partition, offset, headers } = waiting;
      const originEnd = origin.serialize({ topic, partition, offset, headers }, target, originAt);
      if (originEnd === NO_ROOM) return NO_ROOM;
      target.writeUInt32BE(originEnd - originAt, end);
      end = originEnd;
    }
    return (flags & PASSED) === 0 ? value.serialize(recordValue as V, target, end) : end;
  };
  const read = (source: Buffer, start: number): StoredContent<V> => {
    const flags = source.readUInt8(start);
    let position = start + 1;
    let from: Origin | undefined;
    if ((flags & WAITS) !== 0) {
      const originAt = position + LENGTH_BYTES;
      position = originAt + source.readUInt32BE(position);
      from = origin.deserialize(source, originAt, position);
    }
    const isPassed = (flags & PASSED) !== 0;
    const read = isPassed ? undefined : owned(value.deserialize(source, position, source.length));
    return { flags, value: read, origin: from };
  };
  const deserialize = (): never => {
    throw new TypeError('stored records are read by their store');
  };
  return { write: { name: value.name, serialize, deserialize }, read };
}

/** Gives a record what its bytes hold. */
export function fill<K, V>(record: StoredRecord<K, V>, content: StoredContent<V>): void {
  const { flags, value, origin } = content;
  record.flags = (record.flags & ~WRITTEN) | flags;
  record.recordValue = value;
  record.waiting = undefined;
  if (origin === undefined) return;
  const { topic, partition, offset, headers } = origin;
  record.waiting = new StreamRecord(
    record.recordKey,
    value as V,
    record.timestampMs,
    headers,
    topic,
    partition,
    offset,
  );
}
