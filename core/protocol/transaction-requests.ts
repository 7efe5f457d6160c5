import type { LogErrorData } from '../errors.ts';
import type { Exchange } from './exchange.ts';
import type { OffsetCommitRequest, OffsetCommitResponse } from './group-requests.ts';
import type { PartitionError, TopicPartition } from './topic-partition.ts';

/** Producers with an identity, their transactions, and looking after both. */
export interface TransactionRequests {
  /**
   * A producer id and epoch. For a transactional id it fences the former producer and aborts what
   * it left open.
   */
  initProducerId: Exchange<InitProducerIdRequest, ProducerIdentity>;
  /** Makes partitions part of the open transaction, before anything is written to them. */
  addPartitionsToTxn: Exchange<AddPartitionsToTxnRequest, void>;
  /** Makes a group's offsets part of the open transaction, before `txnOffsetCommit`. */
  addOffsetsToTxn: Exchange<AddOffsetsToTxnRequest, void>;
  /** Commits offsets that count if and when the transaction commits. */
  txnOffsetCommit: Exchange<TxnOffsetCommitRequest, OffsetCommitResponse>;
  /**
   * Commits or aborts the open transaction; a commit is durable, with all its data, when this
   * resolves. Returns the identity for the next one.
   */
  endTxn: Exchange<EndTxnRequest, ProducerIdentity>;

  /** The transactional ids that are known, by state, producer and age of their transaction. */
  listTransactions: Exchange<ListTransactionsRequest, ListTransactionsResponse>;
  /** How transactional ids stand. */
  describeTransactions: Exchange<DescribeTransactionsRequest, DescribeTransactionsResponse>;
  /** The producers that partitions remember, with their open transactions. */
  describeProducers: Exchange<DescribeProducersRequest, DescribeProducersResponse>;
  /**
   * Aborts transactions in partitions that no coordinator will end. Readers of committed data go on
   * when it resolves, and a power cut takes nothing of it.
   */
  writeTxnMarkers: Exchange<WriteTxnMarkersRequest, WriteTxnMarkersResponse>;
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

export interface DescribeTransactionsRequest {
  readonly transactionalIds: readonly string[];
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

export interface DescribeProducersRequest {
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
