import { assert, present } from '../../assert.ts';
import type { Clock } from '../../clock.ts';
import { asLogError, LogError } from '../../errors.ts';
import { throwFirst } from '../../protocol/answer-errors.ts';
import type { Acks, BrokerApi, ProducerIdentity } from '../../protocol/broker-api.ts';
import type { Codec } from '../../record/batch.ts';
import {
  OpenBatch,
  PartitionQueues,
  produceRequest,
  type PartitionQueue,
  type SentBatch,
} from './accumulator.ts';
import { DeliveryTimeout } from './delivery-timeout.ts';
import { SendCounters, type ProducerMetrics } from './producer-metrics.ts';
import { OpenTransaction } from './open-transaction.ts';
import { ProducerSession } from './producer-session.ts';
import { SendBuffer, type Unanswered } from './send-buffer.ts';
import { SendSchedule } from './send-schedule.ts';

export interface SenderOptions {
  readonly api: BrokerApi;
  readonly clock: Clock;
  readonly acks: Acks;
  readonly batchSize: number;
  readonly bufferMemory: number;
  readonly codec: Codec;
  /** Of compression; undefined for the codec's default. */
  readonly level: number | undefined;
  readonly deliveryTimeoutMs: number;
  readonly isIdempotent: boolean;
  readonly lingerMs: number;
  readonly maxInFlight: number;
  readonly retryBackoffMs: number;
  readonly retryBackoffMaxMs: number;
  readonly transactionalId: string | undefined;
  readonly transactionTimeoutMs: number;
}

/**
 * What one request takes of a partition at most, from 64 batches of the default size. Large enough
 * that the disk, which syncs a few hundred times a second, and not the number of requests under way
 * is what limits `acks: 'all'`; small enough that an answer frees memory soon.
 */
const REQUEST_BYTES = 1024 * 1024;

/**
 * Takes serialised records into batches and brings the batches to the broker, in order and, with
 * idempotence, once: the producer's background half (Kafka: `RecordAccumulator`, `Sender`).
 *
 * While requests are under way records gather in the open batches; each answer sends what has
 * gathered. So batches are small when little happens and large under load, without a linger.
 */
export class Sender {
  readonly #options: SenderOptions;
  readonly counters = new SendCounters();
  readonly #queues = new PartitionQueues();
  /** Queues with something to send. */
  readonly #ready = new Set<PartitionQueue>();
  readonly #buffer: SendBuffer;
  readonly #schedule: SendSchedule;
  readonly #timeout: DeliveryTimeout;
  #inFlightCount = 0;
  /** How many flushes wait: nothing lingers then. */
  #flushCount = 0;
  readonly #session: ProducerSession;
  /** Set when a batch was refused for good: sequences are renewed once nothing is in flight. */
  #mustRenew = false;
  /** Set when the producer is done for. */
  #fatal: LogError | undefined;
  #transaction: OpenTransaction | undefined;

  constructor(options: SenderOptions) {
    const { clock, bufferMemory, deliveryTimeoutMs, api } = options;
    const { transactionalId = null, transactionTimeoutMs } = options;
    this.#options = options;
    this.#session = new ProducerSession(api, { transactionalId, transactionTimeoutMs });
    this.#timeout = new DeliveryTimeout(clock, deliveryTimeoutMs);
    this.#buffer = new SendBuffer(bufferMemory);
    this.#schedule = new SendSchedule({ ...options, send: () => void this.#send() });
  }

  get bufferedBytes(): number {
    return this.#buffer.usedBytes;
  }

  get isFull(): boolean {
    return this.#buffer.isFull;
  }

  get fatal(): LogError | undefined {
    return this.#fatal;
  }

  get identity(): ProducerIdentity | undefined {
    return this.#session.identity;
  }

  get metrics(): ProducerMetrics {
    return this.counters.metrics(this.#buffer);
  }

  /** The queues of a topic's partitions; made at the first call. */
  queuesOf(topic: string, partitions: number): readonly PartitionQueue[] {
    return this.#queues.of(topic, partitions);
  }

  /** Says that nothing more is added to the open batch of a partition: it waits for no linger. */
  sealBatch(queue: PartitionQueue): void {
    queue.seal();
    if (queue.full.length > 0) this.#requestSend(true);
  }

  /** The open batch of a partition; `startBatch` makes another. */
  startBatch(queue: PartitionQueue): OpenBatch {
    if (this.#fatal !== undefined) throw this.#fatal;
    this.sealBatch(queue);
    const batch = new OpenBatch(queue, this.#options.batchSize);
    queue.open = batch;
    this.#buffer.take(batch.writer.capacityBytes);
    return batch;
  }

  /** Makes room in an open batch for a record that is larger than the batch size. */
  enlarge(batch: OpenBatch, capacityBytes: number): void {
    this.#buffer.take(capacityBytes - batch.writer.capacityBytes);
    batch.writer.grow(capacityBytes);
  }

  /** Says that a record was added to `batch`, the open one of its queue. */
  noteRecord(batch: OpenBatch): void {
    if (batch.writer.recordCount > 1) return; // the first one has said all that follows
    batch.createdMs = this.#options.clock.monotonicMs(); // it may have been empty for long
    this.#buffer.begin(batch);
    this.#ready.add(batch.queue);
    this.#requestSend();
  }

  /** Says that a `send` is under way: a flush waits for it, also before it has its batch. */
  enter(): Unanswered {
    const send: Unanswered = { epoch: undefined };
    this.#buffer.begin(send);
    return send;
  }

  /** Says that a `send` has its answer. */
  leave(send: Unanswered): void {
    this.#buffer.end(send);
    this.#buffer.changed();
  }

  /** True when a loop that adds records without waiting is to call `pause`. */
  get wantsPause(): boolean {
    return this.isFull || this.#buffer.wantsTurn;
  }

  /** Lets the disk work and everybody else have a turn; then as `room`. */
  async pause(): Promise<void> {
    await this.#buffer.giveTurn();
    await this.room();
  }

  /**
   * Resolves when there is room in the buffer.
   *
   * @throws LogError what made the producer unusable meanwhile.
   */
  async room(): Promise<void> {
    while (this.isFull) {
      if (this.#fatal !== undefined) throw this.#fatal;
      this.#requestSend();
      await this.#buffer.change();
    }
  }

  /**
   * Resolves when everything that was added before has been answered; failures went to those who
   * waited.
   */
  async flush(): Promise<void> {
    this.#flushCount++;
    try {
      await this.#buffer.flush(() => this.#requestSend());
    } finally {
      this.#flushCount--;
    }
  }

  /** Refuses all from here on; what was added before is not concerned. */
  end(reason: LogError): void {
    this.#fatal ??= reason;
  }

  /** Gets the producer's identity, fencing those before it; once. */
  async identify(): Promise<void> {
    if (this.#options.isIdempotent) await this.#session.ensure();
  }

  /** Begins a transaction, once what was sent outside of it has been answered. */
  async beginTransaction(): Promise<void> {
    await this.identify();
    while (this.#buffer.hasPending) await this.flush();
    assert(this.#transaction === undefined, 'one transaction at a time');
    this.#transaction = new OpenTransaction();
  }

  /** True when the broker may know of the open transaction. */
  get hasTransactionBegun(): boolean {
    return this.#transaction?.hasBegun === true;
  }

  get transactionFailure(): LogError | undefined {
    return this.#fatal ?? this.#transaction?.failure;
  }

  /** Waits until all of the transaction is answered; what is added later waits for its end. */
  async holdAfterFlush(): Promise<void> {
    while (this.#buffer.hasPending) await this.flush();
    this.#schedule.hold();
  }

  /** The transaction is over; the next one goes on with `identity`, from sequence 0. */
  endTransaction(identity: ProducerIdentity | undefined): void {
    this.#transaction = undefined;
    this.#session.identity = identity;
    for (const queue of this.#queues.all()) queue.resequence(identity);
    this.#schedule.release();
  }

  /**
   * Ending the transaction failed, so how it stands is not known here: the next one begins by
   * asking for the identity anew, which aborts this one if it is still open.
   */
  loseTransaction(cause: unknown): void {
    const error = asLogError(cause);
    if (error.fatal) this.#fatal ??= error;
    this.endTransaction(undefined);
  }

  /**
   * Throws away what was not sent, and waits for what was: the transaction is to be aborted. What
   * is added later waits for its end.
   */
  async discard(error: LogError): Promise<void> {
    this.#schedule.hold();
    for (;;) {
      for (const queue of this.#queues.all()) this.#discardQueue(queue, error);
      this.#buffer.changed();
      if (this.#inFlightCount === 0) break;
      await this.#buffer.change();
    }
    this.#schedule.endBackoff();
  }

  #discardQueue(queue: PartitionQueue, error: LogError): void {
    queue.seal();
    for (const batch of queue.full.splice(0)) this.#drop(batch, error);
    for (const batch of queue.retries.splice(0)) this.#fail(batch, error);
    this.#ready.delete(queue);
  }

  /** Fails a batch that was not sent. */
  #drop(batch: OpenBatch, error: LogError): void {
    this.#buffer.take(-batch.writer.capacityBytes);
    this.#buffer.end(batch);
    this.counters.failed(batch.writer.recordCount);
    for (const { reject } of batch.waiters ?? []) reject(error);
  }

  #requestSend(isUrgent = this.#flushCount > 0 || this.isFull): void {
    this.#schedule.request(isUrgent);
  }

  /** Sends what is ready, as far as the limit of requests in flight allows. Never rejects. */
  async #send(): Promise<void> {
    try {
      await this.identify();
      if (this.#mustRenew && this.#inFlightCount === 0) await this.#renewIdentity();
    } catch (cause) {
      this.#schedule.begin();
      this.#refused(asLogError(cause));
      return;
    }
    if (!this.#schedule.begin() || this.#mustRenew) return; // the last answer asks again
    const batches = this.#takeBatches();
    const members = this.#transaction?.members;
    if (members === undefined) {
      await this.#produce(batches);
      return;
    }
    const joining = batches.filter(({ queue }) => !members.has(queue));
    const joined = batches.filter(({ queue }) => members.has(queue));
    await Promise.all([this.#produce(joined), this.#joinAndProduce(joining)]);
  }

  #takeBatches(): SentBatch[] {
    const { maxInFlight, codec, level } = this.#options;
    const isTransactional = this.#transaction !== undefined;
    const seal = { codec, level, isTransactional, identity: this.identity };
    const batches: SentBatch[] = [];
    for (const queue of this.#ready) {
      if (this.#transaction?.joining.has(queue) === true) continue;
      if (queue.requestCount >= maxInFlight) continue;
      // An open batch goes when nothing of its partition is under way; else it goes on filling.
      if (queue.full.length === 0 && queue.requestCount === 0) queue.seal();
      const { length: count } = batches;
      const countMax = count + queue.batchCountMax(this.identity);
      try {
        for (let sizeBytes = 0; sizeBytes < REQUEST_BYTES;) {
          const batch = batches.length < countMax ? queue.take(seal) : undefined;
          if (batch === undefined) break;
          sizeBytes += batch.bytes.length;
          batches.push(batch);
          this.#countSend(batch);
        }
        if (queue.isEmpty) this.#ready.delete(queue);
      } catch (cause) {
        this.#failUnsent(queue, asLogError(cause));
      }
      this.#inFlightCount += batches.length - count;
      if (batches.length > count) queue.requestCount++;
    }
    return batches;
  }

  #countSend({ attempts, recordCount, plainBytes, createdMs, bytes }: SentBatch): void {
    if (attempts > 1) {
      this.counters.retried(recordCount);
      return;
    }
    const queuedMs = this.#options.clock.monotonicMs() - createdMs;
    this.counters.sent({ recordCount, sizeBytes: bytes.length, plainBytes, queuedMs });
  }

  /** What waits in `queue` cannot be made into batches. */
  #failUnsent(queue: PartitionQueue, error: LogError): void {
    this.#noteFailure(error);
    this.#discardQueue(queue, error);
    this.#buffer.changed();
  }

  /** Tells the broker of new partitions of the transaction, and sends to them once it knows. */
  async #joinAndProduce(batches: readonly SentBatch[]): Promise<void> {
    if (batches.length === 0) return;
    const transaction = present(this.#transaction, 'partitions join an open transaction');
    const identity = present(this.identity, 'a transactional producer has an identity');
    const { api, transactionalId } = this.#options;
    assert(transactionalId !== undefined, 'a transaction has an id');
    const added = new Set(batches.map(({ queue }) => queue));
    for (const queue of added) transaction.joining.add(queue);
    transaction.hasBegun = true;
    const partitions = [...added].map(({ topic, partition }) => ({ topic, partition }));
    try {
      const request = { transactionalId, ...identity, partitions };
      throwFirst((await api.addPartitionsToTxn(request)).results);
      for (const queue of added) transaction.members.add(queue);
    } catch (cause) {
      const error = asLogError(cause);
      for (const batch of batches) this.#settle(batch, error);
      this.#answered(batches, error);
      return;
    } finally {
      for (const queue of added) transaction.joining.delete(queue);
    }
    await this.#produce(batches);
  }

  /** Never rejects: a failure goes to those who wait for the records. */
  async #produce(batches: readonly SentBatch[]): Promise<void> {
    if (batches.length === 0) return;
    const { api, acks, transactionalId, clock } = this.#options;
    const transaction = this.#transaction === undefined ? undefined : transactionalId;
    const request = produceRequest(batches, acks, transaction);
    const startMs = clock.monotonicMs();
    this.counters.requested();
    let failure: LogError | undefined;
    try {
      const { results } = await api.produce(request);
      assert(results.length === batches.length, 'each batch has its answer');
      for (const [index, batch] of batches.entries()) {
        const { error, baseOffset } = results[index]!;
        if (error === undefined) {
          this.#settle(batch);
          for (const { resolve, index: place } of batch.waiters)
            resolve(acks === 0 ? -1 : baseOffset + place);
        } else {
          const known = LogError.fromData(error);
          this.#settle(batch, known);
          if (failure?.retriable !== true) failure = known;
        }
      }
    } catch (cause) {
      failure = asLogError(cause);
      for (const batch of batches) this.#settle(batch, failure);
    }
    this.counters.answered(clock.monotonicMs() - startMs);
    this.#answered(batches, failure);
  }

  /** Goes on after an answer: at once, or after a while where the failure may pass. */
  #answered(batches: readonly SentBatch[], failure: LogError | undefined): void {
    for (const queue of new Set(batches.map((batch) => batch.queue))) queue.requestCount--;
    this.#buffer.changed();
    if (failure === undefined) this.#schedule.noteSuccess();
    if (failure?.retriable === true && this.#ready.size > 0) this.#schedule.backOff();
    else if (this.#ready.size > 0 || this.#mustRenew) this.#requestSend();
  }

  /** Ends a batch: answered, to be sent again, or failed. */
  #settle(batch: SentBatch, error?: LogError): void {
    const { queue } = batch;
    queue.settle(batch);
    this.#inFlightCount--;
    if (error === undefined) {
      queue.knownProducerId = this.identity?.producerId;
      this.#buffer.take(-batch.bufferBytes);
      this.#buffer.end(batch);
      return;
    }
    if (error.code === 'MESSAGE_TOO_LARGE' && batch.recordCount > 1) {
      this.#split(batch);
      return;
    }
    // What follows a batch that failed is out of order only because of that.
    const isOutOfOrder = error.code === 'OUT_OF_ORDER_SEQUENCE_NUMBER';
    const isCollateral = isOutOfOrder && (queue.isOutOfTurn(batch) || this.#mustRenew);
    const canPass = (error.retriable || isCollateral) && this.#fatal === undefined;
    if (canPass && !this.#timeout.isOver(batch)) {
      queue.retry(batch);
      this.#ready.add(queue);
      return;
    }
    this.#fail(batch, canPass ? this.#timeout.error(batch, error) : error);
    this.#noteFailure(error);
  }

  /** Sends a batch in two that is too large for its topic (Kafka: `splitAndReenqueue`). */
  #split(batch: SentBatch): void {
    const { queue } = batch;
    try {
      queue.split(batch, this.#options.level);
    } catch (cause) {
      const error = asLogError(cause);
      this.#fail(batch, error);
      this.#noteFailure(error);
      return;
    }
    this.#buffer.split(batch);
    this.counters.split();
    this.#ready.add(queue);
  }

  #fail(batch: SentBatch, error: LogError): void {
    this.#buffer.take(-batch.bufferBytes);
    this.#buffer.end(batch);
    this.counters.failed(batch.recordCount);
    for (const { reject } of batch.waiters) reject(error);
  }

  /** A batch is lost for good. */
  #noteFailure(error: LogError): void {
    if (error.fatal) this.#fatal ??= error;
    if (this.#transaction !== undefined) this.#transaction.failure ??= error;
    // Its sequence numbers are a gap now.
    else if (this.#options.isIdempotent) this.#mustRenew = true;
  }

  /** Fails what has waited in `queue` for too long. */
  #failLate(queue: PartitionQueue, cause: LogError): void {
    if (queue.open !== undefined && this.#timeout.isOver(queue.open)) queue.seal();
    for (const batch of this.#timeout.takeFrom(queue.full))
      this.#drop(batch, this.#timeout.error(batch, cause));
    for (const batch of this.#timeout.takeFrom(queue.retries))
      this.#fail(batch, this.#timeout.error(batch, cause));
    if (queue.isEmpty) this.#ready.delete(queue);
  }

  /** The identity was refused: nothing can be sent now, or ever. */
  #refused(error: LogError): void {
    if (error.retriable) {
      for (const queue of this.#ready) this.#failLate(queue, error);
      this.#buffer.changed();
      this.#schedule.backOff();
      return;
    }
    if (error.fatal) this.#fatal ??= error;
    if (this.#transaction !== undefined) this.#transaction.failure ??= error;
    for (const queue of this.#queues.all()) this.#discardQueue(queue, error);
    this.#buffer.changed();
  }

  async #renewIdentity(): Promise<void> {
    await this.#session.renew();
    for (const queue of this.#queues.all()) queue.resequence(this.identity);
    this.#mustRenew = false;
  }
}
