import type { TopologyGraph } from '../topology/topology.ts';

/** A table that every task sees completely, to join with by any key. */
export class GlobalKTable<K, V> {
  readonly #graph: TopologyGraph;
  readonly #store: string;
  /** @internal For the types only. */
  declare readonly types?: { readonly key: K; readonly value: V };

  /** @internal `StreamsBuilder.globalTable` makes them. */
  constructor(graph: TopologyGraph, store: string) {
    this.#graph = graph;
    this.#store = store;
  }

  /** @internal The graph that it belongs to. */
  get graph(): TopologyGraph {
    return this.#graph;
  }

  /** Its name in `StreamsApp.globalTable`. */
  get store(): string {
    return this.#store;
  }
}
