import type { Logger } from '../../logger.ts';
import type { ProducerRecord, RecordMetadata } from './producer-record.ts';
import type { Topic } from '../topic.ts';

/**
 * Sees each record before it is serialised, and what became of it (Kafka: `ProducerInterceptor`).
 * Both methods run in the middle of sending, so they must be quick. What one of them throws is
 * logged, and changes nothing else.
 */
export interface ProducerInterceptor {
  /** Returns the record to send: the one it got, or another one for the same topic. */
  onSend?(
    topic: Topic<unknown, unknown>,
    record: ProducerRecord<unknown, unknown>,
  ): ProducerRecord<unknown, unknown>;
  /**
   * Called once for each record that `onSend` saw, before its sender gets the answer: with null
   * when it is acknowledged, else with the error. Partition and offset are -1 where there is none.
   */
  onAcknowledgement?(metadata: RecordMetadata, error: Error | null): void;
}

/** The interceptors of a producer, one after the other. */
export class Interceptors {
  readonly #interceptors: readonly ProducerInterceptor[];
  readonly #logger: Logger;

  constructor(interceptors: readonly ProducerInterceptor[], logger: Logger) {
    this.#interceptors = interceptors;
    this.#logger = logger;
  }

  /** The record as the last interceptor returns it; one that throws is skipped. */
  onSend<K, V>(topic: Topic<K, V>, record: ProducerRecord<K, V>): ProducerRecord<K, V> {
    let current = record as ProducerRecord<unknown, unknown>;
    for (const interceptor of this.#interceptors) {
      try {
        current = interceptor.onSend?.(topic, current) ?? current;
      } catch (error) {
        this.#logger.warn(`onSend of an interceptor threw for ${topic.name}: ${String(error)}`);
      }
    }
    return current as ProducerRecord<K, V>;
  }

  onAcknowledgement(metadata: RecordMetadata, error: Error | null): void {
    for (const interceptor of this.#interceptors) {
      try {
        interceptor.onAcknowledgement?.(metadata, error);
      } catch (cause) {
        this.#logger.warn(
          `onAcknowledgement of an interceptor threw for ${metadata.topic}: ${String(cause)}`,
        );
      }
    }
  }
}
