import { serializeToBytes, type Serde } from '../../core/index.ts';
import { assert, checkArgument, present } from '../../core/internal.ts';
import type {
  KeySession,
  OnHeldSession,
  ReadOnlySessionStore,
  Session,
  SessionBounds,
  SessionEntry,
  SessionRange,
  SessionStore,
  StoreHandle,
  StoreSpec,
} from '../topology/store.ts';
import { keyIdentity, keyText, unpinned, type LiveEntry, type StoreCodec } from './codec.ts';
import type { KeyRange, StateEnvironment, StoreChanges } from './environment.ts';
import { keyRange, selectedRange } from './key-range.ts';
import { checkTime } from './key-space.ts';
import { mergeLists } from './merge-lists.ts';
import { endsBefore, isBefore, isSame, sessionListSerde, SESSION_METHODS } from './session-list.ts';
import { firstNotBelow } from './sorted-list.ts';
import type { StoreKind, StoreSpan, TaskStore } from './store-kind.ts';
import { SESSION_READS } from './store-reads.ts';
import { TaskWindowStore, windowKind } from './window-store.ts';
import { rowsOfSessions } from './windowed-rows.ts';

/** Values for each key and session. */
export const sessionKind: StoreKind = {
  title: 'session store',
  reads: SESSION_READS,
  rowsIn: (spec) => {
    const codec = windowKind.codec(listSpec(spec));
    return (key, value) => {
      const sessions = codec.decodeValue(value) as Session<unknown>[];
      return sessions.map((session) => ({ key: codec.decodeKey(key), ...session }));
    };
  },
  asWindowedTable: (store, shape) =>
    rowsOfSessions(store as unknown as ReadOnlySessionStore<unknown, unknown>, shape),
  writes: { ...windowKind.writes, methods: SESSION_METHODS },
  changelogConfig: windowKind.changelogConfig,
  codec: (spec) => windowKind.codec(listSpec(spec)),
  open: (spec, environment, isNew) => new TaskSessionStore(spec, environment, isNew),
};

export function sessionStore<K, V>(name: string): StoreHandle<SessionStore<K, V>> {
  return { name, kind: 'session' };
}

/** What is needed to describe a session store. */
export interface SessionStoreOptions<K, V> {
  readonly store: string;
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  /** The node of the operator whose time counts. */
  readonly node: string;
  /** An operator looks for sessions that end up to so long ago, as a rule. */
  readonly reachMs: number;
  /** Sessions that ended so long ago are not needed any more. */
  readonly lifeMs: number;
}

/**
 * A stretch is long enough for an operator to find what it needs in one or two of them, and short
 * enough that few sessions are kept beyond their life.
 */
export function sessionStoreSpec<K, V>(options: SessionStoreOptions<K, V>): StoreSpec<K, V> {
  const { store, key, value, node, reachMs, lifeMs } = options;
  const stretchMs = Math.max(reachMs + 1, Math.ceil(lifeMs / STRETCHES_MAX));
  // A stretch expires with the last session that may be in it.
  const expiry = { lifeMs: stretchMs - 1 + lifeMs, node };
  return { ...sessionStore(store), key, value, backing: 'changelog', expiry, stretchMs };
}

/** However far records are out of order, an operator looks into no more stretches than this. */
const STRETCHES_MAX = 16;

/** A held session, its old value already copied. */
interface HeldSession<K, V> extends SessionEntry<K, V> {
  value: V | undefined;
  timestampMs: number;
  /** The value that was last passed on; undefined also if that is not kept. */
  readonly before: V | undefined;
  /** False if nothing was ever passed on of it. */
  readonly wasPassed: boolean;
}

/**
 * A session store of a task: a window store whose windows are stretches of time, with a list of
 * sessions for each stretch and key. A session that grows into the next stretch moves there.
 */
class TaskSessionStore<K, V> implements SessionStore<K, V>, TaskStore {
  readonly spec: StoreSpec;
  readonly codec: StoreCodec<unknown, unknown>;
  readonly #lists: TaskWindowStore<K, Session<V>[]>;
  readonly #key: Serde<K>;
  readonly #stretchMs: number;
  readonly #lifeMs: number;
  #isHeld = false;
  #keepsBefore = false;
  #onHeld: OnHeldSession<K, V> | undefined;
  #onForgotten: ((entry: SessionEntry<K, V>) => void) | undefined;
  /** What waits to be passed on, in the order of first changes. */
  readonly #held = new Set<HeldSession<K, V>>();
  /** The same by the key's identity. */
  readonly #heldOfKey = new Map<unknown, HeldSession<K, V>[]>();
  /** The bounds and the content of the session that `#replace` sets: saves a closure per record. */
  #bounds: SessionBounds = { startMs: 0, endMs: 0 };
  #session: Session<V> | undefined;
  /** What `#merge` puts it in the place of. */
  #merged: readonly Session<V>[] = [];
  /** Counts changes and checkpoints: what was read before one may no longer hold. */
  #changes = 0;

  constructor(spec: StoreSpec<K, V>, environment: StateEnvironment, isNew: boolean) {
    const lists = listSpec(spec);
    this.#lists = new TaskWindowStore(lists, environment, isNew);
    this.spec = spec;
    this.codec = this.#lists.codec;
    this.#key = spec.key;
    this.#stretchMs = present(spec.stretchMs, 'a session store has stretches');
    this.#lifeMs = spec.expiry?.lifeMs ?? Infinity;
  }

  get name(): string {
    return this.spec.name;
  }

  find(key: K, earliestEndMs: number, latestStartMs: number): Session<V>[] {
    const found: Session<V>[] = [];
    const first = this.stretchOf(earliestEndMs);
    for (const start of this.#lists.starts) {
      if (start < first) continue;
      const list = this.#lists.get(key, start);
      if (list === undefined) continue;
      for (
        let index = firstNotBelow(list, earliestEndMs, endsBefore);
        index < list.length;
        index++
      ) {
        const session = list[index]!;
        if (session.startMs > latestStartMs) return found; // later ones start later still
        found.push(session);
      }
    }
    return found;
  }

  get(key: K, bounds: SessionBounds): Session<V> | undefined {
    const list = this.#lists.get(key, this.stretchOf(bounds.endMs));
    const session = list?.[firstNotBelow(list, bounds, isBefore)];
    return session !== undefined && isSame(session, bounds) ? session : undefined;
  }

  fetch(key: K, range: SessionRange = {}): Generator<KeySession<K, V>> {
    return this.#fetch(key, range, false);
  }

  backwardFetch(key: K, range: SessionRange = {}): Generator<KeySession<K, V>> {
    return this.#fetch(key, range, true);
  }

  fetchAll(from?: K, to?: K, range: SessionRange = {}): Generator<KeySession<K, V>> {
    return this.#fetchAll(this.#between(from, to), range, false);
  }

  backwardFetchAll(from?: K, to?: K, range: SessionRange = {}): Generator<KeySession<K, V>> {
    return this.#fetchAll(this.#between(from, to), range, true);
  }

  prefixScan<P = K>(
    prefix: P,
    range: SessionRange = {},
    serde?: Pick<Serde<P>, 'serialize'>,
  ): Generator<KeySession<K, V>> {
    const keys = selectedRange(this.#key, { prefix, ...(serde && { serde }) });
    return this.#fetchAll(keys, range, false);
  }

  put(key: K, given: SessionBounds, value: V, timestampMs: number): void {
    checkArgument('sessionStore.put', 'bounds', given, sessionBounds);
    if (!Number.isSafeInteger(timestampMs)) checkTime(this.name, timestampMs);
    const bounds = { startMs: given.startMs, endMs: given.endMs, timestampMs };
    const known = this.#isHeld ? this.get(key, bounds) : undefined;
    this.#change(key, bounds, value, this.#isHeld ? this.#findHeld(key, bounds, known) : undefined);
  }

  delete(key: K, bounds: SessionBounds): void {
    const known = this.get(key, bounds);
    if (known === undefined) return;
    const held = this.#isHeld ? this.#findHeld(key, known, known) : undefined;
    this.#change(key, known, undefined, held);
  }

  update(
    key: K,
    { startMs, endMs, timestampMs }: Omit<Session<V>, 'value'>,
    change: (value: V | undefined) => V | undefined,
  ): void {
    const known = this.get(key, { startMs, endMs });
    const timeMs = Math.max(known?.timestampMs ?? -Infinity, timestampMs);
    const bounds = { startMs, endMs, timestampMs: timeMs };
    const held = this.#isHeld ? this.#findHeld(key, bounds, known) : undefined;
    this.#change(key, bounds, change(known?.value), held);
  }

  imageOf(key: K, session: Session<V>): V | undefined {
    const isNeeded = this.#isHeld && this.#keepsBefore;
    return isNeeded && this.#waiting(key, session) === undefined
      ? this.copy(session.value)
      : undefined;
  }

  remove(key: K, session: Session<V>, image: V | undefined): void {
    const held = this.#isHeld
      ? (this.#waiting(key, session) ?? { key, ...session, before: image, wasPassed: true })
      : undefined;
    this.#set(key, session, undefined);
    if (held === undefined) return;
    held.value = undefined;
    if (held.wasPassed) {
      this.#note(held);
      this.#onHeld?.(held, held.before);
    } else if (this.#forget(held)) {
      this.#onForgotten?.(held);
    }
  }

  replace(
    key: K,
    merged: readonly Session<V>[],
    { startMs, endMs, timestampMs }: Omit<Session<V>, 'value'>,
    given: V | undefined,
  ): void {
    const value = unpinned(given);
    assert(!this.#isHeld, 'a session that waits to be passed on is removed by itself');
    const stretchMs = this.stretchOf(endMs);
    for (const session of merged) {
      if (this.stretchOf(session.endMs) !== stretchMs) this.#set(key, session, undefined);
    }
    this.#merged = merged;
    this.#bounds = { startMs, endMs };
    this.#session = value === undefined ? undefined : { startMs, endMs, timestampMs, value };
    this.#changes++;
    this.#lists.update(key, stretchMs, endMs, this.#merge);
  }

  copy(value: V): V {
    if (typeof value !== 'object' || value === null) return value;
    // Its codec names the store in the error if it cannot be written.
    const session = { startMs: 0, endMs: 0, timestampMs: 0, value };
    const entry = { key: undefined, windowStartMs: 0, value: [session], timestampMs: 0 };
    const bytes = this.codec.encodeValue(entry);
    return present((this.codec.decodeValue(bytes) as Session<V>[])[0], 'a list of one').value;
  }

  keyText(key: K): string {
    return keyText(this.#key, key);
  }

  stretchOf(endMs: number): number {
    return Math.floor(endMs / this.#stretchMs) * this.#stretchMs;
  }

  stretches(): readonly number[] {
    return this.#lists.starts;
  }

  *stretch(startMs: number): Generator<readonly [K, Session<V>]> {
    for (const { key, value = [] } of this.#lists.window(startMs)) {
      for (const session of value) yield [key, session];
    }
  }

  holdChanges(
    onHeld?: OnHeldSession<K, V>,
    onForgotten?: (entry: SessionEntry<K, V>) => void,
  ): void {
    this.#isHeld = true;
    this.#onHeld = onHeld;
    this.#onForgotten = onForgotten;
  }

  keepBefore(): void {
    this.#keepsBefore = true;
  }

  hold(key: K, bounds: Omit<Session<V>, 'value'>, before: V | undefined): void {
    const { startMs, endMs } = bounds;
    const { value, timestampMs } = this.get(key, bounds) ?? { ...bounds, value: undefined };
    const wasPassed = before !== undefined;
    this.#note({ key, startMs, endMs, value, timestampMs, before, wasPassed });
  }

  passChanges(visit: OnHeldSession<K, V>): void {
    const all = [...this.#held];
    this.#held.clear();
    this.#heldOfKey.clear();
    for (const held of all) visit(held, held.before);
  }

  passChange(key: K, bounds: SessionBounds, visit: OnHeldSession<K, V>): void {
    const held = this.#waiting(key, bounds);
    if (held === undefined) return;
    this.#forget(held);
    visit(held, held.before);
  }

  get expiresMs(): number {
    return (this.#lists.starts[0] ?? Infinity) + this.#lifeMs;
  }

  expire(timeMs: number): void {
    this.#changes++;
    this.#lists.expire(timeMs);
  }

  get span(): StoreSpan {
    return this.#lists.span;
  }

  get memoryCount(): number {
    return this.#lists.memoryCount;
  }

  takeChanged(visit: (entry: LiveEntry<unknown, unknown>) => void): number {
    return this.#lists.takeChanged(visit);
  }

  takePending(): StoreChanges {
    this.#changes++;
    return this.#lists.takePending();
  }

  restore(key: Buffer, value: Buffer | undefined, timestampMs: number): void {
    this.#lists.restore(key, value, timestampMs);
  }

  shrinkTo(count: number): void {
    this.#lists.shrinkTo(count);
  }

  *#fetch(key: K, range: SessionRange, isReverse: boolean): Generator<KeySession<K, V>> {
    for (const startMs of this.#stretchesFrom(range, isReverse)) {
      const list = this.#lists.get(key, startMs);
      if (list !== undefined) yield* this.#within(key, list, range, isReverse);
    }
  }

  *#fetchAll(keys: KeyRange, range: SessionRange, isReverse: boolean): Generator<KeySession<K, V>> {
    const starts = this.#stretchesFrom(range, isReverse);
    const lists = starts.map((startMs) => this.#lists.rangeIn(startMs, keys, isReverse));
    const bytesOf = ({ key }: { readonly key: K }) => serializeToBytes(this.#key, key);
    const changes = this.#changes; // the first of each list are read ahead
    for (const { key, value = [] } of mergeLists(lists, bytesOf, isReverse)) {
      yield* this.#within(key, value, range, isReverse, changes);
    }
  }

  /** The sessions of a list that are within a range; each as it is when its turn comes. */
  *#within(
    key: K,
    list: readonly Session<V>[],
    { earliestEndMs = -Infinity, latestStartMs = Infinity }: SessionRange,
    isReverse: boolean,
    changes = this.#changes,
  ): Generator<KeySession<K, V>> {
    const sessions = list.slice(firstNotBelow(list, earliestEndMs, endsBefore));
    if (isReverse) sessions.reverse();
    for (const session of sessions) {
      if (session.startMs > latestStartMs) continue;
      const now = changes === this.#changes ? session : this.get(key, session);
      if (now !== undefined) yield { key, ...now };
    }
  }

  #stretchesFrom({ earliestEndMs = -Infinity }: SessionRange, isReverse: boolean): number[] {
    const first = this.stretchOf(earliestEndMs);
    const starts = this.#lists.starts.filter((startMs) => startMs >= first);
    return isReverse ? starts.reverse() : starts;
  }

  #between(from: K | undefined, to: K | undefined): KeyRange {
    return keyRange((key) => serializeToBytes(this.#key, key), from, to);
  }

  /** Gives a session another value; undefined removes it. `held` is its entry, if changes are. */
  #change(
    key: K,
    bounds: Omit<Session<V>, 'value'>,
    value: V | undefined,
    held: HeldSession<K, V> | undefined,
  ): void {
    const { startMs, endMs, timestampMs } = bounds;
    const kept = unpinned(value);
    const session = kept === undefined ? undefined : { startMs, endMs, timestampMs, value: kept };
    this.#set(key, bounds, session);
    if (held === undefined) return;
    const isNews = this.#note(held) || kept === undefined;
    held.value = kept;
    held.timestampMs = timestampMs;
    if (isNews) this.#onHeld?.(held, held.before);
  }

  /** Puts a session into the list where it belongs, or removes the one with these bounds. */
  #set(key: K, bounds: SessionBounds, session: Session<V> | undefined): void {
    this.#bounds = bounds;
    this.#session = session;
    this.#changes++;
    this.#lists.update(key, this.stretchOf(bounds.endMs), bounds.endMs, this.#replace);
  }

  readonly #replace = (list: Session<V>[] = []): Session<V>[] | undefined => {
    const index = firstNotBelow(list, this.#bounds, isBefore);
    const found = list[index];
    const known = found !== undefined && isSame(found, this.#bounds) ? 1 : 0;
    if (this.#session === undefined) list.splice(index, known);
    else list.splice(index, known, this.#session);
    return list.length === 0 ? undefined : list;
  };

  #waiting(key: K, { startMs, endMs }: SessionBounds): HeldSession<K, V> | undefined {
    const ofKey = this.#heldOfKey.get(this.#idOf(key));
    return ofKey?.find((each) => each.endMs === endMs && each.startMs === startMs);
  }

  /** In one list: the sessions that are merged are next to each other, those of the list last. */
  readonly #merge = (list: Session<V>[] = []): Session<V>[] | undefined => {
    const { endMs } = this.#bounds;
    const stretchMs = this.stretchOf(endMs);
    const merged = this.#merged.filter((session) => this.stretchOf(session.endMs) === stretchMs);
    const first = firstNotBelow(list, merged[0]?.endMs ?? endMs, endsBefore);
    if (this.#session === undefined) list.splice(first, merged.length);
    else if (merged.length === 1) list[first] = this.#session;
    else list.splice(first, merged.length, this.#session);
    return list.length === 0 ? undefined : list;
  };

  /** The entry of a session that waits, or one that may be noted. */
  #findHeld(
    key: K,
    { startMs, endMs, timestampMs }: Omit<Session<V>, 'value'>,
    known: Session<V> | undefined,
  ): HeldSession<K, V> {
    const found = this.#waiting(key, { startMs, endMs });
    if (found !== undefined) return found;
    const before = this.#keepsBefore && known !== undefined ? this.copy(known.value) : undefined;
    const wasPassed = known !== undefined;
    return { key, startMs, endMs, value: known?.value, timestampMs, before, wasPassed };
  }

  /** Adds an entry to those that wait; returns false if it is there. */
  #note(held: HeldSession<K, V>): boolean {
    if (this.#held.has(held)) return false;
    this.#held.add(held);
    const id = this.#idOf(held.key);
    const ofKey = this.#heldOfKey.get(id);
    if (ofKey === undefined) this.#heldOfKey.set(id, [held]);
    else ofKey.push(held);
    return true;
  }

  /** Removes an entry from those that wait; returns false if it is not there. */
  #forget(held: HeldSession<K, V>): boolean {
    if (!this.#held.delete(held)) return false;
    const id = this.#idOf(held.key);
    const others = this.#heldOfKey.get(id)?.filter((each) => each !== held) ?? [];
    if (others.length > 0) this.#heldOfKey.set(id, others);
    else this.#heldOfKey.delete(id);
    return true;
  }

  #idOf(key: K): unknown {
    return keyIdentity(this.#key, key);
  }
}

/** The store of lists that a session store is kept in. */
function listSpec<K, V>(spec: StoreSpec<K, V>): StoreSpec<K, Session<V>[]> {
  return { ...spec, value: sessionListSerde(spec.value) };
}

function sessionBounds(given: unknown): string | undefined {
  const { startMs, endMs } = (given ?? {}) as Partial<SessionBounds>;
  const isWhole = Number.isSafeInteger(startMs) && Number.isSafeInteger(endMs);
  if (isWhole && (startMs ?? 0) <= (endMs ?? 0)) return undefined;
  return '{ startMs, endMs }, whole milliseconds, the end not before the start';
}
