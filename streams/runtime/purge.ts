import type { Log } from '../../core/index.ts';
import type { StoreSpan } from '../state/store-kind.ts';
import { UpstreamTime } from './stream-time.ts';
import type { Task } from './task.ts';
import { changelogTopic, placeOf, REPARTITION_CONFIG } from './topics.ts';

/** Kafka's `repartition.purge.interval.ms` (KIP-811). */
const PURGE_MS = 30_000;
/** So much read of a partition brings its purge earlier: what it deletes are whole segments. */
const PURGE_BYTES = REPARTITION_CONFIG.segmentBytes / 2;

/** An offset in a changelog below which no entry starts after `newestMs`. */
interface Mark {
  readonly offset: number;
  readonly newestMs: number;
}

/** A purge of a repartition topic's partition. */
interface Purge {
  /** Everything below is deleted. */
  readonly offset: number;
  /** What had been read of it in all. */
  readonly consumedBytes: number;
}

interface Deletion {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/**
 * Keeps the internal topics from growing for ever: deletes what a repartition topic's reader has
 * committed, and a changelog's records of closed windows (Kafka Streams does the first by
 * `repartition.purge.interval.ms`, the second by retention).
 */
export class Purger {
  readonly #log: Log;
  readonly #applicationId: string;
  /** By task and store: marks of checkpoints, oldest first. */
  readonly #marks = new Map<string, Mark[]>();
  /** By partition, the last purge of this attempt. */
  readonly #purges = new Map<string, Purge>();
  #lastPurgeMs = -Infinity;

  constructor(log: Log, applicationId: string) {
    this.#log = log;
    this.#applicationId = applicationId;
  }

  /**
   * Runs right after a checkpoint, which contains everything committed.
   *
   * @param isFinal True if some of the tasks end: nothing is put off.
   */
  async run(tasks: readonly Task[], nowMs: number, isFinal = false): Promise<void> {
    const isDue = isFinal || nowMs - this.#lastPurgeMs >= PURGE_MS;
    const purges = new Map<string, Purge>();
    const deletions: Deletion[] = [];
    for (const task of tasks) {
      for (const { topic, partition, committedOffset: offset, time } of task.inputs) {
        if (!(time instanceof UpstreamTime)) continue;
        // Not the processed offset: a restart begins at the committed one.
        const purge = { offset, consumedBytes: task.meters.consumedBytes.get(topic) ?? 0 };
        const place = placeOf({ topic, partition });
        const last = this.#purges.get(place) ?? { offset: 0, consumedBytes: 0 };
        const isMuch = purge.consumedBytes - last.consumedBytes >= PURGE_BYTES;
        if (purge.offset === last.offset || !(isDue || isMuch)) continue;
        deletions.push({ topic, partition, offset });
        purges.set(place, purge);
      }
      deletions.push(...this.#expired(task));
    }
    if (deletions.length > 0) await this.#log.admin().deleteRecords(deletions);
    for (const [place, purge] of purges) this.#purges.set(place, purge);
    if (isDue && purges.size > 0) this.#lastPurgeMs = nowMs;
  }

  /** What a task's changelogs have of closed windows. */
  #expired(task: Task): Deletion[] {
    const { partition } = task.plan;
    const deletions: Deletion[] = [];
    for (const [name, store] of task.state.stores) {
      if (store.span === undefined || store.spec.backing !== 'changelog') continue;
      const offset = this.#expiredBelow(task, name, store.span);
      const topic = changelogTopic(this.#applicationId, name);
      if (offset > 0) deletions.push({ topic, partition, offset });
    }
    return deletions;
  }

  /** The changelog offset below which all entries have expired. */
  #expiredBelow(task: Task, store: string, { oldestMs, newestMs }: StoreSpan): number {
    const key = `${task.id} ${store}`;
    const marks = this.#marks.get(key) ?? [];
    this.#marks.set(key, marks);
    let offset = 0;
    while (marks[0] !== undefined && marks[0].newestMs < oldestMs) {
      offset = marks.shift()?.offset ?? 0;
    }
    const end = task.state.changelogEnd(store) ?? 0;
    if (marks.at(-1)?.offset !== end) marks.push({ offset: end, newestMs });
    return offset;
  }
}
