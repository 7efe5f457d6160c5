import {
  LogError,
  NO_HEADERS,
  partitionOfKey,
  serializeToBytes,
  type Headers,
  type Serde,
} from '../../core/index.ts';
import { checkArgument, integer } from '../../core/internal.ts';

/** A record to pipe in. */
export interface TestRecord<K, V> {
  readonly key?: K | null;
  readonly value: V | null;
  /**
   * Default: the time of the topic, if it has one of its own, or else that of the previous record,
   * at first 0.
   */
  readonly timestampMs?: number;
  readonly headers?: Headers;
  /** Default: the partition of the key; 0 without a key. */
  readonly partition?: number;
}

/** An output record. */
export interface OutputRecord<K, V> {
  readonly key: K | null;
  readonly value: V | null;
  readonly timestampMs: number;
  readonly headers: Headers;
}

/** A record in a topic of the driver. */
export interface StoredRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly timestampMs: number;
  readonly headers: Headers;
  readonly partition: number;
}

/** What a topic needs for its records to be written. */
export interface WritableTopic<K, V> {
  readonly name: string;
  readonly key: Serde<K>;
  readonly value: Serde<V>;
}

/** A record to write; `partition` is undefined for that of the key. */
export interface UnwrittenRecord<K, V> {
  readonly key: K | null;
  readonly value: V | null;
  readonly timestampMs: number;
  readonly headers?: Headers | undefined;
  readonly partition?: number | undefined;
}

/**
 * Writes a record as a producer does.
 *
 * @throws LogError SERIALIZATION_FAILED
 */
export function writeRecord<K, V>(
  topic: WritableTopic<K, V>,
  partitions: number,
  record: UnwrittenRecord<K, V>,
): StoredRecord {
  const { timestampMs, headers = NO_HEADERS } = record;
  const { name } = topic;
  const key = record.key === null ? null : serialize(name, 'key', topic.key, record.key);
  const value = record.value === null ? null : serialize(name, 'value', topic.value, record.value);
  const ofKey = key === null ? 0 : partitionOfKey(key, 0, key.length, partitions);
  return { key, value, timestampMs, headers, partition: record.partition ?? ofKey };
}

/** Checks the fields: without types, a misspelt `value` would be a null. */
export function checkRecord(topic: string, record: unknown, partitions: number): void {
  const what = `pipe to ${topic}`;
  checkArgument(what, 'record', record, (given) => {
    const isRecord = typeof given === 'object' && given !== null && 'value' in given;
    return isRecord ? undefined : 'an object with a value, and a key if it has one';
  });
  const { partition } = record as TestRecord<unknown, unknown>;
  if (partition === undefined) return;
  checkArgument(what, 'partition', partition, integer(0, partitions - 1));
}

function serialize<T>(topic: string, field: 'key' | 'value', serde: Serde<T>, value: T): Buffer {
  try {
    return serializeToBytes(serde, value);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message =
      `the ${field} of a record for ${topic} could not be written by ${serde.name}: ` + reason;
    throw new LogError('SERIALIZATION_FAILED', message, { topic, field }, { cause });
  }
}
