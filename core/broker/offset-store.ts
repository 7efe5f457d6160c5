import { LogError } from '../errors.ts';
import type { Clock } from '../clock.ts';
import type {
  CommittedOffset,
  FetchedOffset,
  PartitionError,
  ProducerIdentity,
  TopicPartition,
} from './broker-api.ts';
import { partitionKey } from './checkpoint-file.ts';
import type { CoordinatorLog } from './coordinator-log.ts';
import {
  decodeGroupTopicKey,
  decodeOffsetValue,
  encodeOffsetKey,
  encodeOffsetValue,
  type OffsetKey,
  type OffsetValue,
} from './coordinator-records.ts';
import type { Topics } from './topics.ts';

/** Kafka's `offset.metadata.max.bytes`. */
const METADATA_BYTES_MAX = 4096;

/** Where a group stands in a partition. */
interface Committed extends TopicPartition {
  readonly value: OffsetValue;
}

/** Offsets that a transaction will commit, or not. */
interface PendingCommit {
  readonly groupId: string;
  readonly offsets: readonly Committed[];
}

/**
 * The committed offsets of all groups, kept in `__consumer_offsets`. An offset is acknowledged only
 * when it and the records below it are on stable storage: otherwise a power cut could take records
 * that a group has counted as read, and what is appended in their place would never be read.
 */
export class OffsetStore {
  readonly #topics: Topics;
  readonly #log: CoordinatorLog;
  readonly #clock: Clock;
  /**
   * Group to partition key to offset. Changes when a commit is written, or its transaction ends.
   */
  readonly #groups = new Map<string, Map<string, Committed>>();
  /** Producer id to what its open transaction wants to commit. */
  readonly #pending = new Map<number, PendingCommit[]>();

  constructor(topics: Topics, log: CoordinatorLog, clock: Clock) {
    this.#topics = topics;
    this.#log = log;
    this.#clock = clock;
  }

  /** Reads back what the topic keeps. */
  async open(): Promise<void> {
    await this.#log.replay(
      ({ key, value, transactionOf }) => {
        const decoded = decodeGroupTopicKey(key);
        if (decoded?.kind !== 'offset') return;
        const offset = value === null ? undefined : decodeOffsetValue(value);
        if (transactionOf === undefined) this.#apply(decoded, offset);
        else if (offset !== undefined) this.#await(transactionOf, decoded, offset);
      },
      (producerId, isCommit) => this.endTransaction(producerId, isCommit),
    );
  }

  get groupIds(): IterableIterator<string> {
    return this.#groups.keys();
  }

  /** The partition of `__consumer_offsets` that keeps a group's offsets. */
  async partitionOf(groupId: string): Promise<TopicPartition> {
    await this.#log.ensure();
    return { topic: this.#log.topic, partition: this.#log.partitionOf(groupId) };
  }

  /**
   * Commits offsets at once. Durable when it resolves.
   *
   * @throws LogError OFFSET_METADATA_TOO_LARGE, UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR,
   *   DISK_FULL: none of them is committed.
   */
  async commit(
    groupId: string,
    offsets: readonly CommittedOffset[],
  ): Promise<readonly PartitionError[]> {
    const committed = await this.#prepare(offsets);
    await this.#log.ensure();
    const { lastOffset } = this.#log.append(groupId, toRecords(groupId, committed));
    await this.#log.log(this.#log.partitionOf(groupId)).sync(lastOffset + 1);
    for (const { topic, partition, value } of committed) {
      this.#apply({ kind: 'offset', groupId, topic, partition }, value);
    }
    return offsets.map(({ topic, partition }) => ({ topic, partition }));
  }

  /** Puts offsets into the producer's open transaction: they count when it commits. */
  async commitInTransaction(
    groupId: string,
    offsets: readonly CommittedOffset[],
    producer: ProducerIdentity,
  ): Promise<readonly PartitionError[]> {
    const committed = await this.#prepare(offsets);
    const { producerId, producerEpoch } = producer;
    const seal = { producerId, producerEpoch, isTransactional: true };
    const appended = this.#log.append(groupId, toRecords(groupId, committed), seal);
    await appended.written;
    const pending = this.#pending.get(producerId) ?? [];
    pending.push({ groupId, offsets: committed });
    this.#pending.set(producerId, pending);
    return offsets.map(({ topic, partition }) => ({ topic, partition }));
  }

  /** Called when the marker of the producer's transaction is written. */
  endTransaction(producerId: number, isCommit: boolean): void {
    const pending = this.#pending.get(producerId) ?? [];
    this.#pending.delete(producerId);
    if (!isCommit) return;
    for (const { groupId, offsets } of pending) {
      for (const { topic, partition, value } of offsets) {
        this.#apply({ kind: 'offset', groupId, topic, partition }, value);
      }
    }
  }

  /** What a group has committed; offset -1 for a partition where it has not. */
  fetch(
    groupId: string,
    partitions: readonly TopicPartition[] | undefined,
    requireStable: boolean,
  ): FetchedOffset[] {
    const committed = this.#groups.get(groupId);
    const wanted = partitions ?? [...(committed?.values() ?? [])];
    const unstable = requireStable ? this.#unstable(groupId) : NOTHING;
    return wanted.map(({ topic, partition }) => {
      const key = partitionKey(topic, partition);
      const value = committed?.get(key)?.value;
      const { offset, metadata } = value ?? { offset: -1, metadata: '' };
      if (!unstable.has(key)) return { topic, partition, offset, metadata };
      const message = `group ${groupId} has a commit for ${key} in an open transaction; try again`;
      const details = { groupId, topic, partition };
      const error = LogError.toData(new LogError('UNSTABLE_OFFSET_COMMIT', message, details));
      return { topic, partition, offset: -1, metadata: '', error };
    });
  }

  /** Forgets a group's offsets. Durable when it resolves. */
  async delete(groupId: string): Promise<void> {
    const committed = [...(this.#groups.get(groupId)?.values() ?? [])];
    if (committed.length === 0) return;
    const records = committed.map(({ topic, partition }) => ({
      key: encodeOffsetKey({ groupId, topic, partition }),
      value: null,
    }));
    const { lastOffset } = this.#log.append(groupId, records);
    await this.#log.log(this.#log.partitionOf(groupId)).sync(lastOffset + 1);
    this.#groups.delete(groupId);
  }

  /** Checks the offsets and makes the records below them durable. */
  async #prepare(offsets: readonly CommittedOffset[]): Promise<Committed[]> {
    const commitMs = this.#clock.nowMs();
    const syncs: Promise<void>[] = [];
    const committed = offsets.map(({ topic, partition, offset, metadata }) => {
      const sizeBytes = Buffer.byteLength(metadata);
      if (sizeBytes > METADATA_BYTES_MAX) throw metadataTooLarge(sizeBytes);
      const { log } = this.#topics.partition({ topic, partition });
      const covered = Math.min(offset, log.highWatermark);
      if (log.durableOffset < covered) syncs.push(log.sync(covered));
      return { topic, partition, value: { offset, metadata, commitMs } };
    });
    await Promise.all(syncs);
    return committed;
  }

  #unstable(groupId: string): ReadonlySet<string> {
    const keys = new Set<string>();
    for (const commits of this.#pending.values()) {
      for (const commit of commits) {
        if (commit.groupId !== groupId) continue;
        for (const { topic, partition } of commit.offsets) keys.add(partitionKey(topic, partition));
      }
    }
    return keys;
  }

  #await(producerId: number, { groupId, topic, partition }: OffsetKey, value: OffsetValue): void {
    const pending = this.#pending.get(producerId) ?? [];
    pending.push({ groupId, offsets: [{ topic, partition, value }] });
    this.#pending.set(producerId, pending);
  }

  #apply({ groupId, topic, partition }: OffsetKey, value: OffsetValue | undefined): void {
    let group = this.#groups.get(groupId);
    if (group === undefined) this.#groups.set(groupId, (group = new Map<string, Committed>()));
    const key = partitionKey(topic, partition);
    if (value === undefined) group.delete(key);
    else group.set(key, { topic, partition, value });
    if (group.size === 0) this.#groups.delete(groupId);
  }
}

const NOTHING: ReadonlySet<string> = new Set();

function toRecords(
  groupId: string,
  offsets: readonly Committed[],
): { key: Buffer; value: Buffer }[] {
  return offsets.map(({ topic, partition, value }) => ({
    key: encodeOffsetKey({ groupId, topic, partition }),
    value: encodeOffsetValue(value),
  }));
}

function metadataTooLarge(sizeBytes: number): LogError {
  const message = `offset metadata of ${sizeBytes} bytes exceeds ${METADATA_BYTES_MAX}`;
  const details = { sizeBytes, limitBytes: METADATA_BYTES_MAX };
  return new LogError('OFFSET_METADATA_TOO_LARGE', message, details);
}
