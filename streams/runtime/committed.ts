import { LogError, type CommittedOffset, type Log } from '../../core/index.ts';
import { decodeOffsetMetadata, isOffsetMetadata, type OffsetMetadata } from './offset-metadata.ts';
import type { Plan, TaskPlan } from './plan.ts';
import { placeOf } from './topics.ts';

/** What belongs to the operators of a task, whatever topics it reads. */
export type OperatorTimes = Pick<OffsetMetadata, 'operators' | 'punctuations'>;

/** What an application has committed, when it starts. */
export interface Committed {
  /** By topic and partition. */
  readonly offsets: ReadonlyMap<string, CommittedOffset>;
  /**
   * The times that were committed with topics that are read no longer, by partition: an operator
   * keeps its time if it now gets its records from another topic.
   */
  readonly leftTimes: ReadonlyMap<number, OperatorTimes>;
}

/**
 * What the application has committed for some of its tasks. For what they read, waits for
 * transactions that may still commit offsets (KIP-447): fencing has ended those of the group, but
 * with at-least-once, in other groups or in other programs, there may be more.
 *
 * @throws LogError UNSTABLE_OFFSET_COMMIT, which is retriable
 */
export async function fetchCommitted(
  log: Log,
  plan: Plan,
  tasks: readonly TaskPlan[],
): Promise<Committed> {
  const groupId = plan.applicationId;
  const partitions = partitionsOf(tasks);
  const read = await log.api.offsetFetch({ groupId, partitions, requireStable: true });
  const offsets = new Map<string, CommittedOffset>();
  for (const { error, ...found } of read.offsets) {
    if (error !== undefined) throw LogError.fromData(error);
    if (found.offset >= 0) offsets.set(placeOf(found), found);
  }
  const all = await log.api.offsetFetch({ groupId, requireStable: false });
  const places = new Set(partitionsOf(plan.tasks).map(placeOf));
  const left = all.offsets.filter((each) => !places.has(placeOf(each)));
  return { offsets, leftTimes: timesOf(groupId, left) };
}

/** The partitions that tasks read. */
function partitionsOf(tasks: readonly TaskPlan[]): { topic: string; partition: number }[] {
  return tasks.flatMap(({ inputs, partition }) =>
    inputs.map(({ topic }) => ({ topic: topic.name, partition })),
  );
}

/** Nothing is read there, so that the commit of another version or program is no obstacle. */
function timesOf(
  groupId: string,
  left: readonly CommittedOffset[],
): ReadonlyMap<number, OperatorTimes> {
  const byPartition = new Map<number, OperatorTimes>();
  for (const { partition, metadata = '' } of left) {
    const times = isOffsetMetadata(metadata) ? decodeOffsetMetadata(groupId, metadata) : undefined;
    if (times !== undefined) byPartition.set(partition, latest(times, byPartition.get(partition)));
  }
  return byPartition;
}

function latest(one: OperatorTimes, other: OperatorTimes | undefined): OperatorTimes {
  if (other === undefined) return one;
  return {
    operators: latestOf(one.operators, other.operators),
    punctuations: latestOf(one.punctuations, other.punctuations),
  };
}

function latestOf(
  one: ReadonlyMap<string, number>,
  other: ReadonlyMap<string, number>,
): Map<string, number> {
  const merged = new Map(one);
  for (const [name, timeMs] of other) {
    merged.set(name, Math.max(timeMs, merged.get(name) ?? -Infinity));
  }
  return merged;
}
