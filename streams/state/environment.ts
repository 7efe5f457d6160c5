/** The value of one key in a checkpoint; undefined removes it. */
export interface StoredChange {
  readonly key: Buffer;
  readonly value: Buffer | undefined;
}

/** The keys from `start` up to but not including `end`; all with an empty start and no end. */
export interface KeyRange {
  readonly start: Buffer;
  readonly end: Buffer | undefined;
}

/** The changes of a checkpoint to one store, in the order to apply them; a range is removed. */
export type StoreChanges = readonly (StoredChange | KeyRange)[];

/**
 * The layout of keys and values (codec.ts). A checkpoint of another version is discarded and the
 * state is restored from the changelog.
 */
export const STATE_FORMAT_VERSION = 1;

/** What a checkpoint keeps besides the stores themselves. */
export interface StateMeta {
  readonly formatVersion: number;
  /** By store, the changelog offset of its content: the next one to apply. */
  readonly changelogOffsets: Readonly<Record<string, number>>;
}

/**
 * Keeps the checkpoints of one task, which contain only committed state. One shared suite tests
 * both implementations, LMDB and memory.
 */
export interface StateEnvironment {
  /** The meta of the last checkpoint, or undefined if there is none of this format. */
  readMeta(): StateMeta | undefined;
  /** The value of a key, in memory of its own. */
  get(store: string, key: Buffer): Buffer | undefined;
  /**
   * The entries from `start` up to but not including `end`, in memory of their own, in key order
   * or, if `isReverse`, against it. They are read in parts, each as it is at that moment: whoever
   * stops between two entries holds nothing up.
   */
  range(
    store: string,
    start: Buffer,
    end: Buffer | undefined,
    isReverse?: boolean,
  ): Iterable<{ readonly key: Buffer; readonly value: Buffer }>;
  /** The number of entries of a store. */
  count(store: string): number;
  /** What a store occupies. */
  sizeBytes(store: string): number;
  /**
   * Writes changes, preferably in key order, and their meta, atomically. Once it returns, the
   * checkpoint survives kill -9; a power cut may leave an older checkpoint, intact.
   */
  checkpoint(changes: ReadonlyMap<string, StoreChanges>, meta: StateMeta): void;
  /** Removes everything, before the state is rebuilt. */
  clear(): void;
  close(): Promise<void>;
}

/**
 * Yields the first key of each group of adjacent keys, such as those of a window: it jumps from one
 * group to the next. `endOf` returns the end of the group that a key is in.
 */
export function* firstKeys(
  environment: StateEnvironment,
  store: string,
  endOf: (key: Buffer) => Buffer,
  end?: Buffer,
): Generator<Buffer> {
  let from = Buffer.alloc(0);
  for (;;) {
    let found: Buffer | undefined;
    for (const { key } of environment.range(store, from, end)) {
      found = key;
      break;
    }
    if (found === undefined) return;
    yield found;
    from = Buffer.from(endOf(found));
  }
}
