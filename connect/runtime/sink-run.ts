import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  ConsumerRecord,
  LogError,
  type AnyTopic,
  type Consumer,
  type Logger,
  type PartitionRecords,
} from '../../core/index.ts';
import { commitOffsets, present } from '../../core/internal.ts';
import type { SinkConnector, SinkOffset, SinkTask, SinkTopic } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { failureOf } from './failure.ts';
import type { PauseSwitch } from './pause-switch.ts';
import { SinkInput, type SinkInputOptions } from './sink-input.ts';

export interface SinkRunOptions extends SinkInputOptions {
  readonly commitIntervalMs: number;
  readonly commitRecordsMax: number;
  readonly pausing: PauseSwitch;
  /** Gets a line if the beginning of a topic is missing. */
  readonly logger: Logger;
  /** Ends the run soon, after a last commit. */
  readonly signal: AbortSignal;
  readonly onStep: (step: string) => void;
  /** Called after each write and commit. */
  readonly onProgress: () => void;
}

/** How far a partition has been read. */
interface PartitionState {
  readonly topic: AnyTopic;
  readonly partition: number;
  /** The next offset to read. */
  position: number;
  /** The end of the partition as of the last fetch. */
  endOffset: number;
  /** The offset to read up to after `finish`. */
  finalOffset: number;
}

/** How long one poll waits for records before the loop checks for commits and stops. */
const POLL_MS = 100;
/** Records per `put`: a few milliseconds of work between turns of the event loop. */
const PUT_RECORDS = 2_000;
/** The same if each of them may need a dead letter: see STRETCHES_MAX in sink-letters.ts. */
const PUT_RECORDS_WITH_LETTERS = 200;

/**
 * One attempt of a run of a sink connector: reads committed records from where the output ends,
 * passes them to the sink, and commits [CONNECT-SINK-1].
 */
export class SinkRun {
  /** True once it has committed something. */
  hasCommitted = false;
  /** How far the output is, durably; empty before it is open. Changes with each commit. */
  committedOffsets: readonly SinkOffset[] = [];
  readonly #options: SinkRunOptions;
  readonly #consumer: Consumer;
  readonly #input: SinkInput;
  #task: SinkTask | undefined;
  #states: readonly PartitionState[] = [];
  #lastCommitMs = 0;
  /** Set by `finish`: the run ends where the topics ended at that moment. */
  #isFinishing = false;
  /** Set once the final offsets are known. */
  #knowsEnds = false;

  constructor(options: SinkRunOptions) {
    this.#options = options;
    this.#input = new SinkInput(options);
    this.#consumer = options.log.consumer({
      isolationLevel: 'read_committed',
      autoOffsetReset: 'none',
    });
  }

  /** Offsets known but not yet read: records, markers and gaps. */
  get lag(): number {
    return this.#states.reduce((sum, { position, endOffset }) => {
      return sum + Math.max(0, endOffset - position);
    }, 0);
  }

  /** How many partitions it reads. */
  get partitions(): number {
    return this.#states.length;
  }

  /** No more input will come: `run` ends once it has written what is there now. */
  finish(): void {
    this.#isFinishing = true;
  }

  /**
   * Writes until the signal aborts or, after `finish`, the end is reached; then commits. True after
   * `finish`.
   *
   * @throws ConnectError, LogError what went wrong: the output holds the last commit.
   */
  async run(): Promise<boolean> {
    const { clock, signal } = this.#options;
    let isThrowing = true;
    try {
      await this.#open();
      this.#lastCommitMs = clock.monotonicMs();
      let isFinal = false;
      while (!signal.aborted && !isFinal) {
        await this.#waitWhilePaused();
        const batches = await this.#consumer.pollBatches({ maxWaitMs: this.#waitMs() });
        for (const batch of batches) await this.#put(batch);
        if (this.#isCommitDue()) await this.#commit(false);
        isFinal = this.#isFinishing && (await this.#isAtEnd());
      }
      await this.#commit(isFinal);
      isThrowing = false;
      return isFinal;
    } finally {
      await this.#close(isThrowing);
    }
  }

  async #open(): Promise<void> {
    const { log, connector, clock, signal, onStep } = this.#options;
    for (const topic of connector.topics) await log.admin().ensureTopic(topic);
    const described = await log.admin().describeTopics(connector.topics.map(({ name }) => name));
    const topics = described.map(({ topic, topicId, partitions }) => {
      return { topic, topicId, partitions };
    });
    const { reject } = this.#input;
    try {
      this.#task = await connector.open({ topics, clock, signal, onStep, reject });
    } catch (cause) {
      throw failureOf(connector.name, 'open', cause);
    }
    this.#states = await this.#findStarts(topics, this.#task.committedOffsets);
    this.committedOffsets = this.#offsets();
    await this.#input.open(this.#offsets());
    await this.#consumer.assign(
      this.#states.map(({ topic, partition, position: offset }) => ({ topic, partition, offset })),
    );
  }

  /** Finds where to start in each partition: after the output's last record, or at the first. */
  async #findStarts(
    topics: readonly SinkTopic[],
    ownOffsets: readonly SinkOffset[] | undefined,
  ): Promise<PartitionState[]> {
    const { log, connector, groupId, logger } = this.#options;
    const committed =
      ownOffsets ?? (await log.api.offsetFetch({ groupId, requireStable: false })).offsets;
    const states: PartitionState[] = [];
    for (const [index, { topic: name, partitions }] of topics.entries()) {
      const ranges = await log.admin().offsets(name);
      for (let partition = 0; partition < partitions; partition++) {
        const { earliest = 0, latest: endOffset = 0 } = ranges[partition] ?? {};
        const known = committed.find((each) => each.topic === name && each.partition === partition);
        const isNew = known === undefined || known.offset < 0;
        const offset = isNew ? earliest : known.offset;
        if (isNew && earliest > 0) {
          const place = `offset ${earliest} of ${name}-${partition}`;
          const text = 'what was before is deleted there, and not in its output';
          logger.warn(`sink ${connector.name} begins at ${place}: ${text}`);
        }
        if (offset > endOffset)
          throw isAhead(connector, { topic: name, partition, offset }, endOffset);
        const topic = present(connector.topics[index], 'topics are in the order of the connector');
        states.push({ topic, partition, position: offset, endOffset, finalOffset: Infinity });
      }
    }
    return states;
  }

  /** Commits what was read and waits, if the run is paused. */
  async #waitWhilePaused(): Promise<void> {
    const { pausing, signal } = this.#options;
    if (!pausing.isOn) return;
    if (this.#options.counts.waiting > 0) await this.#commit(false);
    await pausing.passed(signal);
  }

  /** Passes the records that one fetch returned for one partition to the sink. */
  async #put(batch: PartitionRecords): Promise<void> {
    const { onProgress } = this.#options;
    const task = present(this.#task, 'the sink is open');
    const state = present(
      this.#states.find(({ topic, partition }) => {
        return partition === batch.partition && topic.name === batch.topic;
      }),
      'only assigned partitions are read',
    );
    state.endOffset = Math.max(batch.highWatermark, batch.endOffset);
    const max = this.#input.hasLetters ? PUT_RECORDS_WITH_LETTERS : PUT_RECORDS;
    for (let hasMore = true; hasMore;) {
      const read: ConsumerRecord[] = [];
      while (read.length < max && (hasMore = batch.next())) {
        read.push(new ConsumerRecord(state.topic, batch.partition, batch.cursor));
      }
      await this.#input.put(task, read);
      const last = read.at(-1);
      state.position = hasMore && last !== undefined ? last.offset + 1 : batch.endOffset;
      onProgress();
      await nextTurn();
      if (this.#isCommitDue()) await this.#commit(false);
    }
  }

  #waitMs(): number {
    const { clock, commitIntervalMs, counts } = this.#options;
    if (this.#isFinishing) return 0;
    if (counts.waiting === 0) return POLL_MS;
    const leftMs = this.#lastCommitMs + commitIntervalMs - clock.monotonicMs();
    return Math.max(1, Math.min(POLL_MS, leftMs));
  }

  #isCommitDue(): boolean {
    const { clock, commitIntervalMs, commitRecordsMax, counts } = this.#options;
    if (this.#task?.dueMs !== undefined && this.#task.dueMs <= clock.nowMs()) return true;
    const { waiting } = counts;
    if (waiting === 0) return false;
    const sinceMs = clock.monotonicMs() - this.#lastCommitMs;
    return sinceMs >= commitIntervalMs || waiting >= commitRecordsMax || this.#input.isCommitDue;
  }

  async #commit(isFinal: boolean): Promise<void> {
    const { connector, groupId, onStep, onProgress, log, clock, counts } = this.#options;
    const task = present(this.#task, 'the sink is open');
    const offsets = this.#offsets();
    const startMs = clock.monotonicMs();
    // 0. Dead letters are in the log before the output goes past their records: after a crash in
    //    between, the next run reads those again, and knows that they have their letters.
    if (this.#input.hasLettersWaiting) {
      onStep('sink-0-letters');
      await this.#input.commitLetters();
    }
    // 1. The output becomes durable, with the offsets if the sink is transactional. What it holds
    //    back has to be in it, too, before more dead letters are written than can be remembered.
    onStep('sink-1-output');
    const mustEnd = task.durableOffsets !== undefined && this.#input.mustEnd;
    try {
      await task.commit(offsets, { isFinal: isFinal || mustEnd });
    } catch (cause) {
      throw failureOf(connector.name, 'commit', cause);
    }
    // 2. For other sinks the offsets follow: after a crash in between, the next run repeats
    //    records.
    onStep('sink-2-offsets');
    if (task.committedOffsets === undefined) await commitOffsets(log, groupId, offsets);

    onStep('sink-3-committed');
    this.committedOffsets = task.durableOffsets ?? offsets;
    this.#input.outputCommitted(this.committedOffsets);
    const { heldRecords = 0 } = task;
    if ((counts.waiting > 0 || heldRecords !== counts.held) && counts.settle(heldRecords)) {
      counts.commits++;
      counts.commitTimes.note(clock.monotonicMs() - startMs);
      this.hasCommitted = true;
    }
    this.#lastCommitMs = clock.monotonicMs();
    onProgress();
  }

  #offsets(): SinkOffset[] {
    return this.#states.map(({ topic: { name: topic }, partition, position: offset }) => {
      return { topic, partition, offset };
    });
  }

  /** True once everything committed before `finish` has been written. */
  async #isAtEnd(): Promise<boolean> {
    if (!this.#knowsEnds) {
      const { partitions } = await this.#options.log.api.listOffsets({
        isolationLevel: 'read_committed', // the last stable offset
        partitions: this.#states.map(({ topic, partition }) => {
          return { topic: topic.name, partition, spec: 'latest' as const };
        }),
      });
      for (const [index, { offset, error }] of partitions.entries()) {
        if (error !== undefined) throw LogError.fromData(error);
        this.#states[index]!.finalOffset = offset;
      }
      this.#knowsEnds = true;
    }
    return this.#states.every(({ position, finalOffset }) => position >= finalOffset);
  }

  /** Closes everything. With `isThrowing`, a better error is already on its way. */
  async #close(isThrowing: boolean): Promise<void> {
    const task = this.#task?.close() ?? Promise.resolve();
    const closing = [task, this.#consumer.close(), this.#input.close()];
    const failed = (await Promise.allSettled(closing)).find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected' && !isThrowing) {
      throw failureOf(this.#options.connector.name, 'close', failed.reason);
    }
  }
}

function isAhead({ name }: SinkConnector, start: SinkOffset, endOffset: number): ConnectError {
  const { topic, partition, offset } = start;
  const message =
    `the output of ${name} goes up to offset ${offset} of ${topic}-${partition}, which ends at ` +
    `${endOffset}: it was written from another log, or the log was set back; ` +
    'write it again to a new place';
  return new ConnectError('OUTPUT_AHEAD', message, { ...start, endOffset });
}
