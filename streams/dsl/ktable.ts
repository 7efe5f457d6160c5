import { changesToStream } from '../operators/to-stream.ts';
import type { TopologyGraph } from '../topology/topology.ts';
import type { KStream } from './kstream.ts';
import { checkNodeOptions, type NodeOptions } from './node-options.ts';
import { addOperator, type TableParts } from './parts.ts';

/**
 * The newest value of each key, in a store of the task. `V` is the type of its changes, with null
 * if rows can be deleted.
 */
export class KTable<K, V> {
  readonly #parts: TableParts<K, V>;

  /** @internal `StreamsBuilder.table` and aggregations make them. */
  constructor(parts: TableParts<K, V>) {
    this.#parts = parts;
  }

  /** @internal The graph that it belongs to. */
  get graph(): TopologyGraph {
    return this.#parts.graph;
  }

  /** The name of its store. */
  get store(): string {
    return this.#parts.store;
  }

  /** @internal True if it has a row for each key and window: then nothing can join it. */
  get isWindowed(): boolean {
    return this.#parts.isWindowed;
  }

  /** The changes of the table as a stream; a null value is a deleted row. */
  toStream(options: NodeOptions = {}): KStream<K, V> {
    checkNodeOptions('toStream', options, ['name']);
    const { graph, node, keySerde, valueSerde, stream } = this.#parts;
    const operator = changesToStream<K, V>();
    const name = graph.nameFor(operator.kind, options.name);
    addOperator(graph, operator, { name, parents: [node] });
    return stream({ graph, node: name, keySerde, valueSerde, isRekeyed: false });
  }
}
