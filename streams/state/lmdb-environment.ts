import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import { nodeFileSystem } from '../../core/index.ts';
import { present } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import {
  STATE_FORMAT_VERSION,
  type StateEnvironment,
  type StateMeta,
  type StoreChanges,
  type StoredRemoval,
} from './environment.ts';
import { isSoundHeader, HEADER_BYTES } from './lmdb-header.ts';

/** No store can be called so. */
const META_DATABASE = '$meta';
const META_KEY = Buffer.from('meta');
/**
 * LMDB has no empty keys. The empty key of a store stands under this one, which no other key can
 * be: it is as long as LMDB's keys can be, and those of stores are shorter.
 */
const EMPTY_KEY = Buffer.alloc(1978);

/**
 * Checkpoints in LMDB: one environment a task, a database each store, and one of what they stand
 * for beside them, so that state and changelog offset change in one transaction.
 *
 * LMDB syncs behind each commit ("overlapping sync"): nothing is waited for, a process that is
 * killed loses nothing, and after a power cut the newest checkpoint that was synced stands.
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
   * Opens the environment in `directory`, making it where there is none, and where a power cut has
   * left but a part of it: then everything is read back from the changelogs.
   *
   * @throws StreamsError STATE_CORRUPT when LMDB cannot open what is there.
   */
  static async open(directory: string, storeNames: readonly string[]): Promise<LmdbEnvironment> {
    const names = [META_DATABASE, ...storeNames];
    const maxDbs = names.length + 1; // and the root
    let root: RootDatabase<Buffer, Buffer> | undefined;
    try {
      await removeRemains(directory);
      const opened = open<Buffer, Buffer>({ path: directory, ...BINARY, maxDbs });
      root = opened;
      const databases = names.map(
        (name) => [name, opened.openDB<Buffer, Buffer>({ name, ...BINARY })] as const,
      );
      return new LmdbEnvironment(directory, opened, new Map(databases));
    } catch (cause) {
      await root?.close();
      throw corrupt(directory, cause);
    }
  }

  readMeta(): StateMeta | undefined {
    const bytes = this.get(META_DATABASE, META_KEY);
    if (bytes === undefined) return undefined;
    const meta = JSON.parse(bytes.toString('utf8')) as StateMeta;
    return meta.formatVersion === STATE_FORMAT_VERSION ? meta : undefined;
  }

  get(store: string, key: Buffer): Buffer | undefined {
    // A copy: what `getBinaryFast` returns is overwritten by the next call, and a value may be a
    // view.
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
  ): Iterable<{ readonly key: Buffer; readonly value: Buffer }> {
    const bounds = end === undefined ? { start } : { start, end };
    try {
      for (const { key, value } of this.#database(store).getRange(bounds)) {
        yield { key: key.equals(EMPTY_KEY) ? NO_BYTES : key, value };
      }
    } catch (cause) {
      throw corrupt(this.#directory, cause);
    }
  }

  checkpoint(changes: ReadonlyMap<string, StoreChanges>, meta: StateMeta): void {
    // Synchronous: of LMDB's ways to write, this is the one that rolls back when something throws.
    this.#root.transactionSync(() => {
      for (const [store, changed] of changes) {
        const database = this.#database(store);
        for (const change of changed) {
          if ('start' in change) {
            removeRange(database, change);
            continue;
          }
          const { key: bytes, value } = change;
          const key = bytes.length === 0 ? EMPTY_KEY : bytes;
          // Inside the transaction both calls are done when they return; the promises say nothing
          // more.
          if (value === undefined) void database.remove(key);
          else void database.put(key, value);
        }
      }
      void this.#database(META_DATABASE).put(META_KEY, Buffer.from(JSON.stringify(meta)));
    });
  }

  clear(): void {
    this.#root.transactionSync(() => {
      for (const database of this.#databases.values()) database.clearSync();
    });
  }

  async close(): Promise<void> {
    await this.#root.flushed;
    await this.#root.close();
  }

  #database(name: string): Database<Buffer, Buffer> {
    return present(this.#databases.get(name), 'every store of the task has a database');
  }
}

const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;
const NO_BYTES = Buffer.alloc(0);

function removeRange(database: Database<Buffer, Buffer>, { start, end }: StoredRemoval): void {
  if (end === undefined && start.length === 0) {
    database.clearSync(); // gives the pages back without a look at them
    return;
  }
  const bounds = end === undefined ? { start } : { start, end };
  // Done when it returns, as in `checkpoint`. The next key overwrites this one.
  for (const key of database.getKeys(bounds)) void database.remove(Buffer.from(key));
}

/** Removes a file that LMDB would not survive reading: it has no checks of its own for that. */
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
