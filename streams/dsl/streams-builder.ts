import type { Serde, Topic, TopicPattern } from '../../core/index.ts';
import { checkArgument, checkHandle, checkOptions, flag } from '../../core/internal.ts';
import { timesStoreSpec } from '../operators/time-to-live.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import type { NullHandling, SourceNode } from '../topology/node.ts';
import { errorPolicyOf } from '../topology/record-errors.ts';
import type { StoreHandle, StoreSpec } from '../topology/store.ts';
import type { TimestampExtractor } from '../topology/timestamps.ts';
import { TopologyGraph, type Topology } from '../topology/topology.ts';
import { checkFunctions, checkTopics, isList } from './arguments.ts';
import { addDropped } from './dropped-records.ts';
import { GlobalKTable } from './global-ktable.ts';
import { KStream, makeStream } from './kstream.ts';
import { KTable } from './ktable.ts';
import {
  checkNodeOptions,
  type OrNull,
  type SourceOptions,
  type TableOptions,
} from './node-options.ts';
import type { OwnStore } from './stores.ts';
import { addTable, checkTableEmit, checkTtl, historyOf, nodeName } from './tables.ts';

/** How a topology is made. */
export interface BuilderOptions {
  /**
   * Whether operators that read one stream by its new key, with the same serdes, share a
   * repartition topic, named after the first of them. Default: false, each has one of its own, as
   * in Kafka without `merge.repartition.topics`.
   *
   * Results are the same, with less to write. But what reads one topic must have equally many
   * partitions, and must not wait for what comes of it: some topologies can only be built without.
   * And do not change it, nor which of them is the first, before the
   * application has ended by `finish()`: what is still in a topic that nobody reads any more is not
   * processed, and the next start warns of it. Give the stream a `repartition({ name })` to choose
   * the name.
   */
  readonly mergeRepartitionTopics?: boolean;
}

/**
 * Builds a topology, which `StreamsApp` or `TopologyTestDriver` runs.
 *
 * @example
 * const builder = new StreamsBuilder();
 * builder.stream(orders).filter(({ value }) => value.total > 100).to(largeOrders);
 * const topology = builder.build();
 */
export class StreamsBuilder {
  readonly #graph: TopologyGraph;

  /** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
  constructor(options: BuilderOptions = {}) {
    checkOptions('StreamsBuilder', options, { mergeRepartitionTopics: flag });
    this.#graph = new TopologyGraph(options.mergeRepartitionTopics);
  }

  /**
   * The records of a topic, or of several. A topology can read each topic once. By default keys may
   * be null and values may not; `nullKeys` and `nullValues` change that.
   *
   * A pattern stands for all topics that match at the start, perhaps none. Those that come later
   * are read, from their beginning, once the application sees them (`metadataMaxAgeMs`): it
   * restarts its tasks then. Topics that the application makes for itself never match.
   *
   * @example
   * builder.stream(users, { nullValues: 'pass' }).filter(({ value }) => value !== null);
   * builder.stream(topicPattern(/^orders-/, { key: string(), value: json<Order>() }));
   */
  stream<K, V, NullKeys extends NullHandling = 'pass', NullValues extends NullHandling = 'fail'>(
    topics: Topic<K, V> | readonly [Topic<K, V>, ...Topic<K, V>[]] | TopicPattern<K, V>,
    options: SourceOptions<K, V, NullKeys, NullValues> = {},
  ): KStream<OrNull<K, NullKeys>, OrNull<V, NullValues>> {
    const pattern = patternOf(topics);
    const list = pattern === undefined ? listOfTopics(topics as StreamTopics<K, V>) : [];
    const known = ['name', 'timestamp', 'nullKeys', 'nullValues', 'dropped'] as const;
    checkNodeOptions('stream', options, known);
    const { name, timestamp, nullKeys = 'pass', nullValues = 'fail' } = options;
    const graph = this.#graph;
    const source = graph.nameFor('source', name, pattern?.pattern.source ?? list[0]!.name);
    const matching = pattern as TopicPattern<unknown, unknown> | undefined;
    const node = this.#addSource('stream', list, source, {
      timestamp,
      nullKeys,
      nullValues,
      pattern: matching,
      errors: errorPolicyOf(options),
    });
    const first = (pattern ?? list[0])!; // its serdes write what the others read
    const keySerde = first.key as Serde<NonNullable<OrNull<K, NullKeys>>>;
    const valueSerde = first.value as Serde<NonNullable<OrNull<V, NullValues>>>;
    addDropped<K, V>({ graph, node, keySerde }, makeStream, options);
    return new KStream({ graph, node, keySerde, valueSerde, isRekeyed: false });
  }

  /**
   * The newest value of each key of a topic; a null value deletes. The topic serves as changelog. A
   * `versioned` table also keeps the past: a join sees it as it was at the time of the record.
   */
  table<K, V>(topic: Topic<K, V>, options: TableOptions<K, V> = {}): KTable<K, V | null> {
    checkHandle('table', topic);
    const more = ['dropped', 'ttlMs', 'closeAfterIdleMs'] as const;
    const known = ['name', 'timestamp', 'store', 'emit', 'versioned', ...more] as const;
    checkNodeOptions('table', options, known);
    checkTtl('table', options);
    const graph = this.#graph;
    const { key, value } = topic;
    const { store = topic.name, timestamp, emit = 'each', ttlMs } = options;
    checkTableEmit('table', emit);
    const historyMs = historyOf('table', options);
    const nulls = { nullKeys: 'pass', nullValues: 'pass' } as const; // the table handles them
    const source = this.#addSource(
      'table',
      [topic],
      graph.nameFor('source', undefined, topic.name),
      {
        timestamp,
        ...nulls,
        errors: errorPolicyOf(options),
      },
    );
    // A topic has neither the times that a function finds, nor which records it refuses, nor which
    // rows have expired.
    const isTopic = timestamp === undefined && ttlMs === undefined;
    const backing = isTopic ? { sourceTopic: topic.name } : 'changelog';
    const node = nodeName(graph, 'table', { ...options, store }, source);
    const serdes = { key: key as Serde<NonNullable<K>>, value: value as Serde<NonNullable<V>> };
    return new KTable(
      addTable<K, V>({
        ...{ graph, node, store, parent: source, ...serdes, backing, emit, historyMs },
        options,
        stream: makeStream,
      }),
    );
  }

  /**
   * The newest value of each key of a topic, complete in every task: for small tables to join with
   * by any key. The application reads it to its end before it runs and keeps it up to date
   * afterwards, independently of stream time.
   */
  globalTable<K, V>(
    topic: Topic<K, V>,
    options: Pick<TableOptions<K, V>, 'store'> = {},
  ): GlobalKTable<K, V> {
    checkHandle('globalTable', topic);
    checkNodeOptions('globalTable', options, ['store']);
    const { store = topic.name } = options;
    const { name, key, value } = topic;
    const spec = { ...keyValueStore(store), key, value };
    this.#graph.addGlobalTable({ store: { ...spec, backing: { sourceTopic: name } }, topic });
    return new GlobalKTable(this.#graph, store);
  }

  /**
   * Adds a store for processors to be connected to, and returns its handle.
   *
   * @example
   * const seen = builder.addStore(keyValueStore('seen', { key: string(), value: int64() }));
   * orders.process((context) => deduplicate(context.store(seen)), { stores: [seen] });
   *
   * @throws StreamsError NAME_TAKEN, TOPOLOGY_INVALID for a name that no topic can have; LogError
   *   INVALID_OPTION
   */
  addStore<K, V, Store>(store: OwnStore<K, V, Store>): StoreHandle<Store> {
    checkArgument('addStore', 'store', store, (given) => {
      const { kind, key, value } = (given ?? {}) as Partial<StoreSpec>;
      const isSpec = typeof kind === 'string' && key !== undefined && value !== undefined;
      return isSpec ? undefined : 'a store with serdes, as keyValueStore(name, options) returns it';
    });
    this.#graph.addOwnStore(store);
    const { name, ttl, key, backing, persistent = true } = store;
    if (ttl !== undefined) {
      // The node is that of the first processor connected to the store.
      const times = timesStoreSpec({ store: name, node: '', key, ttlMs: ttl.ttlMs });
      this.#graph.addStore({ ...times, backing, persistent });
    }
    return store;
  }

  /** The finished topology. @throws StreamsError TOPOLOGY_INVALID */
  build(): Topology {
    return this.#graph.build();
  }

  #addSource<K, V>(
    method: string,
    topics: readonly Topic<K, V>[],
    name: string,
    { timestamp, pattern, errors, ...nulls }: HowToRead,
  ): string {
    if (timestamp !== undefined) checkFunctions(method, { timestamp });
    const extractor = timestamp as TimestampExtractor<unknown, unknown> | undefined;
    const source = {
      kind: 'source',
      name,
      parents: [],
      topics,
      timestamp: extractor,
      pattern,
      errors,
    } as const;
    this.#graph.add({ ...source, ...nulls });
    return name;
  }
}

/** How to read the records of a source. */
interface HowToRead extends Pick<SourceNode, 'nullKeys' | 'nullValues' | 'errors'> {
  readonly timestamp: TimestampExtractor<never, never> | undefined;
  readonly pattern?: TopicPattern<unknown, unknown> | undefined;
}

type StreamTopics<K, V> = Topic<K, V> | readonly Topic<K, V>[];

/** @throws LogError INVALID_OPTION */
function listOfTopics<K, V>(topics: StreamTopics<K, V>): readonly Topic<K, V>[] {
  if (isList(topics)) {
    checkTopics('stream', topics);
    return topics;
  }
  checkHandle('stream', topics);
  return [topics];
}

/** The pattern, if it is one. @throws LogError INVALID_OPTION for a bare regular expression. */
function patternOf<K, V>(
  topics: StreamTopics<K, V> | TopicPattern<K, V>,
): TopicPattern<K, V> | undefined {
  checkArgument('stream', 'topics', topics, (given) =>
    given instanceof RegExp ? 'topicPattern(/.../, { key, value }), which has serdes' : undefined,
  );
  // A program without types may give anything, which is refused as no topic.
  const { pattern } = ((topics as unknown) ?? {}) as Partial<TopicPattern<K, V>>;
  return pattern === undefined ? undefined : (topics as TopicPattern<K, V>);
}
