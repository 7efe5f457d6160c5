import { checkArgument } from '../../core/internal.ts';
import type { Operator } from '../topology/operator.ts';
import type { Connections } from '../operators/node-context.ts';
import type { StreamsError } from '../errors.ts';
import type { StoreHandle } from '../topology/store.ts';
import type { TopologyGraph } from '../topology/topology.ts';
import { checkFunctions, invalid } from './arguments.ts';
import type { ConnectionOptions, RekeyingOptions } from './node-options.ts';
import {
  addOperator,
  promisedKeys,
  type Serdes,
  type StreamParts,
  type TableParts,
} from './parts.ts';

/** What `addProcessor` needs to know. */
export interface ProcessorAddition<K, V, K2, V2> {
  readonly method: 'process' | 'processValues';
  readonly supplier: unknown;
  /** Makes the operator, once the arguments are checked. */
  readonly operator: (connections: Connections) => Operator<K, V, K2, V2>;
  readonly options: RekeyingOptions & ConnectionOptions;
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
  const connections = connectionsOf(method, graph, options);
  const made = operator(connections);
  const { stores } = connections;
  // Named after its first store: a commit keeps the node's time under its name, which then does not
  // depend on the rest of the topology.
  const [first] = stores;
  const isAfterStore =
    options.name === undefined && first !== undefined && graph.isFree(`${made.kind}-${first.name}`);
  const name = isAfterStore
    ? graph.nameAfterStore(made.kind, first.name)
    : graph.nameFor(made.kind, options.name, parts.node);
  const names = connect(graph, method, connections, name);
  const preserves = promisedKeys(options, serdes.keySerde);
  const place = { name, parents: [parts.node], stores: names, preserves, errors: options };
  const node = addOperator(graph, made, place);
  const isRekeyed = parts.isRekeyed || (made.changesKey && preserves === undefined);
  return { graph, node, ...serdes, isRekeyed };
}

/**
 * Checks what a node is to be connected to.
 *
 * @throws LogError INVALID_OPTION unless they are stores and tables; StreamsError TOPOLOGY_INVALID
 *   for a table of another builder, or one that cannot be read.
 */
export function connectionsOf(
  method: string,
  graph: TopologyGraph,
  { stores = [], tables = [] }: ConnectionOptions,
): Connections {
  for (const [index, handle] of stores.entries()) {
    checkArgument(method, `stores[${index}]`, handle, storeHandle);
  }
  return {
    stores,
    tables: tables.map((handle, index) => {
      checkArgument(method, `tables[${index}]`, handle, tableHandle);
      const { parts } = handle as unknown as { readonly parts: TableParts<unknown, unknown> };
      if (parts.graph !== graph) throw invalid(`${method}: tables[${index}] is of another builder`);
      if (parts.reader === undefined) throw unreadable(method, index);
      return { handle, reader: parts.reader };
    }),
  };
}

/** Connects a node; returns the names of all stores. @throws StreamsError TOPOLOGY_INVALID */
export function connect(
  graph: TopologyGraph,
  method: string,
  { stores, tables }: Connections,
  node: string,
): string[] {
  const own = stores.flatMap((handle) => graph.connectStore(method, handle, node));
  return [...new Set([...own, ...tables.flatMap(({ reader }) => reader.stores)])];
}

function tableHandle(given: unknown): string | undefined {
  const { parts, toStream } = (given ?? {}) as { parts?: unknown; toStream?: unknown };
  return parts !== undefined && typeof toStream === 'function' ? undefined : 'a KTable';
}

/** Nothing that can be read has these windows as they were passed on. */
function unreadable(method: string, index: number): StreamsError {
  return invalid(
    `${method}: tables[${index}] is a table of windows that keeps nothing as it was passed on. ` +
      'Sessions, sliding windows, and joins without a store can be read through a view with one: ' +
      'table.filter(() => true, { store }). Final results, which come when a window has closed, ' +
      'are kept by table.toStream().toTable({ store })',
  );
}

function storeHandle(given: unknown): string | undefined {
  const { name, kind } = (given ?? {}) as Partial<StoreHandle>;
  const isHandle = typeof name === 'string' && typeof kind === 'string';
  return isHandle ? undefined : 'a store, as builder.addStore() returns it';
}
