import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock, Log, Producer, Timer, Transaction } from '../../core/index.ts';
import { assert, checkArgument, present } from '../../core/internal.ts';
import type {
  SourceBatch,
  SourceConnector,
  SourceOffset,
  SourcePartition,
  SourceTask,
} from '../connector.ts';
import type { Transform } from '../transform.ts';
import { failureOf } from './failure.ts';
import type { PauseSwitch } from './pause-switch.ts';
import type { RunCounts } from './run-counts.ts';
import {
  connectOffsets,
  offsetKey,
  parsePartition,
  partitionText,
  readSourceOffsets,
} from './source-offsets.ts';
import { SourceWriter, type PreparedBatch, type TransactionBoundary } from './source-writer.ts';
import type { Tolerance } from './tolerance.ts';
import type { TopicCreation } from './topic-creation.ts';

/** The steps of a source's commit; `onStep` is called just before each. */
export type SourceStep =
  'source-1-flush' | 'source-2-offsets' | 'source-3-end' | 'source-4-committed';

export interface SourceRunOptions {
  readonly log: Log;
  readonly connector: SourceConnector;
  readonly transactionalId: string;
  readonly transactionBoundary: TransactionBoundary;
  readonly commitIntervalMs: number;
  readonly commitRecordsMax: number;
  readonly transforms: readonly Transform[];
  readonly topicCreation: TopicCreation | undefined;
  readonly tolerance: Tolerance;
  readonly counts: RunCounts;
  readonly pausing: PauseSwitch;
  readonly clock: Clock;
  /** Ends the run soon, after a last commit. */
  readonly signal: AbortSignal;
  readonly onStep: (step: SourceStep) => void;
  /** Called after each batch and commit. */
  readonly onProgress: () => void;
}

/** Small batches share a turn of the event loop, up to so many batches or records. */
const TURN_BATCHES = 32;
const TURN_RECORDS = 1_000;
/** Large enough to be worth a file write: the data comes in megabytes. */
const BATCH_BYTES = 256 * 1024;
/** Batches gather across polls; a commit does not wait for this. */
const LINGER_MS = 20;
/** How long a commit, or the wait for room before it, may take: Kafka's transaction.timeout.ms. */
const COMMIT_MS_MAX = 60_000;
/** A connector that ends its transactions itself may take as long as a broker lets it. */
const TRANSACTION_MS_MAX = 900_000;
/**
 * How long a batch that cannot be written is tried, as on a full disk: shorter than COMMIT_MS_MAX,
 * or the transaction would time out first, and the run would end as if another had fenced it.
 */
const DELIVERY_MS_MAX = 10_000;

/**
 * One attempt of a run of a source connector: one transactional producer, and transactions that
 * each hold records and the offsets after them [CONNECT-SOURCE-1]. All tasks share the producer:
 * fencing its one id fences all tasks of an earlier run, however many there were.
 */
export class SourceRun {
  tasks: readonly SourceTask[] = [];
  /** True once it has committed something. */
  hasCommitted = false;
  readonly #options: SourceRunOptions;
  readonly #producer: Producer;
  readonly #writer: SourceWriter;
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
    const { log, transactionalId, transactionBoundary, commitIntervalMs } = options;
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#failed.signal]);
    const isOwn = transactionBoundary === 'connector';
    this.#producer = log.producer({
      transactionalId,
      transactionTimeoutMs: isOwn ? TRANSACTION_MS_MAX : commitIntervalMs + COMMIT_MS_MAX,
      deliveryTimeoutMs: DELIVERY_MS_MAX,
      batchSize: BATCH_BYTES,
      lingerMs: LINGER_MS,
      // It looks topics up when they are opened, which such a connector does as it goes.
      ...(options.connector.hasOtherTopics === true && { metadataMaxAgeMs: 0 }),
    });
    this.#writer = new SourceWriter({ ...options, producer: this.#producer });
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
      const ended = await Promise.all(this.tasks.map((task, id) => this.#pump(task, id)));
      this.#commitTimer?.cancel();
      await this.#committing;
      this.#check();
      // A transaction that the connector has not ended is none yet.
      const isOwn = this.#options.transactionBoundary === 'connector';
      if (this.#offsets.size > 0 && !isOwn) await this.#commit();
      isThrowing = false;
      return ended.every((each) => each);
    } finally {
      this.#commitTimer?.cancel();
      await this.#close(isThrowing);
    }
  }

  async #open(): Promise<void> {
    const { log, connector, clock, transactionBoundary } = this.#options;
    const { name } = connector;
    await this.#writer.open();
    // Fences an earlier run and aborts its open transaction; from here on its offsets cannot move.
    this.#transaction = await this.#producer.beginTransaction();
    const committed = await readSourceOffsets(log, name);
    const offset = (partition: SourcePartition) => committed.get(partitionText(partition));
    const partitions = () => [...committed.keys()].map(parsePartition);
    try {
      this.tasks = await connector.open({ offset, partitions, signal: this.#signal, clock, log });
    } catch (cause) {
      throw failureOf(name, 'open', cause);
    }
    if (transactionBoundary !== 'connector' || this.tasks.length <= 1) return;
    // Its end would commit half of what another task has begun.
    const allowed = `interval or poll for ${name}, which has ${this.tasks.length} tasks`;
    checkArgument('SourceRunner', 'transactionBoundary', transactionBoundary, () => allowed);
  }

  /** Moves one task's batches into the log. True if the task ended. Never rejects. */
  async #pump(task: SourceTask, taskId: number): Promise<boolean> {
    const { pausing } = this.#options;
    let [batches, records] = [0, 0];
    try {
      while (!this.#signal.aborted) {
        if (pausing.isOn) {
          await pausing.passed(this.#signal);
          continue;
        }
        const batch = await this.#poll(task);
        const prepared = batch && (await this.#writer.prepare(batch, taskId));
        while (this.#committing !== undefined) await this.#committing;
        if (this.#failure !== undefined) return false;
        if (batch === undefined || prepared === undefined) return !this.#signal.aborted;
        this.#write(prepared);
        if (this.#producer.isFull) await this.#producer.room();
        batches++;
        records += prepared.batch.packed?.count ?? prepared.batch.records.length;
        if (batches >= TURN_BATCHES || records >= TURN_RECORDS) {
          await nextTurn(); // lets the producer send and the rest of the process run
          batches = records = 0;
        }
        await this.#endBatch(batch);
      }
    } catch (cause) {
      this.#fail(cause);
    }
    return false;
  }

  async #poll(task: SourceTask): Promise<SourceBatch | undefined> {
    const { clock, counts } = this.#options;
    const startMs = clock.monotonicMs();
    try {
      const batch = await task.poll();
      if (batch !== undefined) counts.batchTimes.note(clock.monotonicMs() - startMs);
      return batch;
    } catch (cause) {
      throw failureOf(this.#options.connector.name, 'poll', cause);
    }
  }

  /** Adds a batch to the open transaction, synchronously, so that no commit can split it. */
  #write(prepared: PreparedBatch): void {
    assert(this.#committing === undefined, 'nothing is written during a commit');
    this.#writer.write(prepared);
    const { partition, offset } = prepared.batch;
    this.#offsets.set(partitionText(partition), { partition, offset });
    const { clock, commitIntervalMs, onProgress, transactionBoundary } = this.#options;
    if (transactionBoundary === 'interval') {
      this.#commitTimer ??= clock.setTimer(commitIntervalMs, () => void this.#commitInTime());
    }
    onProgress();
  }

  /** Commits behind a batch if it is due, or if the connector ends its transaction there. */
  async #endBatch({ transaction }: SourceBatch): Promise<void> {
    const { transactionBoundary, commitRecordsMax, counts } = this.#options;
    switch (transactionBoundary) {
      case 'poll':
        return this.#commit();
      case 'interval':
        if (counts.waiting >= commitRecordsMax) await this.#commit();
        return;
      case 'connector':
        if (transaction === 'abort') await this.#abort();
        if (transaction !== undefined) await this.#commit();
    }
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
    const { connector, counts, onStep, onProgress, clock } = this.#options;
    const startMs = clock.monotonicMs();
    const transaction = present(this.#transaction, 'a run has a transaction');
    // 1. Records and dead letters reach the log, inside the transaction. A crash from here up to
    //    step 3 leaves an open transaction: the next start aborts it and reads from the last
    //    committed offset.
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
    counts.commit();
    counts.commitTimes.note(clock.monotonicMs() - startMs);
    this.#writer.committed();
    this.hasCommitted = true;
    this.#transaction = await this.#producer.beginTransaction();
    onProgress();
    try {
      for (const task of this.tasks) await task.committed?.();
    } catch (cause) {
      throw failureOf(connector.name, 'commit', cause);
    }
  }

  /**
   * Aborts what the connector has written since its last transaction. The offsets stay, and are
   * committed, with the dead letters: it is not to read the same again.
   */
  async #abort(): Promise<void> {
    await present(this.#transaction, 'a run has a transaction').abort();
    this.#options.counts.dropRecords();
    this.#transaction = await this.#producer.beginTransaction();
    this.#writer.repeatLetters();
  }

  #fail(cause: unknown): void {
    this.#failure ??= { cause };
    this.#failed.abort();
    this.#options.pausing.wake();
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
}
