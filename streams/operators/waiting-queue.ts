import { int64, NO_ROOM, type Serde } from '../../core/index.ts';
import { namesAround } from '../../core/internal.ts';
import { keyText } from '../state/codec.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import { firstNotBelow } from '../state/sorted-list.ts';
import type { OperatorContext } from '../topology/operator.ts';
import type { KeyValueStore, StoreSpec } from '../topology/store.ts';

/** The key of a row that waits. */
interface WaitingKey<K> {
  /** The time that it waits from. */
  readonly fromMs: number;
  readonly key: K;
}

/** The same in memory. */
interface Waiting<K> extends WaitingKey<K> {
  /** The key's bytes as text, once they were needed. */
  text: string | undefined;
}

const INT64 = int64();
const TIME_BYTES = 8;

/** The store of the queue of a buffer. */
export function waitingStoreOf(buffer: string): string {
  return `${buffer}-times`;
}

/** Describes that store: its keys are the times that rows wait from, and then their keys. */
export function waitingSpec<K>(buffer: string, key: Serde<K>): StoreSpec<WaitingKey<K>, true> {
  const handle = keyValueStore(waitingStoreOf(buffer));
  return { ...handle, key: waitingKeySerde(key), value: NOTHING, backing: 'changelog' };
}

/** Times are not negative, so that their bytes sort as they do. */
function waitingKeySerde<K>(key: Serde<K>): Serde<WaitingKey<K>> {
  return {
    ...namesAround((name) => `waiting(${name})`, key),
    serialize(waiting, target, position) {
      const keyAt = INT64.serialize(waiting.fromMs, target, position);
      return keyAt === NO_ROOM ? NO_ROOM : key.serialize(waiting.key, target, keyAt);
    },
    deserialize(source, start, end) {
      const keyAt = start + TIME_BYTES;
      const fromMs = INT64.deserialize(source, start, keyAt);
      return { fromMs, key: key.deserialize(source, keyAt, end) };
    },
  };
}

const NOTHING: Serde<true> = {
  name: 'nothing',
  serialize: (_, __, position) => position,
  deserialize: () => true,
};

/** What is needed to open a queue. */
export interface WaitingQueueOptions<K> {
  /** The store of the rows. */
  readonly buffer: string;
  readonly key: Serde<K>;
  readonly context: OperatorContext;
  /** Rows in memory, at least two; for tests. */
  readonly frontMax?: number;
}

/** Some hundred kilobytes, and seldom read again. */
const FRONT_MAX = 4_096;

/**
 * The keys of rows that wait, in the order of the times that they wait from, then of the bytes of
 * the keys. They are in a store in that order, which a restart finds; memory has the first of them.
 */
export class WaitingQueue<K> {
  readonly #store: KeyValueStore<WaitingKey<K>, true>;
  readonly #key: Serde<K>;
  readonly #frontMax: number;
  /** The first rows, last one first. Empty only if none waits. */
  readonly #front: Waiting<K>[] = [];
  /** True if no others wait. */
  #isWhole = true;

  constructor({ buffer, key, context, frontMax = FRONT_MAX }: WaitingQueueOptions<K>) {
    this.#store = context.store(keyValueStore<WaitingKey<K>, true>(waitingStoreOf(buffer)));
    this.#key = key;
    this.#frontMax = frontMax;
    this.#fill(undefined);
  }

  /** The time of the first row; Infinity if none waits. */
  get nextMs(): number {
    return this.#front.at(-1)?.fromMs ?? Infinity;
  }

  /** Adds a row that does not wait yet. */
  add(key: K, fromMs: number): void {
    this.#store.put({ fromMs, key }, true, fromMs);
    const added: Waiting<K> = { fromMs, key, text: undefined };
    const front = this.#front;
    const index = firstNotBelow(front, added, this.#isBehind);
    if (index === 0 && !this.#isWhole) return; // behind all of them
    front.splice(index, 0, added);
    if (front.length <= this.#frontMax) return;
    front.splice(0, front.length >> 1);
    this.#isWhole = false;
  }

  /** Takes the first row; undefined if none waits. */
  take(): K | undefined {
    const first = this.#front.pop();
    if (first === undefined) return undefined;
    const { fromMs, key } = first;
    this.#store.delete({ fromMs, key }, fromMs);
    if (this.#front.length === 0 && !this.#isWhole) this.#fill({ fromMs, key });
    return key;
  }

  /** Reads the first rows behind one. */
  #fill(behind: WaitingKey<K> | undefined): void {
    const fillMax = this.#frontMax >> 1;
    this.#isWhole = true;
    for (const { key: waiting } of this.#store.range(behind, undefined)) {
      if (this.#front.length === fillMax) {
        this.#isWhole = false;
        break;
      }
      this.#front.push({ ...waiting, text: undefined });
    }
    this.#front.reverse();
  }

  readonly #isBehind = (one: Waiting<K>, other: Waiting<K>): boolean => {
    if (one.fromMs !== other.fromMs) return one.fromMs > other.fromMs;
    const left = (one.text ??= keyText(this.#key, one.key));
    const right = (other.text ??= keyText(this.#key, other.key));
    return left > right;
  };
}
