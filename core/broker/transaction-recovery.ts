import type { PartitionLog } from '../log/partition-log.ts';
import type { ProducerIdentity } from './broker-api.ts';
import { partitionKey } from './checkpoint-file.ts';
import type { Topics } from './topics.ts';
import type { Transaction } from './transaction.ts';

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

/** A transaction that is open in one partition. */
interface Orphan extends ProducerIdentity {
  readonly log: PartitionLog;
}

/** The open transactions of partitions that take part in none of `transactions`. */
export function orphansIn(topics: Topics, transactions: Iterable<Transaction>): Orphan[] {
  const ongoing = new Map<number, Transaction>();
  for (const transaction of transactions) {
    if (transaction.state === 'Ongoing') ongoing.set(transaction.producerId, transaction);
  }
  const orphans: Orphan[] = [];
  for (const { topic, partition, log } of topics.partitions()) {
    for (const producerId of log.producers.openTransactions().keys()) {
      const owner = ongoing.get(producerId);
      if (owner?.partitions.has(partitionKey(topic, partition)) === true) continue;
      const producerEpoch = log.producers.get(producerId)?.epoch ?? 0;
      orphans.push({ log, producerId, producerEpoch });
    }
  }
  return orphans;
}
