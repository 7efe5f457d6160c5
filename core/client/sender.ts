import { assert } from '../assert.ts';
import { sleep, type Clock, type Timer } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { Acks, BrokerApi, ProducerIdentity } from '../broker/broker-api.ts';
import type { Codec } from '../record/batch.ts';
import { OpenBatch, PartitionQueue, type SentBatch } from './accumulator.ts';

export interface SenderOptions {
  readonly api: BrokerApi;
  readonly clock: Clock;
  readonly acks: Acks;
  readonly batchSize: number;
  readonly bufferMemory: number;
  readonly codec: Codec;
  readonly deliveryTimeoutMs: number;
  readonly isIdempotent: boolean;
  readonly lingerMs: number;
  readonly maxInFlight: number;
  readonly retryBackoffMs: number;
  readonly retryBackoffMaxMs: number;
  readonly transactionalId: string | undefined;
  readonly transactionTimeoutMs: number;
}

/** Errors after which a producer can do nothing more: another has taken its place. */
const FATAL = new Set([
  'PRODUCER_FENCED',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
  'CLOSED',
]);

/**
 * Takes serialised records into batches and brings the batches to the broker, in order and, with
 * idempotence, once: the producer's background half (Kafka: `RecordAccumulator`, `Sender`).
 *
 * While requests are under way records gather in the open batches; each answer sends what has
 * gathered. So batches are small when little happens and large under load, without a linger.
 */
export class Sender {
  readonly #options: SenderOptions;
  readonly #queues = new Map<string, PartitionQueue[]>();
  /** Queues with something to send. */
  readonly #ready = new Set<PartitionQueue>();
  #bufferedBytes = 0;
  #recordsPending = 0;
  #inFlightCount = 0;
  /** Those who wait for room, for the end of a flush, or for quiet. */
  #waiters: (() => void)[] = [];
  #isScheduled = false;
  /** Set while a linger runs. */
  #linger: Timer | undefined;
  #isFlushing = false;
  #identity: ProducerIdentity | undefined;
  #identifying: Promise<void> | undefined;
  /** Set when a batch was refused for good: sequences are renewed once nothing is in flight. */
  #mustRenew = false;
  /** The first failure of the open transaction, or of a producer that is done for. */
  #transactionFailure: LogError | undefined;
  #fatal: LogError | undefined;
  /** Partitions that take part in the open transaction; undefined outside of one. */
  #inTransaction: Set<PartitionQueue> | undefined;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  get isFull(): boolean {
    return this.#bufferedBytes >= this.#options.bufferMemory;
  }

  get fatal(): LogError | undefined {
    return this.#fatal;
  }

  get identity(): ProducerIdentity | undefined {
    return this.#identity;
  }

  /** The queues of a topic's partitions; made at the first call. */
  queuesOf(topic: string, partitions: number): readonly PartitionQueue[] {
    let queues = this.#queues.get(topic);
    if (queues === undefined) {
      queues = Array.from(
        { length: partitions },
        (_, partition) => new PartitionQueue(topic, partition),
      );
      this.#queues.set(topic, queues);
    }
    return queues;
  }

  /** The open batch of a partition; `startBatch` makes another. */
  startBatch(queue: PartitionQueue): OpenBatch {
    queue.seal();
    const batch = new OpenBatch(queue, this.#options.batchSize, this.#options.clock.nowMs());
    queue.open = batch;
    this.#bufferedBytes += batch.writer.capacityBytes;
    return batch;
  }

  /** Makes room in an open batch for a record that is larger than the batch size. */
  enlarge(batch: OpenBatch, capacityBytes: number): void {
    this.#bufferedBytes += capacityBytes - batch.writer.capacityBytes;
    batch.writer.grow(capacityBytes);
  }

  /** Says that a record was added to the open batch of `queue`. */
  noteRecord(queue: PartitionQueue): void {
    this.#recordsPending++;
    this.#ready.add(queue);
    if (!this.#isScheduled) this.#schedule();
  }

  /**
   * Resolves when there is room in the buffer.
   *
   * @throws LogError what made the producer unusable meanwhile.
   */
  async room(): Promise<void> {
    while (this.isFull) {
      if (this.#fatal !== undefined) throw this.#fatal;
      await this.#change();
    }
  }

  /**
   * Resolves when everything that was added before has been answered; failures went to those who
   * waited.
   */
  async flush(): Promise<void> {
    this.#isFlushing = true;
    try {
      while (this.#recordsPending > 0) {
        this.#schedule();
        await this.#change();
      }
    } finally {
      this.#isFlushing = false;
    }
  }

  /** Gets the producer's identity, fencing those before it; once. */
  async identify(): Promise<void> {
    if (!this.#options.isIdempotent || this.#identity !== undefined) return;
    this.#identifying ??= this.#initProducerId().finally(() => {
      this.#identifying = undefined;
    });
    await this.#identifying;
  }

  beginTransaction(): void {
    assert(this.#inTransaction === undefined, 'one transaction at a time');
    this.#transactionFailure = undefined;
    this.#inTransaction = new Set();
  }

  /** True when the open transaction has written anything. */
  get hasTransactionData(): boolean {
    return (this.#inTransaction?.size ?? 0) > 0;
  }

  get transactionFailure(): LogError | undefined {
    return this.#fatal ?? this.#transactionFailure;
  }

  /** The transaction is over; the next one goes on with `identity`, from sequence 0. */
  endTransaction(identity: ProducerIdentity | undefined): void {
    this.#inTransaction = undefined;
    this.#identity = identity;
    for (const queues of this.#queues.values()) {
      for (const queue of queues) queue.resequence(identity);
    }
  }

  /**
   * Ending the transaction failed, so how it stands is not known here: the next one begins by
   * asking for the identity anew, which aborts this one if it is still open.
   */
  loseTransaction(cause: unknown): void {
    const error = asLogError(cause);
    if (FATAL.has(error.code)) this.#fatal ??= error;
    this.endTransaction(undefined);
  }

  /** Throws away what was not sent, and waits for what was: the transaction is to be aborted. */
  async discard(error: LogError): Promise<void> {
    for (const queues of this.#queues.values()) {
      for (const queue of queues) this.#discardQueue(queue, error);
    }
    while (this.#inFlightCount > 0) await this.#change();
    for (const queues of this.#queues.values()) {
      for (const queue of queues) this.#discardQueue(queue, error);
    }
    this.#wake();
  }

  #discardQueue(queue: PartitionQueue, error: LogError): void {
    queue.seal();
    for (const { writer, waiters } of queue.full.splice(0)) {
      this.#bufferedBytes -= writer.capacityBytes;
      this.#recordsPending -= writer.recordCount;
      for (const { reject } of waiters ?? []) reject(error);
    }
    for (const batch of queue.retries.splice(0)) this.#fail(batch, error);
    this.#ready.delete(queue);
  }

  /**
   * Sends after the linger, or at the end of this turn of the event loop: what is added until then
   * goes along. A flush and a full batch do not wait for the linger.
   */
  #schedule(): void {
    const isUrgent = this.#isFlushing || this.isFull;
    if (this.#isScheduled && !(isUrgent && this.#linger !== undefined)) return;
    this.#isScheduled = true;
    this.#linger?.cancel();
    this.#linger = undefined;
    const { lingerMs, clock } = this.#options;
    if (lingerMs > 0 && !isUrgent) {
      this.#linger = clock.setTimer(lingerMs, () => {
        this.#linger = undefined;
        void this.#send();
      });
    } else {
      queueMicrotask(() => void this.#send());
    }
  }

  /** Sends what is ready, as far as the limit of batches in flight allows. Never rejects. */
  async #send(): Promise<void> {
    try {
      await this.identify();
      if (this.#mustRenew && this.#inFlightCount === 0) await this.#renewIdentity();
      this.#isScheduled = false;
      if (this.#mustRenew) return; // the last answer schedules again
      const batches = this.#takeBatches();
      if (batches.length === 0) return;
      await this.#addToTransaction(batches);
      await this.#produce(batches);
    } catch (cause) {
      this.#isScheduled = false;
      this.#abandon(asLogError(cause));
    }
  }

  #takeBatches(): SentBatch[] {
    const { maxInFlight, codec } = this.#options;
    const isTransactional = this.#inTransaction !== undefined;
    const seal = { codec, isTransactional, identity: this.#identity };
    const batches: SentBatch[] = [];
    for (const queue of this.#ready) {
      // An open batch goes when nothing of its partition is under way; else it goes on filling.
      if (queue.full.length === 0 && queue.inFlight.length === 0) queue.seal();
      while (queue.inFlight.length < maxInFlight) {
        const batch = queue.take(seal);
        if (batch === undefined) break;
        batches.push(batch);
      }
      if (queue.open === undefined && queue.full.length === 0 && queue.retries.length === 0) {
        this.#ready.delete(queue);
      }
    }
    this.#inFlightCount += batches.length;
    return batches;
  }

  async #addToTransaction(batches: readonly SentBatch[]): Promise<void> {
    const { transactionalId, api } = this.#options;
    const members = this.#inTransaction;
    if (members === undefined || transactionalId === undefined) return;
    const added = new Set<PartitionQueue>();
    for (const { queue } of batches) if (!members.has(queue)) added.add(queue);
    if (added.size === 0) return;
    for (const queue of added) members.add(queue);
    const partitions = [...added].map(({ topic, partition }) => ({ topic, partition }));
    const identity = this.#identity;
    assert(identity !== undefined, 'a transactional producer has an identity');
    try {
      await api.addPartitionsToTxn({ transactionalId, ...identity, partitions });
    } catch (cause) {
      const error = asLogError(cause);
      for (const batch of batches) this.#settle(batch, error);
      throw error;
    }
  }

  async #produce(batches: readonly SentBatch[]): Promise<void> {
    const { api, acks, transactionalId } = this.#options;
    const isTransactional = this.#inTransaction !== undefined && transactionalId !== undefined;
    // A commit makes its data durable itself, so batches inside of one need not wait for that.
    const request = {
      acks: isTransactional ? 1 : acks,
      batches: batches.map(({ queue: { topic, partition }, bytes: records }) => ({
        topic,
        partition,
        records,
      })),
      ...(isTransactional && { transactionalId }),
    } as const;
    let hasFailed = false;
    try {
      const { results } = await api.produce(request);
      for (const [index, batch] of batches.entries()) {
        const { error, baseOffset } = results[index]!;
        if (error !== undefined) {
          hasFailed = true;
          this.#settle(batch, LogError.fromData(error));
          continue;
        }
        this.#settle(batch);
        for (const { resolve, index: place } of batch.waiters)
          resolve(acks === 0 ? -1 : baseOffset + place);
      }
    } catch (cause) {
      hasFailed = true;
      for (const batch of batches) this.#settle(batch, asLogError(cause));
    }
    this.#wake();
    if (this.#ready.size === 0 && !this.#mustRenew) return;
    if (hasFailed) await sleep(this.#options.clock, this.#backoffMs(batches));
    this.#schedule();
  }

  /** Ends a batch: answered, to be sent again, or failed. */
  #settle(batch: SentBatch, error?: LogError): void {
    const { queue } = batch;
    queue.settle(batch);
    this.#inFlightCount--;
    if (error === undefined) {
      this.#bufferedBytes -= batch.bufferBytes;
      this.#recordsPending -= batch.recordCount;
      return;
    }
    const waitedMs = this.#options.clock.nowMs() - batch.createdMs;
    // What follows a batch that failed is out of order only because of that.
    const isOutOfOrder = error.code === 'OUT_OF_ORDER_SEQUENCE_NUMBER';
    const isCollateral = isOutOfOrder && (queue.hasEarlier(batch) || this.#mustRenew);
    const canRetry =
      (error.retriable || isCollateral) && waitedMs < this.#options.deliveryTimeoutMs;
    if (canRetry && this.#fatal === undefined) {
      batch.attempts++;
      queue.retry(batch);
      this.#ready.add(queue);
      return;
    }
    this.#fail(batch, error);
    if (FATAL.has(error.code)) this.#fatal ??= error;
    if (this.#inTransaction !== undefined) this.#transactionFailure ??= error;
    // Its sequence numbers are a gap now.
    else if (this.#options.isIdempotent) this.#mustRenew = true;
  }

  #fail(batch: SentBatch, error: LogError): void {
    this.#bufferedBytes -= batch.bufferBytes;
    this.#recordsPending -= batch.recordCount;
    for (const { reject } of batch.waiters) reject(error);
  }

  /** Nothing can be sent: the identity or the transaction is refused. */
  #abandon(error: LogError): void {
    if (FATAL.has(error.code)) this.#fatal ??= error;
    this.#transactionFailure ??= error;
    for (const queues of this.#queues.values()) {
      for (const queue of queues) this.#discardQueue(queue, error);
    }
    this.#wake();
  }

  async #initProducerId(): Promise<void> {
    const { api, transactionalId = null, transactionTimeoutMs } = this.#options;
    this.#identity = await api.initProducerId({ transactionalId, transactionTimeoutMs });
  }

  async #renewIdentity(): Promise<void> {
    await this.#initProducerId();
    for (const queues of this.#queues.values()) {
      for (const queue of queues) queue.resequence(this.#identity);
    }
    this.#mustRenew = false;
  }

  #backoffMs(batches: readonly SentBatch[]): number {
    const { retryBackoffMs, retryBackoffMaxMs } = this.#options;
    const attempts = Math.max(...batches.map((batch) => batch.attempts), 1);
    return Math.min(retryBackoffMs * 2 ** (attempts - 1), retryBackoffMaxMs);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
    });
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }
}

function asLogError(cause: unknown): LogError {
  if (cause instanceof LogError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LogError('UNKNOWN_SERVER_ERROR', reason, { reason }, { cause });
}
