import {
  callback as isFunction,
  checkArgument,
  checkOptions,
  integer,
  oneOf,
  type OptionCheck,
} from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import type { TaskStore } from '../state/store-kind.ts';
import { windowStore } from '../state/window-store.ts';
import type { OperatorContext } from '../topology/operator.ts';
import type {
  Cancellable,
  GlobalTableHandle,
  NoResult,
  ProcessingContext,
  PunctuationType,
  ReadOnlyTable,
  RecordMetadata,
  ScheduleOptions,
  TableHandle,
} from '../topology/processor.ts';
import type {
  ReadOnlyKeyValueStore,
  StoreHandle,
  StoreSpec,
  WritableKeyValueStore,
} from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { ExpiringStore } from './expiring-store.ts';
import { synchronous } from './results.ts';
import type { TableReader } from './table-reader.ts';

/** What the context of a node is made of. */
export interface NodeParts {
  readonly context: OperatorContext;
  readonly connections: Connections;
}

/** What a node is connected to. */
export interface Connections {
  readonly stores: readonly StoreHandle[];
  readonly tables: readonly ConnectedTable[];
}

/** A table that a node reads. */
export interface ConnectedTable {
  readonly handle: TableHandle<unknown, unknown>;
  readonly reader: TableReader<unknown, unknown>;
}

/** What a processor of the user's own can reach, whatever it does with its records. */
export class NodeContext<K, V> implements ProcessingContext {
  readonly taskId: string;
  readonly partition: number;
  /** The record in process. */
  current: StreamRecord<K, V> | undefined;
  /** The time of the punctuation in progress. */
  protected punctuationMs: number | undefined;
  protected readonly parts: NodeParts;
  readonly #tables: ReadonlyMap<TableHandle<unknown, unknown>, ReadOnlyTable<unknown, unknown>>;
  /** The stores that expire by the time of this node. */
  readonly #expiring: readonly TaskStore[];
  /** Those that expire by the time of another node. */
  readonly #shared: readonly TaskStore[];
  /** The stores whose entries have a time to live, by their handles. */
  readonly #mortal: ReadonlyMap<StoreHandle, MortalStore>;

  constructor(parts: NodeParts) {
    const { context, connections } = parts;
    const { stores, tables } = connections;
    this.parts = parts;
    this.taskId = context.taskId;
    this.partition = context.partition;
    this.#tables = new Map(
      tables.map(({ handle, reader }) => [handle, readOnlyTable(reader, context)]),
    );
    this.#mortal = new Map(
      stores.flatMap((handle) => {
        const store = mortalStore(handle, context);
        return store === undefined ? [] : [[handle, store] as const];
      }),
    );
    const expiring = stores
      .map((handle) => context.store(handle as StoreHandle<TaskStore>))
      .filter(({ spec }) => spec.expiry !== undefined);
    this.#expiring = expiring.filter(({ spec }) => spec.expiry?.node === context.node);
    this.#shared = expiring.filter((store) => !this.#expiring.includes(store));
  }

  store<Store>(handle: StoreHandle<Store>): Store {
    const { context, connections } = this.parts;
    if (!connections.stores.includes(handle)) throw notConnected(context.node, handle);
    return (this.#mortal.get(handle)?.store as Store | undefined) ?? context.store(handle);
  }

  table<KT, VT>(table: TableHandle<KT, VT>): ReadOnlyTable<KT, NonNullable<VT>> {
    const read = this.#tables.get(table);
    if (read === undefined) throw unknownTable(this.parts.context.node);
    return read as ReadOnlyTable<KT, NonNullable<VT>>;
  }

  globalTable<KT, VT>({ store }: GlobalTableHandle<KT, VT>): ReadOnlyKeyValueStore<KT, VT> {
    return this.parts.context.globalStore<KT, VT>(store);
  }

  schedule(
    intervalMs: number,
    type: PunctuationType,
    callback: (timeMs: number) => NoResult,
    options: ScheduleOptions = {},
  ): Cancellable {
    checkArgument('schedule', 'intervalMs', intervalMs, integer(1));
    checkArgument('schedule', 'type', type, oneOf('stream-time', 'wall-clock'));
    checkArgument('schedule', 'callback', callback, isFunction);
    checkOptions('schedule', options, { startMs: integer(0) });
    const punctuate = (timeMs: number): void => {
      this.punctuationMs = timeMs;
      try {
        synchronous(callback(timeMs));
      } finally {
        this.punctuationMs = undefined; // also if it fails: the application may go on
        this.dropLate();
      }
    };
    const { startMs } = options;
    return this.parts.context.schedule({ type, intervalMs, startMs, callback: punctuate });
  }

  commit(): void {
    this.parts.context.requestCommit();
  }

  recordMetadata(): RecordMetadata | undefined {
    const { current } = this;
    if (current === undefined || current.topic === '') return undefined; // of a punctuation
    const { topic, partition, offset } = current;
    return { topic, partition, offset };
  }

  streamTimeMs(): number {
    return this.parts.context.streamTimeMs();
  }

  wallClockMs(): number {
    return this.parts.context.wallClockMs();
  }

  /** When the next entry expires; Infinity for never. */
  get expiresMs(): number {
    let expiresMs = Infinity;
    for (const store of this.#expiring) expiresMs = Math.min(expiresMs, nextExpiryMs(store));
    for (const { node, store } of this.#mortal.values()) {
      if (node === this.parts.context.node) expiresMs = Math.min(expiresMs, store.ttl.deadlineMs);
    }
    return expiresMs;
  }

  /** Drops what was put into stores although it has expired: after a restart it is not there. */
  dropLate(): void {
    for (const store of this.#shared) {
      const timeMs = this.parts.context.streamTimeOf(store.spec.expiry?.node ?? '');
      if (nextExpiryMs(store) <= timeMs) store.expire(timeMs);
    }
    for (const { node, store } of this.#mortal.values()) {
      store.ttl.expire(this.parts.context.streamTimeOf(node));
    }
    if (this.#expiring.length === 0) return;
    const timeMs = this.streamTimeMs();
    if (this.expiresMs <= timeMs) this.expire(timeMs);
  }

  expire(streamTimeMs: number): void {
    for (const store of this.#expiring) store.expire(streamTimeMs);
    for (const { node, store } of this.#mortal.values()) {
      if (node === this.parts.context.node) store.ttl.expire(streamTimeMs);
    }
  }
}

/** A store whose entries have a time to live, and the node whose time counts. */
interface MortalStore {
  readonly node: string;
  readonly store: ExpiringStore<unknown, unknown>;
}

function mortalStore(handle: StoreHandle, context: OperatorContext): MortalStore | undefined {
  const { ttl } = handle as StoreSpec;
  if (ttl === undefined) return undefined;
  const given = context.store(handle as StoreHandle<WritableKeyValueStore<unknown, unknown>>);
  const times = context.store(windowStore(ttl.times)) as unknown as TaskStore;
  const store = new ExpiringStore(given, ttl.ttlMs, context);
  return { node: times.spec.expiry?.node ?? '', store };
}

function readOnlyTable<K, V>(
  reader: TableReader<K, V>,
  context: OperatorContext,
): ReadOnlyTable<K, V> {
  const row = reader.open(context);
  const list = reader.openList(context);
  return {
    row: (key) => row(key),
    get: (key) => row(key)?.value,
    range: (from, to) => list({ from, to }, false),
    reverseRange: (from, to) => list({ from, to }, true),
    prefixScan: (prefix, serde) => list({ prefix, ...(serde && { serde }) }, false),
    all: () => list({}, false),
    reverseAll: () => list({}, true),
  };
}

/** When the oldest entry of a store expires; Infinity for never. */
function nextExpiryMs({ span, spec }: TaskStore): number {
  return (span?.oldestMs ?? Infinity) + (spec.expiry?.lifeMs ?? Infinity);
}

/** What a supplier of the user's own makes for a task, from its start to its end. */
export class Supplied<T extends { close?(): NoResult }> {
  readonly #method: string;
  readonly #supplier: () => T;
  readonly #check: OptionCheck;
  /** Undefined before `init`, and when it is closed. */
  #made: T | undefined;

  /** @param check of what the supplier makes; errors name `method`. */
  constructor(method: string, supplier: () => T, check: OptionCheck) {
    this.#method = method;
    this.#supplier = supplier;
    this.#check = check;
  }

  get made(): T {
    return this.#made!;
  }

  init(): void {
    const made: unknown = synchronous(this.#supplier());
    checkArgument(this.#method, 'the result of the supplier', made, this.#check);
    this.#made = made as T;
  }

  close(): void {
    const made = this.#made;
    this.#made = undefined;
    synchronous(made?.close?.());
  }
}

function unknownTable(node: string): StreamsError {
  const message =
    `a table is not connected to ${node}: give the processor the option ` +
    '{ tables: [...] } with it';
  return new StreamsError('UNKNOWN_STORE', message, { store: node });
}

function notConnected(node: string, { name }: StoreHandle): StreamsError {
  const message =
    `store ${name} is not connected to ${node}: give the processor the option ` +
    '{ stores: [...] } with the handle that builder.addStore() returned';
  return new StreamsError('UNKNOWN_STORE', message, { store: name });
}
