import type { StreamsSettings } from './options.ts';
import type { Task } from './task.ts';

/**
 * Of the time since the last checkpoint, what the next one may take. LMDB needs a millisecond or
 * more for each task: with hundreds of them, records would wait for all.
 */
const SHARE = 1 / 3;

/** Tasks to checkpoint behind a commit. */
export interface DueCheckpoints {
  readonly tasks: readonly Task[];
  /** True if the task, and those behind it, can wait for the next commit. */
  readonly canWait: (task: Task) => boolean;
}

/**
 * Which tasks of a group are due for a checkpoint: all of them in a round every interval, some
 * behind each commit if there are many; and any that is asked for, or has much to write.
 */
export class CheckpointRound {
  readonly #settings: StreamsSettings;
  /** When the last round began. */
  #begunMs: number;
  /** When the last checkpoint of any task ended. */
  #lastMs: number;
  /** Those of the round that have none yet. */
  #waiting: readonly Task[] = [];

  /** @param nowMs monotonic time, as in all calls. */
  constructor(settings: StreamsSettings, nowMs: number) {
    this.#settings = settings;
    this.#begunMs = this.#lastMs = nowMs;
  }

  /** Those that are due behind a commit; undefined if there are none. */
  due(tasks: readonly Task[], nowMs: number): DueCheckpoints | undefined {
    const { checkpointIntervalMs, checkpointEntriesMax, clock } = this.#settings;
    if (this.#waiting.length === 0 && nowMs - this.#begunMs >= checkpointIntervalMs) {
      this.#waiting = tasks;
      this.#begunMs = nowMs;
    }
    const isUrgent = ({ state: { tailCount, committed } }: Task): boolean => {
      return tailCount >= checkpointEntriesMax || committed.isAwaited;
    };
    const urgent = tasks.filter(isUrgent);
    const others = this.#waiting.filter((task) => !isUrgent(task));
    if (urgent.length + others.length === 0) return undefined;
    const endMs = nowMs + (nowMs - this.#lastMs) * SHARE;
    const canWait = (task: Task): boolean => {
      return !isUrgent(task) && clock.monotonicMs() >= endMs;
    };
    return { tasks: [...urgent, ...others], canWait };
  }

  /** Notes checkpoints, and who waits. Returns true if that is the end of a round. */
  checkpointed(waiting: readonly Task[], nowMs: number): boolean {
    const isEnd = this.#waiting.length > 0 && waiting.length === 0;
    this.#waiting = waiting;
    this.#lastMs = nowMs;
    return isEnd;
  }

  /** The tasks change: another round begins at its time. */
  forget(): void {
    this.#waiting = [];
  }
}
