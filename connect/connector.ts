/**
 * All that an author of a connector implements. The runtime does the rest: transactions, offsets,
 * commits, progress.
 *
 * Kafka Connect's words, with one difference: tasks are made with what they need, so there is no
 * configuration as text. A connector is a plain object from a function with typed options, such as
 * `fileSource({ ... })`; making one touches nothing.
 */
import type { AnyTopic, Clock, ConsumerRecord, Headers, TopicPartition } from '../core/index.ts';

/** What JSON can say. */
export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [name: string]: JsonValue };

/**
 * One part of what a source reads, such as a file or a table: `{ file: 'flights/2001.csv' }`. It is
 * known by its text across restarts, so nothing in it may change from run to run.
 */
export type SourcePartition = Readonly<Record<string, string>>;

/**
 * A place in a source partition, in whatever terms suit the source: `{ position: 4711 }`.
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
}

/** Some records of one source partition, and where that partition stands behind them. */
export interface SourceBatch {
  /** In order; some thousand at a time keep the overhead low and everything else responsive. */
  readonly records: readonly SourceRecord[];
  readonly partition: SourcePartition;
  /**
   * Stands for everything of the partition up to the last of these records: a task that is opened
   * with it goes on with the record behind. It is committed in one transaction with the records.
   */
  readonly offset: SourceOffset;
  /** Where the record at `index` came from, for messages: `flights.csv, line 7`. */
  readonly describe?: (index: number) => string;
}

/** How far a task has come, for people. */
export interface SourceTaskProgress {
  /** What `done` and `total` count. */
  readonly unit: 'bytes' | 'rows';
  /** Read so far, what former runs read included. */
  readonly done: number;
  /** Undefined where nobody knows. */
  readonly total: number | undefined;
  /** What is being read now, such as a file. */
  readonly current: string | undefined;
}

/** What a source connector gets when it is opened. */
export interface SourceContext {
  /** The last committed offset of a partition: go on from there. Undefined: begin. */
  readonly offset: (partition: SourcePartition) => SourceOffset | undefined;
  /** Aborts when the connector is to stop: a waiting `poll` then resolves soon. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

/**
 * Reads. Calls do not overlap; tasks of one connector run side by side. What a task yields reaches
 * the log in order.
 */
export interface SourceTask {
  /**
   * The next records, as soon as there are some; a batch may be empty. Undefined when there is
   * nothing more to come (`isBounded`) or when `signal` aborted.
   *
   * Rejects when the source cannot be read: the run ends, and what was not committed is read again
   * by the next one.
   */
  poll(): Promise<SourceBatch | undefined>;
  /** How far it has come; may be called at any time. */
  progress?(): SourceTaskProgress;
  /** Gives back what the task holds. Called once, also after a failure, never during a `poll`. */
  close(): Promise<void>;
}

/** Where records come from. */
export interface SourceConnector {
  /** Names the connector in the log, for ever: offsets and transactions go by it. */
  readonly name: string;
  /** The topics that it writes to. They are created before it is opened. */
  readonly topics: readonly AnyTopic[];
  /**
   * True: one pass over what is there when it is opened, then it ends. False: it follows its source
   * until it is stopped.
   */
  readonly isBounded: boolean;
  /**
   * Splits the work into tasks, each at its last committed offsets. The order between records of
   * different tasks is open, so what has to stay in order belongs to one task.
   *
   * Rejects when the source cannot be read at all; nothing has been written then.
   */
  open(context: SourceContext): Promise<readonly SourceTask[]>;
}

/**
 * What a sink's output is after a crash at any moment:
 *
 * - `transactional`: each record once. The offsets live with the output, in the same atomic unit.
 * - `idempotent`: each record at least once, but a record that comes again changes nothing (an
 *   upsert by key, a file of the same name and content).
 * - `at-least-once`: records since the last commit may be there twice.
 */
export type Delivery = 'transactional' | 'idempotent' | 'at-least-once';

/** The **next** record to read of a partition. */
export interface SinkOffset extends TopicPartition {
  readonly offset: number;
}

/** A topic as it stands in the log. */
export interface SinkTopic {
  readonly topic: string;
  /** Kafka's topic id: another log's topic of the same name has another one. */
  readonly topicId: string;
  readonly partitions: number;
}

/** What a sink connector gets when it is opened. */
export interface SinkContext {
  /** The connector's topics, in its order. */
  readonly topics: readonly SinkTopic[];
  /** Aborts when the connector is to stop. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** To be called before each step that a crash could come in between; tests crash there. */
  readonly onStep: (step: string) => void;
}

/** Writes. Calls do not overlap. */
export interface SinkTask {
  /**
   * For `transactional` sinks: the offsets that live with the output; partitions without one begin
   * at their first record. Undefined: the offsets that the connector's group has committed.
   */
  readonly committedOffsets: readonly SinkOffset[] | undefined;
  /**
   * Takes records of one partition, in order; synchronously where it can. They need not be durable
   * yet. Their headers are views of fetched memory: copy what you keep.
   */
  put(records: readonly ConsumerRecord[]): void | Promise<void>;
  /**
   * Makes durable what was put; `transactional` sinks do that and keep `offsets` in one atomic
   * step. With `isFinal` no more will come for now: the output is complete as it is.
   *
   * When it rejects the run ends. Either all of it counts then, or nothing.
   */
  commit(offsets: readonly SinkOffset[], options: { readonly isFinal: boolean }): Promise<void>;
  /** Gives back what the task holds; makes nothing durable. Called once, also after a failure. */
  close(): Promise<void>;
}

/** Where records go. */
export interface SinkConnector {
  /**
   * Names the connector in the log, for ever: its group is `connect-<name>`, as in Kafka Connect.
   */
  readonly name: string;
  /** The topics that it reads. They are created if need be. */
  readonly topics: readonly AnyTopic[];
  readonly delivery: Delivery;
  /** Rejects when the output cannot be written; it has not been touched then. */
  open(context: SinkContext): Promise<SinkTask>;
}
