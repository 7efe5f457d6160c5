import { msgpack } from '../../core/index.ts';
import { storeReader, type TableReader } from '../operators/table-reader.ts';
import { tableSource } from '../operators/table-source.ts';
import { latestToStream } from '../operators/to-stream.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import type { RepartitionCondition } from '../topology/node.ts';
import type { ErrorPolicy } from '../topology/record-errors.ts';
import { addOperator, type TableParts } from './parts.ts';

/** Where a table goes if it has to be moved. */
export interface MovePlace {
  /** Names the topic, and the store that the table has behind it. */
  readonly store: string;
  /** The node of the join. */
  readonly join: string;
  /** What the nodes that read the table are if it stays where it is. */
  readonly otherwise: NonNullable<RepartitionCondition['otherwise']>;
  /** The options of the join. */
  readonly errors: ErrorPolicy;
}

/** The table where it meets the other one. */
export interface MovableTable<K, V> {
  readonly node: string;
  readonly reader: TableReader<K, NonNullable<V>>;
}

/**
 * Adds what moves a table to meet another one, if that has other partitions: its changes go through
 * a repartition topic, and are a table again behind it. If the table can stay where it is, all of
 * that is left out.
 */
export function addMovableTable<K, V>(
  table: TableParts<K, V>,
  { store, join, otherwise, errors }: MovePlace,
): MovableTable<K, V> {
  const { graph, keySerde: key, valueSerde } = table;
  const value = valueSerde ?? msgpack();
  const changes = graph.nameFor('to-stream', `to-stream-${store}`);
  const topic = graph.nameFor('repartition', `${store}-repartition`);
  const node = graph.nameFor('table', `table-${store}`);
  addOperator(graph, latestToStream<K, V>(value), { name: changes, parents: [table.node], errors });
  graph.add({
    ...{ kind: 'repartition', name: topic, id: store, key, value, parents: [changes] },
    ...{ partitions: undefined, partitioner: undefined },
    onlyIf: { join, isAsked: true, with: [changes, node], otherwise },
  });
  graph.addStore({ ...keyValueStore(store), key, value, backing: 'changelog' });
  const keeper = tableSource<K, V>(store, 'each');
  addOperator(graph, keeper, { name: node, parents: [topic], stores: [store], errors });
  return { node, reader: storeReader<K, NonNullable<V>>(store) };
}
