import type { Clock } from '../clock.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import type { Marker } from '../record/control.ts';
import type { ProducerIdentity } from '../protocol/broker-api.ts';
import { partitionKey } from '../protocol/topic-partition.ts';
import type { OffsetStore } from './offset-store.ts';
import type { Topics } from './topics.ts';
import { isOpen, markerOf, type Transaction } from './transaction.ts';

/** The highest epoch of each producer that any partition knows. */
export function epochsIn(topics: Topics): Map<number, number> {
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
