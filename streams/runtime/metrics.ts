import type { Clock, Logger } from '../../core/index.ts';
import type { StoreSize } from '../state/task-state.ts';
import { noneDropped, type DropReason } from '../topology/operator.ts';
import { noneFailed, type FailureOutcome } from './failures.ts';
import type { StreamsState } from './app-life.ts';
import type { MeterReading } from './meter.ts';
import { AppMeters, type GroupMeters, type TaskMeters } from './meters.ts';
import { NodeCounts } from './node-counts.ts';
import { RestoreProgress, type RestoreEvent } from './restore-progress.ts';
import type { TaskInput } from './task-input.ts';
import type { Task } from './task.ts';

/** What an application has done since its start, and its current state. */
export interface StreamsMetrics {
  readonly applicationId: string;
  readonly state: StreamsState;
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
  /** The stores that are read back at present. */
  readonly restores: readonly RestoreEvent[];
  /** Offsets that were read back since the start, of all stores. */
  readonly restoredRecords: number;
  readonly groups: readonly GroupMetrics[];
  readonly tasks: readonly TaskMetrics[];
}

/**
 * What a group of tasks has done, which share a consumer and a transaction: the equivalent of a
 * thread of Kafka Streams.
 */
export interface GroupMetrics {
  /** Its name, which is its transactional id. */
  readonly group: string;
  /** Milliseconds of each wait for input. */
  readonly poll: MeterReading;
  /** Bytes that each wait brought. */
  readonly pollBytes: MeterReading;
  /** Milliseconds a record: those of a batch have its mean. */
  readonly process: MeterReading;
  /** Milliseconds of each call of a punctuation. */
  readonly punctuate: MeterReading;
  /** Milliseconds of each commit. */
  readonly commit: MeterReading;
  /** Milliseconds of each checkpoint. */
  readonly checkpoint: MeterReading;
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
  /** Milliseconds a record: those of a batch have its mean. */
  readonly process: MeterReading;
  /** Milliseconds of each call of a punctuation. */
  readonly punctuate: MeterReading;
  /** How far records were behind the newest one of their partition before, in milliseconds. */
  readonly lateness: MeterReading;
  /** Changes of state that are in no checkpoint yet: a restart reads them back. */
  readonly uncheckpointedChanges: number;
  readonly inputs: readonly InputMetrics[];
  readonly nodes: readonly NodeMetrics[];
  readonly stores: readonly StoreMetrics[];
}

/** One partition that a task reads. */
export interface InputMetrics {
  readonly topic: string;
  readonly partition: number;
  /** Offsets still to pass, as far as is known: records, markers and gaps. */
  readonly lag: number;
  /** The next offset to process. */
  readonly position: number;
  /** The offset that was committed last. */
  readonly committedOffset: number;
  /** Fetches in memory that are not processed yet. */
  readonly queuedBatches: number;
  /** Fetched since the start, in bytes of the log. */
  readonly consumedBytes: number;
}

/** What one task did at a source, or at a node that no other one follows, such as a sink. */
export interface NodeMetrics {
  readonly node: string;
  /**
   * The records there, by their age in milliseconds: the wall clock when they began to be processed
   * less their timestamp.
   */
  readonly endToEnd: MeterReading;
}

/** A store of one task. */
export interface StoreMetrics extends StoreSize {
  readonly store: string;
  /** Records written to its changelog, or to the topic that replaces it, since the start. */
  readonly changes: number;
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
  /** The counts that were told last: they do not go down with an attempt that is given up. */
  readonly told: ToldCounts;
  readonly meters: AppMeters;
  readonly restores: RestoreProgress;
}

/** The highest counts that were told. */
interface ToldCounts {
  /** By task id. */
  readonly processed: Map<string, number>;
  readonly dropped: NodeCounts<DropReason>;
  readonly failed: NodeCounts<FailureOutcome>;
}

/** Called when the application has ended. */
export function endCounts({ meters, restores }: AppCounts): void {
  meters.end();
  restores.end();
}

export function newCounts(clock: Clock, logger: Logger): AppCounts {
  return {
    commits: 0,
    lastCommitMs: 0,
    checkpoints: 0,
    lastCheckpointMs: 0,
    processedBefore: new Map(),
    droppedBefore: new NodeCounts(noneDropped),
    failedBefore: new NodeCounts(noneFailed),
    told: {
      processed: new Map(),
      dropped: new NodeCounts(noneDropped),
      failed: new NodeCounts(noneFailed),
    },
    meters: new AppMeters(clock),
    restores: new RestoreProgress(clock, logger),
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

export function collectMetrics(
  applicationId: string,
  state: StreamsState,
  tasks: readonly Task[],
  counts: AppCounts,
): StreamsMetrics {
  const { nowMs } = counts.meters;
  const { commits, lastCommitMs, checkpoints, lastCheckpointMs } = counts;
  const { processed, dropped, failed } = tellCounts(tasks, counts);
  const processedOf = ({ id }: Task): number => processed.get(id) ?? 0;
  return {
    applicationId,
    state,
    processedRecords: [...processed.values()].reduce((sum, count) => sum + count, 0),
    droppedRecords: dropped.total(),
    droppedByNode: dropped.byNode(),
    failedRecords: failed.total(),
    failedByNode: failed.byNode(),
    commits,
    lastCommitMs,
    checkpoints,
    lastCheckpointMs,
    restores: counts.restores.running,
    restoredRecords: counts.restores.restored,
    groups: [...counts.meters.groups].map(([group, meters]) => {
      return groupMetrics(group, meters, nowMs);
    }),
    tasks: tasks.map((task) => taskMetrics(task, processedOf(task), nowMs)),
  };
}

/**
 * The counts up to now, committed or not. After an attempt that is given up they stay as they were
 * told, until the next one has come as far: counters do not go down.
 */
function tellCounts(tasks: readonly Task[], counts: AppCounts): ToldCounts {
  const { told } = counts;
  const dropped = counts.droppedBefore.copy();
  const failed = counts.failedBefore.copy();
  const processed = new Map(counts.processedBefore);
  for (const { id, counts: own } of tasks) {
    dropped.addAll(own.dropped);
    failed.addAll(own.failed);
    processed.set(id, (processed.get(id) ?? 0) + own.processed);
  }
  for (const [id, count] of processed) {
    told.processed.set(id, Math.max(told.processed.get(id) ?? 0, count));
  }
  told.dropped.raiseTo(dropped);
  told.failed.raiseTo(failed);
  return told;
}

function groupMetrics(group: string, meters: GroupMeters, nowMs: number): GroupMetrics {
  return {
    group,
    poll: meters.poll.read(nowMs),
    pollBytes: meters.pollBytes.read(nowMs),
    process: meters.process.read(nowMs),
    punctuate: meters.punctuate.read(nowMs),
    commit: meters.commit.read(nowMs),
    checkpoint: meters.checkpoint.read(nowMs),
  };
}

function taskMetrics(task: Task, processedRecords: number, nowMs: number): TaskMetrics {
  const { meters } = task;
  const inputs = task.inputs.map((input) => {
    return inputMetrics(input, meters.consumedBytes.get(input.topic) ?? 0);
  });
  return {
    taskId: task.id,
    processedRecords,
    lag: inputs.reduce((sum, { lag }) => sum + lag, 0),
    streamTimeMs: task.streamTimeMs,
    process: meters.process.read(nowMs),
    punctuate: meters.punctuate.read(nowMs),
    lateness: meters.lateness.read(nowMs),
    uncheckpointedChanges: task.state.tailCount,
    inputs,
    nodes: [...meters.nodes].map(([node, { meter }]) => {
      return { node, endToEnd: meter.read(nowMs) };
    }),
    stores: storeMetrics(task, meters),
  };
}

function inputMetrics(input: TaskInput, consumedBytes: number): InputMetrics {
  const { topic, partition, position, committedOffset, endOffset, queuedBatches } = input;
  const lag = Math.max(0, endOffset - position);
  return { topic, partition, lag, position, committedOffset, queuedBatches, consumedBytes };
}

function storeMetrics({ state }: Task, { changes }: TaskMeters): StoreMetrics[] {
  return [...state.sizes()].map(([store, size]) => {
    return { store, ...size, changes: changes.get(store) ?? 0 };
  });
}
