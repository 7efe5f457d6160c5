import { setImmediate as nextTurn } from 'node:timers/promises';
import { join } from 'node:path';
import {
  LogError,
  type AnyTopic,
  type CommittedOffset,
  type Consumer,
  type Log,
  type Producer,
  type Topic,
  type Transaction,
} from '../../core/index.ts';
import { StoreCodec } from '../state/codec.ts';
import { LmdbEnvironment } from '../state/lmdb-environment.ts';
import { TaskState } from '../state/task-state.ts';
import { checkpoint } from './checkpoint.ts';
import { commit } from './commit.ts';
import type { GlobalTables } from './global-tables.ts';
import type { AppCounts } from './metrics.ts';
import { decodeOffsetMetadata } from './offset-metadata.ts';
import type { StreamsSettings } from './options.ts';
import type { RecordWriter } from './outputs.ts';
import { changelogTopic, type Plan } from './plan.ts';
import { Purger } from './purge.ts';
import { offsetsOf, restoreStores, type StoreRestore } from './restore.ts';
import { Task } from './task.ts';
import { topicHandle } from './topics.ts';

export interface TaskRunnerOptions {
  readonly log: Log;
  readonly plan: Plan;
  readonly settings: StreamsSettings;
  readonly globalTables: GlobalTables;
  readonly counts: AppCounts;
}

const KIB = 1024;
/** Large enough to be worth a file write, small enough that a slice of work fills several. */
const BATCH_BYTES = 128 * KIB;
/** Batches of the outputs gather across slices; a commit does not wait for this. */
const LINGER_MS = 20;
/** What is fetched of a partition at once: some milliseconds of work. */
const FETCH_BYTES = 512 * KIB;
/** Records between two turns of the event loop: a few milliseconds. */
const SLICE_RECORDS = 1000;
/** How long to wait for input at most before looking around. */
const POLL_MS = 100;
/** A quiet stream spends at most a quarter of its time in commits. */
const EARLY_COMMIT_FACTOR = 3;
/** Kafka Streams' segment size for internal topics: what has been read is soon deleted. */
const INTERNAL_SEGMENT_BYTES = 50 * KIB * KIB;
/** A changelog is appended to once a commit, so its batches may be larger than a client's. */
const MESSAGE_BYTES_MAX = 16 * KIB * KIB;

/**
 * Runs the tasks of an application: reads, processes, commits. One runner is one attempt: after a failed
 * commit another one is made, which begins at the last commit.
 */
export class TaskRunner {
  readonly tasks: readonly Task[];
  readonly #options: TaskRunnerOptions;
  readonly #producer: Producer;
  readonly #consumer: Consumer;
  readonly #byInput: ReadonlyMap<string, Task>;
  readonly #purger: Purger;
  #transaction: Transaction | undefined;
  #lastCommitMs: number;
  #lastCheckpointMs: number;
  #isStopping = false;
  #isFinishing = false;

  private constructor(
    options: TaskRunnerOptions,
    parts: {
      readonly tasks: readonly Task[];
      readonly producer: Producer;
      readonly consumer: Consumer;
      readonly transaction: Transaction | undefined;
    },
  ) {
    this.#options = options;
    this.tasks = parts.tasks;
    this.#producer = parts.producer;
    this.#consumer = parts.consumer;
    this.#transaction = parts.transaction;
    this.#purger = new Purger(options.log, options.plan.applicationId);
    const nowMs = options.settings.clock.monotonicMs();
    this.#lastCommitMs = nowMs;
    this.#lastCheckpointMs = nowMs;
    this.#byInput = new Map(
      parts.tasks.flatMap((task) => task.inputs.map((input) => [placeOf(input), task] as const)),
    );
  }

  /** Fences the runner before, reads the state back and stands where the last commit was. */
  static async open(options: TaskRunnerOptions): Promise<TaskRunner> {
    const { log, plan, settings } = options;
    const isExactlyOnce = settings.processingGuarantee === 'exactly_once';
    const { applicationId, transactionTimeoutMs } = settings;
    const producer = log.producer({
      batchSize: BATCH_BYTES,
      lingerMs: LINGER_MS,
      maxRequestSize: MESSAGE_BYTES_MAX,
      transactionTimeoutMs,
      ...(isExactlyOnce && { transactionalId: applicationId }),
    });
    // Before anything is read: what the runner before had open is aborted, so the log's end stands.
    const transaction = isExactlyOnce ? await producer.beginTransaction() : undefined;
    const writers = await openWriters(producer, plan);
    const tasks = await openTasks(options, (topic) => writers.get(topic)!);
    const consumer = log.consumer({
      isolationLevel: 'read_committed',
      autoOffsetReset: 'none',
      maxPartitionFetchBytes: FETCH_BYTES,
    });
    await consumer.assign(
      tasks.flatMap((task, index) =>
        task.inputs.map((input) => {
          const { topic } = plan.tasks[index]!.inputs.find(
            ({ topic: { name } }) => name === input.topic,
          )!;
          return {
            topic: topicHandle(topic) as AnyTopic,
            partition: input.partition,
            offset: input.position,
          };
        }),
      ),
    );
    return new TaskRunner(options, { tasks, producer, consumer, transaction });
  }

  /** Ends `run` soon, after a last commit and checkpoint. */
  stop(): void {
    this.#isStopping = true;
  }

  /** No more input will come: `run` ends when everything is processed and all windows are closed. */
  finish(): void {
    this.#isFinishing = true;
  }

  /** Stream time no longer waits, or waits for ever, for inputs that are empty. */
  setIdleTimeout(idleTimeoutMs: number): void {
    for (const task of this.tasks) task.idleTimeoutMs = idleTimeoutMs;
  }

  /**
   * Works until `stop` or `finish`.
   *
   * @throws StreamsError, LogError what ended it; then `abandon`.
   */
  async run(): Promise<void> {
    while (!this.#isStopping) {
      const batches = await this.#consumer.pollBatches({ maxWaitMs: this.#waitMs() });
      for (const batch of batches) this.#byInput.get(placeOf(batch))?.add(batch);
      const processed = await this.#processAll();
      const isDry = batches.length === 0 && processed === 0;
      if (isDry) await this.#lookAround();
      if (this.#isCommitDue(isDry)) await this.#commit();
      if (isDry && this.#isFinishing && (await this.#endTasks())) break;
    }
    if (this.tasks.some(({ needsCommit }) => needsCommit)) await this.#commit();
    await this.#checkpoint();
    await this.#transaction?.abort(); // nothing was written in it
    await this.#close();
  }

  /** Gives up: what was not committed is thrown away. */
  async abandon(): Promise<void> {
    await this.#transaction?.abort().catch(() => undefined); // the next start aborts it
    await this.#close();
  }

  async #close(): Promise<void> {
    await this.#consumer.close();
    await this.#producer.close().catch(() => undefined); // what counts is committed or aborted
    for (const { state } of this.tasks) await state.close();
  }

  /** Processes what is in memory, slice by slice, and commits in between when it is time. */
  async #processAll(): Promise<number> {
    let total = 0;
    for (;;) {
      let count = 0;
      for (const task of this.tasks) {
        if (!task.hasQueued) continue;
        count += task.process(SLICE_RECORDS);
        await nextTurn();
        if (this.#producer.isFull) await this.#producer.room();
        if (this.#isCommitDue(false)) await this.#commit();
      }
      if (count === 0) return total;
      total += count;
      if (this.#isStopping) return total;
    }
  }

  /** Nothing came: asks where the inputs end, so that it is known which have run dry. */
  async #lookAround(): Promise<void> {
    const asked = this.tasks.flatMap(({ inputs }) =>
      inputs.filter(({ queuedBatches }) => queuedBatches === 0),
    );
    const { partitions } = await this.#options.log.api.listOffsets({
      isolationLevel: 'read_uncommitted', // an open transaction is input that is to come
      partitions: asked.map(({ topic, partition }) => ({
        topic,
        partition,
        spec: 'latest' as const,
      })),
    });
    for (const [index, { offset, error }] of partitions.entries()) {
      if (error !== undefined) throw LogError.fromData(error);
      asked[index]!.endOffset = offset;
    }
    const nowMs = this.#options.settings.clock.monotonicMs();
    for (const task of this.tasks) task.noteEmpty(nowMs);
  }

  /** Ends the tasks that have nothing left to come; true when all have ended and that is committed. */
  async #endTasks(): Promise<boolean> {
    const ending = this.tasks.filter((task) => !task.isEnded && task.canEnd());
    if (ending.length === 0) return this.tasks.every(({ isEnded }) => isEnded);
    for (const task of ending) task.end();
    await this.#commit();
    return false;
  }

  #waitMs(): number {
    if (this.tasks.some(({ hasQueued }) => hasQueued)) return 1; // an input keeps others waiting
    if (!this.tasks.some(({ needsCommit }) => needsCommit)) return POLL_MS;
    const { clock } = this.#options.settings;
    const sinceMs = clock.monotonicMs() - this.#lastCommitMs;
    return Math.max(1, Math.min(POLL_MS, this.#earlyCommitMs() - sinceMs));
  }

  #isCommitDue(isDry: boolean): boolean {
    const { clock, commitIntervalMs } = this.#options.settings;
    const sinceMs = clock.monotonicMs() - this.#lastCommitMs;
    if (sinceMs < (isDry ? this.#earlyCommitMs() : commitIntervalMs)) return false;
    return this.tasks.some(({ needsCommit }) => needsCommit);
  }

  #earlyCommitMs(): number {
    const { lastCommitMs } = this.#options.counts;
    return Math.min(this.#options.settings.commitIntervalMs, lastCommitMs * EARLY_COMMIT_FACTOR);
  }

  async #commit(): Promise<void> {
    const { settings, counts, plan, log } = this.#options;
    const { clock, onStep = ignore } = settings;
    const startMs = clock.monotonicMs();
    const groupId = plan.applicationId;
    await commit({
      groupId,
      tasks: this.tasks,
      producer: this.#producer,
      transaction: this.#transaction,
      commitOffsets: (offsets) => commitOffsets(log, groupId, offsets),
      onStep,
    });
    if (this.#transaction !== undefined)
      this.#transaction = await this.#producer.beginTransaction();
    const nowMs = clock.monotonicMs();
    this.#lastCommitMs = nowMs;
    counts.commits++;
    counts.lastCommitMs = nowMs - startMs;
    const { checkpointIntervalMs, checkpointEntriesMax } = settings;
    const isDue = nowMs - this.#lastCheckpointMs >= checkpointIntervalMs;
    const isLarge = this.tasks.some(({ state }) => state.pendingCount >= checkpointEntriesMax);
    if (isDue || isLarge) await this.#checkpoint();
  }

  async #checkpoint(): Promise<void> {
    const { settings, counts, plan, log } = this.#options;
    const { clock, cacheEntriesMax, onStep = ignore } = settings;
    const startMs = clock.monotonicMs();
    const { applicationId } = plan;
    await checkpoint({ log, applicationId, tasks: this.tasks, cacheEntriesMax, onStep });
    await this.#purger.run(this.tasks);
    this.#lastCheckpointMs = clock.monotonicMs();
    counts.checkpoints++;
    counts.lastCheckpointMs = this.#lastCheckpointMs - startMs;
  }
}

/** Writers for all topics that the topology writes to; internal topics are made here. */
async function openWriters(producer: Producer, plan: Plan): Promise<Map<string, RecordWriter>> {
  const handles: Topic<unknown, unknown>[] = [];
  const internal = { segmentBytes: INTERNAL_SEGMENT_BYTES, maxMessageBytes: MESSAGE_BYTES_MAX };
  for (const node of plan.topology.nodes) {
    if (node.kind === 'sink') handles.push(topicHandle(node.topic));
  }
  for (const { topic } of plan.repartitionTopics) handles.push(topicHandle(topic, internal));
  for (const { store, topic, partitions } of plan.changelogs) {
    const codec = new StoreCodec(store);
    const cleanupPolicy = store.kind === 'window' ? 'delete' : 'compact';
    const spec = { name: topic, key: codec.entryKey, value: codec.entryValue, partitions };
    handles.push(topicHandle(spec, { ...internal, cleanupPolicy }));
  }
  const writers = new Map<string, RecordWriter>();
  for (const handle of handles) writers.set(handle.name, await producer.writer(handle));
  return writers;
}

/** The tasks, with their state read back, standing at the last commit. */
async function openTasks(
  options: TaskRunnerOptions,
  writer: (topic: string) => RecordWriter,
): Promise<Task[]> {
  const { log, plan, settings, globalTables } = options;
  const { applicationId, stateDir, cacheEntriesMax, idleTimeoutMs } = settings;
  const directory = stateDir ?? join(log.directory, 'streams', applicationId);
  const committed = await committedOffsets(log, applicationId);
  const restores: StoreRestore[] = [];
  const states = plan.tasks.map((task) => {
    const { stores, partition } = task;
    const environment = LmdbEnvironment.open(
      join(directory, task.id),
      stores.map(({ name }) => name),
    );
    const state = new TaskState(environment, stores);
    const kept = task.inputs.map(({ topic }) =>
      committed.get(placeOf({ topic: topic.name, partition })),
    );
    const times = kept.map((each) => decodeOffsetMetadata(each?.metadata ?? '')?.streamTimeMs);
    const streamTimeMs = Math.max(...times.map((each) => each ?? -Infinity));
    for (const store of state.stores.values()) {
      const { backing, name } = store.spec;
      const isChangelog = backing === 'changelog';
      const topicName = isChangelog ? changelogTopic(applicationId, name) : backing.sourceTopic;
      const { key, value } = store.spec;
      const topic = topicHandle({ name: topicName, key, value, partitions: undefined });
      const processed = committed.get(placeOf({ topic: topicName, partition }))?.offset ?? 0;
      const endOffset = isChangelog ? undefined : processed;
      restores.push({ state, store, topic, partition, endOffset, streamTimeMs });
    }
    return state;
  });
  await restoreStores(log, restores, cacheEntriesMax);
  const tasks: Task[] = [];
  for (const [index, taskPlan] of plan.tasks.entries()) {
    const task = new Task({
      plan,
      task: taskPlan,
      state: states[index]!,
      outputs: { writer },
      globalStore: (name) => globalTables.store(name),
      idleTimeoutMs,
    });
    for (const input of task.inputs) {
      const kept = committed.get(placeOf(input));
      const { earliest } = await offsetsOf(log, input.topic, input.partition);
      task.restore(input, kept?.offset ?? earliest, kept?.metadata ?? '');
    }
    tasks.push(task);
  }
  return tasks;
}

async function committedOffsets(log: Log, groupId: string): Promise<Map<string, CommittedOffset>> {
  const { offsets } = await log.api.offsetFetch({ groupId, requireStable: false });
  return new Map(offsets.map((offset) => [placeOf(offset), offset]));
}

async function commitOffsets(
  log: Log,
  groupId: string,
  offsets: readonly CommittedOffset[],
): Promise<void> {
  const request = { groupId, memberId: '', generation: -1, offsets };
  const { results } = await log.api.offsetCommit(request);
  const failed = results.find(({ error }) => error !== undefined)?.error;
  if (failed !== undefined) throw LogError.fromData(failed);
}

function placeOf({
  topic,
  partition,
}: {
  readonly topic: string;
  readonly partition: number;
}): string {
  return `${topic}-${partition}`;
}

function ignore(): void {
  // nobody listens
}
