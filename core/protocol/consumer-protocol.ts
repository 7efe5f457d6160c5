import { asBuffer } from '../serde/serde.ts';
import { StructReader, StructWriter } from './struct-codec.ts';
import type { TopicPartition } from './topic-partition.ts';

/**
 * What members of a group tell each other, in the bytes of Kafka's clients (`ConsumerProtocol`), so
 * that a group may hold members of other languages. Version 3 is written; of older ones the fields
 * that they lack are empty, and newer ones only add fields behind those known here.
 */

const VERSION = 3;
export const CONSUMER_PROTOCOL = 'consumer';

/** What a member wants and has; the bytes that it hands in when it joins. */
export interface MemberSubscription {
  readonly topics: readonly string[];
  /** Partitions that it has and has not given up (version 1, KIP-429). */
  readonly ownedPartitions: readonly TopicPartition[];
  /** The generation in which it got them; -1 for none (version 2, KIP-792). */
  readonly generation: number;
  /** What its assignor adds. */
  readonly userData?: Uint8Array | undefined;
}

export function encodeSubscription(subscription: MemberSubscription): Buffer {
  const { topics, ownedPartitions, generation, userData } = subscription;
  const writer = new StructWriter().int16(VERSION);
  writer.array([...topics].sort(), (topic) => writer.string(topic));
  if (userData === undefined) writer.int32(-1);
  else writer.bytes(userData);
  writePartitions(writer, ownedPartitions.toSorted(byPlace));
  return writer.int32(generation).string(null).end(); // no rack
}

export function decodeSubscription(bytes: Uint8Array): MemberSubscription {
  const reader = new StructReader(asBuffer(bytes));
  const version = reader.int16();
  const topics = reader.array(() => reader.string());
  const userData = reader.bytes();
  const ownedPartitions = version >= 1 ? readPartitions(reader) : [];
  const generation = version >= 2 ? reader.int32() : -1;
  const withUserData = userData.length > 0 && { userData };
  return { topics, ownedPartitions, generation, ...withUserData };
}

export function encodeAssignment(partitions: readonly TopicPartition[]): Buffer {
  const writer = new StructWriter().int16(VERSION);
  writePartitions(writer, partitions);
  return writer.int32(-1).end();
}

export function decodeAssignment(bytes: Uint8Array): TopicPartition[] {
  if (bytes.length === 0) return [];
  const reader = new StructReader(asBuffer(bytes));
  reader.int16();
  return readPartitions(reader);
}

/** By topic, then by number: the order in which Kafka's clients list partitions. */
export function byPlace(a: TopicPartition, b: TopicPartition): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1;
  return a.partition - b.partition;
}

/** Topic by topic, in the order in which the topics come up. */
export function writePartitions(
  writer: StructWriter,
  partitions: readonly TopicPartition[],
): StructWriter {
  const byTopic = new Map<string, number[]>();
  for (const { topic, partition } of partitions) {
    const numbers = byTopic.get(topic);
    if (numbers === undefined) byTopic.set(topic, [partition]);
    else numbers.push(partition);
  }
  return writer.array([...byTopic], ([topic, numbers]) => {
    writer.string(topic).array(numbers, (partition) => writer.int32(partition));
  });
}

export function readPartitions(reader: StructReader): TopicPartition[] {
  const topics = reader.array(() => {
    const topic = reader.string();
    return reader.array(() => ({ topic, partition: reader.int32() }));
  });
  return topics.flat();
}
