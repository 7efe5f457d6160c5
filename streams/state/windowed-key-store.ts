import { serializeToBytes, type Serde } from '../../core/index.ts';
import { present } from '../../core/internal.ts';
import type {
  KeySelection,
  KeyValueStore,
  OnHeld,
  PassedRow,
  ReadOnlyKeyValueStore,
  StoreEntry,
  StoreHandle,
  StoreSpec,
  TableRow,
} from '../topology/store.ts';
import type { Windowed } from '../topology/windows.ts';
import type { LiveEntry, StoreCodec } from './codec.ts';
import type { KeyRange, StateEnvironment, StoreChanges } from './environment.ts';
import { ALL_KEYS, keyRange, prefixRange, selectedRange } from './key-range.ts';
import { mergeLists } from './merge-lists.ts';
import type { StoreKind, StoreSpan, TaskStore } from './store-kind.ts';
import { KEY_VALUE_READS } from './store-reads.ts';
import { rowInEntry } from './stored-rows.ts';
import { TaskWindowStore, windowKind } from './window-store.ts';
import { rowsOfWindowedKeys } from './windowed-rows.ts';

/** The newest value of each key of a window, until the window has closed. */
export const windowedKeyKind: StoreKind = {
  title: 'key-value store of windows',
  readAs: 'keyValue',
  reads: KEY_VALUE_READS,
  rowsIn: (spec) => rowInEntry(windowKind.codec(spec)),
  asWindowedTable: (store, shape) =>
    rowsOfWindowedKeys(
      store as unknown as ReadOnlyKeyValueStore<Windowed<unknown>, unknown>,
      shape,
    ),
  writes: {
    keyBytes: windowKind.writes.keyBytes,
    methods: { put: { key: 0, value: 1 }, update: { key: 0, change: 2 } },
  },
  changelogConfig: windowKind.changelogConfig,
  codec: (spec) => windowKind.codec(spec),
  open: (spec, environment, isNew) =>
    new TaskWindowedKeyStore(spec as StoreSpec<Windowed<unknown>>, environment, isNew),
};

export function windowedKeyStore<KW, V>(name: string): StoreHandle<WindowedKeyStore<KW, V>> {
  return { name, kind: 'windowedKeyValue' };
}

/** A key-value store with keys of windows, as operators use it. */
export interface WindowedKeyStore<KW, V> extends KeyValueStore<KW, V> {
  /** When the oldest rows expire; Infinity if there are none. */
  readonly expiresMs: number;
  /** As `passChanges`, for the rows that expire by this time. */
  passExpiring(timeMs: number, visit: OnHeld<KW, V>): void;
  /** Removes the rows that have expired, without a record in the changelog. */
  expire(timeMs: number): void;
}

/** What is needed to describe such a store. */
export interface WindowedKeyStoreOptions<KW, V> {
  readonly store: string;
  /** Of keys of windows, as the table tells; its type need not. */
  readonly key: Serde<KW>;
  readonly value: Serde<V>;
  /** The node of the operator whose time counts. */
  readonly node: string;
  /** How far ahead of time windows end, if they are many: those of a row each, as sliding ones. */
  readonly aheadMs?: number;
  /** How long after its end a window may change. */
  readonly lifeMs: number;
}

/** Rows expire in stretches: however long they live, there are only so many at a time. */
const STRETCHES_MAX = 64;

export function windowedKeyStoreSpec<KW, V>(
  options: WindowedKeyStoreOptions<KW, V>,
): StoreSpec<KW, V> {
  const { store, key, value, node, aheadMs = 0, lifeMs } = options;
  const stretchMs = Math.max(1, Math.ceil((aheadMs + lifeMs) / STRETCHES_MAX));
  // A stretch expires with the last row that may be in it.
  const expiry = { lifeMs: stretchMs - 1 + lifeMs, node };
  return { ...windowedKeyStore(store), key, value, backing: 'changelog', expiry, stretchMs };
}

/**
 * Rows of windows, together in stretches of time by the ends of their windows: a window store in
 * which a stretch takes the place of a window.
 */
class TaskWindowedKeyStore<K, V> implements WindowedKeyStore<Windowed<K>, V>, TaskStore {
  readonly spec: StoreSpec;
  readonly codec: StoreCodec<unknown, unknown>;
  readonly #rows: TaskWindowStore<Windowed<K>, V>;
  readonly #key: Serde<Windowed<K>>;
  readonly #stretchMs: number;
  readonly #lifeMs: number;
  /** Counts changes and checkpoints: what was read before one may no longer hold. */
  #changes = 0;
  /** Stretches in which rows may wait to be passed on, if changes are held. */
  readonly #holding = new Set<number>();
  #isHeld = false;

  constructor(spec: StoreSpec<Windowed<K>, V>, environment: StateEnvironment, isNew: boolean) {
    this.#rows = new TaskWindowStore(spec, environment, isNew);
    this.spec = spec;
    this.codec = this.#rows.codec;
    this.#key = spec.key;
    this.#stretchMs = present(spec.stretchMs, 'a store of windowed keys has stretches');
    this.#lifeMs = present(spec.expiry, 'its rows expire').lifeMs;
  }

  get name(): string {
    return this.spec.name;
  }

  get size(): undefined {
    return undefined;
  }

  get memoryCount(): number {
    return this.#rows.memoryCount;
  }

  get span(): StoreSpan {
    return this.#rows.span;
  }

  get expiresMs(): number {
    return (this.#rows.starts[0] ?? Infinity) + this.#lifeMs;
  }

  get(key: Windowed<K>): V | undefined {
    return this.#rows.get(key, this.#stretchOf(key));
  }

  entry(key: Windowed<K>): StoreEntry<Windowed<K>, V> | undefined {
    const entry = this.#rows.entry(key, this.#stretchOf(key));
    return entry && rowOf(entry);
  }

  range(from: Windowed<K> | undefined, to: Windowed<K> | undefined): Rows<K, V> {
    return this.#merged(this.#between(from, to), false);
  }

  reverseRange(from: Windowed<K> | undefined, to: Windowed<K> | undefined): Rows<K, V> {
    return this.#merged(this.#between(from, to), true);
  }

  prefixScan<P = Windowed<K>>(
    prefix: P,
    serde: Pick<Serde<P>, 'serialize'> = this.#key as unknown as Serde<P>,
  ): Rows<K, V> {
    return this.#merged(prefixRange(serializeToBytes(serde as Serde<P>, prefix)), false);
  }

  all(): Rows<K, V> {
    return this.#merged(ALL_KEYS, false);
  }

  reverseAll(): Rows<K, V> {
    return this.#merged(ALL_KEYS, true);
  }

  *entries(): IterableIterator<readonly [Windowed<K>, V]> {
    for (const { key, value } of this.#rows.all()) yield [key, value as V];
  }

  put(key: Windowed<K>, value: V, timestampMs: number): void {
    this.#rows.put(key, this.#changing(key), value, timestampMs);
  }

  delete(key: Windowed<K>, timestampMs: number): void {
    this.#rows.delete(key, this.#changing(key), timestampMs);
  }

  update(
    key: Windowed<K>,
    timestampMs: number,
    change: (value: V | undefined) => V | undefined,
  ): void {
    this.#rows.update(key, this.#changing(key), timestampMs, change);
  }

  holdChanges(onHeld?: OnHeld<Windowed<K>, V>): void {
    this.#isHeld = true;
    this.#rows.holdChanges(onHeld);
  }

  keepBefore(): void {
    this.#rows.keepBefore();
  }

  hold(key: Windowed<K>, before: PassedRow<V> | undefined, timestampMs: number): void {
    this.#rows.hold(key, this.#changing(key), before, timestampMs);
  }

  /** Oldest stretch first. */
  passChanges(visit: OnHeld<Windowed<K>, V>): void {
    this.#changes++;
    const holding = [...this.#holding].sort((a, b) => a - b);
    this.#holding.clear();
    for (const startMs of holding) this.#rows.passChanges(startMs, visit);
  }

  getPassed(key: Windowed<K>): PassedRow<V> | undefined {
    return this.#rows.getPassed(key, this.#stretchOf(key));
  }

  *passedRows(
    keys: KeySelection<Windowed<K>, unknown>,
    isReverse: boolean,
  ): Generator<TableRow<Windowed<K>, V>> {
    const range = selectedRange(this.#key, keys);
    const read = (startMs: number) => this.#rows.passedIn(startMs, range, isReverse);
    for (const { row, changes } of this.#mergedRows(read, isReverse)) {
      const passed = changes === this.#changes ? row : this.getPassed(row.key);
      if (passed === undefined) continue;
      yield { key: row.key, value: passed.value, timestampMs: passed.timestampMs };
    }
  }

  passExpiring(timeMs: number, visit: OnHeld<Windowed<K>, V>): void {
    this.#changes++;
    for (const startMs of this.#rows.starts) {
      if (startMs + this.#lifeMs > timeMs) return;
      this.#rows.passChanges(startMs, visit);
    }
  }

  expire(timeMs: number): void {
    this.#changes++;
    this.#rows.expire(timeMs);
  }

  takeChanged(visit: (entry: LiveEntry<unknown, unknown>) => void): number {
    return this.#rows.takeChanged(visit);
  }

  takePending(): StoreChanges {
    this.#changes++;
    return this.#rows.takePending();
  }

  restore(key: Buffer, value: Buffer | undefined, timestampMs: number): void {
    this.#rows.restore(key, value, timestampMs);
  }

  shrinkTo(count: number): void {
    this.#rows.shrinkTo(count);
  }

  /** The start of the stretch that a window's end is in. */
  #stretchOf({ windowEndMs }: Windowed<K>): number {
    return windowEndMs - (windowEndMs % this.#stretchMs);
  }

  /** The stretch of a row that is about to change. */
  #changing(key: Windowed<K>): number {
    const startMs = this.#stretchOf(key);
    this.#changes++;
    if (this.#isHeld) this.#holding.add(startMs);
    return startMs;
  }

  #between(from: Windowed<K> | undefined, to: Windowed<K> | undefined): KeyRange {
    return keyRange((key) => serializeToBytes(this.#key, key), from, to);
  }

  /** The rows of all stretches in the order of the bytes of their keys, or against it. */
  *#merged(range: KeyRange, isReverse: boolean): Generator<StoreEntry<Windowed<K>, V>> {
    const read = (startMs: number) => this.#rows.rangeIn(startMs, range, isReverse);
    for (const { row, changes } of this.#mergedRows(read, isReverse)) {
      if (changes === this.#changes) {
        yield rowOf(row);
        continue;
      }
      const now = this.entry(row.key);
      if (now !== undefined) yield now;
    }
  }

  #mergedRows<R extends { readonly key: Windowed<K> }>(
    read: (startMs: number) => Iterable<R>,
    isReverse: boolean,
  ): Generator<ReadRow<R>> {
    const lists = this.#rows.starts.map((startMs) => this.#noting(read(startMs)));
    const bytesOf = ({ row }: ReadRow<R>) => serializeToBytes(this.#key, row.key);
    return mergeLists(lists, bytesOf, isReverse);
  }

  *#noting<R>(rows: Iterable<R>): Generator<ReadRow<R>> {
    for (const row of rows) yield { row, changes: this.#changes };
  }
}

/** An entry as it is now, without the stretch that it is kept under. */
function rowOf<K, V>({ key, value, timestampMs }: StoreEntry<K, V>): StoreEntry<K, V> {
  return { key, windowStartMs: undefined, value, timestampMs };
}

type Rows<K, V> = IterableIterator<StoreEntry<Windowed<K>, V>>;

/** A row that was read ahead. */
interface ReadRow<R> {
  readonly row: R;
  /** The changes of the store when it was read. */
  readonly changes: number;
}
