import type { Observable } from 'rxjs';
import type { TopicPartition } from '../../protocol/broker-api.ts';
import type { Clock } from '../../clock.ts';
import { asLogError, LogError } from '../../errors.ts';
import { Feed } from '../../feed.ts';
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
   * all that the member has, before each rebalance: what comes back begins again at the committed
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

/** The longest wait of `leave` for its last commit: a leader hands out seats much faster. */
const LAST_COMMIT_WAIT_MS = 1000;

/** A join that is under way, or whose result was not used yet. */
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
  readonly #rebalances = new Feed<Rebalance>();
  #callbacks: RebalanceCallbacks | undefined;
  /** True from a new subscription until what it lacks is given up. */
  #isResubscribed = false;
  #joining: Joining | undefined;
  /** The newest seat, until all its partitions have positions and it is announced. */
  #unannounced: Rebalance | undefined;
  /** What was given up or lost since the last seat. */
  #givenUp: { revoked: TopicPartition[]; lost: TopicPartition[] } = { revoked: [], lost: [] };
  /** The first failure of a callback, for the caller. */
  #failure: LogError | undefined;
  #isCallingBack = false;

  constructor(options: RebalancerOptions) {
    this.#options = options;
  }

  get rebalances$(): Observable<Rebalance> {
    return this.#rebalances.values$;
  }

  /** There is a subscription, or another one. */
  resubscribe(callbacks: RebalanceCallbacks | undefined): void {
    this.#callbacks = callbacks;
    this.#isResubscribed = true;
    this.#options.membership.resubscribe();
  }

  /** Other topics match: takes the partitions of those that no longer do as lost. */
  async changeTopics(deleted: readonly TopicPartition[]): Promise<void> {
    await this.#lose(deleted);
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

  /** Announces the newest seat, now that all its partitions have positions. */
  announce(): void {
    const rebalance = this.#unannounced;
    this.#unannounced = undefined;
    if (rebalance !== undefined) this.#rebalances.next(rebalance);
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
      if (!this.#isCallingBack) await this.#revoke(partitions.owned);
      this.#joining = undefined;
      await membership.leave();
    }
    this.#throwFailure();
  }

  /** Nothing more will be announced. */
  complete(): void {
    this.#rebalances.complete();
  }

  /** Handles a seat that was lost meanwhile: no poll or no heartbeat for too long. */
  async #noticeLoss(): Promise<void> {
    const { membership, partitions, groupId, logger } = this.#options;
    const reason = membership.takeLoss();
    if (reason === undefined) return;
    logger.warn(`a consumer has lost its seat in group ${groupId}: ${reason}`);
    this.#joining = undefined; // a seat that was not taken yet is lost as well
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
    // Without callbacks nothing was revoked, and what comes back may go on where it is.
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
    const seat = taken.filter(({ topic }) => isSubscribed(topic)); // fewer by now, perhaps
    if (!isContinuous) await this.#lose(partitions.owned);
    const ending = partitions.owned.filter((each) => !includes(seat, each));
    if (ending.length > 0) {
      // No other member has them before this one has joined again.
      if (membership.isCooperative) {
        await committer.commitAutomatically();
        membership.requireRejoin();
      }
      await this.#revoke(ending);
    }
    const assigned = seat.filter((each) => !partitions.has(each));
    partitions.add(assigned);
    this.#joining = undefined; // if anything above fails, the next poll repeats it
    this.#unannounced = { generation, partitions: seat, assigned, ...this.#givenUp };
    this.#givenUp = { revoked: [], lost: [] };
    const failure = await partitions.findPositions().catch(asLogError);
    await this.#callBack('onAssigned', this.#callbacks?.onAssigned, assigned);
    // A seek in the callback may have said where to begin.
    if (failure !== undefined && !partitions.hasAllPositions) throw failure;
  }

  async #revoke(partitions: readonly TopicPartition[]): Promise<void> {
    if (partitions.length === 0) return;
    await this.#callBack('onRevoked', this.#callbacks?.onRevoked, partitions);
    this.#givenUp.revoked.push(...partitions);
    this.#options.partitions.drop(partitions);
  }

  async #lose(partitions: readonly TopicPartition[]): Promise<void> {
    if (partitions.length === 0) return;
    const { onLost, onRevoked } = this.#callbacks ?? {};
    await this.#callBack('onLost', onLost ?? onRevoked, partitions);
    this.#givenUp.lost.push(...partitions);
    this.#options.partitions.drop(partitions);
  }

  async #callBack(
    name: keyof RebalanceCallbacks,
    call: RebalanceCallbacks['onRevoked'],
    partitions: readonly TopicPartition[],
  ): Promise<void> {
    this.#isCallingBack = true;
    try {
      await call?.(partitions);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `${name} failed: ${reason}; the rebalance has gone on, and the seat is kept`;
      const details = { callback: name };
      this.#failure ??= new LogError('REBALANCE_CALLBACK_FAILED', message, details, { cause });
    } finally {
      this.#isCallingBack = false;
    }
  }

  #throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }
}

function includes(all: readonly TopicPartition[], { topic, partition }: TopicPartition): boolean {
  return all.some((each) => each.partition === partition && each.topic === topic);
}

function ignore(): void {
  // closing waits until the deadline, whatever happens
}
