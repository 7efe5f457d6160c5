import { asError, LogError } from '../../errors.ts';
import type { Clock } from '../../clock.ts';
import { show } from '../../options.ts';
import type { Random } from '../../random.ts';
import { NO_HEADERS, type Headers } from '../../record/record.ts';
import { NO_ROOM } from '../../serde/serde.ts';
import type { OpenBatch, PartitionQueue } from './accumulator.ts';
import { checkHandle, headersFault, recordError } from '../arguments.ts';
import { partitionOfKey, type Partitioner, type PartitionStrategy } from './partitioner.ts';
import type { Interceptors } from './producer-interceptor.ts';
import type { ProducerRecord } from './producer-record.ts';
import type { Sender } from './sender.ts';
import type { Topic } from '../topic.ts';
import { partitionMismatch } from '../topic-metadata.ts';

export interface TopicWriterOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly partitioner: PartitionStrategy | Partitioner;
  /** Undefined where there are none: then a record costs no object. */
  readonly interceptors: Interceptors | undefined;
  /** How much records without a key write to one partition before they go on to another. */
  readonly batchSize: number;
  readonly maxRequestSize: number;
}

const KEY_SCRATCH_BYTES = 1024;
/** How much larger a batch becomes that is not full: what is copied is a third at most. */
const GROWTH = 4;
/** 2^52: from there on the distance between two timestamps is not exact. */
const TIMESTAMP_MS_MAX = 2 ** 52;

/**
 * Writes a record as users hand it in.
 *
 * @throws LogError as `TopicWriter.write`; INVALID_OPTION if it is no record.
 */
export function writeRecord<K, V>(
  writer: TopicWriter<K, V>,
  record: ProducerRecord<K, V>,
): OpenBatch {
  // Reading the fields finds out what is no record: a check would cost every record.
  try {
    const { key = null, value, timestampMs, headers, partition } = record;
    // Some serdes write undefined: a mistyped name must not pass for it.
    if (value === undefined) checkValue(record);
    return writer.write(key, value, timestampMs, headers, partition);
  } catch (cause) {
    throw recordError(writer.topic, record, cause);
  }
}

/** @throws what `recordError` puts into words. */
function checkValue(record: object): void {
  if (!('value' in record)) throw new TypeError('the record has no value');
}

/**
 * Writes the records of one topic into the open batches of its partitions: the way in without an
 * object or a promise a record.
 */
export class TopicWriter<K, V> {
  readonly topic: Topic<K, V>;
  readonly partitions: number;
  readonly #queues: readonly PartitionQueue[];
  readonly #sender: Sender;
  readonly #options: TopicWriterOptions;
  /** Holds the key while its partition is chosen. */
  #key = Buffer.allocUnsafeSlow(KEY_SCRATCH_BYTES);
  /** The partition of records that stay together, or of the next one by round robin. */
  #current: number;
  /** Bytes written there since it was chosen. */
  #stickyBytes = 0;
  /** Writers for other handles of the topic. */
  readonly #others = new WeakMap<object, TopicWriter<unknown, unknown>>();

  /** @internal `producer.writer` makes them. */
  constructor(topic: Topic<K, V>, partitions: number, sender: Sender, options: TopicWriterOptions) {
    this.topic = topic;
    this.partitions = partitions;
    this.#queues = sender.queuesOf(topic.name, partitions);
    this.#sender = sender;
    this.#options = options;
    this.#current = Math.floor(options.random.next() * partitions);
  }

  /**
   * The writer for another handle of the same topic.
   *
   * @throws LogError PARTITION_MISMATCH
   */
  for<K2, V2>(topic: Topic<K2, V2>): TopicWriter<K2, V2> {
    if ((topic as unknown) === this.topic) return this as unknown as TopicWriter<K2, V2>;
    checkHandle('writer.for', topic);
    const { name, partitions: expected } = topic;
    if (expected !== undefined && expected !== this.partitions) {
      throw partitionMismatch(name, expected, this.partitions);
    }
    let writer = this.#others.get(topic);
    if (writer === undefined) {
      writer = new TopicWriter<unknown, unknown>(
        topic,
        this.partitions,
        this.#sender,
        this.#options,
      );
      this.#others.set(topic, writer);
    }
    return writer as TopicWriter<K2, V2>;
  }

  /**
   * Serialises a record into the open batch of its partition and returns that batch. The partition
   * is the one given, or as the producer's `partitioner` says.
   *
   * @throws LogError SERIALIZATION_FAILED, INVALID_PARTITIONS, INVALID_TIMESTAMP,
   *   MESSAGE_TOO_LARGE: the record was not added.
   */
  write(
    key: K | null,
    value: V | null,
    timestampMs: number = this.#options.clock.nowMs(),
    headers: Headers = NO_HEADERS,
    partition?: number,
  ): OpenBatch {
    const { interceptors } = this.#options;
    // Not in #add, which is so large that a few bytes more of code cost half of its speed.
    this.#check(timestampMs, headers);
    if (interceptors === undefined) return this.#add(key, value, timestampMs, headers, partition);
    const record = {
      key,
      value,
      timestampMs,
      headers,
      ...(partition !== undefined && { partition }),
    };
    return this.#intercepted(interceptors, record);
  }

  #intercepted(interceptors: Interceptors, record: ProducerRecord<K, V>): OpenBatch {
    const { name: topic } = this.topic;
    const changed = interceptors.onSend(this.topic, record);
    const { key = null, value, headers = NO_HEADERS, partition } = changed;
    const { timestampMs = this.#options.clock.nowMs() } = changed;
    let batch: OpenBatch;
    try {
      this.#check(timestampMs, headers);
      batch = this.#add(key, value, timestampMs, headers, partition);
    } catch (cause) {
      interceptors.onAcknowledgement(
        { topic, partition: partition ?? -1, offset: -1 },
        asError(cause),
      );
      throw cause;
    }
    const topicPartition = { topic, partition: batch.queue.partition };
    batch.awaitNewest(
      (offset) => interceptors.onAcknowledgement({ ...topicPartition, offset }, null),
      (error) => interceptors.onAcknowledgement({ ...topicPartition, offset: -1 }, error),
    );
    return batch;
  }

  #add(
    key: K | null,
    value: V | null,
    timestampMs: number,
    headers: Headers,
    partition: number | undefined,
  ): OpenBatch {
    const keyEnd = key === null ? 0 : this.#serializeKey(key);
    const keyBytes = key === null ? null : this.#key;
    if (partition === undefined && this.#isSticky(key)) {
      return this.#addSticky(timestampMs, keyBytes, keyEnd, value, headers);
    }
    const target = partition ?? this.#choose(key, keyEnd, value);
    const queue = this.#queues[target];
    if (queue === undefined || typeof target !== 'number') throw this.#badPartition(target);
    let batch = queue.open ?? this.#sender.startBatch(queue);
    while (!this.#append(batch, timestampMs, keyBytes, keyEnd, value, headers)) {
      if (!this.#enlarge(batch)) batch = this.#sender.startBatch(queue);
    }
    this.#sender.noteRecord(batch);
    return batch;
  }

  /**
   * Adds a record to the partition whose turn it is. The turn ends with a full batch, or as many
   * bytes in smaller ones: a caller that awaits each record never fills a batch (KIP-794).
   */
  #addSticky(
    timestampMs: number,
    key: Buffer | null,
    keyEnd: number,
    value: V | null,
    headers: Headers,
  ): OpenBatch {
    if (this.#stickyBytes >= this.#options.batchSize) this.#goOn();
    for (;;) {
      const queue = this.#queues[this.#current]!;
      const batch = queue.open ?? this.#sender.startBatch(queue);
      const { sizeBytes } = batch.writer;
      if (this.#append(batch, timestampMs, key, keyEnd, value, headers)) {
        this.#stickyBytes += batch.writer.sizeBytes - sizeBytes;
        this.#sender.noteRecord(batch);
        return batch;
      }
      if (this.#enlarge(batch)) continue;
      this.#sender.sealBatch(queue);
      if (this.#stickyBytes > 0) this.#goOn(); // else other records have filled it
    }
  }

  #append(
    batch: OpenBatch,
    timestampMs: number,
    key: Buffer | null,
    keyEnd: number,
    value: V | null,
    headers: Headers,
  ): boolean {
    try {
      return batch.writer.append(timestampMs, key, 0, keyEnd, this.topic.value, value, headers);
    } catch (cause) {
      throw this.#notSerialized('value', cause);
    }
  }

  /** Writes the key to the scratch buffer; returns where it ends. */
  #serializeKey(key: K): number {
    try {
      for (;;) {
        const end = this.topic.key.serialize(key, this.#key, 0);
        if (end !== NO_ROOM) return end;
        const sizeBytes = this.#key.length * 2;
        if (sizeBytes > this.#options.maxRequestSize * 2) throw this.#tooLarge(sizeBytes / 2);
        this.#key = Buffer.allocUnsafeSlow(sizeBytes);
      }
    } catch (cause) {
      if (LogError.is(cause, 'MESSAGE_TOO_LARGE')) throw cause;
      throw this.#notSerialized('key', cause);
    }
  }

  /** True for a record that goes where the last one of its kind went. */
  #isSticky(key: K | null): boolean {
    if (this.partitions === 1) return false;
    const { partitioner } = this.#options;
    return partitioner === 'default' ? key === null : partitioner === 'uniform_sticky';
  }

  #choose(key: K | null, keyEnd: number, value: V | null): number {
    const { partitions } = this;
    const { partitioner } = this.#options;
    if (typeof partitioner === 'function') {
      const keyBytes = key === null ? null : this.#key.subarray(0, keyEnd);
      return partitioner({ topic: this.topic.name, key, value, keyBytes, partitions });
    }
    if (partitions === 1) return 0;
    if (partitioner !== 'round_robin') return partitionOfKey(this.#key, 0, keyEnd, partitions);
    this.#current = (this.#current + 1) % partitions;
    return this.#current;
  }

  /** Gives another partition its turn, any of them. */
  #goOn(): void {
    const { partitions } = this;
    const step = 1 + Math.floor(this.#options.random.next() * (partitions - 1));
    this.#current = (this.#current + step) % partitions;
    this.#stickyBytes = 0;
  }

  /**
   * Makes room for a record that did not fit: up to the batch size, and beyond it for the first
   * record. Returns false if the batch is full.
   *
   * @throws LogError MESSAGE_TOO_LARGE
   */
  #enlarge(batch: OpenBatch): boolean {
    const { batchSize, maxRequestSize } = this.#options;
    const { capacityBytes, recordCount } = batch.writer;
    if (capacityBytes < batchSize) {
      this.#sender.enlarge(batch, Math.min(capacityBytes * GROWTH, batchSize));
      return true;
    }
    if (recordCount > 0) return false;
    if (capacityBytes >= maxRequestSize) throw this.#tooLarge(capacityBytes);
    this.#sender.enlarge(batch, Math.min(capacityBytes * 2, maxRequestSize));
    return true;
  }

  #tooLarge(sizeBytes: number): LogError {
    const limitBytes = this.#options.maxRequestSize;
    const topic = this.topic.name;
    const message =
      `a record for ${topic} takes more than maxRequestSize=${limitBytes} bytes; raise it and ` +
      "the topic's maxMessageBytes, or make the record smaller";
    return new LogError('MESSAGE_TOO_LARGE', message, { topic, sizeBytes, limitBytes });
  }

  #notSerialized(field: 'key' | 'value', cause: unknown): LogError {
    const { name, [field]: serde } = this.topic;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message =
      `the ${field} of a record for ${name} ` + `could not be written by ${serde.name}: ${reason}`;
    return new LogError('SERIALIZATION_FAILED', message, { topic: name, field }, { cause });
  }

  #badPartition(partition: unknown): LogError {
    const { partitions } = this;
    const { name } = this.topic;
    const message = `topic ${name} has partitions 0 to ${partitions - 1}, not ${show(partition)}`;
    return new LogError('INVALID_PARTITIONS', message, {
      topic: name,
      partitions: Number(partition),
      existing: partitions,
    });
  }

  #check(timestampMs: number, headers: Headers): void {
    if (!(Number.isInteger(timestampMs) && timestampMs >= -1 && timestampMs <= TIMESTAMP_MS_MAX)) {
      throw this.#badTimestamp(timestampMs);
    }
    if (headers !== NO_HEADERS) this.#checkHeaders(headers);
  }

  #checkHeaders(headers: Headers): void {
    const fault = headersFault(headers);
    if (fault === undefined) return;
    const topic = this.topic.name;
    const message =
      `the headers of a record for ${topic} must be a list of { key, value } with a string and a ` +
      `Uint8Array or null, and ${fault}`;
    throw new LogError('SERIALIZATION_FAILED', message, { topic, field: 'headers' });
  }

  #badTimestamp(timestampMs: number): LogError {
    const topic = this.topic.name;
    const message =
      `${show(timestampMs)} is no timestamp for ${topic}: ` +
      'it must be whole milliseconds since 1970, such as Date.now()';
    return new LogError('INVALID_TIMESTAMP', message, { topic, partition: -1, timestampMs });
  }
}
