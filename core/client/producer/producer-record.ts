import type { TopicPartition } from '../../protocol/broker-api.ts';
import type { Headers } from '../../record/record.ts';

/** A record to send. Null as value is a tombstone: in a compacted topic the key is deleted. */
export interface ProducerRecord<K, V> {
  readonly key?: K | null;
  readonly value: V | null;
  /** Event time; default now. */
  readonly timestampMs?: number;
  readonly headers?: Headers;
  /** Default: by the key, as Kafka does. */
  readonly partition?: number;
}

/** Where a record went. */
export interface RecordMetadata extends TopicPartition {
  /** -1 with acks 0. */
  readonly offset: number;
}

/**
 * Called with what became of a record: null and where it went, or the error and null. Once, and
 * never during the call of `send`.
 */
export type SendCallback = (error: Error | null, metadata: RecordMetadata | null) => void;
