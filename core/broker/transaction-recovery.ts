import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import type { Marker } from '../record/control.ts';
import type { ProducerIdentity } from '../protocol/broker-api.ts';
import { partitionKey } from '../protocol/topic-partition.ts';
import type { OffsetStore } from './offset-store.ts';
import type { Topics } from './topics.ts';
import { isOpen, markerOf, type Transaction } from './transaction.ts';

/** The highest epoch of each producer that any partition knows. */
function epochsIn(topics: Topics): Map<number, number> {
  const epochs = new Map<number, number>();
  for (const { log } of topics.partitions()) {
    for (const { producerId, epoch } of log.producers.all()) {
      epochs.set(producerId, Math.max(epoch, epochs.get(producerId) ?? 0));
    }
  }
  return epochs;
}

/** A transaction that is open in one partition, where nobody will end it. */
export interface Orphan extends ProducerIdentity {
  readonly log: PartitionLog;
}

/** The open transactions of partitions that take part in none of `transactions`. */
export function orphansIn(topics: Topics, transactions: Iterable<Readonly<Transaction>>): Orphan[] {
  const known = new Map<number, Readonly<Transaction>>();
  for (const transaction of transactions) {
    if (isOpen(transaction)) known.set(transaction.producerId, transaction);
  }
  const orphans: Orphan[] = [];
  for (const { topic, partition, log } of topics.partitions()) {
    for (const producerId of log.producers.openTransactions().keys()) {
      const owner = known.get(producerId);
      if (owner?.partitions.has(partitionKey(topic, partition)) === true) continue;
      const producerEpoch = log.producers.get(producerId)?.epoch ?? 0;
      orphans.push({ log, producerId, producerEpoch });
    }
  }
  return orphans;
}

/** Aborts it where it is open. Returns the offset after the marker. */
export function abortOrphan(
  { log, ...producer }: Orphan,
  { offsets, clock }: { readonly offsets: OffsetStore; readonly clock: Clock },
): Promise<number> {
  return appendMarker(log, markerOf(producer, 'ABORT', clock.nowMs()), offsets);
}

/** Aborts all transactions that a crash has left where the coordinator knows nothing of them. */
export async function abortOrphans(
  environment: {
    readonly topics: Topics;
    readonly offsets: OffsetStore;
    readonly clock: Clock;
    readonly logger: Logger;
  },
  transactions: Iterable<Readonly<Transaction>>,
): Promise<void> {
  for (const orphan of orphansIn(environment.topics, transactions)) {
    await abortOrphan(orphan, environment);
    const { topic, partition } = orphan.log.place;
    environment.logger.info(
      `${topic}-${partition}: aborted a transaction of producer ${orphan.producerId} ` +
        'that a crash left unfinished',
    );
  }
}

/**
 * Has each transactional id go on above what the partitions know: a power cut may have taken the
 * record of an epoch, or of a producer id, and left data of it, for repetitions of which new data
 * would be taken. Returns the highest producer id that anybody knows.
 */
export function goOnAbove(topics: Topics, transactions: Iterable<Transaction>): number {
  const epochs = epochsIn(topics);
  let highestId = -1;
  for (const producerId of epochs.keys()) highestId = Math.max(highestId, producerId);
  for (const transaction of transactions) {
    const { producerId, producerEpoch } = transaction;
    transaction.producerEpoch = Math.max(producerEpoch, epochs.get(producerId) ?? 0);
    highestId = Math.max(highestId, producerId);
  }
  return highestId;
}

/**
 * Appends a marker; in the topic of the offsets it decides about those. Returns the offset behind.
 */
export async function appendMarker(
  log: PartitionLog,
  marker: Marker,
  offsets: OffsetStore,
): Promise<number> {
  const { lastOffset, written } = log.appendMarker(marker);
  await written;
  if (log.place.topic === offsets.topic) {
    offsets.endTransaction(marker.producerId, marker.type === 'COMMIT');
  }
  return lastOffset + 1;
}
