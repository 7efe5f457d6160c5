import { topic, type LogConfig, type Topic, type TopicMetadata } from '../../core/index.ts';
import type { TopicSpec } from '../topology/node.ts';
import type { Topology } from '../topology/topology.ts';

const MIB = 1024 * 1024;

/** Only commits append to a changelog, so its batches may be larger than a client's. */
export const MESSAGE_BYTES_MAX = 16 * MIB;

/** Settings of the application's internal topics. */
export const INTERNAL_CONFIG = {
  // Kafka Streams' segment size for internal topics: data is deleted soon after it is read.
  segmentBytes: 50 * MIB,
  maxMessageBytes: MESSAGE_BYTES_MAX,
} as const satisfies Partial<LogConfig>;

/**
 * Settings of repartition topics, which are purged as they are read: of what is read, smaller
 * segments leave less. One has room for the largest batch.
 */
export const REPARTITION_CONFIG = {
  ...INTERNAL_CONFIG,
  segmentBytes: MESSAGE_BYTES_MAX,
  // Only the application reads them, and no read of a segment takes nearly so long.
  fileDeleteDelayMs: 10_000,
} as const satisfies Partial<LogConfig>;

/** Settings of the topic with the copy of what ran last: only the newest counts. */
export const LAST_RUN_CONFIG = {
  ...INTERNAL_CONFIG,
  cleanupPolicy: 'compact',
} as const satisfies Partial<LogConfig>;

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

/** Where an application keeps a copy of the topology that ran last. */
export function lastRunTopic(applicationId: string): string {
  return `${applicationId}-topology`;
}

/** True of a repartition topic of the application, or of one whose id begins like this. */
export function isRepartitionTopic(applicationId: string, name: string): boolean {
  return name.startsWith(`${applicationId}-`) && name.endsWith('-repartition');
}

/** The names of the topics that an application with this topology makes for itself. */
export function internalTopics(applicationId: string, topology: Topology): Set<string> {
  const repartitions = topology.nodes.flatMap((node) => {
    return node.kind === 'repartition' ? [repartitionTopic(applicationId, node.id)] : [];
  });
  const changelogs = [...topology.stores.values()].flatMap(({ name, backing }) => {
    return backing === 'changelog' ? [changelogTopic(applicationId, name)] : [];
  });
  return new Set([...repartitions, ...changelogs, lastRunTopic(applicationId)]);
}

/**
 * True of a topic that an application of this id, or of one that begins like this, has made for
 * itself with any topology: it has the name and the settings of such a topic. A user's topic may
 * have the name alone.
 */
export function isMadeInternal(applicationId: string, { topic, config }: TopicMetadata): boolean {
  const isChangelog = topic.startsWith(`${applicationId}-`) && topic.endsWith('-changelog');
  const isOther = isRepartitionTopic(applicationId, topic) || topic === lastRunTopic(applicationId);
  if (!isChangelog && !isOther) return false;
  // Repartition topics of earlier versions have the segments of the others.
  return [INTERNAL_CONFIG, REPARTITION_CONFIG].some(({ segmentBytes, maxMessageBytes }) => {
    return (
      config['segment.bytes'] === String(segmentBytes) &&
      config['max.message.bytes'] === String(maxMessageBytes)
    );
  });
}

/** A partition as a map key. */
export function placeOf(place: { readonly topic: string; readonly partition: number }): string {
  return `${place.topic}-${place.partition}`;
}
