import {
  STATE_FORMAT_VERSION,
  type StateEnvironment,
  type StateMeta,
  type StoreChanges,
} from './environment.ts';

/** Checkpoints in memory: for tests of topologies, whose state ends with the process. */
export class MemoryEnvironment implements StateEnvironment {
  readonly #stores = new Map<string, Map<string, Buffer>>();
  #meta: StateMeta | undefined;

  readMeta(): StateMeta | undefined {
    return this.#meta?.formatVersion === STATE_FORMAT_VERSION ? this.#meta : undefined;
  }

  get(store: string, key: Buffer): Buffer | undefined {
    const value = this.#stores.get(store)?.get(key.toString('latin1'));
    return value && Buffer.from(value);
  }

  *range(
    store: string,
    start: Buffer,
    end: Buffer | undefined,
  ): Iterable<{ readonly key: Buffer; readonly value: Buffer }> {
    const entries = [...(this.#stores.get(store) ?? [])].map(([key, value]) => ({
      key: Buffer.from(key, 'latin1'),
      value: Buffer.from(value),
    }));
    entries.sort((a, b) => Buffer.compare(a.key, b.key));
    for (const entry of entries) {
      const isBelow = end === undefined || Buffer.compare(entry.key, end) < 0;
      if (Buffer.compare(entry.key, start) >= 0 && isBelow) yield entry;
    }
  }

  checkpoint(changes: ReadonlyMap<string, StoreChanges>, meta: StateMeta): void {
    for (const [name, changed] of changes) {
      let store = this.#stores.get(name);
      if (store === undefined) this.#stores.set(name, (store = new Map<string, Buffer>()));
      for (const change of changed) {
        if ('start' in change) {
          const removed = [...this.range(name, change.start, change.end)];
          for (const { key } of removed) store.delete(key.toString('latin1'));
          continue;
        }
        const text = change.key.toString('latin1');
        if (change.value === undefined) store.delete(text);
        else store.set(text, Buffer.from(change.value));
      }
    }
    this.#meta = meta;
  }

  clear(): void {
    this.#stores.clear();
    this.#meta = undefined;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
