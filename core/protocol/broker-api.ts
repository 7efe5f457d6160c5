import type { LogErrorData } from '../errors.ts';
import type { AdminApi } from './admin-api.ts';
import type { PartitionError, TopicPartition } from './topic-partition.ts';

export type * from './admin-api.ts';
export type { PartitionError, TopicPartition } from './topic-partition.ts';

/**
 * The face of a broker: one method for each Kafka request that clients need, in Kafka's meaning and
 * with Kafka's error codes. Arguments and results are plain data that structured clone carries, and
 * records travel as encoded batches, so the same clients work on the embedded broker by a direct
 * call, through a message port, or (with an adapter) on a Kafka cluster. Never one call a record.
 *
 * A method rejects, with a LogError, only when the request as a whole failed; what concerns one
 * partition, topic or group stands in its place of the answer as `error`.
 */
export interface BrokerApi extends AdminApi {
  /** The topics that were asked for, with partitions and settings. */
  metadata(request: MetadataRequest): Promise<MetadataResponse>;
  /** Appends batches. Answers when each is as durable as `acks` says, or has failed. */
  produce(request: ProduceRequest): Promise<ProduceResponse>;
  /** Reads batches, waiting up to `maxWaitMs` for `minBytes` of them. */
  fetch(request: FetchRequest): Promise<FetchResponse>;
  /** The offset at the start, at the end or at a time, of each partition. */
  listOffsets(request: ListOffsetsRequest): Promise<ListOffsetsResponse>;

  /**
   * A producer id and epoch. For a transactional id it fences the former producer and aborts what
   * it left open.
   */
  initProducerId(request: InitProducerIdRequest): Promise<ProducerIdentity>;
  /** Makes partitions part of the open transaction, before anything is written to them. */
  addPartitionsToTxn(request: AddPartitionsToTxnRequest): Promise<void>;
  /** Makes a group's offsets part of the open transaction, before `txnOffsetCommit`. */
  addOffsetsToTxn(request: AddOffsetsToTxnRequest): Promise<void>;
  /** Commits offsets that count if and when the transaction commits. */
  txnOffsetCommit(request: TxnOffsetCommitRequest): Promise<OffsetCommitResponse>;
  /**
   * Commits or aborts the open transaction; a commit is durable, with all its data, when this
   * resolves. Returns the identity for the next one.
   */
  endTxn(request: EndTxnRequest): Promise<ProducerIdentity>;

  /** Joins the group or its next generation; answers when all its members have. */
  joinGroup(request: JoinGroupRequest): Promise<JoinGroupResponse>;
  /** Hands in (leader) and fetches the assignment of this generation. */
  syncGroup(request: SyncGroupRequest): Promise<SyncGroupResponse>;
  /**
   * Keeps the seat. Rejects with REBALANCE_IN_PROGRESS when the group wants its members to rejoin.
   */
  heartbeat(request: GroupMember): Promise<void>;
  /** Gives up the seat at once, instead of by timeout. */
  leaveGroup(request: LeaveGroupRequest): Promise<void>;
  /** Commits offsets for a group. Durable when it resolves. */
  offsetCommit(request: OffsetCommitRequest): Promise<OffsetCommitResponse>;
  /** What the group has committed. */
  offsetFetch(request: OffsetFetchRequest): Promise<OffsetFetchResponse>;
}

/** `read_committed` stops at the last stable offset and leaves out aborted transactions. */
export type IsolationLevel = 'read_uncommitted' | 'read_committed';

/**
 * When a produce request is answered: `0` at once, `1` when the operating system has the batch (it
 * survives kill -9), `all` when it is on stable storage (it survives a power cut).
 */
export type Acks = 0 | 1 | 'all';

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

export interface ProduceRequest {
  readonly acks: Acks;
  /** Set for batches that belong to its open transaction. */
  readonly transactionalId?: string;
  readonly batches: readonly ProduceBatch[];
}
export interface ProduceBatch extends TopicPartition {
  /** One record batch. The broker takes the memory over and writes into it. */
  readonly records: Uint8Array;
}
export interface ProduceResponse {
  /** In the order of the request. */
  readonly results: readonly ProduceResult[];
}
export interface ProduceResult extends PartitionError {
  /** The offset of the batch's first record; -1 with an error or acks 0. */
  readonly baseOffset: number;
}

export interface FetchRequest {
  readonly isolationLevel: IsolationLevel;
  /** How long to wait for `minBytes`, in milliseconds. */
  readonly maxWaitMs: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly partitions: readonly FetchPartition[];
}
export interface FetchPartition extends TopicPartition {
  readonly fetchOffset: number;
  readonly maxBytes: number;
}
export interface FetchResponse {
  /** Partitions with data, an error or a moved watermark; the others may be missing. */
  readonly partitions: readonly FetchedPartition[];
}
export interface FetchedPartition extends PartitionError {
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  /** By `firstOffset`; for read_committed only. */
  readonly abortedTransactions: readonly AbortedRange[];
  /** Whole batches, checked; the first may begin before the fetch offset. */
  readonly records: Uint8Array;
}
export interface AbortedRange {
  readonly producerId: number;
  readonly firstOffset: number;
}

/** Kafka's special timestamps, by name. */
export type OffsetSpec = 'earliest' | 'latest' | 'max_timestamp' | { readonly timestampMs: number };

export interface ListOffsetsRequest {
  readonly isolationLevel: IsolationLevel;
  readonly partitions: readonly (TopicPartition & { readonly spec: OffsetSpec })[];
}
export interface ListOffsetsResponse {
  readonly partitions: readonly ListedOffset[];
}
export interface ListedOffset extends PartitionError {
  /** -1 when no record answers the spec. */
  readonly offset: number;
  readonly timestampMs: number;
}

export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}
export interface InitProducerIdRequest {
  readonly transactionalId: string | null;
  readonly transactionTimeoutMs: number;
}
export interface TransactionRequest extends ProducerIdentity {
  readonly transactionalId: string;
}
export interface AddPartitionsToTxnRequest extends TransactionRequest {
  readonly partitions: readonly TopicPartition[];
}
export interface AddOffsetsToTxnRequest extends TransactionRequest {
  readonly groupId: string;
}
export interface TxnOffsetCommitRequest extends TransactionRequest, OffsetCommitRequest {}
export interface EndTxnRequest extends TransactionRequest {
  readonly commit: boolean;
}

/** A member of a group at one generation. */
export interface GroupMember {
  readonly groupId: string;
  readonly memberId: string;
  readonly generation: number;
  /** Of a static member (KIP-345): another one of this id fences it, FENCED_INSTANCE_ID. */
  readonly groupInstanceId?: string;
}
export interface JoinGroupRequest {
  readonly groupId: string;
  /** Empty at the first call; the answer carries the id to go on with. */
  readonly memberId: string;
  /** Keeps the seat over a restart: who joins with it anew takes the seat of who had it. */
  readonly groupInstanceId?: string;
  readonly clientId: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  /** By preference. */
  readonly protocols: readonly GroupProtocol[];
}
export interface GroupProtocol {
  readonly name: string;
  readonly metadata: Uint8Array;
}
export interface JoinGroupResponse {
  readonly memberId: string;
  readonly generation: number;
  readonly protocol: string;
  readonly leaderId: string;
  /** All members, for the leader; empty for the others. */
  readonly members: readonly JoinedMember[];
  /** For a leader that came back to its seat: the assignment stands (KIP-814). */
  readonly skipAssignment?: boolean;
}
export interface JoinedMember {
  readonly memberId: string;
  readonly groupInstanceId?: string;
  readonly metadata: Uint8Array;
}
export interface SyncGroupRequest extends GroupMember {
  /** From the leader; empty from the others. */
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Uint8Array }[];
}
export interface SyncGroupResponse {
  readonly assignment: Uint8Array;
}
export interface LeaveGroupRequest {
  readonly groupId: string;
  /** May be empty for a static member. */
  readonly memberId: string;
  readonly groupInstanceId?: string;
}

export interface OffsetCommitRequest {
  readonly groupId: string;
  /** Empty, with generation -1, for a commit from outside the group. */
  readonly memberId: string;
  readonly generation: number;
  readonly groupInstanceId?: string;
  readonly offsets: readonly CommittedOffset[];
}
/**
 * The offset of the **next** record to read, with whatever the committer wants to keep beside it.
 */
export interface CommittedOffset extends TopicPartition {
  readonly offset: number;
  /** At most 4,096 bytes of UTF-8; default ''. */
  readonly metadata?: string;
}
export interface OffsetCommitResponse {
  readonly results: readonly PartitionError[];
}
export interface OffsetFetchRequest {
  readonly groupId: string;
  /** Undefined for all that the group has committed. */
  readonly partitions?: readonly TopicPartition[];
  /** Fail with UNSTABLE_OFFSET_COMMIT where a transaction with a commit is open (KIP-447). */
  readonly requireStable: boolean;
}
export interface OffsetFetchResponse {
  readonly offsets: readonly FetchedOffset[];
}
export interface FetchedOffset extends PartitionError {
  /** -1 when the group has committed none. */
  readonly offset: number;
  readonly metadata: string;
}
