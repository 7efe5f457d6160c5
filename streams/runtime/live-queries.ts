import { serializeToBytes } from '../../core/index.ts';
import { checkArgument } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import type { CommittedChange, StoreWatcher } from '../state/committed-store.ts';
import { keyText } from '../state/codec.ts';
import { copying } from '../state/copying.ts';
import type { TaskStore } from '../state/store-kind.ts';
import type { RowChange } from '../state/stored-rows.ts';
import type { TaskState } from '../state/task-state.ts';
import type { LiveQuery, TableChange, WatchedRow } from '../topology/queryable.ts';
import { liveQuery, type Pending, type Watcher } from './live-query.ts';
import { PublishedRecords } from './published-records.ts';
import type { QueriedApp } from './queried-app.ts';
import type { QueriedStore } from './query-handles.ts';

/** What a live query follows. */
export interface Followed {
  readonly found: QueriedStore;
  /** Reads what is there at the beginning; undefined for only what changes. */
  readonly read?: (stores: readonly TaskStore[]) => Iterable<WatchedRow<unknown, unknown>>;
  /** The bytes of the one key that it follows, as text; undefined for several. */
  readonly key: string | undefined;
  readonly includes: (change: RowChange) => boolean;
}

/** A live query that has begun, or waits for that. */
interface Following {
  readonly followed: Followed;
  readonly watcher: Watcher<never>;
  readonly note: (change: RowChange) => void;
  readonly begin: (rows: Iterable<WatchedRow<unknown, unknown>>) => void;
  /** Set once it has what was there at the beginning. */
  hasBegun: boolean;
}

/** A store that somebody watches. */
interface WatchedStore {
  readonly found: QueriedStore;
  readonly all: Set<Following>;
  /** Those of one key, by its bytes as text. */
  readonly ofKey: Map<string, Set<Following>>;
  /** The others. */
  readonly ofMany: Set<Following>;
}

/**
 * The live queries of an application. They get what each commit has changed, at a later turn of the
 * event loop, so that a commit does not wait for them; what comes until then is merged. They
 * outlive the tasks: those of the next attempt continue where the last commit was.
 */
export class LiveQueries {
  /** The streams that are observed. */
  readonly records = new PublishedRecords();
  readonly #app: QueriedApp;
  readonly #stores = new Map<string, WatchedStore>();
  /** With something to hand over. Emptied at a later turn of the event loop. */
  readonly #changed = new Set<Watcher<never>>();
  /** By task and store, what a commit had written that failed, and may be there all the same. */
  readonly #inDoubt = new Map<string, readonly CommittedChange[]>();

  /** Set once the application has ended, with its error. */
  #ended: { readonly error: unknown } | undefined;

  constructor(app: QueriedApp) {
    this.#app = app;
  }

  /** The newest value of what a query follows. */
  value<V>(followed: Followed): LiveQuery<V | undefined> {
    const textOf = textIn(followed);
    return this.#follow<V | undefined>(followed, () => new NewestValue<V>(textOf));
  }

  /** The rows that a query follows: first those that are there, then those that change. */
  rows<K, V>(followed: Followed): LiveQuery<readonly WatchedRow<K, V>[]> {
    const textOf = textIn(followed);
    return this.#follow(followed, () => new NewestRows<K, V>(textOf));
  }

  /** All changes. */
  changes<K, V>(followed: Followed): LiveQuery<TableChange<K, V>> {
    return this.#follow(followed, () => new AllChanges<K, V>());
  }

  /** Call it when the state of a task is open, before it is restored. */
  opening(task: string, state: TaskState): void {
    for (const name of this.#stores.keys()) {
      if (state.stores.has(name)) state.committed.begin(name).watch(this.#watcherOf(task, name));
    }
  }

  /** Call it when the state of a task is restored. */
  restored(task: string, state: TaskState): void {
    for (const name of this.#stores.keys()) {
      const place = `${task} ${name}`;
      state.committed.find(name)?.decide(this.#inDoubt.get(place) ?? []);
      this.#inDoubt.delete(place);
    }
  }

  /** Call it when the application runs. */
  running(): void {
    for (const store of this.#stores.values()) void this.#begin(store);
  }

  /** Call it when the application has ended. @param cause The error that has ended it. */
  end(cause: unknown): void {
    const state = this.#app.state();
    const message = `the application is ${state}: its stores do not change any more`;
    const details = { operation: 'watch', state };
    const error = cause && new StreamsError('INVALID_STATE', message, details, { cause });
    this.#ended = { error };
    for (const store of this.#stores.values()) endAll(store, error);
    this.records.end(cause);
  }

  #follow<T>(followed: Followed, makePending: () => PendingChanges<T>): LiveQuery<T> {
    const { name, backing } = followed.found.spec;
    checkArgument('watch', 'store', name, () =>
      backing === 'none' ? 'one with a changelog, as a failure would empty it unseen' : undefined,
    );
    return liveQuery<T>((makeWatcher) => {
      const pending = makePending();
      const watcher = makeWatcher(pending);
      const copy = copying(followed.found.serdes.value);
      const following: Following = {
        followed,
        watcher: watcher as unknown as Watcher<never>,
        note: (change) => {
          pending.change({
            key: change.key as never,
            oldValue: copy(change.oldValue) as never,
            newValue: copy(change.newValue) as never,
            timestampMs: change.timestampMs,
          });
          this.#noteChanged(watcher as unknown as Watcher<never>);
        },
        begin: (rows) => {
          pending.begin(rows);
          this.#noteChanged(watcher as unknown as Watcher<never>);
        },
        hasBegun: false,
      };
      const store = this.#add(following);
      void this.#begin(store);
      return { watcher, stop: () => this.#remove(store, following) };
    });
  }

  #add(following: Following): WatchedStore {
    const { found, key } = following.followed;
    const { name } = found.spec;
    let store = this.#stores.get(name);
    if (store === undefined) {
      store = { found, all: new Set(), ofKey: new Map(), ofMany: new Set() };
      this.#stores.set(name, store);
    }
    store.all.add(following);
    if (key === undefined) store.ofMany.add(following);
    else store.ofKey.set(key, (store.ofKey.get(key) ?? new Set<Following>()).add(following));
    return store;
  }

  #remove(store: WatchedStore, following: Following): void {
    const { found, key } = following.followed;
    const { name } = found.spec;
    store.all.delete(following);
    store.ofMany.delete(following);
    this.#changed.delete(following.watcher);
    const ofKey = key === undefined ? undefined : store.ofKey.get(key);
    ofKey?.delete(following);
    if (ofKey?.size === 0) store.ofKey.delete(key!);
    if (store.all.size > 0 || this.#stores.get(name) !== store) return;
    this.#stores.delete(name);
    for (const place of this.#inDoubt.keys()) {
      if (place.endsWith(` ${name}`)) this.#inDoubt.delete(place);
    }
    for (const { state } of this.#app.tasks()) state.committed.unwatch(name);
    if (found.isGlobal) this.#globalStore(found)?.watch(undefined);
  }

  /** Begins the queries that wait, unless the application does not run: then `running` does. */
  async #begin(store: WatchedStore): Promise<void> {
    try {
      if (this.#ended === undefined) await this.#beginAll(store);
      else endAll(store, this.#ended.error);
    } catch (error) {
      endAll(store, error);
    }
  }

  async #beginAll(store: WatchedStore): Promise<void> {
    const { found, all } = store;
    const { name } = found.spec;
    const state = this.#app.state();
    if (state !== 'RUNNING' && state !== 'PAUSED') return;
    const stores: TaskStore[] = [];
    if (found.isGlobal) {
      const global = this.#globalStore(found);
      if (global === undefined) return;
      global.watch((change) => this.#passAll(store, [change]));
      stores.push(global as unknown as TaskStore);
    } else {
      const tasks = this.#app.tasks().filter(({ state }) => state.stores.has(name));
      const opened = await Promise.all(
        tasks.map(({ id, state }) => state.committed.watch(name, this.#watcherOf(id, name))),
      );
      for (const committed of opened) if (committed !== undefined) stores.push(committed.read());
      const hasEnded = tasks.some(({ state }) => state.committed.isClosed);
      if (hasEnded || stores.length < tasks.length) return; // `running` begins it
    }
    for (const following of all) {
      if (following.hasBegun) continue;
      following.hasBegun = true;
      const { read } = following.followed;
      if (read !== undefined) following.begin(read(stores));
    }
  }

  #globalStore({ spec }: QueriedStore) {
    return this.#app.globalTables()?.store(spec.name);
  }

  #watcherOf(task: string, name: string): StoreWatcher {
    return {
      changed: (changes) => {
        const store = this.#stores.get(name);
        if (store !== undefined) this.#passAll(store, rowsOf(store, changes));
      },
      failed: (error) => {
        const store = this.#stores.get(name);
        if (store !== undefined) endAll(store, error);
      },
      left: (changes) => {
        if (changes.length > 0) this.#inDoubt.set(`${task} ${name}`, changes);
      },
    };
  }

  /** Passes changes of rows; an error, as of a serde, ends the queries and nothing else. */
  #passAll(store: WatchedStore, changes: Iterable<RowChange>): void {
    try {
      for (const change of changes) this.#pass(store, change);
    } catch (error) {
      endAll(store, error);
    }
  }

  #pass({ found, ofKey, ofMany }: WatchedStore, change: RowChange): void {
    for (const following of ofMany) pass(following, change);
    if (ofKey.size === 0) return;
    const text = serializeToBytes(found.serdes.key, change.innerKey).toString('latin1');
    for (const following of ofKey.get(text) ?? []) pass(following, change);
  }

  #noteChanged(watcher: Watcher<never>): void {
    if (this.#changed.size === 0) setImmediate(this.#flush);
    this.#changed.add(watcher);
  }

  readonly #flush = (): void => {
    const changed = [...this.#changed];
    this.#changed.clear();
    for (const watcher of changed) watcher.flush();
  };
}

/** Ends all queries of a store, in order or with an error. */
function endAll({ all }: WatchedStore, error: unknown): void {
  for (const { watcher } of [...all]) watcher.end(error);
}

function pass({ hasBegun, followed, note }: Following, change: RowChange): void {
  if (hasBegun && followed.includes(change)) note(change);
}

function* rowsOf(
  { found }: WatchedStore,
  changes: readonly CommittedChange[],
): Generator<RowChange> {
  for (const change of changes) yield* found.rowChanges(change);
}

/** As latin1, text sorts as its bytes do. */
function byText(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : 1;
}

/** What waits to be handed over. */
interface PendingChanges<T> extends Pending<T> {
  begin(rows: Iterable<WatchedRow<unknown, unknown>>): void;
  change(change: TableChange<never, never>): void;
}

/** Finds the key of a row, as text. */
function textIn({ found }: Followed): (key: unknown) => string {
  const { rowKey } = found.serdes;
  return (key) => keyText(rowKey, key);
}

class NewestValue<V> implements PendingChanges<V | undefined> {
  readonly #textOf: (key: unknown) => string;
  /** The key of the row: a session that grows has another one. */
  #text: string | undefined;
  #value: V | undefined;
  isEmpty = true;

  constructor(textOf: (key: unknown) => string) {
    this.#textOf = textOf;
  }

  begin(rows: Iterable<WatchedRow<unknown, V>>): void {
    for (const { key, value } of rows) [this.#text, this.#value] = [this.#textOf(key), value];
    this.isEmpty = false;
  }

  change({ key, newValue }: TableChange<unknown, V>): void {
    const text = this.#textOf(key);
    if (newValue === null && text !== this.#text) return; // what it was before it grew
    [this.#text, this.#value] = [text, newValue ?? undefined];
    this.isEmpty = false;
  }

  take(): (V | undefined)[] {
    this.isEmpty = true;
    return [this.#value];
  }
}

class NewestRows<K, V> implements PendingChanges<readonly WatchedRow<K, V>[]> {
  readonly #textOf: (key: K) => string;
  readonly #rows = new Map<string, WatchedRow<K, V>>();
  /** True until what was there at the beginning is handed over, even if that is nothing. */
  #isFirst = false;

  constructor(textOf: (key: K) => string) {
    this.#textOf = textOf;
  }

  get isEmpty(): boolean {
    return this.#rows.size === 0 && !this.#isFirst;
  }

  begin(rows: Iterable<WatchedRow<K, V>>): void {
    for (const row of rows) this.#rows.set(this.#textOf(row.key), row);
    this.#isFirst = true;
  }

  change({ key, newValue, timestampMs }: TableChange<K, V>): void {
    const text = this.#textOf(key);
    if (newValue === null && this.#isFirst) this.#rows.delete(text);
    else this.#rows.set(text, { key, value: newValue ?? undefined, timestampMs });
  }

  take(): (readonly WatchedRow<K, V>[])[] {
    const rows = [...this.#rows].sort(byText).map(([, row]) => row);
    this.#rows.clear();
    this.#isFirst = false;
    return [rows];
  }
}

class AllChanges<K, V> implements PendingChanges<TableChange<K, V>> {
  #changes: TableChange<K, V>[] = [];

  get isEmpty(): boolean {
    return this.#changes.length === 0;
  }

  begin(): void {
    // it begins with what changes next
  }

  change(change: TableChange<K, V>): void {
    this.#changes.push(change);
  }

  take(): TableChange<K, V>[] {
    const changes = this.#changes;
    this.#changes = [];
    return changes;
  }
}
