import { StreamsError } from '../errors.ts';
import type { RepartitionNode, SourceNode, TopicSpec } from '../topology/node.ts';
import type { StoreSpec } from '../topology/store.ts';
import type { SubTopology, Topology } from '../topology/topology.ts';

/** A topology with names and numbers: which tasks there are and what each reads and keeps. */
export interface Plan {
  readonly applicationId: string;
  readonly topology: Topology;
  /** In an order in which those that feed others come first. */
  readonly tasks: readonly TaskPlan[];
  readonly repartitionTopics: readonly RepartitionTopic[];
  /** The changelog topics to be made. */
  readonly changelogs: readonly ChangelogTopic[];
}

export interface TaskPlan {
  /** Sub-topology and partition: `1_3`. */
  readonly id: string;
  readonly subTopology: SubTopology;
  readonly partition: number;
  readonly inputs: readonly TaskInputPlan[];
  readonly stores: readonly StoreSpec[];
}

/** A partition that a task reads; its number is the task's. */
export interface TaskInputPlan {
  readonly topic: TopicSpec;
  /** The node that takes the records. */
  readonly node: SourceNode | RepartitionNode;
  /** How many tasks write to it; undefined for a topic of the outside. */
  readonly upstreamTasks: number | undefined;
}

export interface RepartitionTopic {
  readonly node: RepartitionNode;
  readonly topic: TopicSpec;
  readonly partitions: number;
}

export interface ChangelogTopic {
  readonly store: StoreSpec;
  readonly topic: string;
  readonly partitions: number;
}

export function changelogTopic(applicationId: string, store: string): string {
  return `${applicationId}-${store}-changelog`;
}

export function repartitionTopic(applicationId: string, id: string): string {
  return `${applicationId}-${id}-repartition`;
}

/**
 * Lays a topology out over partitions: a sub-topology has as many tasks as its widest input has
 * partitions, and a repartition topic as many partitions as it has upstream tasks, unless told otherwise.
 *
 * @param partitionsOf tells how many partitions a topic of the outside has.
 * @throws StreamsError COPARTITIONING when inputs that share a store differ in their partitions: equal keys
 *   would not meet.
 */
export function makePlan(
  applicationId: string,
  topology: Topology,
  partitionsOf: (topic: string) => number,
): Plan {
  const repartitions = new Map<string, RepartitionTopic & { upstreamTasks: number }>();
  const tasks: TaskPlan[] = [];
  const changelogs: ChangelogTopic[] = [];
  for (const subTopology of topology.subTopologies) {
    const inputs = subTopology.sources.flatMap((node) => inputsOf(node, repartitions));
    const counts = inputs.map(({ topic }) => ({
      topic: topic.name,
      partitions: topic.partitions ?? partitionsOf(topic.name),
    }));
    checkCopartitioning(subTopology, counts);
    const width = Math.max(...counts.map(({ partitions }) => partitions));
    const stores = subTopology.stores.map((name) => topology.stores.get(name)!);
    for (let partition = 0; partition < width; partition++) {
      const own = inputs.filter((_, index) => partition < (counts[index]?.partitions ?? 0));
      tasks.push({
        id: `${subTopology.id}_${partition}`,
        subTopology,
        partition,
        inputs: own,
        stores,
      });
    }
    for (const store of stores) {
      if (store.backing !== 'changelog') continue;
      const topic = changelogTopic(applicationId, store.name);
      changelogs.push({ store, topic, partitions: width });
    }
    for (const node of endingIn(topology, subTopology)) {
      const name = repartitionTopic(applicationId, node.id);
      const partitions = node.partitions ?? width;
      const topic = { name, key: node.key, value: node.value, partitions };
      repartitions.set(node.name, { node, topic, partitions, upstreamTasks: width });
    }
  }
  return {
    applicationId,
    topology,
    tasks,
    repartitionTopics: [...repartitions.values()],
    changelogs,
  };
}

function inputsOf(
  node: SourceNode | RepartitionNode,
  repartitions: ReadonlyMap<string, RepartitionTopic & { upstreamTasks: number }>,
): TaskInputPlan[] {
  if (node.kind === 'source') {
    return node.topics.map((topic) => ({ topic, node, upstreamTasks: undefined }));
  }
  const repartition = repartitions.get(node.name)!;
  return [{ topic: repartition.topic, node, upstreamTasks: repartition.upstreamTasks }];
}

/** The repartition nodes that this sub-topology writes to. */
function endingIn(topology: Topology, subTopology: SubTopology): RepartitionNode[] {
  return topology.nodes.filter(
    (node): node is RepartitionNode =>
      node.kind === 'repartition' &&
      subTopology.nodes.includes(node.name) &&
      !subTopology.sources.includes(node),
  );
}

function checkCopartitioning(
  subTopology: SubTopology,
  topics: readonly { readonly topic: string; readonly partitions: number }[],
): void {
  const differ = topics.some(({ partitions }) => partitions !== topics[0]?.partitions);
  if (!differ || subTopology.stores.length === 0) return;
  const list = topics.map(({ topic, partitions }) => `${topic} has ${partitions}`).join(', ');
  throw new StreamsError(
    'COPARTITIONING',
    `topics that meet in store ${subTopology.stores.join(', ')} need equally many partitions: ${list}`,
    { topics },
  );
}
