import type { RepartitionNode } from '../topology/node.ts';
import { makeTopology, type Topology } from '../topology/topology.ts';

/** How many partitions a repartition topic gets, and how many tasks would write to it. */
interface Widths {
  readonly node: RepartitionNode;
  readonly partitions: number;
  readonly upstreamTasks: number;
}

/**
 * Decides about the repartition topics that joins have only if they need them: the topology with
 * those of them that have to be, and without the others [OP-TOPOLOGY-10].
 *
 * @param plan lays a topology out, and returns its repartition topics.
 */
export function settleRepartitions(
  topology: Topology,
  plan: (topology: Topology) => readonly Widths[],
): Topology {
  let settled = topology;
  for (const node of topology.nodes) {
    const { onlyIf } = node.kind === 'repartition' ? node : {};
    if (onlyIf === undefined || !settled.nodes.includes(node)) continue;
    // The other side then stays where it is: one of them has to move at most.
    const alone = without(settled, ({ name, onlyIf: other }) => {
      return name !== node.name && other?.join === onlyIf.join;
    });
    // No topic that matches a pattern, no records to move.
    const widths = plan(alone).find((each) => each.node === node);
    const { partitions, upstreamTasks } = widths ?? { partitions: 0, upstreamTasks: 0 };
    const isNeeded = { fewer: upstreamTasks < partitions, other: upstreamTasks !== partitions };
    settled = isNeeded[onlyIf.has] ? alone : without(settled, ({ name }) => name === node.name);
  }
  return settled;
}

/** The topology without these repartition nodes: their parents pass on to their children. */
function without(topology: Topology, isLeftOut: (node: RepartitionNode) => boolean): Topology {
  const leftOut = topology.nodes.filter((node) => node.kind === 'repartition' && isLeftOut(node));
  if (leftOut.length === 0) return topology;
  const parentsOf = (name: string): readonly string[] =>
    leftOut.find((node) => node.name === name)?.parents ?? [name];
  const nodes = topology.nodes.flatMap((node) => {
    if (leftOut.includes(node)) return [];
    const parents = node.parents.flatMap(parentsOf);
    return parents.join() === node.parents.join() ? node : { ...node, parents };
  });
  return makeTopology({ ...topology, nodes });
}
