import type { RepartitionCondition, RepartitionNode, TopologyNode } from './node.ts';

/** A repartition node that is left out if its join does not need it. */
export type ConditionalRepartition = RepartitionNode & { readonly onlyIf: RepartitionCondition };

export function isConditional(node: TopologyNode): node is ConditionalRepartition {
  return node.kind === 'repartition' && node.onlyIf !== undefined;
}

/** The nodes without these repartition nodes, whose parents pass on to their children. */
export function withoutRepartitions(
  nodes: readonly TopologyNode[],
  isLeftOut: (node: ConditionalRepartition) => boolean,
): readonly TopologyNode[] {
  const conditions = nodes.filter(isConditional).filter(isLeftOut);
  if (conditions.length === 0) return nodes;
  const names = new Set(conditions.flatMap(({ name, onlyIf }) => [name, ...(onlyIf.with ?? [])]));
  const leftOut = new Map(
    nodes.flatMap((node) => (names.has(node.name) ? [[node.name, node]] : [])),
  );
  const otherwise = new Map(conditions.flatMap(({ onlyIf }) => [...(onlyIf.otherwise ?? [])]));
  const parentsOf = (name: string): readonly string[] => {
    return leftOut.get(name)?.parents.flatMap(parentsOf) ?? [name];
  };
  return nodes.flatMap((node) => {
    if (leftOut.has(node.name)) return [];
    const parents = node.parents.flatMap(parentsOf);
    const other = otherwise.get(node.name);
    if (other === undefined && parents.join() === node.parents.join()) return node;
    return { ...node, parents, ...(node.kind === 'operator' && other) };
  });
}
