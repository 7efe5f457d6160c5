import { joinTable } from '../operators/join.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { checkFunctions, checkMade, foreign, invalid } from './arguments.ts';
import type { Joiner } from './functions.ts';
import { GlobalKTable } from './global-ktable.ts';
import { KTable } from './ktable.ts';
import type { NodeOptions } from './node-options.ts';
import { addToStream, type StreamParts } from './parts.ts';

/** What a join of a stream and a table is made of. */
export interface Join<Table, K, V, VR> {
  /** The method, for errors. */
  readonly method: string;
  readonly isLeft: boolean;
  readonly table: Table;
  /** Takes the rows of this table: the public method has checked that. */
  readonly joiner: Joiner<K, NonNullable<V>, never, VR>;
  readonly options: NodeOptions;
}

/** A join with a global table, by any key. */
export interface GlobalJoin<K, V, KT, VR> extends Join<GlobalKTable<KT, unknown>, K, V, VR> {
  readonly key: (record: StreamRecord<K, NonNullable<V>>) => KT | null | undefined;
}

/** Adds a join with a global table and returns the parts of its results. */
export function addGlobalJoin<K, V, KT, VR>(
  parts: StreamParts<K, V>,
  { method, isLeft, table, key, joiner, options }: GlobalJoin<K, V, KT, VR>,
): StreamParts<K, VR> {
  checkMade(method, 'table', table, GlobalKTable);
  checkFunctions(method, { key, joiner });
  const { store, graph } = table;
  if (graph !== parts.graph) throw foreign('join');
  const { keySerde } = parts;
  const operator = joinTable({ store, isGlobal: true, key, joiner, isLeft });
  return addToStream(parts, operator, { options, serdes: { keySerde, valueSerde: undefined } });
}

/** Adds a join with the table of the task, by the key, and returns the parts of its results. */
export function addTableJoin<K, V, VR>(
  parts: StreamParts<K, V>,
  { method, isLeft, table, joiner, options }: Join<KTable<NonNullable<K>, unknown>, K, V, VR>,
): StreamParts<K, VR> {
  checkMade(method, 'table', table, KTable);
  checkFunctions(method, { joiner });
  const { store, graph, isWindowed } = table;
  if (graph !== parts.graph) throw foreign('join');
  if (parts.isRekeyed) {
    throw invalid(
      'a stream whose key has changed cannot be joined with a table, for equal keys need not ' +
        'meet; join before the key changes',
    );
  }
  if (isWindowed)
    throw invalid('a table of windows cannot be joined with: it has no row for a key');
  const { keySerde } = parts;
  const key = (record: StreamRecord<K, NonNullable<V>>): K => record.key;
  const operator = joinTable({ store, isGlobal: false, key, joiner, isLeft });
  const serdes = { keySerde, valueSerde: undefined };
  return addToStream(parts, operator, { options, serdes, stores: [store] });
}
