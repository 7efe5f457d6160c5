import { assert } from '../../assert.ts';
import type { LogError } from '../../errors.ts';
import { addSequence, resealBatch, type Codec } from '../../record/batch.ts';
import { BatchWriter } from '../../record/batch-writer.ts';
import type {
  Acks,
  ProduceRequest,
  ProducerIdentity,
  TopicPartition,
} from '../../protocol/broker-api.ts';
import { splitBatch } from './split-batch.ts';
import type { Unanswered } from './send-buffer.ts';

/**
 * The most batches of a partition in one request: a partition remembers 512 batches of a producer
 * that are not durable (`ProducerStates`), and five requests may have to be sent again.
 */
const REQUEST_BATCHES = 100;

/** What the first batch of a partition takes of the memory, unless batches are smaller. */
const FIRST_BYTES = 1024;

/** Settles the promise for one record; only `send` makes them. */
export interface DeliveryWaiter {
  /** The index of the record in the batch, or WHOLE_BATCH. */
  readonly index: number;
  readonly resolve: (offset: number) => void;
  readonly reject: (error: LogError) => void;
}

/** The index of a waiter for all records of a batch. */
const WHOLE_BATCH = -1;

/** A batch being filled, or full and waiting for its turn. */
export class OpenBatch implements Unanswered {
  readonly queue: PartitionQueue;
  readonly writer: BatchWriter;
  /** When its first record came, by the monotonic clock. */
  createdMs = 0;
  epoch: Unanswered['epoch'];
  waiters: DeliveryWaiter[] | undefined;
  /** The last caller of `awaitFailure`, so that it asks once a batch. */
  watcher: unknown;

  constructor(queue: PartitionQueue, capacityBytes: number) {
    this.queue = queue;
    this.writer = new BatchWriter(capacityBytes);
  }

  /** Calls one of the two, once, with the outcome of the record that was added last. */
  awaitNewest(resolve: DeliveryWaiter['resolve'], reject: DeliveryWaiter['reject']): void {
    this.waiters ??= [];
    this.waiters.push({ index: this.writer.recordCount - 1, resolve, reject });
  }

  /** Calls `reject` for each part of the batch that fails: one that is too large is split. */
  awaitFailure(reject: DeliveryWaiter['reject']): void {
    this.waiters ??= [];
    this.waiters.push({ index: WHOLE_BATCH, resolve: () => undefined, reject });
  }
}

/** A batch as it is sent. Its sequence may change until the broker has it. */
export interface SentBatch extends Unanswered {
  readonly queue: PartitionQueue;
  readonly bytes: Buffer;
  readonly recordCount: number;
  /** Its size before compression. */
  readonly plainBytes: number;
  /** What it took of the buffer. */
  readonly bufferBytes: number;
  readonly createdMs: number;
  readonly waiters: readonly DeliveryWaiter[];
  /** The number of its first record among those of the partition: keeps batches in order. */
  readonly ordinal: number;
  /** How often it was sent, alone or as part of a batch that was split. */
  attempts: number;
  /** Set when an earlier batch turns out not to be in the log: this one was sent in vain. */
  isBehindGap: boolean;
}

/** What waits for, or is on its way to, one partition. Order is kept. */
export class PartitionQueue implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  /** Takes the next record. */
  open: OpenBatch | undefined;
  /** The size of the last batch that was filled: the next one is likely to need as much. */
  #lastBytes = 0;
  /** Full batches behind which `open` waits. */
  readonly full: OpenBatch[] = [];
  /** Sent, not answered. */
  readonly inFlight: SentBatch[] = [];
  /** To be sent again, before everything else, in their old order. */
  readonly retries: SentBatch[] = [];
  /** Requests under way that have batches of this partition. */
  requestCount = 0;
  /** Whose batches the partition has taken; set by each acknowledgement. */
  knownProducerId: number | undefined;
  /** Records that were ever taken for sending. */
  #takenCount = 0;
  /** The sequence of the next batch of the current epoch. */
  nextSequence = 0;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  /** True while there is nothing to send. */
  get isEmpty(): boolean {
    if (this.full.length > 0 || this.retries.length > 0) return false;
    return this.open === undefined || this.open.writer.recordCount === 0;
  }

  /**
   * How many batches the next request may take. The first one of a producer goes alone: from one
   * that it does not know the partition takes any sequence, also that of a batch behind a refused
   * one.
   */
  batchCountMax(identity: ProducerIdentity | undefined): number {
    if (identity === undefined || identity.producerId === this.knownProducerId) {
      return REQUEST_BATCHES;
    }
    return this.inFlight.length > 0 ? 0 : 1;
  }

  /**
   * Begins another batch, small, or as large as the last one was: with thousands of partitions only
   * a few bytes each wait between two commits. It grows up to `batchSize` as records come.
   */
  begin(batchSize: number): OpenBatch {
    const likelyBytes = 2 ** Math.ceil(Math.log2(Math.max(1, this.#lastBytes)));
    const capacityBytes = Math.min(Math.max(likelyBytes, FIRST_BYTES), batchSize);
    this.open = new OpenBatch(this, capacityBytes);
    return this.open;
  }

  /** Moves the open batch behind the full ones. An empty one stays: its memory is taken already. */
  seal(): void {
    if (this.open === undefined || this.open.writer.recordCount === 0) return;
    this.#lastBytes = this.open.writer.sizeBytes;
    this.full.push(this.open);
    this.open = undefined;
  }

  /**
   * Closes the oldest full batch for sending; undefined when there is none.
   *
   * @throws LogError UNSUPPORTED_COMPRESSION_TYPE: the batch stays where it is.
   */
  take(seal: SealOptions): SentBatch | undefined {
    const again = this.retries.shift();
    if (again !== undefined) {
      again.attempts++;
      again.isBehindGap = false;
      this.inFlight.push(again);
      return again;
    }
    const [batch] = this.full;
    if (batch === undefined) return undefined;
    const { writer, waiters, createdMs } = batch;
    const { recordCount, capacityBytes, sizeBytes: plainBytes } = writer;
    const baseSequence = this.nextSequence;
    const bytes = writer.close({
      codec: seal.codec,
      level: seal.level,
      isTransactional: seal.isTransactional,
      ...(seal.identity !== undefined && { ...seal.identity, baseSequence }),
    });
    this.full.shift();
    this.nextSequence = addSequence(baseSequence, recordCount);
    const sent: SentBatch = {
      queue: this,
      bytes,
      recordCount,
      plainBytes,
      bufferBytes: capacityBytes,
      createdMs,
      waiters: waiters ?? [],
      ordinal: this.#takenCount,
      attempts: 1,
      isBehindGap: false,
      epoch: batch.epoch,
    };
    this.#takenCount += recordCount;
    this.inFlight.push(sent);
    return sent;
  }

  /** The broker has answered for `batch`. */
  settle(batch: SentBatch): void {
    const index = this.inFlight.indexOf(batch);
    assert(index >= 0, 'only a batch in flight is answered');
    this.inFlight.splice(index, 1);
  }

  /** Queues a batch to be sent again, in its old order. */
  retry(batch: SentBatch): void {
    for (const each of this.inFlight) each.isBehindGap ||= each.ordinal > batch.ordinal;
    const follower = this.retries.findIndex(({ ordinal }) => ordinal > batch.ordinal);
    this.retries.splice(follower < 0 ? this.retries.length : follower, 0, batch);
  }

  /**
   * Queues the two halves of a batch, to be sent instead of it.
   *
   * @throws LogError UNSUPPORTED_COMPRESSION_TYPE, CORRUPT_MESSAGE: nothing changed.
   */
  split(batch: SentBatch, level: number | undefined): readonly [SentBatch, SentBatch] {
    const [first, second] = splitBatch(batch.bytes, { from: this, level });
    const { recordCount, waiters, bufferBytes, ordinal } = batch;
    const count = Math.ceil(recordCount / 2);
    const halfBytes = Math.ceil(bufferBytes / 2);
    const halves = [
      {
        ...batch,
        bytes: first,
        recordCount: count,
        bufferBytes: halfBytes,
        waiters: waiters.filter(({ index }) => index < count),
      },
      {
        ...batch,
        bytes: second,
        recordCount: recordCount - count,
        bufferBytes: bufferBytes - halfBytes,
        waiters: waiters
          .filter(({ index }) => index >= count || index === WHOLE_BATCH)
          .map((waiter) => {
            const isWhole = waiter.index === WHOLE_BATCH;
            return isWhole ? waiter : { ...waiter, index: waiter.index - count };
          }),
        ordinal: ordinal + count,
      },
    ] as const;
    for (const half of halves) this.retry(half);
    return halves;
  }

  /** True when a batch before this one has not reached the broker, or had not when it was sent. */
  isOutOfTurn(batch: SentBatch): boolean {
    if (batch.isBehindGap) return true;
    const isEarlier = ({ ordinal }: SentBatch): boolean => ordinal < batch.ordinal;
    return this.retries.some(isEarlier) || this.inFlight.some(isEarlier);
  }

  /** Restarts the sequence at 0 for another identity: nothing may be in flight. */
  resequence(identity: ProducerIdentity | undefined): void {
    assert(this.inFlight.length === 0, 'sequences change while nothing is in flight');
    this.nextSequence = 0;
    for (const { bytes, recordCount } of this.retries) {
      if (identity !== undefined)
        resealBatch(bytes, { ...identity, baseSequence: this.nextSequence });
      this.nextSequence = addSequence(this.nextSequence, recordCount);
    }
  }
}

/** The queues of all partitions that a producer has written to. */
export class PartitionQueues {
  readonly #queues = new Map<string, PartitionQueue[]>();

  /** The queues of a topic's partitions; made at the first call. */
  of(topic: string, partitions: number): readonly PartitionQueue[] {
    const queues = this.#queues.get(topic) ?? [];
    this.#queues.set(topic, queues);
    while (queues.length < partitions) queues.push(new PartitionQueue(topic, queues.length));
    return queues;
  }

  *all(): Generator<PartitionQueue> {
    for (const queues of this.#queues.values()) yield* queues;
  }
}

/** What batches are closed with. */
export interface SealOptions {
  readonly codec: Codec;
  readonly level: number | undefined;
  readonly isTransactional: boolean;
  /** Undefined without idempotence. */
  readonly identity: ProducerIdentity | undefined;
}

/**
 * The request that takes batches to the broker. A commit makes its data durable itself, so batches
 * of a transaction wait for no sync.
 */
export function produceRequest(
  sent: readonly SentBatch[],
  acks: Acks,
  transactionalId: string | undefined,
): ProduceRequest {
  const batches = sent.map(({ queue: { topic, partition }, bytes: records }) => ({
    topic,
    partition,
    records,
  }));
  return transactionalId === undefined ? { acks, batches } : { acks: 1, transactionalId, batches };
}
