import type { Topic } from '../../core/index.ts';
import { tableSource } from '../operators/table-source.ts';
import type { TimestampExtractor } from '../topology/node.ts';
import type { Operator } from '../topology/operator.ts';
import { TopologyGraph, type Topology } from '../topology/topology.ts';
import { GlobalKTable } from './global-ktable.ts';
import { KStream, KTable } from './kstream.ts';
import { checkNodeOptions, type SourceOptions, type TableOptions } from './node-options.ts';

/**
 * Builds a topology. Nothing runs before the topology is given to `StreamsApp` or
 * `TopologyTestDriver`.
 *
 * @example
 * const builder = new StreamsBuilder();
 * builder.stream(orders).filter(({ value }) => value.total > 100).to(largeOrders);
 * const topology = builder.build();
 */
export class StreamsBuilder {
  readonly #graph = new TopologyGraph();

  /** The records of a topic. Each topic can be read at one place of the topology. */
  stream<K, V>(topic: Topic<K, V>, options: SourceOptions<K, V> = {}): KStream<K, V> {
    checkNodeOptions('stream', options, ['name', 'timestamp']);
    const graph = this.#graph;
    const node = this.#addSource(topic, graph.nameFor('source', options.name), options.timestamp);
    const { key: keySerde, value: valueSerde } = topic;
    return new KStream({ graph, node, keySerde, valueSerde, isRekeyed: false });
  }

  /**
   * The newest value of each key of a topic; a null value deletes. The topic serves as changelog.
   */
  table<K, V>(topic: Topic<K, V>, options: TableOptions & SourceOptions<K, V> = {}): KTable<K, V> {
    checkNodeOptions('table', options, ['name', 'timestamp', 'store']);
    const graph = this.#graph;
    const { key, value } = topic;
    const { store = topic.name } = options;
    const source = this.#addSource(topic, graph.nameFor('source'), options.timestamp);
    const backing = { sourceTopic: topic.name };
    graph.addStore({ name: store, kind: 'keyValue', key, value, backing });
    const operator = tableSource<K, V>(store) as unknown as Operator;
    const node = graph.nameFor('table', options.name);
    graph.add({ kind: 'operator', name: node, parents: [source], operator, stores: [store] });
    const serdes = { keySerde: key, valueSerde: value };
    return new KTable({ graph, node, store, ...serdes, isWindowed: false });
  }

  /**
   * The newest value of each key of a topic, whole in every task: small tables to join with by any
   * key. Read to its end before the application runs, and kept up to date after, by no clock but
   * its own.
   */
  globalTable<K, V>(
    topic: Topic<K, V>,
    options: Pick<TableOptions, 'store'> = {},
  ): GlobalKTable<K, V> {
    checkNodeOptions('globalTable', options, ['store']);
    const { store = topic.name } = options;
    const { name, key, value } = topic;
    const spec = { name: store, kind: 'keyValue', key, value } as const;
    this.#graph.addGlobalTable({ store: { ...spec, backing: { sourceTopic: name } }, topic });
    return new GlobalKTable(this.#graph, store);
  }

  /** The finished topology. @throws StreamsError TOPOLOGY_INVALID */
  build(): Topology {
    return this.#graph.build();
  }

  #addSource<K, V>(
    topic: Topic<K, V>,
    name: string,
    extractor: TimestampExtractor<K, V> | undefined,
  ): string {
    const timestamp = extractor as TimestampExtractor<unknown, unknown> | undefined;
    this.#graph.add({ kind: 'source', name, parents: [], topics: [topic], timestamp });
    return name;
  }
}
