import { int64, msgpack } from '../../core/index.ts';
import { dedupe, dedupeLifeMs } from '../operators/dedupe.ts';
import { windowStore } from '../state/window-store.ts';
import { checkFunctions } from './arguments.ts';
import { addDropped } from './dropped-records.ts';
import { checkNodeOptions, type DedupeOptions } from './node-options.ts';
import { addOperator, type StreamMaker, type StreamParts } from './parts.ts';
import { GROUPINGS, readingPoint } from './repartitioning.ts';
import { nodeName } from './tables.ts';

/**
 * Adds the search for duplicates, behind a repartition topic if keys may have changed, and returns
 * the parts of what is passed on.
 */
export function addDedupe<K, V, I>(
  parts: StreamParts<K, V>,
  options: DedupeOptions<K, V, I>,
  stream: StreamMaker,
): StreamParts<K, V> {
  const known = ['name', 'store', 'by', 'id', 'withinMs', 'graceMs', 'dropped'] as const;
  checkNodeOptions('dedupe', options, known, ['withinMs']);
  const { by, withinMs, graceMs = withinMs } = options;
  if (by !== undefined) checkFunctions('dedupe', { by });
  const { graph } = parts;
  const node = nodeName(graph, 'dedupe', options, parts.node);
  const { store = node } = options;
  const { keySerde = msgpack(), valueSerde = msgpack() } = parts;
  const parent = readingPoint(
    {
      ...{ graph, node: parts.node, key: keySerde, value: valueSerde },
      ...{ mustRepartition: parts.isRekeyed, partitions: undefined, readers: GROUPINGS },
    },
    store,
  );
  const id = by === undefined ? keySerde : msgpack();
  const times = { withinMs, graceMs };
  graph.addStore({
    ...windowStore(store),
    ...{ key: options.id ?? id, value: int64(), backing: 'changelog' },
    expiry: { lifeMs: dedupeLifeMs(times), node },
  });
  const operator = dedupe<K, V, I>({ by, ...times, store });
  const place = { name: node, parents: [parent], stores: [store] };
  addOperator(graph, operator, { ...place, errors: options });
  addDropped({ ...parts, node }, stream, options);
  return { ...parts, node, isRekeyed: false };
}
