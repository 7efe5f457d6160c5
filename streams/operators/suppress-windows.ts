import type { Serde } from '../../core/index.ts';
import { windowStore } from '../state/window-store.ts';
import type { Change } from '../topology/change.ts';
import type { Forward, Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { StoreEntry, StoreSpec, WindowStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { Windowed } from '../topology/windows.ts';
import { buffer, bufferedSerde, passedOn, type Buffered } from './buffered.ts';
import { copying } from '../state/copying.ts';

/** What is held back of windows of one size, until they have closed. */
export interface WindowSuppression<K, V> {
  /** The name of the buffer's store. */
  readonly store: string;
  /** Of the keys without their windows. */
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  /** The time from the start of a window to its end. */
  readonly sizeMs: number;
  /** How long after its end a window may change. */
  readonly lifeMs: number;
  readonly node: string;
}

/** Describes the store of the buffer: its windows begin where those of the table end. */
export function windowBufferSpec<K, V>(
  suppression: WindowSuppression<K, V>,
): StoreSpec<K, Buffered<V>> {
  const { store, key, value, lifeMs, node } = suppression;
  const own = { key, value: bufferedSerde(value), backing: 'changelog' } as const;
  return { ...windowStore(store), ...own, expiry: { lifeMs, node } };
}

/**
 * Passes on the last change of each row of a window, when that has closed [OP-TABLE-8], as
 * `suppress` does for other rows. The buffer is a window store, in which the rows of a window are
 * together, in the order in which they are passed on: nothing of them has to be kept in memory, and
 * a window leaves it as a whole, without records in the changelog.
 */
export function suppressWindows<K, V>(
  suppression: WindowSuppression<K, V>,
): Operator<Windowed<K>, Change<V>, Windowed<K>, Change<V>> {
  return {
    kind: 'suppress',
    changesKey: false,
    oldValues: 'passed',
    start: (forward, context) => new WindowSuppressor(suppression, forward, context),
  };
}

class WindowSuppressor<K, V> implements Processor<Windowed<K>, Change<V>> {
  readonly #suppression: WindowSuppression<K, V>;
  readonly #store: WindowStore<K, Buffered<V>>;
  readonly #copy: (value: V | null) => V | null;
  readonly #forward: Forward<Windowed<K>, Change<V>>;
  readonly #context: OperatorContext;
  /** When the oldest window closes. */
  deadlineMs: number;
  /** The record that `#keep` keeps: saves a closure per record. */
  #current!: StreamRecord<Windowed<K>, Change<V>>;

  constructor(
    suppression: WindowSuppression<K, V>,
    forward: Forward<Windowed<K>, Change<V>>,
    context: OperatorContext,
  ) {
    this.#suppression = suppression;
    this.#store = context.store(windowStore<K, Buffered<V>>(suppression.store));
    this.#copy = copying(suppression.value);
    this.#forward = forward;
    this.#context = context;
    this.deadlineMs = this.#oldestDeadlineMs();
  }

  process(record: StreamRecord<Windowed<K>, Change<V>>): void {
    const { key, windowEndMs } = record.key;
    this.#current = record;
    this.#store.update(key, windowEndMs, record.timestampMs, this.#keep);
    const closesMs = windowEndMs + this.#suppression.lifeMs;
    if (closesMs < this.deadlineMs) this.deadlineMs = closesMs;
    const timeMs = this.#context.streamTimeMs();
    if (closesMs <= timeMs) this.advance(timeMs);
  }

  advance(streamTimeMs: number): void {
    for (const endMs of this.#store.windowStarts()) {
      if (endMs + this.#suppression.lifeMs > streamTimeMs) break;
      for (const entry of this.#store.fetchAll(endMs, endMs)) this.#pass(entry, endMs);
      this.#store.drop(endMs);
    }
    this.deadlineMs = this.#oldestDeadlineMs();
  }

  heldMs(): number {
    const { lifeMs, sizeMs } = this.#suppression;
    return this.#context.streamTimeMs() - lifeMs - sizeMs;
  }

  endOfInput(): number {
    const newest = this.#store.windowStarts().at(-1);
    if (newest === undefined) return -Infinity;
    const closedMs = newest + this.#suppression.lifeMs;
    this.advance(closedMs);
    return closedMs;
  }

  readonly #keep = (known: Buffered<V> | undefined): Buffered<V> => {
    const { key, value } = this.#current;
    return buffer(known, this.#current, this.#copy(value.newValue), key.windowEndMs);
  };

  #pass({ key, value: buffered }: StoreEntry<K, Buffered<V>>, windowEndMs: number): void {
    if (buffered === undefined || buffered.value === null) return; // nothing was passed on of it
    const windowStartMs = windowEndMs - this.#suppression.sizeMs;
    const windowed = { key, windowStartMs, windowEndMs };
    this.#forward(passedOn(windowed, buffered, this.#context));
  }

  #oldestDeadlineMs(): number {
    const [oldest = Infinity] = this.#store.windowStarts();
    return oldest + this.#suppression.lifeMs;
  }
}
