import type { LogErrorData } from '../errors.ts';
import type { Exchange } from './exchange.ts';

/** What there is, and who has it. */
export interface ClusterRequests {
  /** The topics that were asked for, with partitions and settings. */
  metadata: Exchange<MetadataRequest, MetadataResponse>;
}

export interface MetadataRequest {
  /** Undefined for all topics. */
  readonly topics?: readonly string[];
}

export interface MetadataResponse {
  readonly clusterId: string;
  readonly topics: readonly TopicMetadata[];
}

export interface TopicMetadata {
  readonly topic: string;
  readonly error?: LogErrorData;
  readonly topicId: string;
  readonly isInternal: boolean;
  readonly partitions: number;
  /** The settings that differ from the defaults, in Kafka's names (`retention.ms`). */
  readonly config: Readonly<Record<string, string>>;
}
