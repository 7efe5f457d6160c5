import type { Topic } from '../../core/index.ts';
import { tableSource } from '../operators/table-source.ts';
import type { TimestampExtractor } from '../topology/node.ts';
import type { Operator } from '../topology/operator.ts';
import { TopologyGraph, type Topology } from '../topology/topology.ts';
import { KStream } from './kstream.ts';
import { GlobalKTable, KTable } from './ktable.ts';
import type { NodeOptions } from './node-options.ts';

/** How a topic is read. */
export interface SourceOptions<K, V> extends NodeOptions {
  /** The event time of a record; default: its timestamp in the log. */
  readonly timestamp?: TimestampExtractor<K, V>;
}

/** Where a table is kept. */
export interface TableOptions extends NodeOptions {
  /** Default: the name of the topic. */
  readonly store?: string;
}

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
    const name = this.#addSource(topic, options);
    const { key: keySerde, value: valueSerde } = topic;
    return new KStream({ graph: this.#graph, node: name, keySerde, valueSerde, isRekeyed: false });
  }

  /** The newest value of each key of a topic; a null value deletes. The topic serves as changelog. */
  table<K, V>(topic: Topic<K, V>, options: TableOptions & SourceOptions<K, V> = {}): KTable<K, V> {
    const graph = this.#graph;
    const parent = this.#addSource(topic, { ...options, name: graph.nameFor('source') });
    const store = options.store ?? topic.name;
    const { key, value } = topic;
    const backing = { sourceTopic: topic.name };
    graph.addStore({
      name: store,
      kind: 'keyValue',
      key: key,
      value: value,
      backing,
    });
    const operator = tableSource<K, V>(store) as unknown as Operator;
    const name = graph.nameFor('table', options.name);
    graph.add({ kind: 'operator', name, parents: [parent], operator, stores: [store] });
    return new KTable({ graph, node: name, store, keySerde: key, valueSerde: value });
  }

  /**
   * The newest value of each key of a topic, whole in every task: small tables to join with by any key.
   * Read to its end before the application runs, and kept up to date after, by no clock but its own.
   */
  globalTable<K, V>(topic: Topic<K, V>, options: TableOptions = {}): GlobalKTable<K, V> {
    const store = options.store ?? topic.name;
    const { name, key, value, partitions } = topic;
    const backing = { sourceTopic: name };
    const spec = { name: store, kind: 'keyValue', key, value, backing } as const;
    this.#graph.addGlobalTable({
      store: spec,
      topic: { name, key: key, value: value, partitions },
    });
    return new GlobalKTable(this.#graph, store);
  }

  /** The finished topology. @throws StreamsError TOPOLOGY_INVALID */
  build(): Topology {
    return this.#graph.build();
  }

  #addSource<K, V>(topic: Topic<K, V>, options: SourceOptions<K, V>): string {
    const graph = this.#graph;
    const name = options.name ?? graph.nameFor('source');
    const { name: topicName, key, value, partitions } = topic;
    graph.add({
      kind: 'source',
      name,
      parents: [],
      topics: [{ name: topicName, key: key, value: value, partitions }],
      timestamp: options.timestamp as TimestampExtractor<unknown, unknown> | undefined,
    });
    return name;
  }
}
