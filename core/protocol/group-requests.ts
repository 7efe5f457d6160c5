import type { LogErrorData } from '../errors.ts';
import type { Exchange } from './exchange.ts';
import type { PartitionError, TopicPartition } from './topic-partition.ts';

/** Groups of consumers (Kafka's classic protocol), what they commit, and looking after them. */
export interface GroupRequests {
  /** Joins the group or its next generation; answers when all its members have. */
  joinGroup: Exchange<JoinGroupRequest, JoinGroupResponse>;
  /** Hands in (leader) and fetches the assignment of this generation. */
  syncGroup: Exchange<SyncGroupRequest, SyncGroupResponse>;
  /** Keeps the seat. Rejects with REBALANCE_IN_PROGRESS when the members are to join again. */
  heartbeat: Exchange<GroupMember, void>;
  /** Gives up the seat at once, instead of by timeout. */
  leaveGroup: Exchange<LeaveGroupRequest, void>;
  /** Commits offsets for a group. Durable when it resolves. */
  offsetCommit: Exchange<OffsetCommitRequest, OffsetCommitResponse>;
  /** What the group has committed. */
  offsetFetch: Exchange<OffsetFetchRequest, OffsetFetchResponse>;

  /** The groups that are known, in the states asked for. */
  listGroups: Exchange<ListGroupsRequest, ListGroupsResponse>;
  /** State and members of groups. */
  describeGroups: Exchange<DescribeGroupsRequest, DescribeGroupsResponse>;
  /** Forgets groups without members, with their offsets. Durable when it resolves. */
  deleteGroups: Exchange<DeleteGroupsRequest, DeleteGroupsResponse>;
  /** Forgets what a group has committed for partitions. Durable when it resolves. */
  offsetDelete: Exchange<OffsetDeleteRequest, OffsetDeleteResponse>;
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
  /** Empty at the first call; the answer carries the id for later calls. */
  readonly memberId: string;
  /** Keeps the seat over a restart: a member that joins with it takes the seat of the former. */
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

export interface DescribeGroupsRequest {
  readonly groupIds: readonly string[];
}
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

export interface DeleteGroupsRequest {
  readonly groupIds: readonly string[];
}
export interface DeleteGroupsResponse {
  readonly results: readonly GroupResult[];
}

export interface GroupResult {
  readonly groupId: string;
  readonly error?: LogErrorData;
}

export interface OffsetDeleteRequest {
  readonly groupId: string;
  readonly partitions: readonly TopicPartition[];
}

export interface OffsetDeleteResponse {
  readonly results: readonly PartitionError[];
}
