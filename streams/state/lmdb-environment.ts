import { join } from 'node:path';
import type { Database, RootDatabase } from 'lmdb';
import { LogError, nodeFileSystem } from '../../core/index.ts';
import { freeBytes, present } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import {
  STATE_FORMAT_VERSION,
  type StateEnvironment,
  type StateMeta,
  type StoreChanges,
  type KeyRange,
} from './environment.ts';
import { ALL_KEYS } from './key-range.ts';
import { isSoundHeader, HEADER_BYTES } from './lmdb-header.ts';

/** No store can have this name. */
const META_DATABASE = '$meta';
const META_KEY = Buffer.from('meta');
/**
 * LMDB has no empty keys. This one represents the empty key of a store. No other key equals it: it
 * has LMDB's greatest length, and those of stores are shorter.
 */
const EMPTY_KEY = Buffer.alloc(1978);

/**
 * Checkpoints in LMDB: one environment per task, one database per store and one for the meta, so
 * that state and changelog offset change in one transaction.
 *
 * LMDB syncs after each commit ("overlapping sync"): nothing waits for it, a killed process loses
 * nothing, and a power cut leaves the newest synced checkpoint.
 */
export class LmdbEnvironment implements StateEnvironment {
  readonly #directory: string;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #databases: ReadonlyMap<string, Database<Buffer, Buffer>>;

  private constructor(
    directory: string,
    root: RootDatabase<Buffer, Buffer>,
    databases: ReadonlyMap<string, Database<Buffer, Buffer>>,
  ) {
    this.#directory = directory;
    this.#root = root;
    this.#databases = databases;
  }

  /**
   * Opens the environment in `directory`. If it is missing, or a power cut has left only a part of
   * it, creates a new one: everything is then restored from the changelogs.
   *
   * @throws StreamsError STATE_CORRUPT if LMDB cannot open the existing files, LogError DISK_FULL
   */
  static async open(directory: string, storeNames: readonly string[]): Promise<LmdbEnvironment> {
    const names = [META_DATABASE, ...storeNames];
    const maxDbs = names.length + 1; // and the meta database
    let root: RootDatabase<Buffer, Buffer> | undefined;
    try {
      const { open } = await import('lmdb'); // when there is state: it takes long to load
      await removeRemains(directory);
      const opened = open<Buffer, Buffer>({ path: directory, ...BINARY, maxDbs });
      root = opened;
      const databases = names.map(
        (name) => [name, opened.openDB<Buffer, Buffer>({ name, ...BINARY })] as const,
      );
      return new LmdbEnvironment(directory, opened, new Map(databases));
    } catch (cause) {
      await root?.close();
      throw noRoom(directory, cause) ?? corrupt(directory, cause);
    }
  }

  readMeta(): StateMeta | undefined {
    const bytes = this.get(META_DATABASE, META_KEY);
    if (bytes === undefined) return undefined;
    const meta = JSON.parse(bytes.toString('utf8')) as StateMeta;
    return meta.formatVersion === STATE_FORMAT_VERSION ? meta : undefined;
  }

  get(store: string, key: Buffer): Buffer | undefined {
    // A copy: the next call overwrites the result of `getBinaryFast`, and a value may be a view.
    try {
      return this.#database(store).getBinary(key.length === 0 ? EMPTY_KEY : key);
    } catch (cause) {
      throw corrupt(this.#directory, cause);
    }
  }

  *range(
    store: string,
    start: Buffer,
    end: Buffer | undefined,
    isReverse = false,
  ): Iterable<StoredEntry> {
    if (end?.length === 0) return;
    // The empty key comes first, wherever LMDB has the key that stands for it.
    if (start.length === 0 && !isReverse) yield* this.#emptyKey(store);
    let bounds: KeyRange = { start, end };
    let last: Buffer | undefined;
    for (let limit = FIRST_READ; ; limit = Math.min(limit * 4, READ_MAX)) {
      const read = this.#read(store, bounds, { last, isReverse, limit });
      for (const entry of read) if (!isEmptyKey(entry.key)) yield entry;
      last = read.at(-1)?.key;
      if (last === undefined || read.length < limit) break;
      bounds = isReverse ? { start, end: last } : { start: last, end };
    }
    if (start.length === 0 && isReverse) yield* this.#emptyKey(store);
  }

  count(store: string): number {
    return (this.#database(store).getStats() as DatabaseStats).entryCount;
  }

  sizeBytes(store: string): number {
    return sizeOf(this.#database(store).getStats() as DatabaseStats);
  }

  /** @throws LogError DISK_FULL: nothing was written. */
  checkpoint(changes: ReadonlyMap<string, StoreChanges>, meta: StateMeta): void {
    // Synchronous: only this way of writing rolls back if something throws.
    this.#write(() => {
      for (const [store, changed] of changes) {
        const database = this.#database(store);
        for (const change of changed) {
          if ('start' in change) {
            removeRange(database, change);
            continue;
          }
          const { key: bytes, value } = change;
          const key = bytes.length === 0 ? EMPTY_KEY : bytes;
          // Inside the transaction both calls are complete when they return; the promises add
          // nothing.
          if (value === undefined) void database.remove(key);
          else void database.put(key, value);
        }
      }
      void this.#database(META_DATABASE).put(META_KEY, Buffer.from(JSON.stringify(meta)));
    });
  }

  clear(): void {
    this.#write(() => {
      for (const database of this.#databases.values()) database.clearSync();
    });
  }

  async close(): Promise<void> {
    await this.#root.flushed;
    await this.#root.close();
  }

  #write(change: () => void): void {
    try {
      this.#root.transactionSync(change);
    } catch (cause) {
      throw noRoom(this.#directory, cause) ?? cause;
    }
  }

  /** Reads up to `limit` entries of a range behind `last`; LMDB's transaction is over then. */
  #read(
    store: string,
    { start, end }: KeyRange,
    { last, isReverse, limit }: RangePart,
  ): StoredEntry[] {
    const exclusiveStart = last !== undefined;
    const database = this.#database(store);
    try {
      if (!isReverse) {
        const bounds = end === undefined ? { start } : { start, end };
        return [...database.getRange({ ...bounds, exclusiveStart, limit })];
      }
      // Against the order, LMDB's start is the upper end.
      const from = end === undefined ? {} : { start: end, exclusiveStart: true };
      const to = start.length === 0 ? {} : { end: start };
      // Without an end LMDB's is one zero byte, which may be a key.
      return [...database.getRange({ ...from, ...to, inclusiveEnd: true, reverse: true, limit })];
    } catch (cause) {
      throw corrupt(this.#directory, cause);
    }
  }

  *#emptyKey(store: string): Iterable<StoredEntry> {
    const value = this.get(store, NO_BYTES);
    if (value !== undefined) yield { key: NO_BYTES, value };
  }

  #database(name: string): Database<Buffer, Buffer> {
    return present(this.#databases.get(name), 'every store of the task has a database');
  }
}

/** The codes of ENOSPC, EDQUOT, and of LMDB when its map cannot grow: MDB_MAP_FULL. */
const NO_ROOM: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 28, 122, -30_792]);

/** EIO: LMDB has it of a disk that is damaged, and also of a write that came to an end early. */
const SHORT_WRITE: ReadonlySet<unknown> = new Set(['EIO', 5]);
/** A disk with less is full: such a write has taken all there was, but for what others free now. */
const ROOM_BYTES_MIN = 1024 * 1024;

/** The error of a full disk; undefined of another one. */
export function noRoom(directory: string, cause: unknown): LogError | undefined {
  const { code, message } = cause as { readonly code?: unknown; readonly message?: string };
  const isShort = SHORT_WRITE.has(code) && (freeBytes(directory) ?? Infinity) < ROOM_BYTES_MIN;
  if (!isShort && !NO_ROOM.has(code)) return undefined;
  const text = `the state in ${directory} could not be written, as the disk is full: ${message}`;
  const details = { file: directory, operation: 'write' };
  return new LogError('DISK_FULL', text, details, { cause });
}

/** Of what LMDB tells of a database. */
interface DatabaseStats {
  readonly entryCount: number;
  readonly pageSize: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

/**
 * Removes stores from the environment in `directory`, with the offsets of their changelogs, in one
 * transaction: they are read back from there when they are next opened.
 *
 * @throws StreamsError STATE_CORRUPT
 */
export async function dropStores(directory: string, stores: readonly string[]): Promise<void> {
  if (stores.length === 0) return;
  const environment = await LmdbEnvironment.open(directory, stores);
  try {
    const meta = environment.readMeta();
    if (meta === undefined) return; // nothing in it counts
    const offsets = Object.entries(meta.changelogOffsets);
    const kept = offsets.filter(([name]) => !stores.includes(name));
    environment.checkpoint(new Map([...stores].map((name) => [name, [ALL_KEYS]])), {
      ...meta,
      changelogOffsets: Object.fromEntries(kept),
    });
  } finally {
    await environment.close();
  }
}

/** What the last checkpoint has of a store. */
export interface StoredPart {
  readonly entries: number;
  /** What they take, in whole pages. */
  readonly bytes: number;
  /** The offset in the store's topic that it stands for; undefined before the first checkpoint. */
  readonly checkpointOffset: number | undefined;
}

/**
 * What is in the environment in `directory` of each of the stores, in their order; also while a
 * task has it open. Changes nothing.
 *
 * @throws StreamsError STATE_CORRUPT
 */
export async function lookAtStores(
  directory: string,
  stores: readonly string[],
): Promise<StoredPart[]> {
  let root: RootDatabase<Buffer, Buffer> | undefined;
  try {
    const { open } = await import('lmdb');
    const maxDbs = stores.length + 2;
    root = open<Buffer, Buffer>({ path: directory, ...BINARY, maxDbs, readOnly: true });
    const found = root;
    const databaseOf = (name: string): Database<Buffer, Buffer> | undefined =>
      found.openDB<Buffer, Buffer>({ name, ...BINARY });
    const bytes = databaseOf(META_DATABASE)?.getBinary(META_KEY);
    const meta = bytes === undefined ? undefined : (JSON.parse(bytes.toString()) as StateMeta);
    return stores.map((name) => {
      const stats = databaseOf(name)?.getStats() as DatabaseStats | undefined;
      return {
        entries: stats?.entryCount ?? 0,
        bytes: stats === undefined ? 0 : sizeOf(stats),
        checkpointOffset: meta?.changelogOffsets[name],
      };
    });
  } catch (cause) {
    throw corrupt(directory, cause);
  } finally {
    await root?.close();
  }
}

function sizeOf(stats: DatabaseStats): number {
  const pages = stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages;
  return pages * stats.pageSize;
}

/** An entry as it is in the environment. */
interface StoredEntry {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** A part of a range. */
interface RangePart {
  /** The key of the entry before it. */
  readonly last: Buffer | undefined;
  readonly isReverse: boolean;
  readonly limit: number;
}

/** The first part of a range is small: many reads need no more than its first entry. */
const FIRST_READ = 16;
/** The longest part. */
const READ_MAX = 1024;

function isEmptyKey(key: Buffer): boolean {
  return key.length === EMPTY_KEY.length && key.equals(EMPTY_KEY);
}

const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;
const NO_BYTES = Buffer.alloc(0);

function removeRange(database: Database<Buffer, Buffer>, { start, end }: KeyRange): void {
  if (end === undefined && start.length === 0) {
    database.clearSync(); // frees the pages without reading them
    return;
  }
  const bounds = end === undefined ? { start } : { start, end };
  // Complete when it returns, as in `checkpoint`. The next key overwrites this one.
  for (const key of database.getKeys(bounds)) void database.remove(Buffer.from(key));
}

/** Removes a file that would crash LMDB, which does not check for that. */
async function removeRemains(directory: string): Promise<void> {
  const path = join(directory, 'data.mdb');
  const { sizeBytes = 0 } = (await nodeFileSystem.stat(path)) ?? {};
  if (sizeBytes === 0) return;
  const file = await nodeFileSystem.open(path, 'read');
  const header = Buffer.alloc(HEADER_BYTES);
  try {
    await file.read(header, 0);
  } finally {
    await file.close();
  }
  if (!isSoundHeader(header, sizeBytes)) await nodeFileSystem.remove(path);
}

function corrupt(directory: string, cause: unknown): StreamsError {
  if (StreamsError.is(cause, 'STATE_CORRUPT')) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message =
    `the state in ${directory} cannot be read: ${reason}; ` +
    'remove the directory, and it is read back from the changelogs';
  return new StreamsError('STATE_CORRUPT', message, { directory, reason }, { cause });
}
