import { join } from 'node:path';
import { nodeFileSystem } from '../../core/index.ts';
import { lookAtStores } from '../state/lmdb-environment.ts';
import { TopologyDescription } from '../topology/description.ts';
import type { StoreDescription } from '../topology/topology-model.ts';
import { readLastRunFile } from './last-run.ts';
import { taskDirectoriesIn } from './state-directory.ts';
import { changelogTopic } from './topics.ts';

/** What an application has kept: the topology that ran last, and its stores. */
export interface StoredState {
  readonly applicationId: string;
  /** As `Topology.describe` has it; `Topology.diff` takes it. */
  readonly topology: TopologyDescription;
  readonly stores: readonly StoredStore[];
}

/** The part of a store that a task has, as of its last checkpoint. */
export interface StoredStore {
  readonly store: StoreDescription;
  /** Sub-topology and partition: `1_3`. */
  readonly taskId: string;
  /** The topic that it is read back from; undefined for none. */
  readonly topic: string | undefined;
  readonly partition: number;
  /** On the disk; the sessions of a key count once in a stretch of time. */
  readonly entries: number;
  /** What they take on the disk, in whole pages. */
  readonly bytes: number;
  /** The offset in `topic` that they stand for; undefined before the first checkpoint. */
  readonly checkpointOffset: number | undefined;
}

/**
 * What the applications of a log have kept, by the directory of its state, also while they run.
 *
 * @throws StreamsError LAST_RUN_UNREADABLE, STATE_CORRUPT
 */
export async function readStoredState(stateDir: string): Promise<StoredState | undefined> {
  const lastRun = await readLastRunFile(stateDir);
  if (lastRun === undefined) return undefined;
  const { applicationId, topology } = lastRun;
  const stores: StoredStore[] = [];
  const directories = await taskDirectoriesIn(stateDir);
  for (const directory of directories.sort(byTask)) {
    const [part, partition] = taskOf(directory);
    const own = topology.subTopologies.find(({ id }) => id === part)?.stores ?? [];
    const kept = own.filter(({ isPersistent }) => isPersistent);
    if ((await nodeFileSystem.stat(join(directory, 'data.mdb'))) === undefined) continue;
    const names = kept.map(({ name }) => name);
    for (const [index, found] of (await lookAtStores(directory, names)).entries()) {
      const store = kept[index]!;
      const topic = store.hasChangelog ? changelogTopic(applicationId, store.name) : store.topic;
      stores.push({ store, taskId: `${part}_${partition}`, topic, partition, ...found });
    }
  }
  return { applicationId, topology: new TopologyDescription(topology), stores };
}

function taskOf(directory: string): [part: number, partition: number] {
  const [, part, partition] = /(\d+)_(\d+)$/.exec(directory) ?? [];
  return [Number(part), Number(partition)];
}

function byTask(one: string, other: string): number {
  const [[part, partition], [otherPart, otherPartition]] = [taskOf(one), taskOf(other)];
  return part - otherPart || partition - otherPartition;
}
