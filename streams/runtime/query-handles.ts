import type { Serde } from '../../core/index.ts';
import { checkArgument } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import type { CommittedChange } from '../state/committed-store.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import type { TaskStore } from '../state/store-kind.ts';
import { kindOf } from '../state/store-kinds.ts';
import {
  KEY_VALUE_READS,
  WINDOWED_TABLE_READS,
  type ReadSerdes,
  type StoreReads,
} from '../state/store-reads.ts';
import { changedRows, type ChangedRow, type RowChange } from '../state/stored-rows.ts';
import { unknownStore, wrongKind } from '../state/task-state.ts';
import type { GlobalTableHandle, TableHandle } from '../topology/processor.ts';
import type { StoreHandle, StoreSpec } from '../topology/store.ts';
import type { Topology, TopologyGraph } from '../topology/topology.ts';
import type { Windowed, WindowedSerde } from '../topology/windows.ts';

/** What names a store: a table, a global table, a store's handle, or a key-value store's name. */
export type QueryHandle =
  string | TableHandle<unknown, unknown> | GlobalTableHandle<unknown, unknown> | StoreHandle;

/** A store of a topology, and how its handle reads it. */
export interface QueriedStore {
  readonly spec: StoreSpec;
  readonly isGlobal: boolean;
  readonly reads: StoreReads;
  readonly serdes: ReadSerdes;
  /** The store of a task, as it is read. */
  readonly shapeOf: (store: TaskStore) => object;
  /** What a change of an entry means for the rows of the table. */
  readonly rowChanges: (change: CommittedChange) => readonly RowChange[];
}

/** What is known of a `KTable`, which the runtime does not import. */
interface QueriedTable {
  readonly graph: TopologyGraph;
  readonly node: string;
  readonly store: string | undefined;
  readonly keySerde: Serde<unknown>;
  readonly isWindowed: boolean;
  readonly windows?: { readonly sizeMs: number };
}

/**
 * Finds the store that a handle names.
 *
 * @throws StreamsError UNKNOWN_STORE also if the table is a view, or the handle is of another
 *   topology or for another kind of store; LogError INVALID_OPTION if it is no handle
 */
export function findStore(topology: Topology, handle: QueryHandle): QueriedStore {
  if (typeof handle === 'string') return ofHandle(topology, keyValueStore(handle));
  checkArgument('store', 'handle', handle, (given) => {
    const isHandle = ['kind', 'toStream', 'graph'].some((part) => part in Object(given));
    return isHandle ? undefined : 'a table, a store or its name';
  });
  if ('kind' in handle) return ofHandle(topology, handle);
  if ('toStream' in handle) return ofTable(topology, (handle as unknown as TableLike).parts);
  return ofGlobalTable(topology, handle as unknown as GlobalLike);
}

interface TableLike {
  readonly parts: QueriedTable;
}

interface GlobalLike {
  readonly graph: TopologyGraph;
  readonly store: string;
}

function ofHandle(topology: Topology, handle: StoreHandle & Partial<StoreSpec>): QueriedStore {
  const { name, kind, key, value } = handle;
  const global = topology.globalTables.find(({ store }) => store.name === name);
  const spec = global?.store ?? topology.stores.get(name);
  if (spec === undefined) throw unknownStore(name, namesOf(topology));
  if (spec.kind !== kind && kindOf(spec).readAs !== kind) throw wrongKind(spec, handle);
  const isOther = key !== undefined && (spec.key !== key || spec.value !== value);
  if (isOther) throw ofAnother(`store ${name}`, name);
  return asItIs(spec, global !== undefined);
}

function ofTable(topology: Topology, table: QueriedTable): QueriedStore {
  const { graph, node, store, keySerde, isWindowed, windows } = table;
  if (!graph.hasBuilt(topology)) throw ofAnother(`table ${store ?? node}`, store ?? node);
  const spec = store === undefined ? undefined : topology.stores.get(store);
  if (spec === undefined) {
    const message =
      `table ${node} is a view, which computes its rows and stores none; ` +
      "give it a store to query it: { store: 'name' }";
    throw new StreamsError('UNKNOWN_STORE', message, { store: node });
  }
  const kind = kindOf(spec);
  if (!isWindowed) {
    const { asTable } = kind;
    if (asTable === undefined) return asItIs(spec, false);
    return { ...asItIs(spec, false), reads: KEY_VALUE_READS, shapeOf: asTable };
  }
  const { asWindowedTable } = kind;
  if (asWindowedTable === undefined) return asItIs(spec, false);
  const { inner } = keySerde as WindowedSerde<unknown>;
  const shape = { inner, sizeMs: windows?.sizeMs ?? Infinity };
  return {
    ...asItIs(spec, false),
    reads: WINDOWED_TABLE_READS,
    serdes: { key: inner, rowKey: keySerde, value: spec.value },
    shapeOf: (opened) => asWindowedTable(opened, shape),
    rowChanges: changesOf(spec, ({ key, startMs, endMs }) => {
      // Without a start it is a key with its window.
      if (startMs === undefined) return { key, innerKey: (key as Windowed<unknown>).key };
      const windowEndMs = endMs ?? startMs + shape.sizeMs;
      return { key: { key, windowStartMs: startMs, windowEndMs }, innerKey: key };
    }),
  };
}

function changesOf(
  spec: StoreSpec,
  keysOf: (row: ChangedRow) => Pick<RowChange, 'key' | 'innerKey'>,
): QueriedStore['rowChanges'] {
  const rowsIn = kindOf(spec).rowsIn?.(spec);
  return ({ key, before, after, timestampMs }) => {
    if (rowsIn === undefined) return [];
    const [old, now] = [before, after].map((bytes) => (bytes ? rowsIn(key, bytes) : []));
    const rows = changedRows(old!, now!, spec.value, timestampMs);
    return rows.map((row) => ({ ...row, ...keysOf(row) }));
  };
}

function ofGlobalTable(topology: Topology, { graph, store }: GlobalLike): QueriedStore {
  const global = topology.globalTables.find(({ store: { name } }) => name === store);
  if (global === undefined || !graph.hasBuilt(topology)) {
    throw ofAnother(`global table ${store}`, store);
  }
  return asItIs(global.store, true);
}

/** @throws StreamsError UNKNOWN_STORE for what only an operator can read. */
function asItIs(spec: StoreSpec, isGlobal: boolean): QueriedStore {
  const { name, key, value, holdsPanes = false } = spec;
  const { reads, title } = kindOf(spec);
  if (holdsPanes || reads === undefined) {
    const message = holdsPanes
      ? `store ${name} has panes of windows, which are merged when the windows close; to query ` +
        "the windows, choose an emit other than 'final', or store what is passed on: " +
        ".toStream().toTable({ store: 'name' })"
      : `store ${name} is a ${title}, which only its operator can read`;
    throw new StreamsError('UNKNOWN_STORE', message, { store: name });
  }
  const serdes = { key, rowKey: key, value };
  const rowChanges = changesOf(spec, (row) => ({ key: row.key, innerKey: row.key }));
  return { spec, isGlobal, reads, serdes, shapeOf: (store) => store, rowChanges };
}

function namesOf({ stores, globalTables }: Topology): string[] {
  return [...stores.keys(), ...globalTables.map(({ store }) => store.name)];
}

function ofAnother(what: string, store: string): StreamsError {
  const message = `${what} is of another topology than the one that runs; use its own handles`;
  return new StreamsError('UNKNOWN_STORE', message, { store });
}
