import type { Operator } from '../../streams/topology/operator.ts';
import type { TopicSpec } from '../../streams/topology/node.ts';
import type { StoreSpec } from '../../streams/topology/store.ts';
import { TopologyGraph, type Topology } from '../../streams/topology/topology.ts';

/** A node of a test's own operator. */
export interface OwnNode {
  readonly name: string;
  /** Default: the source. */
  readonly parent?: string;
  // Operators of all types are data of a topology.
  readonly operator: Operator<never, never>;
  readonly stores: readonly string[];
}

/** A topology with operators of a test's own: `source`, the nodes, and a sink behind them. */
export function ownTopology(options: {
  readonly input: TopicSpec;
  readonly output: TopicSpec;
  readonly stores: readonly StoreSpec[];
  readonly nodes: readonly OwnNode[];
  /** The nodes whose results go to the output. Default: the last one. */
  readonly ends?: readonly string[];
}): Topology {
  const { input, output, stores, nodes } = options;
  const { ends = nodes.slice(-1).map(({ name }) => name) } = options;
  const graph = new TopologyGraph();
  const nulls = { nullKeys: 'fail', nullValues: 'fail' } as const;
  const source = { kind: 'source', timestamp: undefined, topics: [input], ...nulls } as const;
  graph.add({ ...source, name: 'source', parents: [] });
  for (const store of stores) graph.addStore(store);
  for (const { name, parent = 'source', operator, stores: own } of nodes) {
    const data = operator as unknown as Operator;
    graph.add({ kind: 'operator', name, parents: [parent], operator: data, stores: own });
  }
  graph.add({ kind: 'sink', name: 'sink', parents: ends, topic: output, partitioner: undefined });
  return graph.build();
}
