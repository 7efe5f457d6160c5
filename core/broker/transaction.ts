import { LogError } from '../errors.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import type { Marker, MarkerType } from '../record/control.ts';
import type {
  ProducerIdentity,
  TopicPartition,
  TransactionRequest,
  TransactionState,
} from '../protocol/broker-api.ts';
import { partitionKey } from '../protocol/topic-partition.ts';
import type { TransactionValue } from './coordinator-records.ts';

/** There is one coordinator, and no election. */
const COORDINATOR_EPOCH = 0;

/**
 * One transactional id. Changes only in the coordinator, and is written down at each change of
 * state.
 */
export interface Transaction {
  readonly transactionalId: string;
  producerId: number;
  producerEpoch: number;
  timeoutMs: number;
  state: TransactionState;
  /** What takes part, by partition key. */
  readonly partitions: Map<string, TopicPartition>;
  /** Those of them that are being saved: until they are, nothing may be written there. */
  readonly joining: Set<string>;
  updatedMs: number;
  startedMs: number;
  /** As in `TransactionValue`: true for all that began here. */
  raisesEpoch: boolean;
  /** The markers of the last transaction that may not be durable, and where each log is then. */
  markers: readonly WrittenMarker[];
  /** False while the coordinator's log does not say how it stands. */
  isRecorded: boolean;
  /** Set while the transaction is being ended, or its producer replaced; never rejects. */
  changing: Promise<void> | undefined;
  /** True while markers of the transaction, which is decided, wait for room on the disk. */
  lacksRoom: boolean;
  /** Requests that wait for its end. Each is called when the markers begin to wait for room. */
  readonly callers: Set<() => void>;
}

/** A marker in a log that is durable once the log is up to `offset`. */
export interface WrittenMarker {
  readonly log: PartitionLog;
  readonly offset: number;
}

export function newTransaction(
  transactionalId: string,
  producerId: number,
  timeoutMs: number,
): Transaction {
  return {
    transactionalId,
    producerId,
    producerEpoch: 0,
    timeoutMs,
    state: 'Empty',
    partitions: new Map(),
    joining: new Set(),
    updatedMs: 0,
    startedMs: -1,
    raisesEpoch: true,
    markers: [],
    isRecorded: false,
    changing: undefined,
    lacksRoom: false,
    callers: new Set(),
  };
}

/** A transaction as an earlier process left it. */
export function restoreTransaction(transactionalId: string, kept: TransactionValue): Transaction {
  const partitions = new Map<string, TopicPartition>();
  for (const { topic, partition } of kept.partitions) {
    partitions.set(partitionKey(topic, partition), { topic, partition });
  }
  const fresh = newTransaction(transactionalId, kept.producerId, kept.timeoutMs);
  return { ...fresh, ...kept, isRecorded: true, partitions };
}

/** How a transaction was decided whose markers may be missing; undefined for any other. */
export function decisionOf({ state }: Readonly<Transaction>): MarkerType | undefined {
  if (state === 'PrepareCommit') return 'COMMIT';
  return state === 'PrepareAbort' ? 'ABORT' : undefined;
}

/** True from its first partition to its last marker. */
export function isOpen(transaction: Readonly<Transaction>): boolean {
  return transaction.state === 'Ongoing' || decisionOf(transaction) !== undefined;
}

export function identityOf({ producerId, producerEpoch }: Transaction): ProducerIdentity {
  return { producerId, producerEpoch };
}

/** What ends a transaction of a producer in a partition. */
export function markerOf(
  { producerId, producerEpoch }: ProducerIdentity,
  type: MarkerType,
  timestampMs: number,
): Marker {
  return { type, producerId, producerEpoch, coordinatorEpoch: COORDINATOR_EPOCH, timestampMs };
}

/**
 * Checks that a request comes from the producer that has the transactional id now.
 *
 * @throws LogError PRODUCER_FENCED, INVALID_PRODUCER_ID_MAPPING
 */
export function checkOwner(transaction: Transaction, request: TransactionRequest): void {
  const { transactionalId, producerId, producerEpoch } = request;
  if (transaction.producerId !== producerId && transaction.producerEpoch !== 0) {
    const message = `producer ${producerId} is not the one of transactionalId ${transactionalId}`;
    throw new LogError('INVALID_PRODUCER_ID_MAPPING', message, { transactionalId, producerId });
  }
  if (transaction.producerEpoch !== producerEpoch || transaction.producerId !== producerId) {
    const currentEpoch = transaction.producerEpoch;
    const message =
      `the producer with transactionalId ${transactionalId} was replaced by a newer one, or ` +
      `its transaction timed out (epoch ${producerEpoch}, now ${currentEpoch})`;
    const details = { transactionalId, epoch: producerEpoch, currentEpoch };
    throw new LogError('PRODUCER_FENCED', message, details);
  }
}

/**
 * True for a request to end the transaction in the way in which it was ended or is being ended: the
 * producer did not hear of it, and still has the epoch before (KIP-890).
 */
export function isRepeatedEnd(
  transaction: Transaction,
  { producerId, producerEpoch }: TransactionRequest,
  isCommit: boolean,
): boolean {
  const { state, raisesEpoch } = transaction;
  const isSameEnd = isCommit
    ? state === 'PrepareCommit' || state === 'CompleteCommit'
    : state === 'PrepareAbort' || state === 'CompleteAbort';
  const isEpochBefore =
    transaction.producerId === producerId && transaction.producerEpoch === producerEpoch + 1;
  return isSameEnd && raisesEpoch && isEpochBefore;
}

/** INVALID_TXN_STATE: the request does not fit how the transaction stands. */
export function invalidState({ transactionalId, state }: Transaction, reason: string): LogError {
  const message = `the transaction of ${transactionalId} is ${state}: ${reason}`;
  return new LogError('INVALID_TXN_STATE', message, { transactionalId, state, reason });
}

/** CONCURRENT_TRANSACTIONS: the end of the one before is still on its way. */
export function concurrent({ transactionalId, state, lacksRoom }: Transaction): LogError {
  const advice = lacksRoom ? 'its markers wait for room on the disk: free some space' : 'try again';
  const message = `the last transaction of ${transactionalId} is still being ended; ${advice}`;
  return new LogError('CONCURRENT_TRANSACTIONS', message, { transactionalId, state });
}
