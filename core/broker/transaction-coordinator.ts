import { assert } from '../assert.ts';
import { sleep, type Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { MarkerType } from '../record/control.ts';
import type {
  InitProducerIdRequest,
  ProducerIdentity,
  TopicPartition,
  TransactionRequest,
} from './broker-api.ts';
import { partitionKey } from './checkpoint-file.ts';
import type { CoordinatorLog } from './coordinator-log.ts';
import {
  decodeTransactionKey,
  decodeTransactionValue,
  encodeTransactionKey,
  encodeTransactionValue,
  type TransactionState,
} from './coordinator-records.ts';
import type { OffsetStore } from './offset-store.ts';
import type { ProducerIds } from './producer-ids.ts';
import type { Topics } from './topics.ts';

/**
 * One transactional id. Changes only in the coordinator, and is written down at each change of
 * state.
 */
interface Transaction {
  readonly transactionalId: string;
  producerId: number;
  producerEpoch: number;
  timeoutMs: number;
  state: TransactionState;
  /** What takes part, by partition key. */
  readonly partitions: Map<string, TopicPartition>;
  updatedMs: number;
  startedMs: number;
  /** Set while the transaction is being ended: nobody else may touch it. */
  ending: Promise<void> | undefined;
}

export interface TransactionCoordinatorOptions {
  readonly topics: Topics;
  readonly log: CoordinatorLog;
  readonly offsets: OffsetStore;
  readonly producerIds: ProducerIds;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Kafka's `transaction.max.timeout.ms`. */
const TIMEOUT_MS_MAX = 15 * 60 * 1000;
/** The last epoch is kept for fencing; then a new producer id takes over. */
const EPOCH_MAX = 0x7fff - 1;
const COORDINATOR_EPOCH = 0;
/** Between two tries to write a marker of a decided transaction while the disk is full. */
const MARKER_RETRY_MS = 500;

/**
 * Kafka's transaction coordinator (`TransactionCoordinator`, KIP-98), with the epoch raised at
 * every end of a transaction (KIP-890): a late request of one transaction can never touch the next.
 *
 * The commit point is the PrepareCommit record, synced after the data that it covers.
 */
export class TransactionCoordinator {
  readonly #options: TransactionCoordinatorOptions;
  readonly #transactions = new Map<string, Transaction>();

  constructor(options: TransactionCoordinatorOptions) {
    this.#options = options;
  }

  /**
   * Reads back what is kept, finishes what was decided, and aborts transactions in the partitions
   * that the coordinator knows nothing of: their first record reached the disk, its own did not.
   */
  async open(): Promise<void> {
    await this.#options.producerIds.open(this.#highestProducerId());
    await this.#options.log.replay(({ key, value }) => {
      const transactionalId = decodeTransactionKey(key);
      if (transactionalId === undefined) return;
      const kept = value === null ? undefined : decodeTransactionValue(value);
      if (kept === undefined) this.#transactions.delete(transactionalId);
      else this.#transactions.set(transactionalId, restore(transactionalId, kept));
    });
    for (const transaction of this.#transactions.values()) {
      const { state } = transaction;
      if (state === 'PrepareCommit') await this.#complete(transaction, 'COMMIT');
      if (state === 'PrepareAbort') await this.#complete(transaction, 'ABORT');
    }
    await this.#abortOrphans();
  }

  all(): IterableIterator<Readonly<Transaction>> {
    return this.#transactions.values();
  }

  /**
   * Gives a producer its id. A transactional id gets the same producer id again with a higher
   * epoch, which fences whoever used it before; what that one had open is aborted first.
   *
   * @throws LogError INVALID_TRANSACTION_TIMEOUT, KAFKA_STORAGE_ERROR, DISK_FULL
   */
  async initProducerId(request: InitProducerIdRequest): Promise<ProducerIdentity> {
    const { transactionalId, transactionTimeoutMs: timeoutMs } = request;
    if (transactionalId === null) {
      return { producerId: await this.#options.producerIds.next(), producerEpoch: 0 };
    }
    if (timeoutMs <= 0 || timeoutMs > TIMEOUT_MS_MAX) {
      const message = `transactionTimeoutMs must be 1 to ${TIMEOUT_MS_MAX}, not ${timeoutMs}`;
      const details = { transactionTimeoutMs: timeoutMs, maxMs: TIMEOUT_MS_MAX };
      throw new LogError('INVALID_TRANSACTION_TIMEOUT', message, details);
    }
    await this.#options.log.ensure();
    let transaction = this.#transactions.get(transactionalId);
    if (transaction === undefined) {
      const producerId = await this.#options.producerIds.next();
      transaction = this.#transactions.get(transactionalId);
      if (transaction === undefined) {
        transaction = this.#begin(transactionalId, producerId, timeoutMs);
        await this.#save(transaction);
        return { producerId, producerEpoch: 0 };
      }
    }
    while (transaction.ending !== undefined) await transaction.ending;
    if (transaction.state === 'Ongoing') await this.#end(transaction, 'ABORT');
    transaction.timeoutMs = timeoutMs;
    transaction.state = 'Empty';
    if (transaction.producerEpoch >= EPOCH_MAX) await this.#renew(transaction);
    else transaction.producerEpoch++;
    const identity = identityOf(transaction); // now: the next caller raises the epoch again
    await this.#save(transaction);
    return identity;
  }

  /**
   * Adds partitions to the producer's transaction, beginning it with the first.
   *
   * @throws LogError PRODUCER_FENCED, INVALID_PRODUCER_ID_MAPPING, CONCURRENT_TRANSACTIONS,
   *   UNKNOWN_TOPIC_OR_PARTITION
   */
  async addPartitions(
    request: TransactionRequest,
    partitions: readonly TopicPartition[],
  ): Promise<void> {
    const transaction = this.#checked(request);
    if (transaction.ending !== undefined) throw concurrent(transaction);
    for (const each of partitions) this.#options.topics.partition(each);
    const { partitions: known } = transaction;
    const added = partitions.filter(
      ({ topic, partition }) => !known.has(partitionKey(topic, partition)),
    );
    if (added.length === 0 && transaction.state === 'Ongoing') return;
    const nowMs = this.#options.clock.nowMs();
    if (transaction.state !== 'Ongoing') {
      known.clear();
      transaction.state = 'Ongoing';
      transaction.startedMs = nowMs;
    }
    for (const { topic, partition } of partitions) {
      known.set(partitionKey(topic, partition), { topic, partition });
    }
    await this.#save(transaction);
  }

  /**
   * Throws unless the partition takes part in the producer's open transaction: without this check a
   * late batch would open a transaction that nobody ends (KIP-890).
   */
  verify(request: TransactionRequest, topic: string, partition: number): void {
    const transaction = this.#checked(request);
    const isPart = transaction.partitions.has(partitionKey(topic, partition));
    if (transaction.state === 'Ongoing' && transaction.ending === undefined && isPart) return;
    const { transactionalId, state } = transaction;
    const reason = `${topic}-${partition} takes no part in it`;
    const message = `transaction of ${transactionalId} is ${state} and ${reason}`;
    throw new LogError('INVALID_TXN_STATE', message, { transactionalId, state, reason });
  }

  /**
   * Commits or aborts. A commit is durable, with all its data, when this resolves, and readers see
   * it. Returns the identity to go on with.
   *
   * @throws LogError PRODUCER_FENCED, INVALID_TXN_STATE, CONCURRENT_TRANSACTIONS: not committed.
   * @throws LogError DISK_FULL: not committed, try again.
   * @throws LogError KAFKA_STORAGE_ERROR: the disk failed while the commit was written; whether it
   *   happened shows when the log is opened again.
   */
  async endTransaction(request: TransactionRequest, isCommit: boolean): Promise<ProducerIdentity> {
    const transaction = this.#checked(request);
    if (transaction.ending !== undefined) throw concurrent(transaction);
    if (transaction.state !== 'Ongoing') {
      const { transactionalId, state } = transaction;
      const reason = 'nothing was written in it';
      const message =
        `transaction of ${transactionalId} is ${state}, ` + `so it cannot be ended: ${reason}`;
      throw new LogError('INVALID_TXN_STATE', message, { transactionalId, state, reason });
    }
    await this.#end(transaction, isCommit ? 'COMMIT' : 'ABORT');
    return identityOf(transaction);
  }

  /**
   * Aborts transactions that have been open for longer than their timeout; their producers are
   * fenced.
   */
  async abortTimedOut(): Promise<void> {
    const nowMs = this.#options.clock.nowMs();
    for (const transaction of this.#transactions.values()) {
      const { state, ending, startedMs, timeoutMs, transactionalId } = transaction;
      if (state !== 'Ongoing' || ending !== undefined || nowMs - startedMs <= timeoutMs) continue;
      this.#options.logger.warn(
        `transaction of ${transactionalId} was open for more than ${timeoutMs} ms and is aborted`,
      );
      await this.#end(transaction, 'ABORT');
    }
  }

  #begin(transactionalId: string, producerId: number, timeoutMs: number): Transaction {
    const transaction: Transaction = {
      transactionalId,
      producerId,
      producerEpoch: 0,
      timeoutMs,
      state: 'Empty',
      partitions: new Map(),
      updatedMs: 0,
      startedMs: -1,
      ending: undefined,
    };
    this.#transactions.set(transactionalId, transaction);
    return transaction;
  }

  #checked(request: TransactionRequest): Transaction {
    const { transactionalId, producerId, producerEpoch } = request;
    const transaction = this.#transactions.get(transactionalId);
    if (transaction === undefined) {
      const message = `no producer has begun with transactionalId ${transactionalId}`;
      throw new LogError('TRANSACTIONAL_ID_NOT_FOUND', message, { transactionalId });
    }
    if (transaction.producerId !== producerId && transaction.producerEpoch !== 0) {
      const message = `producer ${producerId} is not the one of transactionalId ${transactionalId}`;
      throw new LogError('INVALID_PRODUCER_ID_MAPPING', message, { transactionalId, producerId });
    }
    if (transaction.producerEpoch !== producerEpoch || transaction.producerId !== producerId) {
      const currentEpoch = transaction.producerEpoch;
      const message =
        `the producer with transactionalId ${transactionalId} was replaced by a newer one, ` +
        `or its transaction timed out (epoch ${producerEpoch}, now ${currentEpoch})`;
      const details = { transactionalId, epoch: producerEpoch, currentEpoch };
      throw new LogError('PRODUCER_FENCED', message, details);
    }
    return transaction;
  }

  /** Ends an ongoing transaction; one at a time for each transactional id. */
  #end(transaction: Transaction, type: MarkerType): Promise<void> {
    assert(transaction.ending === undefined, 'a transaction is ended once');
    transaction.ending = this.#decide(transaction, type).finally(() => {
      transaction.ending = undefined;
    });
    return transaction.ending;
  }

  async #decide(transaction: Transaction, type: MarkerType): Promise<void> {
    if (type === 'COMMIT') {
      // Everything that the commit covers is durable before the commit itself is.
      await Promise.all(this.#logsOf(transaction).map((log) => log.sync()));
    }
    const before = { ...transaction };
    transaction.state = type === 'COMMIT' ? 'PrepareCommit' : 'PrepareAbort';
    // Markers carry the raised epoch: from then on a late batch of this transaction is fenced. A
    // producer id at its last epoch ends with it; the next transaction gets a new id.
    transaction.producerEpoch++;
    try {
      await this.#save(transaction, { isDurable: type === 'COMMIT' });
    } catch (cause) {
      // Not decided: the record may or may not have reached the disk, but it is not acknowledged,
      // and this coordinator writes no more.
      Object.assign(transaction, before);
      throw cause;
    }
    await this.#complete(transaction, type);
    if (transaction.producerEpoch > EPOCH_MAX) await this.#renew(transaction);
  }

  /**
   * Writes the markers of a decided transaction. What is decided stays decided, so it keeps trying.
   */
  async #complete(transaction: Transaction, type: MarkerType): Promise<void> {
    const { clock, logger, offsets } = this.#options;
    const { producerId, producerEpoch, transactionalId } = transaction;
    const timestampMs = clock.nowMs();
    const marker = {
      type,
      producerId,
      producerEpoch,
      coordinatorEpoch: COORDINATOR_EPOCH,
      timestampMs,
    };
    const writes = this.#logsOf(transaction).map(async (log) => {
      for (;;) {
        try {
          await log.appendMarker(marker).written;
          return;
        } catch (error) {
          if (LogError.is(error, 'CLOSED')) return; // the topic is being deleted
          if (!LogError.is(error, 'DISK_FULL')) throw error;
          const { topic, partition } = log.place;
          logger.error(
            `transaction of ${transactionalId} is decided (${type}), but the disk is full: ` +
              `${topic}-${partition} waits for its marker`,
          );
          await sleep(clock, MARKER_RETRY_MS);
        }
      }
    });
    await Promise.all(writes);
    offsets.endTransaction(producerId, type === 'COMMIT');
    transaction.state = type === 'COMMIT' ? 'CompleteCommit' : 'CompleteAbort';
    transaction.partitions.clear();
    await this.#save(transaction);
  }

  #logsOf(transaction: Transaction): ReturnType<CoordinatorLog['log']>[] {
    const { topics } = this.#options;
    const logs: ReturnType<CoordinatorLog['log']>[] = [];
    for (const { topic, partition } of transaction.partitions.values()) {
      // A topic that was deleted meanwhile has nothing left to end.
      const found = topics.find(topic)?.partitions[partition];
      if (found !== undefined) logs.push(found.log);
    }
    return logs;
  }

  async #renew(transaction: Transaction): Promise<void> {
    transaction.producerId = await this.#options.producerIds.next();
    transaction.producerEpoch = 0;
    await this.#save(transaction);
  }

  async #save(
    transaction: Transaction,
    options: { readonly isDurable?: boolean } = {},
  ): Promise<void> {
    const { log, clock } = this.#options;
    transaction.updatedMs = clock.nowMs();
    const key = encodeTransactionKey(transaction.transactionalId);
    const partitions = [...transaction.partitions.values()];
    const value = encodeTransactionValue({ ...transaction, partitions });
    const appended = log.append(transaction.transactionalId, [{ key, value }]);
    if (options.isDurable !== true) return appended.written;
    await log.log(log.partitionOf(transaction.transactionalId)).sync(appended.lastOffset + 1);
  }

  /** The highest producer id in any partition, or -1. */
  #highestProducerId(): number {
    let highest = -1;
    for (const { log } of this.#options.topics.partitions()) {
      for (const { producerId } of log.producers.all()) highest = Math.max(highest, producerId);
    }
    return highest;
  }

  async #abortOrphans(): Promise<void> {
    const { topics, clock, logger, offsets } = this.#options;
    const ongoing = new Map<number, Transaction>();
    for (const transaction of this.#transactions.values()) {
      if (transaction.state === 'Ongoing') ongoing.set(transaction.producerId, transaction);
    }
    for (const { topic, partition, log } of topics.partitions()) {
      for (const producerId of [...log.producers.openTransactions().keys()]) {
        const owner = ongoing.get(producerId);
        if (owner?.partitions.has(partitionKey(topic, partition)) === true) continue;
        const producerEpoch = log.producers.get(producerId)?.epoch ?? 0;
        const timestampMs = clock.nowMs();
        const marker = {
          producerId,
          producerEpoch,
          coordinatorEpoch: COORDINATOR_EPOCH,
          timestampMs,
        };
        await log.appendMarker({ ...marker, type: 'ABORT' }).written;
        offsets.endTransaction(producerId, false);
        logger.warn(
          `${topic}-${partition}: aborted a transaction of producer ${producerId} ` +
            'that a crash left unknown',
        );
      }
    }
  }
}

function restore(
  transactionalId: string,
  kept: NonNullable<ReturnType<typeof decodeTransactionValue>>,
): Transaction {
  const partitions = new Map<string, TopicPartition>();
  for (const { topic, partition } of kept.partitions) {
    partitions.set(partitionKey(topic, partition), { topic, partition });
  }
  return { ...kept, transactionalId, partitions, ending: undefined };
}

function identityOf({ producerId, producerEpoch }: Transaction): ProducerIdentity {
  return { producerId, producerEpoch };
}

function concurrent({ transactionalId, state }: Transaction): LogError {
  const message = `the last transaction of ${transactionalId} is still being ended; try again`;
  return new LogError('CONCURRENT_TRANSACTIONS', message, { transactionalId, state });
}
