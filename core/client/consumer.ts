import { Subject, type Observable } from 'rxjs';
import { sleep, systemClock, type Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import { systemRandom, type Random } from '../random.ts';
import type {
  BrokerApi,
  CommittedOffset,
  GroupMember,
  TopicPartition,
} from '../broker/broker-api.ts';
import { partitionKey } from '../broker/checkpoint-file.ts';
import {
  consumerSettings,
  type ConsumerOptions,
  type ConsumerSettings,
} from './consumer-options.ts';
import { ConsumerRecord } from './consumer-record.ts';
import { Fetcher, type Position } from './fetcher.ts';
import { GroupMembership } from './group-membership.ts';
import { HeldRecords } from './held-records.ts';
import { OffsetCommitter } from './offset-committer.ts';
import type { PartitionRecords } from './partition-records.ts';
import { PartitionWatch } from './partition-watch.ts';
import { committedOffsets, listedOffset, startOffsets, type Place } from './start-offsets.ts';
import type { Topic } from './topic.ts';
import { countPartitions, ensureTopic } from './topic-metadata.ts';
import type { GroupMetadata } from './transaction.ts';
import { unlessAborted } from './unless-aborted.ts';

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

/** How long to wait for a transaction that is about to commit offsets before asking again. */
const UNSTABLE_RETRY_MS = 20;

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
  readonly #committer: OffsetCommitter;
  readonly #membership: GroupMembership | undefined;
  readonly #handles = new Map<string, AnyTopic>();
  /** What has been fetched and is being handed out, oldest first. */
  readonly #held = new HeldRecords<R>((records) => this.#record(records));
  /** Partitions that are this consumer's and whose position is not known yet. */
  #unplaced: readonly Place[] = [];
  /** What to tell of the newest seat, once all its partitions are placed. */
  #rebalance: Rebalance | undefined;
  #isSubscribed = false;
  /** True until all partitions of a subscription without a group were found. */
  #mustFindPartitions = false;
  readonly #partitions: PartitionWatch;
  #closing: Promise<void> | undefined;
  /** Ends what waits when the consumer is closed or told to stop. */
  readonly #ended = new AbortController();
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
    this.#fetcher = new Fetcher({ api, ...all });
    this.#partitions = new PartitionWatch(api, clock, all.metadataMaxAgeMs);
    this.#committer = new OffsetCommitter({
      api,
      clock,
      isAutomatic: all.groupId !== undefined && all.enableAutoCommit,
      intervalMs: all.autoCommitIntervalMs,
      member: () => this.#member(),
      positions: () => this.#fetcher.positions,
    });
    this.#ended.signal.addEventListener('abort', () => this.#fetcher.interrupt());
    all.signal?.addEventListener('abort', this.#end);
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
      metadataMaxAgeMs: all.metadataMaxAgeMs,
      assignors: all.partitionAssignmentStrategy,
      countPartitions: (topics) => countPartitions(api, topics, this.#handles),
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
   * Replaces an earlier call. Nothing happens before the next poll.
   */
  subscribe<T extends AnyTopic>(topics: readonly T[]): Consumer<RecordOf<T>> {
    this.#handles.clear();
    for (const topic of topics) this.#handles.set(topic.name, topic);
    for (const place of this.assignment) if (!this.#handles.has(place.topic)) this.#drop(place);
    this.#isSubscribed = true;
    this.#mustFindPartitions = true;
    this.#membership?.requireRejoin();
    return this as unknown as Consumer<RecordOf<T>>;
  }

  /**
   * Reads exactly these partitions, instead of what a group would give. Replaces an earlier call.
   */
  async assign<T extends AnyTopic>(
    assignments: readonly Assignment<T>[],
  ): Promise<Consumer<RecordOf<T>>> {
    for (const place of this.#fetcher.positions) this.#drop(place);
    this.#unplaced = [];
    for (const { topic } of assignments) {
      if (this.#handles.has(topic.name)) continue;
      this.#handles.set(topic.name, topic);
      await ensureTopic(this.#api, topic);
    }
    this.#unplaced = assignments.map(({ topic, partition, offset }) => {
      return { topic: topic.name, partition, offset };
    });
    await this.#place();
    while (this.#unplaced.length > 0) {
      this.#checkRunning();
      await sleep(this.#clock, UNSTABLE_RETRY_MS);
      await this.#place();
    }
    return this as unknown as Consumer<RecordOf<T>>;
  }

  /**
   * Returns the next records: as soon as there are any, at most `maxPollRecords`, none after
   * `maxWaitMs` (default: wait until there are some). With auto-commit, what the poll before
   * returned is committed by this call or a later one.
   *
   * @throws LogError OFFSET_OUT_OF_RANGE with `autoOffsetReset: 'none'`, CORRUPT_BATCH,
   *   UNKNOWN_TOPIC_OR_PARTITION, ABORTED by the signal. Records before the place of an error are
   *   returned first; the error comes again until a seek goes past it.
   */
  async poll(options: { readonly maxWaitMs?: number } = {}): Promise<R[]> {
    const deadlineMs = this.#clock.monotonicMs() + (options.maxWaitMs ?? Infinity);
    const records: R[] = [];
    const { maxPollRecords } = this.#options;
    do {
      await this.#fill(deadlineMs);
      while (records.length < maxPollRecords) {
        const next = this.#held.next(records.length > 0);
        if (next === undefined) break;
        records.push(next.record);
        next.position.offset = next.record.offset + 1;
      }
      // What was fetched may hold nothing that a reader gets to see.
    } while (records.length === 0 && this.#clock.monotonicMs() < deadlineMs);
    return records;
  }

  /**
   * The same in whole batches, for programs that look at bytes: no object a record. All of it
   * counts as handed out.
   *
   * @throws LogError as `poll`.
   */
  async pollBatches(options: { readonly maxWaitMs?: number } = {}): Promise<PartitionRecords[]> {
    await this.#fill(this.#clock.monotonicMs() + (options.maxWaitMs ?? Infinity));
    return this.#held.takeAll().map(({ records }) => records);
  }

  /**
   * Iterates until the signal aborts or the loop is left. A record counts as handed out when the
   * next is asked for.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<R, void, undefined> {
    const { signal, maxPollRecords } = this.#options;
    for (;;) {
      try {
        await this.#fill(Infinity);
      } catch (error) {
        if (signal?.aborted === true && LogError.is(error, 'ABORTED')) return;
        throw error;
      }
      // After so many, commits and rebalances get their turn, as between two polls.
      for (let count = 0; count < maxPollRecords; count++) {
        const next = this.#held.next(false);
        if (next === undefined) break;
        const { position, record } = next;
        yield record;
        // After a seek meanwhile this is a position that nobody has any more.
        position.offset = record.offset + 1;
        this.#membership?.notePoll();
        if (signal?.aborted === true) return;
      }
    }
  }

  /** The partitions that are read now. */
  get assignment(): TopicPartition[] {
    return this.#fetcher.positions.map(({ topic, partition }) => ({ topic, partition }));
  }

  /**
   * The offset of the next record to be handed out; undefined for a partition that is not read.
   */
  position(place: TopicPartition): number | undefined {
    return this.#fetcher.find(place)?.offset;
  }

  /** Goes on from `offset`. */
  seek(place: TopicPartition, offset: number): void {
    const { topic, partition } = place;
    const position = this.#fetcher.find(place);
    if (position === undefined) {
      const message = `this consumer does not read ${topic}-${partition}`;
      throw new LogError('UNKNOWN_TOPIC_OR_PARTITION', message, { topic, partition });
    }
    this.#readFrom({ topic, partition, offset, isPaused: position.isPaused });
  }

  /** Hands out nothing more of these partitions until `resume`; the seat in the group is kept. */
  pause(places: readonly TopicPartition[]): void {
    for (const place of places) {
      const position = this.#fetcher.find(place);
      if (position !== undefined) position.isPaused = true;
    }
  }

  /** Goes on with paused partitions where they were paused. */
  resume(places: readonly TopicPartition[]): void {
    for (const place of places) {
      const position = this.#fetcher.find(place);
      if (position?.isPaused !== true) continue;
      position.isPaused = false;
      this.#fetcher.interrupt();
    }
  }

  /**
   * Commits what has been handed out, or `offsets`: the **next** offset of each partition. Durable
   * when it resolves.
   *
   * @throws LogError NOT_SUBSCRIBED without a groupId; REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION,
   *   UNKNOWN_MEMBER_ID when the partitions may be another member's by now: not committed.
   */
  async commit(offsets?: readonly CommittedOffset[]): Promise<void> {
    this.#groupId(); // or there is nobody to commit for
    await this.#committer.commit(offsets);
  }

  /**
   * What the group has committed for the partitions, by partition key; missing where it has not.
   */
  async committed(places: readonly TopicPartition[]): Promise<Map<string, CommittedOffset>> {
    const request = { groupId: this.#groupId(), places, requireStable: false };
    const { found } = await committedOffsets(this.#api, request);
    return found;
  }

  /** For `transaction.sendOffsets`: who this consumer is in its group. */
  groupMetadata(): GroupMetadata {
    return this.#member();
  }

  /**
   * Commits (with auto-commit), leaves the group and ends the consumer. After the log was closed
   * there is nothing left to do, and that is no error.
   */
  close(): Promise<void> {
    // Later, so that who is woken finds it closed.
    this.#closing ??= Promise.resolve().then(() => this.#close());
    return this.#closing;
  }

  /** As `close`, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#end();
    this.#options.signal?.removeEventListener('abort', this.#end);
    try {
      await this.#committer.commitAutomatically();
    } catch (error) {
      if (!LogError.is(error, 'CLOSED')) throw error;
    } finally {
      await this.#leave();
    }
  }

  async #leave(): Promise<void> {
    try {
      await this.#membership?.leave();
    } catch (error) {
      if (!LogError.is(error, 'CLOSED')) throw error;
    } finally {
      this.#resets.complete();
      this.#rebalances.complete();
    }
  }

  readonly #end = (): void => {
    this.#ended.abort();
  };

  #checkRunning(): void {
    const { signal } = this.#options;
    if (this.#closing !== undefined || signal?.aborted === true) throw this.#endError();
  }

  #endError(): LogError {
    if (this.#closing !== undefined) {
      return new LogError('CLOSED', 'the consumer is closed', { what: 'the consumer' });
    }
    const message = 'the consumer was told to stop by its signal';
    return new LogError('ABORTED', message, { operation: 'poll' });
  }

  /** Sees to it that something is held, or that `deadlineMs` is over. */
  async #fill(deadlineMs: number): Promise<void> {
    for (;;) {
      this.#checkRunning();
      this.#membership?.notePoll();
      if (this.#membership?.mustRejoin !== true) await this.#committer.commitIfDue();
      await this.#ensureAssigned();
      if (this.#held.hasAny()) return;
      const leftMs = Math.max(0, deadlineMs - this.#clock.monotonicMs());
      const waitMs = this.#unplaced.length > 0 ? Math.min(leftMs, UNSTABLE_RETRY_MS) : leftMs;
      for (const fetched of await this.#fetcher.take(waitMs)) {
        // A seek may have come while this was on its way.
        if (this.#fetcher.isCurrent(fetched.position)) this.#held.add(fetched);
      }
      await this.#handleErrors();
      if (this.#held.hasAny() || leftMs === 0) return;
    }
  }

  async #ensureAssigned(): Promise<void> {
    if (!this.#isSubscribed) {
      if (this.#fetcher.positions.length === 0) throw this.#notSubscribed();
    } else if (this.#membership === undefined) {
      if (this.#mustFindPartitions || (await this.#partitions.hasChanged())) {
        this.#take(await this.#allPartitions(), true);
      }
      this.#mustFindPartitions = false;
    } else if (this.#membership.mustRejoin) {
      await this.#rejoin(this.#membership);
    }
    if (this.#unplaced.length > 0) await this.#place();
    if (this.#unplaced.length === 0) this.#announce();
  }

  #announce(): void {
    const rebalance = this.#rebalance;
    this.#rebalance = undefined;
    if (rebalance !== undefined) this.#rebalances.next(rebalance);
  }

  async #rejoin(membership: GroupMembership): Promise<void> {
    await this.#committer.commitAutomatically();
    for (const topic of this.#handles.values()) await ensureTopic(this.#api, topic);
    const seat = await unlessAborted(
      membership.join([...this.#handles.keys()]),
      this.#ended.signal,
      () => this.#endError(),
    );
    const { generation, partitions, isContinuous } = seat;
    this.#take(partitions, isContinuous);
    this.#rebalance = { generation, partitions };
  }

  /** Has exactly these partitions from here on; those it had before go on where they are. */
  #take(partitions: readonly TopicPartition[], mayKeep: boolean): void {
    for (const place of this.#fetcher.positions) {
      if (!mayKeep || !partitions.some((each) => isSame(each, place))) this.#drop(place);
    }
    this.#unplaced = partitions.filter((place) => this.#fetcher.find(place) === undefined);
  }

  async #allPartitions(): Promise<TopicPartition[]> {
    const topics = [...this.#handles.keys()];
    const counts = await countPartitions(this.#api, topics, this.#handles);
    this.#partitions.note(topics, counts);
    return [...counts].flatMap(([topic, count]) =>
      Array.from({ length: count }, (_, partition) => ({ topic, partition })),
    );
  }

  /** Begins to read the partitions without a position, as far as it can be told from where. */
  async #place(): Promise<void> {
    const { groupId, isolationLevel, autoOffsetReset } = this.#options;
    const options = { groupId, isolationLevel, autoOffsetReset };
    const starts = await startOffsets(this.#api, this.#unplaced, options);
    this.#unplaced = this.#unplaced.filter(({ topic, partition }) => {
      const offset = starts.get(partitionKey(topic, partition));
      if (offset === undefined) return true;
      this.#readFrom({ topic, partition, offset, isPaused: false });
      return false;
    });
  }

  #readFrom(position: Position): void {
    this.#held.drop(position);
    this.#fetcher.add(position);
  }

  #drop(place: TopicPartition): void {
    this.#fetcher.remove(place);
    this.#held.drop(place);
  }

  async #handleErrors(): Promise<void> {
    for (const { position, error } of this.#fetcher.takeErrors()) {
      const { autoOffsetReset, isolationLevel } = this.#options;
      if (!LogError.is(error, 'OFFSET_OUT_OF_RANGE') || autoOffsetReset === 'none') throw error;
      const { topic, partition } = position;
      const request = { spec: autoOffsetReset, isolationLevel };
      const to = await listedOffset(this.#api, position, request);
      if (!this.#fetcher.isCurrent(position)) continue; // somebody knew better
      this.seek(position, to);
      this.#resets.next({ topic, partition, from: error.details.offset, to });
    }
  }

  #record({ topic, partition, cursor }: PartitionRecords): R {
    const handle = this.#handles.get(topic);
    return new ConsumerRecord(handle as AnyTopic, partition, cursor) as R;
  }

  #groupId(): string {
    const { groupId } = this.#options;
    if (groupId !== undefined) return groupId;
    const message = 'the consumer has no groupId, so it has no committed offsets';
    throw new LogError('NOT_SUBSCRIBED', message, {});
  }

  /** Who commits: the member, or for partitions assigned by hand nobody in particular. */
  #member(): GroupMember {
    const membership = this.#isSubscribed ? this.#membership : undefined;
    return membership?.member ?? { groupId: this.#groupId(), memberId: '', generation: -1 };
  }

  #notSubscribed(): LogError {
    const { groupId } = this.#options;
    const details = groupId === undefined ? {} : { groupId };
    const message = 'the consumer has neither subscribed nor assigned';
    return new LogError('NOT_SUBSCRIBED', message, details);
  }
}

function isSame(a: TopicPartition, b: TopicPartition): boolean {
  return a.partition === b.partition && a.topic === b.topic;
}
