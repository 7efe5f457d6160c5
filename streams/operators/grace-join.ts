import { recordStore } from '../state/record-store.ts';
import type { Forward, Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { RecordStore } from '../topology/record-store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { joinKind, joiningWith, type TableJoin } from './join.ts';
import { isAbsent } from './stream-join.ts';

export interface GraceJoin<K, V, VT, VR> extends TableJoin<K, V, K, VT, VR> {
  readonly graceMs: number;
  /** The name of the store of what waits. */
  readonly buffer: string;
}

/**
 * Joins each record with a versioned table when stream time has passed its own by the grace, so
 * that changes of the table that are out of order are there [OP-ASOF-3]. Kafka:
 * KStreamKTableJoinProcessor.java with RocksDBTimeOrderedKeyValueBuffer.java.
 */
export function joinTableWithGrace<K, V, VT, VR>(
  join: GraceJoin<K, V, VT, VR>,
): Operator<K, V, K, VR> {
  return {
    kind: joinKind(join),
    changesKey: false,
    start: (forward, context) => new GraceJoining(join, forward, context),
  };
}

class GraceJoining<K, V, VT, VR> implements Processor<K, V> {
  readonly #graceMs: number;
  readonly #buffer: RecordStore<K, V>;
  readonly #join: Forward<K, V>;
  /** The same for a record that has waited. */
  readonly #joinHeld: Forward<K, V>;
  readonly #context: OperatorContext;

  constructor(join: GraceJoin<K, V, VT, VR>, forward: Forward<K, VR>, context: OperatorContext) {
    this.#graceMs = join.graceMs;
    this.#buffer = context.store(recordStore<K, V>(join.buffer));
    this.#join = joiningWith(join, forward, context);
    this.#joinHeld = context.guard(this.#join);
    this.#context = context;
  }

  get deadlineMs(): number {
    return this.#buffer.oldestWaitingMs() + this.#graceMs;
  }

  process(record: StreamRecord<K, V>): void {
    const { key, value, timestampMs } = record;
    const streamTimeMs = this.#context.streamTimeMs();
    const isDue = timestampMs + this.#graceMs <= streamTimeMs;
    // One without a key has no row to wait for.
    if (isDue || isAbsent(key) || isAbsent(value)) {
      this.#join(record);
      return;
    }
    this.#buffer.add(record, 'waiting');
    this.#buffer.expire(streamTimeMs);
  }

  advance(streamTimeMs: number): void {
    for (const record of this.#buffer.takeWaiting(streamTimeMs - this.#graceMs)) {
      this.#joinHeld(record);
    }
  }

  /** What waits holds back time, so that it is not late behind this. */
  heldMs(): number {
    return Math.min(this.#context.streamTimeMs(), this.#buffer.oldestWaitingMs());
  }

  endOfInput(): number {
    const waiting = this.#buffer.takeWaiting(Infinity);
    for (const record of waiting) this.#joinHeld(record);
    const newest = waiting.at(-1);
    const endedMs = newest === undefined ? -Infinity : newest.timestampMs + this.#graceMs;
    return Math.max(endedMs, this.#context.streamTimeMs());
  }
}
