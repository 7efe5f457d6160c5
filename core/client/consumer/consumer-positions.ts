import type { Observable } from 'rxjs';
import type {
  BrokerApi,
  CommittedOffset,
  IsolationLevel,
  OffsetSpec,
  TopicPartition,
} from '../../protocol/broker-api.ts';
import { partitionKey } from '../../protocol/topic-partition.ts';
import type { Clock } from '../../clock.ts';
import { checkArgument, integer } from '../../options.ts';
import { checkPlaces } from '../arguments.ts';
import type { AssignedPartitions, OffsetReset } from './assigned-partitions.ts';
import { repeated } from '../repeated.ts';
import { groupIdOf } from './consumer-options.ts';
import { committedOffsets, listedOffsets } from './start-offsets.ts';

/** How far a consumer is behind the end of a partition. */
export interface PartitionLag extends TopicPartition {
  /** Offsets from its position to the end that it sees: records, and what ends transactions. */
  readonly lag: number;
}

interface ConsumerPositionsOptions {
  readonly api: BrokerApi;
  readonly clock: Clock;
  readonly isolationLevel: IsolationLevel;
  readonly groupId: string | undefined;
  readonly partitions: AssignedPartitions<{ readonly offset: number }>;
  /** Aborts when the consumer ends. */
  readonly ended: AbortSignal;
}

/** The part of a consumer that says where it stands, and moves that. */
export class ConsumerPositions {
  readonly #options: ConsumerPositionsOptions;
  readonly #partitions: AssignedPartitions<{ readonly offset: number }>;

  /** @internal `Consumer` is what there is. */
  constructor(options: ConsumerPositionsOptions) {
    this.#options = options;
    this.#partitions = options.partitions;
  }

  /** Each time the consumer could not go on where it stood; logged as a warning as well. */
  get resets$(): Observable<OffsetReset> {
    return this.#partitions.resets.asObservable();
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
  position(place: TopicPartition): number | undefined {
    return this.#partitions.position(place);
  }

  /**
   * Goes on from `offset`. Whether it exists shows at the next poll.
   *
   * @throws LogError NOT_ASSIGNED, INVALID_OPTION for what is no offset.
   */
  seek(place: TopicPartition, offset: number): void {
    this.#partitions.seek(place, offset);
  }

  /**
   * Goes on from the first record that the log has; default: in all partitions.
   *
   * @throws LogError NOT_ASSIGNED
   */
  seekToBeginning(places: readonly TopicPartition[] = this.assignment): Promise<void> {
    return this.#seekTo(places, 'earliest');
  }

  /**
   * Goes on behind the last record that this reader sees; default: in all partitions.
   *
   * @throws LogError NOT_ASSIGNED
   */
  seekToEnd(places: readonly TopicPartition[] = this.assignment): Promise<void> {
    return this.#seekTo(places, 'latest');
  }

  /**
   * Hands out nothing more of these partitions until `resume`; the seat in the group is kept.
   *
   * @throws LogError NOT_ASSIGNED: then none of them is paused.
   */
  pause(places: readonly TopicPartition[]): void {
    this.#partitions.pause(places);
  }

  /**
   * Goes on with paused partitions where they were paused.
   *
   * @throws LogError NOT_ASSIGNED: then none of them is resumed.
   */
  resume(places: readonly TopicPartition[]): void {
    this.#partitions.resume(places);
  }

  /**
   * The first offset that can be read of each partition, by partition key.
   *
   * @throws LogError UNKNOWN_TOPIC_OR_PARTITION, INVALID_OPTION
   */
  async beginningOffsets(places: readonly TopicPartition[]): Promise<Map<string, number>> {
    checkPlaces('beginningOffsets', places);
    return this.#offsetsAt(places, 'earliest');
  }

  /**
   * The offset behind the last record that this reader sees of each partition, by partition key.
   *
   * @throws LogError UNKNOWN_TOPIC_OR_PARTITION, INVALID_OPTION
   */
  async endOffsets(places: readonly TopicPartition[]): Promise<Map<string, number>> {
    checkPlaces('endOffsets', places);
    return this.#offsetsAt(places, 'latest');
  }

  /**
   * The offset of the first record stamped `timestampMs` (milliseconds since 1970) or later of each
   * partition, by partition key; missing where there is none.
   *
   * @throws LogError UNKNOWN_TOPIC_OR_PARTITION, INVALID_OPTION
   */
  async offsetsForTimes(
    places: readonly TopicPartition[],
    timestampMs: number,
  ): Promise<Map<string, number>> {
    checkPlaces('offsetsForTimes', places);
    checkArgument('offsetsForTimes', 'timestampMs', timestampMs, integer(0));
    return this.#offsetsAt(places, { timestampMs });
  }

  /**
   * What the group has committed for the partitions, by partition key (`orders-0`); missing where
   * it has not.
   *
   * @throws LogError NOT_SUBSCRIBED without a groupId.
   */
  async committed(places: readonly TopicPartition[]): Promise<Map<string, CommittedOffset>> {
    checkPlaces('committed', places);
    const request = { groupId: groupIdOf(this.#options), places, requireStable: false };
    const { found } = await committedOffsets(this.#options.api, request);
    return found;
  }

  /** How far the consumer is behind, now, in each partition that it reads. */
  async lag(): Promise<PartitionLag[]> {
    const ends = await this.endOffsets(this.#partitions.positions);
    return this.#partitions.positions.flatMap(({ topic, partition, offset }) => {
      const end = ends.get(partitionKey(topic, partition));
      return end === undefined ? [] : [{ topic, partition, lag: Math.max(0, end - offset) }];
    });
  }

  /** The same at once and every `everyMs` milliseconds, until the consumer is closed. */
  lag$(everyMs = 1000): Observable<PartitionLag[]> {
    checkArgument('lag$', 'everyMs', everyMs, integer(1));
    return repeated(() => this.lag(), { ...this.#options, everyMs });
  }

  async #seekTo(places: readonly TopicPartition[], spec: 'earliest' | 'latest'): Promise<void> {
    checkPlaces(spec === 'earliest' ? 'seekToBeginning' : 'seekToEnd', places);
    for (const place of places) this.#partitions.check(place);
    const offsets = await this.#offsetsAt(places, spec);
    for (const place of places) {
      this.seek(place, offsets.get(partitionKey(place.topic, place.partition)) ?? 0);
    }
  }

  async #offsetsAt(
    places: readonly TopicPartition[],
    spec: OffsetSpec,
  ): Promise<Map<string, number>> {
    const { api, isolationLevel } = this.#options;
    const listed = await listedOffsets(api, places, { spec, isolationLevel });
    const found = listed.filter(({ offset }) => offset >= 0);
    return new Map(
      found.map(({ topic, partition, offset }) => [partitionKey(topic, partition), offset]),
    );
  }
}
