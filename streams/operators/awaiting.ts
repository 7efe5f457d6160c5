import type { Serde } from '../../core/index.ts';
import { keyIdentity } from '../state/codec.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import type {
  Forward,
  Operator,
  OperatorContext,
  PendingRecords,
  Processor,
} from '../topology/operator.ts';
import type { KeyValueStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { Calls, isThenable, type CallOptions } from './calls.ts';
import type { PendingRecord } from './pending-record.ts';

/** In which order the results of calls are passed on. */
export type AsyncOrder = 'key' | 'partition' | 'none';

/** What waits for calls, and how. */
export interface Awaited<K> extends CallOptions {
  /** The name of the store of the records that wait, which `pendingSpec` describes. */
  readonly store: string;
  readonly key: Serde<NonNullable<K>>;
  readonly order: AsyncOrder;
  /** How many records may wait for a call of theirs to end; those above wait to be called. */
  readonly concurrency: number;
  /** How many records may wait before the input pauses. */
  readonly maxPending: number;
}

/** What an operator does with its records, in one task. */
export interface Asking<K, V, K2, V2, R> {
  /** The result for a record, or a promise of it. */
  ask(record: StreamRecord<K, V>): R | Promise<R>;
  /** What is passed on; undefined for nothing. Throws for a result that is none. */
  answer(record: StreamRecord<K, V>, result: R): StreamRecord<K2, V2> | undefined;
}

/** An operator that waits for calls. */
export interface AwaitingOperator<K, V, K2, V2, R> {
  readonly kind: string;
  readonly changesKey: boolean;
  readonly awaited: Awaited<K>;
  /** True if the records of a key are asked for one after the other, with the order `key`. */
  readonly isSerial: boolean;
  start(calls: Calls, context: OperatorContext): Asking<K, V, K2, V2, R>;
}

/**
 * Passes on what calls return [OP-ASYNC-1]. Commits wait for no call: the records that wait are in
 * a store at each commit, so that the offsets behind them can be committed, and a restart asks for
 * them again. A result is forwarded in the transaction that takes its record out of the store, so
 * it is there exactly once, though the function may have been called more often [OP-ASYNC-5].
 *
 * The alternatives were to commit offsets only up to the oldest record that waits, which cannot
 * take back what operators before this one have put into their stores; and to let commits wait for
 * calls, which would add their time to the latency of everything else.
 */
export function awaiting<K, V, K2, V2, R>(
  operator: AwaitingOperator<K, V, K2, V2, R>,
): Operator<K, V, K2, V2> {
  const { kind, changesKey } = operator;
  return {
    ...{ kind, changesKey, keyedStores: [] },
    start: (forward, context) => new Awaiting(operator, forward, context),
  };
}

/** Records of which the results are passed on in the order in which they came. */
type Lane<K, V, R> = Pending<K, V, R>[];

interface Pending<K, V, R> extends PendingRecord<K, V> {
  readonly number: number;
  /** Undefined if it is passed on as soon as it has its result. */
  readonly lane: Lane<K, V, R> | undefined;
  /** Set when its call has ended. */
  outcome: Outcome<R> | undefined;
  /** True once a commit has it in the store. */
  isStored: boolean;
}

type Outcome<R> = { readonly result: R } | { readonly error: unknown };

class Awaiting<K, V, K2, V2, R> implements Processor<K, V>, PendingRecords {
  readonly #operator: AwaitingOperator<K, V, K2, V2, R>;
  readonly #store: KeyValueStore<number, PendingRecord<K, V>>;
  readonly #calls: Calls;
  readonly #asking: Asking<K, V, K2, V2, R>;
  readonly #forward: Forward<K2, V2>;
  readonly #context: OperatorContext;
  /** In the order in which they came. */
  readonly #pending = new Map<number, Pending<K, V, R>>();
  /** By what finds a key; the only one, with the order `partition`, by undefined. */
  readonly #lanes = new Map<unknown, Lane<K, V, R>>();
  /** Those of which the calls have ended since the last `resume`. */
  #ended: Pending<K, V, R>[] = [];
  /** Those to be called as soon as there is room, in their order. */
  #ready: Pending<K, V, R>[] = [];
  /** Those that came since the last commit. */
  readonly #unstored = new Set<Pending<K, V, R>>();
  #running = 0;
  #nextNumber = 0;
  /** The oldest time of those that wait, once it was needed. */
  #oldestMs: number | undefined = Infinity;
  #isClosed = false;

  constructor(
    operator: AwaitingOperator<K, V, K2, V2, R>,
    forward: Forward<K2, V2>,
    context: OperatorContext,
  ) {
    const { awaited } = operator;
    this.#operator = operator;
    this.#store = context.store(keyValueStore<number, PendingRecord<K, V>>(awaited.store));
    this.#calls = new Calls(awaited, context);
    this.#asking = operator.start(this.#calls, context);
    this.#forward = forward;
    this.#context = context;
  }

  get pending(): PendingRecords {
    return this;
  }

  get count(): number {
    return this.#pending.size;
  }

  get isFull(): boolean {
    return this.#pending.size >= this.#operator.awaited.maxPending;
  }

  get callCount(): number {
    return this.#calls.activeCount;
  }

  /** Asks for the records again that the last commit has. */
  init(): void {
    for (const { key: number, value } of this.#store.all()) {
      this.#nextNumber = number;
      this.#enqueue(this.#add(value!, true));
    }
    this.#callReady();
  }

  process(record: StreamRecord<K, V>): void {
    const lane = this.#lanes.get(this.#laneKey(record));
    const hasRoom = this.#running < this.#operator.awaited.concurrency && !this.#hasReady;
    if (lane !== undefined || !hasRoom) {
      const source = this.#context.sourceOf(record);
      this.#enqueue(this.#add({ record, source }, false));
      this.#callReady();
      return;
    }
    const asked = this.#asking.ask(record);
    if (isThenable(asked)) {
      const source = this.#context.sourceOf(record);
      this.#await(this.#add({ record, source }, false), asked);
    } else {
      this.#answer(record, asked, undefined);
    }
  }

  /** Its time is kept by commits, so that what is held back is the same after a restart. */
  advance(): void {
    // nothing is due by event time
  }

  /** Puts those that still wait into the store; most never get there. */
  flush(): void {
    for (const waiting of this.#unstored) {
      const { number, record, source } = waiting;
      this.#store.put(number, { record, source }, record.timestampMs);
      waiting.isStored = true;
    }
    this.#unstored.clear();
  }

  /** A call may take long: what is behind it does not count its result as late for that. */
  heldMs(): number {
    if (this.#oldestMs === undefined) {
      let oldestMs = Infinity;
      for (const { record } of this.#pending.values()) {
        if (record.timestampMs < oldestMs) oldestMs = record.timestampMs;
      }
      this.#oldestMs = oldestMs;
    }
    return Math.min(this.#context.streamTimeMs(), this.#oldestMs);
  }

  resume(): number {
    let count = 0;
    do {
      const ended = this.#ended;
      this.#ended = [];
      for (const pending of ended) count += this.#pass(pending);
      this.#callReady();
    } while (this.#ended.length > 0);
    return count;
  }

  lowestOffset(topic: string, partition: number): number {
    let lowest = Infinity;
    for (const { record } of this.#pending.values()) {
      const isOf = record.topic === topic && record.partition === partition;
      if (isOf && record.offset < lowest) lowest = record.offset;
    }
    return lowest;
  }

  close(): void {
    this.#isClosed = true;
    this.#calls.close();
  }

  get #hasReady(): boolean {
    return this.#ready.length > 0;
  }

  /** What finds the lane of a record; a symbol if it has none. */
  #laneKey({ key }: StreamRecord<K, V>): unknown {
    const { order, key: serde } = this.#operator.awaited;
    if (order === 'partition') return undefined;
    if (order === 'none' || key === null || key === undefined) return NO_LANE;
    return keyIdentity(serde, key);
  }

  /** Adds a record to those that wait. */
  #add({ record, source }: PendingRecord<K, V>, isStored: boolean): Pending<K, V, R> {
    const laneKey = this.#laneKey(record);
    let lane: Lane<K, V, R> | undefined;
    if (laneKey !== NO_LANE) {
      lane = this.#lanes.get(laneKey) ?? [];
      this.#lanes.set(laneKey, lane);
    }
    const number = this.#nextNumber++;
    const pending = { record, source, number, lane, outcome: undefined, isStored };
    lane?.push(pending);
    this.#pending.set(number, pending);
    if (!isStored) this.#unstored.add(pending);
    const { timestampMs } = record;
    if (this.#oldestMs !== undefined && timestampMs < this.#oldestMs) this.#oldestMs = timestampMs;
    return pending;
  }

  /** Lets a record be called, unless another of its key has to be first. */
  #enqueue(pending: Pending<K, V, R>): void {
    const { isSerial, awaited } = this.#operator;
    const mustWait = isSerial && awaited.order === 'key' && pending.lane?.[0] !== pending;
    if (!mustWait || pending.lane === undefined) this.#ready.push(pending);
  }

  #callReady(): void {
    const { concurrency } = this.#operator.awaited;
    let count = 0;
    for (; count < this.#ready.length && this.#running < concurrency; count++) {
      const pending = this.#ready[count]!;
      const asked = this.#asking.ask(pending.record);
      if (isThenable(asked)) this.#await(pending, asked);
      else this.#end(pending, { result: asked });
    }
    if (count > 0) this.#ready = this.#ready.slice(count);
  }

  #await(pending: Pending<K, V, R>, asked: Promise<R>): void {
    this.#running++;
    asked.then(
      (result) => {
        this.#running--;
        this.#end(pending, { result });
      },
      (error: unknown) => {
        this.#running--;
        this.#end(pending, { error });
      },
    );
  }

  #end(pending: Pending<K, V, R>, outcome: Outcome<R>): void {
    if (this.#isClosed) return;
    pending.outcome = outcome;
    this.#ended.push(pending);
    this.#context.wake();
  }

  /** Passes on a result and what has waited for that; returns how many records this finishes. */
  #pass(pending: Pending<K, V, R>): number {
    const { lane } = pending;
    if (lane === undefined) {
      this.#finish(pending);
      return 1;
    }
    let count = 0;
    while (lane[0]?.outcome !== undefined) {
      this.#finish(lane.shift()!);
      count++;
    }
    if (count === 0) return 0;
    if (lane.length === 0) this.#lanes.delete(this.#laneKey(pending.record));
    else if (this.#operator.isSerial && this.#operator.awaited.order === 'key') {
      this.#ready.push(lane[0]!);
    }
    return count;
  }

  #finish(pending: Pending<K, V, R>): void {
    const { number, record, source, outcome, isStored } = pending;
    this.#pending.delete(number);
    if (isStored) this.#store.delete(number, record.timestampMs);
    else this.#unstored.delete(pending);
    if (this.#oldestMs === record.timestampMs) this.#oldestMs = undefined;
    if (outcome !== undefined && 'error' in outcome) {
      this.#context.fail(record, outcome.error, source);
    } else if (outcome !== undefined) {
      this.#answer(record, outcome.result, source);
    }
  }

  #answer(record: StreamRecord<K, V>, result: R, source: PendingRecord<K, V>['source']): void {
    let answer: StreamRecord<K2, V2> | undefined;
    try {
      answer = this.#asking.answer(record, result);
    } catch (cause) {
      this.#context.fail(record, cause, source);
      return;
    }
    if (answer !== undefined) this.#forward(answer);
  }
}

const NO_LANE = Symbol('no lane');
