import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  LogError,
  type AnyTopic,
  type Clock,
  type Log,
  type Producer,
  type Timer,
  type TopicWriter,
  type Transaction,
} from '../../core/index.ts';
import { assert, present } from '../../core/internal.ts';
import type {
  SourceBatch,
  SourceConnector,
  SourceOffset,
  SourcePartition,
  SourceTask,
} from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { failureOf } from './failure.ts';
import { connectOffsets, offsetKey, partitionText, readSourceOffsets } from './source-offsets.ts';

/** The steps of a source's commit; `onStep` is called just before each. */
export type SourceStep =
  'source-1-flush' | 'source-2-offsets' | 'source-3-end' | 'source-4-committed';

export interface SourceRunOptions {
  readonly log: Log;
  readonly connector: SourceConnector;
  readonly transactionalId: string;
  readonly commitIntervalMs: number;
  readonly commitRecordsMax: number;
  readonly clock: Clock;
  /** Ends the run soon, after a last commit. */
  readonly signal: AbortSignal;
  readonly onStep: (step: SourceStep) => void;
  /** Called after each batch and commit. */
  readonly onProgress: () => void;
}

/** Large enough to be worth a file write: the data comes in megabytes. */
const BATCH_BYTES = 128 * 1024;
/** Batches gather across polls; a commit does not wait for this. */
const LINGER_MS = 20;
/** How long a commit, or the wait for room before it, may take: Kafka's transaction.timeout.ms. */
const COMMIT_MS_MAX = 60_000;

/**
 * One run of a source connector: one transactional producer, and transactions that each hold
 * records and the offsets after them [CONNECT-SOURCE-1]. All tasks share the producer: fencing its
 * one id fences all tasks of an earlier run, however many there were.
 */
export class SourceRun {
  /** Records that this run has written, and those it has committed. */
  records = 0;
  committedRecords = 0;
  commits = 0;
  tasks: readonly SourceTask[] = [];
  readonly #options: SourceRunOptions;
  readonly #producer: Producer;
  readonly #writers = new Map<AnyTopic, TopicWriter<unknown, unknown>>();
  /**
   * Replaced after each commit, so one is always open; without records it costs the broker nothing.
   */
  #transaction: Transaction | undefined;
  /** The offsets that moved since the last commit, by partition text. */
  #offsets = new Map<string, { partition: SourcePartition; offset: SourceOffset }>();
  /** Set while a commit runs: nothing is written then. Never rejects. */
  #committing: Promise<void> | undefined;
  /** Set by the first batch after a commit, because the source may stay silent after it. */
  #commitTimer: Timer | undefined;
  /** What ended the run; set once, and everything stops. */
  #failure: { readonly cause: unknown } | undefined;
  /** Aborts at the first failure, so that no task keeps waiting. */
  readonly #failed = new AbortController();
  /** Tells the tasks to stop, for whatever reason. */
  readonly #signal: AbortSignal;

  constructor(options: SourceRunOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#failed.signal]);
    this.#producer = options.log.producer({
      transactionalId: options.transactionalId,
      transactionTimeoutMs: options.commitIntervalMs + COMMIT_MS_MAX,
      batchSize: BATCH_BYTES,
      lingerMs: LINGER_MS,
    });
  }

  /**
   * Reads until the tasks end or the signal aborts, and commits what was read. True if the tasks
   * ended.
   *
   * @throws ConnectError, LogError what went wrong: everything since the last commit is aborted.
   */
  async run(): Promise<boolean> {
    let isThrowing = true;
    try {
      await this.#open();
      const ended = await Promise.all(this.tasks.map((task) => this.#pump(task)));
      this.#commitTimer?.cancel();
      await this.#committing;
      this.#check();
      if (this.#offsets.size > 0) await this.#commit();
      isThrowing = false;
      return ended.every((each) => each);
    } finally {
      this.#commitTimer?.cancel();
      await this.#close(isThrowing);
    }
  }

  async #open(): Promise<void> {
    const { log, connector, clock } = this.#options;
    const { name } = connector;
    for (const topic of connector.topics) {
      this.#writers.set(topic, await this.#producer.writer(topic));
    }
    // Fences an earlier run and aborts its open transaction; from here on its offsets cannot move.
    this.#transaction = await this.#producer.beginTransaction();
    const committed = await readSourceOffsets(log, name);
    const offset = (partition: SourcePartition) => committed.get(partitionText(partition));
    try {
      this.tasks = await connector.open({ offset, signal: this.#signal, clock });
    } catch (cause) {
      throw failureOf(name, 'open', cause);
    }
  }

  /** Moves one task's batches into the log. True if the task ended. Never rejects. */
  async #pump(task: SourceTask): Promise<boolean> {
    try {
      while (!this.#signal.aborted) {
        const batch = await this.#poll(task);
        while (this.#committing !== undefined) await this.#committing;
        if (this.#failure !== undefined) return false;
        if (batch === undefined) return !this.#signal.aborted;
        this.#write(batch);
        if (this.#producer.isFull) await this.#producer.room();
        await nextTurn(); // lets the producer send and the rest of the process run
        if (this.#isCommitDue()) await this.#commit();
      }
    } catch (cause) {
      this.#fail(cause);
    }
    return false;
  }

  async #poll(task: SourceTask): Promise<SourceBatch | undefined> {
    try {
      return await task.poll();
    } catch (cause) {
      throw failureOf(this.#options.connector.name, 'poll', cause);
    }
  }

  /** Adds a batch to the open transaction, synchronously, so that no commit can split it. */
  #write({ records, bad = [], partition, offset, describe }: SourceBatch): void {
    assert(this.#committing === undefined, 'nothing is written during a commit');
    for (const { error } of bad) throw failureOf(this.#options.connector.name, 'poll', error);
    let topic: AnyTopic | undefined;
    let writer: TopicWriter<unknown, unknown> | undefined;
    let index = 0;
    try {
      for (; index < records.length; index++) {
        const record = records[index]!;
        if (record.topic !== topic || writer === undefined) {
          topic = record.topic;
          writer = this.#writers.get(topic) ?? this.#undeclared(topic);
        }
        writer.write(record.key, record.value, record.timestampMs, record.headers);
      }
    } catch (cause) {
      // A producer that has failed refuses everything: that is no fault of the record.
      if (!(cause instanceof LogError) || cause.fatal || topic === undefined) throw cause;
      throw this.#refused(topic, describe?.(index) ?? `record ${index} of a batch`, cause);
    }
    this.records += records.length;
    this.#offsets.set(partitionText(partition), { partition, offset });
    const { clock, commitIntervalMs, onProgress } = this.#options;
    this.#commitTimer ??= clock.setTimer(commitIntervalMs, () => void this.#commitInTime());
    onProgress();
  }

  #isCommitDue(): boolean {
    return this.records - this.committedRecords >= this.#options.commitRecordsMax;
  }

  /** Commits when the timer fires. Never rejects: a failure ends the run at the next batch. */
  async #commitInTime(): Promise<void> {
    try {
      await this.#commit();
    } catch (cause) {
      this.#fail(cause);
    }
  }

  /** Commits what was written, or waits for the running commit. */
  async #commit(): Promise<void> {
    if (this.#committing !== undefined) return this.#committing;
    this.#commitTimer?.cancel();
    this.#commitTimer = undefined;
    const committing = this.#commitTransaction();
    this.#committing = committing.then(
      () => undefined,
      () => undefined, // whoever started the commit gets the error
    );
    try {
      await committing;
    } finally {
      this.#committing = undefined;
    }
  }

  async #commitTransaction(): Promise<void> {
    const { connector, onStep, onProgress } = this.#options;
    const transaction = present(this.#transaction, 'a run has a transaction');
    const { records } = this;
    // 1. The records reach the log, inside the transaction. A crash from here up to step 3 leaves
    //    an open transaction: the next start aborts it and reads from the last committed offset.
    onStep('source-1-flush');
    await this.#producer.flush();

    // 2. The offset of each partition after these records.
    onStep('source-2-offsets');
    for (const { partition, offset } of this.#offsets.values()) {
      const key = offsetKey(connector.name, partition);
      transaction.send(connectOffsets, { key, value: offset });
    }

    // 3. The commit point: all of it becomes durable and visible, or nothing does.
    onStep('source-3-end');
    await transaction.commit();

    onStep('source-4-committed');
    this.#offsets = new Map();
    this.committedRecords = records;
    this.commits++;
    this.#transaction = await this.#producer.beginTransaction();
    onProgress();
  }

  #fail(cause: unknown): void {
    this.#failure ??= { cause };
    this.#failed.abort();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.cause;
  }

  /** Closes everything. With `isThrowing`, a better error is already on its way. */
  async #close(isThrowing: boolean): Promise<void> {
    const closing = [...this.tasks.map((task) => task.close()), this.#producer.close()];
    const failed = (await Promise.allSettled(closing)).find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected' && !isThrowing) {
      throw failureOf(this.#options.connector.name, 'close', failed.reason);
    }
  }

  #undeclared({ name: topic }: AnyTopic): never {
    const { name: connector } = this.#options.connector;
    const message = `connector ${connector} yields records for ${topic}, not one of its topics`;
    throw new ConnectError('UNDECLARED_TOPIC', message, { connector, topic });
  }

  #refused({ name: topic }: AnyTopic, place: string, cause: LogError): ConnectError {
    const { name: connector } = this.#options.connector;
    const message = `${place}: ${cause.message}`;
    return new ConnectError('RECORD_REFUSED', message, { connector, topic, place }, { cause });
  }
}
