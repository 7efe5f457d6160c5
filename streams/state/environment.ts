/** The value of one key in a checkpoint; undefined removes it. */
export interface StoredChange {
  readonly key: Buffer;
  readonly value: Buffer | undefined;
}

/** Removes the keys from `start` to before `end`; without an end, and from an empty start, all. */
export interface StoredRemoval {
  readonly start: Buffer;
  readonly end: Buffer | undefined;
}

/** What a checkpoint changes in one store, in the order in which it has to be done. */
export type StoreChanges = readonly (StoredChange | StoredRemoval)[];

/**
 * The layout of keys and values (codec.ts). A checkpoint of another version is thrown away and the
 * state is read back from the changelog.
 */
export const STATE_FORMAT_VERSION = 1;

/** What a checkpoint knows besides the stores themselves. */
export interface StateMeta {
  readonly formatVersion: number;
  /** Store to the changelog offset that its content stands for: the next one to apply. */
  readonly changelogOffsets: Readonly<Record<string, number>>;
}

/**
 * Where the checkpoints of one task are kept. Only committed state comes here. Two implementations:
 * LMDB and memory; one shared suite holds them to this page.
 */
export interface StateEnvironment {
  /** What the last checkpoint said, or undefined where there was none of this format. */
  readMeta(): StateMeta | undefined;
  /** The value of a key, in memory of its own. */
  get(store: string, key: Buffer): Buffer | undefined;
  /**
   * The entries from `start` to before `end`, in memory of their own, by rising key; only an empty
   * key may stand anywhere.
   */
  range(
    store: string,
    start: Buffer,
    end: Buffer | undefined,
  ): Iterable<{ readonly key: Buffer; readonly value: Buffer }>;
  /**
   * Writes changes, those of keys best by rising key, and what they stand for: all of it or
   * nothing. It survives kill -9 when it returns; after a power cut an older checkpoint may stand,
   * whole.
   */
  checkpoint(changes: ReadonlyMap<string, StoreChanges>, meta: StateMeta): void;
  /** Removes everything: the state is to be rebuilt. */
  clear(): void;
  close(): Promise<void>;
}
