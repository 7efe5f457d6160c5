import type { BrokerApi, TopicPartition } from '../../protocol/broker-api.ts';
import { partitionKey } from '../../protocol/topic-partition.ts';
import type { Clock } from '../../clock.ts';
import { LogError } from '../../errors.ts';
import { Feed } from '../../feed.ts';
import type { Logger } from '../../logger.ts';
import { checkArgument, integer } from '../../options.ts';
import { checkTopicPartition, checkTopicPartitions } from '../arguments.ts';
import { Fetcher, type FetcherOptions, type Position } from './fetcher.ts';
import { HeldRecords } from './held-records.ts';
import type { PartitionRecords } from './partition-records.ts';
import {
  resetOffset,
  startOffsets,
  type StartingPartition,
  type StartOptions,
} from './start-offsets.ts';

/** How long to wait for a transaction that is about to commit offsets before asking again. */
export const UNSTABLE_RETRY_MS = 20;

/** An offset could not be read, and the consumer went to another by `autoOffsetReset`. */
export interface OffsetReset extends TopicPartition {
  /** The offset that was not there. */
  readonly from: number;
  /** Where reading goes on. Offsets between `from` and a higher `to` are never seen. */
  readonly to: number;
}

export interface AssignedPartitionsOptions extends FetcherOptions, StartOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly offsetOutOfRange: 'reset' | 'fail';
}

/** A partition whose position is not known yet. */
interface WithoutPosition extends StartingPartition {
  offset?: number | undefined;
  isPaused: boolean;
}

/** The partitions of a consumer, its position in each, and what was fetched of them. */
export class AssignedPartitions<R extends { readonly offset: number }> {
  readonly resets = new Feed<OffsetReset>();
  readonly #api: BrokerApi;
  readonly #options: AssignedPartitionsOptions;
  readonly #fetcher: Fetcher;
  readonly #held: HeldRecords<R>;
  /** By partition key, until the offset that they begin at is known. */
  readonly #withoutPosition = new Map<string, WithoutPosition>();

  /** @param make makes the record on which a cursor stands. */
  constructor(options: AssignedPartitionsOptions, make: (records: PartitionRecords) => R) {
    this.#api = options.api;
    this.#options = options;
    this.#fetcher = new Fetcher(options);
    this.#held = new HeldRecords(make);
  }

  get owned(): TopicPartition[] {
    return [...this.#fetcher.positions, ...this.#withoutPosition.values()].map(
      ({ topic, partition }) => {
        return { topic, partition };
      },
    );
  }

  get positions(): readonly Position[] {
    return this.#fetcher.positions;
  }

  get hasAllPositions(): boolean {
    return this.#withoutPosition.size === 0;
  }

  get paused(): TopicPartition[] {
    const all = [...this.#fetcher.positions, ...this.#withoutPosition.values()];
    return all
      .filter(({ isPaused }) => isPaused)
      .map(({ topic, partition }) => ({ topic, partition }));
  }

  has({ topic, partition }: TopicPartition): boolean {
    return (
      this.#withoutPosition.has(partitionKey(topic, partition)) ||
      this.#fetcher.find({ topic, partition }) !== undefined
    );
  }

  position(topicPartition: TopicPartition): number | undefined {
    checkTopicPartition('position', topicPartition);
    return this.#fetcher.find(topicPartition)?.offset;
  }

  /** Adds partitions; those that it has already go on where they are. */
  add(partitions: readonly StartingPartition[]): void {
    for (const { topic, partition, offset } of partitions) {
      if (this.has({ topic, partition })) continue;
      const starting = { topic, partition, offset, isPaused: false };
      this.#withoutPosition.set(partitionKey(topic, partition), starting);
    }
  }

  drop(partitions: readonly TopicPartition[]): void {
    for (const each of partitions) {
      this.#withoutPosition.delete(partitionKey(each.topic, each.partition));
      this.#fetcher.remove(each);
      this.#held.drop(each);
    }
  }

  /**
   * Begins to read the partitions without a position whose first offset can be found now.
   *
   * @throws LogError OFFSET_OUT_OF_RANGE where nothing decides where to begin.
   */
  async findPositions(): Promise<void> {
    if (this.hasAllPositions) return;
    const nowMs = this.#options.clock.nowMs();
    const starts = await startOffsets(this.#api, [...this.#withoutPosition.values()], {
      ...this.#options,
      nowMs,
    });
    for (const [key, starting] of [...this.#withoutPosition]) {
      const offset = starting.offset ?? starts.get(key); // a seek may have come meanwhile
      if (offset !== undefined) this.#readFrom({ ...starting, offset });
    }
  }

  /** @throws LogError NOT_ASSIGNED, INVALID_OPTION for what is no offset. */
  seek(topicPartition: TopicPartition, offset: number): void {
    checkTopicPartition('seek', topicPartition);
    checkArgument('seek', 'offset', offset, integer(0));
    const { isPaused } = this.#find(topicPartition);
    const { topic, partition } = topicPartition;
    this.#readFrom({ topic, partition, offset, isPaused });
  }

  /** @throws LogError NOT_ASSIGNED: then none of them is paused. */
  pause(partitions: readonly TopicPartition[]): void {
    checkTopicPartitions('pause', partitions);
    for (const found of partitions.map((each) => this.#find(each))) found.isPaused = true;
  }

  /** @throws LogError NOT_ASSIGNED: then none of them is resumed. */
  resume(partitions: readonly TopicPartition[]): void {
    checkTopicPartitions('resume', partitions);
    const found = partitions.map((each) => this.#find(each));
    if (!found.some(({ isPaused }) => isPaused)) return;
    for (const each of found) each.isPaused = false;
    this.#options.interruption.interrupt();
  }

  /** @throws LogError NOT_ASSIGNED */
  check(topicPartition: TopicPartition): void {
    this.#find(topicPartition);
  }

  /** True when there is something to hand out. */
  hasAny(): boolean {
    return this.#held.hasAny();
  }

  /** Waits for up to `maxWaitMs` for something to hand out. */
  async fetch(maxWaitMs: number): Promise<void> {
    for (const fetched of await this.#fetcher.take(maxWaitMs)) {
      // A seek may have come while this was on its way.
      if (this.#fetcher.isCurrent(fetched.position)) this.#held.add(fetched);
    }
    await this.#handleErrors();
  }

  /** As `HeldRecords.next`. */
  next(mayWait: boolean): { readonly position: Position; readonly record: R } | undefined {
    return this.#held.next(mayWait);
  }

  /** As `HeldRecords.takeAll`. */
  takeAll(): PartitionRecords[] {
    return this.#held.takeAll().map(({ records }) => records);
  }

  #find(topicPartition: TopicPartition): Position | WithoutPosition {
    const { topic, partition } = topicPartition;
    const found =
      this.#fetcher.find(topicPartition) ??
      this.#withoutPosition.get(partitionKey(topic, partition));
    if (found !== undefined) return found;
    const message =
      `this consumer does not read ${topic}-${partition}; its assignment says what it reads, ` +
      'from its first poll on';
    throw new LogError('NOT_ASSIGNED', message, { topic, partition });
  }

  #readFrom(position: Position): void {
    this.#withoutPosition.delete(partitionKey(position.topic, position.partition));
    this.#held.drop(position);
    this.#fetcher.add(position);
  }

  async #handleErrors(): Promise<void> {
    for (const { position, error } of this.#fetcher.takeErrors()) {
      const { autoOffsetReset, offsetOutOfRange, logger } = this.#options;
      if (!LogError.is(error, 'OFFSET_OUT_OF_RANGE')) throw error;
      if (autoOffsetReset === 'none' || offsetOutOfRange === 'fail') throw error;
      const { topic, partition } = position;
      const nowMs = this.#options.clock.nowMs();
      const to = await resetOffset(this.#api, position, { ...this.#options, nowMs });
      if (!this.#fetcher.isCurrent(position)) continue; // a seek came meanwhile
      const { offset: from } = error.details;
      logger.warn(`${topic}-${partition} has no offset ${from}; its reader goes on at ${to}`);
      this.seek(position, to);
      this.resets.next({ topic, partition, from, to });
    }
  }
}
