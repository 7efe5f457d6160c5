import type { Serde } from '../../core/index.ts';
import { pass } from '../operators/peek.ts';
import type { Operator } from '../topology/operator.ts';
import type { TopologyGraph } from '../topology/topology.ts';
import { KStream } from './kstream.ts';
import type { NodeOptions } from './node-options.ts';

export interface TableParts<K, V> {
  readonly graph: TopologyGraph;
  readonly node: string;
  readonly store: string;
  readonly keySerde: Serde<K>;
  readonly valueSerde: Serde<V>;
}

/** The newest value of each key, in a store of the task. */
export class KTable<K, V> {
  readonly graph: TopologyGraph;
  /** The name of its store. */
  readonly store: string;
  readonly #parts: TableParts<K, V>;

  constructor(parts: TableParts<K, V>) {
    this.graph = parts.graph;
    this.store = parts.store;
    this.#parts = parts;
  }

  /** The changes of the table, as a stream. */
  toStream(options: NodeOptions = {}): KStream<K, V> {
    const { graph, node: parent, keySerde, valueSerde } = this.#parts;
    const operator = pass('to-stream') as Operator;
    const name = graph.nameFor(operator.kind, options.name);
    graph.add({ kind: 'operator', name, parents: [parent], operator, stores: [] });
    return new KStream({ graph, node: name, keySerde, valueSerde, isRekeyed: false });
  }
}

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
