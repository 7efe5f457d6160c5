import type { Log } from '../../core/index.ts';
import type { CommitStep } from './commit.ts';
import { changelogTopic } from './plan.ts';
import { offsetsOf } from './restore.ts';
import type { Task } from './task.ts';

export interface CheckpointContext {
  readonly log: Log;
  readonly applicationId: string;
  readonly tasks: readonly Task[];
  readonly cacheEntriesMax: number;
  readonly onStep: (step: CommitStep) => void;
}

/**
 * Writes the committed state of the tasks to LMDB, a transaction a task, values in key order
 * [STREAMS-CHECKPOINT]. Only right after a commit, before anything else is processed.
 */
export async function checkpoint(context: CheckpointContext): Promise<void> {
  const { log, applicationId, tasks, cacheEntriesMax, onStep } = context;
  for (const task of tasks) {
    if (task.state.stores.size === 0) continue;

    // 1. Where the changelogs end: only this task writes to its partitions, and all of it is committed.
    //    A crash up to step 2 leaves the checkpoint of before: a restart reads back a longer tail.
    onStep('checkpoint-1-offsets');
    const offsets: Record<string, number> = {};
    for (const [name, { spec }] of task.state.stores) {
      if (spec.backing === 'changelog') {
        const topic = changelogTopic(applicationId, name);
        offsets[name] = (await offsetsOf(log, topic, task.partition)).latest;
      } else {
        const { sourceTopic } = spec.backing;
        const input = task.inputs.find(({ topic }) => topic === sourceTopic);
        offsets[name] = input?.position ?? 0;
      }
    }

    // 2. State and offsets in one LMDB transaction: a crash within it leaves the old or the new one.
    onStep('checkpoint-2-write');
    task.state.checkpoint(offsets, cacheEntriesMax);
  }
  // 3. A crash here has lost nothing.
  onStep('checkpoint-3-done');
}
