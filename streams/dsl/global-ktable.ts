import type { TopologyGraph } from '../topology/topology.ts';

/** A table of which every task sees all: to join with by any key. */
export class GlobalKTable<K, V> {
  /** @internal What it is a part of. */
  readonly graph: TopologyGraph;
  /** The name that `StreamsApp.globalTable` knows it by. */
  readonly store: string;
  /** @internal For the types only. */
  declare readonly types?: { readonly key: K; readonly value: V };

  /** @internal `StreamsBuilder.globalTable` makes them. */
  constructor(graph: TopologyGraph, store: string) {
    this.graph = graph;
    this.store = store;
  }
}
