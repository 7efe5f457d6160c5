import { setImmediate as nextTurn } from 'node:timers/promises';
import { partitionOfKey, serializeToBytes } from '../../core/index.ts';
import { checkOptions, oneOf } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import type { CommittedStore } from '../state/committed-store.ts';
import { mergeLists } from '../state/merge-lists.ts';
import type { OpenReads } from '../state/open-reads.ts';
import type { TaskStore } from '../state/store-kind.ts';
import { copierOf, isReverse, KEY_VALUE_READS, type ReadMethod } from '../state/store-reads.ts';
import type { QueryOptions } from '../topology/queryable.ts';
import type { Topology } from '../topology/topology.ts';
import type { GlobalTables } from './global-tables.ts';
import type { LiveQueries } from './live-queries.ts';
import { findStore, type QueriedStore, type QueryHandle } from './query-handles.ts';
import { Results } from './query-results.ts';
import { watchMethods } from './watch-methods.ts';
import type { Task } from './task.ts';

/** What queries know of the application. */
export interface QueriedApp {
  readonly topology: Topology;
  readonly state: () => string;
  /** Those of the current attempt. */
  readonly tasks: () => readonly Task[];
  readonly globalTables: () => GlobalTables | undefined;
}

/** A store of one task, or a global table, to be read at once. */
interface Readable {
  readonly store: TaskStore;
  readonly reads: OpenReads;
}

/** A query: a method of a store, with its arguments. */
interface Query {
  readonly found: QueriedStore;
  readonly isCommitted: boolean;
  readonly method: string;
  readonly how: ReadMethod;
  readonly args: readonly unknown[];
}

/**
 * Answers after which others get their turn: tasks run in the same thread, and a loop that waits
 * for one answer after the other would keep them from it.
 */
const ANSWERS_PER_TURN = 16;

const CHECKS = { isolationLevel: oneOf('read_committed', 'read_uncommitted') };

/** Answers queries of an application's stores, over all of its tasks. */
export class Queries {
  readonly #app: QueriedApp;
  readonly #live: LiveQueries;
  /** Counts answers. */
  #answers = 0;

  constructor(app: QueriedApp, live: LiveQueries) {
    this.#app = app;
    this.#live = live;
  }

  /**
   * A store with a method for each one that reads.
   *
   * @throws StreamsError UNKNOWN_STORE, LogError INVALID_OPTION, UNKNOWN_OPTION
   */
  open(handle: QueryHandle, options: QueryOptions): Readonly<Record<string, unknown>> {
    checkOptions('store', options, CHECKS);
    const isCommitted = options.isolationLevel !== 'read_uncommitted';
    const found = findStore(this.#app.topology, handle);
    const { name } = found.spec;
    const store: Record<string, unknown> = { name };
    for (const [method, how] of Object.entries(found.reads.methods)) {
      const query = { found, isCommitted, method, how };
      store[method] =
        how.result === 'list'
          ? (...args: readonly unknown[]) => new Results(() => this.#list({ ...query, args }))
          : (...args: readonly unknown[]) => this.#find({ ...query, args });
    }
    if (found.reads === KEY_VALUE_READS) {
      store['approximateNumEntries'] = () => this.#count(found);
    }
    return { ...store, ...watchMethods(this.#live, found) };
  }

  async #find(query: Query): Promise<unknown> {
    const { found, how, args } = query;
    const copy = copierOf(found.serdes);
    for (const { store } of await this.#readables(query)) {
      const value = call(query, store, args);
      if (value !== undefined) return copy(how.result, value);
    }
    return undefined;
  }

  async #list(query: Query): Promise<Iterator<unknown>> {
    const { found, how, method, args } = query;
    const copy = copierOf(found.serdes);
    const readables = await this.#readables(query);
    const lists = readables.map(({ store, reads }) =>
      reads.read(copied(call(query, store, args) as Iterable<unknown>, copy)),
    );
    if (how.isOfKey) return firstOf(lists);
    const order = found.reads.order(found.serdes, found.spec) as (row: unknown) => Buffer;
    return closing(mergeLists(lists, order, isReverse(method)), lists);
  }

  async #count(found: QueriedStore): Promise<number> {
    this.#checkRunning(found, 'approximateNumEntries');
    const { name } = found.spec;
    if (found.isGlobal) return this.#app.globalTables()?.store(name).size ?? 0;
    const counts = this.#tasksOf(found).map(({ state }) => state.approximateCount(name));
    return Promise.resolve(counts.reduce((sum, count) => sum + count, 0));
  }

  /** What to read; first the one that the key belongs to, if Kafka's rule has chosen. */
  async #readables({ found, isCommitted, method, how, args }: Query): Promise<Readable[]> {
    const { name } = found.spec;
    this.#checkRunning(found, method);
    if (++this.#answers % ANSWERS_PER_TURN === 0) {
      await nextTurn();
      this.#checkRunning(found, method);
    }
    if (found.isGlobal) {
      const store = this.#app.globalTables()?.store(name);
      if (store === undefined) throw this.#unavailable(found);
      return [{ store: store as unknown as TaskStore, reads: store.reads }];
    }
    const tasks = [...this.#tasksOf(found)];
    if (how.isOfKey && tasks.length > 1) {
      const key = serializeToBytes(found.serdes.key, args[0]);
      const partition = partitionOfKey(key, 0, key.length, tasks.length);
      tasks.sort((a, b) => distance(a, partition) - distance(b, partition));
    }
    if (!isCommitted) {
      return tasks.map(({ state }) => {
        return { store: state.stores.get(name)!, reads: state.committed.uncommittedReads };
      });
    }
    const opened = await this.#committed(found, tasks);
    return opened.map((committed) => ({ store: committed.read(), reads: committed.reads }));
  }

  /** The committed stores of tasks, which commit together. */
  async #committed(found: QueriedStore, tasks: readonly Task[]): Promise<CommittedStore[]> {
    const { name } = found.spec;
    const opened = await Promise.all(tasks.map(({ state }) => state.committed.open(name)));
    const stores = opened.filter((store) => store !== undefined);
    const isClosed = tasks.some(({ state }) => state.committed.isClosed);
    if (isClosed || stores.length < tasks.length) throw this.#unavailable(found);
    return stores;
  }

  #tasksOf({ spec }: QueriedStore): readonly Task[] {
    const tasks = this.#app.tasks().filter(({ state }) => state.stores.has(spec.name));
    if (tasks.some(({ state }) => state.committed.isClosed)) throw this.#unavailable({ spec });
    return tasks;
  }

  #checkRunning({ spec }: QueriedStore, method: string): void {
    const state = this.#app.state();
    if (state === 'RUNNING') return;
    if (state === 'RESTORING') throw this.#unavailable({ spec });
    const operation = `${spec.name}.${method}`;
    const hint = state === 'CREATED' ? 'start it first' : 'its stores are closed';
    const message = `${operation}: the application is ${state}; ${hint}`;
    throw new StreamsError('INVALID_STATE', message, { operation, state });
  }

  #unavailable({ spec: { name } }: Pick<QueriedStore, 'spec'>): StreamsError {
    const state = this.#app.state();
    const message =
      `store ${name} cannot be read while the application starts or restarts its tasks; ` +
      'try again when its state is RUNNING';
    return new StreamsError('STORE_UNAVAILABLE', message, { store: name, state });
  }
}

function call({ found, method }: Query, store: TaskStore, args: readonly unknown[]): unknown {
  const shape = found.shapeOf(store) as Record<string, (...args: readonly unknown[]) => unknown>;
  return shape[method]!(...args);
}

function distance({ plan }: Task, partition: number): number {
  return plan.partition === partition ? -1 : plan.partition;
}

function* copied(rows: Iterable<unknown>, copy: ReturnType<typeof copierOf>): Generator {
  for (const row of rows) yield copy('entry', row);
}

type List = Required<Iterator<unknown>>;

/** The first list that has anything: a key is in one of them. */
function* firstOf(lists: readonly List[]): Generator {
  try {
    for (const list of lists) {
      let row = list.next();
      if (row.done === true) continue;
      for (; row.done !== true; row = list.next()) yield row.value;
      return;
    }
  } finally {
    for (const list of lists) list.return();
  }
}

/** Closes the lists when no more is needed. */
function* closing(rows: Iterable<unknown>, lists: readonly List[]): Generator {
  try {
    yield* rows;
  } finally {
    for (const list of lists) list.return();
  }
}
