import type { DropReason } from '../topology/operator.ts';
import type { Task } from './task.ts';

/** What an application has done since its start, and where it stands. */
export interface StreamsMetrics {
  readonly processedRecords: number;
  /** Records left out, by reason. */
  readonly droppedRecords: Readonly<Record<DropReason, number>>;
  readonly commits: number;
  /** How long the last commit took. */
  readonly lastCommitMs: number;
  readonly checkpoints: number;
  readonly lastCheckpointMs: number;
  readonly tasks: readonly TaskMetrics[];
}

export interface TaskMetrics {
  readonly taskId: string;
  readonly processedRecords: number;
  /** Records in the log that the task has not processed, as far as it knows. */
  readonly lag: number;
  /** -Infinity before the first record. */
  readonly streamTimeMs: number;
}

/** What the application counts besides its tasks. */
export interface AppCounts {
  commits: number;
  lastCommitMs: number;
  checkpoints: number;
  lastCheckpointMs: number;
}

export function collectMetrics(tasks: readonly Task[], counts: AppCounts): StreamsMetrics {
  const droppedRecords: Record<DropReason, number> = { late: 0, 'null-key': 0, 'null-value': 0 };
  let processedRecords = 0;
  for (const task of tasks) {
    processedRecords += task.counts.processed;
    for (const reason of Object.keys(droppedRecords) as DropReason[]) {
      droppedRecords[reason] += task.counts.dropped[reason];
    }
  }
  return {
    processedRecords,
    droppedRecords,
    ...counts,
    tasks: tasks.map((task) => ({
      taskId: task.id,
      processedRecords: task.counts.processed,
      lag: task.inputs.reduce(
        (sum, { endOffset, position }) => sum + Math.max(0, endOffset - position),
        0,
      ),
      streamTimeMs: task.streamTimeMs,
    })),
  };
}
