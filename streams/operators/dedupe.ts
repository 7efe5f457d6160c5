import { windowStore } from '../state/window-store.ts';
import type { Forward, Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { WindowStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { synchronous } from './results.ts';

/** How duplicates are found. */
export interface Deduplication<K, V, I> {
  /** The id of a record; undefined for its key. */
  readonly by: ((record: StreamRecord<K, V>) => I | null | undefined) | undefined;
  /** Records of one id are duplicates if their times are less than this apart. */
  readonly withinMs: number;
  /** How far behind stream time a record may be; see `dedupeLifeMs`. */
  readonly graceMs: number;
  /** A window store: for each id and stretch of `withinMs`, the time of the record passed on. */
  readonly store: string;
}

/**
 * Passes on the first record of an id, and no other whose time is less than `withinMs` from that of
 * one passed on, earlier or later [OP-DEDUPE-1]. KIP-655 describes the same operation.
 *
 * Time is cut into stretches of `withinMs`. No two records that are passed on are in one stretch,
 * so each stretch has one time for an id, and a record has to be compared with three of them. A
 * stretch is kept until no record that is not late can meet it: one that is late could be a
 * duplicate, so it is dropped and counted [OP-DEDUPE-2].
 */
export function dedupe<K, V, I>(deduplication: Deduplication<K, V, I>): Operator<K, V, K, V> {
  const { by, store } = deduplication;
  return {
    kind: 'dedupe',
    changesKey: false,
    keyedStores: by === undefined ? [store] : [],
    start: (forward, context) => new Deduplicator(deduplication, forward, context),
  };
}

/** How long a stretch is kept after its start: the next one may have records for its grace. */
export function dedupeLifeMs({
  withinMs,
  graceMs,
}: Pick<Deduplication<never, never, never>, 'withinMs' | 'graceMs'>): number {
  return 2 * withinMs + graceMs;
}

class Deduplicator<K, V, I> implements Processor<K, V> {
  readonly #by: Deduplication<K, V, I>['by'];
  readonly #withinMs: number;
  readonly #graceMs: number;
  readonly #lifeMs: number;
  readonly #store: WindowStore<I, number>;
  readonly #forward: Forward<K, V>;
  readonly #context: OperatorContext;
  /** When the oldest stretch is no longer needed. */
  #expiresNextMs: number;

  constructor(
    deduplication: Deduplication<K, V, I>,
    forward: Forward<K, V>,
    context: OperatorContext,
  ) {
    const { by, withinMs, graceMs, store } = deduplication;
    this.#by = by;
    this.#withinMs = withinMs;
    this.#graceMs = graceMs;
    this.#lifeMs = dedupeLifeMs(deduplication);
    this.#store = context.store(windowStore<I, number>(store));
    this.#forward = forward;
    this.#context = context;
    this.#expiresNextMs = this.#oldestExpiryMs();
  }

  get deadlineMs(): number {
    return this.#expiresNextMs;
  }

  process(record: StreamRecord<K, V>): void {
    const id = this.#by === undefined ? (record.key as I | null) : synchronous(this.#by(record));
    if (id === null || id === undefined) {
      this.#context.drop('null-key', record);
      return;
    }
    const { timestampMs } = record;
    const withinMs = this.#withinMs;
    const startMs = timestampMs - (timestampMs % withinMs);
    if (startMs + withinMs + this.#graceMs <= this.#context.streamTimeMs()) {
      this.#context.drop('late', record);
      return;
    }
    const isDuplicate =
      this.#isNear(id, startMs, timestampMs) ||
      this.#isNear(id, startMs - withinMs, timestampMs) ||
      this.#isNear(id, startMs + withinMs, timestampMs);
    if (isDuplicate) return;
    this.#store.put(id, startMs, timestampMs, timestampMs);
    this.#expiresNextMs = Math.min(this.#expiresNextMs, startMs + this.#lifeMs);
    this.#forward(record);
  }

  advance(streamTimeMs: number): void {
    for (const startMs of this.#store.windowStarts()) {
      if (startMs + this.#lifeMs > streamTimeMs) break;
      this.#store.drop(startMs);
    }
    this.#expiresNextMs = this.#oldestExpiryMs();
  }

  /** True if the record passed on in a stretch is too near to another one. */
  #isNear(id: I, startMs: number, timestampMs: number): boolean {
    const passedMs = this.#store.get(id, startMs);
    return passedMs !== undefined && Math.abs(passedMs - timestampMs) < this.#withinMs;
  }

  #oldestExpiryMs(): number {
    const [oldest] = this.#store.windowStarts();
    return oldest === undefined ? Infinity : oldest + this.#lifeMs;
  }
}
