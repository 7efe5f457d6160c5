import { assert } from '../assert.ts';
import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import type { MarkerType } from '../record/control.ts';
import type {
  EndTxnRequest,
  InitProducerIdRequest,
  ProducerIdentity,
  TopicPartition,
  TransactionRequest,
} from '../protocol/broker-api.ts';
import { partitionKey } from '../protocol/topic-partition.ts';
import type { CoordinatorLog } from './coordinator-log.ts';
import {
  decodeTransactionKey,
  decodeTransactionValue,
  encodeTransactionKey,
  encodeTransactionValue,
} from './coordinator-records.ts';
import type { OffsetStore } from './offset-store.ts';
import type { ProducerIds } from './producer-ids.ts';
import { TransactionMarkers, waitsForRoom } from './transaction-markers.ts';
import { abortOrphans, goOnAbove } from './transaction-recovery.ts';
import type { Topics } from './topics.ts';
import {
  checkOwner,
  concurrent,
  decisionOf,
  identityOf,
  invalidState,
  isRepeated,
  isRepeatedEnd,
  isSettled,
  newTransaction,
  restoreTransaction,
  type Transaction,
} from './transaction.ts';

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
/**
 * By how much the end of a transaction raises the epoch. 0: not at all, for a producer without
 * KIP-890. 1: to the producer's next one. 2: past that, to fence a producer that may ask again.
 */
type EpochStep = 0 | 1 | 2;

/**
 * Kafka's transaction coordinator (`TransactionCoordinator`, KIP-98), with the epoch raised at
 * every end of a transaction (KIP-890): a late request of one transaction can never touch the next.
 *
 * The commit point is the PrepareCommit record, synced after the data that it covers. Until the
 * markers are durable it must stay the last word of its transactional id: a power cut that takes a
 * marker must leave the decision. So what follows is written down once they are, and not before:
 * the end of that transaction and the beginning of the next one, which need no record, because a
 * transaction that the coordinator does not know is aborted at open.
 */
export class TransactionCoordinator {
  readonly #options: TransactionCoordinatorOptions;
  readonly #transactions = new Map<string, Transaction>();
  readonly #markers: TransactionMarkers;

  constructor(options: TransactionCoordinatorOptions) {
    this.#options = options;
    this.#markers = new TransactionMarkers(options);
  }

  /**
   * Reads back what is kept, finishes what was decided, and aborts transactions in the partitions
   * that the coordinator knows nothing of: their first record reached the disk, its own did not.
   *
   * @throws LogError CORRUPT_MESSAGE, CORRUPT_FILE, KAFKA_STORAGE_ERROR, DISK_FULL
   */
  async open(): Promise<void> {
    await this.#options.log.replay(({ key, value }) => {
      const transactionalId = decodeTransactionKey(key);
      if (transactionalId === undefined) return;
      const kept = value === null ? undefined : decodeTransactionValue(value);
      if (kept === undefined) this.#transactions.delete(transactionalId);
      else this.#transactions.set(transactionalId, restoreTransaction(transactionalId, kept));
    });
    for (const transaction of this.#transactions.values()) {
      if (decisionOf(transaction) === undefined) continue;
      // Read back does not mean durable: another crash must not take the decision once it has had
      // an effect.
      await Promise.all([this.#syncData(transaction), this.#logOf(transaction).sync()]);
      await this.#complete(transaction);
    }
    await abortOrphans(this.#options, this.#transactions.values());
    const highestId = goOnAbove(this.#options.topics, this.#transactions.values());
    await this.#options.producerIds.open(highestId);
    this.#markers.open();
  }

  all(): IterableIterator<Readonly<Transaction>> {
    return this.#transactions.values();
  }

  /** Ends waits for room on the disk; the next opening finishes decided transactions. */
  stop(): void {
    this.#markers.stop();
  }

  /** Resolves when no transaction is being changed, also behind a caller that was answered. */
  async idle(): Promise<void> {
    for (const transaction of this.#transactions.values()) {
      while (transaction.changing !== undefined) await transaction.changing;
    }
  }

  /**
   * Gives a producer its id. A transactional id gets the same producer id again with a higher
   * epoch, which fences the producer that used it before; its open transaction is aborted first.
   *
   * @throws LogError INVALID_TRANSACTION_TIMEOUT, PRODUCER_FENCED, KAFKA_STORAGE_ERROR, DISK_FULL
   * @throws LogError CONCURRENT_TRANSACTIONS while the markers of the last transaction wait for
   *   room on the disk.
   */
  async initProducerId(request: InitProducerIdRequest): Promise<ProducerIdentity> {
    const { transactionalId, transactionTimeoutMs: timeoutMs } = request;
    const { producerIds, log } = this.#options;
    if (transactionalId === null) {
      return { producerId: await producerIds.next(), producerEpoch: 0 };
    }
    if (!(timeoutMs > 0 && timeoutMs <= TIMEOUT_MS_MAX)) {
      const message = `transactionTimeoutMs must be 1 to ${TIMEOUT_MS_MAX}, not ${timeoutMs}`;
      const details = { transactionTimeoutMs: timeoutMs, maxMs: TIMEOUT_MS_MAX };
      throw new LogError('INVALID_TRANSACTION_TIMEOUT', message, details);
    }
    await log.ensure();
    if (!this.#transactions.has(transactionalId)) {
      const producerId = await producerIds.next();
      // Another request for the same id may have been faster; then this one comes after it.
      if (!this.#transactions.has(transactionalId)) {
        const transaction = newTransaction(transactionalId, producerId, timeoutMs);
        this.#transactions.set(transactionalId, transaction);
        await this.#save(transaction);
        return { producerId, producerEpoch: 0 };
      }
    }
    const transaction = this.#find(transactionalId);
    if (transaction.lacksRoom) throw concurrent(transaction);
    const replacing = this.#exclusively(transaction, () =>
      this.#replaceProducer(transaction, request),
    );
    return this.#markers.answerInTime(transaction, replacing, concurrent);
  }

  /**
   * Adds partitions to the producer's transaction, beginning it with the first.
   *
   * @throws LogError PRODUCER_FENCED, INVALID_PRODUCER_ID_MAPPING, CONCURRENT_TRANSACTIONS,
   *   UNKNOWN_TOPIC_OR_PARTITION, DISK_FULL, KAFKA_STORAGE_ERROR: none of them was added.
   */
  async addPartitions(
    request: TransactionRequest,
    partitions: readonly TopicPartition[],
  ): Promise<void> {
    const transaction = this.#owned(request);
    if (!isSettled(transaction)) throw concurrent(transaction);
    if (!transaction.isSealed && !transaction.raisesEpoch && transaction.state !== 'Ongoing') {
      await this.#exclusively(transaction, () => this.#seal(transaction));
      await this.addPartitions(request, partitions);
      return;
    }
    for (const each of partitions) this.#options.topics.partition(each);
    const { partitions: known, joining, state, producerEpoch } = transaction;
    const added = new Map(
      partitions
        .map((each) => [partitionKey(each.topic, each.partition), each] as const)
        .filter(([key]) => !known.has(key) || joining.has(key)),
    );
    if (added.size === 0 && state === 'Ongoing') return;
    if (state !== 'Ongoing') {
      transaction.state = 'Ongoing';
      transaction.startedMs = this.#options.clock.nowMs();
      transaction.previous = undefined;
    }
    for (const [key, { topic, partition }] of added) known.set(key, { topic, partition });
    transaction.isRecorded = false;
    if (!this.#markers.areDurable(transaction)) return;
    // Nothing is written to them before they are saved: what came in while the save failed would
    // be of a transaction that nobody ends.
    for (const key of added.keys()) joining.add(key);
    try {
      await this.#save(transaction);
      // Another request may have failed to add the same ones meanwhile; this one has.
      if (transaction.producerEpoch !== producerEpoch) return; // it was ended
      for (const [key, { topic, partition }] of added) known.set(key, { topic, partition });
    } catch (cause) {
      // Markers for partitions without data would do no harm, but who asks again must be answered
      // by what is on the disk.
      for (const key of added.keys()) if (joining.has(key)) known.delete(key);
      if (known.size === 0 && isSettled(transaction)) transaction.state = state;
      throw cause;
    } finally {
      for (const key of added.keys()) joining.delete(key);
    }
  }

  /**
   * Throws unless the partition takes part in the producer's open transaction: without this check a
   * late batch would open a transaction that nobody ends (KIP-890).
   */
  verify(request: TransactionRequest, topic: string, partition: number): void {
    const transaction = this.#owned(request);
    const key = partitionKey(topic, partition);
    const isPart = transaction.partitions.has(key) && !transaction.joining.has(key);
    if (transaction.state === 'Ongoing' && isSettled(transaction) && isPart) return;
    throw invalidState(transaction, `${topic}-${partition} takes no part in it`);
  }

  /**
   * Commits or aborts. A commit is durable, with all its data, when this resolves, and readers see
   * it. Returns the identity to go on with. Whoever did not hear of the end may ask for the same
   * end again (KIP-890).
   *
   * @throws LogError PRODUCER_FENCED, INVALID_TXN_STATE, CONCURRENT_TRANSACTIONS: not committed.
   * @throws LogError DISK_FULL: not committed, try again.
   * @throws LogError MARKERS_WAIT_FOR_ROOM: committed for good, but readers do not see it yet.
   * @throws LogError KAFKA_STORAGE_ERROR, CLOSED: the disk failed, or the log was closed, while the
   *   commit was written; whether it happened shows when the log is opened again.
   */
  async endTransaction(request: EndTxnRequest): Promise<ProducerIdentity> {
    const found = this.#find(request.transactionalId);
    if (isRepeatedEnd(found, request)) {
      if (isSettled(found) && found.producerEpoch <= EPOCH_MAX) return identityOf(found);
      const ending = this.#exclusively(found, () => this.#endAgain(found, request));
      return this.#markers.answerInTime(found, ending, waitsForRoom);
    }
    const transaction = this.#owned(request);
    if (!isSettled(transaction)) throw concurrent(transaction);
    const { commit: isCommit, transactionVersion: version = 2 } = request;
    const isOngoing = transaction.state === 'Ongoing';
    const canEnd = isOngoing || (version === 2 && !isCommit);
    if (!canEnd) throw invalidState(transaction, 'nothing was written in it');
    const before = identityOf(transaction);
    const ending = this.#exclusively(transaction, async () => {
      if (isOngoing) {
        await this.#end(transaction, isCommit ? 'COMMIT' : 'ABORT', version === 2 ? 1 : 0);
      } else {
        transaction.state = 'CompleteAbort';
        await this.#raiseEpoch(transaction); // what may be under way for it is fenced
      }
      if (version === 2) transaction.previous = before;
      return identityOf(transaction);
    });
    return this.#markers.answerInTime(transaction, ending, waitsForRoom);
  }

  /**
   * Aborts transactions that have been open for longer than their timeout, which fences their
   * producers, and writes markers that could not be written before. Failures are reported and left
   * to the next call.
   */
  async abortTimedOut(): Promise<void> {
    const { clock, logger } = this.#options;
    for (const transaction of this.#transactions.values()) {
      const { state, changing, startedMs, timeoutMs, transactionalId } = transaction;
      const isLate = state === 'Ongoing' && clock.nowMs() - startedMs > timeoutMs;
      const isUndone = decisionOf(transaction) !== undefined;
      if (changing !== undefined || !(isLate || isUndone)) continue;
      if (isLate) {
        logger.warn(
          `transaction of ${transactionalId} was open for more than ${timeoutMs} ms; aborting it`,
        );
      }
      try {
        const ending = this.#exclusively(transaction, () => this.#abortOrFinish(transaction, 2));
        await this.#markers.answerInTime(transaction, ending, waitsForRoom);
      } catch (error) {
        if (LogError.is(error, 'MARKERS_WAIT_FOR_ROOM')) continue; // reported when it began
        logger.error(`transaction of ${transactionalId} could not be ended: ${String(error)}`);
      }
    }
  }

  /**
   * Writes down how the transactions stand for which that had to wait; at the end of the log (with
   * `sync`) for all.
   */
  async record(options: { readonly sync: boolean }): Promise<void> {
    for (const transaction of this.#transactions.values()) {
      if (transaction.isRecorded || !isSettled(transaction)) continue;
      if (options.sync) await this.#markers.sync(transaction);
      if (isSettled(transaction) && this.#markers.areDurable(transaction)) {
        await this.#save(transaction);
      }
    }
  }

  #find(transactionalId: string): Transaction {
    const transaction = this.#transactions.get(transactionalId);
    if (transaction !== undefined) return transaction;
    const message = `no producer has begun with transactionalId ${transactionalId}`;
    throw new LogError('TRANSACTIONAL_ID_NOT_FOUND', message, { transactionalId });
  }

  #owned(request: TransactionRequest): Transaction {
    const transaction = this.#find(request.transactionalId);
    checkOwner(transaction, request);
    return transaction;
  }

  /** Runs one change after the other of a transaction. */
  async #exclusively<R>(transaction: Transaction, change: () => Promise<R>): Promise<R> {
    while (transaction.changing !== undefined) await transaction.changing;
    let done: () => void = () => undefined;
    transaction.changing = new Promise((resolve) => (done = resolve));
    try {
      return await change();
    } finally {
      transaction.changing = undefined;
      done();
    }
  }

  async #replaceProducer(
    transaction: Transaction,
    request: InitProducerIdRequest,
  ): Promise<ProducerIdentity> {
    if (isRepeated(transaction, request)) return identityOf(transaction);
    const { producerId = -1, producerEpoch = -1, transactionTimeoutMs } = request;
    await this.#abortOrFinish(transaction, 1);
    transaction.timeoutMs = transactionTimeoutMs;
    transaction.state = 'Empty';
    await this.#raiseEpoch(transaction);
    if (producerId >= 0) transaction.previous = { producerId, producerEpoch };
    return identityOf(transaction);
  }

  /** Answers an end that was asked for before: its markers are there, or are written now. */
  async #endAgain(transaction: Transaction, request: EndTxnRequest): Promise<ProducerIdentity> {
    if (!isRepeatedEnd(transaction, request)) {
      // While this waited, another producer took the transactional id, or the end failed.
      checkOwner(transaction, request);
      throw concurrent(transaction);
    }
    if (decisionOf(transaction) !== undefined) await this.#complete(transaction);
    if (transaction.producerEpoch > EPOCH_MAX) {
      // The producer id that was to follow is lost with the failure of the first end.
      await this.#raiseEpoch(transaction);
      const { producerId, producerEpoch } = request;
      transaction.previous = { producerId, producerEpoch };
    }
    return identityOf(transaction);
  }

  /** Leaves nothing open: aborts the transaction, or finishes it if it is decided. */
  async #abortOrFinish(transaction: Transaction, epochs: EpochStep): Promise<void> {
    if (transaction.state === 'Ongoing') await this.#end(transaction, 'ABORT', epochs);
    else if (decisionOf(transaction) !== undefined) await this.#complete(transaction);
  }

  async #raiseEpoch(transaction: Transaction): Promise<void> {
    if (transaction.producerEpoch >= EPOCH_MAX) {
      transaction.producerId = await this.#options.producerIds.next();
      transaction.producerEpoch = 0;
    } else {
      transaction.producerEpoch++;
    }
    transaction.raisesEpoch = true;
    transaction.previous = undefined;
    await this.#markers.sync(transaction);
    await this.#save(transaction);
  }

  /**
   * Makes the end of a transaction durable that did not raise the epoch. After a crash its markers
   * are written again where its decision is the last word, and must not end the next transaction.
   */
  async #seal(transaction: Transaction): Promise<void> {
    await this.#markers.sync(transaction);
    await this.#save(transaction, { isDurable: true });
    transaction.isSealed = true;
  }

  /** Ends an ongoing transaction; the caller has it for itself. */
  async #end(transaction: Transaction, type: MarkerType, epochs: EpochStep): Promise<void> {
    const { state, producerEpoch, raisesEpoch } = transaction;
    assert(state === 'Ongoing', 'only an ongoing transaction is ended');
    // Asked for before the decision: after it nothing may go wrong any more.
    const isExhausted = epochs > 0 && producerEpoch >= EPOCH_MAX;
    const nextId = isExhausted ? await this.#options.producerIds.next() : undefined;
    // Everything that the commit covers is durable before the commit itself is.
    if (type === 'COMMIT') {
      await Promise.all([this.#syncData(transaction), this.#markers.sync(transaction)]);
    }
    transaction.state = type === 'COMMIT' ? 'PrepareCommit' : 'PrepareAbort';
    // Markers carry the raised epoch: from then on a late batch of this transaction is fenced.
    transaction.producerEpoch = Math.min(producerEpoch + epochs, EPOCH_MAX + 1);
    transaction.raisesEpoch = epochs > 0;
    transaction.isSealed = false;
    transaction.isRecorded = false;
    try {
      // An abort need not be known: what nobody decided is aborted.
      const mayRecord = this.#markers.areDurable(transaction);
      assert(mayRecord || type === 'ABORT', 'a commit follows durable markers');
      if (mayRecord) await this.#save(transaction, { isDurable: type === 'COMMIT' });
    } catch (cause) {
      // Not decided: either the record is not in the log, or a failed sync left it in doubt, and
      // then this log takes no more records.
      Object.assign(transaction, { state, producerEpoch, raisesEpoch });
      throw cause;
    }
    await this.#complete(transaction, nextId);
  }

  /**
   * Writes the markers of a decided transaction, where they are missing, and goes on to the next
   * one, with another producer id where `nextId` says so.
   */
  async #complete(transaction: Transaction, nextId?: number): Promise<void> {
    const type = decisionOf(transaction);
    assert(type !== undefined, 'markers follow a decision');
    const markers = await this.#markers.write(transaction, type);
    transaction.state = type === 'COMMIT' ? 'CompleteCommit' : 'CompleteAbort';
    transaction.partitions.clear();
    transaction.markers = [...transaction.markers, ...markers];
    transaction.isRecorded = false;
    if (nextId !== undefined) Object.assign(transaction, { producerId: nextId, producerEpoch: 0 });
  }

  async #syncData(transaction: Transaction): Promise<void> {
    await Promise.all(this.#markers.partitionsOf(transaction).map(({ log }) => log.sync()));
  }

  /** The partition of `__transaction_state` that keeps the transaction. */
  #logOf({ transactionalId }: Transaction): PartitionLog {
    const { log } = this.#options;
    return log.log(log.partitionOf(transactionalId));
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
    transaction.isRecorded = true;
    if (options.isDurable === true) await this.#logOf(transaction).sync(appended.lastOffset + 1);
    else await appended.written;
  }
}
