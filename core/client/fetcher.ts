import { LogError } from '../errors.ts';
import type {
  BrokerApi,
  FetchedPartition,
  IsolationLevel,
  TopicPartition,
} from '../broker/broker-api.ts';
import { partitionKey } from '../broker/checkpoint-file.ts';
import { PartitionRecords } from './partition-records.ts';

export interface FetcherOptions {
  readonly api: BrokerApi;
  readonly isolationLevel: IsolationLevel;
  readonly fetchMaxBytes: number;
  readonly maxPartitionFetchBytes: number;
  readonly fetchMinBytes: number;
  readonly fetchMaxWaitMs: number;
}

/** A partition that is read. */
interface FetchState extends TopicPartition {
  /** The next offset to fetch: behind everything that has arrived. */
  fetchOffset: number;
  isPaused: boolean;
  /** What has arrived and was not taken. */
  arrived: PartitionRecords | undefined;
}

/**
 * Fetches ahead: while what has arrived is being worked on, the next request is under way. Holds at
 * most one answer of each partition, so memory is bounded by `fetchMaxBytes` twice.
 */
export class Fetcher {
  readonly #options: FetcherOptions;
  readonly #states = new Map<string, FetchState>();
  #fetching: Promise<void> | undefined;
  /** Raised when offsets were moved: what is under way then no longer counts. */
  #generation = 0;
  /** Errors of partitions, for the next `take`. */
  readonly #errors: { readonly place: TopicPartition; readonly error: LogError }[] = [];
  #rotation = 0;

  constructor(options: FetcherOptions) {
    this.#options = options;
  }

  get partitions(): TopicPartition[] {
    return [...this.#states.values()].map(({ topic, partition }) => ({ topic, partition }));
  }

  has({ topic, partition }: TopicPartition): boolean {
    return this.#states.has(partitionKey(topic, partition));
  }

  /** Reads `partition` from `offset` on; what had arrived of it is dropped. */
  seek({ topic, partition }: TopicPartition, offset: number): void {
    this.#generation++;
    const key = partitionKey(topic, partition);
    const isPaused = this.#states.get(key)?.isPaused ?? false;
    this.#states.set(key, { topic, partition, fetchOffset: offset, isPaused, arrived: undefined });
  }

  remove({ topic, partition }: TopicPartition): void {
    this.#generation++;
    this.#states.delete(partitionKey(topic, partition));
  }

  pause({ topic, partition }: TopicPartition, isPaused: boolean): void {
    const state = this.#states.get(partitionKey(topic, partition));
    if (state !== undefined) state.isPaused = isPaused;
  }

  /**
   * Hands out what has arrived, waiting for up to `maxWaitMs` for something. Another fetch is begun
   * at once for what was handed out.
   */
  async take(maxWaitMs: number): Promise<PartitionRecords[]> {
    let taken = this.#takeArrived();
    if (taken.length === 0 && this.#errors.length === 0) {
      this.#fetching ??= this.#fetch(maxWaitMs);
      await this.#fetching;
      taken = this.#takeArrived();
    }
    if (taken.length > 0) this.#fetching ??= this.#fetch(0);
    return taken;
  }

  /** The errors that partitions answered with since the last call. */
  takeErrors(): { readonly place: TopicPartition; readonly error: LogError }[] {
    return this.#errors.splice(0);
  }

  #takeArrived(): PartitionRecords[] {
    const taken: PartitionRecords[] = [];
    for (const state of this.#states.values()) {
      if (state.arrived === undefined || state.isPaused) continue;
      taken.push(state.arrived);
      state.arrived = undefined;
    }
    return taken;
  }

  /** Never rejects: a failed request becomes an error of all its partitions. */
  async #fetch(maxWaitMs: number): Promise<void> {
    const { api, isolationLevel, fetchMaxBytes, maxPartitionFetchBytes, fetchMinBytes } =
      this.#options;
    const generation = this.#generation;
    const wanted = this.#rotated().filter(
      (state) => state.arrived === undefined && !state.isPaused,
    );
    try {
      const { partitions } = await api.fetch({
        isolationLevel,
        maxWaitMs: Math.min(maxWaitMs, this.#options.fetchMaxWaitMs),
        minBytes: fetchMinBytes,
        maxBytes: fetchMaxBytes,
        partitions: wanted.map(({ topic, partition, fetchOffset }) => {
          return { topic, partition, fetchOffset, maxBytes: maxPartitionFetchBytes };
        }),
      });
      if (generation === this.#generation) for (const fetched of partitions) this.#arrive(fetched);
    } catch (cause) {
      if (!(cause instanceof LogError)) throw cause;
      for (const place of wanted) this.#errors.push({ place, error: cause });
    } finally {
      this.#fetching = undefined;
    }
  }

  #arrive(fetched: FetchedPartition): void {
    const state = this.#states.get(partitionKey(fetched.topic, fetched.partition));
    if (state === undefined) return;
    if (fetched.error !== undefined) {
      this.#errors.push({ place: state, error: LogError.fromData(fetched.error) });
      return;
    }
    if (fetched.records.length === 0) return;
    const records = new PartitionRecords(fetched, state.fetchOffset);
    state.fetchOffset = records.endOffset;
    state.arrived = records;
  }

  /**
   * The partitions, beginning with another one each time, so that none starves behind
   * `fetchMaxBytes`.
   */
  #rotated(): FetchState[] {
    const states = [...this.#states.values()];
    if (states.length === 0) return states;
    const first = this.#rotation++ % states.length;
    return [...states.slice(first), ...states.slice(0, first)];
  }
}
