import type { TopologyGraph } from '../topology/topology.ts';

/** A table of which every task sees all: to join with by any key. */
export class GlobalKTable<K, V> {
  readonly graph: TopologyGraph;
  readonly store: string;
  /** For the types only. */
  declare readonly types?: { readonly key: K; readonly value: V };

  constructor(graph: TopologyGraph, store: string) {
    this.graph = graph;
    this.store = store;
  }
}
