import type { LogErrorData } from '../errors.ts';
import type { Exchange } from './exchange.ts';
import type { TopicPartition } from './topic-partition.ts';

/** Looking after topics and their settings. */
export interface TopicRequests {
  /** Creates topics. They survive a power cut when this resolves. */
  createTopics: Exchange<CreateTopicsRequest, CreateTopicsResponse>;
  /** Gives topics more partitions. They survive a power cut when this resolves. */
  createPartitions: Exchange<CreatePartitionsRequest, CreatePartitionsResponse>;
  /** Deletes topics with all their records, for good. */
  deleteTopics: Exchange<DeleteTopicsRequest, DeleteTopicsResponse>;
  /** Every setting of topics, also those at their defaults. */
  describeConfigs: Exchange<DescribeConfigsRequest, DescribeConfigsResponse>;
  /** Changes settings of topics one by one. In effect, and durable, when it resolves. */
  incrementalAlterConfigs: Exchange<AlterConfigsRequest, AlterConfigsResponse>;
  /** How much room partitions take on the disk. */
  describeLogDirs: Exchange<DescribeLogDirsRequest, DescribeLogDirsResponse>;
}

export interface TopicResult {
  readonly topic: string;
  readonly error?: LogErrorData;
}

export interface CreateTopicsRequest {
  readonly topics: readonly NewTopic[];
  readonly validateOnly?: boolean;
}

export interface NewTopic {
  readonly topic: string;
  /** -1 for the broker's default. */
  readonly partitions: number;
  /** In Kafka's names (`retention.ms`). */
  readonly config?: Readonly<Record<string, string>>;
}

export interface CreateTopicsResponse {
  readonly results: readonly TopicResult[];
}

export interface CreatePartitionsRequest {
  /** How many partitions each topic is to have in all. */
  readonly topics: readonly { readonly topic: string; readonly count: number }[];
  readonly validateOnly?: boolean;
}

export interface CreatePartitionsResponse {
  readonly results: readonly TopicResult[];
}

export interface DeleteTopicsRequest {
  readonly topics: readonly string[];
}
export interface DeleteTopicsResponse {
  readonly results: readonly TopicResult[];
}

export interface DescribeConfigsRequest {
  readonly topics: readonly string[];
}
export interface DescribeConfigsResponse {
  readonly results: readonly (TopicResult & { readonly configs: readonly ConfigEntry[] })[];
}

/** One setting of a topic. */
export interface ConfigEntry {
  /** Kafka's name: `retention.ms`. */
  readonly name: string;
  /** Sizes in bytes, times in milliseconds. */
  readonly value: string;
  readonly defaultValue: string;
  /** Whether the topic sets it itself, be it to the default. */
  readonly source: 'DYNAMIC_TOPIC_CONFIG' | 'DEFAULT_CONFIG';
  readonly isDefault: boolean;
  /** A description of one line. */
  readonly documentation: string;
  /** The allowed values, in words: `an integer, 0 or more`. */
  readonly validValues: string;
}

/** One change of one setting; APPEND and SUBTRACT are for the one setting that is a list. */
export interface ConfigChange {
  /** Kafka's name: `retention.ms`. */
  readonly name: string;
  readonly operation: 'SET' | 'DELETE' | 'APPEND' | 'SUBTRACT';
  /** For all but DELETE, which brings the default back. */
  readonly value?: string;
}

export interface AlterConfigsRequest {
  readonly topics: readonly {
    readonly topic: string;
    readonly changes: readonly ConfigChange[];
  }[];
  readonly validateOnly?: boolean;
}

export interface AlterConfigsResponse {
  readonly results: readonly TopicResult[];
}

export interface DescribeLogDirsRequest {
  /** Undefined for all. */
  readonly topics?: readonly string[];
}

export interface DescribeLogDirsResponse {
  /** One: a log has one directory. */
  readonly directories: readonly LogDirDescription[];
}

export interface LogDirDescription {
  readonly path: string;
  readonly partitions: readonly (TopicPartition & {
    /** Of all segments, without their indexes, in bytes. */
    readonly sizeBytes: number;
    /** How far this copy is behind the end of the partition: 0, as there is one copy here. */
    readonly offsetLag: number;
    /** True for a copy that is to replace another, in a cluster where partitions move. */
    readonly isFuture: boolean;
  })[];
}
