import { closest } from 'fastest-levenshtein';
import { StreamsError } from '../errors.ts';
import type { StoreSpec } from '../topology/store.ts';
import { STATE_FORMAT_VERSION, type StateEnvironment, type StoreChanges } from './environment.ts';
import { TaskKeyValueStore, TaskWindowStore, type TaskStore } from './stores.ts';

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
      const Store = spec.kind === 'window' ? TaskWindowStore : TaskKeyValueStore;
      return [spec.name, new Store(spec, environment, isNew)];
    });
    this.stores = new Map(stores);
  }

  /** The changelog offset to restore a store from; undefined if it has no checkpoint. */
  changelogOffset(store: string): number | undefined {
    return this.#changelogOffsets[store];
  }

  /** @throws StreamsError UNKNOWN_STORE */
  keyValueStore<K, V>(name: string): TaskKeyValueStore<K, V> {
    const store = this.stores.get(name);
    if (store instanceof TaskKeyValueStore) return store as TaskKeyValueStore<K, V>;
    if (store !== undefined) throw wrongKind(store.spec, 'keyValue');
    throw unknownStore(name, this.stores.keys());
  }

  /** @throws StreamsError UNKNOWN_STORE */
  windowStore<K, V>(name: string): TaskWindowStore<K, V> {
    const store = this.stores.get(name);
    if (store instanceof TaskWindowStore) return store as TaskWindowStore<K, V>;
    if (store !== undefined) throw wrongKind(store.spec, 'window');
    throw unknownStore(name, this.stores.keys());
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

/** UNKNOWN_STORE for a store of another kind. */
function wrongKind({ name, kind }: StoreSpec, wanted: StoreSpec['kind']): StreamsError {
  const message = `store ${name} is a ${KINDS[kind]}, and not a ${KINDS[wanted]}`;
  return new StreamsError('UNKNOWN_STORE', message, { store: name });
}

const KINDS = { keyValue: 'key-value store', window: 'window store' } as const;

/** UNKNOWN_STORE with the nearest name. */
export function unknownStore(store: string, known: Iterable<string>): StreamsError {
  const names = [...known];
  const nearest = names.length === 0 ? undefined : closest(store, names);
  const hint = nearest === undefined ? 'the topology has none' : `did you mean ${nearest}?`;
  const details = nearest === undefined ? { store } : { store, nearest };
  return new StreamsError('UNKNOWN_STORE', `there is no store ${store}; ${hint}`, details);
}
