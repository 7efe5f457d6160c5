import { int64, type Serde } from '../../core/index.ts';
import type {
  KeySelection,
  OnHeld,
  PassedRow,
  ReadOnlyWindowStore,
  StoreEntry,
  StoreHandle,
  StoreSpec,
  TableRow,
  WindowStore,
} from '../topology/store.ts';
import { StoreCodec, type KeyPrefix, type LiveEntry } from './codec.ts';
import {
  firstKeys,
  type KeyRange,
  type StateEnvironment,
  type StoreChanges,
  type StoredChange,
} from './environment.ts';
import { ALL_KEYS, selectedRange } from './key-range.ts';
import { KeySpace, noHolding } from './key-space.ts';
import { insert } from './sorted-list.ts';
import type { StoreKind, StoreSpan, TaskStore } from './store-kind.ts';
import { WINDOW_READS } from './store-reads.ts';
import { rowInEntry } from './stored-rows.ts';
import { rowsOfWindows } from './windowed-rows.ts';

const INT64 = int64();
const WINDOW_BYTES = 8;
/** With this bit inverted, the bytes of signed numbers sort as the numbers do. */
const SIGN_BIT = 0x80;
const SIGN_BIAS = SIGN_BIT * 0x100_0000;
const HIGH = 0x1_0000_0000;

/**
 * Before each key: the start of its window as i64 with the sign bit inverted. So a window's entries
 * are adjacent, and windows are in order of time.
 */
const WINDOW_PREFIX: KeyPrefix = {
  sizeBytes: WINDOW_BYTES,
  write: (target, position, { windowStartMs = 0 }) =>
    writeWindowStart(target, position, windowStartMs),
};

/** A value for each key and window. */
export const windowKind: StoreKind = {
  title: 'window store',
  reads: WINDOW_READS,
  rowsIn: (spec) => {
    const rowsIn = rowInEntry(new StoreCodec(spec, WINDOW_PREFIX));
    return (key, value) => {
      const startMs = decodeWindowStart(key);
      return rowsIn(key, value).map((row) => ({ ...row, startMs }));
    };
  },
  asWindowedTable: (store, shape) =>
    rowsOfWindows(store as unknown as ReadOnlyWindowStore<unknown, unknown>, shape),
  writes: {
    keyBytes: WINDOW_BYTES,
    methods: { put: { key: 0, value: 2 }, update: { key: 0, change: 3 } },
  },
  // Retention deletes whole segments once their windows have closed.
  changelogConfig: { cleanupPolicy: 'delete' },
  codec: (spec) => new StoreCodec(spec, WINDOW_PREFIX),
  open: (spec, environment, isNew) => new TaskWindowStore(spec, environment, isNew),
};

export function windowStore<K, V>(name: string): StoreHandle<WindowStore<K, V>> {
  return { name, kind: 'window' };
}

/** A window store of a task: a key space for each window. */
export class TaskWindowStore<K, V> implements WindowStore<K, V>, TaskStore {
  readonly spec: StoreSpec;
  readonly codec: StoreCodec<unknown, unknown>;
  readonly #key: Serde<K>;
  readonly #codec: StoreCodec<K, V>;
  readonly #environment: StateEnvironment;
  readonly #windows = new Map<number, KeySpace<K, V>>();
  readonly #holding = noHolding<K, V>();
  /** The starts of `#windows`, ascending: replaced or changed in place with each window. */
  #starts: number[] = [];
  /** The window of the last update, most often also of the next one; a map lookup costs more. */
  #current: { readonly startMs: number; readonly space: KeySpace<K, V> } | undefined;
  /** The start of the newest window that held entries since the task's start. */
  #newestStartMs = -Infinity;
  /** The time of the last `expire`: a restart calls it with that of the last commit. */
  #expiredMs = -Infinity;
  /** Windows with entries that may be in a checkpoint. */
  readonly #checkpointed = new Set<number>();
  /** Dropped windows that the next checkpoint removes. */
  readonly #dropped = new Set<number>();

  constructor(spec: StoreSpec<K, V>, environment: StateEnvironment, isNew: boolean) {
    this.#key = spec.key;
    this.#codec = new StoreCodec(spec, WINDOW_PREFIX);
    this.spec = spec;
    this.codec = this.#codec as StoreCodec<unknown, unknown>;
    this.#environment = environment;
    if (isNew) return;
    const endOf = (key: Buffer): Buffer => windowBounds(decodeWindowStart(key)).end;
    for (const key of firstKeys(environment, spec.name, endOf)) {
      const startMs = decodeWindowStart(key);
      this.#checkpointed.add(startMs);
      this.#begin(startMs);
    }
  }

  get name(): string {
    return this.spec.name;
  }

  get span(): StoreSpan {
    return { oldestMs: this.#starts[0] ?? Infinity, newestMs: this.#newestStartMs };
  }

  /** The starts of its windows, ascending; not a copy. */
  get starts(): readonly number[] {
    return this.#starts;
  }

  get memoryCount(): number {
    let count = 0;
    for (const window of this.#windows.values()) count += window.count;
    return count;
  }

  get(key: K, windowStartMs: number): V | undefined {
    return this.#windows.get(windowStartMs)?.get(key);
  }

  update(
    key: K,
    windowStartMs: number,
    timestampMs: number,
    change: (value: V | undefined) => V | undefined,
  ): void {
    let current = this.#current;
    if (current?.startMs !== windowStartMs) {
      const space = this.#windows.get(windowStartMs) ?? this.#begin(windowStartMs);
      this.#current = current = { startMs: windowStartMs, space };
    }
    current.space.update(key, timestampMs, change);
  }

  getPassed(key: K, windowStartMs: number): PassedRow<V> | undefined {
    return this.#windows.get(windowStartMs)?.getPassed(key);
  }

  put(key: K, windowStartMs: number, value: V, timestampMs: number): void {
    const space = this.#windows.get(windowStartMs) ?? this.#begin(windowStartMs);
    space.put(key, value, timestampMs);
  }

  delete(key: K, windowStartMs: number, timestampMs: number): void {
    this.#windows.get(windowStartMs)?.put(key, undefined, timestampMs);
  }

  entry(key: K, windowStartMs: number): StoreEntry<K, V> | undefined {
    return this.#windows.get(windowStartMs)?.entry(key);
  }

  *fetch(key: K, fromMs: number, toMs: number): IterableIterator<StoreEntry<K, V>> {
    for (const startMs of this.#startsWithin(fromMs, toMs)) {
      const entry = this.entry(key, startMs);
      if (entry !== undefined) yield entry;
    }
  }

  *backwardFetch(key: K, fromMs: number, toMs: number): IterableIterator<StoreEntry<K, V>> {
    for (const startMs of this.#startsWithin(fromMs, toMs).reverse()) {
      const entry = this.entry(key, startMs);
      if (entry !== undefined) yield entry;
    }
  }

  *fetchAll<P = K>(
    fromMs: number,
    toMs: number,
    keys: KeySelection<K, P> = {},
  ): IterableIterator<StoreEntry<K, V>> {
    const range = selectedRange(this.#key, keys);
    for (const startMs of this.#startsWithin(fromMs, toMs)) {
      yield* this.rangeIn(startMs, range, false);
    }
  }

  *backwardFetchAll<P = K>(
    fromMs: number,
    toMs: number,
    keys: KeySelection<K, P> = {},
  ): IterableIterator<StoreEntry<K, V>> {
    const range = selectedRange(this.#key, keys);
    for (const startMs of this.#startsWithin(fromMs, toMs).reverse()) {
      yield* this.rangeIn(startMs, range, true);
    }
  }

  all(): IterableIterator<StoreEntry<K, V>> {
    return this.fetchAll(-Infinity, Infinity);
  }

  backwardAll(): IterableIterator<StoreEntry<K, V>> {
    return this.backwardFetchAll(-Infinity, Infinity);
  }

  windowStarts(): number[] {
    return [...this.#starts];
  }

  window(windowStartMs: number): Iterable<StoreEntry<K, V>> {
    return this.#windows.get(windowStartMs)?.sorted() ?? [];
  }

  /** The entries of one window whose keys are in a range of bytes, in their order or against it. */
  rangeIn(
    windowStartMs: number,
    keys: KeyRange,
    isReverse: boolean,
  ): IterableIterator<StoreEntry<K, V>> {
    const range = rangeWithin(windowStartMs, keys);
    return this.#windows.get(windowStartMs)?.range(range, isReverse) ?? [].values();
  }

  /** The same as they were passed on. */
  passedIn(
    windowStartMs: number,
    keys: KeyRange,
    isReverse: boolean,
  ): IterableIterator<TableRow<K, V>> {
    const range = rangeWithin(windowStartMs, keys);
    return this.#windows.get(windowStartMs)?.passedRows(range, isReverse) ?? [].values();
  }

  passedRows(windowStartMs: number): IterableIterator<TableRow<K, V>> {
    return this.passedIn(windowStartMs, ALL_KEYS, false);
  }

  visit(windowStartMs: number, visit: (entry: StoreEntry<K, V>) => void): void {
    this.#windows.get(windowStartMs)?.visit(visit);
  }

  holdChanges(onHeld?: OnHeld<K, V>): void {
    this.#holding.isListed = true;
    this.#holding.onHeld = onHeld;
  }

  keepBefore(): void {
    this.#holding.keepsBefore = true;
  }

  hold(key: K, windowStartMs: number, before: PassedRow<V> | undefined, timestampMs: number): void {
    // A window whose rows are all deleted is in no checkpoint, and its deletions may still wait.
    const isMissing = !this.#windows.has(windowStartMs) && this.#isAlive(windowStartMs);
    const space = isMissing ? this.#begin(windowStartMs) : this.#windows.get(windowStartMs);
    space?.hold(key, before, timestampMs);
  }

  passChanges(windowStartMs: number, visit: OnHeld<K, V>): void {
    this.#windows.get(windowStartMs)?.passChanges(visit);
  }

  drop(windowStartMs: number): void {
    this.#windows.delete(windowStartMs);
    this.#current = undefined;
    this.#starts = this.#starts.filter((start) => start !== windowStartMs);
    // The changelog needs no record of it: a restore knows stream time and skips closed windows.
    if (this.#checkpointed.delete(windowStartMs)) this.#dropped.add(windowStartMs);
  }

  takeChanged(visit: (entry: LiveEntry<unknown, unknown>) => void): number {
    let count = 0;
    for (const window of this.#windows.values()) {
      count += window.takeChanged(visit);
    }
    return count;
  }

  takePending(): StoreChanges {
    const changes: (StoredChange | KeyRange)[] = [];
    if (this.#dropped.size > 0 && this.#checkpointed.size === 0) changes.push(ALL_KEYS);
    else for (const startMs of this.#dropped) changes.push(windowBounds(startMs));
    this.#dropped.clear();
    for (const startMs of this.#starts) {
      const pending = this.#windows.get(startMs)?.takePending() ?? [];
      if (pending.length > 0) this.#checkpointed.add(startMs);
      for (const change of pending) changes.push(change);
    }
    return changes;
  }

  restore(key: Buffer, value: Buffer | undefined, timestampMs: number): void {
    const startMs = decodeWindowStart(key);
    const window = this.#windows.get(startMs) ?? this.#begin(startMs);
    window.restore(key, value && this.#codec.decodeValue(value), timestampMs);
  }

  expire(timeMs: number): void {
    this.#expiredMs = Math.max(this.#expiredMs, timeMs);
    for (const startMs of this.windowStarts()) {
      if (!this.#isAlive(startMs)) this.drop(startMs);
    }
  }

  shrinkTo(count: number): void {
    let excess = this.memoryCount - count;
    for (const startMs of this.#starts) {
      if (excess <= 0) return;
      const window = this.#windows.get(startMs);
      if (window === undefined) continue;
      const before = window.count;
      window.shrinkTo(Math.max(0, before - excess));
      excess -= before - window.count;
    }
  }

  /** False for a window that expires at the time that the store knows of. */
  #isAlive(windowStartMs: number): boolean {
    return windowStartMs + (this.spec.expiry?.lifeMs ?? Infinity) > this.#expiredMs;
  }

  #startsWithin(fromMs: number, toMs: number): number[] {
    return this.#starts.filter((startMs) => startMs >= fromMs && startMs <= toMs);
  }

  #begin(windowStartMs: number): KeySpace<K, V> {
    const isNew = !this.#checkpointed.has(windowStartMs);
    const { name } = this;
    const window = new KeySpace({
      name,
      codec: this.#codec,
      environment: this.#environment,
      windowStartMs,
      bounds: windowBounds(windowStartMs),
      isNew,
      holding: this.#holding,
    });
    this.#windows.set(windowStartMs, window);
    this.#newestStartMs = Math.max(this.#newestStartMs, windowStartMs);
    insert(this.#starts, windowStartMs);
    return window;
  }
}

/** The start of a windowed key's bytes. */
function decodeWindowStart(bytes: Buffer): number {
  const high = bytes.readUInt32BE(0) - SIGN_BIAS;
  return high * HIGH + bytes.readUInt32BE(4);
}

/** The bytes before and after all keys of a window. */
function windowBounds(windowStartMs: number): KeyRange & { readonly end: Buffer } {
  const [start, end] = [Buffer.alloc(WINDOW_BYTES), Buffer.alloc(WINDOW_BYTES)];
  writeWindowStart(start, 0, windowStartMs);
  writeWindowStart(end, 0, windowStartMs + 1);
  return { start, end };
}

/** The keys of a window within a range of keys. */
function rangeWithin(windowStartMs: number, { start, end }: KeyRange): KeyRange {
  const bounds = windowBounds(windowStartMs);
  return {
    start: Buffer.concat([bounds.start, start]),
    end: end === undefined ? bounds.end : Buffer.concat([bounds.start, end]),
  };
}

function writeWindowStart(target: Buffer, position: number, windowStartMs: number): void {
  INT64.serialize(windowStartMs, target, position);
  target[position]! ^= SIGN_BIT;
}
