import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { BrokerApi, CommittedOffset, GroupMember } from '../broker/broker-api.ts';
import type { Position } from './fetcher.ts';

export interface OffsetCommitterOptions {
  readonly api: BrokerApi;
  readonly clock: Clock;
  readonly isAutomatic: boolean;
  readonly intervalMs: number;
  /** Who commits. */
  readonly member: () => GroupMember;
  /** Where the consumer stands. */
  readonly positions: () => readonly Position[];
}

/** Errors that say that another member may have the partitions. */
const SEAT_LOST: ReadonlySet<string> = new Set([
  'REBALANCE_IN_PROGRESS',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
]);

/** Commits the positions of a consumer for its group: when told to, and now and then by itself. */
export class OffsetCommitter {
  readonly #options: OffsetCommitterOptions;
  #lastMs: number;
  /** What was committed last of a position: an idle consumer has nothing to commit. */
  readonly #committed = new WeakMap<Position, number>();

  constructor(options: OffsetCommitterOptions) {
    this.#options = options;
    this.#lastMs = options.clock.monotonicMs();
  }

  /** @throws LogError as `Consumer.commit` */
  async commit(offsets?: readonly CommittedOffset[]): Promise<void> {
    const { api, member, positions, clock } = this.#options;
    const wanted =
      offsets ??
      positions().map(({ topic, partition, offset }) => {
        return { topic, partition, offset, metadata: '' };
      });
    if (wanted.length === 0) return;
    const { results } = await api.offsetCommit({ ...member(), offsets: wanted });
    const failed = results.find(({ error }) => error !== undefined)?.error;
    if (failed !== undefined) throw LogError.fromData(failed);
    this.#lastMs = clock.monotonicMs();
  }

  /** Commits automatically when it is time to. */
  async commitIfDue(): Promise<void> {
    const { clock, intervalMs } = this.#options;
    if (clock.monotonicMs() - this.#lastMs >= intervalMs) await this.commitAutomatically();
  }

  /**
   * Commits what has moved. A member that has lost its seat commits nothing: whoever has the
   * partitions now reads them again.
   */
  async commitAutomatically(): Promise<void> {
    const { isAutomatic, positions, clock } = this.#options;
    if (!isAutomatic) return;
    this.#lastMs = clock.monotonicMs();
    const moved = positions().filter(
      (position) => position.offset !== this.#committed.get(position),
    );
    const offsets = moved.map(({ topic, partition, offset }) => {
      return { topic, partition, offset, metadata: '' };
    });
    try {
      await this.commit(offsets);
    } catch (error) {
      if (error instanceof LogError && SEAT_LOST.has(error.code)) return;
      throw error;
    }
    for (const [index, position] of moved.entries()) {
      this.#committed.set(position, offsets[index]!.offset);
    }
  }
}
