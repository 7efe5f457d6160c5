import { checkArgument, instance, text } from '../../core/internal.ts';
import { branch, split } from '../operators/split.ts';
import { checkFunctions, invalid } from './arguments.ts';
import type { Predicate } from './functions.ts';
import { checkNodeOptions, type NodeOptions } from './node-options.ts';
import { addOperator, type StreamParts } from './parts.ts';

/**
 * Adds a split and its branches, and returns the parts of each branch by its name, in the order of
 * the predicates, the rest last, if there is one.
 */
export function addBranches<K, V>(
  parts: StreamParts<K, V>,
  branches: Readonly<Record<string, Predicate<K, V>>>,
  rest: string | null,
  options: NodeOptions,
): (readonly [label: string, StreamParts<K, V>])[] {
  checkArgument('split', 'branches', branches, instance);
  checkFunctions('split', branches);
  checkNodeOptions('split', options, ['name']);
  const entries = Object.entries(branches);
  if (entries.some(([label]) => /^\d+$/.test(label))) {
    throw invalid('branches need names that are not numbers, which JavaScript would put in order');
  }
  if (rest !== null) checkArgument('split', 'rest', rest, text);
  const labels = entries.map(([label]) => label);
  const { graph } = parts;
  const name = graph.nameFor('split', options.name, parts.node);
  const predicates = entries.map(([, predicate]) => predicate);
  const operator = split(predicates, rest !== null);
  addOperator(graph, operator, { name, parents: [parts.node], errors: options });
  return (rest === null ? labels : [...labels, rest]).map((label, index) => {
    const child = graph.nameFor('branch', `${name}-${label}`);
    const place = { name: child, parents: [name], errors: options };
    const node = addOperator(graph, branch<K, V>(index), place);
    return [label, { ...parts, node }];
  });
}
