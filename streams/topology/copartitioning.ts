import { StreamsError } from '../errors.ts';
import type { RepartitionNode, SourceNode, TopologyNode } from './node.ts';

/** What has to be known of a sub-topology. */
export interface Part {
  readonly nodes: readonly string[];
  readonly sources: readonly Entry[];
}

/** What a sub-topology reads. */
export type Entry = SourceNode | RepartitionNode;

/** Entries whose records meet in stores of one sub-topology: equal keys have to be in one task. */
export interface Meeting {
  readonly stores: readonly string[];
  readonly entries: readonly Entry[];
}

/** The entries of a sub-topology whose records each of its nodes gets, by the node's name. */
export function originsOf(
  { nodes: names, sources }: Part,
  nodes: readonly TopologyNode[],
): ReadonlyMap<string, ReadonlySet<Entry>> {
  const origins = new Map<string, ReadonlySet<Entry>>();
  for (const node of nodes) {
    if (!names.includes(node.name)) continue;
    const entry = sources.find((each) => each === node);
    const parents = node.parents.flatMap((parent) => [...(origins.get(parent) ?? [])]);
    origins.set(node.name, new Set(entry === undefined ? parents : [entry]));
  }
  return origins;
}

/**
 * What meets in the stores of a sub-topology. A stream that gets to no store meets nothing, also if
 * it is merged with one that does.
 */
export function meetingsOf(part: Part, nodes: readonly TopologyNode[]): Meeting[] {
  const origins = originsOf(part, nodes);
  let meetings: { stores: Set<string>; entries: Set<Entry> }[] = [];
  for (const node of nodes) {
    if (node.kind !== 'operator' || node.stores.length === 0) continue;
    if (!part.nodes.includes(node.name)) continue;
    const merged = { stores: new Set(node.stores), entries: new Set(origins.get(node.name)) };
    const others: typeof meetings = [];
    for (const each of meetings) {
      if (!haveCommon(each.stores, merged.stores) && !haveCommon(each.entries, merged.entries)) {
        others.push(each);
        continue;
      }
      for (const store of each.stores) merged.stores.add(store);
      for (const entry of each.entries) merged.entries.add(entry);
    }
    meetings = [...others, merged];
  }
  // In the order of the sub-topology, for messages.
  return meetings.map(({ stores, entries }) => ({
    stores: [...stores].sort(),
    entries: part.sources.filter((each) => entries.has(each)),
  }));
}

function haveCommon<T>(one: ReadonlySet<T>, other: ReadonlySet<T>): boolean {
  return [...one].some((each) => other.has(each));
}

/** A topic and its number of partitions. */
export interface PartitionedTopic {
  readonly topic: string;
  readonly partitions: number;
}

/**
 * Checks that what meets in a store has equally many partitions: else equal keys would not meet.
 *
 * @throws StreamsError COPARTITIONING
 */
export function checkCopartitioning(
  stores: readonly string[],
  topics: readonly PartitionedTopic[],
): void {
  const counts = topics.map(({ partitions }) => partitions);
  if (counts.every((count) => count === counts[0])) return;
  const list = topics.map(({ topic, partitions }) => `${topic} has ${partitions}`).join(', ');
  throw new StreamsError(
    'COPARTITIONING',
    `topics that meet in store ${stores.join(', ')} need equally many partitions: ${list}. ` +
      "Create them so, or give the join the option { repartition: 'if-needed' }, or send a " +
      `stream through repartition({ partitions: ${Math.max(...counts)} }) first; a table is ` +
      'moved by table.toStream().repartition(...).toTable()',
    { topics },
  );
}

/**
 * Checks what is known before the topics are: the partitions that their handles declare.
 *
 * @throws StreamsError COPARTITIONING
 */
export function checkDeclared(part: Part, nodes: readonly TopologyNode[]): void {
  for (const { stores, entries } of meetingsOf(part, nodes)) {
    const declared = entries.flatMap((node) =>
      node.kind === 'source'
        ? node.topics.map(({ name, partitions }) => ({ topic: name, partitions }))
        : [{ topic: `${node.id}-repartition`, partitions: node.partitions }],
    );
    const known = declared.filter((each): each is PartitionedTopic => {
      return each.partitions !== undefined;
    });
    checkCopartitioning(stores, known);
  }
}
