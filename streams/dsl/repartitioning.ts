import type { RepartitionCondition, RepartitionNode } from '../topology/node.ts';
import type { TopologyGraph } from '../topology/topology.ts';
import type { GroupedParts, StreamParts } from './parts.ts';

/** What `readingPoint` needs to know of the stream. */
export interface ReadingParts<K, V> extends Omit<GroupedParts<K, V>, 'stream'> {
  /** As of a repartition node; default: no other operator reads the topic. */
  readonly readers?: string | undefined;
  /** If keys are unchanged: whether it has to go elsewhere to meet what it is joined with. */
  readonly move?: Move;
  /** If keys are unchanged and it is not moved: when it goes through a topic nevertheless. */
  readonly onlyIf?: RepartitionCondition | undefined;
}

/** The operators that make a table of a stream: each needs it by its key, and nothing else. */
export const GROUPINGS = 'groupings';

/** The joins with what this node puts out. */
export function joinsWith(node: string): string {
  return `joins with ${node}`;
}

/**
 * The node to read the records from, so that equal keys meet: a repartition node if keys may have
 * changed, perhaps that of another reader [OP-TOPOLOGY-4].
 */
export function readingPoint<K, V>(parts: ReadingParts<K, V>, store: string): string {
  const { graph, node, key, value, mustRepartition, partitions, move = 'never' } = parts;
  const isNeeded = mustRepartition || move === 'always';
  const onlyIf = isNeeded ? undefined : parts.onlyIf;
  if (!isNeeded && onlyIf === undefined) return node;
  const readers = isNeeded ? parts.readers : undefined;
  const repartition: Omit<RepartitionNode, 'name'> = {
    ...{ kind: 'repartition', id: store, key, value, partitions, parents: [node], readers },
    ...{ partitioner: undefined, onlyIf },
  };
  const shared = graph.sharedRepartition(repartition);
  if (shared !== undefined) return shared;
  const name = graph.nameFor('repartition', `${store}-repartition`);
  // What is moved would otherwise be written behind what is made of it.
  graph.add({ ...repartition, name }, move === 'never' ? undefined : node);
  return name;
}

/** A side of a join: the node that puts it out, and whether it goes through a topic anyway. */
export interface JoinSide {
  readonly node: string;
  readonly mustRepartition: boolean;
}

/** A stream as a side of a join. */
export function joinSide({
  node,
  isRekeyed,
}: Pick<StreamParts<never, never>, 'node' | 'isRekeyed'>): JoinSide {
  return { node, mustRepartition: isRekeyed };
}

/** `maybe`: it depends on which repartitions are left out. */
export type Move = 'always' | 'maybe' | 'never';

/**
 * Whether `own` has to go through a repartition topic to be joined with `other`, although its keys
 * are unchanged: where it is, that is what `other` is made of, which would have to wait for itself.
 */
export function moveOf(graph: TopologyGraph, own: JoinSide, other: JoinSide): Move {
  if (own.mustRepartition) return 'never';
  const mustMove = (areMoved: boolean): boolean => {
    const isBehind = graph.feeds(own.node, other.node, areMoved);
    return isBehind && (other.mustRepartition || !graph.feeds(other.node, own.node, areMoved));
  };
  const [moves, movesAlone] = [mustMove(true), mustMove(false)];
  if (moves && movesAlone) return 'always';
  return moves || movesAlone ? 'maybe' : 'never';
}

/** When a side of a join that need not go through a topic does; undefined for never. */
export function conditionOf(
  join: string,
  move: Move,
  isAsked: boolean,
): RepartitionCondition | undefined {
  return isAsked || move === 'maybe' ? { join, isAsked } : undefined;
}
