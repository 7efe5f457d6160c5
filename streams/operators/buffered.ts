import { msgpack, NO_HEADERS, NO_ROOM, type Headers, type Serde } from '../../core/index.ts';
import { namesAround } from '../../core/internal.ts';
import { unpinned } from '../state/codec.ts';
import { Change } from '../topology/change.ts';
import type { OperatorContext } from '../topology/operator.ts';
import { StreamRecord } from '../topology/stream-record.ts';

/** A row that waits to be passed on. */
export interface Buffered<V> {
  /** The time that it waits from. */
  readonly fromMs: number;
  /** What was passed on before; null for nothing. */
  readonly before: V | null;
  /** Of the last change; null for a deletion. */
  value: V | null;
  /** Of the last change. */
  timestampMs: number;
  headers: Headers;
}

/**
 * What waits after a change of a row: the same object if it waited already. `value` is the new
 * value, or a copy of it; `fromMs` is the time that it waits from.
 */
export function buffer<V>(
  known: Buffered<V> | undefined,
  { value: change, timestampMs, headers }: StreamRecord<unknown, Change<V>>,
  value: V | null,
  fromMs: number,
): Buffered<V> {
  if (known === undefined) {
    return { fromMs, before: change.oldValue ?? null, value, timestampMs, headers };
  }
  known.value = value;
  known.timestampMs = timestampMs;
  known.headers = headers;
  return known;
}

/** The record that passes on what has waited. */
export function passedOn<K, V>(
  key: K,
  { before, value, timestampMs, headers }: Buffered<V>,
  { sendsOldValues, partition }: Pick<OperatorContext, 'sendsOldValues' | 'partition'>,
): StreamRecord<K, Change<V>> {
  const change = new Change(value, sendsOldValues ? before : undefined, true);
  return new StreamRecord(key, change, timestampMs, headers, '', partition, -1);
}

const HAS_BEFORE = 1;
const HAS_VALUE = 2;
const HEADERS = msgpack<Headers>();
/** Flags, two times, two sizes. */
const FIXED_BYTES = 1 + 8 + 8 + 4 + 4;

/**
 * Writes rows that wait:
 *
 *     flags u8 | from f64 | time f64 | size of headers u32 | size of before u32
 *     headers | before | value
 */
export function bufferedSerde<V>(value: Serde<V>): Serde<Buffered<V>> {
  return {
    ...namesAround((name) => `buffered(${name})`, value),
    serialize(buffered, target, position) {
      const headersAt = position + FIXED_BYTES;
      if (headersAt > target.length) return NO_ROOM;
      const { fromMs, before, timestampMs, headers } = buffered;
      const hasHeaders = headers.length > 0; // most often not, and then they take no bytes
      const beforeAt = hasHeaders ? HEADERS.serialize(headers, target, headersAt) : headersAt;
      if (beforeAt === NO_ROOM) return NO_ROOM;
      const valueAt = before === null ? beforeAt : value.serialize(before, target, beforeAt);
      if (valueAt === NO_ROOM) return NO_ROOM;
      const hasValue = buffered.value === null ? 0 : HAS_VALUE;
      target[position] = (before === null ? 0 : HAS_BEFORE) | hasValue;
      target.writeDoubleBE(fromMs, position + 1);
      target.writeDoubleBE(timestampMs, position + 9);
      target.writeUInt32BE(beforeAt - headersAt, position + 17);
      target.writeUInt32BE(valueAt - beforeAt, position + 21);
      return buffered.value === null ? valueAt : value.serialize(buffered.value, target, valueAt);
    },
    deserialize(source, start, end) {
      const flags = source[start] ?? 0;
      const headersAt = start + FIXED_BYTES;
      const beforeAt = headersAt + source.readUInt32BE(start + 17);
      const valueAt = beforeAt + source.readUInt32BE(start + 21);
      const hasBefore = (flags & HAS_BEFORE) !== 0;
      return {
        fromMs: source.readDoubleBE(start + 1),
        before: hasBefore ? unpinned(value.deserialize(source, beforeAt, valueAt)) : null,
        value: (flags & HAS_VALUE) === 0 ? null : unpinned(value.deserialize(source, valueAt, end)),
        timestampMs: source.readDoubleBE(start + 9),
        headers:
          beforeAt === headersAt ? NO_HEADERS : HEADERS.deserialize(source, headersAt, beforeAt),
      };
    },
  };
}
