import type { Clock } from '../../clock.ts';
import { LogError } from '../../errors.ts';
import type { Interruption } from '../../interruption.ts';
import { checkOptions } from '../../options.ts';
import type { GroupMembership } from '../group/group-membership.ts';
import type { OffsetCommitter } from '../group/offset-committer.ts';
import type { Rebalancer } from '../group/rebalancer.ts';
import { UNSTABLE_RETRY_MS, type AssignedPartitions } from './assigned-partitions.ts';
import { POLL_CHECKS, type PollOptions } from './consumer-options.ts';
import type { PartitionRecords } from './partition-records.ts';
import type { Subscription } from './subscription.ts';

export interface ReadLoopOptions<R extends { readonly offset: number }> {
  readonly clock: Clock;
  readonly partitions: AssignedPartitions<R>;
  readonly subscription: Subscription;
  readonly committer: OffsetCommitter;
  /** What makes the consumer a member of its group; undefined without one. */
  readonly group: Seated | undefined;
  readonly interruption: Interruption;
  readonly maxPollRecords: number;
  /** Ends iterations, and makes polls fail. */
  readonly signal?: AbortSignal;
  /** @throws LogError when the consumer, or this signal, ends the wait. */
  readonly checkRunning: (signal?: AbortSignal) => void;
}

/** A consumer's seat in its group, and what takes it from one seat to the next. */
export interface Seated {
  readonly membership: GroupMembership;
  readonly rebalancer: Rebalancer;
}

/**
 * Reads the records of a consumer; `Consumer` describes what its methods promise. One reader at a
 * time. Each turn follows the pattern, commits what is due, goes on with a rebalance, finds out where
 * new partitions begin, and fetches.
 */
export class ReadLoop<R extends { readonly offset: number }> {
  readonly #options: ReadLoopOptions<R>;
  /** What decides what is read: a subscription, or the caller; undefined before either. */
  #source: 'subscribe' | 'assign' | undefined;
  /** True when what is to be read was changed, until the next look at what there is. */
  #isChanged = false;
  /** What reads now. */
  #reader: string | undefined;

  constructor(options: ReadLoopOptions<R>) {
    this.#options = options;
  }

  get source(): 'subscribe' | 'assign' | undefined {
    return this.#source;
  }

  /** From here on this decides what is read. */
  follow(source: 'subscribe' | 'assign' | undefined): void {
    this.#source = source;
    this.#isChanged = true;
  }

  poll(options: PollOptions): Promise<R[]> {
    return this.#readAlone('poll', async () => {
      checkOptions('poll', options, POLL_CHECKS);
      const { clock, partitions, maxPollRecords } = this.#options;
      const deadlineMs = clock.monotonicMs() + (options.maxWaitMs ?? Infinity);
      const records: R[] = [];
      do {
        if (!(await this.#fill(deadlineMs, options.signal))) break;
        while (records.length < maxPollRecords) {
          const next = partitions.next(records.length > 0);
          if (next === undefined) break;
          records.push(next.record);
          next.position.offset = next.record.offset + 1;
        }
        // What was fetched may hold nothing that a reader gets to see.
      } while (records.length === 0 && clock.monotonicMs() < deadlineMs);
      return records;
    });
  }

  pollBatches(options: PollOptions): Promise<PartitionRecords[]> {
    return this.#readAlone('pollBatches', async () => {
      checkOptions('pollBatches', options, POLL_CHECKS);
      const { clock, partitions } = this.#options;
      const deadlineMs = clock.monotonicMs() + (options.maxWaitMs ?? Infinity);
      return (await this.#fill(deadlineMs, options.signal)) ? partitions.takeAll() : [];
    });
  }

  async *iterate(): AsyncGenerator<R, void, undefined> {
    const { partitions, group, signal, maxPollRecords } = this.#options;
    this.#begin('iteration');
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
          const next = partitions.next(false);
          if (next === undefined) break;
          const { position, record } = next;
          yield record;
          // After a seek meanwhile this is a position that nobody has any more.
          position.offset = record.offset + 1;
          group?.membership.notePoll();
          if (signal?.aborted === true) return;
        }
      }
    } finally {
      this.#reader = undefined;
    }
  }

  /** @throws LogError CONCURRENT_POLL while another reads: nothing was begun. */
  #begin(operation: string): void {
    if (this.#reader !== undefined) {
      const message =
        `${operation} while the consumer's ${this.#reader} is under way: wait for it, or give ` +
        'each reader a consumer of its own';
      throw new LogError('CONCURRENT_POLL', message, { operation });
    }
    this.#reader = operation;
  }

  async #readAlone<T>(operation: string, read: () => Promise<T>): Promise<T> {
    this.#begin(operation);
    try {
      return await read();
    } finally {
      this.#reader = undefined;
    }
  }

  /**
   * Resolves when something is held, or `deadlineMs` is over; with false when nothing may be handed
   * out.
   */
  async #fill(deadlineMs: number, signal?: AbortSignal): Promise<boolean> {
    const wake = (): void => this.#options.interruption.interrupt();
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
    const { clock, partitions, committer, group, checkRunning } = this.#options;
    checkRunning(signal);
    group?.membership.notePoll();
    await this.#followPattern(group?.membership.mustRejoin === true);
    if (group?.membership.mustRejoin !== true) await committer.commitIfDue();
    if (!(await this.#ensureAssigned(deadlineMs, signal))) return false;
    checkRunning(signal); // nothing is handed out behind the back of the last commit
    if (partitions.hasAny()) return true;
    const leftMs = Math.max(0, deadlineMs - clock.monotonicMs());
    const { isPlaced } = partitions;
    await partitions.fetch(isPlaced ? leftMs : Math.min(leftMs, UNSTABLE_RETRY_MS));
    checkRunning(signal);
    return partitions.hasAny() || leftMs === 0 ? true : undefined;
  }

  /** Goes by the topics that match now; false when they are the same as before. */
  async #followPattern(isDue: boolean): Promise<boolean> {
    const { partitions, subscription, group } = this.#options;
    if (!(await subscription.look(isDue))) return false;
    const gone = partitions.owned.filter(({ topic }) => !subscription.has(topic));
    if (group === undefined) partitions.drop(gone);
    else await group.rebalancer.changeTopics(gone);
    this.#isChanged = true;
    return true;
  }

  /** False while a member waits for its seat. */
  async #ensureAssigned(deadlineMs: number, signal?: AbortSignal): Promise<boolean> {
    const { partitions, subscription, group, checkRunning } = this.#options;
    if (this.#source === undefined) {
      const message = 'the consumer has neither subscribed nor assigned; call one of them first';
      throw new LogError('NOT_SUBSCRIBED', message, {});
    }
    const wasChanged = this.#isChanged;
    this.#isChanged = false;
    if (this.#source === 'subscribe' && group !== undefined) {
      const hasSeat = await group.rebalancer.advance({
        deadlineMs,
        checkRunning: () => checkRunning(signal),
      });
      if (!hasSeat) return false;
    } else if (this.#source === 'subscribe' && (wasChanged || (await subscription.hasChanged()))) {
      this.#isChanged = true; // until it is done
      partitions.add(await subscription.partitions());
      this.#isChanged = false;
    }
    await partitions.place();
    if (partitions.isPlaced) group?.rebalancer.announce();
    return true;
  }
}
