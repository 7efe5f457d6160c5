import type { Timer } from '../../core/index.ts';
import type { Cancellable, PunctuationType } from './processor.ts';
import type { SourceBytes } from './record-errors.ts';
import type { ReadOnlyKeyValueStore, StoreHandle } from './store.ts';
import type { StreamRecord } from './stream-record.ts';

/** Forwards a record. Synchronous: when it returns, everything downstream has run. */
export type Forward<K, V> = (record: StreamRecord<K, V>) => void;

/**
 * One step of a topology, as data. All mutable state is in the Processor or in stores, so one
 * operator serves all tasks.
 */
export interface Operator<KIn = unknown, VIn = unknown, KOut = unknown, VOut = unknown> {
  /** For names and descriptions: `filter`. */
  readonly kind: string;
  /** True if it may change the key: grouping then needs a repartition topic. */
  readonly changesKey: boolean;
  /**
   * For an operator behind a table: `needed` if it reads `Change.oldValue`, `passed` if it only
   * passes old values on to its successors. Tables keep them only if one of them needs them.
   */
  readonly oldValues?: 'needed' | 'passed';
  /**
   * If nothing has come for so long by the clock, its time goes on with the clock, to each deadline
   * that this reaches. Undefined: only records move time.
   */
  readonly closeAfterIdleMs?: number | undefined;
  /** True if it keeps values for a while though it has no store. */
  readonly keepsValues?: boolean;
  /** Those of its stores that it keeps by the keys of its records. Default: all. */
  readonly keyedStores?: readonly string[];
  /**
   * For an operator whose functions may change the values that it keeps: the same one, which gives
   * them copies. A function that fails then has changed nothing.
   */
  readonly careful?: Operator<KIn, VIn, KOut, VOut> | undefined;
  /** Creates the processor of one task; runs at each start of the task. */
  start(forward: Forward<KOut, VOut>, context: OperatorContext): Processor<KIn, VIn>;
}

/**
 * An operator running in one task. Calls never overlap. After an error of `process` the record is
 * dropped, if the node's `onError` says so: what was done before the error stays. Otherwise the
 * task ends before the record's offset is committed, so the record is read again.
 */
export interface Processor<K, V> {
  /**
   * Called once, before anything else: event time and positions are those of the last commit, and
   * the stores are restored.
   */
  init?(): void;
  process(record: StreamRecord<K, V>): void;
  /**
   * For an operator that tells its two parents apart: takes the records of the second one, so that
   * `process` takes those of the first alone.
   */
  processOther?(record: StreamRecord): void;
  /**
   * The stream time at which to call `advance`, Infinity for never. Read after each call; any call
   * may change it.
   */
  readonly deadlineMs?: number;
  /**
   * Called when stream time reaches `deadlineMs`, before the record that moved it is processed. An
   * operator with this method gets its time back at a restart, by the name of its node.
   *
   * @param precedesRecord True if a record moved time, which is processed next.
   * @param beforeMs The time before, perhaps of an earlier run: what was due by then has been done.
   */
  advance?(streamTimeMs: number, beforeMs: number, precedesRecord: boolean): void;
  /**
   * Forwards what it holds back; called before each commit, in the order of the topology. Until
   * then stream time does not advance downstream.
   */
  flush?(): void;
  /**
   * The oldest possible time of a record forwarded later, for an operator that holds records back
   * beyond a flush. Downstream, stream time does not pass this.
   */
  heldMs?(): number;
  /**
   * Ends the input: closes what waits for stream time and returns the stream time that this
   * implies, or -Infinity. Older input that still comes is late. Called after a flush.
   */
  endOfInput?(): number;
  /** Of an operator whose function may take its time: what waits for it. Always the same object. */
  readonly pending?: PendingRecords;
  /** Called when the task ends, also after an error of it or of another one. */
  close?(): void;
}

/**
 * The records that wait for calls of an operator's function. They hold stream time back by
 * `Processor.heldMs`, and the operator's store has them at each commit.
 */
export interface PendingRecords {
  /** How many wait. */
  readonly count: number;
  /** True while no more should come: what feeds the operator pauses. */
  readonly isFull: boolean;
  /** Calls under way; one that waits to be repeated is none. */
  readonly callCount: number;
  /**
   * Forwards what has finished and makes the calls that may be made now; returns how many records
   * were finished. Due whenever the operator has called `OperatorContext.wake`.
   */
  resume(): number;
  /**
   * The lowest offset of the records of a partition; Infinity for none. Those of no single record
   * have the topic '' and the offset -1.
   */
  lowestOffset(topic: string, partition: number): number;
}

/** A call to be made whenever time has passed; by event time it is due at once. */
export interface PunctuationRequest {
  readonly type: PunctuationType;
  readonly intervalMs: number;
  /** What the intervals count from; undefined for 0, or for one interval from now by the clock. */
  readonly startMs: number | undefined;
  readonly callback: (timeMs: number) => void;
}

/** What an operator can reach in its task. */
export interface OperatorContext {
  /** The name of its node. */
  readonly node: string;
  /** The task's name, such as `1_3`: third partition of the second sub-topology. */
  readonly taskId: string;
  readonly partition: number;
  /**
   * The event time reached at this operator; -Infinity before the first record. Behind an operator
   * that holds records back it is behind that at the start of the topology.
   */
  streamTimeMs(): number;
  /** The same of another operator of the task, by the name of its node. */
  streamTimeOf(node: string): number;
  /** True if an operator behind this one, which keeps or changes a table, needs old values. */
  readonly sendsOldValues: boolean;
  /** True if an operator behind this one has stores, in which it may keep values. */
  readonly areValuesKept: boolean;
  /** One of the stores of its node. */
  store<Store>(handle: StoreHandle<Store>): Store;
  globalStore<K, V>(name: string): ReadOnlyKeyValueStore<K, V>;
  /** The ways to the nodes that follow, by name. */
  readonly children: ReadonlyMap<string, Forward<unknown, unknown>>;
  /** The time of day by the application's clock. */
  wallClockMs(): number;
  /** Calls back after a record or between two, and before a commit. */
  schedule(request: PunctuationRequest): Cancellable;
  /** Asks for a commit as soon as the record is processed. */
  requestCommit(): void;
  /**
   * Processes a record that was held back as `process` does: if a function of the user fails, the
   * record is dropped, or the task ends, as the node's `onError` says.
   */
  guard<K, V>(process: Forward<K, V>): Forward<K, V>;
  /**
   * Decides about a record that failed after `process` had returned: drops it, or throws the error
   * that ends the task, as the node's `onError` says.
   */
  fail(record: StreamRecord, cause: unknown, source: SourceBytes | undefined): void;
  /** A copy of what was read of the record in process, if a failure of it could need that later. */
  sourceOf(record: StreamRecord): SourceBytes | undefined;
  /** Calls back once, by the application's clock, perhaps amid a commit: forward nothing then. */
  setTimer(delayMs: number, callback: () => void): Timer;
  /** Asks for a call of `PendingRecords.resume`, soon. May be called at any time. */
  wake(): void;
  /** Hands a record to those who observe the node, once a commit has it. */
  publish(record: StreamRecord): void;
  /** Counts a dropped record by reason, and passes it to whoever reads those of the node. */
  drop(reason: DropReason, record: StreamRecord): void;
}

/**
 * Why a record is dropped: its windows have closed, its key or value is null, or nothing matches it
 * (an inner join finds no partner, or a partitioner chooses no partition), or a source skips it
 * because of its time.
 */
export type DropReason = 'invalid-timestamp' | 'late' | 'null-key' | 'null-value' | 'unmatched';

/** A record that was dropped, as the value of one that keeps its key, time and headers. */
export interface DroppedRecord<V> {
  readonly reason: DropReason;
  readonly value: V;
}

/** Initial counts of dropped records. */
export function noneDropped(): Record<DropReason, number> {
  return { 'invalid-timestamp': 0, late: 0, 'null-key': 0, 'null-value': 0, unmatched: 0 };
}
