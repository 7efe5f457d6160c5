import { int64, type Serde } from '../../core/index.ts';
import { assert } from '../../core/internal.ts';
import type {
  KeyVersion,
  ReadOnlyVersionedStore,
  StoreHandle,
  StoreSpec,
  VersionedPut,
  VersionedStore,
  VersionOf,
} from '../topology/store.ts';
import { StoreCodec, unpinned, type KeyPrefix, type LiveEntry } from './codec.ts';
import type { KeyRange, StateEnvironment, StoreChanges, StoredChange } from './environment.ts';
import { keyRange, selectedRange } from './key-range.ts';
import { checkTime, KeySpace } from './key-space.ts';
import type { StoreKind, TaskStore } from './store-kind.ts';
import { VERSIONED_READS } from './store-reads.ts';
import { newestRows } from './versioned-rows.ts';
import { versionsSerde, type StoredVersion } from './versions.ts';

const INT64 = int64();
const TIME_BYTES = 8;

/*
 * The keys of a checkpoint begin with a byte:
 *
 *     0 key                 the versions of the key
 *     1 time i64 key        the key was deleted at that time: it is forgotten when that is history
 *     2                     the newest time
 */
const ROWS: KeyRange = { start: Buffer.from([0]), end: Buffer.from([1]) };
const DELETION = 1;
const NEWEST_KEY = Buffer.from([2]);
const NOTHING = Buffer.from([0]);

const ROW_PREFIX: KeyPrefix = {
  sizeBytes: 1,
  write: (target, position) => {
    target[position] = 0;
  },
};

/** The versions of each key, as far back as the history goes. */
export const versionedKind: StoreKind = {
  title: 'versioned store',
  reads: VERSIONED_READS,
  rowsIn: (spec) => {
    const codec = codecOf(spec);
    return (bytes, versions) => {
      const latest = codec.decodeValue(versions).at(-1);
      if (latest?.value === undefined) return [];
      const { value, timestampMs } = latest;
      return [{ key: codec.decodeKey(bytes), value, timestampMs }];
    };
  },
  asTable: (store) => newestRows(store as unknown as ReadOnlyVersionedStore<unknown, unknown>),
  writes: { keyBytes: ROW_PREFIX.sizeBytes, methods: { put: { key: 0, value: 1 } } },
  // A key's record has all its versions, so the newest of each key is enough.
  changelogConfig: { cleanupPolicy: 'compact' },
  codec: (spec) => codecOf(spec),
  open: (spec, environment, isNew) => new TaskVersionedStore(spec, environment, isNew),
};

export function versionedStore<K, V>(name: string): StoreHandle<VersionedStore<K, V>> {
  return { name, kind: 'versioned' };
}

function codecOf<K, V>(spec: StoreSpec<K, V>): StoreCodec<K, StoredVersion<V>[]> {
  return new StoreCodec({ ...spec, value: versionsSerde(spec.value) }, ROW_PREFIX);
}

/**
 * A versioned store of a task: a list of versions for each key, oldest first. What is history
 * counts by the newest time ever put, as in RocksDBVersionedStore.java: that comes back from
 * checkpoint and changelog, so a restart decides as before.
 */
class TaskVersionedStore<K, V> implements VersionedStore<K, V>, TaskStore {
  readonly spec: StoreSpec;
  readonly codec: StoreCodec<unknown, unknown>;
  readonly #codec: StoreCodec<K, StoredVersion<V>[]>;
  readonly #environment: StateEnvironment;
  readonly #space: KeySpace<K, StoredVersion<V>[]>;
  readonly #historyMs: number;
  #newestMs = -Infinity;
  /** Keys deleted since the last checkpoint, and when. */
  #deleted: { readonly key: K; readonly timestampMs: number }[] = [];
  /** What `#insert` puts, and whether that is the latest of its key: saves a closure a put. */
  #version!: StoredVersion<V>;
  #isLatest = false;

  constructor(spec: StoreSpec<K, V>, environment: StateEnvironment, isNew: boolean) {
    const { name, historyMs } = spec;
    assert(historyMs !== undefined, 'a versioned store knows how far back its history goes');
    this.spec = spec;
    this.#historyMs = historyMs;
    this.#environment = environment;
    this.#codec = codecOf(spec);
    this.codec = this.#codec;
    const codec = this.#codec;
    this.#space = new KeySpace({ name, codec, environment, isNew, bounds: ROWS });
    const newest = isNew ? undefined : environment.get(name, NEWEST_KEY);
    if (newest !== undefined) this.#newestMs = INT64.deserialize(newest, 0, TIME_BYTES);
  }

  get name(): string {
    return this.spec.name;
  }

  /** Deleted keys are among those in memory. */
  get size(): undefined {
    return undefined;
  }

  get memoryCount(): number {
    return this.#space.count;
  }

  /** A key's latest version lives until it is deleted. */
  get span(): undefined {
    return undefined;
  }

  put(key: K, value: V | null, timestampMs: number): VersionedPut {
    if (!Number.isSafeInteger(timestampMs)) checkTime(this.name, timestampMs);
    if (timestampMs < this.#historyStartMs) return 'expired';
    if (timestampMs > this.#newestMs) this.#newestMs = timestampMs;
    this.#version = { timestampMs, value: unpinned(value) ?? undefined };
    this.#space.update(key, timestampMs, this.#insert);
    if (!this.#isLatest) return 'past';
    if (value === null) this.#deleted.push({ key, timestampMs });
    return 'latest';
  }

  get(key: K, asOfMs?: number): V | undefined {
    return this.#find(this.#space.get(key), asOfMs)?.value;
  }

  getVersion(key: K, asOfMs?: number): VersionOf<V> | undefined {
    return this.#versionAt(this.#space.get(key), asOfMs);
  }

  history(key: K, fromMs?: number, toMs?: number): Generator<VersionOf<V>> {
    return this.#history(key, false, fromMs, toMs);
  }

  backwardHistory(key: K, fromMs?: number, toMs?: number): Generator<VersionOf<V>> {
    return this.#history(key, true, fromMs, toMs);
  }

  range(from?: K, to?: K, asOfMs?: number): Generator<KeyVersion<K, V>> {
    return this.#range(this.#between(from, to), false, asOfMs);
  }

  reverseRange(from?: K, to?: K, asOfMs?: number): Generator<KeyVersion<K, V>> {
    return this.#range(this.#between(from, to), true, asOfMs);
  }

  prefixScan<P = K>(
    prefix: P,
    asOfMs?: number,
    serde?: Pick<Serde<P>, 'serialize'>,
  ): Generator<KeyVersion<K, V>> {
    const keys = { prefix, ...(serde && { serde }) };
    const { start, end } = selectedRange(this.spec.key as Serde<K>, keys);
    const rows = {
      start: Buffer.concat([ROWS.start, start]),
      end: end === undefined ? ROWS.end : Buffer.concat([ROWS.start, end]),
    };
    return this.#range(rows, false, asOfMs);
  }

  *entries(): IterableIterator<readonly [K, V]> {
    for (const { key, value: versions } of this.#space.all()) {
      const value = versions?.at(-1)?.value;
      if (value !== undefined) yield [key, value];
    }
  }

  takeChanged(visit: (entry: LiveEntry<unknown, unknown>) => void): number {
    return this.#space.takeChanged(visit);
  }

  takePending(): StoreChanges {
    const changes: StoredChange[] = [...this.#space.takePending()];
    for (const { key, timestampMs } of this.#deleted) {
      changes.push({ key: this.#deletionKey(key, timestampMs), value: NOTHING });
    }
    this.#deleted = [];
    if (this.#newestMs !== -Infinity) {
      changes.push({ key: NEWEST_KEY, value: timeBytes(this.#newestMs) });
    }
    for (const key of this.#forgetDeleted()) changes.push({ key, value: undefined });
    return changes;
  }

  restore(keyBytes: Buffer, valueBytes: Buffer | undefined, timestampMs: number): void {
    const versions = valueBytes && this.#codec.decodeValue(valueBytes);
    this.#space.restore(keyBytes, versions, timestampMs);
    const latest = versions?.at(-1);
    if (latest === undefined) return;
    this.#newestMs = Math.max(this.#newestMs, latest.timestampMs);
    if (latest.value !== undefined) return;
    const key = this.#codec.decodeKey(Buffer.from(keyBytes));
    this.#deleted.push({ key, timestampMs: latest.timestampMs });
  }

  expire(): void {
    // its own puts decide what is history
  }

  shrinkTo(count: number): void {
    this.#space.shrinkTo(count);
  }

  /** The oldest time at which the table can still be read. */
  get #historyStartMs(): number {
    return this.#newestMs - this.#historyMs;
  }

  #versionAt(
    versions: readonly StoredVersion<V>[] = [],
    asOfMs?: number,
  ): VersionOf<V> | undefined {
    const found = this.#find(versions, asOfMs);
    if (found?.value === undefined) return undefined;
    const next = versions[versions.indexOf(found) + 1];
    const { value, timestampMs } = found;
    return { value, timestampMs, validToMs: next?.timestampMs ?? Infinity };
  }

  *#history(
    key: K,
    isReverse: boolean,
    fromMs = -Infinity,
    toMs = Infinity,
  ): Generator<VersionOf<V>> {
    const versions = this.#space.get(key) ?? [];
    const earliestMs = Math.max(fromMs, this.#historyStartMs);
    const found: VersionOf<V>[] = [];
    for (const [index, { value, timestampMs }] of versions.entries()) {
      const next = versions[index + 1];
      const validToMs = next?.timestampMs ?? Infinity;
      if (value === undefined || timestampMs > toMs || validToMs <= earliestMs) continue;
      // The latest version never becomes history.
      if (next === undefined || earliestMs <= toMs) found.push({ value, timestampMs, validToMs });
    }
    yield* isReverse ? found.reverse() : found;
  }

  *#range(keys: KeyRange, isReverse: boolean, asOfMs?: number): Generator<KeyVersion<K, V>> {
    for (const { key, value: versions } of this.#space.range(keys, isReverse)) {
      const version = this.#versionAt(versions, asOfMs);
      if (version !== undefined) yield { key, ...version };
    }
  }

  #between(from: K | undefined, to: K | undefined): KeyRange {
    return keyRange((key) => this.#space.keyBytes(key), from, to, ROWS);
  }

  /** The version at a time, which may be a deletion. */
  #find(
    versions: readonly StoredVersion<V>[] | undefined,
    asOfMs = Infinity,
  ): StoredVersion<V> | undefined {
    if (versions === undefined) return undefined;
    const latest = versions.at(-1);
    // The latest version never becomes history.
    if (latest === undefined || latest.timestampMs <= asOfMs) return latest;
    if (asOfMs < this.#historyStartMs) return undefined;
    return versions.findLast(({ timestampMs }) => timestampMs <= asOfMs);
  }

  /** Inserts `#version` into a list, or replaces that of its time, and drops what is history. */
  readonly #insert = (versions: StoredVersion<V>[] = []): StoredVersion<V>[] => {
    const { timestampMs } = this.#version;
    let index = versions.length;
    while (index > 0 && versions[index - 1]!.timestampMs > timestampMs) index--;
    this.#isLatest = index === versions.length;
    const isSame = versions[index - 1]?.timestampMs === timestampMs;
    versions.splice(isSame ? index - 1 : index, isSame ? 1 : 0, this.#version);
    // A version is needed as long as the next one began within the history.
    while (versions[1] !== undefined && versions[1].timestampMs <= this.#historyStartMs) {
      versions.shift();
    }
    return versions;
  };

  /**
   * Forgets keys whose deletion is history, and yields the keys of what the checkpoint has of that.
   * The rows are removed by the next commit; only then a checkpoint removes the note that leads
   * here, so that a crash in between leaves it.
   */
  *#forgetDeleted(): Generator<Buffer> {
    const [start, end] = [Buffer.from([DELETION, ...timeBytes(0)]), Buffer.alloc(1 + TIME_BYTES)];
    const historyStartMs = this.#historyStartMs;
    if (!(historyStartMs >= 0)) return;
    end[0] = DELETION;
    INT64.serialize(historyStartMs + 1, end, 1);
    for (const { key: noteKey } of this.#environment.range(this.name, start, end)) {
      const rowKey = Buffer.concat([ROWS.start, noteKey.subarray(1 + TIME_BYTES)]);
      const key = this.#codec.decodeKey(rowKey);
      const latest = this.#space.get(key)?.at(-1);
      const isHistory = latest?.value === undefined && (latest?.timestampMs ?? 0) <= historyStartMs;
      if (latest !== undefined && isHistory) {
        this.#space.put(key, undefined, latest.timestampMs);
      } else {
        yield noteKey; // forgotten, or it has come again
      }
    }
  }

  #deletionKey(key: K, timestampMs: number): Buffer {
    const row = this.#codec.encodeKey({
      ...{ key, windowStartMs: undefined, value: undefined, timestampMs },
    });
    return Buffer.concat([Buffer.from([DELETION]), timeBytes(timestampMs), row.subarray(1)]);
  }
}

function timeBytes(timeMs: number): Buffer {
  const bytes = Buffer.alloc(TIME_BYTES);
  INT64.serialize(timeMs, bytes, 0);
  return bytes;
}
