import { foundOf, outcomeOf } from '../protocol/answer-errors.ts';
import type { RequestHandlers } from '../protocol/exchange.ts';
import { changeConfig, describeConfig, type TopicConfig } from '../protocol/topic-config.ts';
import type { TopicRequests } from '../protocol/topic-requests.ts';
import { checkNotInternal } from './internal-topics.ts';
import type { Topics } from './topics.ts';

export interface TopicEnvironment {
  readonly topics: Topics;
  readonly directory: string;
}

/** Kafka's `num.partitions`. */
const PARTITIONS_DEFAULT = 1;

/** Answers requests that look after topics. */
export function topicRequests({
  topics,
  directory,
}: TopicEnvironment): RequestHandlers<TopicRequests> {
  return {
    createTopics: async ({ topics: wanted, validateOnly }) => {
      const results = wanted.map(({ topic, partitions, config }) => {
        const count = partitions === -1 ? PARTITIONS_DEFAULT : partitions;
        return outcomeOf({ topic }, () => {
          checkNotInternal(topic);
          return topics.create(topic, count, config ?? {}, validateOnly);
        });
      });
      return { results: await Promise.all(results) };
    },
    createPartitions: async ({ topics: wanted, validateOnly }) => {
      const results = wanted.map(({ topic, count }) =>
        outcomeOf({ topic }, () => {
          checkNotInternal(topic);
          return topics.createPartitions(topic, count, validateOnly);
        }),
      );
      return { results: await Promise.all(results) };
    },
    deleteTopics: async ({ topics: wanted }) => {
      const results = wanted.map((topic) =>
        outcomeOf({ topic }, () => {
          checkNotInternal(topic);
          return topics.delete(topic);
        }),
      );
      return { results: await Promise.all(results) };
    },
    describeConfigs: async ({ topics: wanted }) => {
      const results = wanted.map((topic) =>
        foundOf({ topic }, { configs: [] }, () => {
          return { configs: describeConfig(topics.get(topic).config) };
        }),
      );
      return { results: await Promise.all(results) };
    },
    incrementalAlterConfigs: async ({ topics: wanted, validateOnly }) => {
      const results = wanted.map(({ topic, changes }) =>
        outcomeOf({ topic }, () => {
          checkNotInternal(topic);
          const change = (config: TopicConfig) => changeConfig(config, changes);
          return topics.alterConfig(topic, change, validateOnly);
        }),
      );
      return { results: await Promise.all(results) };
    },
    describeLogDirs: async (request) => {
      const wanted = request.topics === undefined ? undefined : new Set(request.topics);
      const partitions = [...topics.partitions()]
        .filter(({ topic }) => wanted?.has(topic) ?? true)
        .map(({ topic, partition, log: { sizeBytes } }) => {
          return { topic, partition, sizeBytes, offsetLag: 0, isFuture: false };
        });
      return { directories: [{ path: directory, partitions }] };
    },
  };
}
