import { LogError } from '../errors.ts';
import { throwError, throwFirst } from '../protocol/answer-errors.ts';
import type { BrokerApi, TopicMetadata } from '../protocol/broker-api.ts';
import { toTopicConfig } from '../protocol/topic-config.ts';
import type { Topic } from './topic.ts';

/**
 * Finds the topic of a handle, or creates it from the handle. Returns its number of partitions.
 *
 * @throws LogError PARTITION_MISMATCH when it exists with another number of partitions than the
 *   handle names: keys would go to other partitions than before.
 * @throws LogError INVALID_TOPIC, INVALID_CONFIG, UNKNOWN_TOPIC_OR_PARTITION
 */
export async function ensureTopic(
  api: BrokerApi,
  handle: Topic<unknown, unknown>,
): Promise<number> {
  const found = await describeTopic(api, handle.name);
  if (found === undefined) {
    const { name, partitions = -1, config } = handle;
    const created = await api.createTopics({
      topics: [{ topic: name, partitions, config: toTopicConfig(config) }],
    });
    // Another client may have created it first; what it made is checked below.
    const isThere = created.results[0]?.error?.code === 'TOPIC_ALREADY_EXISTS';
    if (!isThere) throwFirst(created.results);
  }
  const actual = (found ?? (await describeTopic(api, handle.name)))?.partitions ?? 0;
  const { name: topic, partitions: expected } = handle;
  if (expected === undefined || expected === actual) return actual;
  throw partitionMismatch(topic, expected, actual);
}

/** PARTITION_MISMATCH for a topic whose number of partitions is not that of its handle. */
export function partitionMismatch(topic: string, expected: number, actual: number): LogError {
  const message =
    `topic ${topic} has ${actual} partitions, not the ${expected} of its handle; use partitions: ` +
    `${actual}, or write to a new topic`;
  return new LogError('PARTITION_MISMATCH', message, { topic, expected, actual });
}

/** A topic's metadata, or undefined when there is none. */
async function describeTopic(api: BrokerApi, name: string): Promise<TopicMetadata | undefined> {
  const { topics } = await api.metadata({ topics: [name] });
  const [found] = topics;
  if (found?.error === undefined) return found;
  if (found.error.code !== 'UNKNOWN_TOPIC_OR_PARTITION') throwError(found);
  return undefined;
}

/**
 * How many partitions each of `topics` has. A topic that does not exist is created if it has a
 * handle, and left out otherwise.
 */
export async function countPartitions(
  api: BrokerApi,
  topics: readonly string[],
  handles: ReadonlyMap<string, Topic<unknown, unknown>>,
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const name of topics) {
    const handle = handles.get(name);
    const count =
      handle === undefined
        ? (await describeTopic(api, name))?.partitions
        : await ensureTopic(api, handle);
    if (count !== undefined) counts.set(name, count);
  }
  return counts;
}
