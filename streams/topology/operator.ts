import type { KeyValueStore, ReadOnlyKeyValueStore, WindowStore } from './store.ts';
import type { StreamRecord } from './stream-record.ts';

/** Passes a record on to what follows. Synchronous: when it returns, all that follows has run. */
export type Forward<K, V> = (record: StreamRecord<K, V>) => void;

/**
 * One step of a topology, as data: what it is called, what it does to the key, and how it is set to
 * work in a task. Everything that changes lives in the Processor or in stores, so one operator
 * serves all tasks.
 */
export interface Operator<KIn = unknown, VIn = unknown, KOut = unknown, VOut = unknown> {
  /** For names and descriptions: `filter`. */
  readonly kind: string;
  /** True when the key it passes on may differ: grouping then needs a repartition topic. */
  readonly changesKey: boolean;
  /** Sets the operator to work in one task; runs at each start of the task. */
  start(forward: Forward<KOut, VOut>, context: OperatorContext): Processor<KIn, VIn>;
}

/**
 * An operator at work in one task. Calls never overlap. What `process` throws ends the task before
 * the record's offset is committed, so the record is read again.
 */
export interface Processor<K, V> {
  process(record: StreamRecord<K, V>): void;
  /**
   * The stream time at which `advance` is wanted, Infinity for never. Read after each call; may
   * change in any of them.
   */
  readonly deadlineMs?: number;
  /** Stream time has reached `deadlineMs`: before the record that brought it there is processed. */
  advance?(streamTimeMs: number): void;
  /**
   * Passes on what it holds back; before each commit, in the order of the topology. Stream time
   * stands still for what follows until this has run.
   */
  flush?(): void;
  /**
   * The oldest time that a record may have which is passed on later, for an operator that holds
   * records back beyond a flush. For what follows, stream time is no further than this.
   */
  heldMs?(): number;
  /**
   * No more input will come: closes what waits for stream time, and returns the stream time that
   * this stands for, or -Infinity. Input that comes all the same and is older than that is late.
   * Instead of a flush, not after it.
   */
  endOfInput?(): number;
}

/** What an operator can reach in its task. */
export interface OperatorContext {
  /** The task's name, such as `1_3`: third partition of the second sub-topology. */
  readonly taskId: string;
  readonly partition: number;
  /**
   * How far event time has come in what reaches this operator; -Infinity before the first record.
   * Behind an operator that holds records back it is further back than at the start of the
   * topology.
   */
  streamTimeMs(): number;
  keyValueStore<K, V>(name: string): KeyValueStore<K, V>;
  windowStore<K, V>(name: string): WindowStore<K, V>;
  globalStore<K, V>(name: string): ReadOnlyKeyValueStore<K, V>;
  /** Counts a record that is left out, by reason, for the metrics. */
  drop(reason: DropReason): void;
}

/**
 * Why a record is left out: its windows have closed, its key or value is null, or an inner join has
 * found no partner for it.
 */
export type DropReason = 'late' | 'null-key' | 'null-value' | 'unmatched';

/** Counts of records that are left out, at their beginning. */
export function noneDropped(): Record<DropReason, number> {
  return { late: 0, 'null-key': 0, 'null-value': 0, unmatched: 0 };
}
