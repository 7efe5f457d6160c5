import { msgpack, type Serde } from '../../core/index.ts';
import {
  joinedRows,
  joinReader,
  joinTables,
  mergeSides,
  reversed,
  type TableJoin,
} from '../operators/join-tables.ts';
import {
  changesOfSide,
  joinWindowedTables,
  sideStoreSpec,
  type WindowedSide,
} from '../operators/join-windowed-tables.ts';
import type { TableReader } from '../operators/table-reader.ts';
import type { Windowed } from '../topology/windows.ts';
import { checkFunctions, foreign, invalid } from './arguments.ts';
import type { TableJoiner } from './functions.ts';
import { addMovableTable } from './movable-tables.ts';
import type { JoinedTableOptions, ViewOptions } from './node-options.ts';
import { addOperator, type TableParts } from './parts.ts';
import { nodeName } from './tables.ts';
import { addStoredView, checkViewOptions } from './views.ts';

/** Which of the rows a join needs. */
const REQUIRED = {
  join: { requiresLeft: true, requiresRight: true },
  leftJoin: { requiresLeft: true, requiresRight: false },
  outerJoin: { requiresLeft: false, requiresRight: false },
} as const;

export type TableJoinMethod = keyof typeof REQUIRED;

/** A joiner of any of the methods: their types say which sides may be undefined. */
type AnyJoiner<K, VL, VR> = TableJoiner<K, VL | undefined, VR | undefined, unknown>;

/** The tables of a join. */
export interface Sides<K, VL, VR> {
  readonly left: TableParts<K, VL>;
  readonly right: TableParts<K, VR>;
}

/** Adds a join of two tables by their keys; it is stored if it is given a store, or has to be. */
export function addTableJoin<K, VL, VR, V>(
  method: TableJoinMethod,
  sides: Sides<K, VL, VR>,
  joiner: unknown,
  options: JoinedTableOptions<NonNullable<V>>,
): TableParts<K, V> {
  checkFunctions(method, { joiner });
  checkViewOptions(method, options, ['repartition']);
  const { left, right } = sides;
  if (left.graph !== right.graph) throw foreign(method);
  const join: TableJoin<K, NonNullable<VL>, NonNullable<VR>, NonNullable<V>> = {
    joiner: joiner as AnyJoiner<K, NonNullable<VL>, NonNullable<VR>> as () => NonNullable<V>,
    ...REQUIRED[method],
    isSkipping: true,
  };
  if ((left.isWindowed || right.isWindowed) && options.repartition !== undefined) {
    throw invalid(`${method}: tables of windows cannot be repartitioned; leave 'repartition' out`);
  }
  // Rows stay for ever, with keys of unlimited windows or of none.
  const neverClose = left.windows === undefined && right.windows === undefined;
  if (neverClose && left.isWindowed === right.isWindowed) {
    return addKeyedJoin(method, sides, join, options);
  }
  return windowedJoin<K, VL, VR, V>(method, sides, join, options);
}

/** Adds a join of tables without windows, or of unlimited ones. */
function addKeyedJoin<K, VL, VR, V>(
  method: TableJoinMethod,
  { left, right }: Sides<K, VL, VR>,
  given: TableJoin<K, NonNullable<VL>, NonNullable<VR>, NonNullable<V>>,
  options: JoinedTableOptions<NonNullable<V>>,
): TableParts<K, V> {
  const { graph, keySerde, stream, isWindowed } = left;
  const [readLeft, readRight] = [readerOf(method, left), readerOf(method, right)];
  // One side may read what the other has not been told yet: then the old value has to be stored.
  const overlaps =
    graph.usesStores(left.node, readRight.stores) || graph.usesStores(right.node, readLeft.stores);
  const join = { ...given, isSkipping: !overlaps };
  const node = nodeName(graph, 'join-tables', options, left.node);
  // Which readers it has is not known before the start if sides may be moved: so it is stored.
  const mustStore = overlaps || options.repartition !== undefined;
  const { store = mustStore ? node : undefined, emit = 'each', value: valueSerde } = options;
  const [leftNode, rightNode] = [
    graph.nameFor('join-left', `${node}-left`),
    graph.nameFor('join-right', `${node}-right`),
  ];
  const joinLeft = (reader: TableReader<K, NonNullable<VR>>) => ({
    operator: joinTables(join, reader, left.isVersioned),
    stores: reader.stores,
  });
  const joinRight = (reader: TableReader<K, NonNullable<VL>>) => ({
    operator: joinTables(reversed(join), reader, right.isVersioned),
    stores: reader.stores,
  });
  const isMovable = options.repartition !== undefined && left.node !== right.node;
  const ours = !isMovable
    ? { node: left.node, reader: readLeft }
    : addMovableTable(left, {
        ...{ store: `${store}-left`, join: node, errors: options },
        otherwise: new Map([[rightNode, joinRight(readLeft)]]),
      });
  const theirs = !isMovable
    ? { node: right.node, reader: readRight }
    : addMovableTable(right, {
        ...{ store: `${store}-right`, join: node, errors: options },
        otherwise: new Map([[leftNode, joinLeft(readRight)]]),
      });
  const [toLeft, toRight] = [joinLeft(theirs.reader), joinRight(ours.reader)];
  const parents = [
    addOperator(graph, toLeft.operator, {
      ...{ name: leftNode, parents: [ours.node], stores: toLeft.stores, errors: options },
    }),
    addOperator(graph, toRight.operator, {
      ...{ name: rightNode, parents: [theirs.node], stores: toRight.stores, errors: options },
    }),
  ];
  if (store === undefined) {
    addOperator(graph, mergeSides<K, NonNullable<V>>(), { name: node, parents, errors: options });
    const reader = joinReader(join, keySerde, readLeft, readRight);
    const parts = { graph, node, store, reader, keySerde, valueSerde, stream };
    return { ...parts, isWindowed, isVersioned: false };
  }
  const basis = { graph, keySerde, stream, isWindowed, isVersioned: false };
  const kept = { node, store, value: valueSerde ?? msgpack(), emit, parents, errors: options };
  return addStoredView<K, V, V>(basis, joinedRows(join), kept);
}

function readerOf<K, V>(method: string, { reader }: TableParts<K, V>) {
  if (reader !== undefined) return reader;
  throw invalid(`${method}: one of the tables cannot be read, so that nothing can join it`);
}

/** The keys are windowed, as the tables tell, and their types do not. */
function windowedJoin<K, VL, VR, V>(
  method: TableJoinMethod,
  sides: Sides<K, VL, VR>,
  join: TableJoin<K, NonNullable<VL>, NonNullable<VR>, NonNullable<V>>,
  options: ViewOptions<NonNullable<V>>,
): TableParts<K, V> {
  const table = addWindowedJoin(
    method,
    sides as unknown as Sides<Windowed<unknown>, VL, VR>,
    join as unknown as TableJoin<
      Windowed<unknown>,
      NonNullable<VL>,
      NonNullable<VR>,
      NonNullable<V>
    >,
    options,
  );
  return table as unknown as TableParts<K, V>;
}

/** Adds a join of tables of windows: it keeps the rows of both. */
function addWindowedJoin<K, VL, VR, V>(
  method: TableJoinMethod,
  { left, right }: Sides<Windowed<K>, VL, VR>,
  join: TableJoin<Windowed<K>, NonNullable<VL>, NonNullable<VR>, NonNullable<V>>,
  options: ViewOptions<NonNullable<V>>,
): TableParts<Windowed<K>, V> {
  const { graph, keySerde, stream } = left;
  if (left.windows === undefined || left.windows.shape !== right.windows?.shape) {
    const [one, other] = [left, right].map(({ windows }) => windows?.shape ?? 'no such windows');
    throw invalid(`${method} needs tables of the same windows, and not of ${one} and ${other}`);
  }
  const { store, emit = 'each', value: valueSerde } = options;
  const node = nodeName(graph, 'join-windowed-tables', options, left.node);
  // A stored one is joined first, and then kept.
  const joining =
    store === undefined ? node : graph.nameFor('join-windowed-tables', `${node}-join`);
  const lifeMs = Math.max(left.windows.lifeMs, right.windows.lifeMs);
  const sides = {
    left: sideOf(`${node}-left`, left.valueSerde),
    right: sideOf(`${node}-right`, right.valueSerde),
  };
  const [first, second] = [true, false].map((isLeft) => {
    const side = isLeft ? left : right;
    const { store } = isLeft ? sides.left : sides.right;
    const name = graph.nameFor('join-side', store);
    const place = { name, parents: [side.node], errors: options };
    return addOperator(graph, changesOfSide(isLeft), place);
  });
  for (const side of [sides.left, sides.right] as WindowedSide<unknown>[]) {
    graph.addStore(sideStoreSpec({ side, key: keySerde, lifeMs, node: joining }));
  }
  addOperator(graph, joinWindowedTables({ ...join, ...sides, lifeMs }), {
    name: joining,
    parents: [first, second] as string[],
    stores: [sides.left.store, sides.right.store],
    errors: options,
  });
  const basis = {
    ...{ graph, keySerde, stream },
    ...{ windows: { ...left.windows, lifeMs }, isWindowed: true, isVersioned: false },
  };
  if (store === undefined) return { ...basis, node, store, reader: undefined, valueSerde };
  const value = valueSerde ?? msgpack();
  const kept = { node, store, value, emit, parents: [joining], errors: options };
  return addStoredView<Windowed<K>, V, V>(basis, joinedRows(join), kept);
}

function sideOf<V>(store: string, value: Serde<V> | undefined): WindowedSide<V> {
  return { store, value: value ?? msgpack() };
}
