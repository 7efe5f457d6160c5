import { assert } from '../../assert.ts';
import type { Clock } from '../../clock.ts';
import { asLogError, LogError } from '../../errors.ts';
import type { Acks, BrokerApi } from '../../protocol/broker-api.ts';
import type { Codec } from '../../record/batch.ts';
import {
  PartitionQueues,
  produceRequest,
  type OpenBatch,
  type PartitionQueue,
  type SentBatch,
} from './accumulator.ts';
import { SendCounters, type ProducerMetrics } from './producer-metrics.ts';
import type { ProducerSession, SessionTransaction } from './producer-session.ts';
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
  readonly lingerMs: number;
  readonly maxInFlight: number;
  readonly retryBackoffMs: number;
  readonly retryBackoffMaxMs: number;
  readonly session: ProducerSession;
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
  /** Set while sequences begin again at 0. */
  #renewing: Promise<void> | undefined;

  constructor(options: SenderOptions) {
    const { clock, bufferMemory, deliveryTimeoutMs, session } = options;
    this.#options = options;
    this.#session = session;
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

  get metrics(): ProducerMetrics {
    return this.counters.metrics(this.#buffer);
  }

  /** The queues of a topic's partitions; made at the first call. */
  queuesOf(topic: string, partitions: number): readonly PartitionQueue[] {
    return this.#queues.of(topic, partitions);
  }

  /** Closes the open batch of a partition to further records: it no longer lingers. */
  sealBatch(queue: PartitionQueue): void {
    queue.seal();
    if (queue.full.length > 0) this.#requestSend(true);
  }

  /** The open batch of a partition; `startBatch` makes another. */
  startBatch(queue: PartitionQueue): OpenBatch {
    this.#checkUsable();
    this.sealBatch(queue);
    const batch = queue.begin(this.#options.batchSize);
    this.#buffer.take(batch.writer.capacityBytes);
    return batch;
  }

  /** Enlarges an open batch. */
  enlarge(batch: OpenBatch, capacityBytes: number): void {
    this.#buffer.take(capacityBytes - batch.writer.capacityBytes);
    batch.writer.grow(capacityBytes);
  }

  /** Takes note of a record that was added to `batch`, the open one of its queue. */
  noteRecord(batch: OpenBatch): void {
    if (batch.writer.recordCount > 1) return; // the first record did all that follows
    batch.createdMs = this.#options.clock.monotonicMs(); // it may have been empty for long
    this.#buffer.begin(batch);
    this.#ready.add(batch.queue);
    this.#requestSend();
  }

  /** Begins a `send`: a flush waits for it even before it has a batch. */
  enter(): Unanswered {
    const send: Unanswered = { epoch: undefined };
    this.#buffer.begin(send);
    return send;
  }

  /** Ends a `send` that has its answer. */
  leave(send: Unanswered): void {
    this.#buffer.end(send);
    this.#buffer.changed();
  }

  /** True when a loop that adds records without waiting must call `pause`. */
  get wantsPause(): boolean {
    return this.isFull || this.#buffer.wantsTurn;
  }

  /** Gives the disk and other work a turn of the event loop; then as `room`. */
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
      this.#checkUsable();
      this.#requestSend();
      await this.#buffer.change();
    }
  }

  /**
   * Resolves when everything that was added before has been answered; failures went to its
   * senders.
   */
  async flush(): Promise<void> {
    this.#flushCount++;
    try {
      await this.#buffer.flush(() => this.#requestSend());
    } finally {
      this.#flushCount--;
    }
  }

  /** Begins a transaction, once what was sent outside of it has been answered. */
  beginTransaction(): Promise<SessionTransaction> {
    return this.#session.begin(async () => {
      await this.#session.ensureIdentity();
      while (this.#buffer.hasPending || this.#session.hasGap) {
        await this.flush();
        if (this.#session.hasGap && this.#inFlightCount === 0) await this.#renewIdentity();
      }
    });
  }

  /** Waits until all of the transaction is answered; what is added later waits for its end. */
  async holdAfterFlush(): Promise<void> {
    while (this.#buffer.hasPending) await this.flush();
    this.#schedule.hold();
  }

  /**
   * Ends the transaction, after `holdAfterFlush` or `discard`. Whatever came of it, sequences begin
   * again at 0, and what was added meanwhile is sent.
   *
   * @throws LogError what the broker answered: the transaction is in doubt.
   */
  async endTransaction(): Promise<void> {
    try {
      await this.#session.end();
    } finally {
      this.#resequence();
      this.#schedule.release();
    }
  }

  /**
   * Throws away what was not sent and waits for what was, before a transaction is aborted. What is
   * added later waits for its end.
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
      await this.#session.ensureIdentity();
      if (this.#session.hasGap && this.#inFlightCount === 0) await this.#renewIdentity();
    } catch (cause) {
      this.#schedule.begin();
      this.#refused(asLogError(cause));
      return;
    }
    if (!this.#schedule.begin() || this.#session.hasGap) return; // the last answer asks again
    const batches = this.#takeBatches();
    const members = this.#session.transaction?.members;
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
    const { identity, transaction } = this.#session;
    const seal = { codec, level, isTransactional: transaction !== undefined, identity };
    const batches: SentBatch[] = [];
    for (const queue of this.#ready) {
      if (transaction?.joining.has(queue) === true) continue;
      if (queue.requestCount >= maxInFlight) continue;
      // An open batch is sent if nothing of its partition is in flight; otherwise it keeps filling.
      if (queue.full.length === 0 && queue.requestCount === 0) queue.seal();
      const { length: count } = batches;
      const countMax = count + queue.batchCountMax(identity);
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
    this.#session.fail(error);
    this.#discardQueue(queue, error);
    this.#buffer.changed();
  }

  /** Tells the broker of new partitions of the transaction, and sends to them once it knows. */
  async #joinAndProduce(batches: readonly SentBatch[]): Promise<void> {
    if (batches.length === 0) return;
    try {
      await this.#session.addPartitions(new Set(batches.map(({ queue }) => queue)));
    } catch (cause) {
      const error = asLogError(cause);
      for (const batch of batches) this.#settle(batch, error);
      this.#answered(batches, error);
      return;
    }
    await this.#produce(batches);
  }

  /** Never rejects: a failure goes to the senders of the records. */
  async #produce(batches: readonly SentBatch[]): Promise<void> {
    if (batches.length === 0) return;
    const { api, acks, clock } = this.#options;
    const { transaction, transactionalId } = this.#session;
    const isTransactional = transaction !== undefined;
    const request = produceRequest(batches, acks, isTransactional ? transactionalId : undefined);
    const startMs = clock.monotonicMs();
    this.counters.requested();
    let failure: LogError | undefined;
    try {
      const { results } = await api.produce(request);
      assert(results.length === batches.length, 'each batch has its answer');
      for (const [batchIndex, batch] of batches.entries()) {
        const { error, baseOffset } = results[batchIndex]!;
        if (error === undefined) {
          this.#settle(batch);
          for (const { resolve, index } of batch.waiters)
            resolve(acks === 0 ? -1 : baseOffset + index);
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

  /** Sends what is left after an answer: at once, or after a backoff if the failure may pass. */
  #answered(batches: readonly SentBatch[], failure: LogError | undefined): void {
    for (const queue of new Set(batches.map((batch) => batch.queue))) queue.requestCount--;
    this.#buffer.changed();
    if (failure === undefined) this.#schedule.noteSuccess();
    if (failure?.retriable === true && this.#ready.size > 0) this.#schedule.backOff();
    else if (this.#ready.size > 0 || this.#session.hasGap) this.#requestSend();
  }

  /** Ends a batch: answered, to be sent again, or failed. */
  #settle(batch: SentBatch, error?: LogError): void {
    const { queue } = batch;
    queue.settle(batch);
    this.#inFlightCount--;
    if (error === undefined) {
      queue.knownProducerId = this.#session.identity?.producerId;
      this.#buffer.take(-batch.bufferBytes);
      this.#buffer.end(batch);
      return;
    }
    if (error.code === 'MESSAGE_TOO_LARGE' && batch.recordCount > 1) {
      this.#split(batch);
      return;
    }
    // Batches behind a failed one are out of order only because of it.
    const isOutOfOrder = error.code === 'OUT_OF_ORDER_SEQUENCE_NUMBER';
    const isCollateral = isOutOfOrder && (queue.isOutOfTurn(batch) || this.#session.hasGap);
    const canPass = (error.retriable || isCollateral) && this.#session.fatal === undefined;
    if (canPass && !this.#timeout.isOver(batch)) {
      queue.retry(batch);
      this.#ready.add(queue);
      return;
    }
    this.#fail(batch, canPass ? this.#timeout.error(batch, error) : error);
    this.#session.fail(error);
  }

  /** Sends a batch in two that is too large for its topic (Kafka: `splitAndReenqueue`). */
  #split(batch: SentBatch): void {
    const { queue } = batch;
    try {
      queue.split(batch, this.#options.level);
    } catch (cause) {
      const error = asLogError(cause);
      this.#fail(batch, error);
      this.#session.fail(error);
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

  /** Fails the batches of `queue` that have waited for too long. */
  #failLate(queue: PartitionQueue, cause: LogError): void {
    if (queue.open !== undefined && this.#timeout.isOver(queue.open)) queue.seal();
    for (const batch of this.#timeout.takeFrom(queue.full))
      this.#drop(batch, this.#timeout.error(batch, cause));
    for (const batch of this.#timeout.takeFrom(queue.retries))
      this.#fail(batch, this.#timeout.error(batch, cause));
    if (queue.isEmpty) this.#ready.delete(queue);
  }

  /** The broker refused an identity: nothing can be sent for now, or ever. */
  #refused(error: LogError): void {
    if (error.retriable) {
      for (const queue of this.#ready) this.#failLate(queue, error);
      this.#buffer.changed();
      this.#schedule.backOff();
      return;
    }
    this.#session.fail(error);
    for (const queue of this.#queues.all()) this.#discardQueue(queue, error);
    this.#buffer.changed();
  }

  /** Takes another identity; nothing may be in flight. Many may call at the same time. */
  #renewIdentity(): Promise<void> {
    this.#renewing ??= this.#session
      .renewIdentity()
      .then(() => this.#resequence())
      .finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  #resequence(): void {
    for (const queue of this.#queues.all()) queue.resequence(this.#session.identity);
  }

  #checkUsable(): void {
    const { fatal } = this.#session;
    if (fatal !== undefined) throw fatal;
  }
}

/** A batch that waits or is being tried. */
interface Delivery {
  readonly queue: PartitionQueue;
  /** By the monotonic clock. */
  readonly createdMs: number;
}

/** Decides when a batch has been tried for long enough. */
class DeliveryTimeout {
  readonly #clock: Clock;
  readonly #deliveryTimeoutMs: number;

  constructor(clock: Clock, deliveryTimeoutMs: number) {
    this.#clock = clock;
    this.#deliveryTimeoutMs = deliveryTimeoutMs;
  }

  isOver({ createdMs }: Delivery): boolean {
    return this.#clock.monotonicMs() - createdMs >= this.#deliveryTimeoutMs;
  }

  /** Removes the batches from `waiting` whose time is over, and returns them. */
  takeFrom<D extends Delivery>(waiting: D[]): readonly D[] {
    const late = waiting.filter((each) => this.isOver(each));
    for (const each of late) waiting.splice(waiting.indexOf(each), 1);
    return late;
  }

  /**
   * The error of a batch whose time is over, and which `cause` kept from being written. DISK_FULL
   * stays DISK_FULL, so that callers know that the same call may succeed later.
   */
  error({ queue, createdMs }: Delivery, cause: LogError): LogError {
    const { topic, partition } = queue;
    const message =
      `records for ${topic}-${partition} could not be written within ` +
      `deliveryTimeoutMs=${this.#deliveryTimeoutMs}: ${cause.message}`;
    if (LogError.is(cause, 'DISK_FULL')) {
      return new LogError('DISK_FULL', message, cause.details, { cause });
    }
    const waitedMs = this.#clock.monotonicMs() - createdMs;
    return new LogError('DELIVERY_TIMEOUT', message, { topic, partition, waitedMs }, { cause });
  }
}
