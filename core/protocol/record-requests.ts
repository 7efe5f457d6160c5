import type { Exchange } from './exchange.ts';
import type { PartitionError, TopicPartition } from './topic-partition.ts';

/** Writing and reading records. They travel as encoded batches. */
export interface RecordRequests {
  /** Appends batches. Answers when each is as durable as `acks` says, or has failed. */
  produce: Exchange<ProduceRequest, ProduceResponse>;
  /** Reads batches, waiting up to `maxWaitMs` for `minBytes` of them. */
  fetch: Exchange<FetchRequest, FetchResponse>;
  /** The offset at the start, at the end or at a time, of each partition. */
  listOffsets: Exchange<ListOffsetsRequest, ListOffsetsResponse>;
  /** Makes the records below an offset unreadable and frees their room. */
  deleteRecords: Exchange<DeleteRecordsRequest, DeleteRecordsResponse>;
}

/** `read_committed` stops at the last stable offset and leaves out aborted transactions. */
export type IsolationLevel = 'read_uncommitted' | 'read_committed';

/**
 * When a produce request is answered: `0` at once, `1` when the operating system has the batch (it
 * survives kill -9), `all` when it is on stable storage (it survives a power cut).
 */
export type Acks = 0 | 1 | 'all';

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

export interface DeleteRecordsRequest {
  /** Records below `offset` go; -1 for the high watermark. */
  readonly partitions: readonly (TopicPartition & { readonly offset: number })[];
}

export interface DeleteRecordsResponse {
  readonly results: readonly (PartitionError & { readonly logStartOffset: number })[];
}
