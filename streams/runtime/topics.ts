import { topic, type LogConfig, type Topic } from '../../core/index.ts';
import type { TopicSpec } from '../topology/node.ts';

/** The handle of a topic that a topology names. */
export function topicHandle(
  spec: TopicSpec,
  config: Partial<LogConfig> = {},
): Topic<unknown, unknown> {
  const { name, key, value, partitions } = spec;
  return topic(name, { key, value, config, ...(partitions !== undefined && { partitions }) });
}
