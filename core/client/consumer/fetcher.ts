import type { Clock } from '../../clock.ts';
import { LogError } from '../../errors.ts';
import type { Interruption } from '../../interruption.ts';
import type {
  BrokerApi,
  FetchedPartition,
  IsolationLevel,
  TopicPartition,
} from '../../protocol/broker-api.ts';
import { partitionKey } from '../../protocol/topic-partition.ts';
import { PartitionRecords } from './partition-records.ts';

export interface FetcherOptions {
  readonly api: BrokerApi;
  readonly clock: Clock;
  readonly isolationLevel: IsolationLevel;
  readonly fetchMaxBytes: number;
  readonly maxPartitionFetchBytes: number;
  readonly fetchMinBytes: number;
  readonly fetchMaxWaitMs: number;
  /** Ends the waits of `take` when what is wanted has changed. */
  readonly interruption: Interruption;
}

/** A consumer's position in a partition. A seek replaces it, which makes this one obsolete. */
export interface Position extends TopicPartition {
  /** The offset of the next record to hand out. */
  offset: number;
  isPaused: boolean;
}

/** What one fetch brought of a partition. */
export interface Fetched {
  readonly position: Position;
  readonly records: PartitionRecords;
}

/** A partition that is read. */
interface FetchState {
  readonly position: Position;
  /** The next offset to fetch: behind everything that has arrived. */
  fetchOffset: number;
  /** True while a request for it is under way. */
  isFetching: boolean;
  /** What has arrived and was not taken. */
  arrived: PartitionRecords | undefined;
}

/**
 * Fetches ahead: while what has arrived is being worked on, the next request is under way. Holds at
 * most one answer of each partition, and each is in one request at a time.
 */
export class Fetcher {
  readonly #options: FetcherOptions;
  readonly #states = new Map<string, FetchState>();
  /** How many requests are under way. */
  #requestCount = 0;
  /** Until when one of them may wait for records. */
  #waitsUntilMs = 0;
  /** Errors of partitions, for the next `take`. */
  #errors: { readonly position: Position; readonly error: LogError }[] = [];
  /** A request that failed as a whole, for the next `take`. */
  #failure: Error | undefined;
  #rotation = 0;

  constructor(options: FetcherOptions) {
    this.#options = options;
  }

  get positions(): Position[] {
    return [...this.#states.values()].map(({ position }) => position);
  }

  find({ topic, partition }: TopicPartition): Position | undefined {
    return this.#states.get(partitionKey(topic, partition))?.position;
  }

  /** Reads a partition from `position` on; what had arrived of it is dropped. */
  add(position: Position): void {
    const { topic, partition, offset: fetchOffset } = position;
    const state = { position, fetchOffset, isFetching: false, arrived: undefined };
    this.#states.set(partitionKey(topic, partition), state);
    this.#options.interruption.interrupt();
  }

  remove({ topic, partition }: TopicPartition): void {
    this.#states.delete(partitionKey(topic, partition));
  }

  /** True while the partition is read from this position on. */
  isCurrent(position: Position): boolean {
    return this.find(position) === position;
  }

  /**
   * Hands out what has arrived, waiting for up to `maxWaitMs` for something, or until interrupted.
   * Another fetch is begun at once for what was handed out.
   *
   * @throws LogError what a request as a whole failed with.
   */
  async take(maxWaitMs: number): Promise<Fetched[]> {
    const { clock, interruption } = this.#options;
    let taken = this.#takeArrived();
    if (taken.length === 0 && this.#errors.length === 0) {
      const wanted = this.#wanted();
      // After a poll that its signal ended, its request still waits, maybe longer than this one is
      // to.
      const untilMs = clock.monotonicMs() + maxWaitMs;
      const mayTakeLonger = this.#requestCount > 0 && this.#waitsUntilMs > untilMs;
      if (wanted.length > 0 || this.#requestCount === 0) this.#request(wanted, maxWaitMs);
      // Each answer ends it as well.
      await (mayTakeLonger ? interruption.waitUpTo(maxWaitMs, clock) : interruption.wait());
      const failure = this.#failure;
      this.#failure = undefined;
      if (failure !== undefined) throw failure;
      taken = this.#takeArrived();
    }
    const next = taken.length > 0 ? this.#wanted() : [];
    if (next.length > 0) this.#request(next, 0);
    return taken;
  }

  /** The errors that partitions answered with since the last call. */
  takeErrors(): { readonly position: Position; readonly error: LogError }[] {
    const errors = this.#errors.filter(({ position }) => this.isCurrent(position));
    this.#errors = [];
    return errors;
  }

  #takeArrived(): Fetched[] {
    const taken: Fetched[] = [];
    for (const state of this.#states.values()) {
      const { position, arrived: records } = state;
      if (records === undefined || position.isPaused) continue;
      taken.push({ position, records });
      state.arrived = undefined;
    }
    return taken;
  }

  /**
   * The partitions to fetch, beginning with another one each time, so that none starves behind
   * `fetchMaxBytes`.
   */
  #wanted(): FetchState[] {
    const states = [...this.#states.values()].filter(
      ({ position, arrived, isFetching }) =>
        arrived === undefined && !isFetching && !position.isPaused,
    );
    if (states.length < 2) return states;
    const first = this.#rotation++ % states.length;
    return [...states.slice(first), ...states.slice(0, first)];
  }

  #request(wanted: readonly FetchState[], maxWaitMs: number): void {
    for (const state of wanted) state.isFetching = true;
    const { clock, fetchMaxWaitMs } = this.#options;
    const untilMs = clock.monotonicMs() + Math.min(maxWaitMs, fetchMaxWaitMs);
    if (maxWaitMs > 0) this.#waitsUntilMs = Math.max(this.#waitsUntilMs, untilMs);
    this.#requestCount++;
    void this.#fetch(wanted, maxWaitMs).finally(() => {
      for (const state of wanted) state.isFetching = false;
      this.#requestCount--;
      this.#options.interruption.interrupt();
    });
  }

  /** Never rejects: a failure is for the next `take`. */
  async #fetch(wanted: readonly FetchState[], maxWaitMs: number): Promise<void> {
    const { api, isolationLevel, fetchMaxBytes, maxPartitionFetchBytes, fetchMinBytes } =
      this.#options;
    try {
      const { partitions } = await api.fetch({
        isolationLevel,
        maxWaitMs: Math.min(maxWaitMs, this.#options.fetchMaxWaitMs),
        minBytes: fetchMinBytes,
        maxBytes: fetchMaxBytes,
        partitions: wanted.map(({ position: { topic, partition }, fetchOffset }) => {
          return { topic, partition, fetchOffset, maxBytes: maxPartitionFetchBytes };
        }),
      });
      for (const fetched of partitions) this.#arrive(fetched, wanted);
    } catch (cause) {
      const reason = String(cause);
      this.#failure =
        cause instanceof Error ? cause : new LogError('UNKNOWN_SERVER_ERROR', reason, { reason });
    }
  }

  #arrive(fetched: FetchedPartition, wanted: readonly FetchState[]): void {
    const state = this.#states.get(partitionKey(fetched.topic, fetched.partition));
    // The position moved or was given up meanwhile: nobody wants this answer any more.
    if (state === undefined || !wanted.includes(state)) return;
    if (fetched.error !== undefined) {
      this.#errors.push({ position: state.position, error: LogError.fromData(fetched.error) });
      return;
    }
    if (fetched.records.length === 0) return;
    const records = new PartitionRecords(fetched, state.fetchOffset);
    state.fetchOffset = records.endOffset;
    state.arrived = records;
  }
}
