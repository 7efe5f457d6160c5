import { assert } from '../assert.ts';
import type { LogError } from '../errors.ts';
import { addSequence, resealBatch, type Codec } from '../record/batch.ts';
import { BatchWriter } from '../record/batch-writer.ts';
import type { ProducerIdentity, TopicPartition } from '../broker/broker-api.ts';
import type { Unanswered } from './send-buffer.ts';

/** Who waits for one record: made only for `send`, which promises something for it. */
export interface DeliveryWaiter {
  /** Its place in the batch. */
  readonly index: number;
  readonly resolve: (offset: number) => void;
  readonly reject: (error: LogError) => void;
}

/** A batch being filled, or full and waiting for its turn. */
export class OpenBatch implements Unanswered {
  readonly queue: PartitionQueue;
  readonly writer: BatchWriter;
  /** By the monotonic clock. */
  readonly createdMs: number;
  epoch: Unanswered['epoch'];
  waiters: DeliveryWaiter[] | undefined;
  /** Who last asked to be told of this batch: saves asking twice. */
  watcher: unknown;

  constructor(queue: PartitionQueue, capacityBytes: number, createdMs: number) {
    this.queue = queue;
    this.writer = new BatchWriter(capacityBytes);
    this.createdMs = createdMs;
  }

  /** Asks to be told what becomes of the record that was added last. */
  awaitNewest(resolve: DeliveryWaiter['resolve'], reject: DeliveryWaiter['reject']): void {
    this.waiters ??= [];
    this.waiters.push({ index: this.writer.recordCount - 1, resolve, reject });
  }
}

/** A batch as it is sent. Its place in the sequence may change until the broker has it. */
export interface SentBatch extends Unanswered {
  readonly queue: PartitionQueue;
  readonly bytes: Buffer;
  readonly recordCount: number;
  /** What it took of the buffer. */
  readonly bufferBytes: number;
  readonly createdMs: number;
  readonly waiters: readonly DeliveryWaiter[];
  /** Its place among the batches of the partition. */
  readonly ordinal: number;
}

/** What waits for, or is on its way to, one partition. Order is kept. */
export class PartitionQueue implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  /** Takes the next record. */
  open: OpenBatch | undefined;
  /** Full batches behind which `open` waits. */
  readonly full: OpenBatch[] = [];
  /** Sent, not answered. */
  readonly inFlight: SentBatch[] = [];
  /** To be sent again, before everything else, in their old order. */
  readonly retries: SentBatch[] = [];
  /** Requests under way that have batches of this partition. */
  requestCount = 0;
  #ordinal = 0;
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

  /** Moves the open batch behind the full ones. One without records stays: it has its memory. */
  seal(): void {
    if (this.open === undefined || this.open.writer.recordCount === 0) return;
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
      this.inFlight.push(again);
      return again;
    }
    const [batch] = this.full;
    if (batch === undefined) return undefined;
    const { writer, waiters, createdMs } = batch;
    const { recordCount, capacityBytes } = writer;
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
      bufferBytes: capacityBytes,
      createdMs,
      waiters: waiters ?? [],
      ordinal: this.#ordinal++,
      epoch: batch.epoch,
    };
    this.inFlight.push(sent);
    return sent;
  }

  /** The broker has answered for `batch`. */
  settle(batch: SentBatch): void {
    const index = this.inFlight.indexOf(batch);
    assert(index >= 0, 'only a batch in flight is answered');
    this.inFlight.splice(index, 1);
  }

  /** Puts a batch in its old place to be sent again. */
  retry(batch: SentBatch): void {
    const follower = this.retries.findIndex(({ ordinal }) => ordinal > batch.ordinal);
    this.retries.splice(follower < 0 ? this.retries.length : follower, 0, batch);
  }

  /** True while a batch before this one has not reached the broker. */
  hasEarlier(batch: SentBatch): boolean {
    const isEarlier = ({ ordinal }: SentBatch): boolean => ordinal < batch.ordinal;
    return this.retries.some(isEarlier) || this.inFlight.some(isEarlier);
  }

  /** Starts the sequence anew for another identity: nothing may be in flight. */
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

/** How batches are closed. */
export interface SealOptions {
  readonly codec: Codec;
  readonly level: number | undefined;
  readonly isTransactional: boolean;
  /** Undefined without idempotence. */
  readonly identity: ProducerIdentity | undefined;
}
