import type { Clock } from '../../clock.ts';
import { LogError } from '../../errors.ts';
import { Exclusive } from '../../exclusive.ts';
import type {
  BrokerApi,
  CommittedOffset,
  GroupMember,
  TopicPartition,
} from '../../protocol/broker-api.ts';
import { partitionKey } from '../../protocol/topic-partition.ts';
import type { Position } from '../consumer/fetcher.ts';
import { throwFirst } from '../../protocol/answer-errors.ts';

/** What to commit of a partition: the **next** offset to read, and what to keep beside it. */
export interface OffsetToCommit extends TopicPartition {
  readonly offset: number;
  /** At most 4096 bytes; default: nothing. */
  readonly metadata?: string;
}

export interface OffsetCommitterOptions {
  readonly api: BrokerApi;
  readonly clock: Clock;
  readonly isAutomatic: boolean;
  readonly intervalMs: number;
  /** Who commits. @throws LogError when nobody may. */
  readonly member: () => GroupMember;
  /** Where the consumer stands. */
  readonly positions: () => readonly Position[];
}

/** Errors that say that another member may have the partitions. */
const SEAT_LOST: ReadonlySet<string> = new Set([
  'FENCED_INSTANCE_ID',
  'ILLEGAL_GENERATION',
  'REBALANCE_IN_PROGRESS',
  'UNKNOWN_MEMBER_ID',
]);

/** Offsets that go with the next request, by partition key. */
interface NextRequest {
  readonly offsets: Map<string, CommittedOffset>;
  readonly sent: Promise<void>;
}

/**
 * Commits the positions of a consumer for its group: when told to, and now and then by itself. One
 * request at a time, in the order of the calls; what comes while one is under way goes with the
 * next, the later offset of a partition instead of the earlier one.
 */
export class OffsetCommitter {
  readonly #options: OffsetCommitterOptions;
  readonly #requests = new Exclusive();
  #next: NextRequest | undefined;
  #lastMs: number;
  /** What was committed last of a position: an idle consumer has nothing to commit. */
  readonly #committed = new WeakMap<Position, number>();

  constructor(options: OffsetCommitterOptions) {
    this.#options = options;
    this.#lastMs = options.clock.monotonicMs();
  }

  /** @throws LogError as `Consumer.commit` */
  async commit(offsets?: readonly OffsetToCommit[]): Promise<void> {
    const wanted = offsets ?? this.#options.positions().map(offsetOf);
    if (wanted.length === 0) return;
    this.#next ??= { offsets: new Map(), sent: this.#requests.run(() => this.#send()) };
    const { offsets: next, sent } = this.#next;
    for (const { topic, partition, offset, metadata = '' } of wanted) {
      next.set(partitionKey(topic, partition), { topic, partition, offset, metadata });
    }
    await sent;
  }

  async #send(): Promise<void> {
    const { api, member, clock } = this.#options;
    const offsets = [...(this.#next?.offsets.values() ?? [])];
    this.#next = undefined;
    const { results } = await api.offsetCommit({ ...member(), offsets });
    throwFirst(results);
    this.#lastMs = clock.monotonicMs();
  }

  /** Commits automatically when it is time to. */
  async commitIfDue(): Promise<void> {
    const { clock, intervalMs } = this.#options;
    if (clock.monotonicMs() - this.#lastMs >= intervalMs) await this.commitAutomatically();
  }

  /**
   * Commits what has moved. False when the group did not take it: it is about to hand out seats, or
   * the seat is lost, and whoever has the partitions then reads them again.
   */
  async commitAutomatically(): Promise<boolean> {
    const { isAutomatic, positions, clock } = this.#options;
    if (!isAutomatic) return true;
    this.#lastMs = clock.monotonicMs();
    const moved = positions().filter(
      (position) => position.offset !== this.#committed.get(position),
    );
    const offsets = moved.map(offsetOf);
    try {
      await this.commit(offsets);
    } catch (error) {
      if (error instanceof LogError && SEAT_LOST.has(error.code)) return false;
      throw error;
    }
    for (const [index, position] of moved.entries()) {
      this.#committed.set(position, offsets[index]!.offset);
    }
    return true;
  }
}

function offsetOf({ topic, partition, offset }: Position): OffsetToCommit {
  return { topic, partition, offset };
}
