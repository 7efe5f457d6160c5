import { assert } from '../assert.ts';
import { LogError } from '../errors.ts';
import { batchSizeBytes } from '../record/batch.ts';
import { markerTypeAt } from '../record/control.ts';
import { BatchWriter, type BatchSeal } from '../record/batch-writer.ts';
import { NULL_POSITION, RecordCursor } from '../record/record-cursor.ts';
import type { RecordPlace } from '../record/unpack.ts';
import { NO_HEADERS } from '../record/record.ts';
import { bytes } from '../serde/binary.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import type { Appended } from '../log/partition-log-options.ts';
import type { Clock } from '../clock.ts';
import { INTERNAL_TOPIC_CONFIG } from './internal-topics.ts';
import type { Topics } from './topics.ts';

/** A record that a coordinator keeps: null for "gone". */
export interface CoordinatorRecord {
  readonly key: Buffer;
  readonly value: Buffer | null;
}

/** A record as `replay` shows it, in memory of its own. */
export interface ReplayedRecord extends CoordinatorRecord {
  readonly offset: number;
  /** The producer whose transaction it belongs to, or undefined. */
  readonly transactionOf: number | undefined;
}

const RECORD_OVERHEAD_BYTES = 64;
const INT32_MIN = -0x8000_0000;
const REPLAY_BYTES = 1024 * 1024;

/**
 * What a coordinator remembers: a compacted internal topic. One partition by default, not Kafka's
 * 50: there is one broker to put them on, and each more would be a file to sync at a commit.
 */
export class CoordinatorLog {
  readonly topic: string;
  readonly #topics: Topics;
  readonly #clock: Clock;
  /** Set while the topic is being created: all who need it wait for one creation. */
  #creating: Promise<void> | undefined;

  constructor(topic: string, topics: Topics, clock: Clock) {
    this.topic = topic;
    this.#topics = topics;
    this.#clock = clock;
  }

  /**
   * Creates the topic at first use, so that a log without groups or transactions has no such files.
   */
  async ensure(): Promise<void> {
    while (this.#topics.find(this.topic) === undefined) {
      this.#creating ??= this.#topics.create(this.topic, 1, INTERNAL_TOPIC_CONFIG).finally(() => {
        this.#creating = undefined;
      });
      await this.#creating;
    }
  }

  /**
   * The partition that keeps what belongs to `id`: Java's hash of it (`Utils.abs(id.hashCode)`).
   */
  partitionOf(id: string): number {
    let hash = 0;
    for (let index = 0; index < id.length; index++)
      hash = (Math.imul(hash, 31) + id.charCodeAt(index)) | 0;
    const positive = hash === INT32_MIN ? 0 : Math.abs(hash);
    return positive % this.#topics.get(this.topic).partitions.length;
  }

  log(partition: number): PartitionLog {
    return this.#topics.partition({ topic: this.topic, partition }).log;
  }

  /** Appends records that belong to `id`, as one batch. */
  append(id: string, records: readonly CoordinatorRecord[], seal: BatchSeal = {}): Appended {
    const sizes = records.map(
      ({ key, value }) => key.length + (value?.length ?? 0) + RECORD_OVERHEAD_BYTES,
    );
    const writer = new BatchWriter(
      sizes.reduce((sum, size) => sum + size, 2 * RECORD_OVERHEAD_BYTES),
    );
    const nowMs = this.#clock.nowMs();
    for (const { key, value } of records) {
      const isIn = writer.append(nowMs, key, 0, key.length, bytes(), value, NO_HEADERS);
      assert(isIn, 'the batch has room for the records that it was made for');
    }
    return this.log(this.partitionOf(id)).appendInternal(writer.close(seal));
  }

  /**
   * Goes through all that is kept, oldest first: records to `visit`, ended transactions to `ended`.
   *
   * @throws LogError CORRUPT_MESSAGE for a record that `visit` throws a RangeError for: nobody who
   *   knows its schema wrote it. CORRUPT_BATCH, KAFKA_STORAGE_ERROR
   */
  async replay(
    visit: (record: ReplayedRecord) => void,
    ended: (producerId: number, isCommit: boolean) => void = () => undefined,
  ): Promise<void> {
    for (const { log, partition } of this.#topics.find(this.topic)?.partitions ?? []) {
      const cursor = new RecordCursor({ topic: this.topic, partition });
      let offset = log.logStartOffset;
      while (offset < log.highWatermark) {
        const limits = { endOffset: log.highWatermark, maxBytes: REPLAY_BYTES };
        const { bytes: batches, nextOffset } = await log.read(offset, limits);
        if (nextOffset === offset) break;
        for (let at = 0; at < batches.length; at += batchSizeBytes(batches, at)) {
          cursor.open(batches, at);
          try {
            replayBatch(cursor, visit, ended);
          } catch (cause) {
            if (!(cause instanceof RangeError)) throw cause;
            throw unreadable(log.place, cursor.offset, cause);
          }
        }
        offset = nextOffset;
      }
    }
  }
}

function unreadable({ topic, partition }: RecordPlace, offset: number, cause: Error): LogError {
  const reason = `the record at offset ${offset} cannot be read: ${cause.message}`;
  const message = `${topic}-${partition} is damaged: ${reason}`;
  return new LogError('CORRUPT_MESSAGE', message, { topic, partition, reason }, { cause });
}

function replayBatch(
  cursor: RecordCursor,
  visit: (record: ReplayedRecord) => void,
  ended: (producerId: number, isCommit: boolean) => void,
): void {
  const { isControl, isTransactional, producerId } = cursor.header;
  while (cursor.next()) {
    if (isControl) {
      const type = markerTypeAt(cursor);
      if (type !== undefined) ended(producerId, type === 'COMMIT');
      continue;
    }
    const { source, keyStart, keyEnd, valueStart, valueEnd } = cursor;
    if (keyStart === NULL_POSITION) continue;
    visit({
      offset: cursor.offset,
      key: Buffer.from(source.subarray(keyStart, keyEnd)),
      value:
        valueStart === NULL_POSITION ? null : Buffer.from(source.subarray(valueStart, valueEnd)),
      transactionOf: isTransactional ? producerId : undefined,
    });
  }
}
