import { msgpack } from '../../core/index.ts';
import { checkArgument } from '../../core/internal.ts';
import { joinTableWithGrace } from '../operators/grace-join.ts';
import { joinKind, joinTable } from '../operators/join.ts';
import { recordStore } from '../state/record-store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { checkFunctions, foreign, invalid } from './arguments.ts';
import { addDropped, type DroppedOptions } from './dropped-records.ts';
import type { Joiner } from './functions.ts';
import { GlobalKTable } from './global-ktable.ts';
import { KTable } from './ktable.ts';
import { checkNodeOptions, type NodeOptions, type TableJoinOptions } from './node-options.ts';
import { addOperator, addToStream, type StreamMaker, type StreamParts } from './parts.ts';
import { conditionOf, joinSide, joinsWith, moveOf, readingPoint } from './repartitioning.ts';

export type JoinMethod = 'join' | 'leftJoin';

/** With a global table, by any key. */
type GlobalJoinArguments<K, V> = readonly [
  table: GlobalKTable<unknown, unknown>,
  key: (record: StreamRecord<K, NonNullable<V>>) => unknown,
  joiner: AnyJoiner<K, V>,
  options?: NodeOptions & DroppedOptions<K, V>,
];

/** With the table of the task, by the record's key. */
type TableJoinArguments<K, V> = readonly [
  table: KTable<NonNullable<K>, unknown>,
  joiner: AnyJoiner<K, V>,
  options?: TableJoinOptions<NonNullable<K>, NonNullable<V>>,
];

/** The overloads have checked that it takes the rows of its table. */
type AnyJoiner<K, V> = Joiner<K, NonNullable<V>, unknown, unknown>;

/**
 * Adds the join that the arguments ask for and returns the parts of its results. The overloads of
 * the method have checked that the arguments fit together.
 */
export function addJoin<K, V>(
  parts: StreamParts<K, V>,
  method: JoinMethod,
  args: readonly unknown[],
  stream: StreamMaker,
): StreamParts<K, unknown> {
  const [table] = args;
  if (table instanceof GlobalKTable) {
    return addGlobalJoin(parts, method, args as GlobalJoinArguments<K, V>, stream);
  }
  checkArgument(method, 'other', table, () =>
    table instanceof KTable ? undefined : 'a KStream, a KTable or a GlobalKTable',
  );
  return addTableJoin(parts, method, args as TableJoinArguments<K, V>);
}

function addGlobalJoin<K, V>(
  parts: StreamParts<K, V>,
  method: JoinMethod,
  [table, key, joiner, given = {}]: GlobalJoinArguments<K, V>,
  stream: StreamMaker,
): StreamParts<K, unknown> {
  checkFunctions(method, { key, joiner });
  const { store, graph } = table;
  if (graph !== parts.graph) throw foreign(method);
  const isLeft = method === 'leftJoin';
  const operator = joinTable({ table: { global: store }, key, joiner, isLeft });
  const serdes = { keySerde: parts.keySerde, valueSerde: undefined };
  const { dropped, ...options } = given;
  const joined = addToStream(parts, operator, { options, serdes });
  addDropped<K, V>(joined, stream, dropped === undefined ? options : { dropped, ...options });
  return joined;
}

function addTableJoin<K, V>(
  parts: StreamParts<K, V>,
  method: JoinMethod,
  [table, joiner, options = {}]: TableJoinArguments<K, V>,
): StreamParts<K, unknown> {
  checkFunctions(method, { joiner });
  checkArgument(method, 'options', options, (given) =>
    typeof given === 'function'
      ? 'an object: a KTable is joined by the key of the record, without a function for it'
      : undefined,
  );
  checkNodeOptions(method, options, [
    ...(['name', 'key', 'value', 'graceMs', 'closeAfterIdleMs', 'repartition'] as const),
    'dropped',
  ]);
  const { graph, reader, isWindowed, isVersioned, keySerde: tableKey } = table.parts;
  if (graph !== parts.graph) throw foreign(method);
  if (reader === undefined || isWindowed)
    throw invalid('a table of windows cannot be joined with: it has no row for a key');
  const { key = parts.keySerde ?? tableKey, value = parts.valueSerde ?? msgpack() } = options;
  const { graceMs, closeAfterIdleMs } = options;
  if (graceMs !== undefined && !isVersioned) {
    throw invalid(
      `${method} with graceMs needs a versioned table, which knows the past: give it 'versioned'`,
    );
  }
  if (closeAfterIdleMs !== undefined && graceMs === undefined) {
    throw invalid(`${method} with closeAfterIdleMs needs graceMs: without it nothing waits`);
  }
  const join = { table: reader, key: keyOf<NonNullable<K>>, joiner, isLeft: method === 'leftJoin' };
  const node = graph.nameFor(joinKind(join), options.name, parts.node);
  const own = joinSide(parts);
  const move = moveOf(graph, own, { node: table.parts.node, mustRepartition: false });
  const readers = joinsWith(table.parts.node);
  const onlyIf = conditionOf(node, move, options.repartition !== undefined);
  const how = { ...own, readers, move, onlyIf, partitions: undefined };
  const parent = readingPoint({ ...how, graph, key, value }, node);
  const result = { graph, node, keySerde: key, valueSerde: undefined, isRekeyed: false };
  const place = { name: node, parents: [parent], errors: options };
  if (graceMs === undefined) {
    addOperator(graph, joinTable(join), { ...place, stores: reader.stores });
    addDropped(result, table.parts.stream, options);
    return result;
  }
  const buffer = `${node}-buffer`;
  const expiry = { lifeMs: graceMs + 1, node };
  graph.addStore({ ...recordStore(buffer), key, value, backing: 'changelog', expiry });
  const operator = joinTableWithGrace({ ...join, graceMs, buffer });
  const stores = [...reader.stores, buffer];
  addOperator(graph, { ...operator, closeAfterIdleMs }, { ...place, stores });
  addDropped(result, table.parts.stream, options);
  return result;
}

function keyOf<K>({ key }: StreamRecord<K>): K {
  return key;
}
