import { asBuffer } from '../serde/serde.ts';
import { StructReader, StructWriter } from './struct-codec.ts';
import type { TopicPartition } from './topic-partition.ts';

/**
 * What members of a group tell each other, in the bytes of Kafka's clients (`ConsumerProtocol`), so
 * that a group may hold members of other languages.
 */

const VERSION = 0;
export const CONSUMER_PROTOCOL = 'consumer';

export function encodeSubscription(topics: readonly string[]): Buffer {
  const writer = new StructWriter().int16(VERSION);
  return writer
    .array(topics, (topic) => writer.string(topic))
    .int32(-1)
    .end();
}

export function decodeSubscription(bytes: Uint8Array): string[] {
  const reader = new StructReader(asBuffer(bytes));
  reader.int16(); // later versions only add fields behind the topics
  return reader.array(() => reader.string());
}

export function encodeAssignment(partitions: readonly TopicPartition[]): Buffer {
  const topics = [...new Set(partitions.map(({ topic }) => topic))];
  const writer = new StructWriter().int16(VERSION);
  writer.array(topics, (topic) => {
    const own = partitions.filter((each) => each.topic === topic);
    writer.string(topic).array(own, ({ partition }) => writer.int32(partition));
  });
  return writer.int32(-1).end();
}

export function decodeAssignment(bytes: Uint8Array): TopicPartition[] {
  if (bytes.length === 0) return [];
  const reader = new StructReader(asBuffer(bytes));
  reader.int16();
  const topics = reader.array(() => {
    const topic = reader.string();
    return reader.array(() => ({ topic, partition: reader.int32() }));
  });
  return topics.flat();
}
