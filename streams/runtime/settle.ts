import {
  isConditional,
  withoutRepartitions,
  type ConditionalRepartition,
} from '../topology/conditional-repartitions.ts';
import {
  meetingsOf,
  originsOf,
  type Entry,
  type PartitionedTopic,
} from '../topology/copartitioning.ts';
import type { RepartitionNode } from '../topology/node.ts';
import { possibleTopology, type Topology } from '../topology/topology.ts';

/** A topology that is laid out over partitions. */
export interface PartitionCounts {
  /** What the entry reads, with the partitions of each topic. */
  countsOf(entry: Entry): readonly PartitionedTopic[];
  /** True if its topic exists. */
  exists(node: RepartitionNode): boolean;
}

/**
 * Decides about the repartition topics that joins have only if they need them: the topology with
 * those of them that have to be, and without the others [OP-TOPOLOGY-10]. The joins are decided one
 * after the other: what is before a join is known by then.
 *
 * @param layOut lays a topology out; those topics that are not decided yet are there.
 */
export function settleRepartitions(
  topology: Topology,
  layOut: (topology: Topology) => PartitionCounts,
): Topology {
  const undecided = new Set(topology.nodes.filter(isConditional).map(({ onlyIf }) => onlyIf.join));
  let settled = topology;
  for (const { name: join } of topology.nodes) {
    if (!undecided.delete(join)) continue;
    for (const { name } of unneeded(settled, join, layOut(settled))) {
      const nodes = withoutRepartitions(settled.nodes, (node) => node.name === name);
      const without = possibleTopology({ ...settled, nodes }, ({ onlyIf }) => {
        return undecided.has(onlyIf.join);
      });
      settled = without ?? settled; // it stays if its side would otherwise wait for itself
    }
  }
  return settled;
}

/** The sides of a join that have the partitions that they need where they are. */
function unneeded(
  topology: Topology,
  join: string,
  layout: PartitionCounts,
): ConditionalRepartition[] {
  const sides = topology.nodes.filter(isConditional).filter(({ onlyIf }) => onlyIf.join === join);
  const counts = new Map(sides.map((side) => [side, countsBefore(topology, side, layout)]));
  const needed = neededCount(topology, sides, layout, [...counts.values()]);
  return sides.filter((side) => {
    const own = counts.get(side)!;
    if (!side.onlyIf.isAsked) return true;
    if (own.size === 0) return !layout.exists(side); // no topic matches a pattern now
    return own.size === 1 && own.has(needed);
  });
}

/** The partitions of what flows into a repartition topic. */
function countsBefore(
  { nodes, subTopologies }: Topology,
  side: ConditionalRepartition,
  layout: PartitionCounts,
): Set<number> {
  const writers = subTopologies.filter((each) => {
    return each.nodes.includes(side.name) && !each.sources.includes(side);
  });
  const entries = writers.flatMap((each) => [...(originsOf(each, nodes).get(side.name) ?? [])]);
  return countsOfAll(entries, layout);
}

/**
 * How many partitions the sides of a join need: as many as what they meet and cannot be moved, or
 * else as the widest of them; -1 if none of them can stay.
 */
function neededCount(
  { nodes, subTopologies }: Topology,
  sides: readonly ConditionalRepartition[],
  layout: PartitionCounts,
  counts: readonly ReadonlySet<number>[],
): number {
  const readers = subTopologies.find(({ sources }) => sides.some((side) => sources.includes(side)));
  const meetings = readers === undefined ? [] : meetingsOf(readers, nodes);
  const met = meetings
    .filter(({ entries }) => sides.some((side) => entries.includes(side)))
    .flatMap(({ entries }) => entries.filter((each) => isFixed(each, layout)));
  const fixed = countsOfAll(met, layout);
  if (fixed.size > 0) return fixed.size === 1 ? [...fixed][0]! : -1;
  return Math.max(-1, ...counts.flatMap((own) => (own.size === 1 ? [...own] : [])));
}

/** True if nothing that is decided here changes how many partitions it has. */
function isFixed(entry: Entry, layout: PartitionCounts): boolean {
  if (entry.kind === 'source') return true;
  return entry.onlyIf === undefined && (entry.partitions !== undefined || layout.exists(entry));
}

function countsOfAll(entries: readonly Entry[], layout: PartitionCounts): Set<number> {
  const topics = entries.flatMap((entry) => layout.countsOf(entry));
  return new Set(topics.map(({ partitions }) => partitions));
}
