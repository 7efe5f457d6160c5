import type { Headers } from '../../core/index.ts';

/**
 * A record on its way through a topology. Immutable: operators that change something pass on a new
 * one. Topic, partition and offset are those of the input record.
 */
export class StreamRecord<K = unknown, V = unknown> {
  readonly key: K;
  readonly value: V;
  /** Event time, in milliseconds since 1970. */
  readonly timestampMs: number;
  readonly headers: Headers;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;

  constructor(
    key: K,
    value: V,
    timestampMs: number,
    headers: Headers,
    topic: string,
    partition: number,
    offset: number,
  ) {
    this.key = key;
    this.value = value;
    this.timestampMs = timestampMs;
    this.headers = headers;
    this.topic = topic;
    this.partition = partition;
    this.offset = offset;
  }

  /** The same record with another value. */
  withValue<V2>(value: V2): StreamRecord<K, V2> {
    const { key, timestampMs, headers, topic, partition, offset } = this;
    return new StreamRecord(key, value, timestampMs, headers, topic, partition, offset);
  }

  /** The same record with another key and value. */
  withKeyValue<K2, V2>(key: K2, value: V2): StreamRecord<K2, V2> {
    const { timestampMs, headers, topic, partition, offset } = this;
    return new StreamRecord(key, value, timestampMs, headers, topic, partition, offset);
  }

  /** The same record with other headers. */
  withHeaders(headers: Headers): StreamRecord<K, V> {
    const { key, value, timestampMs, topic, partition, offset } = this;
    return new StreamRecord(key, value, timestampMs, headers, topic, partition, offset);
  }

  /** The same record with another key, value and time. */
  with<K2, V2>(key: K2, value: V2, timestampMs: number): StreamRecord<K2, V2> {
    const { headers, topic, partition, offset } = this;
    return new StreamRecord(key, value, timestampMs, headers, topic, partition, offset);
  }
}
