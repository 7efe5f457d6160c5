import { msgpack } from '../../core/index.ts';
import { checkArgument } from '../../core/internal.ts';
import { contribute, type Contribution } from '../operators/cogroup.ts';
import { synchronous } from '../operators/results.ts';
import type { Aggregating, AggregationInput, Merging } from './aggregations.ts';
import type { ErrorPolicy } from '../topology/record-errors.ts';
import { checkFunctions, foreign } from './arguments.ts';
import type { Adder, Merger } from './functions.ts';
import { addOperator, type GroupedParts, type GroupedStream } from './parts.ts';
import { readingPoint } from './repartitioning.ts';

/** The streams of a cogroup. */
export interface CogroupParts<K, A> extends AggregationInput<K> {
  /** Of each stream: adds the nodes before the aggregation, and returns the last one's name. */
  readonly inputs: readonly ((store: string, errors: ErrorPolicy) => string)[];
  /** For the types only: of the values. */
  readonly aggregate?: A;
}

/** The first stream of a cogroup. */
export function firstInput<K, V, A>(
  parts: GroupedParts<K, V>,
  adder: Adder<K, V, A, A | null | undefined>,
): CogroupParts<K, A> {
  return withAdder({ ...parts, inputs: [] }, parts, adder);
}

/** One more stream. */
export function withInput<K, V, A>(
  cogroup: CogroupParts<K, A>,
  grouped: GroupedStream<K, V>,
  adder: Adder<K, V, A, A | null | undefined>,
): CogroupParts<K, A> {
  checkArgument('cogroup', 'grouped', grouped, (given) => {
    const isGrouped = typeof given === 'object' && given !== null && 'parts' in given;
    return isGrouped ? undefined : 'a KGroupedStream';
  });
  if (grouped.parts.graph !== cogroup.graph) throw foreign('cogroup');
  return withAdder(cogroup, grouped.parts, adder);
}

function withAdder<K, V, A>(
  { graph, node, key, stream, inputs }: Omit<CogroupParts<K, A>, 'readingPoints'>,
  parts: GroupedParts<K, V>,
  adder: Adder<K, V, A, A | null | undefined>,
): CogroupParts<K, A> {
  checkFunctions('cogroup', { adder });
  const index = inputs.length;
  const input = (store: string, errors: ErrorPolicy): string => {
    // The first one's topic is named as that of a stream that is aggregated alone.
    const parent = readingPoint(parts, index === 0 ? store : `${store}-${index}`);
    const name = graph.nameFor('cogroup', `${store}-cogroup-${index}`);
    return addOperator(graph, contribute(adder), { name, parents: [parent], errors });
  };
  const all = [...inputs, input];
  const readingPoints = (store: string, errors: ErrorPolicy): string[] =>
    all.map((each) => each(store, errors));
  return { graph, node, key, stream, inputs: all, readingPoints };
}

/**
 * The options as the aggregation takes them, whose records are contributions. What it drops has the
 * values of the streams again, whatever its types say.
 */
export function ofStreams<O extends object>(options: O): Omit<O, 'dropped'> {
  return options;
}

/** Aggregates what the streams contribute. */
export function cogrouping<K, A>(initializer: () => A): Aggregating<K, Contribution<A>, A> {
  checkFunctions('aggregate', { initializer });
  return {
    kind: 'cogroup',
    add: (known, { value }) =>
      synchronous(value.addTo(known === undefined ? synchronous(initializer()) : known)),
    value: msgpack(),
  };
}

/** The same with sessions. */
export function cogroupMerging<K, A>(
  initializer: () => A,
  merger: Merger<K, A>,
): Merging<K, Contribution<A>, A> {
  checkFunctions('aggregate', { initializer, merger });
  return {
    ...cogrouping<K, A>(initializer),
    merge: (merged, other, { key }) => {
      const before = merged === undefined ? synchronous(initializer()) : merged;
      return synchronous(merger(before, other, key));
    },
  };
}
