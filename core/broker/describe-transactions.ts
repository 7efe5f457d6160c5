import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import type {
  ListTransactionsRequest,
  ProducerDescription,
  TransactionDescription,
  TransactionListing,
} from '../protocol/broker-api.ts';
import type { ProducerIdentity } from '../protocol/broker-api.ts';
import type { OffsetStore } from './offset-store.ts';
import type { TopicPartition } from '../protocol/topic-partition.ts';
import type { Topics } from './topics.ts';
import { isOpen, type Transaction } from './transaction.ts';
import type { TransactionCoordinator } from './transaction-coordinator.ts';
import { abortOrphan, orphansIn } from './transaction-recovery.ts';

/** What tells one transactional id from another in a list. */
export function listingOf(transaction: Readonly<Transaction>): TransactionListing {
  const { transactionalId, producerId, state } = transaction;
  return { transactionalId, producerId, state };
}

/** True if a request asks for this transactional id (Kafka: `TransactionStateManager`). */
export function isListed(
  transaction: Readonly<Transaction>,
  { states, producerIds, durationMs }: ListTransactionsRequest,
  nowMs: number,
): boolean {
  if (states?.includes(transaction.state) === false) return false;
  if (producerIds?.includes(transaction.producerId) === false) return false;
  if (durationMs === undefined) return true;
  return isOpen(transaction) && nowMs - transaction.startedMs > durationMs;
}

/** How a transactional id stands; undefined for one that nobody has used. */
export function describeTransaction(
  transactionalId: string,
  transaction: Readonly<Transaction> | undefined,
): TransactionDescription {
  if (transaction === undefined) {
    const message = `no producer has begun with transactionalId ${transactionalId}`;
    const error = new LogError('TRANSACTIONAL_ID_NOT_FOUND', message, { transactionalId });
    const nothing = { producerId: -1, producerEpoch: -1, timeoutMs: -1, startMs: -1 };
    const data = LogError.toData(error);
    return { transactionalId, state: 'Dead', ...nothing, partitions: [], error: data };
  }
  const { producerEpoch, timeoutMs, startedMs, partitions } = transaction;
  const startMs = isOpen(transaction) ? startedMs : -1;
  const listing = listingOf(transaction);
  return { ...listing, producerEpoch, timeoutMs, startMs, partitions: [...partitions.values()] };
}

/** The producers that a partition remembers. */
export function describeProducersOf(log: PartitionLog): ProducerDescription[] {
  return [...log.producers.all()].map((state) => ({
    producerId: state.producerId,
    producerEpoch: state.epoch,
    lastSequence: state.batches.at(-1)?.lastSequence ?? -1,
    lastTimestampMs: state.lastAppendMs,
    coordinatorEpoch: state.coordinatorEpoch,
    currentTransactionStartOffset: state.transactionFirstOffset,
  }));
}

/**
 * Aborts a transaction in a partition where no coordinator will end it. Durable when it resolves.
 *
 * @throws LogError INVALID_TXN_STATE when none is open there, or its transactional id is known and
 *   would have the rest of it committed; INVALID_PRODUCER_EPOCH; UNKNOWN_TOPIC_OR_PARTITION
 */
export async function abortHanging(
  environment: {
    readonly topics: Topics;
    readonly offsets: OffsetStore;
    readonly transactions: TransactionCoordinator;
    readonly clock: Clock;
  },
  { producerId, producerEpoch }: ProducerIdentity,
  place: TopicPartition,
): Promise<void> {
  const { topics, transactions } = environment;
  const { log } = topics.partition(place);
  const orphan = orphansIn(topics, transactions.all()).find(
    (each) => each.log === log && each.producerId === producerId,
  );
  if (orphan === undefined) {
    const owner = [...transactions.all()].find(
      (each) => each.producerId === producerId && isOpen(each),
    );
    throw notHanging(producerId, place, owner);
  }
  if (orphan.producerEpoch !== producerEpoch) {
    const { topic, partition } = place;
    const currentEpoch = orphan.producerEpoch;
    const message =
      `the open transaction of producer ${producerId} in ${topic}-${partition} is of epoch ` +
      `${currentEpoch}, not ${producerEpoch}`;
    const details = { producerId, epoch: producerEpoch, currentEpoch, topic, partition };
    throw new LogError('INVALID_PRODUCER_EPOCH', message, details);
  }
  await log.sync(await abortOrphan(orphan, environment));
}

function notHanging(
  producerId: number,
  { topic, partition }: TopicPartition,
  owner: Readonly<Transaction> | undefined,
): LogError {
  const what = `producer ${producerId} in ${topic}-${partition}`;
  const { transactionalId = '', state = 'Empty' } = owner ?? {};
  const reason =
    owner === undefined
      ? 'none is open there'
      : `it is no hanging one: abort transactionalId ${transactionalId} instead`;
  const message = `no transaction of ${what} was aborted: ${reason}`;
  return new LogError('INVALID_TXN_STATE', message, { transactionalId, state, reason });
}
