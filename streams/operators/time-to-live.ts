import type { Serde } from '../../core/index.ts';
import { ALL_KEYS } from '../state/key-range.ts';
import { windowStore, type TaskWindowStore } from '../state/window-store.ts';
import type { OperatorContext, Processor } from '../topology/operator.ts';
import type { KeyValueStore, StoreSpec } from '../topology/store.ts';

/** Into so many stretches a time to live is cut: a row stays up to one of them longer. */
const STRETCHES = 16;

/** The store of the times of the rows of a store. */
export function timesStoreOf(store: string): string {
  return `${store}-ttl`;
}

/**
 * Describes that store: for each stretch of time the keys of the rows that had a change in it. A
 * row is noted once in each, so that it costs little to change it often. They are kept under the
 * time at which the stretch is old enough: so a restart with another time to live loses none.
 */
export function timesStoreSpec<K>(options: {
  readonly store: string;
  /** The operator whose time counts. */
  readonly node: string;
  readonly key: Serde<K>;
  /** How long a row stays without a change; for descriptions. */
  readonly ttlMs: number;
}): StoreSpec<K, true> {
  const { store, node, key, ttlMs } = options;
  return {
    ...windowStore(timesStoreOf(store)),
    ...{ key, value: NOTHING, backing: 'changelog', ttlMs },
    expiry: { lifeMs: 0, node },
  };
}

function stretchMsOf(ttlMs: number): number {
  return Math.ceil(ttlMs / STRETCHES);
}

const NOTHING: Serde<true> = {
  name: 'nothing',
  serialize: (_, __, position) => position,
  deserialize: () => true,
};

/** Gets a row that is deleted: its value, and the time at which its stretch has ended. */
export type OnExpired<K, V> = (key: K, value: V, timestampMs: number) => void;

/**
 * Deletes the rows of a store whose last change is older than a time to live [OP-TTL-1]. The keys
 * of the rows are noted by stretches of time: when one of them is old enough, those of its rows
 * that have not changed since are deleted, and nothing else is looked at.
 */
export class TimeToLive<K, V> {
  readonly #ttlMs: number;
  readonly #stretchMs: number;
  readonly #store: Pick<KeyValueStore<K, V>, 'entry' | 'delete'>;
  readonly #times: TaskWindowStore<K, true>;

  constructor(
    ttlMs: number,
    store: Pick<KeyValueStore<K, V>, 'entry' | 'delete' | 'name'>,
    context: OperatorContext,
  ) {
    this.#ttlMs = ttlMs;
    this.#stretchMs = stretchMsOf(ttlMs);
    this.#store = store;
    const { name, kind } = windowStore<K, true>(timesStoreOf(store.name));
    this.#times = context.store<TaskWindowStore<K, true>>({ name, kind });
    this.#shorten();
  }

  /**
   * When the rows of the oldest stretch are old enough; Infinity for none. It is read from the
   * store, which several processors may share.
   */
  get deadlineMs(): number {
    return this.#times.starts[0] ?? Infinity;
  }

  /** True if a record of this time is too old to change a row. */
  isExpired(timestampMs: number, streamTimeMs: number): boolean {
    return timestampMs + this.#ttlMs <= streamTimeMs;
  }

  /** Call it for each change of a row, with the time of the record. */
  note(key: K, timestampMs: number): void {
    const dueMs = this.#dueMs(timestampMs);
    if (this.#times.get(key, dueMs) !== undefined) return;
    this.#times.put(key, dueMs, true, timestampMs);
  }

  /** Deletes the rows that are too old at this time, by stretches and the bytes of their keys. */
  expire(streamTimeMs: number, onExpired?: OnExpired<K, V>): void {
    for (let dueMs = this.deadlineMs; dueMs <= streamTimeMs; dueMs = this.deadlineMs) {
      for (const { key } of this.#times.window(dueMs)) {
        const row = this.#store.entry(key);
        if (row?.value === undefined) continue;
        if (this.#dueMs(row.timestampMs) > dueMs) {
          this.note(key, row.timestampMs); // changed since: noted already, unless by another ttl
          continue;
        }
        const { value } = row;
        this.#store.delete(key, dueMs);
        onExpired?.(key, value, dueMs);
      }
      this.#times.drop(dueMs);
    }
  }

  /** After a restart with a shorter time to live: what the longer one has noted is due earlier. */
  #shorten(): void {
    const times = this.#times;
    for (const dueMs of times.windowStarts()) {
      const [first] = times.rangeIn(dueMs, ALL_KEYS, false);
      if (first === undefined || this.#dueMs(first.timestampMs) >= dueMs) continue;
      for (const { key, timestampMs } of times.window(dueMs)) this.note(key, timestampMs);
      times.drop(dueMs);
    }
  }

  /** When a row that was changed last at this time is old enough: a ttl after its stretch ends. */
  #dueMs(timestampMs: number): number {
    const stretchMs = this.#stretchMs;
    return (Math.floor(timestampMs / stretchMs) + 1) * stretchMs + this.#ttlMs;
  }
}

/** What `expiring` needs besides the processor. */
export interface Expiring<K, V> {
  readonly ttl: TimeToLive<K, V>;
  readonly context: OperatorContext;
  /** Passes on at once that rows are deleted; undefined if the processor passes on what changes. */
  readonly passChanges?: (() => void) | undefined;
  readonly onExpired?: OnExpired<K, V> | undefined;
}

/**
 * The processor of a table whose rows have a time to live. What has expired is deleted when stream
 * time gets there, before the record that moved time; a record that is itself too old is late.
 */
export function expiring<K, VIn, V>(
  table: Processor<K, VIn>,
  { ttl, context, passChanges, onExpired }: Expiring<K, V>,
): Processor<K, VIn> {
  const expire = (timeMs: number): void => {
    if (ttl.deadlineMs > timeMs) return;
    ttl.expire(timeMs, onExpired);
    passChanges?.();
  };
  return {
    process: (record) => {
      const { key, timestampMs } = record;
      if (ttl.isExpired(timestampMs, context.streamTimeMs())) {
        context.drop('late', record);
        return;
      }
      table.process(record);
      if (key !== null && key !== undefined) ttl.note(key, timestampMs);
    },
    get deadlineMs() {
      return Math.min(table.deadlineMs ?? Infinity, ttl.deadlineMs);
    },
    advance: (streamTimeMs, beforeMs, precedesRecord) => {
      // What waits to be passed on comes first if it is due first.
      const { deadlineMs = Infinity } = table;
      if (deadlineMs <= streamTimeMs) {
        expire(deadlineMs);
        table.advance?.(streamTimeMs, beforeMs, precedesRecord);
      }
      expire(streamTimeMs);
    },
    ...(table.flush && { flush: () => table.flush?.() }),
    ...(table.heldMs && { heldMs: () => table.heldMs?.() ?? Infinity }),
    ...(table.endOfInput && { endOfInput: () => table.endOfInput?.() ?? -Infinity }),
  };
}
