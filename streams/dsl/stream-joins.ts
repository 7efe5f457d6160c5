import { msgpack, type Serde } from '../../core/index.ts';
import {
  joinStreams,
  STREAM_JOIN_KINDS,
  type AnyStreamJoiner,
  type StreamJoinKind,
} from '../operators/stream-join.ts';
import { joinWithItself } from '../operators/self-join.ts';
import { recordStore } from '../state/record-store.ts';
import { checkJoinWindow, joinLifeMs } from '../topology/join-window.ts';
import { checkFunctions, foreign } from './arguments.ts';
import { checkNodeOptions, type StreamJoinOptions } from './node-options.ts';
import { addDropped } from './dropped-records.ts';
import { addOperator, type StreamMaker, type StreamParts } from './parts.ts';
import { conditionOf, joinSide, joinsWith, moveOf, readingPoint } from './repartitioning.ts';
import { nodeName } from './tables.ts';

const KINDS = { join: 'inner', leftJoin: 'left', outerJoin: 'outer' } as const satisfies Record<
  string,
  StreamJoinKind
>;
export type StreamJoinMethod = keyof typeof KINDS;

/** The arguments of the method behind the other stream, as they were given. */
export interface StreamJoinArguments {
  readonly method: StreamJoinMethod;
  readonly joiner: unknown;
  readonly options: unknown;
  readonly stream: StreamMaker;
}

/** Adds the join of two streams and returns the parts of its results. */
export function addStreamJoin<K, VL, VR>(
  left: StreamParts<K, VL>,
  right: StreamParts<K, VR>,
  { method, joiner, options: given = {}, stream }: StreamJoinArguments,
): StreamParts<K, unknown> {
  const options = given as StreamJoinOptions<NonNullable<K>, NonNullable<VL>, NonNullable<VR>>;
  checkFunctions(method, { joiner });
  const known = ['name', 'store', 'key', 'value', 'otherValue', 'window', 'repartition'] as const;
  checkNodeOptions(method, options, [...known, 'dropped']);
  checkJoinWindow(method, options.window);
  const { graph } = left;
  if (right.graph !== graph) throw foreign(method);
  const kind = KINDS[method];
  const node = nodeName(graph, STREAM_JOIN_KINDS[kind], options, left.node);
  const { store = node, window } = options;
  const { closeAfterIdleMs } = window;
  const addSide = <V>(
    parts: StreamParts<K, V>,
    other: StreamParts<K, unknown>,
    side: Side<NonNullable<K>, V>,
  ) => {
    const name = `${store}-${side.name}`;
    const own = joinSide(parts);
    const move = moveOf(graph, own, joinSide(other));
    const isAsked = options.repartition !== undefined && parts.node !== other.node;
    const onlyIf = conditionOf(node, move, isAsked);
    const readers = joinsWith(other.node);
    const how = { ...own, readers, move, onlyIf, partitions: undefined };
    const parent = readingPoint({ ...side, ...how, graph }, name);
    const expiry = { lifeMs: joinLifeMs(window), node };
    const { key, value } = side;
    graph.addStore({ ...recordStore(name), key, value, backing: 'changelog', expiry });
    return { name, parent };
  };
  const keySerde = options.key ?? left.keySerde ?? right.keySerde ?? msgpack();
  const valueSerde = options.value ?? left.valueSerde ?? msgpack();
  const ours = addSide(left, right, { name: 'left', key: keySerde, value: valueSerde });
  const result = { graph, node, keySerde, valueSerde: undefined, isRekeyed: false } as const;
  const common = { window, joiner: joiner as AnyStreamJoiner<K, VL, VR, unknown> };
  if (kind === 'inner' && left.node === right.node) {
    const own = common as typeof common & { joiner: AnyStreamJoiner<K, VL, VL, unknown> };
    const operator = joinWithItself({ ...own, leftStore: ours.name });
    const place = { name: node, parents: [ours.parent], stores: [ours.name] };
    addOperator(graph, { ...operator, closeAfterIdleMs }, { ...place, errors: options });
    addDropped(result, stream, options);
    return result;
  }
  const theirs = addSide(right, left, {
    name: 'right',
    key: options.key ?? right.keySerde ?? keySerde,
    value: options.otherValue ?? right.valueSerde ?? msgpack(),
  });
  const stores = [ours.name, theirs.name];
  const operator = joinStreams({
    ...{ ...common, kind, leftStore: ours.name, rightStore: theirs.name },
  });
  const parents = [ours.parent, theirs.parent];
  const place = { name: node, parents, stores, errors: options };
  addOperator(graph, { ...operator, closeAfterIdleMs }, place);
  addDropped(result, stream, options);
  return result;
}

interface Side<K, V> {
  readonly name: 'left' | 'right';
  readonly key: Serde<K>;
  readonly value: Serde<NonNullable<V>>;
}
