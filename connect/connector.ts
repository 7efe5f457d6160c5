/**
 * The interfaces that a connector implements. The runtime does the rest: transactions, offsets,
 * commits and progress.
 *
 * The names are Kafka Connect's, with one difference: tasks get what they need from code, so there
 * is no configuration as text. A connector is a plain object from a function with typed options,
 * such as `fileSource({ ... })`; creating one has no side effects.
 */
import type {
  AnyTopic,
  Clock,
  ConsumerRecord,
  Headers,
  Log,
  TopicPartition,
} from '../core/index.ts';

/** Any JSON value. */
export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [name: string]: JsonValue };

/**
 * One part of what a source reads, such as a file or a table: `{ file: 'flights/2001.csv' }`. Its
 * text identifies it across restarts, so nothing in it may change from run to run.
 */
export type SourcePartition = Readonly<Record<string, string>>;

/**
 * A position in a source partition, in whatever terms suit the source: `{ position: 4711 }`.
 * Everything before it has been read.
 */
export type SourceOffset = Readonly<Record<string, JsonValue>>;

/** A record on its way into the log. */
export interface SourceRecord {
  /** One of the connector's `topics`, the same object. */
  readonly topic: AnyTopic;
  readonly key: unknown;
  readonly value: unknown;
  /** Event time; default now. */
  readonly timestampMs?: number | undefined;
  readonly headers?: Headers | undefined;
  /** Default: by the key, as a producer chooses it. */
  readonly partition?: number | undefined;
}

/** A piece of the input that became no record. */
export interface BadInput {
  /** What failed: `read` (cutting and decoding), `convert` (key, value, timestamp, serdes). */
  readonly stage: 'read' | 'convert';
  /** The bytes as they stand in the input; undefined if the source cannot tell them apart. */
  readonly raw: Uint8Array | undefined;
  /** Where it stands: `flights.csv, line 7`. */
  readonly place: string;
  /** The same for programs, such as `{ file, line, byte }`; becomes headers of the dead letter. */
  readonly position: Readonly<Record<string, string | number>>;
  /** Why; the error that ends the run if nothing tolerates it. */
  readonly error: Error;
}

/**
 * Records whose values are bytes already, as the topic's serde would write them: no object a record
 * is made on their way into the log.
 */
export interface PackedRecords {
  /** One of the connector's `topics`, the same object. */
  readonly topic: AnyTopic;
  readonly count: number;
  /** Holds the values: the one of record `i` is `bytes[bounds[2 * i], bounds[2 * i + 1])`. */
  readonly bytes: Buffer;
  readonly bounds: Uint32Array;
  /** By record; undefined if all keys are null. */
  readonly keys?: readonly unknown[] | undefined;
  /** By record; default now. */
  readonly timestampsMs?: readonly (number | undefined)[] | undefined;
  /** By record; default none. */
  readonly headers?: readonly (Headers | undefined)[] | undefined;
  /** By record; default by their keys. */
  readonly partitions?: readonly (number | undefined)[] | undefined;
}

/** Some records of one source partition, and the offset after them. */
export interface SourceBatch {
  /** In order. A few thousand at a time keep the overhead low and the process responsive. */
  readonly records: readonly SourceRecord[];
  /**
   * The same records in packed form, valid until the next `poll`. Where it is given, `records` is
   * read only if something looks at the records on their way, and may be made then.
   */
  readonly packed?: PackedRecords | undefined;
  /**
   * The pieces of the input before `offset` that became no record. A reader yields them and reads
   * on; it throws only if it cannot. Unless the run tolerates them, the first one ends it, and none
   * of the batch's records count.
   */
  readonly bad?: readonly BadInput[] | undefined;
  readonly partition: SourcePartition;
  /**
   * Covers the partition up to the last of these records: a task opened with it continues with the
   * next record. It is committed in one transaction with the records.
   */
  readonly offset: SourceOffset;
  /** Where the record at `index` came from, for messages: `flights.csv, line 7`. */
  readonly describe?: (index: number) => string;
  /**
   * Ends the source's own transaction behind this batch, if the run leaves that to the connector
   * (`transactionBoundary`): Kafka Connect's `TransactionContext`. `abort` drops the records since
   * the last end, but not what was read: they are not read again. What no batch has ended when the
   * run ends is dropped, and read again.
   */
  readonly transaction?: 'commit' | 'abort' | undefined;
}

/** A task's progress, for people. */
export interface SourceTaskProgress {
  /** What `done` and `total` count. */
  readonly unit: 'bytes' | 'rows';
  /** Read so far, including by earlier runs. */
  readonly done: number;
  /** Undefined if unknown. */
  readonly total: number | undefined;
  /** What is being read now, such as a file. */
  readonly current: string | undefined;
  /** How far that was read, and its size, in `unit`. Undefined if unknown. */
  readonly currentDone?: number | undefined;
  readonly currentTotal?: number | undefined;
  /** How many parts, such as files, the input has, and how many of them were read to their ends. */
  readonly parts?: { readonly done: number; readonly total: number } | undefined;
}

/** What a source connector gets when it is opened. */
export interface SourceContext {
  /**
   * The last committed offset of a partition: continue there. Undefined: start at the beginning.
   */
  readonly offset: (partition: SourcePartition) => SourceOffset | undefined;
  /** All partitions with a committed offset. Absent in contexts of tests, perhaps. */
  readonly partitions?: (() => Iterable<SourcePartition>) | undefined;
  /** Aborts when the connector must stop: a waiting `poll` then resolves soon. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** The log that the records go to. Absent in contexts of tests, perhaps. */
  readonly log?: Log | undefined;
}

/**
 * Reads records. Calls do not overlap; the tasks of one connector run concurrently. A task's
 * records reach the log in order.
 */
export interface SourceTask {
  /**
   * Resolves with the next records as soon as there are some; a batch may be empty. Undefined at
   * the end of the input (`isBounded`) or after `signal` aborted.
   *
   * Rejects if the source cannot be read: the run ends, and the next run reads the uncommitted
   * records again.
   */
  poll(): Promise<SourceBatch | undefined>;
  /**
   * Called after each commit, before anything else is written. Committed is what `poll` returned
   * before its last call, at least: the batch of that call may have come during the commit, and is
   * then in the next one. If it rejects, the run ends, and stays committed.
   */
  committed?(): Promise<void>;
  /** The progress so far; may be called at any time. */
  progress?(): SourceTaskProgress;
  /**
   * Releases the task's resources. Called once, even after a failure, but never during a `poll`.
   */
  close(): Promise<void>;
}

/** Where records come from; `T` are the topics that it writes to. */
export interface SourceConnector<T extends AnyTopic = AnyTopic> {
  /** Identifies the connector in the log, for ever: its offsets and transactions use this name. */
  readonly name: string;
  /** The topics that it writes to. The runtime creates them before it opens the connector. */
  readonly topics: readonly T[];
  /**
   * True: its records may be for other topics, too, which it finds out as it reads; each is created
   * with the first record. Default: false.
   */
  readonly hasOtherTopics?: boolean;
  /**
   * True: reads once what is there when it is opened, then ends. False: follows its source until it
   * is stopped.
   */
  readonly isBounded: boolean;
  /**
   * Splits the work into tasks, each at its last committed offsets. There is no order between the
   * records of different tasks, so records that must stay in order belong in one task.
   *
   * Rejects if the source cannot be read at all; nothing has been written.
   */
  open(context: SourceContext): Promise<readonly SourceTask[]>;
}

/**
 * What a sink's output holds after a crash at any moment:
 *
 * - `transactional`: each record once. The offsets live with the output, in the same atomic unit.
 * - `idempotent`: each record at least once, but a repeated record changes nothing (an upsert by
 *   key, a file of the same name and content).
 * - `at-least-once`: records since the last commit may appear twice.
 */
export type Delivery = 'transactional' | 'idempotent' | 'at-least-once';

/** The **next** record to read of a partition. */
export interface SinkOffset extends TopicPartition {
  readonly offset: number;
}

/** A topic as the log has it. */
export interface SinkTopic {
  readonly topic: string;
  /** Kafka's topic id: a topic of the same name in another log has a different id. */
  readonly topicId: string;
  readonly partitions: number;
}

/** What a sink connector gets when it is opened. */
export interface SinkContext {
  /** The connector's topics, in its order. */
  readonly topics: readonly SinkTopic[];
  /** Aborts when the connector must stop. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /**
   * The sink calls it before each step that a crash could separate from the last; tests crash
   * there.
   */
  readonly onStep: (step: string) => void;
  /**
   * Call it, during `put`, for a record that cannot be written. Throws `error` unless the run
   * tolerates it; if it returns, the sink leaves the record out and goes on with the next one.
   */
  readonly reject: (record: ConsumerRecord, error: Error) => void;
}

/** Writes records. Calls do not overlap. */
export interface SinkTask {
  /**
   * For `transactional` sinks: the offsets stored with the output; partitions without one start at
   * their first record. Undefined: start at the offsets that the connector's group has committed.
   */
  readonly committedOffsets: readonly SinkOffset[] | undefined;
  /**
   * When `commit` is to be called even if no record has come, by `clock.nowMs()`: the sink has
   * something to end. Default: never.
   */
  readonly dueMs?: number | undefined;
  /**
   * How far the output really is, after a commit that covers less than it was given: records in
   * files that are whole or nothing wait for their ends. Default: all that it was given.
   */
  readonly durableOffsets?: readonly SinkOffset[] | undefined;
  /**
   * How many records that were put the last commit does not cover, although it came after them: the
   * sink holds their offsets back until it can write them. Default: 0.
   */
  readonly heldRecords?: number | undefined;
  /**
   * Takes records of one partition, in order; synchronously if it can. They need not be durable
   * yet. Their headers are views of fetched memory: copy what you keep.
   */
  put(records: readonly ConsumerRecord[]): void | Promise<void>;
  /**
   * Makes all records put so far durable; `transactional` sinks store `offsets` in the same atomic
   * step. `isFinal` means that the output is to be complete, without anything held back: the input
   * has ended for now, or no more dead letters can be remembered behind `durableOffsets`.
   *
   * If it rejects, the run ends. The commit must be all or nothing even then.
   */
  commit(offsets: readonly SinkOffset[], options: { readonly isFinal: boolean }): Promise<void>;
  /** Releases the task's resources; makes nothing durable. Called once, even after a failure. */
  close(): Promise<void>;
}

/** Where records go; `T` are the topics that it reads. */
export interface SinkConnector<T extends AnyTopic = AnyTopic> {
  /**
   * Identifies the connector in the log, for ever: its group is `connect-<name>`, as in Kafka
   * Connect.
   */
  readonly name: string;
  /** The topics that it reads. The runtime creates missing ones. */
  readonly topics: readonly T[];
  readonly delivery: Delivery;
  /** Rejects if the output cannot be written; nothing has been touched. */
  open(context: SinkContext): Promise<SinkTask>;
}
