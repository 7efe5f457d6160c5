import { LogError } from '../errors.ts';
import type { TopicConfig } from '../protocol/topic-config.ts';

/** What keeps groups and their offsets, and what keeps transactions. */
export const OFFSETS_TOPIC = '__consumer_offsets';
export const TRANSACTIONS_TOPIC = '__transaction_state';

/** True for the coordinators' own topics. */
export function isInternal(topic: string): boolean {
  return topic === OFFSETS_TOPIC || topic === TRANSACTIONS_TOPIC;
}

/**
 * The coordinators' own topics can be read by all, and changed by nobody else.
 *
 * @throws LogError INVALID_TOPIC
 */
export function checkNotInternal(topic: string): void {
  if (!isInternal(topic)) return;
  const reason = 'it is internal';
  throw new LogError('INVALID_TOPIC', `${topic} cannot be changed: ${reason}`, { topic, reason });
}

/** Kafka's settings for its internal topics, as far as one process needs them. */
export const INTERNAL_TOPIC_CONFIG: TopicConfig = {
  'cleanup.policy': 'compact',
  'segment.bytes': String(100 * 1024 * 1024),
};

/** Where a Kafka controller keeps what `topics.json` is here: no topic of anybody's. */
export const METADATA_TOPIC = '__cluster_metadata';
