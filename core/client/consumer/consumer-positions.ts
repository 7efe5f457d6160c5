import type { Observable } from 'rxjs';
import type {
  BrokerApi,
  CommittedOffset,
  IsolationLevel,
  OffsetSpec,
  TopicPartition,
} from '../../protocol/broker-api.ts';
import { partitionKey } from '../../protocol/topic-partition.ts';
import type { Clock, Timer } from '../../clock.ts';
import { LogError } from '../../errors.ts';
import { rxjs } from '../../feed.ts';
import { checkArgument, integer } from '../../options.ts';
import { checkTopicPartitions } from '../arguments.ts';
import type { AssignedPartitions } from './assigned-partitions.ts';
import { groupIdOf } from './consumer-options.ts';
import { committedOffsets, listedOffsets } from './start-offsets.ts';

/** How far a consumer is behind the end of a partition. */
export interface PartitionLag extends TopicPartition {
  /** Offsets from its position to the end that it sees: records, and what ends transactions. */
  readonly lag: number;
}

export interface ConsumerPositionsOptions {
  readonly api: BrokerApi;
  readonly clock: Clock;
  readonly isolationLevel: IsolationLevel;
  readonly groupId: string | undefined;
  readonly partitions: AssignedPartitions<{ readonly offset: number }>;
  /** Aborts when the consumer ends. */
  readonly ended: AbortSignal;
}

/** Compares where a consumer stands with what the log has. `Consumer` describes each method. */
export class ConsumerPositions {
  readonly #options: ConsumerPositionsOptions;

  constructor(options: ConsumerPositionsOptions) {
    this.#options = options;
  }

  async seekTo(
    spec: 'earliest' | 'latest',
    partitions: readonly TopicPartition[],
    operation: string,
  ): Promise<void> {
    checkTopicPartitions(operation, partitions);
    const { partitions: assigned } = this.#options;
    for (const each of partitions) assigned.check(each);
    const offsets = await this.#offsetsAt(partitions, spec);
    for (const each of partitions) {
      assigned.seek(each, offsets.get(partitionKey(each.topic, each.partition)) ?? 0);
    }
  }

  async beginningOffsets(partitions: readonly TopicPartition[]): Promise<Map<string, number>> {
    checkTopicPartitions('beginningOffsets', partitions);
    return this.#offsetsAt(partitions, 'earliest');
  }

  async endOffsets(partitions: readonly TopicPartition[]): Promise<Map<string, number>> {
    checkTopicPartitions('endOffsets', partitions);
    return this.#offsetsAt(partitions, 'latest');
  }

  async offsetsForTimes(
    partitions: readonly TopicPartition[],
    timestampMs: number,
  ): Promise<Map<string, number>> {
    checkTopicPartitions('offsetsForTimes', partitions);
    checkArgument('offsetsForTimes', 'timestampMs', timestampMs, integer(0));
    return this.#offsetsAt(partitions, { timestampMs });
  }

  async committed(partitions: readonly TopicPartition[]): Promise<Map<string, CommittedOffset>> {
    checkTopicPartitions('committed', partitions);
    const { api } = this.#options;
    const groupId = groupIdOf(this.#options);
    return (await committedOffsets(api, { groupId, partitions, requireStable: false })).found;
  }

  async lag(): Promise<PartitionLag[]> {
    const { partitions } = this.#options;
    const ends = await this.endOffsets(partitions.positions);
    return partitions.positions.flatMap(({ topic, partition, offset }) => {
      const end = ends.get(partitionKey(topic, partition));
      return end === undefined ? [] : [{ topic, partition, lag: Math.max(0, end - offset) }];
    });
  }

  lag$(everyMs: number): Observable<PartitionLag[]> {
    checkArgument('lag$', 'everyMs', everyMs, integer(1));
    const { clock, ended } = this.#options;
    return new (rxjs().Observable)((subscriber) => {
      let timer: Timer | undefined;
      const end = (): void => subscriber.complete();
      const ask = (): void => {
        this.lag().then(
          (lag) => {
            subscriber.next(lag);
            if (!subscriber.closed) timer = clock.setBackgroundTimer(everyMs, ask);
          },
          (error: unknown) => {
            if (LogError.is(error, 'CLOSED')) subscriber.complete();
            else subscriber.error(error);
          },
        );
      };
      ended.addEventListener('abort', end);
      subscriber.add(() => {
        timer?.cancel();
        ended.removeEventListener('abort', end);
      });
      if (ended.aborted) end();
      else ask();
    });
  }

  async #offsetsAt(
    partitions: readonly TopicPartition[],
    spec: OffsetSpec,
  ): Promise<Map<string, number>> {
    const { api, isolationLevel } = this.#options;
    const listed = await listedOffsets(api, partitions, { spec, isolationLevel });
    const found = listed.filter(({ offset }) => offset >= 0);
    return new Map(
      found.map(({ topic, partition, offset }) => [partitionKey(topic, partition), offset]),
    );
  }
}
