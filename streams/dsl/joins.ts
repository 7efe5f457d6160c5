import { checkArgument } from '../../core/internal.ts';
import { joinTable } from '../operators/join.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { checkFunctions, foreign, invalid } from './arguments.ts';
import type { Joiner } from './functions.ts';
import { GlobalKTable } from './global-ktable.ts';
import { KTable } from './ktable.ts';
import type { NodeOptions } from './node-options.ts';
import { addToStream, type StreamParts } from './parts.ts';

export type JoinMethod = 'join' | 'leftJoin';

/** With a global table, by any key. */
type GlobalJoinArguments<K, V> = readonly [
  table: GlobalKTable<unknown, unknown>,
  key: (record: StreamRecord<K, NonNullable<V>>) => unknown,
  joiner: AnyJoiner<K, V>,
  options?: NodeOptions,
];

/** With the table of the task, by the record's key. */
type TableJoinArguments<K, V> = readonly [
  table: KTable<NonNullable<K>, unknown>,
  joiner: AnyJoiner<K, V>,
  options?: NodeOptions,
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
): StreamParts<K, unknown> {
  const [table] = args;
  if (table instanceof GlobalKTable) {
    return addGlobalJoin(parts, method, args as GlobalJoinArguments<K, V>);
  }
  checkArgument(method, 'other', table, () =>
    table instanceof KTable ? undefined : 'a KStream, a KTable or a GlobalKTable',
  );
  return addTableJoin(parts, method, args as TableJoinArguments<K, V>);
}

function addGlobalJoin<K, V>(
  parts: StreamParts<K, V>,
  method: JoinMethod,
  [table, key, joiner, options = {}]: GlobalJoinArguments<K, V>,
): StreamParts<K, unknown> {
  checkFunctions(method, { key, joiner });
  const { store, graph } = table;
  if (graph !== parts.graph) throw foreign(method);
  const isLeft = method === 'leftJoin';
  const operator = joinTable({ table: { global: store }, key, joiner, isLeft });
  const serdes = { keySerde: parts.keySerde, valueSerde: undefined };
  return addToStream(parts, operator, { options, serdes });
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
  const { graph, reader } = table.parts;
  if (graph !== parts.graph) throw foreign(method);
  if (parts.isRekeyed) {
    throw invalid(
      'a stream whose key has changed cannot be joined with a table, for equal keys need not ' +
        'meet; join before the key changes',
    );
  }
  if (reader === undefined)
    throw invalid('a table of windows cannot be joined with: it has no row for a key');
  const isLeft = method === 'leftJoin';
  const key = keyOf<NonNullable<K>>;
  const operator = joinTable({ table: reader, key, joiner, isLeft });
  const serdes = { keySerde: parts.keySerde, valueSerde: undefined };
  return addToStream(parts, operator, { options, serdes, stores: reader.stores });
}

function keyOf<K>({ key }: StreamRecord<K>): K {
  return key;
}
