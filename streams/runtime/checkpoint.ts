import { AssertionFailure, LogError, type Log } from '../../core/index.ts';
import { offsetsOf } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import type { CommitStep } from './commit.ts';
import type { Task } from './task.ts';
import { changelogTopic } from './topics.ts';

export interface CheckpointContext {
  readonly log: Log;
  readonly applicationId: string;
  readonly tasks: readonly Task[];
  readonly cacheEntriesMax: number;
  /** True for the last one of a task that ends in order. */
  readonly isFinal: boolean;
  /** True if the task, and those behind it, can wait for the next commit. Default: none can. */
  readonly canWait?: (task: Task) => boolean;
  readonly onStep: (step: CommitStep) => void;
}

/**
 * Writes the committed state of the tasks to LMDB, one transaction per task, values in key order.
 * Call it right after a commit, before anything else is processed. Returns the tasks that wait for
 * another call.
 *
 * @throws LogError DISK_FULL, StreamsError COMMIT_FAILED if LMDB cannot write: the changelogs have
 *   everything committed, and the previous checkpoint stays valid.
 */
export async function checkpoint(context: CheckpointContext): Promise<readonly Task[]> {
  const { tasks, cacheEntriesMax, onStep, canWait } = context;
  let waiting: readonly Task[] = [];
  for (const [index, task] of tasks.entries()) {
    if (task.state.stores.size === 0) continue;
    if (index > 0 && canWait?.(task) === true) {
      waiting = tasks.slice(index);
      break;
    }

    // 1. The ends of the changelogs: only this task writes to its partitions, and all of it is
    //    committed. A crash before step 2 leaves the previous checkpoint: a restart reads a longer
    //    tail.
    onStep('checkpoint-1-offsets');
    const offsets = await changelogOffsets(context, task);

    // 2. State and offsets in one LMDB transaction: a crash within it leaves the old or the new
    //    one.
    onStep('checkpoint-2-write');
    try {
      task.state.checkpoint(offsets, cacheEntriesMax);
    } catch (cause) {
      throw checkpointFailed(context, task, cause);
    }
  }
  // 3. A crash here loses nothing.
  onStep('checkpoint-3-done');
  return waiting;
}

async function changelogOffsets(
  { log, applicationId, isFinal }: CheckpointContext,
  task: Task,
): Promise<Record<string, number>> {
  const offsets: Record<string, number> = {};
  for (const [name, { spec }] of task.state.stores) {
    if (spec.backing === 'changelog') {
      const topic = changelogTopic(applicationId, name);
      offsets[name] = (await offsetsOf(log, topic, task.plan.partition)).latest;
    } else if (spec.backing === 'none') {
      // Only then the checkpoint is that of the last commit.
      if (isFinal) offsets[name] = task.committedPosition;
    } else {
      const { sourceTopic } = spec.backing;
      const input = task.inputs.find(({ topic }) => topic === sourceTopic);
      offsets[name] = input?.committedOffset ?? 0;
    }
  }
  return offsets;
}

function checkpointFailed(
  { applicationId }: CheckpointContext,
  task: Task,
  cause: unknown,
): unknown {
  const isKnown = cause instanceof StreamsError || cause instanceof LogError;
  if (isKnown || cause instanceof AssertionFailure) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const { id } = task;
  const message = `the state of task ${id} of ${applicationId} could not be written: ${reason}`;
  const details = { applicationId, step: 'checkpoint-2-write' };
  return new StreamsError('COMMIT_FAILED', message, details, { cause });
}
