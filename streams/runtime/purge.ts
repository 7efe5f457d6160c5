import type { Log } from '../../core/index.ts';
import type { StoreSpan } from '../state/store-kind.ts';
import { UpstreamTime } from './stream-time.ts';
import type { Task } from './task.ts';
import { changelogTopic } from './topics.ts';

/** An offset in a changelog below which no entry starts after `newestMs`. */
interface Mark {
  readonly offset: number;
  readonly newestMs: number;
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

  constructor(log: Log, applicationId: string) {
    this.#log = log;
    this.#applicationId = applicationId;
  }

  /** Runs right after a checkpoint, which contains everything committed. */
  async run(tasks: readonly Task[]): Promise<void> {
    const partitions: { topic: string; partition: number; offset: number }[] = [];
    for (const task of tasks) {
      for (const { topic, partition, committedOffset: offset, time } of task.inputs) {
        // Not the processed offset: a restart begins at the committed one.
        if (time instanceof UpstreamTime) partitions.push({ topic, partition, offset });
      }
      for (const [name, store] of task.state.stores) {
        if (store.span === undefined || store.spec.backing !== 'changelog') continue;
        const offset = this.#expiredBelow(task, name, store.span);
        const topic = changelogTopic(this.#applicationId, name);
        if (offset > 0) partitions.push({ topic, partition: task.plan.partition, offset });
      }
    }
    if (partitions.length > 0) await this.#log.admin().deleteRecords(partitions);
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
