import type { LogErrorData } from '../errors.ts';
import type { PartitionError, TopicPartition } from './topic-partition.ts';

/**
 * The requests of administration, one method for each of Kafka's, by the rules of `BrokerApi`: one
 * call for many topics, groups or partitions, and what concerns one of them stands in its place.
 */
export interface AdminApi {
  /** Creates topics. They survive a power cut when this resolves. */
  createTopics(request: CreateTopicsRequest): Promise<CreateTopicsResponse>;
  /** Gives topics more partitions. They survive a power cut when this resolves. */
  createPartitions(request: CreatePartitionsRequest): Promise<CreatePartitionsResponse>;
  /** Deletes topics with all their records, for good. */
  deleteTopics(request: { readonly topics: readonly string[] }): Promise<DeleteTopicsResponse>;
  /** Makes the records below an offset unreadable and frees their room. */
  deleteRecords(request: DeleteRecordsRequest): Promise<DeleteRecordsResponse>;

  /** Every setting of topics, also those at their defaults. */
  describeConfigs(request: {
    readonly topics: readonly string[];
  }): Promise<DescribeConfigsResponse>;
  /** Changes settings of topics one by one. In effect, and durable, when it resolves. */
  incrementalAlterConfigs(request: AlterConfigsRequest): Promise<AlterConfigsResponse>;

  /** The groups that are known, in the states asked for. */
  listGroups(request?: ListGroupsRequest): Promise<ListGroupsResponse>;
  /** State and members of groups. */
  describeGroups(request: {
    readonly groupIds: readonly string[];
  }): Promise<DescribeGroupsResponse>;
  /** Forgets groups without members, with their offsets. Durable when it resolves. */
  deleteGroups(request: { readonly groupIds: readonly string[] }): Promise<DeleteGroupsResponse>;
  /** Forgets what a group has committed for partitions. Durable when it resolves. */
  offsetDelete(request: OffsetDeleteRequest): Promise<OffsetDeleteResponse>;

  /** The transactional ids that are known, by state, producer and age of their transaction. */
  listTransactions(request: ListTransactionsRequest): Promise<ListTransactionsResponse>;
  /** How transactional ids stand. */
  describeTransactions(request: {
    readonly transactionalIds: readonly string[];
  }): Promise<DescribeTransactionsResponse>;
  /** The producers that partitions remember, with their open transactions. */
  describeProducers(request: {
    readonly partitions: readonly TopicPartition[];
  }): Promise<DescribeProducersResponse>;
  /**
   * Aborts transactions in partitions that no coordinator will end. Readers of committed data go on
   * when it resolves, and a power cut takes nothing of it.
   */
  writeTxnMarkers(request: WriteTxnMarkersRequest): Promise<WriteTxnMarkersResponse>;

  /** How much room partitions take on the disk. */
  describeLogDirs(request: DescribeLogDirsRequest): Promise<DescribeLogDirsResponse>;
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
export interface DeleteTopicsResponse {
  readonly results: readonly TopicResult[];
}
export interface DeleteRecordsRequest {
  /** Records below `offset` go; -1 for the high watermark. */
  readonly partitions: readonly (TopicPartition & { readonly offset: number })[];
}
export interface DeleteRecordsResponse {
  readonly results: readonly (PartitionError & { readonly logStartOffset: number })[];
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
  /** What it does, in one line. */
  readonly documentation: string;
  /** What it may be, in words: `an integer, 0 or more`. */
  readonly validValues: string;
}
/** One change of one setting; APPEND and SUBTRACT are for lists, of which there is one. */
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

export interface ListGroupsRequest {
  /** Undefined for all. */
  readonly states?: readonly GroupState[];
}
export interface ListGroupsResponse {
  readonly groups: readonly GroupListing[];
}
export interface GroupListing {
  readonly groupId: string;
  readonly state: GroupState;
  readonly protocolType: string;
}
export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead';
export interface DescribeGroupsResponse {
  readonly groups: readonly GroupDescription[];
}
export interface GroupDescription {
  readonly groupId: string;
  readonly error?: LogErrorData;
  readonly state: GroupState;
  readonly protocolType: string;
  readonly protocol: string;
  readonly members: readonly {
    readonly memberId: string;
    readonly groupInstanceId?: string;
    readonly clientId: string;
    /** In the bytes of the group's protocol type. */
    readonly assignment: Uint8Array;
  }[];
}
export interface GroupResult {
  readonly groupId: string;
  readonly error?: LogErrorData;
}
export interface DeleteGroupsResponse {
  readonly results: readonly GroupResult[];
}
export interface OffsetDeleteRequest {
  readonly groupId: string;
  readonly partitions: readonly TopicPartition[];
}
export interface OffsetDeleteResponse {
  readonly results: readonly PartitionError[];
}

/** Kafka's states of a transactional id. */
export type TransactionState =
  | 'Empty'
  | 'Ongoing'
  | 'PrepareCommit'
  | 'PrepareAbort'
  | 'CompleteCommit'
  | 'CompleteAbort'
  | 'Dead';
export interface ListTransactionsRequest {
  /** Undefined for all; so with the others. */
  readonly states?: readonly TransactionState[];
  readonly producerIds?: readonly number[];
  /** Only transactions that have been open for longer, in milliseconds. */
  readonly durationMs?: number;
}
export interface ListTransactionsResponse {
  readonly transactions: readonly TransactionListing[];
}
export interface TransactionListing {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly state: TransactionState;
}
export interface DescribeTransactionsResponse {
  readonly transactions: readonly TransactionDescription[];
}
export interface TransactionDescription extends TransactionListing {
  readonly error?: LogErrorData;
  readonly producerEpoch: number;
  readonly timeoutMs: number;
  /** When the open transaction began, in milliseconds since 1970; -1 when none is open. */
  readonly startMs: number;
  /** What takes part in the open transaction. */
  readonly partitions: readonly TopicPartition[];
}
export interface DescribeProducersResponse {
  readonly partitions: readonly (PartitionError & {
    readonly producers: readonly ProducerDescription[];
  })[];
}
/** What a partition remembers of a producer, for a day after its last batch or longer. */
export interface ProducerDescription {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** Of the newest batch; -1 when the epoch has none. */
  readonly lastSequence: number;
  /** When the last batch came, by the broker's clock, in milliseconds since 1970. */
  readonly lastTimestampMs: number;
  /** -1 for a producer without transactions. */
  readonly coordinatorEpoch: number;
  /** The first offset of its open transaction; -1 when none is open. */
  readonly currentTransactionStartOffset: number;
}
/** Kafka's request with the result ABORT: commits are the coordinator's own affair. */
export interface WriteTxnMarkersRequest {
  readonly markers: readonly {
    readonly producerId: number;
    readonly producerEpoch: number;
    readonly partitions: readonly TopicPartition[];
  }[];
}
export interface WriteTxnMarkersResponse {
  readonly results: readonly (PartitionError & { readonly producerId: number })[];
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
