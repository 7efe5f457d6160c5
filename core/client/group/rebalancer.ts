import type { Observable } from 'rxjs';
import { Subject } from 'rxjs';
import type { TopicPartition } from '../../protocol/broker-api.ts';
import type { Clock } from '../../clock.ts';
import { asLogError, LogError } from '../../errors.ts';
import type { Interruption } from '../../interruption.ts';
import type { Logger } from '../../logger.ts';
import { callback, type OptionChecks } from '../../options.ts';
import type { AssignedPartitions } from '../consumer/assigned-partitions.ts';
import type { GroupMembership, Seat } from './group-membership.ts';
import type { OffsetCommitter } from './offset-committer.ts';

/**
 * What a member of a group does when partitions come and go. Called by `poll`, an iteration or
 * `close`, which wait for the promise; the heart beats on meanwhile. What fails here fails that
 * call with REBALANCE_CALLBACK_FAILED, after the rebalance went on as if it had not; the seat is
 * kept. Kafka: `ConsumerRebalanceListener`.
 */
export interface RebalanceCallbacks {
  /**
   * These are about to go to another member: the last chance to commit them. With an eager assignor
   * all that the member has, before each rebalance: what comes back begins anew at the committed
   * offset.
   */
  readonly onRevoked?: (partitions: readonly TopicPartition[]) => void | Promise<void>;
  /** These are new; a `seek` here decides where they begin. After each rebalance, also for none. */
  readonly onAssigned?: (partitions: readonly TopicPartition[]) => void | Promise<void>;
  /**
   * These are gone: others may have them by now, and nothing can be committed. Without it
   * `onRevoked` is called.
   */
  readonly onLost?: (partitions: readonly TopicPartition[]) => void | Promise<void>;
}

/** For `checkOptions`. */
export const CALLBACK_CHECKS: OptionChecks<RebalanceCallbacks> = {
  onRevoked: callback,
  onAssigned: callback,
  onLost: callback,
};

/** A new generation of the group: what this member has now, and what has changed for it. */
export interface Rebalance {
  readonly generation: number;
  readonly partitions: readonly TopicPartition[];
  /** What it had not before. */
  readonly assigned: readonly TopicPartition[];
  /** What it gave up. */
  readonly revoked: readonly TopicPartition[];
  /** What was taken from it, because it had lost its seat. */
  readonly lost: readonly TopicPartition[];
}

export interface RebalancerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly groupId: string;
  readonly membership: GroupMembership;
  readonly partitions: AssignedPartitions<{ readonly offset: number }>;
  /** Ends waits when a seat is there, or the consumer has something else to do. */
  readonly interruption: Interruption;
  readonly committer: OffsetCommitter;
  /** What is subscribed; topics that are named are made where they do not exist. */
  readonly topics: () => Promise<readonly string[]>;
  readonly isSubscribed: (topic: string) => boolean;
}

/** How long to wait for the others, and what ends the wait before. */
export interface RebalanceWait {
  readonly deadlineMs: number;
  /** @throws LogError when the consumer is to stop. */
  readonly checkRunning: () => void;
}

/** How long closing may wait for its last commit: a leader that hands out seats needs far less. */
const LAST_COMMIT_WAIT_MS = 1000;

/** A joining under way, or settled and not looked at. */
interface Joining {
  seat?: Seat;
  error?: Error;
}

/**
 * Takes a member through its rebalances, a step at each poll. With eager assignors it gives up all
 * it has and waits for its new seat; with cooperative ones it goes on reading meanwhile, gives up
 * what the new seat lacks, and joins once more so that others get that (KIP-429).
 */
export class Rebalancer {
  readonly #options: RebalancerOptions;
  readonly #rebalances = new Subject<Rebalance>();
  #callbacks: RebalanceCallbacks | undefined;
  /** True from a new subscription until what it lacks is given up. */
  #isResubscribed = false;
  #joining: Joining | undefined;
  /** What to tell of the newest seat, once all its partitions are placed. */
  #news: Rebalance | undefined;
  /** What was given up or lost since the last seat. */
  #gone: { revoked: TopicPartition[]; lost: TopicPartition[] } = { revoked: [], lost: [] };
  /** The first failure of a callback, for the caller. */
  #failure: LogError | undefined;
  #isTelling = false;

  constructor(options: RebalancerOptions) {
    this.#options = options;
  }

  get rebalances$(): Observable<Rebalance> {
    return this.#rebalances.asObservable();
  }

  /** Says that there is a subscription, or another one. */
  resubscribe(callbacks: RebalanceCallbacks | undefined): void {
    this.#callbacks = callbacks;
    this.#isResubscribed = true;
    this.#options.membership.resubscribe();
  }

  /** Says that other topics match; partitions of those that do not any more are gone. */
  async changeTopics(gone: readonly TopicPartition[]): Promise<void> {
    await this.#lose(gone);
    this.#options.membership.resubscribe();
  }

  /**
   * Goes on with a rebalance, if there is one. Returns false while nothing may be handed out: the
   * member waits for its seat, and the deadline came first.
   *
   * @throws LogError REBALANCE_CALLBACK_FAILED, FENCED_INSTANCE_ID, and what joining fails with.
   */
  async advance(wait: RebalanceWait): Promise<boolean> {
    const { membership, partitions } = this.#options;
    membership.checkNotFenced();
    await this.#noticeLoss();
    if (this.#isResubscribed) await this.#giveUpUnwanted();
    if (this.#joining === undefined && membership.mustRejoin) await this.#begin();
    const joining = this.#joining;
    if (joining === undefined) {
      this.#throwFailure();
      return true;
    }
    if (!membership.isCooperative || partitions.owned.length === 0) {
      await this.#untilSettled(joining, wait.deadlineMs, wait.checkRunning);
    }
    const { seat, error } = joining;
    if (error !== undefined) {
      this.#joining = undefined;
      throw error;
    }
    if (seat !== undefined) await this.#take(seat);
    this.#throwFailure();
    return seat !== undefined || membership.isCooperative;
  }

  /** Tells of the newest seat; all its partitions are placed. */
  announce(): void {
    const news = this.#news;
    this.#news = undefined;
    if (news !== undefined) this.#rebalances.next(news);
  }

  /** Gives up all partitions and the seat. */
  async leave(): Promise<void> {
    const { clock, membership, partitions, committer } = this.#options;
    try {
      await this.#noticeLoss();
      const isCommitted = await committer.commitAutomatically();
      if (!isCommitted && this.#joining !== undefined) {
        // The leader is handing out seats. With its own, the member may commit what it read on.
        const deadlineMs = clock.monotonicMs() + LAST_COMMIT_WAIT_MS;
        await this.#untilSettled(this.#joining, deadlineMs);
        await committer.commitAutomatically();
      }
    } finally {
      if (!this.#isTelling) await this.#revoke(partitions.owned);
      this.#joining = undefined;
      await membership.leave();
    }
    this.#throwFailure();
  }

  /** Nothing more will be told. */
  complete(): void {
    this.#rebalances.complete();
  }

  /** The seat went while nobody looked: too long without a poll, or without a heartbeat. */
  async #noticeLoss(): Promise<void> {
    const { membership, partitions, groupId, logger } = this.#options;
    const reason = membership.takeLoss();
    if (reason === undefined) return;
    logger.warn(`a consumer has lost its seat in group ${groupId}: ${reason}`);
    this.#joining = undefined; // a seat that was not looked at is lost as well
    await this.#lose(partitions.owned);
  }

  async #giveUpUnwanted(): Promise<void> {
    const { partitions, committer, isSubscribed } = this.#options;
    this.#isResubscribed = false;
    const unwanted = partitions.owned.filter(({ topic }) => !isSubscribed(topic));
    if (unwanted.length > 0) await committer.commitAutomatically();
    await this.#revoke(unwanted);
  }

  async #begin(): Promise<void> {
    const { membership, partitions, committer, interruption } = this.#options;
    await committer.commitAutomatically();
    const topics = await this.#options.topics();
    // Without callbacks nobody was told, and what comes back may go on where it is.
    const isGivenUp = !membership.isCooperative && this.#callbacks !== undefined;
    if (isGivenUp) await this.#revoke(partitions.owned);
    const joining: Joining = {};
    void membership
      .join(topics, partitions.owned)
      .then(
        (seat) => void (joining.seat = seat),
        (error: unknown) => void (joining.error = asLogError(error)),
      )
      .finally(() => interruption.interrupt());
    this.#joining = joining;
  }

  /** @throws LogError what `checkRunning` throws while it waits. */
  async #untilSettled(
    joining: Joining,
    deadlineMs: number,
    checkRunning: () => void = ignore,
  ): Promise<void> {
    const { clock, interruption } = this.#options;
    for (;;) {
      checkRunning();
      const leftMs = deadlineMs - clock.monotonicMs();
      if ((joining.seat ?? joining.error) !== undefined || leftMs <= 0) return;
      await interruption.waitUpTo(leftMs, clock);
    }
  }

  async #take({ generation, partitions: taken, isContinuous }: Seat): Promise<void> {
    const { membership, partitions, committer, isSubscribed } = this.#options;
    const seat = taken.filter(({ topic }) => isSubscribed(topic)); // joined for more, maybe
    if (!isContinuous) await this.#lose(partitions.owned);
    const ending = partitions.owned.filter((place) => !includes(seat, place));
    if (ending.length > 0) {
      // Nobody has them before this member has joined once more.
      if (membership.isCooperative) {
        await committer.commitAutomatically();
        membership.requireRejoin();
      }
      await this.#revoke(ending);
    }
    const assigned = seat.filter((place) => !partitions.has(place));
    partitions.add(assigned);
    this.#joining = undefined; // all that can fail so far is done again by the next poll
    this.#news = { generation, partitions: seat, assigned, ...this.#gone };
    this.#gone = { revoked: [], lost: [] };
    const failure = await partitions.place().catch(asLogError);
    await this.#tell('onAssigned', this.#callbacks?.onAssigned, assigned);
    // A seek in the callback may have said where to begin.
    if (failure !== undefined && !partitions.isPlaced) throw failure;
  }

  async #revoke(places: readonly TopicPartition[]): Promise<void> {
    if (places.length === 0) return;
    await this.#tell('onRevoked', this.#callbacks?.onRevoked, places);
    this.#gone.revoked.push(...places);
    this.#options.partitions.drop(places);
  }

  async #lose(places: readonly TopicPartition[]): Promise<void> {
    if (places.length === 0) return;
    const { onLost, onRevoked } = this.#callbacks ?? {};
    await this.#tell('onLost', onLost ?? onRevoked, places);
    this.#gone.lost.push(...places);
    this.#options.partitions.drop(places);
  }

  async #tell(
    name: keyof RebalanceCallbacks,
    call: RebalanceCallbacks['onRevoked'],
    places: readonly TopicPartition[],
  ): Promise<void> {
    this.#isTelling = true;
    try {
      await call?.(places);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `${name} failed: ${reason}; the rebalance has gone on, and the seat is kept`;
      const details = { callback: name };
      this.#failure ??= new LogError('REBALANCE_CALLBACK_FAILED', message, details, { cause });
    } finally {
      this.#isTelling = false;
    }
  }

  #throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }
}

function includes(places: readonly TopicPartition[], place: TopicPartition): boolean {
  return places.some((each) => each.partition === place.partition && each.topic === place.topic);
}

function ignore(): void {
  // closing waits until the deadline, whatever happens
}
