import type { LogErrorData } from '../errors.ts';
import type { Exchange } from './exchange.ts';

/** Brokers, topics, and which broker has what. */
export interface ClusterRequests {
  /** The brokers, and the topics that were asked for, with partitions and settings. */
  metadata: Exchange<MetadataRequest, MetadataResponse>;
  /** The brokers that coordinate groups or transactional ids. */
  findCoordinator: Exchange<FindCoordinatorRequest, FindCoordinatorResponse>;
}

export interface MetadataRequest {
  /** Undefined for all topics. */
  readonly topics?: readonly string[];
}

export interface MetadataResponse {
  readonly clusterId: string;
  readonly brokers: readonly BrokerNode[];
  /** The node id of the broker that changes topics. */
  readonly controllerId: number;
  readonly topics: readonly TopicMetadata[];
}

export interface TopicMetadata {
  readonly topic: string;
  readonly error?: LogErrorData;
  readonly topicId: string;
  readonly isInternal: boolean;
  /** How many there are. */
  readonly partitions: number;
  /** Where each partition lies, by its number. */
  readonly placement: readonly PartitionPlacement[];
  /** The settings that differ from the defaults, in Kafka's names (`retention.ms`). */
  readonly config: Readonly<Record<string, string>>;
}
/** A broker, and where its listener is. */
export interface BrokerNode {
  readonly nodeId: number;
  /** Empty, with port -1, for a broker that clients reach without a network. */
  readonly host: string;
  readonly port: number;
  readonly rack?: string;
}
/** Who has one partition. */
export interface PartitionPlacement {
  readonly error?: LogErrorData;
  /** The node id of the leader; -1 while there is none. */
  readonly leaderId: number;
  readonly leaderEpoch: number;
  /** The node ids of the brokers with a copy, and of those whose copy is complete. */
  readonly replicas: readonly number[];
  readonly inSyncReplicas: readonly number[];
}

export interface FindCoordinatorRequest {
  readonly keyType: 'group' | 'transaction';
  /** Group ids or transactional ids. */
  readonly keys: readonly string[];
}
export interface FindCoordinatorResponse {
  /** In the order of the request. */
  readonly coordinators: readonly Coordinator[];
}
/** The broker that coordinates `key`; node id -1 with an error. */
export interface Coordinator extends BrokerNode {
  readonly key: string;
  readonly error?: LogErrorData;
}
