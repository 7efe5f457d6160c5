import { topic, type LogConfig, type Topic } from '../../core/index.ts';
import type { TopicSpec } from '../topology/node.ts';

const MIB = 1024 * 1024;

/** Only commits append to a changelog, so its batches may be larger than a client's. */
export const MESSAGE_BYTES_MAX = 16 * MIB;

/** Settings of the application's internal topics. */
export const INTERNAL_CONFIG: Partial<LogConfig> = {
  // Kafka Streams' segment size for internal topics: data is deleted soon after it is read.
  segmentBytes: 50 * MIB,
  maxMessageBytes: MESSAGE_BYTES_MAX,
};

/** Opens a topic that a topology names. */
export function topicHandle(spec: TopicSpec): Topic<unknown, unknown> {
  const { name, key, value, partitions, config } = spec;
  return topic(name, { key, value, config, ...(partitions !== undefined && { partitions }) });
}

export function changelogTopic(applicationId: string, store: string): string {
  return `${applicationId}-${store}-changelog`;
}

export function repartitionTopic(applicationId: string, id: string): string {
  return `${applicationId}-${id}-repartition`;
}

/** True of a repartition topic of the application, or of one whose id begins like this. */
export function isRepartitionTopic(applicationId: string, name: string): boolean {
  return name.startsWith(`${applicationId}-`) && name.endsWith('-repartition');
}

/** True of any internal topic of the application, or of one whose id begins like this. */
export function isInternalTopic(applicationId: string, name: string): boolean {
  const isChangelog = name.startsWith(`${applicationId}-`) && name.endsWith('-changelog');
  return isChangelog || isRepartitionTopic(applicationId, name);
}

/** A partition as a map key. */
export function placeOf(place: { readonly topic: string; readonly partition: number }): string {
  return `${place.topic}-${place.partition}`;
}
