import type { Observable } from 'rxjs';
import { sleep, systemClock, type Clock } from '../../clock.ts';
import { LogError } from '../../errors.ts';
import { rxjs } from '../../feed.ts';
import { Interruption } from '../../interruption.ts';
import { stderrLogger } from '../../logger.ts';
import { checkOptions } from '../../options.ts';
import { systemRandom } from '../../random.ts';
import type {
  BrokerApi,
  CommittedOffset,
  GroupMember,
  TopicPartition,
} from '../../protocol/broker-api.ts';
import { checkOffsets, checkTopicPartition } from '../arguments.ts';
import { AssignedPartitions, UNSTABLE_RETRY_MS, type OffsetReset } from './assigned-partitions.ts';
import {
  checkAssignments,
  consumerSettings,
  groupIdOf,
  type Assignment,
  type ConsumerEnvironment,
  type ConsumerOptions,
  type ConsumerSettings,
  type PollOptions,
} from './consumer-options.ts';
import { ConsumerPositions, type PartitionLag } from './consumer-positions.ts';
import { ConsumerRecord, type RecordOf } from './consumer-record.ts';
import { GroupMembership } from '../group/group-membership.ts';
import { OffsetCommitter, type OffsetToCommit } from '../group/offset-committer.ts';
import type { PartitionRecords } from './partition-records.ts';
import {
  CALLBACK_CHECKS,
  Rebalancer,
  type Rebalance,
  type RebalanceCallbacks,
} from '../group/rebalancer.ts';
import { ReadLoop, type Seated } from './read-loop.ts';
import { Subscription } from './subscription.ts';
import type { AnyTopic, TopicPattern } from '../topic.ts';
import type { GroupMetadata } from '../producer/transaction.ts';

/**
 * Reads records. One reader at a time: `poll` and iteration must not overlap. Made by
 * `log.consumer()`. For RxJS, `from(consumer)` is an Observable of the records. For
 * asynchronous work use `for await` or `poll`, which wait for it.
 *
 * @example
 * for await (const order of log.consumer({ groupId: 'audit' }).subscribe([orders])) { ... }
 */
export class Consumer<R extends ConsumerRecord = ConsumerRecord> implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #options: ConsumerSettings;
  readonly #partitions: AssignedPartitions<R>;
  readonly #committer: OffsetCommitter;
  readonly #group: Seated | undefined;
  readonly #subscription: Subscription;
  readonly #positions: ConsumerPositions;
  readonly #loop: ReadLoop<R>;
  #closing: Promise<void> | undefined;
  /** True when it is closed: until then its callbacks may commit. */
  #isClosed = false;
  /** Aborts when the consumer is closed or its signal aborts. */
  readonly #ended = new AbortController();

  /** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
  constructor(
    api: BrokerApi,
    options: ConsumerOptions = {},
    environment: ConsumerEnvironment = {},
  ) {
    const all = consumerSettings(options);
    const { clock = systemClock, random = systemRandom, logger = stderrLogger } = environment;
    const { groupId, groupInstanceId } = all;
    const subscription = new Subscription(api, clock, all.metadataMaxAgeMs);
    const interruption = new Interruption();
    const parts = { ...all, groupId, api, clock, logger, interruption, subscription };
    const partitions = new AssignedPartitions(parts, ({ topic, partition, cursor }) => {
      return new ConsumerRecord(subscription.handle(topic)!, partition, cursor) as R;
    });
    const committer = new OffsetCommitter({
      api,
      clock,
      isAutomatic: groupId !== undefined && all.enableAutoCommit,
      intervalMs: all.autoCommitIntervalMs,
      member: () => this.#member(),
      positions: () => partitions.positions,
    });
    if (groupId !== undefined) {
      const membership = new GroupMembership({
        ...parts,
        groupId,
        groupInstanceId,
        clientId: `${all.clientId}-${Math.floor(random.next() * 1e9)}`,
        assignors: all.partitionAssignmentStrategy,
        countPartitions: (topics) => subscription.count(topics),
      });
      const rebalancer = new Rebalancer({
        ...parts,
        groupId,
        membership,
        partitions,
        committer,
        topics: () => subscription.ensure(),
        isSubscribed: (topic) => subscription.has(topic),
      });
      this.#group = { membership, rebalancer };
    }
    this.#loop = new ReadLoop({
      ...parts,
      partitions,
      committer,
      group: this.#group,
      checkRunning: (signal) => this.#checkRunning(signal),
    });
    this.#positions = new ConsumerPositions({ ...parts, partitions, ended: this.#ended.signal });
    this.#clock = clock;
    this.#options = all;
    this.#subscription = subscription;
    this.#partitions = partitions;
    this.#committer = committer;
    this.#ended.signal.addEventListener('abort', () => interruption.interrupt());
    all.signal?.addEventListener('abort', this.#end);
  }

  /** Each change of the member's seat in its group; nothing without a `groupId`. */
  get rebalances$(): Observable<Rebalance> {
    return this.#group?.rebalancer.rebalances$ ?? rxjs().NEVER;
  }

  /**
   * Reads these topics as a member of the group, or, without a `groupId`, all their partitions.
   * Replaces an earlier call. Nothing happens before the next poll, which makes topics that do not
   * exist.
   *
   * Of a pattern it reads the topics that match. Those that are made or deleted later come and go
   * within `metadataMaxAgeMs`; what a member had of a deleted one is lost (`onLost`).
   *
   * @param callbacks are waited for when partitions come and go; only with a `groupId`.
   */
  subscribe<T extends AnyTopic>(
    topics: readonly T[],
    callbacks?: RebalanceCallbacks,
  ): Consumer<RecordOf<T>>;
  subscribe<K, V>(
    pattern: TopicPattern<K, V>,
    callbacks?: RebalanceCallbacks,
  ): Consumer<ConsumerRecord<K, V>>;
  subscribe(
    topics: readonly AnyTopic[] | TopicPattern<unknown, unknown>,
    callbacks?: RebalanceCallbacks,
  ): this {
    this.#checkOpen();
    if (callbacks !== undefined) checkOptions('subscribe', callbacks, CALLBACK_CHECKS);
    const wasSubscribed = this.#loop.source === 'subscribe';
    this.#subscription.replace(topics);
    const mayStay = ({ topic }: TopicPartition) => wasSubscribed && this.#subscription.has(topic);
    // A member keeps what goes until the next poll, which gives it up and calls its callbacks.
    const isMember = wasSubscribed && this.#group !== undefined;
    if (!isMember) {
      this.#partitions.drop(this.#partitions.owned.filter((each) => !mayStay(each)));
    }
    this.#loop.follow('subscribe');
    this.#group?.rebalancer.resubscribe(callbacks);
    return this;
  }

  /**
   * Reads nothing more. A member commits (with auto-commit), gives up its partitions and leaves.
   *
   * @throws LogError REBALANCE_CALLBACK_FAILED: the seat is given up all the same.
   */
  async unsubscribe(): Promise<void> {
    try {
      if (this.#loop.source === 'subscribe') await this.#group?.rebalancer.leave();
    } finally {
      this.#partitions.drop(this.#partitions.owned);
      this.#subscription.replace([]);
      this.#loop.follow(undefined);
    }
  }

  /**
   * Reads exactly these partitions, instead of what a group would give. Replaces an earlier call,
   * and ends a subscription.
   *
   * @throws LogError OFFSET_OUT_OF_RANGE where neither an offset nor `autoOffsetReset` says where
   *   to begin; PARTITION_MISMATCH, INVALID_TOPIC, INVALID_CONFIG
   */
  async assign<T extends AnyTopic>(
    assignments: readonly Assignment<T>[],
  ): Promise<Consumer<RecordOf<T>>> {
    this.#checkOpen();
    checkAssignments(assignments);
    await this.unsubscribe();
    this.#loop.follow('assign');
    this.#subscription.replace(assignments.map(({ topic }) => topic));
    await this.#subscription.ensure();
    this.#partitions.add(
      assignments.map(({ topic, partition, offset }) => {
        return { topic: topic.name, partition, offset };
      }),
    );
    await this.#partitions.findPositions();
    while (!this.#partitions.hasAllPositions) {
      this.#checkRunning();
      await sleep(this.#clock, UNSTABLE_RETRY_MS);
      await this.#partitions.findPositions();
    }
    return this as unknown as Consumer<RecordOf<T>>;
  }

  /**
   * Returns the next records: as soon as there are any, at most `maxPollRecords`, none after
   * `maxWaitMs`. With auto-commit, what the poll before returned is committed by this call or a
   * later one. A member joins its group and takes part in rebalances here.
   *
   * @throws LogError OFFSET_OUT_OF_RANGE with `autoOffsetReset: 'none'` or `offsetOutOfRange:
   *   'fail'`, CORRUPT_BATCH, UNKNOWN_TOPIC_OR_PARTITION, ABORTED by a signal. Records before the
   *   error are returned first; the error comes again until a seek goes past it.
   * @throws LogError REBALANCE_CALLBACK_FAILED once, the next poll goes on; FENCED_INSTANCE_ID for
   *   ever: another consumer has the `groupInstanceId`; CONCURRENT_POLL, NOT_SUBSCRIBED.
   */
  poll(options: PollOptions = {}): Promise<R[]> {
    return this.#loop.poll(options);
  }

  /**
   * The same in whole batches, for programs that look at bytes: no object a record. All of it
   * counts as handed out.
   *
   * @throws LogError as `poll`.
   */
  pollBatches(options: PollOptions = {}): Promise<PartitionRecords[]> {
    return this.#loop.pollBatches(options);
  }

  /**
   * Iterates until the signal aborts or the loop is left. A record counts as handed out when the
   * next is asked for.
   *
   * @throws LogError as `poll`.
   */
  [Symbol.asyncIterator](): AsyncGenerator<R, void, undefined> {
    return this.#loop.iterate();
  }

  /** The topics that are subscribed, or match, now; none with `assign`. */
  get subscription(): string[] {
    return this.#loop.source === 'subscribe' ? this.#subscription.names : [];
  }

  /**
   * Commits what has been handed out, or `offsets`: the **next** offset of each partition. Durable
   * when it resolves, with the records below. Need not be waited for: commits are made in the order
   * of the calls, and those that wait for one under way go together.
   *
   * @throws LogError NOT_SUBSCRIBED without a groupId; NOT_ASSIGNED for a partition that is not
   *   this consumer's; REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID,
   *   FENCED_INSTANCE_ID when the partitions may be another member's by now;
   *   OFFSET_METADATA_TOO_LARGE, KAFKA_STORAGE_ERROR, DISK_FULL. None of them is committed then.
   */
  async commit(offsets?: readonly OffsetToCommit[]): Promise<void> {
    this.#checkOpen();
    groupIdOf(this.#options); // or there is nobody to commit for
    if (offsets !== undefined) checkOffsets('commit', offsets);
    const { source } = this.#loop;
    if (source === 'subscribe') this.#group?.membership.checkSeat();
    // Without a subscription or an assignment it commits for the group from outside.
    if (source !== undefined) for (const each of offsets ?? []) this.#partitions.check(each);
    await this.#committer.commit(offsets);
  }

  /**
   * Commits that a record, and all before it in its partition, is done with: the offset behind it.
   *
   * @throws LogError as `commit`.
   */
  async commitRecord(
    record: Pick<R, 'topic' | 'partition' | 'offset'>,
    options: { readonly metadata?: string } = {},
  ): Promise<void> {
    checkTopicPartition('commitRecord', record, 'record');
    const { topic, partition, offset } = record;
    await this.commit([{ topic, partition, offset: offset + 1, ...options }]);
  }

  /**
   * For `transaction.sendOffsets`: this consumer as a member of its group. Before it has joined,
   * because a poll ended too soon, it has no member id, and nothing to commit.
   *
   * @throws LogError NOT_SUBSCRIBED without a groupId; UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID when
   *   its seat is lost.
   */
  groupMetadata(): GroupMetadata {
    this.#checkOpen();
    const membership = this.#membership;
    return membership?.hasJoined === false ? membership.member : this.#member();
  }

  /** Each time the consumer could not go on where it stood; logged as a warning as well. */
  get resets$(): Observable<OffsetReset> {
    return this.#partitions.resets.values$;
  }

  /** The partitions that are this consumer's now. */
  get assignment(): TopicPartition[] {
    return this.#partitions.owned;
  }

  /** The partitions that are paused now. */
  get paused(): TopicPartition[] {
    return this.#partitions.paused;
  }

  /**
   * The offset of the next record to be handed out; undefined for a partition that is not read.
   */
  position(partition: TopicPartition): number | undefined {
    return this.#partitions.position(partition);
  }

  /**
   * Goes on from `offset`. Whether it exists shows at the next poll.
   *
   * @throws LogError NOT_ASSIGNED, INVALID_OPTION for what is no offset.
   */
  seek(partition: TopicPartition, offset: number): void {
    this.#partitions.seek(partition, offset);
  }

  /**
   * Goes on from the first record that the log has; default: in all partitions.
   *
   * @throws LogError NOT_ASSIGNED
   */
  seekToBeginning(partitions: readonly TopicPartition[] = this.assignment): Promise<void> {
    return this.#positions.seekTo('earliest', partitions, 'seekToBeginning');
  }

  /**
   * Goes on behind the last record that this reader sees; default: in all partitions.
   *
   * @throws LogError NOT_ASSIGNED
   */
  seekToEnd(partitions: readonly TopicPartition[] = this.assignment): Promise<void> {
    return this.#positions.seekTo('latest', partitions, 'seekToEnd');
  }

  /**
   * Hands out nothing more of these partitions until `resume`; the seat in the group is kept.
   *
   * @throws LogError NOT_ASSIGNED: then none of them is paused.
   */
  pause(partitions: readonly TopicPartition[]): void {
    this.#partitions.pause(partitions);
  }

  /**
   * Goes on with paused partitions where they were paused.
   *
   * @throws LogError NOT_ASSIGNED: then none of them is resumed.
   */
  resume(partitions: readonly TopicPartition[]): void {
    this.#partitions.resume(partitions);
  }

  /**
   * The first offset that can be read of each partition, by partition key (`orders-0`).
   *
   * @throws LogError UNKNOWN_TOPIC_OR_PARTITION, INVALID_OPTION
   */
  beginningOffsets(partitions: readonly TopicPartition[]): Promise<Map<string, number>> {
    return this.#positions.beginningOffsets(partitions);
  }

  /**
   * The offset behind the last record that this reader sees of each partition, by partition key.
   *
   * @throws LogError UNKNOWN_TOPIC_OR_PARTITION, INVALID_OPTION
   */
  endOffsets(partitions: readonly TopicPartition[]): Promise<Map<string, number>> {
    return this.#positions.endOffsets(partitions);
  }

  /**
   * The offset of the first record stamped `timestampMs` (milliseconds since 1970) or later of each
   * partition, by partition key; missing where there is none.
   *
   * @throws LogError UNKNOWN_TOPIC_OR_PARTITION, INVALID_OPTION
   */
  offsetsForTimes(partitions: readonly TopicPartition[], timestampMs: number) {
    return this.#positions.offsetsForTimes(partitions, timestampMs);
  }

  /**
   * What the group has committed for the partitions, by partition key; missing where it has not.
   *
   * @throws LogError NOT_SUBSCRIBED without a groupId.
   */
  committed(partitions: readonly TopicPartition[]): Promise<Map<string, CommittedOffset>> {
    return this.#positions.committed(partitions);
  }

  /** How far the consumer is behind, now, in each partition that it reads. */
  lag(): Promise<PartitionLag[]> {
    return this.#positions.lag();
  }

  /** The same at once and every `everyMs` milliseconds, until the consumer is closed. */
  lag$(everyMs = 1000): Observable<PartitionLag[]> {
    return this.#positions.lag$(everyMs);
  }

  /**
   * Commits (with auto-commit), gives up its partitions, leaves the group and ends the consumer. A
   * static member keeps its seat until its session ends. After the log was closed there is nothing
   * left to do, and that is no error.
   *
   * @throws LogError REBALANCE_CALLBACK_FAILED: the consumer is closed all the same.
   */
  close(): Promise<void> {
    // Later, so that whoever is woken finds it closed.
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
      if (this.#loop.source === 'subscribe') await this.#group?.rebalancer.leave();
      else await this.#committer.commitAutomatically();
    } catch (error) {
      if (!LogError.is(error, 'CLOSED')) throw error;
    } finally {
      this.#isClosed = true;
      this.#partitions.resets.complete();
      this.#group?.rebalancer.complete();
    }
  }

  readonly #end = (): void => {
    this.#ended.abort();
  };

  #checkOpen(): void {
    if (this.#isClosed) throw this.#endError();
  }

  #checkRunning(signal?: AbortSignal): void {
    if (this.#closing !== undefined) throw this.#endError();
    if (this.#options.signal?.aborted === true || signal?.aborted === true) throw this.#endError();
  }

  #endError(): LogError {
    if (this.#closing !== undefined) {
      return new LogError('CLOSED', 'the consumer is closed', { what: 'the consumer' });
    }
    const message = 'the consumer was told to stop by its signal';
    return new LogError('ABORTED', message, { operation: 'poll' });
  }

  /** Undefined for a reader of partitions assigned by hand, and without a `groupId`. */
  get #membership(): GroupMembership | undefined {
    return this.#loop.source === 'subscribe' ? this.#group?.membership : undefined;
  }

  /** The member that commits; with partitions assigned by hand, no member in particular. */
  #member(): GroupMember {
    const membership = this.#membership;
    membership?.checkSeat();
    return (
      membership?.member ?? { groupId: groupIdOf(this.#options), memberId: '', generation: -1 }
    );
  }
}
