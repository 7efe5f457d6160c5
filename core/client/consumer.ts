import { Subject, type Observable } from 'rxjs';
import { systemClock, type Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import { systemRandom, type Random } from '../random.ts';
import type {
  BrokerApi,
  CommittedOffset,
  OffsetSpec,
  TopicPartition,
} from '../broker/broker-api.ts';
import { partitionKey } from '../broker/checkpoint-file.ts';
import {
  consumerSettings,
  type ConsumerOptions,
  type ConsumerSettings,
} from './consumer-options.ts';
import { ConsumerRecord } from './consumer-record.ts';
import { Fetcher } from './fetcher.ts';
import { GroupMembership } from './group-membership.ts';
import type { PartitionRecords } from './partition-records.ts';
import type { Topic } from './topic.ts';
import { ensureTopic } from './topic-metadata.ts';
import type { GroupMetadata } from './transaction.ts';

/** The records of a topic, or of several. */
export type RecordOf<T> = T extends Topic<infer K, infer V> ? ConsumerRecord<K, V> : never;

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- types are inferred from it
export type AnyTopic = Topic<any, any>;

/** What a consumer is told to read, by hand. */
export interface Assignment<T extends AnyTopic = AnyTopic> {
  readonly topic: T;
  readonly partition: number;
  /** The first offset to read; default: as committed, or `autoOffsetReset`. */
  readonly offset?: number;
}

/** An offset could not be read, and the consumer went to another by `autoOffsetReset`. */
export interface OffsetReset extends TopicPartition {
  readonly from: number;
  readonly to: number;
}

/** A new generation of the group: what this member has now. */
export interface Rebalance {
  readonly generation: number;
  readonly partitions: readonly TopicPartition[];
}

/**
 * Reads records. One user at a time: `poll` and iteration must not overlap. Made by
 * `log.consumer()`.
 *
 * @example
 * for await (const order of log.consumer({ groupId: 'audit' }).subscribe([orders])) { ... }
 */
export class Consumer<R extends ConsumerRecord = ConsumerRecord> implements AsyncDisposable {
  readonly #api: BrokerApi;
  readonly #clock: Clock;
  readonly #options: ConsumerSettings;
  readonly #fetcher: Fetcher;
  readonly #membership: GroupMembership | undefined;
  readonly #handles = new Map<string, AnyTopic>();
  /** The next offset to hand out, by partition: what a commit commits. */
  readonly #positions = new Map<string, TopicPartition & { offset: number }>();
  /** What has been fetched and is being handed out. */
  #current: PartitionRecords[] = [];
  #isSubscribed = false;
  #lastCommitMs: number;
  #isClosed = false;
  readonly #resets = new Subject<OffsetReset>();
  readonly #rebalances = new Subject<Rebalance>();

  /** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
  constructor(
    api: BrokerApi,
    options: ConsumerOptions = {},
    environment: { readonly clock?: Clock; readonly random?: Random } = {},
  ) {
    const all = consumerSettings(options);
    const { clock = systemClock, random = systemRandom } = environment;
    this.#api = api;
    this.#clock = clock;
    this.#options = all;
    this.#lastCommitMs = clock.monotonicMs();
    this.#fetcher = new Fetcher({ api, ...all });
    const { groupId } = all;
    if (groupId === undefined) return;
    this.#membership = new GroupMembership({
      api,
      clock,
      groupId,
      clientId: `${all.clientId}-${Math.floor(random.next() * 1e9)}`,
      sessionTimeoutMs: all.sessionTimeoutMs,
      heartbeatIntervalMs: all.heartbeatIntervalMs,
      maxPollIntervalMs: all.maxPollIntervalMs,
      assignors: all.partitionAssignmentStrategy,
      countPartitions: (topics) => this.#countPartitions(topics),
    });
  }

  /** What happened to the member's seat in its group. */
  get rebalances$(): Observable<Rebalance> {
    return this.#rebalances.asObservable();
  }

  /** Each time the consumer could not go on where it stood. */
  get resets$(): Observable<OffsetReset> {
    return this.#resets.asObservable();
  }

  /**
   * Reads these topics as a member of the group, or, without a `groupId`, all their partitions.
   * Nothing happens before the first poll.
   */
  subscribe<T extends AnyTopic>(topics: readonly T[]): Consumer<RecordOf<T>> {
    for (const topic of topics) this.#handles.set(topic.name, topic);
    this.#isSubscribed = true;
    return this as unknown as Consumer<RecordOf<T>>;
  }

  /**
   * Reads exactly these partitions, instead of what a group would give. Replaces an earlier call.
   */
  async assign<T extends AnyTopic>(
    assignments: readonly Assignment<T>[],
  ): Promise<Consumer<RecordOf<T>>> {
    for (const place of this.#fetcher.partitions) this.#drop(place);
    for (const { topic } of assignments) {
      if (this.#handles.has(topic.name)) continue;
      this.#handles.set(topic.name, topic);
      await ensureTopic(this.#api, topic);
    }
    const places = assignments.map(({ topic, partition, offset }) => ({
      topic: topic.name,
      partition,
      ...(offset !== undefined && { offset }),
    }));
    await this.#add(places);
    return this as unknown as Consumer<RecordOf<T>>;
  }

  /**
   * Returns the next records: as soon as there are any, at most `maxPollRecords`, none after
   * `maxWaitMs` (default: wait until there are some). With auto-commit, what the poll before
   * returned is committed by this call or a later one.
   *
   * @throws LogError OFFSET_OUT_OF_RANGE with `autoOffsetReset: 'none'`, CORRUPT_BATCH,
   *   UNKNOWN_TOPIC_OR_PARTITION, ABORTED by the signal.
   */
  async poll(options: { readonly maxWaitMs?: number } = {}): Promise<R[]> {
    await this.#fill(options.maxWaitMs ?? Infinity);
    const records: R[] = [];
    const { maxPollRecords } = this.#options;
    while (records.length < maxPollRecords) {
      const batch = this.#current[0];
      if (batch === undefined) break;
      if (batch.next()) {
        records.push(this.#record(batch));
        this.#advance(batch, batch.cursor.offset + 1);
      } else {
        this.#advance(batch, batch.endOffset);
        this.#current.shift();
      }
    }
    return records;
  }

  /**
   * The same in whole batches, for programs that look at bytes: no object a record. All of it
   * counts as handed out.
   *
   * @throws LogError as `poll`.
   */
  async pollBatches(options: { readonly maxWaitMs?: number } = {}): Promise<PartitionRecords[]> {
    await this.#fill(options.maxWaitMs ?? Infinity);
    const batches = this.#current;
    this.#current = [];
    for (const batch of batches) this.#advance(batch, batch.endOffset);
    return batches;
  }

  /**
   * Iterates until the signal aborts or the loop is left. A record counts as handed out when the
   * next is asked for.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<R, void, undefined> {
    const { signal } = this.#options;
    for (;;) {
      try {
        await this.#fill(Infinity);
      } catch (error) {
        if (signal?.aborted === true && LogError.is(error, 'ABORTED')) return;
        throw error;
      }
      for (let batch = this.#current[0]; batch !== undefined; batch = this.#current[0]) {
        while (batch.next()) {
          yield this.#record(batch);
          this.#advance(batch, batch.cursor.offset + 1);
          if (signal?.aborted === true) return;
        }
        this.#advance(batch, batch.endOffset);
        this.#current.shift();
      }
    }
  }

  /** The partitions that are read now. */
  get assignment(): TopicPartition[] {
    return this.#fetcher.partitions;
  }

  /** The offset of the next record to be handed out; undefined for a partition that is not read. */
  position({ topic, partition }: TopicPartition): number | undefined {
    return this.#positions.get(partitionKey(topic, partition))?.offset;
  }

  /** Goes on from `offset`. */
  seek(place: TopicPartition, offset: number): void {
    this.#checkAssigned(place);
    this.#current = this.#current.filter((batch) => !isSame(batch, place));
    this.#fetcher.seek(place, offset);
    const { topic, partition } = place;
    this.#positions.set(partitionKey(topic, partition), { topic, partition, offset });
  }

  /** Hands out nothing more of these partitions until `resume`; the seat in the group is kept. */
  pause(places: readonly TopicPartition[]): void {
    for (const place of places) this.#fetcher.pause(place, true);
  }

  /** Reads paused partitions again. */
  resume(places: readonly TopicPartition[]): void {
    for (const place of places) this.#fetcher.pause(place, false);
  }

  /**
   * Commits what has been handed out, or `offsets`: the **next** offset of each partition. Durable
   * when it resolves.
   *
   * @throws LogError NOT_SUBSCRIBED without a groupId; REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION,
   *   UNKNOWN_MEMBER_ID when the partitions may be another member's by now: not committed.
   */
  async commit(offsets?: readonly CommittedOffset[]): Promise<void> {
    const { groupId } = this.#groupMetadata();
    const member = this.#member();
    const positions =
      offsets ?? [...this.#positions.values()].map((each) => ({ ...each, metadata: '' }));
    if (positions.length === 0) return;
    const { results } = await this.#api.offsetCommit({ ...member, groupId, offsets: positions });
    const failed = results.find(({ error }) => error !== undefined)?.error;
    if (failed !== undefined) throw LogError.fromData(failed);
    this.#lastCommitMs = this.#clock.monotonicMs();
  }

  /**
   * What the group has committed for the partitions, by partition key; missing where it has not.
   */
  async committed(places: readonly TopicPartition[]): Promise<Map<string, CommittedOffset>> {
    const { groupId } = this.#groupMetadata();
    const partitions = places.map(({ topic, partition }) => ({ topic, partition }));
    const { offsets } = await this.#api.offsetFetch({ groupId, partitions, requireStable: false });
    const found = new Map<string, CommittedOffset>();
    for (const { error, ...committed } of offsets) {
      if (error !== undefined) throw LogError.fromData(error);
      if (committed.offset >= 0)
        found.set(partitionKey(committed.topic, committed.partition), committed);
    }
    return found;
  }

  /** For `transaction.sendOffsets`: who this consumer is in its group. */
  groupMetadata(): GroupMetadata {
    return { ...this.#groupMetadata(), ...this.#member() };
  }

  /** Commits (with auto-commit), leaves the group and ends the consumer. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#commitsItself()) await this.#commitQuietly();
    await this.#membership?.leave();
    this.#resets.complete();
    this.#rebalances.complete();
  }

  /** As `close`, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Sees to it that `#current` holds something, or that `maxWaitMs` are over. */
  async #fill(maxWaitMs: number): Promise<void> {
    const { signal } = this.#options;
    const deadlineMs = this.#clock.monotonicMs() + maxWaitMs;
    for (;;) {
      if (this.#isClosed)
        throw new LogError('CLOSED', 'the consumer is closed', { what: 'the consumer' });
      if (signal?.aborted === true) throw aborted();
      await this.#maybeCommit();
      await this.#ensureAssigned();
      if (this.#current.length > 0) return;
      const leftMs = Math.max(0, deadlineMs - this.#clock.monotonicMs());
      this.#current = await this.#fetcher.take(leftMs);
      await this.#handleErrors();
      if (this.#current.length > 0 || leftMs === 0) return;
    }
  }

  async #ensureAssigned(): Promise<void> {
    if (!this.#isSubscribed) {
      if (this.#fetcher.partitions.length > 0) return;
      const { groupId } = this.#options;
      const details = groupId === undefined ? {} : { groupId };
      throw new LogError(
        'NOT_SUBSCRIBED',
        'the consumer has neither subscribed nor assigned',
        details,
      );
    }
    const membership = this.#membership;
    if (membership === undefined) {
      if (this.#fetcher.partitions.length === 0) await this.#add(await this.#allPartitions());
      return;
    }
    if (!membership.mustRejoin) return;
    if (this.#commitsItself()) await this.#commitQuietly();
    for (const topic of this.#handles.values()) await ensureTopic(this.#api, topic);
    const assigned = await membership.join([...this.#handles.keys()]);
    for (const place of this.#fetcher.partitions) {
      if (!assigned.some((each) => isSame(each, place))) this.#drop(place);
    }
    await this.#add(assigned.filter((place) => !this.#fetcher.has(place)));
    this.#rebalances.next({ generation: membership.member.generation, partitions: assigned });
  }

  async #allPartitions(): Promise<TopicPartition[]> {
    const counts = await this.#countPartitions([...this.#handles.keys()]);
    return [...counts].flatMap(([topic, count]) =>
      Array.from({ length: count }, (_, partition) => ({ topic, partition })),
    );
  }

  async #countPartitions(topics: readonly string[]): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for (const name of topics) {
      const handle = this.#handles.get(name);
      if (handle !== undefined) counts.set(name, await ensureTopic(this.#api, handle));
    }
    return counts;
  }

  /**
   * Begins to read partitions: where told, where the group stands, or where `autoOffsetReset` says.
   */
  async #add(places: readonly (TopicPartition & { readonly offset?: number })[]): Promise<void> {
    const unknown = places.filter(({ offset }) => offset === undefined);
    const hasGroup = this.#options.groupId !== undefined && unknown.length > 0;
    const committed = hasGroup ? await this.committed(unknown) : new Map<string, CommittedOffset>();
    const { autoOffsetReset } = this.#options;
    for (const { topic, partition, offset } of places) {
      const key = partitionKey(topic, partition);
      const known = offset ?? committed.get(key)?.offset;
      if (known === undefined && autoOffsetReset === 'none')
        throw this.#noOffset({ topic, partition });
      const spec = autoOffsetReset === 'latest' ? 'latest' : 'earliest';
      const start = known ?? (await this.#offsetOf({ topic, partition }, spec));
      this.#fetcher.seek({ topic, partition }, start);
      this.#positions.set(key, { topic, partition, offset: start });
    }
  }

  #drop(place: TopicPartition): void {
    this.#fetcher.remove(place);
    this.#positions.delete(partitionKey(place.topic, place.partition));
    this.#current = this.#current.filter((batch) => !isSame(batch, place));
  }

  async #handleErrors(): Promise<void> {
    for (const { place, error } of this.#fetcher.takeErrors()) {
      const { autoOffsetReset } = this.#options;
      if (!LogError.is(error, 'OFFSET_OUT_OF_RANGE') || autoOffsetReset === 'none') throw error;
      const to = await this.#offsetOf(place, autoOffsetReset);
      this.seek(place, to);
      this.#resets.next({
        topic: place.topic,
        partition: place.partition,
        from: error.details.offset,
        to,
      });
    }
  }

  async #offsetOf({ topic, partition }: TopicPartition, spec: OffsetSpec): Promise<number> {
    const { isolationLevel } = this.#options;
    const { partitions } = await this.#api.listOffsets({
      isolationLevel,
      partitions: [{ topic, partition, spec }],
    });
    const [found] = partitions;
    if (found?.error !== undefined) throw LogError.fromData(found.error);
    return found?.offset ?? 0;
  }

  #record(batch: PartitionRecords): R {
    const handle = this.#handles.get(batch.topic);
    return new ConsumerRecord(handle as AnyTopic, batch.partition, batch.cursor) as R;
  }

  #advance({ topic, partition }: TopicPartition, offset: number): void {
    const position = this.#positions.get(partitionKey(topic, partition));
    if (position !== undefined) position.offset = offset;
  }

  #commitsItself(): boolean {
    return this.#options.groupId !== undefined && this.#options.enableAutoCommit;
  }

  async #maybeCommit(): Promise<void> {
    if (!this.#commitsItself() || this.#membership?.mustRejoin === true) return;
    const sinceMs = this.#clock.monotonicMs() - this.#lastCommitMs;
    if (sinceMs >= this.#options.autoCommitIntervalMs) await this.#commitQuietly();
  }

  /**
   * A member that has lost its seat commits nothing: whoever has the partitions now reads them
   * again.
   */
  async #commitQuietly(): Promise<void> {
    if (this.#positions.size === 0) return;
    try {
      await this.commit();
    } catch (error) {
      const isLost =
        LogError.is(error, 'REBALANCE_IN_PROGRESS') ||
        LogError.is(error, 'ILLEGAL_GENERATION') ||
        LogError.is(error, 'UNKNOWN_MEMBER_ID');
      if (!isLost) throw error;
    }
  }

  #groupMetadata(): { readonly groupId: string } {
    const { groupId } = this.#options;
    if (groupId !== undefined) return { groupId };
    throw new LogError(
      'NOT_SUBSCRIBED',
      'the consumer has no groupId, so it has no committed offsets',
      {},
    );
  }

  #member(): { readonly memberId: string; readonly generation: number } {
    const isMember = this.#isSubscribed && this.#membership !== undefined;
    const { memberId, generation } = isMember
      ? this.#membership.member
      : { memberId: '', generation: -1 };
    return { memberId, generation };
  }

  #checkAssigned(place: TopicPartition): void {
    if (this.#fetcher.has(place)) return;
    const { topic, partition } = place;
    const message = `this consumer does not read ${topic}-${partition}`;
    throw new LogError('UNKNOWN_TOPIC_OR_PARTITION', message, { topic, partition });
  }

  #noOffset({ topic, partition }: TopicPartition): LogError {
    const message =
      `no offset is committed for ${topic}-${partition} ` + `and autoOffsetReset is 'none'`;
    const unknown = { offset: -1, logStartOffset: -1, highWatermark: -1 };
    return new LogError('OFFSET_OUT_OF_RANGE', message, { topic, partition, ...unknown });
  }
}

function isSame(a: TopicPartition, b: TopicPartition): boolean {
  return a.partition === b.partition && a.topic === b.topic;
}

function aborted(): LogError {
  return new LogError('ABORTED', 'the consumer was told to stop by its signal', {
    operation: 'poll',
  });
}
