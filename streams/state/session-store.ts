import { int64, NO_ROOM, type Serde } from '../../core/index.ts';
import { assert, present } from '../../core/internal.ts';
import type {
  OnHeldSession,
  Session,
  SessionBounds,
  SessionEntry,
  SessionStore,
  StoreHandle,
  StoreSpec,
} from '../topology/store.ts';
import { keyIdentity, keyText, owned, type LiveEntry, type StoreCodec } from './codec.ts';
import type { StateEnvironment, StoreChanges } from './environment.ts';
import { firstNotBelow } from './sorted-list.ts';
import type { StoreKind, StoreSpan, TaskStore } from './store-kind.ts';
import { TaskWindowStore, windowKind } from './window-store.ts';

/** Values for each key and session. */
export const sessionKind: StoreKind = {
  title: 'session store',
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
  /** The end and the content of the session that `#replace` sets: saves a closure per record. */
  #endMs = 0;
  #session: Session<V> | undefined;
  /** What `#merge` puts it in the place of. */
  #merged: readonly Session<V>[] = [];

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

  get(key: K, { startMs, endMs }: SessionBounds): Session<V> | undefined {
    const list = this.#lists.get(key, this.stretchOf(endMs));
    const session = list?.[firstNotBelow(list, endMs, endsBefore)];
    return session?.endMs === endMs && session.startMs === startMs ? session : undefined;
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
    const value = change(known?.value);
    if (value === undefined) this.#set(key, endMs, undefined);
    else this.#set(key, endMs, { ...bounds, value });
    if (held === undefined) return;
    const isNews = this.#note(held) || value === undefined;
    held.value = value;
    held.timestampMs = timeMs;
    if (isNews) this.#onHeld?.(held, held.before);
  }

  remove(key: K, session: Session<V>): void {
    const held = this.#isHeld ? this.#findHeld(key, session, session) : undefined;
    this.#set(key, session.endMs, undefined);
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
    value: V | undefined,
  ): void {
    assert(!this.#isHeld, 'a session that waits to be passed on is removed by itself');
    const stretchMs = this.stretchOf(endMs);
    for (const session of merged) {
      if (this.stretchOf(session.endMs) !== stretchMs) this.#set(key, session.endMs, undefined);
    }
    this.#merged = merged;
    this.#endMs = endMs;
    this.#session = value === undefined ? undefined : { startMs, endMs, timestampMs, value };
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
    return this.#lists.takePending();
  }

  restore(key: Buffer, value: Buffer | undefined, timestampMs: number): void {
    this.#lists.restore(key, value, timestampMs);
  }

  shrinkTo(count: number): void {
    this.#lists.shrinkTo(count);
  }

  /** Puts a session into the list where it belongs, or removes what ends there. */
  #set(key: K, endMs: number, session: Session<V> | undefined): void {
    this.#endMs = endMs;
    this.#session = session;
    this.#lists.update(key, this.stretchOf(endMs), endMs, this.#replace);
  }

  readonly #replace = (list: Session<V>[] = []): Session<V>[] | undefined => {
    const index = firstNotBelow(list, this.#endMs, endsBefore);
    const known = list[index]?.endMs === this.#endMs ? 1 : 0;
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
    const stretchMs = this.stretchOf(this.#endMs);
    const merged = this.#merged.filter((session) => this.stretchOf(session.endMs) === stretchMs);
    const first = firstNotBelow(list, merged[0]?.endMs ?? this.#endMs, endsBefore);
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
  return { ...spec, value: listSerde(spec.value) };
}

const INT64 = int64();
const TIME_BYTES = 8;
const LENGTH_BYTES = 4;
const HEAD_BYTES = 3 * TIME_BYTES + LENGTH_BYTES;

/**
 * The sessions of a key and stretch, by their ends, each as
 *
 *     start i64 | end i64 | timestamp i64 | length of the value u32 | value
 */
function listSerde<V>(value: Serde<V>): Serde<Session<V>[]> {
  return {
    name: value.name,
    serialize(sessions, target, position) {
      let end = position;
      for (const { startMs, endMs, timestampMs, value: content } of sessions) {
        const valueAt = end + HEAD_BYTES;
        if (valueAt > target.length) return NO_ROOM;
        INT64.serialize(startMs, target, end);
        INT64.serialize(endMs, target, end + TIME_BYTES);
        INT64.serialize(timestampMs, target, end + 2 * TIME_BYTES);
        end = value.serialize(content, target, valueAt);
        if (end === NO_ROOM) return NO_ROOM;
        target.writeUInt32BE(end - valueAt, valueAt - LENGTH_BYTES);
      }
      return end;
    },
    deserialize(source, start, end) {
      const sessions: Session<V>[] = [];
      for (let position = start; position < end;) {
        const time = (index: number): number => {
          const from = position + index * TIME_BYTES;
          return INT64.deserialize(source, from, from + TIME_BYTES);
        };
        const [startMs, endMs, timestampMs] = [time(0), time(1), time(2)];
        const valueAt = position + HEAD_BYTES;
        position = valueAt + source.readUInt32BE(valueAt - LENGTH_BYTES);
        const content = value.deserialize(source, valueAt, position);
        sessions.push({ startMs, endMs, timestampMs, value: owned(content) });
      }
      return sessions;
    },
  };
}

function endsBefore({ endMs }: SessionBounds, timeMs: number): boolean {
  return endMs < timeMs;
}
