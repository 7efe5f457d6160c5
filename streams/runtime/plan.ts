import { kindOf } from '../state/store-kinds.ts';
import type { RepartitionNode, SourceNode, TopicSpec } from '../topology/node.ts';
import type { StoreSpec } from '../topology/store.ts';
import { checkCopartitioning, type SubTopology, type Topology } from '../topology/topology.ts';
import { settleRepartitions } from './settle.ts';
import { changelogTopic, INTERNAL_CONFIG, repartitionTopic } from './topics.ts';

/** A topology laid out over partitions: its tasks and what each reads and keeps. */
export interface Plan {
  readonly applicationId: string;
  readonly topology: Topology;
  /** In topological order: feeders come first. */
  readonly tasks: readonly TaskPlan[];
  readonly repartitionTopics: readonly RepartitionTopic[];
  /** The changelog topics to create. */
  readonly changelogs: readonly ChangelogTopic[];
}

export interface TaskPlan {
  /** Sub-topology and partition: `1_3`. */
  readonly id: string;
  readonly subTopology: SubTopology;
  readonly partition: number;
  readonly inputs: readonly TaskInputPlan[];
  readonly stores: readonly StoreSpec[];
  /** Sub-topologies whose tasks write what this one reads; it ends after them. */
  readonly upstreams: readonly number[];
}

/** A partition that a task reads; both have the same number. */
export interface TaskInputPlan {
  readonly topic: TopicSpec;
  /** The node that takes the records. */
  readonly node: SourceNode | RepartitionNode;
  /** How many tasks write to it; undefined for an external topic. */
  readonly upstreamTasks: number | undefined;
}

export interface RepartitionTopic {
  readonly node: RepartitionNode;
  readonly topic: TopicSpec;
  readonly partitions: number;
}

export interface ChangelogTopic {
  readonly store: StoreSpec;
  readonly topic: TopicSpec;
}

/**
 * Lays a topology out over partitions: a sub-topology has as many tasks as its widest input has
 * partitions, and a repartition topic by default as many partitions as it has upstream tasks, or as
 * the topics that its records meet in a store.
 *
 * @param partitionsOf returns a topic's number of partitions, given its declaration.
 * @throws StreamsError COPARTITIONING if inputs that share a store differ in their partitions:
 *   equal keys would not meet.
 */
export function makePlan(
  applicationId: string,
  topology: Topology,
  partitionsOf: (topic: string, declared: number | undefined) => number,
): Plan {
  const layOut = (candidate: Topology): LaidOut => {
    return layOutTopology(applicationId, candidate, partitionsOf);
  };
  const settled = settleRepartitions(topology, (each) => layOut(each).repartitionTopics);
  return layOut(settled);
}

/** A plan that knows how many tasks write to each repartition topic. */
interface LaidOut extends Plan {
  readonly repartitionTopics: readonly PlannedRepartition[];
}

function layOutTopology(
  applicationId: string,
  topology: Topology,
  partitionsOf: PartitionsOf,
): LaidOut {
  const repartitions = new Map<string, PlannedRepartition>();
  const tasks: TaskPlan[] = [];
  const changelogs: ChangelogTopic[] = [];
  const needed = new PartitionCounts(applicationId, topology, partitionsOf);
  for (const subTopology of topology.subTopologies) {
    for (const [name, planned] of chosenPartitions(subTopology, repartitions, partitionsOf)) {
      repartitions.set(name, planned);
    }
    const inputs = subTopology.sources.flatMap((node) => inputsOf(node, repartitions));
    const counts = inputs.map(({ topic }) => ({
      topic: topic.name,
      partitions: partitionsOf(topic.name, topic.partitions),
    }));
    checkCopartitioning(subTopology, counts);
    const width = Math.max(0, ...counts.map(({ partitions }) => partitions)); // 0 without a topic
    const stores = subTopology.stores.map((name) => topology.stores.get(name)!);
    const upstreams = upstreamsOf(topology, subTopology);
    for (let partition = 0; partition < width; partition++) {
      const own = inputs.filter((_, index) => partition < (counts[index]?.partitions ?? 0));
      const id = `${subTopology.id}_${partition}`;
      tasks.push({ id, subTopology, partition, inputs: own, stores, upstreams });
    }
    for (const store of stores) {
      if (store.backing !== 'changelog' || width === 0) continue;
      changelogs.push({ store, topic: changelogSpec(applicationId, store, width) });
    }
    for (const node of width === 0 ? [] : repartitionsEndingIn(topology, subTopology)) {
      const { id, key, value } = node;
      const name = repartitionTopic(applicationId, id);
      const partitions = partitionsOf(name, needed.declared(node) ?? width);
      const topic = { name, key, value, partitions, config: INTERNAL_CONFIG };
      repartitions.set(node.name, { node, topic, partitions, upstreamTasks: width });
    }
  }
  const repartitionTopics = [...repartitions.values()];
  return { applicationId, topology, tasks, repartitionTopics, changelogs };
}

/** Finds how many partitions a repartition topic has to have, wherever it is in the topology. */
class PartitionCounts {
  readonly #applicationId: string;
  readonly #topology: Topology;
  readonly #partitionsOf: (topic: string, declared: number | undefined) => number;

  constructor(
    applicationId: string,
    topology: Topology,
    partitionsOf: (topic: string, declared: number | undefined) => number,
  ) {
    this.#applicationId = applicationId;
    this.#topology = topology;
    this.#partitionsOf = partitionsOf;
  }

  /** Undefined for as many as tasks write to it. */
  declared(node: RepartitionNode): number | undefined {
    const { partitions, isCopartitioned = false } = node;
    if (partitions !== undefined || !isCopartitioned) return partitions;
    const readers = this.#topology.subTopologies.find(({ sources }) => sources.includes(node));
    const others = readers?.sources.filter(
      (source) => source.kind === 'source' || source.isCopartitioned !== true,
    );
    const widest = others === undefined ? 0 : this.#widest(others);
    return widest === 0 ? undefined : widest;
  }

  #widest(sources: SubTopology['sources']): number {
    return Math.max(
      0,
      ...sources.flatMap((source) =>
        source.kind === 'source'
          ? source.topics.map((topic) => this.#partitionsOf(topic.name, topic.partitions))
          : [this.#ofRepartition(source)],
      ),
    );
  }

  #ofRepartition(node: RepartitionNode): number {
    const writers = this.#topology.subTopologies.find((each) =>
      repartitionsEndingIn(this.#topology, each).includes(node),
    );
    const width = writers === undefined ? undefined : this.#widest(writers.sources);
    const name = repartitionTopic(this.#applicationId, node.id);
    return this.#partitionsOf(name, this.declared(node) ?? width);
  }
}

/** The repartition nodes that this sub-topology writes to. */
export function repartitionsEndingIn(
  topology: Topology,
  subTopology: SubTopology,
): RepartitionNode[] {
  return topology.nodes.filter(
    (node): node is RepartitionNode =>
      node.kind === 'repartition' &&
      subTopology.nodes.includes(node.name) &&
      !subTopology.sources.includes(node),
  );
}

interface PlannedRepartition extends RepartitionTopic {
  readonly upstreamTasks: number;
}

type PartitionsOf = Parameters<typeof makePlan>[2];

/**
 * The repartition topics that a sub-topology reads, with the partitions that their records need to
 * meet others in its stores: as many as its other topics have, or else the widest of them. What is
 * set for one, or exists, stays.
 */
function chosenPartitions(
  { sources, stores }: SubTopology,
  repartitions: ReadonlyMap<string, PlannedRepartition>,
  partitionsOf: PartitionsOf,
): [string, PlannedRepartition][] {
  const own = sources.flatMap(({ name }) => repartitions.get(name) ?? []); // writers come first
  const given = sources.flatMap((node) => (node.kind === 'source' ? node.topics : []));
  const others = given.map(({ name, partitions }) => partitionsOf(name, partitions));
  const widths = own.map(({ partitions }) => partitions);
  const shared = others[0] ?? Math.max(...widths);
  return own.map((planned) => {
    const { node, topic } = planned;
    if (node.partitions !== undefined || stores.length === 0) return [node.name, planned];
    const partitions = partitionsOf(topic.name, shared);
    return [node.name, { ...planned, topic: { ...topic, partitions }, partitions }];
  });
}

function inputsOf(
  node: SourceNode | RepartitionNode,
  repartitions: ReadonlyMap<string, PlannedRepartition>,
): TaskInputPlan[] {
  if (node.kind === 'source') {
    return node.topics.map((topic) => ({ topic, node, upstreamTasks: undefined }));
  }
  const planned = repartitions.get(node.name); // its writers come first; without any there is none
  return planned === undefined ? [] : [{ ...planned, node }];
}

function changelogSpec(applicationId: string, store: StoreSpec, partitions: number): TopicSpec {
  const kind = kindOf(store);
  const codec = kind.codec(store);
  return {
    name: changelogTopic(applicationId, store.name),
    key: codec.entryKey,
    value: codec.entryValue,
    partitions,
    config: { ...INTERNAL_CONFIG, ...kind.changelogConfig },
  };
}

/**
 * The sub-topologies that feed this one, through repartition topics or the user's own, without
 * cycles.
 */
function upstreamsOf(topology: Topology, into: SubTopology): number[] {
  const { subTopologies } = topology;
  const feeds = (from: SubTopology, to: SubTopology): boolean =>
    from !== to && inputNames(to).some((name) => outputNames(topology, from).includes(name));
  const fed = new Set([into]); // by it, directly or not
  for (const each of fed) {
    for (const next of subTopologies) if (feeds(each, next)) fed.add(next);
  }
  // A sub-topology in a cycle through a user's topic cannot end first.
  return subTopologies.filter((from) => feeds(from, into) && !fed.has(from)).map(({ id }) => id);
}

/** What a sub-topology reads: topics, and repartition nodes by name. */
function inputNames({ sources }: SubTopology): string[] {
  return sources.flatMap((node) =>
    node.kind === 'source'
      ? node.topics.map(({ name }) => `topic ${name}`)
      : [`repartition ${node.name}`],
  );
}

/** What a sub-topology writes. */
function outputNames(topology: Topology, subTopology: SubTopology): string[] {
  const sinks = topology.nodes.flatMap((node) =>
    node.kind === 'sink' && subTopology.nodes.includes(node.name)
      ? [`topic ${node.topic.name}`]
      : [],
  );
  const repartitions = repartitionsEndingIn(topology, subTopology);
  return [...sinks, ...repartitions.map(({ name }) => `repartition ${name}`)];
}
