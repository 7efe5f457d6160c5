import type { LogConfig } from '../../core/index.ts';
import type { ReadOnlyWindowedTable } from '../topology/queryable.ts';
import type { ReadOnlyKeyValueStore, StoreSpec } from '../topology/store.ts';
import type { LiveEntry, StoreCodec } from './codec.ts';
import type { StateEnvironment, StoreChanges } from './environment.ts';
import type { StoreReads } from './store-reads.ts';
import type { RowsIn } from './stored-rows.ts';
import type { WindowedShape } from './windowed-rows.ts';

/** Where the arguments of a method have what it writes: their positions. */
export type StoreWrite =
  | { readonly key: number; readonly value: number }
  /** The function that returns the value. */
  | { readonly key: number; readonly change: number }
  /** A record, with its key and its value. */
  | { readonly whole: number };

/** How a kind of store is written to. */
export interface StoreWrites {
  /** The bytes that it adds to each key. */
  readonly keyBytes: number;
  /** Those of its methods that write, by their names. */
  readonly methods: Readonly<Record<string, StoreWrite>>;
}

/** All that the runtime has to know of a kind of store. */
export interface StoreKind {
  /** For messages: `window store`. */
  readonly title: string;
  /** Another kind whose handles read it too: it can do all that those promise. */
  readonly readAs?: string;
  /** Its methods that only read; undefined for a kind that only operators use. */
  readonly reads?: StoreReads;
  /** The rows in the bytes of an entry, for a kind whose changes can be watched. */
  readonly rowsIn?: (spec: StoreSpec) => RowsIn;
  /** For a kind that may keep a table of windows: its rows. */
  readonly asWindowedTable?: (store: TaskStore, shape: WindowedShape<unknown>) => AnyWindowedTable;
  /** For a kind that may keep another table but is no key-value store: the newest rows. */
  readonly asTable?: (store: TaskStore) => ReadOnlyKeyValueStore<unknown, unknown>;
  /** Its methods that write, which `checkWrites` may let check what they get. */
  readonly writes: StoreWrites;
  /** Settings of its changelog. */
  readonly changelogConfig: Partial<LogConfig>;
  /** The bytes of its entries. */
  codec(spec: StoreSpec): StoreCodec<unknown, unknown>;
  /** Opens the store of a task. @param isNew True if no checkpoint has anything of it. */
  open(spec: StoreSpec, environment: StateEnvironment, isNew: boolean): TaskStore;
}

export type AnyWindowedTable = ReadOnlyWindowedTable<unknown, unknown>;

/** What a task does with a store of any kind. */
export interface TaskStore {
  readonly spec: StoreSpec;
  readonly codec: StoreCodec<unknown, unknown>;
  /** Calls `visit` with each entry that the changelog needs; returns their number. */
  takeChanged(visit: (entry: LiveEntry<unknown, unknown>) => void): number;
  /** Returns the changes that a checkpoint has to write. Call it right after a commit. */
  takePending(): StoreChanges;
  /** Applies a record of the topic that backs the store. */
  restore(key: Buffer, value: Buffer | undefined, timestampMs: number): void;
  /** Drops clean entries until `count` are left in memory, those of the oldest windows first. */
  shrinkTo(count: number): void;
  /** Entries in memory that are not deleted. */
  readonly memoryCount: number;
  /** Drops the entries whose life has ended at this time, without a record in the changelog. */
  expire(timeMs: number): void;
  /** The starts of the entries that can expire; undefined for a store whose entries do not. */
  readonly span: StoreSpan | undefined;
}

/** An entry that starts before `oldestMs` is no longer in the store. */
export interface StoreSpan {
  /** The oldest start of an entry; Infinity for none. */
  readonly oldestMs: number;
  /** The newest start of any entry since the task's start; -Infinity for none. */
  readonly newestMs: number;
}
