import { mkdirSync, rmSync } from 'node:fs';
import { open, type Database, type RootDatabase } from 'lmdb';
import { present } from '../../core/index.ts';
import { StreamsError } from '../errors.ts';
import type { StateEnvironment, StateMeta, StoredChange } from './environment.ts';

const META_DATABASE = 'meta';
const META_KEY = Buffer.from('meta');

/**
 * The layout of stores in LMDB. A checkpoint of another version is thrown away and the state is read
 * back from the changelog.
 */
export const STATE_FORMAT_VERSION = 1;

/**
 * Checkpoints in LMDB: one environment a task, a database each store, and `meta` beside them, so that
 * state and changelog offset change in one transaction.
 *
 * LMDB syncs behind each commit ("overlapping sync"): nothing is waited for, a process that is killed
 * loses nothing, and after a power cut the newest checkpoint that was synced stands.
 */
export class LmdbEnvironment implements StateEnvironment {
  readonly directory: string;
  readonly #storeNames: readonly string[];
  #root: RootDatabase<Buffer, Buffer>;
  #databases: Map<string, Database<Buffer, Buffer>>;

  private constructor(directory: string, storeNames: readonly string[]) {
    this.directory = directory;
    this.#storeNames = storeNames;
    [this.#root, this.#databases] = openEnvironment(directory, storeNames);
  }

  /**
   * Opens the environment in `directory`, making it where there is none.
   *
   * @throws StreamsError STATE_CORRUPT when LMDB cannot open what is there.
   */
  static open(directory: string, storeNames: readonly string[]): LmdbEnvironment {
    return new LmdbEnvironment(directory, storeNames);
  }

  readMeta(): StateMeta | undefined {
    const bytes = this.#database(META_DATABASE).getBinary(META_KEY);
    if (bytes === undefined) return undefined;
    const meta = JSON.parse(bytes.toString('utf8')) as StateMeta;
    return meta.formatVersion === STATE_FORMAT_VERSION ? meta : undefined;
  }

  get(store: string, key: Buffer): Buffer | undefined {
    return this.#database(store).getBinaryFast(key);
  }

  *range(
    store: string,
    start: Buffer,
    end: Buffer | undefined,
  ): Iterable<{ readonly key: Buffer; readonly value: Buffer }> {
    const bounds = end === undefined ? { start } : { start, end };
    for (const { key, value } of this.#database(store).getRange(bounds)) yield { key, value };
  }

  checkpoint(changes: ReadonlyMap<string, readonly StoredChange[]>, meta: StateMeta): void {
    // Synchronous: of LMDB's ways to write, this is the one that rolls back when something throws.
    this.#root.transactionSync(() => {
      for (const [store, changed] of changes) {
        const database = this.#database(store);
        for (const { key, value } of changed) {
          // Inside the transaction both calls are done when they return; the promises say nothing more.
          if (value === undefined) void database.remove(key);
          else void database.put(key, value);
        }
      }
      void this.#database(META_DATABASE).put(META_KEY, Buffer.from(JSON.stringify(meta)));
    });
  }

  async clear(): Promise<void> {
    await this.#root.close();
    rmSync(this.directory, { recursive: true, force: true });
    [this.#root, this.#databases] = openEnvironment(this.directory, this.#storeNames);
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

function openEnvironment(
  directory: string,
  storeNames: readonly string[],
): [RootDatabase<Buffer, Buffer>, Map<string, Database<Buffer, Buffer>>] {
  try {
    mkdirSync(directory, { recursive: true });
    const names = [META_DATABASE, ...storeNames];
    const root = open<Buffer, Buffer>({ path: directory, ...BINARY, maxDbs: names.length + 1 });
    const databases = names.map((name) => [name, root.openDB<Buffer, Buffer>({ name, ...BINARY })]);
    return [root, new Map(databases as [string, Database<Buffer, Buffer>][])];
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `the state in ${directory} cannot be opened: ${reason}; remove the directory to rebuild it`;
    throw new StreamsError('STATE_CORRUPT', message, { directory, reason }, { cause });
  }
}
