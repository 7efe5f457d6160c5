import { serializeToBytes, type Serde } from '../../core/index.ts';
import { present } from '../../core/internal.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import type { Change } from '../topology/change.ts';
import type { Forward, Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { KeyValueStore, PassedRow, StoreSpec } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { buffer, bufferedSerde, passedOn, type Buffered } from './buffered.ts';
import { copying } from '../state/copying.ts';
import { pairRows, storeReader, type TableReader } from './table-reader.ts';
import { WaitingQueue } from './waiting-queue.ts';

/** What is held back, and until when. */
export interface Suppression<K, V> {
  /** The name of the buffer's store. */
  readonly store: string;
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  /** The time that a row waits from: its first record's, or the end of its window. */
  readonly fromMs: (record: StreamRecord<K>) => number;
  /** How long it waits from then on. */
  readonly durationMs: number;
  /** True for windows, of which only the final results are passed on. */
  readonly isFinal: boolean;
  /** How far the time of a result may be before the time that it waits from. */
  readonly reachMs: number;
  /** Above these the rows that wait longest are passed on early. */
  readonly maxRecords: number;
  readonly maxBytes: number;
}

/** Describes the store of the buffer. */
export function bufferSpec<K, V>({
  store,
  key,
  value,
}: Pick<Suppression<K, V>, 'store' | 'key' | 'value'>): StoreSpec<K, Buffered<V>> {
  return { ...keyValueStore(store), key, value: bufferedSerde(value), backing: 'changelog' };
}

/**
 * Holds the changes of each row back and passes on the last one of them [OP-TABLE-7], as
 * KTableSuppressProcessorSupplier.java: ordered by the time that rows wait from, then by the bytes
 * of their keys; a change of a row that waits takes its place.
 */
export function suppress<K, V>(
  suppression: Suppression<K, V>,
): Operator<K, Change<V>, K, Change<V>> {
  return {
    kind: 'suppress',
    changesKey: false,
    oldValues: 'needed', // a reader sees the row that was passed on before
    start: (forward, context) => new Suppressor(suppression, forward, context),
  };
}

class Suppressor<K, V> implements Processor<K, Change<V>> {
  readonly #suppression: Suppression<K, V>;
  readonly #store: KeyValueStore<K, Buffered<V>>;
  /** The rows in the store, by the time that they wait from. */
  readonly #queue: WaitingQueue<K>;
  readonly #copy: (value: V | null) => V | null;
  readonly #size: ((key: K, buffered: Buffered<V>) => number) | undefined;
  readonly #forward: Forward<K, Change<V>>;
  readonly #context: OperatorContext;
  /** The record that `#keep` keeps: saves a closure per record. */
  #current!: StreamRecord<K, Change<V>>;
  /** Of the buffer, if they are limited. */
  #records = 0;
  /** Of the buffer, if they are limited. */
  #bytes = 0;

  constructor(
    suppression: Suppression<K, V>,
    forward: Forward<K, Change<V>>,
    context: OperatorContext,
  ) {
    const { store, key: keySerde, value, maxRecords, maxBytes } = suppression;
    this.#suppression = suppression;
    this.#store = context.store(keyValueStore<K, Buffered<V>>(store));
    this.#queue = new WaitingQueue({ buffer: store, key: keySerde, context });
    this.#copy = copying(value);
    this.#size = maxBytes === Infinity ? undefined : sizing(keySerde, value);
    this.#forward = forward;
    this.#context = context;
    if (maxRecords < Infinity || maxBytes < Infinity) {
      for (const { key, value: buffered } of this.#store.all()) this.#count(key, buffered!, 1);
    }
  }

  get deadlineMs(): number {
    return this.#queue.nextMs + this.#suppression.durationMs;
  }

  process(record: StreamRecord<K, Change<V>>): void {
    this.#current = record;
    this.#store.update(record.key, record.timestampMs, this.#keep);
    this.#passUntil(this.#context.streamTimeMs());
    this.#limit();
  }

  /**
   * With a time limit, the record that moved time may change a row that is due; then it is part of
   * the result. So what becomes due by a record waits until that is processed, or time moves again.
   */
  advance(streamTimeMs: number, beforeMs: number, precedesRecord: boolean): void {
    const isHeld = precedesRecord && !this.#suppression.isFinal;
    this.#passUntil(isHeld ? beforeMs : streamTimeMs);
  }

  heldMs(): number {
    const { isFinal, durationMs, reachMs } = this.#suppression;
    const timeMs = this.#context.streamTimeMs();
    return isFinal ? timeMs - durationMs - reachMs : Math.min(this.#queue.nextMs, timeMs);
  }

  endOfInput(): number {
    let lastMs = -Infinity;
    while (this.deadlineMs < Infinity) {
      lastMs = this.deadlineMs;
      this.#passFirst();
    }
    return lastMs;
  }

  readonly #keep = (known: Buffered<V> | undefined): Buffered<V> => {
    const { key, value } = this.#current;
    const sizeBefore = known === undefined ? 0 : (this.#size?.(key, known) ?? 0);
    const fromMs = known?.fromMs ?? this.#suppression.fromMs(this.#current);
    const buffered = buffer(known, this.#current, this.#copy(value.newValue), fromMs);
    if (known === undefined) {
      this.#queue.add(key, fromMs);
      this.#count(key, buffered, 1);
    } else if (this.#size !== undefined) {
      this.#bytes += this.#size(key, known) - sizeBefore;
    }
    return buffered;
  };

  /** Counts a row that comes, or with -1 one that goes. */
  #count(key: K, buffered: Buffered<V>, by: 1 | -1): void {
    this.#records += by;
    if (this.#size !== undefined) this.#bytes += by * this.#size(key, buffered);
  }

  #passUntil(timeMs: number): void {
    while (this.deadlineMs <= timeMs) this.#passFirst();
  }

  #limit(): void {
    const { maxRecords, maxBytes } = this.#suppression;
    while (this.#records > maxRecords || this.#bytes > maxBytes) this.#passFirst();
  }

  /** Passes on the row that waits longest. */
  #passFirst(): void {
    const key = present(this.#queue.take(), 'a row waits');
    const buffered = present(this.#store.get(key), 'a row that waits is in the buffer');
    this.#count(key, buffered, -1);
    this.#store.delete(key, buffered.timestampMs);
    if (buffered.value === null && this.#suppression.isFinal) return; // nothing was passed on of it
    this.#forward(passedOn(key, buffered, this.#context));
  }
}

/** The bytes of a row in the buffer. */
function sizing<K, V>(key: Serde<K>, value: Serde<V>): (key: K, buffered: Buffered<V>) => number {
  const serde = bufferedSerde(value);
  return (each, buffered) =>
    serializeToBytes(key, each).length + serializeToBytes(serde, buffered).length;
}

/** Reads a table as its suppression passed it on: rows that wait are as they were before. */
export function suppressedReader<K, V>(
  { store, key: keySerde }: Pick<Suppression<K, V>, 'store' | 'key'>,
  parent: TableReader<K, V>,
): TableReader<K, V> {
  const passed = ({ before }: Buffered<V>): PassedRow<V> | undefined =>
    before === null ? undefined : { value: before, timestampMs: UNKNOWN_MS };
  return {
    stores: [store, ...parent.stores],
    open: (context) => {
      const buffer = context.store(keyValueStore<K, Buffered<V>>(store));
      const read = parent.open(context);
      return (key) => {
        const buffered = buffer.get(key);
        return buffered === undefined ? read(key) : passed(buffered);
      };
    },
    openList: (context) => {
      const buffer = storeReader<K, Buffered<V>>(store).openList(context);
      const list = parent.openList(context);
      return function* (keys, isReverse) {
        const [rows, waiting] = [list(keys, isReverse), buffer(keys, isReverse)];
        for (const { key, left, right } of pairRows(keySerde, rows, waiting, isReverse)) {
          const row = right === undefined ? left : passed(right.value);
          if (row !== undefined) yield { key, value: row.value, timestampMs: row.timestampMs };
        }
      };
    },
  };
}

/** As in Kafka Streams: the time of a row before a change is not known. */
const UNKNOWN_MS = -1;
