import { recordStore } from '../state/record-store.ts';
import type { JoinWindow } from '../topology/join-window.ts';
import type { Forward, Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { KeptRecord, RecordStore } from '../topology/record-store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { synchronous } from './results.ts';

/** Which records are passed on if they find no partner. */
export type StreamJoinKind = 'inner' | 'left' | 'outer';

/** Combines the values of both sides, of which one may be missing; `record` came last. */
export type AnyStreamJoiner<K, VL, VR, R> = (
  left: VL | undefined,
  right: VR | undefined,
  record: StreamRecord<K, VL | VR>,
) => R;

/** How two streams are joined. */
export interface StreamJoin<K, VL, VR, R> {
  readonly kind: StreamJoinKind;
  readonly window: JoinWindow;
  readonly joiner: AnyStreamJoiner<K, VL, VR, R>;
  /** The names of the stores of both sides. */
  readonly leftStore: string;
  readonly rightStore: string;
}

/** The kind of the operator, for names and descriptions. */
export const STREAM_JOIN_KINDS: Readonly<Record<StreamJoinKind, string>> = {
  inner: 'stream-join',
  left: 'stream-left-join',
  outer: 'stream-outer-join',
};

/**
 * Joins each record with those of the other stream that have its key and are in its window
 * [OP-JOIN-1]; the parents are the left and the right stream. Kafka: KStreamKStreamJoin.java.
 *
 * A record without a partner waits until its window, with the grace, has closed; if it is of an
 * outer side, it is then passed on alone, once [OP-JOIN-2].
 */
export function joinStreams<K, VL, VR, R>(join: StreamJoin<K, VL, VR, R>): Operator<K, VL, K, R> {
  return {
    kind: STREAM_JOIN_KINDS[join.kind],
    changesKey: false,
    start: (forward, context) => new StreamJoining(join, forward, context),
  };
}

class StreamJoining<K, VL, VR, R> implements Processor<K, VL> {
  readonly #left: JoinSide<K, VL, VR, R>;
  readonly #right: JoinSide<K, VR, VL, R>;
  readonly #context: OperatorContext;
  /** What waits holds back time, so that it is not late behind this. */
  readonly heldMs?: () => number;

  constructor(
    { kind, window, joiner, leftStore, rightStore }: StreamJoin<K, VL, VR, R>,
    forward: Forward<K, R>,
    context: OperatorContext,
  ) {
    const left = context.store(recordStore<K, VL>(leftStore));
    const right = context.store(recordStore<K, VR>(rightStore));
    const { beforeMs, afterMs, graceMs } = window;
    const shared = { graceMs, forward, context };
    this.#left = new JoinSide<K, VL, VR, R>({
      ...{ ...shared, own: left, other: right, beforeMs, afterMs, isOuter: kind !== 'inner' },
      join: (value, other, record) => synchronous(joiner(value, other, record)),
    });
    this.#right = new JoinSide<K, VR, VL, R>({
      ...{ ...shared, own: right, other: left, beforeMs: afterMs, afterMs: beforeMs },
      isOuter: kind === 'outer',
      join: (value, other, record) => synchronous(joiner(other, value, record)),
    });
    this.#context = context;
    if (kind === 'inner') return;
    this.heldMs = () =>
      Math.min(context.streamTimeMs(), this.#left.oldestWaitingMs(), this.#right.oldestWaitingMs());
  }

  /** When the first window of a record that waits has closed. */
  get deadlineMs(): number {
    return Math.min(this.#left.closesNextMs(), this.#right.closesNextMs());
  }

  process(record: StreamRecord<K, VL>): void {
    this.#left.take(record);
  }

  processOther(record: StreamRecord): void {
    this.#right.take(record as StreamRecord<K, VR>);
  }

  advance(streamTimeMs: number): void {
    this.#passAlone(streamTimeMs);
  }

  endOfInput(): number {
    return this.#passAlone(Infinity);
  }

  /**
   * Passes on what has waited in vain: by time, of one time the right side first, as Kafka's store
   * of unmatched records is sorted. Returns when the last of their windows has closed.
   */
  #passAlone(streamTimeMs: number): number {
    const lefts = this.#left.takeClosed(streamTimeMs);
    const rights = this.#right.takeClosed(streamTimeMs);
    let closedMs = -Infinity;
    for (let [left, right] = [0, 0]; left < lefts.length || right < rights.length;) {
      const [nextLeft, nextRight] = [lefts[left], rights[right]];
      const isLeft = (nextLeft?.timestampMs ?? Infinity) < (nextRight?.timestampMs ?? Infinity);
      const passedMs = isLeft
        ? this.#left.passAlone(lefts[left++]!)
        : this.#right.passAlone(rights[right++]!);
      closedMs = Math.max(closedMs, passedMs);
    }
    return Math.max(closedMs, this.#context.streamTimeMs());
  }
}

interface SideOptions<K, V, VO, R> {
  readonly own: RecordStore<K, V>;
  readonly other: RecordStore<K, VO>;
  /** How much older and newer than a record of this side its partners are, at most. */
  readonly beforeMs: number;
  readonly afterMs: number;
  readonly graceMs: number;
  /** Its records are passed on also if they find no partner. */
  readonly isOuter: boolean;
  readonly join: (value: V, other: VO | undefined, record: StreamRecord<K, V>) => R;
  readonly forward: Forward<K, R>;
  readonly context: OperatorContext;
}

/** What one side does with its records. */
class JoinSide<K, V, VO, R> {
  readonly #options: SideOptions<K, V, VO, R>;
  /** From a record's time to the first moment at which its window has closed. */
  readonly #closesAfterMs: number;
  /** The record that looks for partners: saves a closure for each. */
  #current!: StreamRecord<K, V>;
  #partnerCount = 0;
  /** Passes on a record that has waited. */
  readonly #passHeld: Forward<K, V>;

  constructor(options: SideOptions<K, V, VO, R>) {
    this.#options = options;
    this.#closesAfterMs = options.afterMs + options.graceMs + 1;
    this.#passHeld = options.context.guard((record) => this.#pass(record));
  }

  take(record: StreamRecord<K, V>): void {
    const { own, other, beforeMs, afterMs, isOuter, context } = this.#options;
    const { key, value, timestampMs } = record;
    if (isAbsent(value)) {
      context.drop('null-value', record);
    } else if (isAbsent(key)) {
      if (isOuter) this.#pass(record);
      else context.drop('null-key', record);
    } else {
      const streamTimeMs = context.streamTimeMs();
      this.#current = record;
      this.#partnerCount = 0;
      const fromMs = Math.max(timestampMs - beforeMs, other.expiredBeforeMs(streamTimeMs));
      other.match(key, fromMs, timestampMs + afterMs, this.#joinWith);
      const hasPartner = this.#partnerCount > 0;
      const isAlone = isOuter && !hasPartner;
      const isClosed = timestampMs + this.#closesAfterMs <= streamTimeMs;
      if (isAlone && isClosed) this.#pass(record);
      const isLate = timestampMs < own.expiredBeforeMs(streamTimeMs);
      if (!isLate) own.add(record, !isAlone ? 'kept' : isClosed ? 'passed' : 'waiting');
      else if (!isAlone && !hasPartner) context.drop('late', record);
      own.expire(streamTimeMs);
    }
  }

  oldestWaitingMs(): number {
    return this.#options.isOuter ? this.#options.own.oldestWaitingMs() : Infinity;
  }

  closesNextMs(): number {
    return this.oldestWaitingMs() + this.#closesAfterMs;
  }

  /** The records whose window has closed without a partner. */
  takeClosed(streamTimeMs: number): StreamRecord<K, V>[] {
    const { isOuter, own } = this.#options;
    return isOuter ? own.takeWaiting(streamTimeMs - this.#closesAfterMs) : [];
  }

  /** Passes on a record that has waited; returns when its window has closed. */
  passAlone(record: StreamRecord<K, V>): number {
    this.#passHeld(record);
    return record.timestampMs + this.#closesAfterMs;
  }

  #pass(record: StreamRecord<K, V>): void {
    const { join, forward } = this.#options;
    forward(record.withValue(join(record.value, undefined, record)));
  }

  readonly #joinWith = (partner: KeptRecord<K, VO>): void => {
    const { join, forward } = this.#options;
    const record = this.#current;
    this.#partnerCount++;
    const value = join(record.value, partner.recordValue, record);
    forward(record.with(record.key, value, Math.max(record.timestampMs, partner.timestampMs)));
  };
}

/** An undefined from a mapper counts as null. */
export function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}
