import { CommittedStore, READS_PER_CACHE, type StoreWatcher } from './committed-store.ts';
import type { StateEnvironment } from './environment.ts';
import { OpenReads } from './open-reads.ts';
import type { TaskStore } from './store-kind.ts';

/** Commits without a query after which a committed store is dropped. */
const IDLE_COMMITS_MAX = 100;

/** Gives a committed store to whoever waits for it; undefined if the task ends. */
type Waiting = (store: CommittedStore | undefined) => void;

/**
 * The stores of a task as of its last commit. There are none until somebody asks; the first query
 * of a store waits for a commit and a checkpoint, and the store is dropped when nobody asks any
 * more.
 */
export class CommittedStores {
  /** Lists that are read of the newest state. They are dropped when the task ends. */
  readonly uncommittedReads = new OpenReads();
  /** Called when somebody begins to wait for a commit; set once the task is to hear of it. */
  awaited: () => void = ignore;
  /** By store, how often its newest state was read. */
  readonly #uncommittedCounts = new Map<string, number>();
  readonly #stores: ReadonlyMap<string, TaskStore>;
  readonly #environmentOf: (store: string) => StateEnvironment;
  readonly #committed = new Map<string, CommittedStore>();
  /** By store. Emptied by `checkpointed` and `close`. */
  readonly #waiting = new Map<string, Waiting[]>();
  /** By store, who is to watch it once it is there. Emptied with `#waiting`. */
  readonly #watchers = new Map<string, StoreWatcher>();
  #isClosed = false;

  constructor(
    stores: ReadonlyMap<string, TaskStore>,
    environmentOf: (store: string) => StateEnvironment,
  ) {
    this.#stores = stores;
    this.#environmentOf = environmentOf;
  }

  /** True if somebody waits for a commit and a checkpoint. */
  get isAwaited(): boolean {
    return this.#waiting.size > 0;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** A store to stage changes in; undefined if nobody asks for it. */
  find(store: string): CommittedStore | undefined {
    return this.#committed.get(store);
  }

  /** Makes a store that is restored together with that of the task. */
  begin(store: string): CommittedStore {
    const committed = new CommittedStore(this.#stores.get(store)!.spec, this.#environmentOf(store));
    this.#committed.set(store, committed);
    return committed;
  }

  /**
   * The newest state of a store, to be read at once. Reads leave entries in the task's own cache,
   * which a task without input never checkpoints; every so many they are dropped here.
   */
  readUncommitted(store: string, cacheEntriesMax: number): TaskStore {
    const found = this.#stores.get(store)!;
    const count = (this.#uncommittedCounts.get(store) ?? 0) + 1;
    this.#uncommittedCounts.set(store, count);
    if (count % READS_PER_CACHE === 0) found.shrinkTo(cacheEntriesMax);
    return found;
  }

  /** Resolves with a store to read, or with undefined if the task ends. */
  open(store: string): Promise<CommittedStore | undefined> {
    return this.#await(store, this.#committed.get(store));
  }

  /** The same with a store that is watched from then on; one that is watched stays so. */
  watch(store: string, watcher: StoreWatcher): Promise<CommittedStore | undefined> {
    const known = this.#committed.get(store);
    if (known?.isWatched === true) return Promise.resolve(known);
    if (!this.#watchers.has(store)) this.#watchers.set(store, watcher);
    return this.#await(store, undefined); // begins with a checkpoint
  }

  /** Ends what `watch` begins. */
  unwatch(store: string): void {
    this.#watchers.delete(store);
    this.#committed.get(store)?.watch(undefined);
  }

  #await(store: string, known: CommittedStore | undefined): Promise<CommittedStore | undefined> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(store);
      if (known !== undefined || this.#isClosed) {
        resolve(known);
        return;
      }
      if (waiting === undefined) this.#waiting.set(store, [resolve]);
      else waiting.push(resolve);
      this.awaited();
    });
  }

  /**
   * Call it right after a commit.
   *
   * @param timeOf returns the event time of a node, by which the entries of its stores expire.
   */
  commit(timeOf: (node: string) => number): void {
    for (const [name, committed] of this.#committed) {
      const { expiry } = this.#stores.get(name)!.spec;
      try {
        committed.commit(expiry === undefined ? -Infinity : timeOf(expiry.node));
      } catch (error) {
        // Not an error of the task, which has committed: the next query meets it when it reads.
        this.#committed.delete(name);
        committed.fail(error);
        continue;
      }
      const isIdle = !committed.isWatched && committed.idleCommits > IDLE_COMMITS_MAX;
      if (isIdle) this.#committed.delete(name);
    }
  }

  /** Call it right before a checkpoint. */
  settle(): void {
    for (const { reads } of this.#committed.values()) reads.settle();
  }

  /** Call it right after a checkpoint of all that is committed. */
  checkpointed(): void {
    for (const committed of this.#committed.values()) committed.checkpointed();
    for (const [name, waiting] of this.#waiting) {
      const committed = this.#committed.get(name) ?? this.begin(name);
      const watcher = this.#watchers.get(name);
      if (watcher !== undefined && !committed.isWatched) committed.watch(watcher);
      for (const resolve of waiting) resolve(committed);
    }
    this.#waiting.clear();
    this.#watchers.clear();
  }

  /** Call it before the environments close. */
  close(): void {
    this.#isClosed = true;
    for (const committed of this.#committed.values()) committed.close();
    this.uncommittedReads.drop();
    this.#committed.clear();
    for (const waiting of this.#waiting.values()) for (const resolve of waiting) resolve(undefined);
    this.#waiting.clear();
  }
}

function ignore(): void {
  // there is no task yet
}
