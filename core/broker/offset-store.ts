import { LogError } from '../errors.ts';
import type { Clock } from '../clock.ts';
import type { Appended } from '../log/partition-log-options.ts';
import type { BatchSeal } from '../record/batch-writer.ts';
import type {
  CommittedOffset,
  FetchedOffset,
  PartitionError,
  ProducerIdentity,
  TopicPartition,
} from '../protocol/broker-api.ts';
import { partitionKey } from '../protocol/topic-partition.ts';
import type { CoordinatorLog, CoordinatorRecord } from './coordinator-log.ts';
import {
  decodeGroupTopicKey,
  decodeOffsetValue,
  encodeOffsetKey,
  encodeOffsetValue,
  type OffsetValue,
} from './coordinator-records.ts';
import { checkCommitted, checkString } from './request-checks.ts';
import type { Topics } from './topics.ts';

/** Kafka's `offset.metadata.max.bytes`. */
const METADATA_BYTES_MAX = 4096;

/** Where a group stands in a partition. */
interface Committed extends TopicPartition {
  readonly value: OffsetValue;
  /** Where the record of it stands in the log: of two commits the later record counts. */
  readonly at: number;
}

/** Offsets that a transaction will commit, or not; fewer when some are to be forgotten. */
interface PendingCommit {
  readonly groupId: string;
  offsets: readonly Committed[];
}

/** What a caller hands in. */
type Checked = Omit<Committed, 'at'>;

/**
 * The committed offsets of all groups, kept in `__consumer_offsets`. An offset is acknowledged only
 * when it and the records below it are on stable storage: otherwise a power cut could take records
 * that a group has counted as read, and what is appended in their place would never be read.
 */
export class OffsetStore {
  readonly #topics: Topics;
  readonly #log: CoordinatorLog;
  readonly #clock: Clock;
  /** Group to partition key to offset. Changes when a commit is written, or its end is. */
  readonly #groups = new Map<string, Map<string, Committed>>();
  /** Producer id to what its open transaction wants to commit. */
  readonly #pending = new Map<number, PendingCommit[]>();

  constructor(topics: Topics, log: CoordinatorLog, clock: Clock) {
    this.#topics = topics;
    this.#log = log;
    this.#clock = clock;
  }

  /**
   * Reads back what the topic keeps, and forgets what it keeps of topics that are gone: another one
   * of the name must not inherit it.
   */
  async open(): Promise<void> {
    /** Where offsets were deleted: an older commit stays so, though its transaction ends later. */
    const deleted = new Map<string, number>();
    await this.#log.replay(
      ({ key, value, offset: at, transactionOf }) => {
        const decoded = decodeGroupTopicKey(key);
        if (decoded?.kind !== 'offset') return;
        const { groupId, topic, partition } = decoded;
        if (value === null) {
          deleted.set(key.toString('latin1'), at);
          this.#remove(groupId, partitionKey(topic, partition));
          return;
        }
        const committed = { topic, partition, value: decodeOffsetValue(value), at };
        if (transactionOf === undefined) this.#apply(groupId, committed);
        else this.#await(transactionOf, { groupId, offsets: [committed] });
      },
      (producerId, isCommit) =>
        this.#end(producerId, isCommit, (groupId, { topic, partition, at }) => {
          const key = encodeOffsetKey({ groupId, topic, partition });
          return at > (deleted.get(key.toString('latin1')) ?? -1);
        }),
    );
    const kept = [...this.#groups.values()].flatMap((group) => [...group.values()]);
    for (const topic of new Set(kept.map((committed) => committed.topic))) {
      if (this.#topics.find(topic) === undefined) await this.forgetTopic(topic);
    }
  }

  /** The topic that keeps them. */
  get topic(): string {
    return this.#log.topic;
  }

  get groupIds(): IterableIterator<string> {
    return this.#groups.keys();
  }

  /** True when the group has committed something. */
  has(groupId: string): boolean {
    return this.#groups.has(groupId);
  }

  /**
   * The partition of `__consumer_offsets` that keeps a group's offsets.
   *
   * @throws LogError INVALID_REQUEST
   */
  async partitionOf(groupId: string): Promise<TopicPartition> {
    checkString('groupId', groupId);
    await this.#log.ensure();
    return { topic: this.#log.topic, partition: this.#log.partitionOf(groupId) };
  }

  /**
   * Commits offsets at once. Durable when it resolves.
   *
   * @param mayCommit throws when the committer may not commit; called at the last moment, because
   *   the group may move on while records are made durable.
   * @throws LogError OFFSET_METADATA_TOO_LARGE, UNKNOWN_TOPIC_OR_PARTITION, INVALID_REQUEST,
   *   KAFKA_STORAGE_ERROR, DISK_FULL: none of them is committed.
   */
  async commit(
    groupId: string,
    offsets: readonly CommittedOffset[],
    mayCommit: () => void,
  ): Promise<readonly PartitionError[]> {
    if (offsets.length === 0) return [];
    const { baseOffset, lastOffset, checked } = await this.#append(groupId, offsets, mayCommit);
    await this.#log.log(this.#log.partitionOf(groupId)).sync(lastOffset + 1);
    for (const committed of placed(checked, baseOffset)) this.#apply(groupId, committed);
    return offsets.map(({ topic, partition }) => ({ topic, partition }));
  }

  /**
   * Puts offsets into the producer's open transaction: they count when it commits.
   *
   * @param mayCommit as for `commit`; also throws when the transaction is not open any more.
   */
  async commitInTransaction(
    groupId: string,
    offsets: readonly CommittedOffset[],
    producer: ProducerIdentity,
    mayCommit: () => void,
  ): Promise<readonly PartitionError[]> {
    if (offsets.length === 0) return [];
    const { producerId, producerEpoch } = producer;
    const seal = { producerId, producerEpoch, isTransactional: true };
    const { baseOffset, written, checked } = await this.#append(groupId, offsets, mayCommit, seal);
    // At once: the end of the transaction may be asked for before the record is written.
    const pending = { groupId, offsets: placed(checked, baseOffset) };
    this.#await(producerId, pending);
    try {
      await written;
    } catch (cause) {
      const left = this.#pending.get(producerId)?.filter((each) => each !== pending) ?? [];
      if (left.length > 0) this.#pending.set(producerId, left);
      else this.#pending.delete(producerId);
      throw cause;
    }
    return offsets.map(({ topic, partition }) => ({ topic, partition }));
  }

  /** Called when the marker of the producer's transaction is written. */
  endTransaction(producerId: number, isCommit: boolean): void {
    this.#end(producerId, isCommit, () => true);
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

  /**
   * Forgets what all groups have committed for a topic, and what open transactions would commit.
   * Durable when it resolves.
   */
  async forgetTopic(topic: string): Promise<void> {
    const groups = new Set(this.#groups.keys());
    for (const commits of this.#pending.values()) {
      for (const { groupId } of commits) groups.add(groupId);
    }
    const isOf = (committed: TopicPartition): boolean => committed.topic === topic;
    await Promise.all([...groups].map((groupId) => this.#forget(groupId, isOf)));
  }

  /**
   * Forgets all that a group has committed, and what open transactions would commit for it, in one
   * batch with `also`. Durable when it resolves.
   *
   * @throws LogError DISK_FULL: nothing is forgotten. KAFKA_STORAGE_ERROR
   */
  forgetGroup(groupId: string, also: readonly CoordinatorRecord[]): Promise<void> {
    return this.#forget(groupId, () => true, also);
  }

  /** The same for some partitions. */
  forgetOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<void> {
    const keys = new Set(partitions.map(({ topic, partition }) => partitionKey(topic, partition)));
    return this.#forget(groupId, (each) => keys.has(partitionKey(each.topic, each.partition)));
  }

  async #forget(
    groupId: string,
    isOf: (committed: TopicPartition) => boolean,
    also: readonly CoordinatorRecord[] = [],
  ): Promise<void> {
    const forgotten = new Map<string, TopicPartition>();
    const note = (offsets: Iterable<Committed>): void => {
      for (const { topic, partition } of offsets) {
        if (!isOf({ topic, partition })) continue;
        forgotten.set(partitionKey(topic, partition), { topic, partition });
      }
    };
    note(this.#groups.get(groupId)?.values() ?? []);
    const pending = [...this.#pending.values()].flat();
    for (const commit of pending) if (commit.groupId === groupId) note(commit.offsets);
    if (forgotten.size === 0 && also.length === 0) return;
    const records = [...forgotten.values()].map((place) => {
      return { key: encodeOffsetKey({ groupId, ...place }), value: null };
    });
    const { lastOffset } = this.#log.append(groupId, [...records, ...also]);
    for (const key of forgotten.keys()) this.#remove(groupId, key);
    for (const commit of pending) {
      if (commit.groupId !== groupId) continue;
      commit.offsets = commit.offsets.filter((committed) => !isOf(committed));
    }
    await this.#log.log(this.#log.partitionOf(groupId)).sync(lastOffset + 1);
  }

  /** Makes the records below the offsets durable, and then appends the offsets. */
  async #append(
    groupId: string,
    offsets: readonly CommittedOffset[],
    mayCommit: () => void,
    seal: BatchSeal = {},
  ): Promise<Appended & { readonly checked: readonly Checked[] }> {
    checkCommitted(groupId, offsets);
    const commitMs = this.#clock.nowMs();
    const syncs: Promise<void>[] = [];
    const checked = offsets.map(({ topic, partition, offset, metadata = '' }) => {
      const sizeBytes = Buffer.byteLength(metadata);
      if (sizeBytes > METADATA_BYTES_MAX) throw metadataTooLarge(sizeBytes);
      const { log } = this.#topics.partition({ topic, partition });
      const covered = Math.min(offset, log.highWatermark);
      if (log.durableOffset < covered) syncs.push(log.sync(covered));
      return { topic, partition, value: { offset, metadata, commitMs } };
    });
    await Promise.all(syncs);
    await this.#log.ensure();
    mayCommit();
    for (const each of checked) this.#topics.partition(each); // deleted meanwhile?
    return { ...this.#log.append(groupId, toRecords(groupId, checked), seal), checked };
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

  #await(producerId: number, commit: PendingCommit): void {
    const pending = this.#pending.get(producerId);
    if (pending === undefined) this.#pending.set(producerId, [commit]);
    else pending.push(commit);
  }

  #end(
    producerId: number,
    isCommit: boolean,
    counts: (groupId: string, committed: Committed) => boolean,
  ): void {
    const pending = this.#pending.get(producerId) ?? [];
    this.#pending.delete(producerId);
    if (!isCommit) return;
    for (const { groupId, offsets } of pending) {
      for (const each of offsets) if (counts(groupId, each)) this.#apply(groupId, each);
    }
  }

  #apply(groupId: string, committed: Committed): void {
    let group = this.#groups.get(groupId);
    if (group === undefined) {
      group = new Map<string, Committed>();
      this.#groups.set(groupId, group);
    }
    const key = partitionKey(committed.topic, committed.partition);
    const known = group.get(key);
    // Compaction keeps the last record of a key, so that is the one that counts from the beginning.
    if (known === undefined || known.at < committed.at) group.set(key, committed);
  }

  #remove(groupId: string, key: string): void {
    const group = this.#groups.get(groupId);
    group?.delete(key);
    if (group?.size === 0) this.#groups.delete(groupId);
  }
}

const NOTHING: ReadonlySet<string> = new Set();

function toRecords(groupId: string, offsets: readonly Checked[]): { key: Buffer; value: Buffer }[] {
  return offsets.map(({ topic, partition, value }) => ({
    key: encodeOffsetKey({ groupId, topic, partition }),
    value: encodeOffsetValue(value),
  }));
}

/** The offsets with where their records stand. */
function placed(offsets: readonly Checked[], baseOffset: number): Committed[] {
  return offsets.map((each, index) => ({ ...each, at: baseOffset + index }));
}

function metadataTooLarge(sizeBytes: number): LogError {
  const message = `offset metadata of ${sizeBytes} bytes exceeds ${METADATA_BYTES_MAX}`;
  const details = { sizeBytes, limitBytes: METADATA_BYTES_MAX };
  return new LogError('OFFSET_METADATA_TOO_LARGE', message, details);
}
