import { NO_ROOM, type Serde } from '../../core/index.ts';
import { namesAround } from '../../core/internal.ts';
import { unpinned } from '../state/codec.ts';
import { windowStore } from '../state/window-store.ts';
import { Change } from '../topology/change.ts';
import type { Forward, OperatorContext, Processor } from '../topology/operator.ts';
import type {
  KeyValueStore,
  OnHeld,
  PassedRow,
  StoreSpec,
  WindowStore,
} from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { resultRecord } from './results.ts';

/**
 * When the changes of a table are passed on.
 *
 * - `commit`: each commit passes on the keys changed since the last one, each once.
 * - `each`: every change at once, with the headers of its record, as Kafka Streams without a cache.
 * - `final`: for windows only: one result for each key and window, when the window has closed.
 * - `everyMs`: when stream time reaches a multiple of `everyMs`, the keys changed since the last
 *   one, each once; so at most once for each key in that time. A window that closes earlier passes
 *   on its changes then. Commits and restarts do not matter.
 */
export type Emit = TableEmit | 'final';

/** The same for a table without windows. */
export type TableEmit = 'commit' | 'each' | { readonly everyMs: number };

/** What a restart has to know of a change that waits. */
export interface Held<V> {
  /** Its place among those that wait. */
  readonly order: number;
  /** The row that was passed on before. */
  readonly before: PassedRow<V> | undefined;
}

/** The store of the changes that wait, when they are passed on by time. */
export function heldStoreSpec<K, V>(options: {
  readonly store: string;
  /** The operator's. */
  readonly node: string;
  readonly key: Serde<K>;
  readonly value: Serde<V>;
}): StoreSpec<K, Held<V>> {
  const { store, node, key, value } = options;
  return {
    ...windowStore(heldStoreOf(store)),
    key,
    value: heldSerde(value),
    backing: 'changelog',
    expiry: { lifeMs: 0, node }, // its windows start at the time at which they are passed on
  };
}

/** The stores of an operator that keeps a table and passes it on. */
export function storesFor(store: string, emit: Emit): string[] {
  return typeof emit === 'object' ? [store, heldStoreOf(store)] : [store];
}

function heldStoreOf(store: string): string {
  return `${store}-held`;
}

const ORDER_BYTES = 4;
const TIME_BYTES = 8;

/**
 * The order as u32 and one byte that tells whether there is a row; its time, an f64, and its value.
 */
function heldSerde<V>(value: Serde<V>): Serde<Held<V>> {
  return {
    ...namesAround((name) => `held(${name})`, value),
    serialize({ order, before }, target, position) {
      const flagAt = position + ORDER_BYTES;
      if (flagAt + 1 + TIME_BYTES > target.length) return NO_ROOM;
      target.writeUInt32BE(order, position);
      target[flagAt] = before === undefined ? 0 : 1;
      if (before === undefined) return flagAt + 1;
      const valueAt = target.writeDoubleBE(before.timestampMs, flagAt + 1);
      return value.serialize(before.value, target, valueAt);
    },
    deserialize(source, start, end) {
      const flagAt = start + ORDER_BYTES;
      const order = source.readUInt32BE(start);
      if (source[flagAt] === 0) return { order, before: undefined };
      const timestampMs = source.readDoubleBE(flagAt + 1);
      const before = unpinned(value.deserialize(source, flagAt + 1 + TIME_BYTES, end));
      return { order, before: { value: before, timestampMs } };
    },
  };
}

/**
 * The changes that wait for the next multiple of `everyMs`, kept in a window store under that time:
 * a restart finds them there, and not those that were passed on before the last commit.
 */
export class Interval<K, V> {
  readonly #everyMs: number;
  readonly #held: WindowStore<K, Held<V>>;
  readonly #context: OperatorContext;
  /** When to pass on what waits; Infinity if nothing does. */
  dueMs = Infinity;
  /** The place of the next change that waits. */
  #count = 0;

  constructor(everyMs: number, store: string, context: OperatorContext) {
    this.#everyMs = everyMs;
    this.#held = context.store(windowStore<K, Held<V>>(heldStoreOf(store)));
    this.#context = context;
  }

  /** After a restart: what waited at the last commit. */
  restore(hold: (key: K, before: PassedRow<V> | undefined, timestampMs: number) => void): void {
    for (const dueMs of this.#held.windowStarts()) {
      this.dueMs = Math.min(this.dueMs, dueMs);
      const waiting = [...this.#held.window(dueMs)].sort(
        (a, b) => (a.value?.order ?? 0) - (b.value?.order ?? 0),
      );
      for (const { key, value, timestampMs } of waiting) hold(key, value?.before, timestampMs);
      this.#count = Math.max(this.#count, (waiting.at(-1)?.value?.order ?? -1) + 1);
    }
  }

  /**
   * Notes the first change of a key since it was passed on, and its deletion: a checkpoint has no
   * time of a deleted key, so it is kept here.
   */
  note(key: K, timestampMs: number, before: V | undefined, beforeMs: number): void {
    if (this.dueMs === Infinity) this.dueMs = this.#reachedMs() + this.#everyMs;
    const order = this.#held.get(key, this.dueMs)?.order ?? this.#count++;
    this.#held.update(key, this.dueMs, timestampMs, () => undefined); // its time starts over
    const row = before === undefined ? undefined : { value: before, timestampMs: beforeMs };
    this.#held.update(key, this.dueMs, timestampMs, () => ({ order, before: row }));
  }

  /** A key does not wait any more. */
  forget(key: K, timestampMs: number): void {
    if (this.#held.get(key, this.dueMs) === undefined) return;
    this.#held.update(key, this.dueMs, timestampMs, () => undefined);
  }

  /** Everything was passed on. */
  clear(): void {
    for (const dueMs of this.#held.windowStarts()) this.#held.drop(dueMs);
    this.dueMs = Infinity;
    this.#count = 0;
  }

  /** The time of the oldest change that may wait. */
  heldMs(): number {
    const everyMs = this.#everyMs;
    return Math.floor(this.#context.streamTimeMs() / everyMs) * everyMs;
  }

  /** The last multiple that stream time has reached. Before the first record that is -Infinity. */
  #reachedMs(): number {
    return Math.max(0, this.heldMs());
  }
}

/** The change of an entry since it was last passed on. */
export function changeOf<V>(
  value: V | undefined,
  before: V | undefined,
  sendsOldValues: boolean,
): Change<V> {
  return new Change(value ?? null, sendsOldValues ? (before ?? null) : undefined, true);
}

/** Passes on a row that was held back: no single record corresponds to it. */
export function passingRows<K, V>(
  forward: Forward<K, Change<V>>,
  { sendsOldValues, partition }: Pick<OperatorContext, 'sendsOldValues' | 'partition'>,
): OnHeld<K, V> {
  return ({ key, value, timestampMs }, before) =>
    forward(resultRecord(key, changeOf(value, before, sendsOldValues), timestampMs, partition));
}

/** How an operator with a key-value store passes its changes on. */
export interface TablePassing<K, VIn, V, KIn = K> {
  readonly store: KeyValueStore<K, V>;
  readonly emit: TableEmit;
  /** Changes the store. */
  readonly apply: (record: StreamRecord<KIn, VIn>) => void;
  readonly forward: Forward<K, Change<V>>;
  readonly context: OperatorContext;
}

/** A processor that changes a table by its records, and passes the changes on as `emit` says. */
export function passingOn<K, VIn, V, KIn = K>(
  passing: TablePassing<K, VIn, V, KIn>,
): Processor<KIn, VIn> {
  const { store, emit, apply, forward, context } = passing;
  const { sendsOldValues } = context;
  if (sendsOldValues) store.keepBefore();
  const pass = passingRows(forward, context);
  if (emit === 'commit') {
    store.holdChanges();
    return { process: apply, flush: () => store.passChanges(pass) };
  }
  if (emit === 'each') {
    store.holdChanges();
    let current: StreamRecord<KIn, VIn>; // saves a closure per record
    const passThis: OnHeld<K, V> = ({ key, value, timestampMs }, before) =>
      forward(current.with(key, changeOf(value, before, sendsOldValues), timestampMs));
    return {
      process: (record) => {
        apply(record);
        current = record;
        store.passChanges(passThis);
      },
    };
  }
  const interval = new Interval<K, V>(emit.everyMs, store.name, context);
  store.keepBefore();
  store.holdChanges(({ key, timestampMs }, before, beforeMs) =>
    interval.note(key, timestampMs, before, beforeMs),
  );
  interval.restore((key, before, timestampMs) => store.hold(key, before, timestampMs));
  const passAll = () => {
    store.passChanges(pass);
    interval.clear();
  };
  return {
    process: apply,
    get deadlineMs() {
      return interval.dueMs;
    },
    advance: passAll,
    heldMs: () => interval.heldMs(),
    endOfInput: () => {
      const { dueMs } = interval;
      passAll();
      return dueMs === Infinity ? -Infinity : dueMs; // what was kept of it expires by that time
    },
  };
}
