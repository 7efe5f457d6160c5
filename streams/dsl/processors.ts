import { checkArgument } from '../../core/internal.ts';
import type { Operator } from '../topology/operator.ts';
import type { StoreHandle } from '../topology/store.ts';
import type { TopologyGraph } from '../topology/topology.ts';
import { checkFunctions } from './arguments.ts';
import type { RekeyingOptions } from './node-options.ts';
import { addOperator, promisedKeys, type Serdes, type StreamParts } from './parts.ts';

/** What `addProcessor` needs to know. */
export interface ProcessorAddition<K, V, K2, V2> {
  readonly method: 'process' | 'processValues';
  readonly supplier: unknown;
  /** Makes the operator, once the arguments are checked. */
  readonly operator: (stores: readonly StoreHandle[]) => Operator<K, V, K2, V2>;
  readonly options: RekeyingOptions & { readonly stores?: readonly StoreHandle[] };
  /** Of the results. */
  readonly serdes: Serdes<K2, V2>;
}

/** Adds a processor of the user's own, connects its stores and returns the parts of its results. */
export function addProcessor<K, V, K2, V2>(
  parts: StreamParts<K, V>,
  { method, supplier, operator, options, serdes }: ProcessorAddition<K, V, K2, V2>,
): StreamParts<K2, V2> {
  checkFunctions(method, { supplier });
  const { graph } = parts;
  const { stores = [] } = options;
  const made = operator(stores);
  checkStores(method, stores);
  // Named after its first store: a commit keeps the node's time under its name, which then does not
  // depend on the rest of the topology.
  const derived = stores[0] === undefined ? undefined : `${made.kind}-${stores[0].name}`;
  const given =
    options.name ?? (derived !== undefined && graph.isFree(derived) ? derived : undefined);
  const name = graph.nameFor(made.kind, given);
  const names = connectStores(graph, method, stores, name);
  const preserves = promisedKeys(options, serdes.keySerde);
  const place = { name, parents: [parts.node], stores: names, preserves };
  const node = addOperator(graph, made, place);
  const isRekeyed = parts.isRekeyed || (made.changesKey && preserves === undefined);
  return { graph, node, ...serdes, isRekeyed };
}

/** @throws LogError INVALID_OPTION unless all are stores. */
export function checkStores(method: string, stores: readonly StoreHandle[]): void {
  for (const [index, handle] of stores.entries()) {
    checkArgument(method, `stores[${index}]`, handle, storeHandle);
  }
}

/** Connects a node to stores; returns their names. @throws StreamsError TOPOLOGY_INVALID */
export function connectStores(
  graph: TopologyGraph,
  method: string,
  stores: readonly StoreHandle[],
  node: string,
): string[] {
  return stores.map((handle) => graph.connectStore(method, handle, node));
}

function storeHandle(given: unknown): string | undefined {
  const { name, kind } = (given ?? {}) as Partial<StoreHandle>;
  const isHandle = typeof name === 'string' && typeof kind === 'string';
  return isHandle ? undefined : 'a store, as builder.addStore() returns it';
}
