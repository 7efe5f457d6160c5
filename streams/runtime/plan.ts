import { StreamsError } from '../errors.ts';
import { kindOf } from '../state/store-kinds.ts';
import {
  checkCopartitioning,
  meetingsOf,
  type Entry,
  type Meeting,
  type PartitionedTopic,
} from '../topology/copartitioning.ts';
import type { RepartitionNode, SourceNode, TopicSpec } from '../topology/node.ts';
import type { StoreSpec } from '../topology/store.ts';
import type { SubTopology, Topology } from '../topology/topology.ts';
import { settleRepartitions, type PartitionCounts } from './settle.ts';
import {
  changelogTopic,
  INTERNAL_CONFIG,
  internalTopics,
  REPARTITION_CONFIG,
  repartitionTopic,
} from './topics.ts';

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

/** What is known of the partitions of topics before an application is laid out. */
export interface KnownPartitions {
  /** How many a topic has, given what is declared for it. */
  readonly of: (topic: string, declared: number | undefined) => number;
  /** How many an internal topic has already; undefined if it does not exist. */
  readonly existing: (topic: string) => number | undefined;
}

/**
 * Lays a topology out over partitions: a sub-topology has as many tasks as its widest input has
 * partitions. A repartition topic has as many partitions as what its records meet in a store, or as
 * it has already, or else as tasks write to it.
 *
 * @throws StreamsError TOPOLOGY_INVALID if it uses a topic that the application makes for itself.
 *   COPARTITIONING if inputs that share a store differ in their partitions:
 *   equal keys would not meet. INTERNAL_TOPIC_MISMATCH if an internal topic exists with other
 *   partitions than it needs.
 */
export function makePlan(applicationId: string, topology: Topology, known: KnownPartitions): Plan {
  checkOwnTopics(applicationId, topology);
  const layOut = (candidate: Topology): Layout => new Layout(applicationId, candidate, known);
  const layout = layOut(settleRepartitions(topology, layOut));
  layout.check();
  return layout.plan();
}

/** A plan that knows how many tasks write to each repartition topic. */
interface PlannedRepartition extends RepartitionTopic {
  readonly upstreamTasks: number;
}

/** Lays one topology out, feeders first. */
class Layout implements PartitionCounts {
  readonly #applicationId: string;
  readonly #topology: Topology;
  readonly #known: KnownPartitions;
  /** By node; a repartition topic that nothing writes to, and that does not exist, is not here. */
  readonly #repartitions = new Map<string, PlannedRepartition>();
  readonly #tasks: TaskPlan[] = [];
  readonly #changelogs: ChangelogTopic[] = [];

  constructor(applicationId: string, topology: Topology, known: KnownPartitions) {
    this.#applicationId = applicationId;
    this.#topology = topology;
    this.#known = known;
    for (const subTopology of topology.subTopologies) {
      for (const meeting of meetingsOf(subTopology, topology.nodes)) this.#fit(meeting);
      const width = this.#addTasks(subTopology);
      for (const node of repartitionsEndingIn(topology, subTopology)) {
        this.#addRepartition(node, width);
      }
    }
  }

  plan(): Plan {
    return {
      applicationId: this.#applicationId,
      topology: this.#topology,
      tasks: this.#tasks,
      repartitionTopics: [...this.#repartitions.values()],
      changelogs: this.#changelogs,
    };
  }

  /** @throws StreamsError COPARTITIONING, INTERNAL_TOPIC_MISMATCH */
  check(): void {
    const { nodes, subTopologies } = this.#topology;
    for (const { stores, entries } of subTopologies.flatMap((each) => meetingsOf(each, nodes))) {
      checkCopartitioning(
        stores,
        entries.flatMap((entry) => this.countsOf(entry)),
      );
    }
    const internal = [...this.#repartitions.values(), ...this.#changelogs];
    for (const { name, partitions: expected } of internal.map(({ topic }) => topic)) {
      const actual = this.#known.existing(name);
      if (expected === undefined || actual === undefined || actual === expected) continue;
      throw internalMismatch(this.#applicationId, { topic: name, expected, actual });
    }
  }

  countsOf(entry: Entry): PartitionedTopic[] {
    return this.#inputsOf(entry).map(({ topic: { name, partitions } }) => {
      return { topic: name, partitions: this.#known.of(name, partitions) };
    });
  }

  exists({ id }: RepartitionNode): boolean {
    return this.#known.existing(repartitionTopic(this.#applicationId, id)) !== undefined;
  }

  /** Gives the repartition topics of a meeting the partitions of what they meet. */
  #fit({ stores, entries }: Meeting): void {
    const own = entries.flatMap(({ name }) => this.#repartitions.get(name) ?? []);
    const given = entries.flatMap((entry) => (entry.kind === 'source' ? entry.topics : []));
    const [fixed] = [
      ...given.map(({ name, partitions }) => this.#known.of(name, partitions)),
      ...own.filter(({ node }) => node.partitions !== undefined).map((each) => each.partitions),
      ...own.flatMap(({ topic }) => this.#known.existing(topic.name) ?? []),
      ...stores.flatMap((store) => {
        return this.#known.existing(changelogTopic(this.#applicationId, store)) ?? [];
      }),
    ];
    const leading = own.filter(({ node }) => node.isCopartitioned !== true);
    const widths = (leading.length > 0 ? leading : own).map(({ partitions }) => partitions);
    const partitions = fixed ?? Math.max(0, ...widths);
    for (const planned of own) {
      const { node, topic } = planned;
      if (node.partitions !== undefined) continue;
      const fitting = { ...planned, topic: { ...topic, partitions }, partitions };
      this.#repartitions.set(node.name, fitting);
    }
  }

  /** Returns their number: 0 without a topic. */
  #addTasks(subTopology: SubTopology): number {
    const topology = this.#topology;
    const inputs = subTopology.sources.flatMap((node) => this.#inputsOf(node));
    const counts = inputs.map(({ topic }) => this.#known.of(topic.name, topic.partitions));
    const width = Math.max(0, ...counts);
    const stores = subTopology.stores.map((name) => topology.stores.get(name)!);
    const upstreams = upstreamsOf(topology, subTopology);
    for (let partition = 0; partition < width; partition++) {
      const own = inputs.filter((_, index) => partition < (counts[index] ?? 0));
      const id = `${subTopology.id}_${partition}`;
      this.#tasks.push({ id, subTopology, partition, inputs: own, stores, upstreams });
    }
    for (const store of width === 0 ? [] : stores) {
      if (store.backing !== 'changelog') continue;
      const topic = changelogSpec(this.#applicationId, store, width);
      this.#changelogs.push({ store, topic });
    }
    return width;
  }

  /** One that nothing writes to is read if it exists: records may be left in it. */
  #addRepartition(node: RepartitionNode, upstreamTasks: number): void {
    const { id, key, value, partitions: declared } = node;
    const name = repartitionTopic(this.#applicationId, id);
    const set = declared === undefined ? undefined : this.#known.of(name, declared);
    const existing = this.#known.existing(name);
    if (upstreamTasks === 0 && existing === undefined) return;
    const partitions = set ?? existing ?? upstreamTasks;
    const topic = { name, key, value, partitions, config: REPARTITION_CONFIG };
    this.#repartitions.set(node.name, { node, topic, partitions, upstreamTasks });
  }

  #inputsOf(node: Entry): TaskInputPlan[] {
    if (node.kind === 'source') {
      return node.topics.map((topic) => ({ topic, node, upstreamTasks: undefined }));
    }
    const planned = this.#repartitions.get(node.name); // its writers come first
    return planned === undefined ? [] : [{ ...planned, node }];
  }
}

/**
 * The application writes the topics that it makes for itself, and reads its repartition topics:
 * nothing else of the topology may.
 */
function checkOwnTopics(applicationId: string, topology: Topology): void {
  const internal = internalTopics(applicationId, topology);
  for (const node of topology.nodes) {
    const read = node.kind === 'source' ? node.topics : [];
    const names = node.kind === 'sink' ? [node.topic.name] : read.map(({ name }) => name);
    const own = names.find((name) => {
      return internal.has(name) && (node.kind === 'sink' || name.endsWith('-repartition'));
    });
    if (own === undefined) continue;
    const reason =
      `${node.name} ${node.kind === 'sink' ? 'writes' : 'reads'} ${own}, which ${applicationId} ` +
      'makes for itself; give it another topic';
    throw new StreamsError('TOPOLOGY_INVALID', `the topology cannot run: ${reason}`, { reason });
  }
}

function internalMismatch(
  applicationId: string,
  details: { readonly topic: string; readonly expected: number; readonly actual: number },
): StreamsError {
  const { topic, expected, actual } = details;
  const message =
    `${topic} has ${actual} partitions, and ${applicationId} now needs ${expected}: the topics ` +
    'that it reads, or its topology, have changed, and the keys would be in other partitions ' +
    `than before. Give it topics with ${actual} partitions again; or process everything again, ` +
    `under another applicationId or after deleting the group ${applicationId}, its internal ` +
    'topics and its state';
  return new StreamsError('INTERNAL_TOPIC_MISMATCH', message, details);
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
