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
import type { LiveQueries } from './live-queries.ts';
import type { QueriedApp } from './queried-app.ts';
import { findStore, type QueriedStore, type QueryHandle } from './query-handles.ts';
import { Results } from './query-results.ts';
import { watchMethods } from './watch-methods.ts';
import type { Task } from './task.ts';

/** A store of one task, or a global table, to be read at once. */
interface Readable {
  /** Returns what is to be read at once. */
  readonly open: () => TaskStore;
  readonly reads: OpenReads;
  /** Tells whether the task has ended; undefined for a global table. */
  readonly task: { readonly isClosed: boolean } | undefined;
}

/** The tasks of an attempt, by the stores that they have. */
interface KnownTasks {
  readonly tasks: readonly Task[];
  readonly byStore: Map<string, readonly Task[]>;
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
  /** Those of the current attempt, by store. */
  #known: KnownTasks = { tasks: [], byStore: new Map() };

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
    const { found, how } = query;
    const copy = copierOf(found.serdes);
    for (const tasks of this.#inOrder(query)) {
      for (const readable of await this.#readables(query, tasks)) {
        const value = this.#call(query, readable);
        if (value !== undefined) return copy(how.result, value);
      }
    }
    return undefined;
  }

  async #list(query: Query): Promise<Iterator<unknown>> {
    const { found, how, method } = query;
    const order = found.reads.order(found.serdes, found.spec) as (row: unknown) => Buffer;
    for (const tasks of this.#inOrder(query)) {
      const lists = await this.#lists(query, tasks);
      if (!how.isOfKey) return closing(mergeLists(lists, order, isReverse(method)), lists);
      // A key is in one of them.
      let found: List | undefined;
      try {
        for (const list of lists) {
          const first = list.next();
          if (first.done === true) continue;
          found = list;
          return closing(chain(first.value, list), [list]);
        }
      } finally {
        for (const list of lists) if (list !== found) list.return();
      }
    }
    return [].values();
  }

  async #lists(query: Query, tasks: readonly Task[]): Promise<List[]> {
    const copy = copierOf(query.found.serdes);
    const readables = await this.#readables(query, tasks);
    const found = readables.map((readable) => {
      return { readable, rows: this.#call(query, readable) as Iterable<unknown> };
    });
    return found.map(({ readable: { reads }, rows }) =>
      reads.read(copied(rows, copy), () => this.#dropped(query)),
    );
  }

  /** Calls the method that reads; not once LMDB is closed, which would end the process. */
  #call({ found, method, args }: Query, { open, task }: Readable): unknown {
    if (task?.isClosed === true) throw this.#unavailable(found);
    const shape = found.shapeOf(open()) as Record<string, (...args: readonly unknown[]) => unknown>;
    return shape[method]!(...args);
  }

  async #count(found: QueriedStore): Promise<number> {
    this.#checkRunning(found, 'approximateNumEntries');
    const { name } = found.spec;
    if (found.isGlobal) return this.#app.globalTables()?.store(name).size ?? 0;
    const tasks = this.#tasksOf(found);
    if (tasks.some(({ state }) => state.committed.isClosed)) throw this.#unavailable(found);
    const counts = tasks.map(({ state }) => state.approximateCount(name));
    return Promise.resolve(counts.reduce((sum, count) => sum + count, 0));
  }

  /** The tasks to ask, one list after the other: first the one where Kafka's rule puts the key. */
  *#inOrder({ found, method, how, args }: Query): Generator<readonly Task[]> {
    this.#checkRunning(found, method);
    const tasks = this.#tasksOf(found);
    if (!how.isOfKey || tasks.length < 2) {
      yield tasks;
      return;
    }
    const key = serializeToBytes(found.serdes.key, args[0]);
    const home = tasks[partitionOfKey(key, 0, key.length, tasks.length)]!;
    yield [home];
    yield tasks.filter((task) => task !== home);
  }

  async #readables(
    { found, isCommitted, method }: Query,
    tasks: readonly Task[],
  ): Promise<Readable[]> {
    const { name } = found.spec;
    if (++this.#answers % ANSWERS_PER_TURN === 0) await nextTurn();
    this.#checkRunning(found, method);
    if (found.isGlobal) {
      const store = this.#app.globalTables()?.store(name);
      if (store === undefined) throw this.#unavailable(found);
      const open = () => store as unknown as TaskStore;
      return [{ open, reads: store.reads, task: undefined }];
    }
    if (isCommitted) {
      const opened = await this.#committed(found, tasks);
      return opened.map((committed, index) => {
        const task = tasks[index]!.state.committed;
        return { open: () => committed.read(), reads: committed.reads, task };
      });
    }
    const { cacheEntriesMax } = this.#app;
    return tasks.map(({ state: { committed: task } }) => {
      const open = () => task.readUncommitted(name, cacheEntriesMax);
      return { open, reads: task.uncommittedReads, task };
    });
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

  /** The tasks that have a store, by their partitions. */
  #tasksOf({ spec: { name } }: QueriedStore): readonly Task[] {
    const tasks = this.#app.tasks();
    if (tasks !== this.#known.tasks) this.#known = { tasks, byStore: new Map() };
    const { byStore } = this.#known;
    let found = byStore.get(name);
    if (found === undefined) {
      byStore.set(name, (found = tasks.filter(({ state }) => state.stores.has(name))));
    }
    return found;
  }

  #checkRunning({ spec }: QueriedStore, method: string): void {
    const state = this.#app.state();
    if (state === 'RUNNING' || state === 'PAUSED') return;
    if (state === 'RESTORING' || state === 'RETRYING') throw this.#unavailable({ spec });
    const operation = `${spec.name}.${method}`;
    const hint = state === 'CREATED' ? 'start it first' : 'its stores are closed';
    const message = `${operation}: the application is ${state}; ${hint}`;
    throw new StreamsError('INVALID_STATE', message, { operation, state });
  }

  /** Of a list of uncommitted rows that was not read to its end before its task ended. */
  #dropped({ found, method }: Query): never {
    this.#checkRunning(found, method);
    const state = this.#app.state();
    const { name: store } = found.spec;
    const message =
      `${store}.${method}: the task whose uncommitted rows were being read has ended; ` +
      'begin the query again';
    throw new StreamsError('STORE_UNAVAILABLE', message, { store, state });
  }

  #unavailable({ spec: { name } }: Pick<QueriedStore, 'spec'>): StreamsError {
    const state = this.#app.state();
    const message =
      `store ${name} cannot be read while the application starts or restarts its tasks; ` +
      'try again when its state is RUNNING';
    return new StreamsError('STORE_UNAVAILABLE', message, { store: name, state });
  }
}

function* copied(rows: Iterable<unknown>, copy: ReturnType<typeof copierOf>): Generator {
  for (const row of rows) yield copy('entry', row);
}

type List = Required<Iterator<unknown>>;

function* chain(first: unknown, rest: List): Generator {
  yield first;
  for (let row = rest.next(); row.done !== true; row = rest.next()) yield row.value;
}

/** Closes the lists when no more is needed. */
function* closing(rows: Iterable<unknown>, lists: readonly List[]): Generator {
  try {
    yield* rows;
  } finally {
    for (const list of lists) list.return();
  }
}
