import { Observable } from 'rxjs';
import { sleep, systemClock, type Clock } from '../../clock.ts';
import { LogError } from '../../errors.ts';
import { Interruption } from '../../interruption.ts';
import { stderrLogger } from '../../logger.ts';
import { checkOptions } from '../../options.ts';
import { systemRandom } from '../../random.ts';
import type { BrokerApi, GroupMember, TopicPartition } from '../../protocol/broker-api.ts';
import { checkOffsets, checkPlace } from '../arguments.ts';
import { AssignedPartitions } from './assigned-partitions.ts';
import {
  checkAssignments,
  consumerSettings,
  groupIdOf,
  POLL_CHECKS,
  type Assignment,
  type ConsumerEnvironment,
  type ConsumerOptions,
  type ConsumerSettings,
  type PollOptions,
} from './consumer-options.ts';
import { ConsumerPositions } from './consumer-positions.ts';
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
import { SoleReader } from './sole-reader.ts';
import { Subscription } from './subscription.ts';
import type { AnyTopic, TopicPattern } from '../topic.ts';
import type { GroupMetadata } from '../producer/transaction.ts';

/** How long to wait for a transaction that is about to commit offsets before asking again. */
const UNSTABLE_RETRY_MS = 20;

/**
 * Reads records. One reader at a time: `poll` and iteration must not overlap. Made by
 * `log.consumer()`. For RxJS, `from(consumer)` is an Observable of the records; who does
 * asynchronous work uses `for await` or `poll`, which wait for it.
 *
 * @example
 * for await (const order of log.consumer({ groupId: 'audit' }).subscribe([orders])) { ... }
 */
export class Consumer<R extends ConsumerRecord = ConsumerRecord>
  extends ConsumerPositions
  implements AsyncDisposable
{
  readonly #clock: Clock;
  readonly #options: ConsumerSettings;
  readonly #partitions: AssignedPartitions<R>;
  readonly #committer: OffsetCommitter;
  readonly #membership: GroupMembership | undefined;
  readonly #rebalancer: Rebalancer | undefined;
  readonly #subscription: Subscription;
  /** Who says what is read: a subscription, or the caller; undefined before either. */
  #source: 'subscribe' | 'assign' | undefined;
  /** True when what is to be read was changed, until the next look at what there is. */
  #isChanged = false;
  readonly #reader = new SoleReader();
  #closing: Promise<void> | undefined;
  /** True when it is closed: until then its callbacks may commit. */
  #isClosed = false;
  /** Wakes whatever waits, to look whether it is still wanted. */
  readonly #interruption: Interruption;
  /** Ends what waits when the consumer is closed or told to stop. */
  readonly #ended: AbortController;

  /** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
  constructor(
    api: BrokerApi,
    options: ConsumerOptions = {},
    environment: ConsumerEnvironment = {},
  ) {
    const all = consumerSettings(options);
    const { clock = systemClock, random = systemRandom, logger = stderrLogger } = environment;
    const { groupId, groupInstanceId, isolationLevel } = all;
    const subscription = new Subscription(api, clock, all.metadataMaxAgeMs);
    const interruption = new Interruption();
    const reading = { ...all, groupId, api, clock, logger, interruption };
    const partitions = new AssignedPartitions(reading, ({ topic, partition, cursor }) => {
      return new ConsumerRecord(subscription.handle(topic)!, partition, cursor) as R;
    });
    const ended = new AbortController();
    super({ api, clock, isolationLevel, groupId, partitions, ended: ended.signal });
    this.#clock = clock;
    this.#options = all;
    this.#subscription = subscription;
    this.#partitions = partitions;
    this.#ended = ended;
    this.#committer = new OffsetCommitter({
      api,
      clock,
      isAutomatic: groupId !== undefined && all.enableAutoCommit,
      intervalMs: all.autoCommitIntervalMs,
      member: () => this.#member(),
      positions: () => this.#partitions.positions,
    });
    this.#interruption = interruption;
    this.#ended.signal.addEventListener('abort', () => interruption.interrupt());
    all.signal?.addEventListener('abort', this.#end);
    if (groupId === undefined) return;
    this.#membership = new GroupMembership({
      ...all,
      api,
      clock,
      groupId,
      groupInstanceId,
      clientId: `${all.clientId}-${Math.floor(random.next() * 1e9)}`,
      assignors: all.partitionAssignmentStrategy,
      countPartitions: (topics) => subscription.count(topics),
    });
    this.#rebalancer = new Rebalancer({
      clock,
      logger,
      groupId,
      membership: this.#membership,
      partitions: this.#partitions,
      interruption,
      committer: this.#committer,
      topics: () => subscription.ensure(),
      isSubscribed: (topic) => subscription.has(topic),
    });
  }

  /** What happened to the member's seat in its group; nothing without a `groupId`. */
  get rebalances$(): Observable<Rebalance> {
    return this.#rebalancer?.rebalances$ ?? NEVER_ANY;
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
    const wasSubscribed = this.#source === 'subscribe';
    this.#subscription.replace(topics);
    const mayStay = (place: TopicPartition) => wasSubscribed && this.#subscription.has(place.topic);
    // A member is told of what goes: by the next poll, which gives it up.
    const isMember = wasSubscribed && this.#membership !== undefined;
    if (!isMember) {
      this.#partitions.drop(this.#partitions.owned.filter((place) => !mayStay(place)));
    }
    this.#source = 'subscribe';
    this.#isChanged = true;
    this.#rebalancer?.resubscribe(callbacks);
    return this;
  }

  /**
   * Reads nothing more. A member commits (with auto-commit), gives up its partitions and leaves.
   *
   * @throws LogError REBALANCE_CALLBACK_FAILED: the seat is given up all the same.
   */
  async unsubscribe(): Promise<void> {
    try {
      if (this.#source === 'subscribe') await this.#rebalancer?.leave();
    } finally {
      this.#partitions.drop(this.#partitions.owned);
      this.#subscription.replace([]);
      this.#source = undefined;
      this.#isChanged = true;
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
    this.#source = 'assign';
    this.#subscription.replace(assignments.map(({ topic }) => topic));
    await this.#subscription.ensure();
    this.#partitions.add(
      assignments.map(({ topic, partition, offset }) => {
        return { topic: topic.name, partition, offset };
      }),
    );
    await this.#partitions.place();
    while (!this.#partitions.isPlaced) {
      this.#checkRunning();
      await sleep(this.#clock, UNSTABLE_RETRY_MS);
      await this.#partitions.place();
    }
    return this as unknown as Consumer<RecordOf<T>>;
  }

  /**
   * Returns the next records: as soon as there are any, at most `maxPollRecords`, none after
   * `maxWaitMs`. With auto-commit, what the poll before returned is committed by this call or a
   * later one. A member joins its group here, and hears of rebalances.
   *
   * @throws LogError OFFSET_OUT_OF_RANGE with `autoOffsetReset: 'none'` or `offsetOutOfRange:
   *   'fail'`, CORRUPT_BATCH, UNKNOWN_TOPIC_OR_PARTITION, ABORTED by a signal. Records before the
   *   place of an error are returned first; the error comes again until a seek goes past it.
   * @throws LogError REBALANCE_CALLBACK_FAILED once, the next poll goes on; FENCED_INSTANCE_ID for
   *   ever: another consumer has the `groupInstanceId`; CONCURRENT_POLL, NOT_SUBSCRIBED.
   */
  poll(options: PollOptions = {}): Promise<R[]> {
    return this.#reader.run('poll', async () => {
      checkOptions('poll', options, POLL_CHECKS);
      const deadlineMs = this.#clock.monotonicMs() + (options.maxWaitMs ?? Infinity);
      const records: R[] = [];
      const { maxPollRecords } = this.#options;
      do {
        if (!(await this.#fill(deadlineMs, options.signal))) break;
        while (records.length < maxPollRecords) {
          const next = this.#partitions.next(records.length > 0);
          if (next === undefined) break;
          records.push(next.record);
          next.position.offset = next.record.offset + 1;
        }
        // What was fetched may hold nothing that a reader gets to see.
      } while (records.length === 0 && this.#clock.monotonicMs() < deadlineMs);
      return records;
    });
  }

  /**
   * The same in whole batches, for programs that look at bytes: no object a record. All of it
   * counts as handed out.
   *
   * @throws LogError as `poll`.
   */
  pollBatches(options: PollOptions = {}): Promise<PartitionRecords[]> {
    return this.#reader.run('pollBatches', async () => {
      checkOptions('pollBatches', options, POLL_CHECKS);
      const deadlineMs = this.#clock.monotonicMs() + (options.maxWaitMs ?? Infinity);
      const mayRead = await this.#fill(deadlineMs, options.signal);
      return mayRead ? this.#partitions.takeAll() : [];
    });
  }

  /**
   * Iterates until the signal aborts or the loop is left. A record counts as handed out when the
   * next is asked for.
   *
   * @throws LogError as `poll`.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<R, void, undefined> {
    const { signal, maxPollRecords } = this.#options;
    this.#reader.begin('iteration');
    try {
      for (;;) {
        try {
          await this.#fill(Infinity);
        } catch (error) {
          if (signal?.aborted === true && LogError.is(error, 'ABORTED')) return;
          throw error;
        }
        // After so many, commits and rebalances get their turn, as between two polls.
        for (let count = 0; count < maxPollRecords && !this.#isChanged; count++) {
          const next = this.#partitions.next(false);
          if (next === undefined) break;
          const { position, record } = next;
          yield record;
          // After a seek meanwhile this is a position that nobody has any more.
          position.offset = record.offset + 1;
          this.#membership?.notePoll();
          if (signal?.aborted === true) return;
        }
      }
    } finally {
      this.#reader.end();
    }
  }

  /** The topics that are subscribed, or match, now; none with `assign`. */
  get subscription(): string[] {
    return this.#source === 'subscribe' ? this.#subscription.names : [];
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
    if (this.#source === 'subscribe') this.#membership?.checkSeat();
    // Who neither subscribed nor assigned commits for the group from outside.
    if (this.#source !== undefined) for (const each of offsets ?? []) this.#partitions.check(each);
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
    checkPlace('commitRecord', record, 'record');
    const { topic, partition, offset } = record;
    await this.commit([{ topic, partition, offset: offset + 1, ...options }]);
  }

  /**
   * For `transaction.sendOffsets`: who this consumer is in its group. Before it has joined, when a
   * poll ended too soon for that, it is nobody in particular, and has nothing to commit.
   *
   * @throws LogError NOT_SUBSCRIBED without a groupId; UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID when
   *   its seat is lost.
   */
  groupMetadata(): GroupMetadata {
    this.#checkOpen();
    const membership = this.#source === 'subscribe' ? this.#membership : undefined;
    return membership?.hasJoined === false ? membership.member : this.#member();
  }

  /**
   * Commits (with auto-commit), gives up its partitions, leaves the group and ends the consumer. A
   * static member keeps its seat until its session ends. After the log was closed there is nothing
   * left to do, and that is no error.
   *
   * @throws LogError REBALANCE_CALLBACK_FAILED: the consumer is closed all the same.
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
      if (this.#source === 'subscribe') await this.#rebalancer?.leave();
      else await this.#committer.commitAutomatically();
    } catch (error) {
      if (!LogError.is(error, 'CLOSED')) throw error;
    } finally {
      this.#isClosed = true;
      this.#partitions.resets.complete();
      this.#rebalancer?.complete();
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

  /**
   * Sees to it that something is held, or that `deadlineMs` is over; false when nothing may be
   * handed out.
   */
  async #fill(deadlineMs: number, signal?: AbortSignal): Promise<boolean> {
    const wake = (): void => this.#interruption.interrupt();
    signal?.addEventListener('abort', wake);
    try {
      for (;;) {
        try {
          const mayRead = await this.#advance(deadlineMs, signal);
          if (mayRead !== undefined) return mayRead;
        } catch (error) {
          if (!LogError.is(error, 'UNKNOWN_TOPIC_OR_PARTITION')) throw error;
          if (!(await this.#followPattern(true))) throw error; // or it was of a topic that is gone
        }
      }
    } finally {
      signal?.removeEventListener('abort', wake);
    }
  }

  /** One turn of `#fill`; undefined when another is needed. */
  async #advance(deadlineMs: number, signal?: AbortSignal): Promise<boolean | undefined> {
    this.#checkRunning(signal);
    this.#membership?.notePoll();
    await this.#followPattern(this.#membership?.mustRejoin === true);
    if (this.#membership?.mustRejoin !== true) await this.#committer.commitIfDue();
    if (!(await this.#ensureAssigned(deadlineMs, signal))) return false;
    this.#checkRunning(signal); // nothing is handed out behind the back of the last commit
    if (this.#partitions.hasAny()) return true;
    const leftMs = Math.max(0, deadlineMs - this.#clock.monotonicMs());
    const { isPlaced } = this.#partitions;
    await this.#partitions.fetch(isPlaced ? leftMs : Math.min(leftMs, UNSTABLE_RETRY_MS));
    this.#checkRunning(signal);
    return this.#partitions.hasAny() || leftMs === 0 ? true : undefined;
  }

  /** Goes by the topics that match now; false when they are the same as before. */
  async #followPattern(isDue: boolean): Promise<boolean> {
    if (!(await this.#subscription.look(isDue))) return false;
    const gone = this.#partitions.owned.filter(({ topic }) => !this.#subscription.has(topic));
    if (this.#rebalancer === undefined) this.#partitions.drop(gone);
    else await this.#rebalancer.changeTopics(gone);
    this.#isChanged = true;
    return true;
  }

  /** False while a member waits for its seat. */
  async #ensureAssigned(deadlineMs: number, signal?: AbortSignal): Promise<boolean> {
    if (this.#source === undefined) {
      const message = 'the consumer has neither subscribed nor assigned; call one of them first';
      throw new LogError('NOT_SUBSCRIBED', message, {});
    }
    const wasChanged = this.#isChanged;
    this.#isChanged = false;
    if (this.#source === 'subscribe' && this.#rebalancer !== undefined) {
      const checkRunning = (): void => this.#checkRunning(signal);
      const hasSeat = await this.#rebalancer.advance({ deadlineMs, checkRunning });
      if (!hasSeat) return false;
    } else if (
      this.#source === 'subscribe' &&
      (wasChanged || (await this.#subscription.hasChanged()))
    ) {
      this.#isChanged = true; // until it is done
      this.#partitions.add(await this.#subscription.partitions());
      this.#isChanged = false;
    }
    await this.#partitions.place();
    if (this.#partitions.isPlaced) this.#rebalancer?.announce();
    return true;
  }

  /** Who commits: the member, or for partitions assigned by hand nobody in particular. */
  #member(): GroupMember {
    const membership = this.#source === 'subscribe' ? this.#membership : undefined;
    membership?.checkSeat();
    return (
      membership?.member ?? { groupId: groupIdOf(this.#options), memberId: '', generation: -1 }
    );
  }
}

/** Of a consumer without a group. */
const NEVER_ANY = new Observable<never>();
