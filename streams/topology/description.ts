import type { Serde } from '../../core/index.ts';
import { asDot, asMermaid, asText } from './description-printers.ts';
import type {
  GlobalTableSpec,
  RepartitionNode,
  SourceNode,
  TopicSpec,
  TopologyNode,
} from './node.ts';
import type { StoreSpec } from './store.ts';
import { diffTopologies, type DiffOptions, type TopologyDiff } from './topology-diff.ts';
import type {
  NodeDescription,
  SerdeDescription,
  StoreDescription,
  SubTopologyDescription,
  TopicDescription,
  TopologyModel,
} from './topology-model.ts';

/** What a description is made of: a topology. */
export interface Described {
  readonly nodes: readonly TopologyNode[];
  readonly stores: ReadonlyMap<string, StoreSpec>;
  readonly globalTables: readonly GlobalTableSpec[];
  readonly subTopologies: readonly DescribedPart[];
}

/** A sub-topology. */
interface DescribedPart {
  readonly id: number;
  readonly nodes: readonly string[];
  readonly sources: readonly (SourceNode | RepartitionNode)[];
  readonly stores: readonly string[];
}

/**
 * What a topology consists of, as plain data and as text. Internal topics are without the id of the
 * application, which a topology does not know.
 *
 * @example
 * logger.info(String(builder.build().describe()));
 */
export class TopologyDescription implements TopologyModel {
  readonly subTopologies: readonly SubTopologyDescription[];
  readonly globalTables: readonly StoreDescription[];
  readonly topics: readonly TopicDescription[];

  /** @internal `Topology.describe` makes them. */
  constructor({ subTopologies, globalTables, topics }: TopologyModel) {
    this.subTopologies = subTopologies;
    this.globalTables = globalTables;
    this.topics = topics;
  }

  /**
   * What differs from an older topology, as `Topology.diff`.
   *
   * @throws LogError INVALID_OPTION for what is no description
   */
  diff(previous: TopologyModel, options?: DiffOptions): TopologyDiff {
    return diffTopologies(this, previous, options);
  }

  /** As text, in the manner of Kafka's `TopologyDescription`. */
  toString(): string {
    return asText(this);
  }

  /** As a flowchart in the language of Mermaid, for Markdown. */
  toMermaid(): string {
    return asMermaid(this);
  }

  /** As a graph in the language of Graphviz. */
  toDot(): string {
    return asDot(this);
  }

  /** As JSON of the fields. */
  toJson(): string {
    return JSON.stringify(this, undefined, 2);
  }
}

/** Describes a topology. */
export function describeTopology(described: Described): TopologyDescription {
  const { nodes, stores } = described;
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const subTopologies = described.subTopologies.map((part) => {
    const own = part.nodes.map((name) => byName.get(name)!);
    return {
      id: part.id,
      nodes: own.map((node) => nodeOf(node, own, part)),
      stores: part.stores.map((name) => storeOf(stores.get(name)!)),
    };
  });
  const tables = described.globalTables.map(({ store }) => storeOf(store));
  const topics = new Map<string, TopicDescription>();
  for (const node of nodes) {
    for (const topic of topicsIn(node)) {
      // How one is read counts more than how it is written, if it is both.
      if (node.kind !== 'sink' || !topics.has(topic.name)) topics.set(topic.name, topic);
    }
  }
  for (const { topic } of described.globalTables) topics.set(topic.name, topicOf(topic));
  return new TopologyDescription({
    ...{ subTopologies, globalTables: tables, topics: [...topics.values()] },
  });
}

function nodeOf(
  node: TopologyNode,
  siblings: readonly TopologyNode[],
  part: DescribedPart,
): NodeDescription {
  const { name } = node;
  const isSource = part.sources.some((each) => each === node);
  const isSink = !isSource && (node.kind === 'sink' || node.kind === 'repartition');
  // A repartition node has its parents on one side, and its children on the other.
  const isHere = (other: string): boolean => siblings.some((sibling) => sibling.name === other);
  const children = siblings.filter((child) => {
    return child.parents.includes(name) && !part.sources.some((each) => each === child);
  });
  return {
    name,
    kind: isSource ? 'source' : isSink ? 'sink' : 'processor',
    operator: node.kind === 'operator' ? node.operator.kind : undefined,
    preserves: node.kind === 'operator' && node.preserves ? 'partition' : undefined,
    isIfNeeded: node.kind === 'repartition' && node.onlyIf !== undefined,
    topics: topicsOf(node),
    stores: node.kind === 'operator' ? node.stores : [],
    predecessors: isSource ? [] : [...new Set(node.parents.filter(isHere))],
    successors: isSink ? [] : children.map((child) => child.name),
  };
}

function topicsOf(node: TopologyNode): string[] {
  return topicsIn(node).map(({ name }) => name);
}

/** The topics that a node reads or writes, or one for the pattern of their names. */
function topicsIn(node: TopologyNode): TopicDescription[] {
  if (node.kind === 'source') {
    const { pattern, topics } = node;
    if (pattern === undefined) return topics.map(topicOf);
    return [topicOf({ ...pattern, name: String(pattern.pattern), partitions: undefined })];
  }
  if (node.kind === 'sink') return [topicOf(node.topic)];
  if (node.kind === 'operator') return [];
  return [{ ...topicOf({ ...node, name: `${node.id}-repartition` }), isInternal: true }];
}

function topicOf(topic: Omit<TopicSpec, 'config'>): TopicDescription {
  const { name, key, value, partitions } = topic;
  return { name, isInternal: false, key: serdeOf(key), value: serdeOf(value), partitions };
}

function storeOf(store: StoreSpec): StoreDescription {
  const { name, kind, backing, expiry, key, value, historyMs, windows, persistent = true } = store;
  const { stretchMs, holdsPanes, ttlMs } = store;
  const own = backing === 'changelog' ? `${name}-changelog` : undefined;
  return {
    ...{ name, kind, windows, historyMs, ttlMs },
    topic: typeof backing === 'object' ? backing.sourceTopic : own,
    hasChangelog: own !== undefined,
    retentionMs: expiry?.lifeMs,
    key: serdeOf(key),
    value: serdeOf(value),
    layout: { ...(stretchMs !== undefined && { stretchMs }), ...(holdsPanes && { holdsPanes }) },
    isPersistent: persistent,
    timeNode: expiry?.node,
  };
}

function serdeOf({ name, reads = [] }: Serde<unknown>): SerdeDescription {
  return { name, reads };
}
