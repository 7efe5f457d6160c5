import { int64, NO_ROOM, type Serde } from '../../core/index.ts';
import { namesAround } from '../../core/internal.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import { Change } from '../topology/change.ts';
import type { CountWindowed, CountWindows } from '../topology/count-windows.ts';
import type { Forward, Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { KeyValueStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { reasonToDrop, type Aggregation } from './aggregate.ts';
import { readSized, sizedEnd, writeSized } from './list-serde.ts';
import { resultRecord } from './results.ts';

export interface CountWindowAggregation<K, V, A> extends Omit<Aggregation<K, V, A>, 'emit'> {
  readonly windows: CountWindows;
  /** `final`: when a window is complete; `each`: all windows that a record changes. */
  readonly emit: 'final' | 'each';
  /** Copies a value, if it is an object: windows do not share it. */
  readonly copy: (value: A) => A;
}

/** The open windows of a key, and the number of its records so far. */
export interface CountedWindows<A> {
  count: number;
  /** In the order of their ends, from the first one behind the last record. */
  readonly open: OpenWindow<A>[];
}

interface OpenWindow<A> {
  /** Undefined if the adder has deleted it. */
  value: A | undefined;
  /** The newest of its records. */
  timestampMs: number;
}

/**
 * Keeps one value for each window of so many records of a key [OP-COUNTWINDOW-1]: time plays no
 * part, so no record is late. A record changes `size / advance` values, which are kept together.
 */
export function countWindowAggregate<K, V, A>(
  aggregation: CountWindowAggregation<K, V, A>,
): Operator<K, V, CountWindowed<K>, Change<A>> {
  return {
    kind: `count-window-${aggregation.kind}`,
    changesKey: false,
    start: (forward, context) => new CountWindowAggregator(aggregation, forward, context),
  };
}

class CountWindowAggregator<K, V, A> implements Processor<K, V> {
  readonly #aggregation: CountWindowAggregation<K, V, A>;
  readonly #store: KeyValueStore<K, CountedWindows<A>>;
  readonly #forward: Forward<CountWindowed<K>, Change<A>>;
  readonly #context: OperatorContext;
  /** The record that `#change` adds: saves a closure per record. */
  #current!: StreamRecord<K, V>;
  /** Its number, and its windows as they are with it, in the order of their ends. */
  #number = 0;
  readonly #windows: OpenWindow<A>[] = [];
  /** The values of these before it, where they are passed on. */
  readonly #before: (A | undefined)[] = [];

  constructor(
    aggregation: CountWindowAggregation<K, V, A>,
    forward: Forward<CountWindowed<K>, Change<A>>,
    context: OperatorContext,
  ) {
    this.#aggregation = aggregation;
    this.#store = context.store(keyValueStore<K, CountedWindows<A>>(aggregation.store));
    this.#forward = forward;
    this.#context = context;
  }

  process(record: StreamRecord<K, V>): void {
    const reason = reasonToDrop(record);
    if (reason !== undefined) {
      this.#context.drop(reason, record);
      return;
    }
    this.#current = record;
    this.#store.update(record.key, record.timestampMs, this.#change);
    const { emit, windows } = this.#aggregation;
    if (emit === 'each') {
      for (let index = 0; index < this.#windows.length; index++) this.#passEach(index);
    } else if ((this.#number + 1) % windows.advance === 0) {
      this.#passFinal();
    }
  }

  readonly #change = (known: CountedWindows<A> | undefined): CountedWindows<A> => {
    const { add, copy, emit, windows } = this.#aggregation;
    const { size, advance } = windows;
    const counted = known ?? { count: 0, open: [] };
    const { count, open } = counted;
    const holding = Math.floor((count + size) / advance) - Math.floor(count / advance);
    const keepsBefore = emit === 'each' && this.#context.sendsOldValues;
    // The functions come first: if one fails, nothing has changed.
    const record = this.#current;
    this.#windows.length = 0;
    this.#before.length = 0;
    for (let index = 0; index < holding; index++) {
      const { value: before, timestampMs = -Infinity } = open[index] ?? {};
      if (keepsBefore) this.#before.push(before === undefined ? before : copy(before));
      const value = add(before, record) ?? undefined;
      const isShared = before === undefined && value !== undefined && holding > 1;
      const own = isShared ? copy(value) : value;
      this.#windows.push({ value: own, timestampMs: Math.max(timestampMs, record.timestampMs) });
    }
    this.#number = count;
    counted.count = count + 1;
    open.length = 0;
    const isComplete = counted.count % advance === 0;
    for (let index = isComplete ? 1 : 0; index < holding; index++) open.push(this.#windows[index]!);
    return counted;
  };

  /** With `each`: a window as the record has changed it. */
  #passEach(index: number): void {
    const { value, timestampMs } = this.#windows[index]!;
    const before = this.#context.sendsOldValues ? (this.#before[index] ?? null) : undefined;
    const change = new Change<A>(value ?? null, before, true);
    this.#forward(this.#current.with(this.#windowed(index), change, timestampMs));
  }

  /** With `final`: the window that the record has completed, unless its value was deleted. */
  #passFinal(): void {
    const { value, timestampMs } = this.#windows[0]!;
    if (value === undefined) return;
    const before = this.#context.sendsOldValues ? null : undefined;
    const change = new Change<A>(value, before, true);
    const { partition } = this.#context;
    this.#forward(resultRecord(this.#windowed(0), change, timestampMs, partition));
  }

  #windowed(index: number): CountWindowed<K> {
    const { size, advance } = this.#aggregation.windows;
    const windowEnd = (Math.floor(this.#number / advance) + 1 + index) * advance;
    return { key: this.#current.key, windowStart: Math.max(0, windowEnd - size), windowEnd };
  }
}

const INT64 = int64();
const NUMBER_BYTES = 4;
const TIME_BYTES = 8;

/**
 * The number of records, i64, that of open windows, u32, and each of these: its time, i64, a byte
 * that tells whether it has a value, and that behind its size.
 */
export function countedWindowsSerde<A>(value: Serde<A>): Serde<CountedWindows<A>> {
  return {
    ...namesAround((name) => `counted-windows(${name})`, value),
    serialize({ count, open }, target, position) {
      const numberAt = INT64.serialize(count, target, position);
      let end = numberAt + NUMBER_BYTES;
      if (numberAt === NO_ROOM || end > target.length) return NO_ROOM;
      target.writeUInt32BE(open.length, numberAt);
      for (const window of open) {
        end = writeWindow(value, window, target, end);
        if (end === NO_ROOM) return NO_ROOM;
      }
      return end;
    },
    deserialize(source, start) {
      const numberAt = start + TIME_BYTES;
      const count = INT64.deserialize(source, start, numberAt);
      const open: OpenWindow<A>[] = [];
      let at = numberAt + NUMBER_BYTES;
      for (let left = source.readUInt32BE(numberAt); left > 0; left--) {
        const flagAt = at + TIME_BYTES;
        const timestampMs = INT64.deserialize(source, at, flagAt);
        const hasValue = source[flagAt] === 1;
        const own = hasValue ? readSized(value, source, flagAt + 1) : undefined;
        open.push({ value: own, timestampMs });
        at = hasValue ? sizedEnd(source, flagAt + 1) : flagAt + 1;
      }
      return { count, open };
    },
  };
}

function writeWindow<A>(
  serde: Serde<A>,
  { value, timestampMs }: OpenWindow<A>,
  target: Buffer,
  position: number,
): number {
  const flagAt = INT64.serialize(timestampMs, target, position);
  if (flagAt === NO_ROOM || flagAt + 1 > target.length) return NO_ROOM;
  target[flagAt] = value === undefined ? 0 : 1;
  return value === undefined ? flagAt + 1 : writeSized(serde, value, target, flagAt + 1);
}
