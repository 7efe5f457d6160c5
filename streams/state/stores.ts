import type { KeyValueStore, StoreEntry, StoreSpec, WindowStore } from '../topology/store.ts';
import { decodeWindowStart, StoreCodec, windowBounds, type LiveEntry } from './codec.ts';
import type { StateEnvironment, StoreChanges, StoredChange, StoredRemoval } from './environment.ts';
import { KeySpace } from './key-space.ts';

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
}

/** A key-value store of a task. */
export class TaskKeyValueStore<K, V> implements KeyValueStore<K, V>, TaskStore {
  readonly spec: StoreSpec;
  readonly codec: StoreCodec<unknown, unknown>;
  readonly #space: KeySpace<K, V>;
  /** A changelog's values carry a timestamp; those of a table's own topic are bare. */
  readonly #decode: (value: Buffer) => V;

  constructor(spec: StoreSpec<K, V>, environment: StateEnvironment, isNew: boolean) {
    const codec = new StoreCodec(spec);
    const hasChangelog = spec.backing === 'changelog';
    this.#decode = (value) =>
      hasChangelog ? codec.decodeValue(value) : spec.value.deserialize(value, 0, value.length);
    this.spec = spec;
    this.codec = codec as StoreCodec<unknown, unknown>;
    this.#space = new KeySpace({ name: spec.name, codec, environment, isNew });
  }

  get name(): string {
    return this.spec.name;
  }

  get size(): number | undefined {
    return this.#space.isComplete ? this.#space.count : undefined;
  }

  get(key: K): V | undefined {
    return this.#space.get(key);
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

  changed(): Iterable<StoreEntry<K, V>> {
    return this.#space.changed();
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

  shrinkTo(count: number): void {
    this.#space.shrinkTo(count);
  }
}

/** A window store of a task: a key space for each window. */
export class TaskWindowStore<K, V> implements WindowStore<K, V>, TaskStore {
  readonly spec: StoreSpec;
  readonly codec: StoreCodec<unknown, unknown>;
  readonly #codec: StoreCodec<K, V>;
  readonly #environment: StateEnvironment;
  readonly #windows = new Map<number, KeySpace<K, V>>();
  /** The starts of `#windows`, ascending. */
  #starts: number[] = [];
  /** The window of the last update, most often also of the next one; a map lookup costs more. */
  #current: { readonly startMs: number; readonly space: KeySpace<K, V> } | undefined;
  /**
   * The start of the newest window that held entries since the task's start; -Infinity for none.
   */
  newestStartMs = -Infinity;
  /** Windows with entries that may be in a checkpoint. */
  readonly #checkpointed = new Set<number>();
  /** Dropped windows that the next checkpoint removes. */
  readonly #dropped = new Set<number>();

  constructor(spec: StoreSpec<K, V>, environment: StateEnvironment, isNew: boolean) {
    this.#codec = new StoreCodec(spec);
    this.spec = spec;
    this.codec = this.#codec as StoreCodec<unknown, unknown>;
    this.#environment = environment;
    if (isNew) return;
    for (const startMs of this.#storedWindows()) {
      this.#checkpointed.add(startMs);
      this.#begin(startMs);
    }
  }

  get name(): string {
    return this.spec.name;
  }

  /** Entries in memory, of all windows. */
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

  windowStarts(): number[] {
    return [...this.#starts];
  }

  window(windowStartMs: number): Iterable<StoreEntry<K, V>> {
    return this.#windows.get(windowStartMs)?.all() ?? [];
  }

  changed(windowStartMs: number): Iterable<StoreEntry<K, V>> {
    return this.#windows.get(windowStartMs)?.changed() ?? [];
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
    const changes: (StoredChange | StoredRemoval)[] = [];
    if (this.#dropped.size > 0 && this.#checkpointed.size === 0) changes.push(ALL);
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

  #begin(windowStartMs: number): KeySpace<K, V> {
    const isNew = !this.#checkpointed.has(windowStartMs);
    const { name } = this;
    const window = new KeySpace({
      name,
      codec: this.#codec,
      environment: this.#environment,
      windowStartMs,
      isNew,
    });
    this.#windows.set(windowStartMs, window);
    this.newestStartMs = Math.max(this.newestStartMs, windowStartMs);
    let index = this.#starts.length;
    while (index > 0 && this.#starts[index - 1]! > windowStartMs) index--;
    this.#starts.splice(index, 0, windowStartMs);
    return window;
  }

  /** The windows in the checkpoint, found by jumping from each one's first key to the next. */
  *#storedWindows(): Generator<number> {
    let from = Buffer.alloc(0);
    for (;;) {
      let found: number | undefined;
      for (const { key } of this.#environment.range(this.name, from, undefined)) {
        found = decodeWindowStart(key);
        break;
      }
      if (found === undefined) return;
      yield found;
      from = Buffer.from(windowBounds(found).end);
    }
  }
}

const ALL: StoredRemoval = { start: Buffer.alloc(0), end: undefined };
