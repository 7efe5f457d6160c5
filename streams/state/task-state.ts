import { closest } from 'fastest-levenshtein';
import { StreamsError } from '../errors.ts';
import type { StoreHandle, StoreSpec } from '../topology/store.ts';
import { STATE_FORMAT_VERSION, type StateEnvironment, type StoreChanges } from './environment.ts';
import type { TaskStore } from './store-kind.ts';
import { kindOf } from './store-kinds.ts';

/** All stores of one task: one environment, and the changelog offset of each store's checkpoint. */
export class TaskState {
  readonly stores: ReadonlyMap<string, TaskStore>;
  /**
   * Changes that are in the changelogs but in no checkpoint, which a restart would read back.
   * Writers and readers of a changelog count them.
   */
  tailCount = 0;
  readonly #environment: StateEnvironment;
  /** By store, the changelog offset of its checkpoint. Changes at each checkpoint. */
  #changelogOffsets: Readonly<Record<string, number>>;

  constructor(environment: StateEnvironment, specs: readonly StoreSpec[]) {
    this.#environment = environment;
    const meta = environment.readMeta();
    if (meta === undefined) environment.clear(); // another version, or none
    this.#changelogOffsets = meta?.changelogOffsets ?? {};
    const stores = specs.map((spec): [string, TaskStore] => {
      const isNew = this.#changelogOffsets[spec.name] === undefined;
      return [spec.name, kindOf(spec).open(spec, environment, isNew)];
    });
    this.stores = new Map(stores);
  }

  /** The changelog offset to restore a store from; undefined if it has no checkpoint. */
  changelogOffset(store: string): number | undefined {
    return this.#changelogOffsets[store];
  }

  /** @throws StreamsError UNKNOWN_STORE also if the store is of another kind. */
  store<Store>(handle: StoreHandle<Store>): Store & TaskStore {
    const store = this.stores.get(handle.name);
    if (store === undefined) throw unknownStore(handle.name, this.stores.keys());
    if (store.spec.kind !== handle.kind) throw wrongKind(store.spec, handle);
    return store as Store & TaskStore;
  }

  /**
   * Writes everything committed and its changelog offsets to the environment, in one transaction.
   * Call it right after a commit: the live values must be the committed ones.
   */
  checkpoint(changelogOffsets: Readonly<Record<string, number>>, cacheEntriesMax: number): void {
    const changes = new Map<string, StoreChanges>();
    for (const [name, store] of this.stores) changes.set(name, store.takePending());
    const offsets = { ...this.#changelogOffsets, ...changelogOffsets };
    const meta = { formatVersion: STATE_FORMAT_VERSION, changelogOffsets: offsets };
    this.#environment.checkpoint(changes, meta);
    this.#changelogOffsets = offsets;
    this.tailCount = 0;
    for (const store of this.stores.values()) store.shrinkTo(cacheEntriesMax);
  }

  close(): Promise<void> {
    return this.#environment.close();
  }
}

function wrongKind(store: StoreHandle, wanted: StoreHandle): StreamsError {
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
