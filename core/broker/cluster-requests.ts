import { LogError } from '../errors.ts';
import type { RequestHandlers } from '../protocol/exchange.ts';
import type { ClusterRequests, TopicMetadata } from '../protocol/cluster-requests.ts';
import { isInternal } from './internal-topics.ts';
import type { Topic, Topics } from './topics.ts';

/** Answers what there is: one broker, which has it all. */
export function clusterRequests({
  topics,
  clusterId,
}: {
  readonly topics: Topics;
  readonly clusterId: string;
}): RequestHandlers<ClusterRequests> {
  return {
    metadata: async (request) => {
      const names = request.topics ?? [...topics.all()].map(({ name }) => name);
      const described = names.map((name): TopicMetadata => {
        try {
          return describe(topics.get(name));
        } catch (cause) {
          const error = LogError.toData(cause);
          return { topic: name, error, topicId: '', isInternal: false, partitions: 0, config: {} };
        }
      });
      return { clusterId, topics: described };
    },
  };
}

function describe({ name, topicId, partitions, config }: Topic): TopicMetadata {
  const internal = isInternal(name);
  return { topic: name, topicId, isInternal: internal, partitions: partitions.length, config };
}
