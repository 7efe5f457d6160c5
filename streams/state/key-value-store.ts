import { serializeToBytes, type Serde } from '../../core/index.ts';
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
import { StoreCodec, type LiveEntry } from './codec.ts';
import type { KeyRange, StateEnvironment, StoreChanges } from './environment.ts';
import { keyRange, prefixRange, selectedRange } from './key-range.ts';
import { KeySpace, noHolding } from './key-space.ts';
import type { StoreKind, TaskStore } from './store-kind.ts';
import { KEY_VALUE_READS } from './store-reads.ts';
import { rowInEntry } from './stored-rows.ts';
import { rowsOfWindowedKeys } from './windowed-rows.ts';

/** The newest value of each key. */
export const keyValueKind: StoreKind = {
  title: 'key-value store',
  reads: KEY_VALUE_READS,
  rowsIn: (spec) => rowInEntry(new StoreCodec(spec)),
  asWindowedTable: (store, shape) =>
    rowsOfWindowedKeys(
      store as unknown as ReadOnlyKeyValueStore<Windowed<unknown>, unknown>,
      shape,
    ),
  writes: {
    keyBytes: 0,
    methods: { put: { key: 0, value: 1 }, update: { key: 0, change: 2 } },
  },
  changelogConfig: { cleanupPolicy: 'compact' },
  codec: (spec) => new StoreCodec(spec),
  open: (spec, environment, isNew) => new TaskKeyValueStore(spec, environment, isNew),
};

export function keyValueStore<K, V>(name: string): StoreHandle<KeyValueStore<K, V>> {
  return { name, kind: 'keyValue' };
}

/** A key-value store of a task. */
class TaskKeyValueStore<K, V> implements KeyValueStore<K, V>, TaskStore {
  readonly spec: StoreSpec;
  readonly codec: StoreCodec<unknown, unknown>;
  readonly #space: KeySpace<K, V>;
  readonly #holding = noHolding<K, V>();
  /** A changelog's values carry a timestamp; those of a topic that is copied are bare. */
  readonly #decode: (value: Buffer) => V;

  constructor(spec: StoreSpec<K, V>, environment: StateEnvironment, isNew: boolean) {
    const codec = new StoreCodec(spec);
    const hasChangelog = typeof spec.backing === 'string';
    this.#decode = (value) =>
      hasChangelog ? codec.decodeValue(value) : spec.value.deserialize(value, 0, value.length);
    this.spec = spec;
    this.codec = codec as StoreCodec<unknown, unknown>;
    const holding = this.#holding;
    this.#space = new KeySpace({ name: spec.name, codec, environment, isNew, holding });
  }

  get name(): string {
    return this.spec.name;
  }

  get size(): number | undefined {
    return this.#space.isComplete ? this.#space.count : undefined;
  }

  get memoryCount(): number {
    return this.#space.count;
  }

  /** Its entries live until they are deleted. */
  get span(): undefined {
    return undefined;
  }

  get(key: K): V | undefined {
    return this.#space.get(key);
  }

  entry(key: K): StoreEntry<K, V> | undefined {
    return this.#space.entry(key);
  }

  range(from: K | undefined, to: K | undefined): IterableIterator<StoreEntry<K, V>> {
    return this.#space.range(this.#between(from, to));
  }

  reverseRange(from: K | undefined, to: K | undefined): IterableIterator<StoreEntry<K, V>> {
    return this.#space.range(this.#between(from, to), true);
  }

  prefixScan<P = K>(
    prefix: P,
    serde: Pick<Serde<P>, 'serialize'> = this.spec.key,
  ): IterableIterator<StoreEntry<K, V>> {
    return this.#space.range(prefixRange(serializeToBytes(serde as Serde<P>, prefix)));
  }

  all(): IterableIterator<StoreEntry<K, V>> {
    return this.#space.range();
  }

  reverseAll(): IterableIterator<StoreEntry<K, V>> {
    return this.#space.range(undefined, true);
  }

  put(key: K, value: V, timestampMs: number): void {
    this.#space.put(key, value, timestampMs);
  }

  delete(key: K, timestampMs: number): void {
    this.#space.put(key, undefined, timestampMs);
  }

  update(key: K, timestampMs: number, change: (value: V | undefined) => V | undefined): void {
    this.#space.update(key, timestampMs, change);
  }

  *entries(): IterableIterator<readonly [K, V]> {
    for (const { key, value } of this.#space.all()) yield [key, value as V];
  }

  holdChanges(onHeld?: OnHeld<K, V>): void {
    this.#holding.isListed = true;
    this.#holding.onHeld = onHeld;
  }

  keepBefore(): void {
    this.#holding.keepsBefore = true;
  }

  hold(key: K, before: PassedRow<V> | undefined, timestampMs: number): void {
    this.#space.hold(key, before, timestampMs);
  }

  passChanges(visit: OnHeld<K, V>): void {
    this.#space.passChanges(visit);
  }

  getPassed(key: K): PassedRow<V> | undefined {
    return this.#space.getPassed(key);
  }

  passedRows(keys: KeySelection<K, unknown>, isReverse: boolean): Generator<TableRow<K, V>> {
    return this.#space.passedRows(selectedRange(this.spec.key as Serde<K>, keys), isReverse);
  }

  takeChanged(visit: (entry: LiveEntry<unknown, unknown>) => void): number {
    return this.#space.takeChanged(visit);
  }

  takePending(): StoreChanges {
    return this.#space.takePending();
  }

  restore(key: Buffer, value: Buffer | undefined, timestampMs: number): void {
    this.#space.restore(key, value && this.#decode(value), timestampMs);
  }

  expire(): void {
    // nothing expires
  }

  shrinkTo(count: number): void {
    this.#space.shrinkTo(count);
  }

  #between(from: K | undefined, to: K | undefined): KeyRange {
    return keyRange((key) => this.#space.keyBytes(key), from, to);
  }
}
