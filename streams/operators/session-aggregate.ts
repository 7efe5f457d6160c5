import { sessionStore } from '../state/session-store.ts';
import type { Change } from '../topology/change.ts';
import type { Forward, Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { Session, SessionBounds, SessionStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { SessionWindows, Windowed } from '../topology/windows.ts';
import { reasonToDrop, type Aggregation } from './aggregate.ts';
import { changeOf, type Emit } from './emit.ts';
import { resultRecord } from './results.ts';
import { SessionResults, windowedKey } from './session-results.ts';

export interface SessionAggregation<K, V, A> extends Omit<Aggregation<K, V, A>, 'emit'> {
  readonly windows: SessionWindows;
  readonly emit: Emit;
  /** Adds another session's value to what was merged so far, undefined at first. */
  readonly merge: (
    merged: A | undefined,
    value: A,
    record: StreamRecord<K, V>,
  ) => A | null | undefined;
}

const NONE: readonly undefined[] = [];

/** A session has closed when stream time is past its end by the gap and the grace. */
export function sessionLifeMs({ gapMs, graceMs }: SessionWindows): number {
  return gapMs + graceMs + 1;
}

/**
 * Keeps one value for each key and session [OP-SESSION-1]. A record starts a session, or takes the
 * place of those it belongs to with one that holds them all: their changes to null come before it
 * [OP-SESSION-2]. The time of a result is the end of its session. Kafka Streams:
 * KStreamSessionWindowAggregate.
 */
export function sessionAggregate<K, V, A>(
  aggregation: SessionAggregation<K, V, A>,
): Operator<K, V, Windowed<K>, Change<A>> {
  return {
    kind: `session-${aggregation.kind}`,
    changesKey: false,
    start: (forward, context) => new SessionAggregator(aggregation, forward, context),
  };
}

class SessionAggregator<K, V, A> implements Processor<K, V> {
  readonly #aggregation: SessionAggregation<K, V, A>;
  readonly #store: SessionStore<K, A>;
  readonly #forward: Forward<Windowed<K>, Change<A>>;
  readonly #context: OperatorContext;
  readonly #results: SessionResults<K, A>;
  /** True if changes wait to be passed on. */
  readonly #isHeld: boolean;
  /** True if old values are passed on. */
  readonly #keepsBefore: boolean;
  /** The new value of the session of the current record: saves a closure per record. */
  #value: A | undefined;
  readonly #takeValue = (): A | undefined => this.#value;
  readonly flush?: () => void;
  readonly heldMs?: () => number;

  constructor(
    aggregation: SessionAggregation<K, V, A>,
    forward: Forward<Windowed<K>, Change<A>>,
    context: OperatorContext,
  ) {
    const { emit, windows } = aggregation;
    const store = context.store(sessionStore<K, A>(aggregation.store));
    this.#aggregation = aggregation;
    this.#isHeld = emit === 'commit' || typeof emit === 'object';
    this.#keepsBefore = context.sendsOldValues || typeof emit === 'object';
    this.#store = store;
    this.#forward = forward;
    this.#context = context;
    const closesAfterMs = sessionLifeMs(windows);
    const results = new SessionResults({
      ...{ store, emit, closesAfterMs, lagMs: 0, forward, context },
    });
    this.#results = results;
    if (results.flush !== undefined) this.flush = results.flush;
    if (results.heldMs !== undefined) this.heldMs = results.heldMs;
  }

  get deadlineMs(): number {
    return this.#results.deadlineMs;
  }

  process(record: StreamRecord<K, V>): void {
    const reason = reasonToDrop(record);
    if (reason !== undefined) {
      this.#context.drop(reason, record);
      return;
    }
    const { key, timestampMs } = record;
    const { gapMs, graceMs } = this.#aggregation.windows;
    const openMs = this.#context.streamTimeMs() - gapMs - graceMs; // ends before have closed
    const earliestMs = Math.max(timestampMs - gapMs, openMs);
    const found = this.#store.find(key, earliestMs, timestampMs + gapMs);
    const startMs = Math.min(timestampMs, found[0]?.startMs ?? timestampMs);
    const endMs = Math.max(timestampMs, found.at(-1)?.endMs ?? timestampMs);
    if (endMs < openMs) {
      this.#context.drop('late', record);
      return;
    }
    this.#merge(record, found, { startMs, endMs });
  }

  advance(streamTimeMs: number, beforeMs: number): void {
    this.#results.advance(streamTimeMs, beforeMs);
  }

  endOfInput(): number {
    return this.#results.endOfInput();
  }

  /** Replaces the sessions by one that also has the record. */
  #merge(record: StreamRecord<K, V>, found: readonly Session<A>[], bounds: SessionBounds): void {
    const { add, merge, emit } = this.#aggregation;
    const { key } = record;
    const isEach = emit === 'each';
    // A session of one moment is no other one with another record of that moment.
    const isSame = found.length === 1 && bounds.startMs === bounds.endMs;
    // The functions come first: if one fails, the sessions are as they were. They may change values
    // in place.
    const before = this.#keepsBefore ? found.map((session) => this.#imageOf(key, session)) : NONE;
    let merged: A | undefined;
    for (const { value } of found) merged = merge(merged, value, record) ?? undefined;
    this.#value = add(merged, record) ?? undefined;
    for (const [index, session] of found.entries()) {
      if (isEach && !isSame) this.#pass(key, session, undefined, before[index]);
      if (this.#isHeld) this.#store.remove(key, session, before[index]);
    }
    const { startMs, endMs } = bounds;
    const timed = { startMs, endMs, timestampMs: endMs };
    if (this.#isHeld) this.#store.update(key, timed, this.#takeValue);
    else this.#store.replace(key, found, timed, this.#value);
    if (isEach) this.#pass(key, bounds, this.#value, isSame ? before[0] : undefined);
    else this.#results.noteWindow(key, bounds);
  }

  /** The value of a session that is merged, if it is needed once that is done. */
  #imageOf(key: K, session: Session<A>): A | undefined {
    if (this.#isHeld) return this.#store.imageOf(key, session);
    return this.#aggregation.emit === 'each' ? this.#store.copy(session.value) : undefined;
  }

  /** With `each`. Kafka Streams gives these results no headers. */
  #pass(key: K, bounds: SessionBounds, value: A | undefined, before: A | undefined): void {
    const { partition, sendsOldValues } = this.#context;
    const change = changeOf(value, before, sendsOldValues);
    this.#forward(resultRecord(windowedKey(key, bounds), change, bounds.endMs, partition));
  }
}
