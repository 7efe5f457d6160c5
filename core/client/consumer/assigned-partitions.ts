import { Subject } from 'rxjs';
import type { BrokerApi, TopicPartition } from '../../protocol/broker-api.ts';
import { partitionKey } from '../../protocol/topic-partition.ts';
import type { Clock } from '../../clock.ts';
import { LogError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { checkArgument, integer } from '../../options.ts';
import { checkPlace, checkPlaces } from '../arguments.ts';
import { Fetcher, type FetcherOptions, type Position } from './fetcher.ts';
import { HeldRecords } from './held-records.ts';
import type { PartitionRecords } from './partition-records.ts';
import { resetOffset, startOffsets, type Place, type StartOptions } from './start-offsets.ts';

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
interface Unplaced extends Place {
  offset?: number | undefined;
  isPaused: boolean;
}

/** The partitions that a consumer has: where it stands in each, and what was fetched of them. */
export class AssignedPartitions<R extends { readonly offset: number }> {
  readonly resets = new Subject<OffsetReset>();
  readonly #api: BrokerApi;
  readonly #options: AssignedPartitionsOptions;
  readonly #fetcher: Fetcher;
  readonly #held: HeldRecords<R>;
  /** By partition key; until it can be told where they begin. */
  readonly #unplaced = new Map<string, Unplaced>();

  /** @param make makes the record on which a cursor stands. */
  constructor(options: AssignedPartitionsOptions, make: (records: PartitionRecords) => R) {
    this.#api = options.api;
    this.#options = options;
    this.#fetcher = new Fetcher(options);
    this.#held = new HeldRecords(make);
  }

  get owned(): TopicPartition[] {
    return [...this.#fetcher.positions, ...this.#unplaced.values()].map(({ topic, partition }) => {
      return { topic, partition };
    });
  }

  get positions(): readonly Position[] {
    return this.#fetcher.positions;
  }

  get isPlaced(): boolean {
    return this.#unplaced.size === 0;
  }

  get paused(): TopicPartition[] {
    const all = [...this.#fetcher.positions, ...this.#unplaced.values()];
    return all
      .filter(({ isPaused }) => isPaused)
      .map(({ topic, partition }) => ({ topic, partition }));
  }

  has({ topic, partition }: TopicPartition): boolean {
    return (
      this.#unplaced.has(partitionKey(topic, partition)) ||
      this.#fetcher.find({ topic, partition }) !== undefined
    );
  }

  position(place: TopicPartition): number | undefined {
    checkPlace('position', place);
    return this.#fetcher.find(place)?.offset;
  }

  /** Has these as well; those it had go on where they are. */
  add(places: readonly Place[]): void {
    for (const { topic, partition, offset } of places) {
      if (this.has({ topic, partition })) continue;
      const unplaced = { topic, partition, offset, isPaused: false };
      this.#unplaced.set(partitionKey(topic, partition), unplaced);
    }
  }

  drop(places: readonly TopicPartition[]): void {
    for (const place of places) {
      this.#unplaced.delete(partitionKey(place.topic, place.partition));
      this.#fetcher.remove(place);
      this.#held.drop(place);
    }
  }

  /**
   * Begins to read the partitions without a position, as far as it can be told from where.
   *
   * @throws LogError OFFSET_OUT_OF_RANGE where nothing says where to begin.
   */
  async place(): Promise<void> {
    if (this.isPlaced) return;
    const nowMs = this.#options.clock.nowMs();
    const starts = await startOffsets(this.#api, [...this.#unplaced.values()], {
      ...this.#options,
      nowMs,
    });
    for (const [key, unplaced] of [...this.#unplaced]) {
      const offset = unplaced.offset ?? starts.get(key); // a seek may have come meanwhile
      if (offset !== undefined) this.#readFrom({ ...unplaced, offset });
    }
  }

  /** @throws LogError NOT_ASSIGNED, INVALID_OPTION for what is no offset. */
  seek(place: TopicPartition, offset: number): void {
    checkPlace('seek', place);
    checkArgument('seek', 'offset', offset, integer(0));
    const { isPaused } = this.#find(place);
    const { topic, partition } = place;
    this.#readFrom({ topic, partition, offset, isPaused });
  }

  /** @throws LogError NOT_ASSIGNED: then none of them is paused. */
  pause(places: readonly TopicPartition[]): void {
    checkPlaces('pause', places);
    for (const found of places.map((place) => this.#find(place))) found.isPaused = true;
  }

  /** @throws LogError NOT_ASSIGNED: then none of them is resumed. */
  resume(places: readonly TopicPartition[]): void {
    checkPlaces('resume', places);
    const found = places.map((place) => this.#find(place));
    if (!found.some(({ isPaused }) => isPaused)) return;
    for (const each of found) each.isPaused = false;
    this.#options.interruption.interrupt();
  }

  /** @throws LogError NOT_ASSIGNED */
  check(place: TopicPartition): void {
    this.#find(place);
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

  #find(place: TopicPartition): Position | Unplaced {
    const { topic, partition } = place;
    const found = this.#fetcher.find(place) ?? this.#unplaced.get(partitionKey(topic, partition));
    if (found !== undefined) return found;
    const message =
      `this consumer does not read ${topic}-${partition}; its assignment says what it reads, ` +
      'from its first poll on';
    throw new LogError('NOT_ASSIGNED', message, { topic, partition });
  }

  #readFrom(position: Position): void {
    this.#unplaced.delete(partitionKey(position.topic, position.partition));
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
      if (!this.#fetcher.isCurrent(position)) continue; // somebody knew better
      const { offset: from } = error.details;
      logger.warn(`${topic}-${partition} has no offset ${from}; its reader goes on at ${to}`);
      this.seek(position, to);
      this.resets.next({ topic, partition, from, to });
    }
  }
}
