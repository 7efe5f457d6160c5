import { checkArgument, integer } from '../../core/internal.ts';
import type { OnHeld, PassedRow, StoreEntry, TableRow } from '../topology/store.ts';
import {
  byId,
  decodeTimestamp,
  owned,
  unpinned,
  type LiveEntry,
  type StoreCodec,
} from './codec.ts';
import type { StateEnvironment, StoredChange, KeyRange } from './environment.ts';
import { ALL_KEYS, isWithin } from './key-range.ts';
import { mergeReads, SortedEntries, type Sorted } from './sorted-entries.ts';

/** Changed since the last commit: the uncommitted layer. */
const CHANGED = 1;
/** Committed, not yet in a checkpoint: the middle layer. */
const PENDING = 2;
/** The changelog or a checkpoint has a value for the key: deleting it needs a tombstone. */
const KEPT = 4;
/** Changed since it was last passed on. */
const HELD = 8;
/** Listed for the changelog and to be passed on: nothing to note at another change. */
const BOTH = CHANGED | HELD;

/** An entry with its pending work. */
interface Entry<K, V> extends LiveEntry<K, V>, StoreEntry<K, V> {
  readonly key: K;
  value: V | undefined;
  timestampMs: number;
  /** The map key: the key itself, or its bytes as text if it is an object. */
  readonly id: unknown;
  /** Of CHANGED, PENDING, KEPT and HELD. */
  flags: number;
  /** With HELD, if it is kept: what was last passed on; undefined if that was no value. */
  passed: PassedImage<V> | undefined;
}

/** An entry that the checkpoint lacks. */
interface Unstored<K, V> extends Sorted {
  readonly entry: Entry<K, V>;
}

/** A value as it was passed on. */
interface PassedImage<V> {
  readonly value: V | undefined;
  /** Instead of the value, of an object: functions may change that in place. */
  readonly bytes: Buffer | undefined;
  readonly timestampMs: number;
}

/** What an operator holds back: how, and whether it needs to know what it passed on before. */
export interface Holding<K, V> {
  /** Changes with HELD are listed; otherwise nothing is. */
  isListed: boolean;
  keepsBefore: boolean;
  onHeld: OnHeld<K, V> | undefined;
}

/**
 * The live entries of a store, or of one window of it, in three layers that share the objects: the
 * changes of this transaction, committed changes not yet in a checkpoint, and a cache of the rest.
 * A commit serialises each changed value once; the function given to `update` may change a value in
 * place.
 */
export class KeySpace<K, V> {
  readonly #name: string;
  readonly #codec: StoreCodec<K, V>;
  readonly #environment: StateEnvironment;
  readonly #windowStartMs: number | undefined;
  /** Its keys in the environment. */
  readonly #bounds: KeyRange;
  readonly #entries = new Map<unknown, Entry<K, V>>();
  /** Entries with CHANGED, in the order of their first change. Emptied by `takeChanged`. */
  #changed: Entry<K, V>[] = [];
  /** Entries with PENDING. Emptied by `takePending`. */
  #pending: Entry<K, V>[] = [];
  /** Entries with HELD, in the order of their first change. Emptied by `passChanges`. */
  #held: Entry<K, V>[] = [];
  readonly #holding: Holding<K, V>;
  /** Entries with CHANGED or PENDING, in key order; made by the first range after a checkpoint. */
  #unstored: SortedEntries<Unstored<K, V>> | undefined;
  /** Counts checkpoints: what a range has read before one may no longer hold. */
  #checkpoints = 0;
  /** True if the checkpoint may have something of this. */
  #isStored: boolean;
  /** False if the checkpoint has entries that are not here. */
  #isComplete: boolean;
  /** Deleted entries in memory: they stay until changelog and checkpoint have the deletion. */
  #deletedCount = 0;

  constructor(options: {
    readonly name: string;
    readonly codec: StoreCodec<K, V>;
    readonly environment: StateEnvironment;
    /** For one window: its start, and the bounds of its keys in the environment. */
    readonly windowStartMs?: number;
    readonly bounds?: KeyRange;
    /** True if the checkpoint has nothing of this: no need to look up a missing entry there. */
    readonly isNew: boolean;
    /** Shared by all key spaces of a store. */
    readonly holding?: Holding<K, V>;
  }) {
    this.#name = options.name;
    this.#codec = options.codec;
    this.#environment = options.environment;
    this.#windowStartMs = options.windowStartMs;
    this.#bounds = options.bounds ?? ALL_KEYS;
    this.#isComplete = options.isNew;
    this.#isStored = !options.isNew;
    this.#holding = options.holding ?? noHolding();
  }

  /** Entries in memory that are not deleted. */
  get count(): number {
    return this.#entries.size - this.#deletedCount;
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  get(key: K): V | undefined {
    const id = this.#idOf(key);
    return (this.#entries.get(id) ?? this.#load(key, id))?.value;
  }

  /** The entry of a key, or undefined if there is none. */
  entry(key: K): StoreEntry<K, V> | undefined {
    const id = this.#idOf(key);
    const entry = this.#entries.get(id) ?? this.#load(key, id);
    return entry?.value === undefined ? undefined : entry;
  }

  /** The bytes of a key. */
  keyBytes(key: K): Buffer {
    const windowStartMs = this.#windowStartMs;
    return this.#codec.encodeKey({ key, windowStartMs, value: undefined, timestampMs: 0 });
  }

  /** As `KeyValueStore.update`. */
  update(key: K, timestampMs: number, change: (value: V | undefined) => V | undefined): void {
    const id = typeof key === 'object' ? this.#idOf(key) : key;
    const entry = this.#entries.get(id) ?? this.#load(key, id);
    if (entry === undefined) {
      // Also if there was and is no value: the result must not depend on a deleted entry being
      // still in memory.
      this.#noteChange(this.#add(key, id, change(undefined), timestampMs, 0));
      return;
    }
    if (this.#holding.keepsBefore) this.#keepPassed(entry);
    const before = entry.value;
    const value = change(before);
    // A deleted key starts over, whether or not its entry is still in memory.
    if (before === undefined || timestampMs > entry.timestampMs) entry.timestampMs = timestampMs;
    this.#setValue(entry, value);
    this.#noteChange(entry);
  }

  /** Replaces the value and its time. @throws LogError INVALID_OPTION for what is no time. */
  put(key: K, value: V | undefined, timestampMs: number): void {
    if (!Number.isSafeInteger(timestampMs)) checkTime(this.#name, timestampMs);
    const id = this.#idOf(key);
    let entry = this.#entries.get(id) ?? this.#load(key, id);
    if (entry === undefined) {
      if (value === undefined) return;
      entry = this.#add(key, id, value, timestampMs, 0);
      this.#noteChange(entry);
      return;
    }
    if (this.#holding.keepsBefore) this.#keepPassed(entry);
    this.#setValue(entry, value);
    entry.timestampMs = timestampMs;
    this.#noteChange(entry);
  }

  /** Applies a record of the changelog: committed, and not in the checkpoint. */
  restore(keyBytes: Buffer, value: V | undefined, timestampMs: number): void {
    const key = this.#codec.decodeKey(keyBytes);
    const id = this.#idOf(key);
    const own = owned(value);
    const entry = this.#entries.get(id) ?? this.#add(key, id, own, timestampMs, 0);
    this.#setValue(entry, own);
    entry.timestampMs = timestampMs;
    if ((entry.flags & PENDING) === 0) this.#pending.push(entry);
    this.#noteUnstored(entry);
    entry.flags |= KEPT | PENDING;
  }

  /** As `KeyValueStore.hold`. */
  hold(key: K, before: PassedRow<V> | undefined, timestampMs: number): void {
    const id = this.#idOf(key);
    const entry =
      this.#entries.get(id) ?? this.#load(key, id) ?? this.#add(key, id, undefined, timestampMs, 0);
    if ((entry.flags & HELD) !== 0) return;
    entry.flags |= HELD;
    const bytes = undefined;
    entry.passed = before && { value: before.value, bytes, timestampMs: before.timestampMs };
    this.#held.push(entry);
  }

  /** As `KeyValueStore.passChanges`. */
  passChanges(visit: OnHeld<K, V>): void {
    const held = this.#held;
    if (held.length === 0) return;
    this.#held = [];
    for (const entry of held) {
      entry.flags &= ~HELD;
      const { passed } = entry;
      if (passed === undefined) {
        visit(entry, undefined, 0);
      } else {
        entry.passed = undefined;
        visit(entry, this.#valueOf(passed), passed.timestampMs);
      }
      if (entry.value === undefined && (entry.flags & ~KEPT) === 0) this.#forget(entry);
    }
  }

  /** As `KeyValueStore.getPassed`. */
  getPassed(key: K): PassedRow<V> | undefined {
    const id = this.#idOf(key);
    const entry = this.#entries.get(id) ?? this.#load(key, id);
    return entry && this.#passedOf(entry);
  }

  /** As `KeyValueStore.passedRows`, by the bytes of the keys. */
  *passedRows({ start, end } = this.#bounds, isReverse = false): Generator<TableRow<K, V>> {
    const memory = this.#sortedUnstored().range(start, end);
    // Deleted entries that wait may be on no other list.
    if (this.#deletedCount > 0) memory.push(...this.#heldDeleted({ start, end }));
    const sign = isReverse ? -1 : 1;
    memory.sort((a, b) => sign * Buffer.compare(a.keyBytes, b.keyBytes));
    const name = this.#name;
    const stored = this.#isStored ? this.#environment.range(name, start, end, isReverse) : [];
    const checkpoints = this.#checkpoints;
    for (const read of mergeReads(memory, stored, isReverse)) {
      const known = 'entry' in read ? read.entry : this.#read(read);
      const { key } = known;
      const live = this.#entries.get(this.#idOf(key));
      let row: PassedRow<V> | undefined;
      if (live !== undefined) row = this.#passedOf(live);
      else if (checkpoints !== this.#checkpoints) row = this.getPassed(key);
      else if (hasValue(known)) row = known;
      if (row !== undefined) yield { key, value: row.value, timestampMs: row.timestampMs };
    }
  }

  /** All entries that are not deleted; loads those that only the checkpoint has. */
  *all(): Generator<StoreEntry<K, V>> {
    this.#loadAll();
    for (const entry of this.#entries.values()) if (entry.value !== undefined) yield entry;
  }

  /** The same by calls, which are faster. */
  visit(visit: (entry: StoreEntry<K, V>) => void): void {
    this.#loadAll();
    for (const entry of this.#entries.values()) if (entry.value !== undefined) visit(entry);
  }

  /** All entries that are not deleted, in the order of the bytes of their keys. */
  sorted(): StoreEntry<K, V>[] {
    this.#loadAll();
    const entries = [...this.#entries.values()];
    return this.#codec.sort(entries.filter(({ value }) => value !== undefined));
  }

  /**
   * The entries in a range of keys, or all of them, in the order of the bytes of their keys or
   * against it. They are read as the range goes on: what is changed or deleted meanwhile is seen as
   * it is then, and a key that is added may be left out.
   */
  *range({ start, end } = this.#bounds, isReverse = false): Generator<StoreEntry<K, V>> {
    const memory = this.#sortedUnstored().range(start, end);
    if (isReverse) memory.reverse();
    const name = this.#name;
    const stored = this.#isStored ? this.#environment.range(name, start, end, isReverse) : [];
    const checkpoints = this.#checkpoints;
    for (const read of mergeReads(memory, stored, isReverse)) {
      const entry = 'entry' in read ? this.#current(read.entry) : this.#read(read);
      const now = checkpoints === this.#checkpoints ? entry : this.entry(entry.key);
      if (now?.value !== undefined) yield now;
    }
  }

  /**
   * Calls `visit` with each entry that the changelog needs and returns their number: one for each
   * key changed since the last call. The store treats them as committed from now on.
   */
  takeChanged(visit: (entry: LiveEntry<K, V>) => void): number {
    const changed = this.#changed;
    this.#changed = [];
    let count = 0;
    for (const entry of changed) {
      entry.flags &= ~CHANGED;
      if (entry.value === undefined && (entry.flags & KEPT) === 0) {
        if ((entry.flags & HELD) === 0) this.#forget(entry);
        continue; // made and deleted in between: no record needed
      }
      if ((entry.flags & PENDING) === 0) this.#pending.push(entry);
      entry.flags |= PENDING | KEPT;
      count++;
      visit(entry);
    }
    return count;
  }

  /**
   * Returns the changes that a checkpoint has to write, in key order if keys compare as their
   * bytes.
   */
  takePending(): StoredChange[] {
    const pending = this.#pending;
    this.#pending = [];
    this.#unstored = undefined;
    this.#checkpoints++;
    if (pending.length > 0) this.#isStored = true;
    pending.sort(byId);
    return pending.map((entry) => {
      entry.flags &= ~PENDING;
      const key = this.#codec.encodeKey(entry);
      if (entry.value !== undefined) return { key, value: this.#codec.encodeValue(entry) };
      entry.flags &= ~KEPT;
      if ((entry.flags & HELD) === 0) this.#forget(entry);
      return { key, value: undefined };
    });
  }

  /** Drops clean entries, oldest first, until `count` are left: the checkpoint has them. */
  shrinkTo(count: number): void {
    if (this.#entries.size <= count) return;
    for (const entry of this.#entries.values()) {
      if (this.#entries.size <= count) return;
      if ((entry.flags & (CHANGED | PENDING | HELD)) !== 0) continue;
      this.#forget(entry);
      this.#isComplete = false;
    }
  }

  #setValue(entry: Entry<K, V>, value: V | undefined): void {
    if ((value === undefined) !== (entry.value === undefined)) {
      this.#deletedCount += value === undefined ? 1 : -1;
    }
    entry.value = unpinned(value);
  }

  #forget(entry: Entry<K, V>): void {
    this.#entries.delete(entry.id);
    if (entry.value === undefined) this.#deletedCount--;
  }

  /** Lists a change for the changelog, and for whoever passes it on. */
  #noteChange(entry: Entry<K, V>): void {
    const { flags } = entry;
    if ((flags & BOTH) === BOTH && entry.value !== undefined) return;
    if ((flags & CHANGED) === 0) {
      this.#noteUnstored(entry);
      this.#changed.push(entry);
    }
    const holding = this.#holding;
    if (!holding.isListed) {
      entry.flags = flags | CHANGED;
      return;
    }
    entry.flags = flags | BOTH;
    if ((flags & HELD) === 0) this.#held.push(entry);
    else if (entry.value !== undefined) return;
    const { passed } = entry;
    holding.onHeld?.(entry, passed && this.#valueOf(passed), passed?.timestampMs ?? 0);
  }

  /** Puts an entry among those that the checkpoint lacks. Call it before its flags change. */
  #noteUnstored(entry: Entry<K, V>): void {
    if (this.#unstored === undefined || (entry.flags & (CHANGED | PENDING)) !== 0) return;
    this.#unstored.add({ keyBytes: this.#codec.encodeKey(entry), entry });
  }

  #sortedUnstored(): SortedEntries<Unstored<K, V>> {
    let unstored = this.#unstored;
    if (unstored !== undefined) return unstored;
    this.#unstored = unstored = new SortedEntries();
    for (const entries of [this.#pending, this.#changed]) {
      for (const entry of entries) {
        unstored.add({ keyBytes: this.#codec.encodeKey(entry), entry });
      }
    }
    return unstored;
  }

  /** The entry that a key has now: a deleted one may have been made again. */
  #current(entry: Entry<K, V>): StoreEntry<K, V> {
    return this.#entries.get(entry.id) ?? entry;
  }

  /** An entry of the checkpoint, or what has become of it. Leaves the cache as it is. */
  #read({
    key: keyBytes,
    value,
  }: {
    readonly key: Buffer;
    readonly value: Buffer;
  }): StoreEntry<K, V> {
    const key = this.#codec.decodeKey(keyBytes);
    const live = this.#entries.get(this.#idOf(key));
    if (live !== undefined) return live;
    const windowStartMs = this.#windowStartMs;
    const timestampMs = decodeTimestamp(value);
    return { key, windowStartMs, value: this.#codec.decodeValue(value), timestampMs };
  }

  #passedOf(entry: Entry<K, V>): PassedRow<V> | undefined {
    if ((entry.flags & HELD) === 0) return hasValue(entry) ? entry : undefined;
    const { passed } = entry;
    if (passed === undefined) return undefined;
    const value = this.#valueOf(passed);
    return value === undefined ? undefined : { value, timestampMs: passed.timestampMs };
  }

  #heldDeleted(range: KeyRange): Unstored<K, V>[] {
    return this.#held
      .filter(({ value }) => value === undefined)
      .map((entry) => ({ keyBytes: this.#codec.encodeKey(entry), entry }))
      .filter(({ keyBytes }) => isWithin(range, keyBytes));
  }

  /** Call it before an entry changes: keeps what was passed on, at the first change since. */
  #keepPassed(entry: Entry<K, V>): void {
    if (!this.#holding.isListed || (entry.flags & HELD) !== 0) return;
    const { value, timestampMs } = entry;
    const isObject = typeof value === 'object' && value !== null;
    if (value === undefined) entry.passed = undefined;
    else if (!isObject) entry.passed = { value, bytes: undefined, timestampMs };
    else {
      entry.passed = { value: undefined, bytes: this.#codec.encodeValue(entry), timestampMs };
    }
  }

  #valueOf({ value, bytes }: PassedImage<V>): V | undefined {
    return bytes === undefined ? value : this.#codec.decodeValue(bytes);
  }

  #add(key: K, id: unknown, value: V | undefined, timestampMs: number, flags: number): Entry<K, V> {
    const windowStartMs = this.#windowStartMs;
    const passed = undefined;
    const entry: Entry<K, V> = {
      key: unpinned(key),
      windowStartMs,
      value: unpinned(value),
      timestampMs,
      id,
      flags,
      passed,
    };
    this.#entries.set(id, entry);
    if (value === undefined) this.#deletedCount++;
    return entry;
  }

  /** Reads an entry from the checkpoint into the cache. */
  #load(key: K, id: unknown): Entry<K, V> | undefined {
    if (this.#isComplete) return undefined;
    const bytes = this.#environment.get(this.#name, this.keyBytes(key));
    if (bytes === undefined) return undefined;
    return this.#add(key, id, this.#codec.decodeValue(bytes), decodeTimestamp(bytes), KEPT);
  }

  #loadAll(): void {
    if (this.#isComplete) return;
    const { start, end } = this.#bounds;
    for (const { key: keyBytes, value } of this.#environment.range(this.#name, start, end)) {
      const key = this.#codec.decodeKey(keyBytes);
      const id = this.#idOf(key);
      if (this.#entries.has(id)) continue;
      this.#add(key, id, this.#codec.decodeValue(value), decodeTimestamp(value), KEPT);
    }
    this.#isComplete = true;
  }

  #idOf(key: K): unknown {
    if (typeof key !== 'object' || key === null) return key;
    return this.keyBytes(key).toString('latin1');
  }
}

function hasValue<K, V>(
  entry: StoreEntry<K, V>,
): entry is StoreEntry<K, V> & { readonly value: V } {
  return entry.value !== undefined;
}

/** @throws LogError INVALID_OPTION */
export function checkTime(store: string, timestampMs: number): void {
  checkArgument(`store ${store}`, 'timestampMs', timestampMs, integer(0));
}

export function noHolding<K, V>(): Holding<K, V> {
  return { isListed: false, keepsBefore: false, onHeld: undefined };
}
