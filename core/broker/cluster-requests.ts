import { LogError } from '../errors.ts';
import { newestEpoch } from '../log/leader-epochs.ts';
import type { BrokerNode, ClusterRequests, TopicMetadata } from '../protocol/cluster-requests.ts';
import type { RequestHandlers } from '../protocol/exchange.ts';
import type { DataDirectory } from './data-directory.ts';
import { isInternal } from './internal-topics.ts';
import type { Topic, Topics } from './topics.ts';

export interface ClusterEnvironment {
  readonly topics: Topics;
  readonly identity: Pick<DataDirectory, 'clusterId' | 'nodeId'>;
}

/** Answers what there is: one broker, which has it all. */
export function clusterRequests({
  topics,
  identity: { clusterId, nodeId },
}: ClusterEnvironment): RequestHandlers<ClusterRequests> {
  const self: BrokerNode = { nodeId, host: '', port: -1 };
  const found = (name: string): TopicMetadata => {
    try {
      return describe(topics.get(name), nodeId);
    } catch (cause) {
      const nothing = { topicId: '', isInternal: false, partitions: 0, placement: [], config: {} };
      return { topic: name, error: LogError.toData(cause), ...nothing };
    }
  };
  return {
    metadata: async (request) => {
      const names = request.topics ?? [...topics.all()].map(({ name }) => name);
      return { clusterId, brokers: [self], controllerId: nodeId, topics: names.map(found) };
    },
    findCoordinator: async ({ keys }) => {
      return { coordinators: keys.map((key) => ({ key, ...self })) };
    },
  };
}

function describe({ name, topicId, partitions, config }: Topic, nodeId: number): TopicMetadata {
  return {
    topic: name,
    topicId,
    isInternal: isInternal(name),
    partitions: partitions.length,
    placement: partitions.map(({ log }) => {
      const copies = [nodeId];
      const leaderEpoch = newestEpoch(log);
      return { leaderId: nodeId, leaderEpoch, replicas: copies, inSyncReplicas: copies };
    }),
    config,
  };
}
