import { isDeepStrictEqual } from 'node:util';
import { closest } from 'fastest-levenshtein';
import { StreamsError } from '../errors.ts';
import type { StoreHandle, StoreSpec } from '../topology/store.ts';
import { CommittedStores } from './committed-stores.ts';
import { STATE_FORMAT_VERSION, type StateEnvironment, type StoreChanges } from './environment.ts';
import { ALL_KEYS } from './key-range.ts';
import { MemoryEnvironment } from './memory-environment.ts';
import type { TaskStore } from './store-kind.ts';
import { kindOf } from './store-kinds.ts';

/** How large a store of a task is. */
export interface StoreSize {
  /** About how many entries it has. */
  readonly entries: number;
  /** How many of them are in memory, as objects. */
  readonly memoryEntries: number;
  /** What its last checkpoint occupies. */
  readonly checkpointBytes: number;
}

/** All stores of one task: one environment, and the changelog offset of each store's checkpoint. */
export class TaskState {
  readonly stores: ReadonlyMap<string, TaskStore>;
  /** For queries. */
  readonly committed: CommittedStores;
  /**
   * Changes that are in the changelogs but in no checkpoint, which a restart would read back.
   * Writers and readers of a changelog count them.
   */
  tailCount = 0;
  readonly #environment: StateEnvironment;
  /** Of the stores that are not persistent, each by its name. */
  readonly #memory = new Map<string, MemoryEnvironment>();
  /** By store, where its changelog ended at the last checkpoint. */
  #changelogEnds: Readonly<Record<string, number>>;
  /** The last sizes; set when it is closed. */
  #finalSizes: ReadonlyMap<string, StoreSize> | undefined;

  /**
   * @param position the sum of the offsets that were committed last: a store without a topic is
   *   still there if its checkpoint has the same.
   */
  constructor(environment: StateEnvironment, specs: readonly StoreSpec[], position = 0) {
    this.#environment = environment;
    const meta = environment.readMeta();
    if (meta === undefined) environment.clear(); // another version, or none
    const offsets = meta?.changelogOffsets ?? {};
    const unbacked = specs.filter(({ backing, persistent }) => {
      return backing === 'none' && persistent !== false;
    });
    const stale = unbacked.filter(({ name }) => offsets[name] !== position);
    this.#changelogEnds = without(offsets, unbacked);
    if (unbacked.length > 0) this.#discard(stale);
    const stores = specs.map((spec): [string, TaskStore] => {
      if (spec.persistent !== false) {
        const isNew = offsets[spec.name] === undefined || stale.includes(spec);
        return [spec.name, kindOf(spec).open(spec, environment, isNew)];
      }
      const memory = new MemoryEnvironment();
      this.#memory.set(spec.name, memory);
      return [spec.name, kindOf(spec).open(spec, memory, true)];
    });
    this.stores = new Map(stores);
    const environmentOf = (name: string) => this.#memory.get(name) ?? environment;
    this.committed = new CommittedStores(this.stores, environmentOf);
  }

  /** The changelog offset to restore a store from; undefined if it has no checkpoint. */
  changelogOffset(store: string): number | undefined {
    return this.#memory.has(store) ? undefined : this.#changelogEnds[store];
  }

  /** The same of any store, also of one in memory, of which a restart finds no checkpoint. */
  changelogEnd(store: string): number | undefined {
    return this.#changelogEnds[store];
  }

  /** @throws StreamsError UNKNOWN_STORE also if the store is of another kind. */
  store<Store>(handle: StoreHandle<Store>): Store & TaskStore {
    const store = this.stores.get(handle.name);
    if (store === undefined) throw unknownStore(handle.name, this.stores.keys());
    const { kind } = store.spec;
    if (kind !== handle.kind && kindOf(store.spec).readAs !== handle.kind) {
      throw wrongKind(store.spec, handle);
    }
    return store as Store & TaskStore;
  }

  /** About how many entries a store has, without counting them. */
  approximateCount(name: string): number {
    const { size } = this.stores.get(name) as { readonly size?: number | undefined };
    return size ?? (this.#memory.get(name) ?? this.#environment).count(name);
  }

  /**
   * Writes everything committed and its changelog offsets to the environment, in one transaction,
   * unless it has them already. Call it right after a commit: the live values must be the committed
   * ones.
   */
  checkpoint(changelogOffsets: Readonly<Record<string, number>>, cacheEntriesMax: number): void {
    this.committed.settle();
    const changes = new Map<string, StoreChanges>();
    const inMemory = [...this.#memory.keys()].map((name) => ({ name }));
    const ends = { ...this.#changelogEnds, ...changelogOffsets };
    const offsets = without(ends, inMemory);
    const meta = { formatVersion: STATE_FORMAT_VERSION, changelogOffsets: offsets };
    for (const [name, store] of this.stores) {
      const pending = store.takePending();
      const memory = this.#memory.get(name);
      if (memory === undefined) changes.set(name, pending);
      else memory.checkpoint(new Map([[name, pending]]), meta);
    }
    const isNew = [...changes.values()].some(({ length }) => length > 0);
    if (isNew || !isDeepStrictEqual(ends, this.#changelogEnds)) {
      this.#environment.checkpoint(changes, meta);
      this.#changelogEnds = ends;
    }
    this.tailCount = 0;
    this.committed.checkpointed();
    for (const store of this.stores.values()) store.shrinkTo(cacheEntriesMax);
  }

  /** The sizes of the stores, by name; of a closed state those at its end. */
  sizes(): ReadonlyMap<string, StoreSize> {
    if (this.#finalSizes !== undefined) return this.#finalSizes;
    return new Map([...this.stores].map(([name, store]) => [name, this.#sizeOf(name, store)]));
  }

  close(): Promise<void> {
    this.#finalSizes ??= this.sizes();
    this.committed.close();
    return this.#environment.close();
  }

  #sizeOf(name: string, store: TaskStore): StoreSize {
    return {
      entries: this.approximateCount(name),
      memoryEntries: store.memoryCount,
      checkpointBytes: (this.#memory.get(name) ?? this.#environment).sizeBytes(name),
    };
  }

  /**
   * Empties stores whose checkpoint is not that of the last commit. From now on stores without a
   * topic have no checkpoint that counts, until the task ends in order.
   */
  #discard(stale: readonly StoreSpec[]): void {
    const changes = new Map(stale.map(({ name }) => [name, [ALL_KEYS]] as const));
    const changelogOffsets = this.#changelogEnds;
    this.#environment.checkpoint(changes, {
      formatVersion: STATE_FORMAT_VERSION,
      changelogOffsets,
    });
  }
}

/** The offsets of all other stores. */
function without(
  offsets: Readonly<Record<string, number>>,
  stores: readonly Pick<StoreSpec, 'name'>[],
): Record<string, number> {
  const names = new Set(stores.map(({ name }) => name));
  return Object.fromEntries(Object.entries(offsets).filter(([name]) => !names.has(name)));
}

export function wrongKind(store: StoreHandle, wanted: StoreHandle): StreamsError {
  const { name } = store;
  const message = `store ${name} is a ${kindOf(store).title}, and not a ${kindOf(wanted).title}`;
  return new StreamsError('UNKNOWN_STORE', message, { store: name });
}

/** UNKNOWN_STORE with the nearest name. */
export function unknownStore(store: string, known: Iterable<string>): StreamsError {
  const names = [...known];
  const nearest = names.length === 0 ? undefined : closest(store, names);
  const hint = nearest === undefined ? 'the topology has none' : `did you mean ${nearest}?`;
  const details = nearest === undefined ? { store } : { store, nearest };
  return new StreamsError('UNKNOWN_STORE', `there is no store ${store}; ${hint}`, details);
}
