import { noneDropped, type DropReason } from '../topology/operator.ts';
import { noneFailed, type FailureOutcome } from './failures.ts';
import { NodeCounts } from './node-counts.ts';
import type { Task } from './task.ts';

/** What an application has done since its start, and its current state. */
export interface StreamsMetrics {
  readonly processedRecords: number;
  /** Dropped records, by reason. */
  readonly droppedRecords: Readonly<Record<DropReason, number>>;
  /** The same by the name of the node, for those that have dropped any. */
  readonly droppedByNode: Readonly<Record<string, Readonly<Record<DropReason, number>>>>;
  /** Records that failed and were dropped, by what became of them. */
  readonly failedRecords: Readonly<Record<FailureOutcome, number>>;
  /** The same by the name of the node, for those at which any failed. */
  readonly failedByNode: Readonly<Record<string, Readonly<Record<FailureOutcome, number>>>>;
  readonly commits: number;
  /** How long the last commit took. */
  readonly lastCommitMs: number;
  /** How often committed state went into LMDB. */
  readonly checkpoints: number;
  /** How long the last one took. */
  readonly lastCheckpointMs: number;
  readonly tasks: readonly TaskMetrics[];
}

/** What one task has done since its start, and its current state. */
export interface TaskMetrics {
  /** Sub-topology and partition: `1_3`. */
  readonly taskId: string;
  readonly processedRecords: number;
  /** Offsets that the task still has to pass, as far as it knows: records, markers and gaps. */
  readonly lag: number;
  /** The event time reached; -Infinity before the first record. */
  readonly streamTimeMs: number;
}

/** Counts of the application that outlive its tasks. */
export interface AppCounts {
  commits: number;
  lastCommitMs: number;
  checkpoints: number;
  lastCheckpointMs: number;
  /** By task id, what its predecessors committed: a failed commit replaces all tasks. */
  readonly processedBefore: Map<string, number>;
  readonly droppedBefore: NodeCounts<DropReason>;
  readonly failedBefore: NodeCounts<FailureOutcome>;
}

export function newCounts(): AppCounts {
  return {
    commits: 0,
    lastCommitMs: 0,
    checkpoints: 0,
    lastCheckpointMs: 0,
    processedBefore: new Map(),
    droppedBefore: new NodeCounts(noneDropped),
    failedBefore: new NodeCounts(noneFailed),
  };
}

/** Keeps the committed counts of tasks about to be discarded. */
export function keepCommitted(tasks: readonly Task[], counts: AppCounts): void {
  const { processedBefore } = counts;
  for (const { id, committedCounts } of tasks) {
    processedBefore.set(id, (processedBefore.get(id) ?? 0) + committedCounts.processed);
    counts.droppedBefore.addAll(committedCounts.dropped);
    counts.failedBefore.addAll(committedCounts.failed);
  }
}

export function collectMetrics(tasks: readonly Task[], counts: AppCounts): StreamsMetrics {
  const { commits, lastCommitMs, checkpoints, lastCheckpointMs } = counts;
  const dropped = counts.droppedBefore.copy();
  const processedOf = ({ id, counts: { processed } }: Task): number =>
    (counts.processedBefore.get(id) ?? 0) + processed;
  const failed = counts.failedBefore.copy();
  for (const task of tasks) {
    dropped.addAll(task.counts.dropped);
    failed.addAll(task.counts.failed);
  }
  return {
    processedRecords: tasks.reduce((sum, task) => sum + processedOf(task), 0),
    droppedRecords: dropped.total(),
    droppedByNode: dropped.byNode(),
    failedRecords: failed.total(),
    failedByNode: failed.byNode(),
    commits,
    lastCommitMs,
    checkpoints,
    lastCheckpointMs,
    tasks: tasks.map((task) => ({
      taskId: task.id,
      processedRecords: processedOf(task),
      lag: task.inputs.reduce(
        (sum, { endOffset, position }) => sum + Math.max(0, endOffset - position),
        0,
      ),
      streamTimeMs: task.streamTimeMs,
    })),
  };
}
