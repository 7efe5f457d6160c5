import { msgpack, type Topic } from '../../core/index.ts';
import { checkHandle } from '../../core/internal.ts';
import { chooseTopic } from '../operators/choose-topic.ts';
import { checkedPartitioner } from '../operators/partitioning.ts';
import { branch } from '../operators/split.ts';
import type { StreamPartitioner } from '../topology/node.ts';
import { errorPolicyOf } from '../topology/record-errors.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { checkFunctions, checkTopics } from './arguments.ts';
import {
  checkNodeOptions,
  type PartitionOptions,
  type RepartitionOptions,
  type SinkOptions,
  type SinkTopic,
} from './node-options.ts';
import { addOperator, type StreamParts } from './parts.ts';

/** Adds a sink for one topic. */
export function addSink<K, V>(
  parts: StreamParts<K, V>,
  topic: SinkTopic<NonNullable<K>, NonNullable<V>>,
  options: SinkOptions<K, V>,
): void {
  checkHandle('to', topic);
  checkNodeOptions('to', options, ['name', 'partitioner']);
  const partitioner = partitionerOf('to', options);
  const { graph, node } = parts;
  const name = graph.nameFor('sink', options.name, topic.name);
  const sink = { kind: 'sink', topic: topic as Topic<unknown, unknown>, partitioner } as const;
  graph.add({ ...sink, name, parents: [node], errors: errorPolicyOf(options) });
}

/** Adds an operator that chooses a topic for each record, and a sink for each topic. */
export function addSinks<K, V, T extends SinkTopic<NonNullable<K>, NonNullable<V>>>(
  parts: StreamParts<K, V>,
  topics: readonly T[],
  choose: (record: StreamRecord<K, V>) => T,
  options: SinkOptions<K, V>,
): void {
  checkTopics('to', topics);
  checkFunctions('to', { choose });
  checkNodeOptions('to', options, ['name', 'partitioner']);
  const { graph, node } = parts;
  const name = graph.nameFor('choose-topic', options.name, node);
  addOperator(graph, chooseTopic(topics, choose), { name, parents: [node], errors: options });
  for (const [index, topic] of topics.entries()) {
    const own = graph.nameFor('branch', `${name}-${topic.name}`);
    addOperator(graph, branch<K, V>(index), { name: own, parents: [name], errors: options });
    addSink({ ...parts, node: own }, topic, { ...options, name: `${own}-sink` });
  }
}

/** Adds a repartition topic and returns the parts of the stream behind it. */
export function addRepartition<K, V>(
  parts: StreamParts<K, V>,
  options: RepartitionOptions<NonNullable<K>, NonNullable<V>> & PartitionOptions<K, V>,
): StreamParts<K, V> {
  const known = ['name', 'key', 'value', 'partitions', 'partitioner'] as const;
  checkNodeOptions('repartition', options, known);
  const partitioner = partitionerOf('repartition', options);
  const { graph, node, keySerde, valueSerde } = parts;
  const { key = keySerde ?? msgpack(), value = valueSerde ?? msgpack(), partitions } = options;
  const id = options.name ?? graph.nameFor('repartition', undefined, node);
  const name = graph.nameFor('repartition', `${id}-repartition`); // as that of a store's topic
  const repartition = { kind: 'repartition', id, key, value, partitions, partitioner } as const;
  graph.add({ ...repartition, name, parents: [node], errors: errorPolicyOf(options) });
  return { graph, node: name, keySerde: key, valueSerde: value, isRekeyed: false };
}

function partitionerOf<K, V>(
  method: string,
  { partitioner }: PartitionOptions<K, V>,
): StreamPartitioner<unknown, unknown> | undefined {
  if (partitioner === undefined) return undefined;
  checkFunctions(method, { partitioner });
  return checkedPartitioner(partitioner) as StreamPartitioner<unknown, unknown>;
}
