import { msgpack, type Serde } from '../../core/index.ts';
import {
  answerChanges,
  answerSubscriptions,
  subscriptionStoreSpec,
} from '../operators/foreign-key-answer.ts';
import { subscriptionSerde, versionedSerde } from '../operators/foreign-key-messages.ts';
import {
  foreignMessages,
  resolveAnswers,
  resolvingStoreSpec,
} from '../operators/foreign-key-resolve.ts';
import {
  findForeignKeys,
  subscribe,
  versionStoreSpec,
} from '../operators/foreign-key-subscribe.ts';
import type { TableReader } from '../operators/table-reader.ts';
import type { Row } from '../operators/table-view.ts';
import type { ErrorPolicy } from '../topology/record-errors.ts';
import { checkFunctions, foreign, invalid } from './arguments.ts';
import type { TableJoiner } from './functions.ts';
import { checkNodeOptions, type StoreOptions } from './node-options.ts';
import { addOperator, type TableParts } from './parts.ts';
import { addTable, checkTableEmit, nodeName } from './tables.ts';

/** How to join a table by a key that its rows have. */
export interface ForeignKeyJoin<K, V, KO, VO, VR> extends StoreOptions<NonNullable<VR>> {
  /** Returns a row's key in the other table; null or undefined for none. */
  readonly foreignKey: (row: Row<K, V>) => KO | null | undefined;
  readonly joiner: TableJoiner<K, V, VO, VR>;
}

/** Adds a join by foreign key: what the two sides say to each other, and a table of the results. */
export function addForeignKeyJoin<K, V, KO, VO, VR>(
  method: 'join' | 'leftJoin',
  left: TableParts<K, V>,
  right: TableParts<KO, VO>,
  how: ForeignKeyJoin<K, NonNullable<V>, KO, NonNullable<VO> | undefined, VR>,
): TableParts<K, VR | null> {
  const known = ['name', 'store', 'value', 'emit', 'foreignKey', 'joiner'] as const;
  checkNodeOptions(method, how as Pick<typeof how, (typeof known)[number]>, known);
  const { foreignKey, joiner, emit = 'each', value = msgpack() } = how;
  checkFunctions(method, { foreignKey, joiner });
  checkTableEmit(method, emit);
  if (left.graph !== right.graph) throw foreign(method);
  if (right.reader === undefined || right.isWindowed)
    throw invalid(`${method}: the other table has no row for a key`);
  const { graph, keySerde: key, stream } = left;
  const node = nodeName(graph, 'foreign-key-join', how, left.node);
  const { store = node } = how;
  const names = { node, store, isLeft: method === 'leftJoin', errors: how };
  const topics = addLeftSide(left, right, { ...names, foreignKey });
  const answers = addRightSide(left, right, { ...names, subscriptions: topics.subscriptions });
  const parents = { left: topics.rows, answer: answers };
  const parent = addResults(left, right, { ...names, joiner, parents });
  const serdes = { key, value };
  return addTable<K, VR>({
    ...{ graph, node, store, parent, ...serdes, backing: 'changelog', emit, stream },
    options: how,
    historyMs: undefined,
  });
}

/** What the parts of a join share. */
interface JoinNames {
  readonly node: string;
  readonly store: string;
  readonly isLeft: boolean;
  /** The options of the method. */
  readonly errors: ErrorPolicy;
}

const TOPIC = { kind: 'repartition', partitions: undefined, partitioner: undefined } as const;

/** Where the left table is: its changes get versions, and go to two topics. */
function addLeftSide<K, V, KO, VO>(
  left: TableParts<K, V>,
  right: TableParts<KO, VO>,
  options: JoinNames & {
    readonly foreignKey: (row: Row<K, NonNullable<V>>) => KO | null | undefined;
  },
): { readonly rows: string; readonly subscriptions: string } {
  const { graph, keySerde: key, isVersioned } = left;
  const { node, store, isLeft, foreignKey, errors } = options;
  const versions = `${store}-versions`;
  graph.addStore(versionStoreSpec(versions));
  const found = addOperator(
    graph,
    findForeignKeys<K, NonNullable<V>, NonNullable<KO>>({
      ...{ store: versions, key: right.keySerde, isLeft, isVersioned },
      foreignKey: foreignKey as (row: Row<K, NonNullable<V>>) => NonNullable<KO> | null,
    }),
    {
      ...{ name: graph.nameFor('find', `${node}-keys`), parents: [left.node] },
      ...{ stores: [versions], errors },
    },
  );
  const told = addOperator(graph, subscribe<K, NonNullable<V>, KO>(), {
    ...{ name: graph.nameFor('subscribe', `${node}-subscribe`), parents: [found], errors },
  });
  const rows = graph.nameFor('repartition', `${node}-left`);
  const value = versionedSerde(rowSerde(left));
  graph.add({ ...TOPIC, id: `${store}-left`, name: rows, key, value, parents: [found] });
  const subscriptions = graph.nameFor('repartition', `${node}-subscription`);
  const asked = { key: right.keySerde, value: subscriptionSerde(key), isCopartitioned: true };
  graph.add({
    ...{ ...TOPIC, ...asked, id: `${store}-subscription`, name: subscriptions, parents: [told] },
  });
  return { rows, subscriptions };
}

/** Where the right table is: it answers subscriptions, and tells its changes. */
function addRightSide<K, V, KO, VO>(
  left: TableParts<K, V>,
  right: TableParts<KO, VO>,
  { node, store, subscriptions, errors }: JoinNames & { readonly subscriptions: string },
): string {
  const { graph, keySerde: key } = left;
  const reader = right.reader as TableReader<NonNullable<KO>, NonNullable<VO>>; // checked before
  const subscribed = { store: `${store}-subscriptions`, key, foreignKey: right.keySerde };
  graph.addStore(subscriptionStoreSpec(subscribed.store));
  const parents = [
    addOperator(graph, answerSubscriptions(subscribed, reader), {
      name: graph.nameFor('answer', `${node}-answer-subscriptions`),
      parents: [subscriptions],
      stores: [subscribed.store, ...reader.stores],
      errors,
    }),
    addOperator(graph, answerChanges(subscribed, right.isVersioned), {
      name: graph.nameFor('answer', `${node}-answer-changes`),
      parents: [right.node],
      stores: [subscribed.store],
      errors,
    }),
  ];
  const answers = graph.nameFor('repartition', `${node}-answer`);
  const answered = { key, value: versionedSerde(rowSerde(right)), isCopartitioned: true };
  graph.add({ ...TOPIC, ...answered, id: `${store}-answer`, name: answers, parents });
  return answers;
}

/** Where both meet again, by the key of the left table. */
function addResults<K, V, KO, VO, VR>(
  left: TableParts<K, V>,
  right: TableParts<KO, VO>,
  options: JoinNames & {
    readonly joiner: TableJoiner<K, NonNullable<V>, NonNullable<VO> | undefined, VR>;
    readonly parents: Readonly<Record<'left' | 'answer', string>>;
  },
): string {
  const { graph, keySerde: key } = left;
  const { node, isLeft, joiner, parents: topics, errors } = options;
  const store = `${options.store}-rows`;
  const serdes = { left: rowSerde(left), right: rowSerde(right) };
  graph.addStore(resolvingStoreSpec({ store, key, ...serdes }));
  const parents = (['left', 'answer'] as const).map((kind) =>
    addOperator(graph, foreignMessages<K, never>(kind), {
      name: graph.nameFor('take', `${node}-take-${kind}`),
      parents: [topics[kind]],
      errors,
    }),
  );
  const results = resolveAnswers<K, NonNullable<V>, NonNullable<VO>, VR>({ store, joiner, isLeft });
  const name = graph.nameFor('results', `${node}-results`);
  return addOperator(graph, results, { name, parents, stores: [store], errors });
}

function rowSerde<K, V>({ valueSerde }: TableParts<K, V>): Serde<NonNullable<V>> {
  return valueSerde ?? msgpack();
}
