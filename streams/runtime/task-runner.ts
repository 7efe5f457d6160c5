import { setImmediate as nextTurn } from 'node:timers/promises';
import { LogError, type CommittedOffset, type Log, type Transaction } from '../../core/index.ts';
import { checkpoint } from './checkpoint.ts';
import { commit } from './commit.ts';
import { Purger } from './purge.ts';
import {
  abandonTasks,
  closeParts,
  openParts,
  type RunnerParts,
  type TaskRunnerOptions,
} from './task-opening.ts';
import type { Task } from './task.ts';
import { placeOf } from './topics.ts';

/** Records processed per turn of the event loop: a few milliseconds of work. */
const SLICE_RECORDS = 1000;
/** The longest wait for input before the runner checks everything else. */
const POLL_MS = 100;
/** Bounds commits to a quarter of the time of a quiet stream. */
const EARLY_COMMIT_FACTOR = 3;
/** Fetches kept of an input that waits for another one: enough to continue once that arrives. */
const QUEUED_BATCHES_MAX = 2;

/**
 * Runs the tasks of an application: reads, processes, commits. One runner is one attempt: after a
 * failed commit a new one starts from the last commit.
 */
export class TaskRunner {
  readonly tasks: readonly Task[];
  readonly #options: TaskRunnerOptions;
  readonly #parts: RunnerParts;
  readonly #byInput: ReadonlyMap<string, Task>;
  readonly #purger: Purger;
  /** With exactly-once always set, except while a commit replaces it. */
  #transaction: Transaction | undefined;
  #lastCommitMs: number;
  #lastCheckpointMs: number;
  #lastLookMs = -Infinity;
  #isStopping = false;
  #isFinishing = false;

  private constructor(options: TaskRunnerOptions, parts: RunnerParts) {
    this.#options = options;
    this.#parts = parts;
    this.tasks = parts.tasks;
    this.#transaction = parts.transaction;
    this.#purger = new Purger(options.log, options.plan.applicationId);
    this.#lastCommitMs = this.#nowMs();
    this.#lastCheckpointMs = this.#lastCommitMs;
    this.#byInput = new Map(
      parts.tasks.flatMap((task) => task.inputs.map((input) => [placeOf(input), task] as const)),
    );
  }

  /**
   * Fences the previous runner, restores the state and continues from the last commit.
   *
   * @throws StreamsError, LogError
   */
  static async open(options: TaskRunnerOptions): Promise<TaskRunner> {
    return new TaskRunner(options, await openParts(options));
  }

  /** Ends `run` soon, after a last commit and checkpoint. */
  stop(): void {
    this.#isStopping = true;
  }

  /**
   * Declares the end of input: `run` ends when everything is processed and all windows are closed.
   */
  finish(): void {
    this.#isFinishing = true;
  }

  /** Sets how long stream time waits for empty inputs. */
  setIdleTimeout(idleTimeoutMs: number): void {
    for (const task of this.tasks) task.idleTimeoutMs = idleTimeoutMs;
  }

  /**
   * Works until `stop` or `finish`; returns true if all input has ended.
   *
   * @throws StreamsError, LogError the error that ended it; call `abandon` then.
   */
  async run(): Promise<boolean> {
    let hasFinished = false;
    for (const task of this.tasks) task.announce();
    while (!this.#isStopping && !hasFinished) {
      // Read first: this turn then sees all input that came before `finish` was called.
      const isFinishing = this.#isFinishing;
      const batches = await this.#parts.consumer.pollBatches({ maxWaitMs: this.#waitMs() });
      // Before what was sent after a query began: a live query gets all that this changes.
      if (this.#isAwaited()) await this.#commit();
      for (const batch of batches) this.#byInput.get(placeOf(batch))?.add(batch);
      const processed = await this.#processAll();
      for (const task of this.tasks) task.punctuateWallClock();
      this.#limitQueues();
      const isDry = batches.length === 0 && processed === 0;
      if (isDry || this.#nowMs() - this.#lastLookMs >= POLL_MS) await this.#lookAround();
      if (this.#isCommitDue(isDry)) await this.#commit();
      hasFinished = isDry && isFinishing && (await this.#endTasks());
    }
    if (this.tasks.some(({ needsCommit }) => needsCommit)) await this.#commit();
    await this.#checkpoint(true);
    await this.#transaction?.abort(); // nothing was written in it
    for (const task of this.tasks) task.close();
    await this.#close();
    return hasFinished;
  }

  /** Gives up and discards what is not committed. */
  async abandon(): Promise<void> {
    await this.#transaction?.abort().catch(() => undefined); // the next start aborts it
    abandonTasks(this.tasks, this.#options.settings.logger);
    await this.#close();
  }

  #close(): Promise<void> {
    return closeParts({ ...this.#parts, states: this.tasks.map(({ state }) => state) });
  }

  /** Processes what is in memory, slice by slice, and commits in between when due. */
  async #processAll(): Promise<number> {
    const { producer } = this.#parts;
    let total = 0;
    for (;;) {
      let count = 0;
      for (const task of this.tasks) {
        if (!task.hasQueued) continue;
        count += task.process(SLICE_RECORDS);
        task.punctuateWallClock();
        await nextTurn();
        if (producer.isFull) await producer.room();
        if (this.#isCommitDue(false)) await this.#commit();
      }
      total += count;
      if (count === 0 || this.#isStopping) return total;
    }
  }

  /** Stops fetching an input that waits for another one of its task, to bound memory. */
  #limitQueues(): void {
    const { consumer } = this.#parts;
    for (const { inputs } of this.tasks) {
      if (inputs.length === 1) continue;
      for (const input of inputs) {
        const isFull = input.queuedBatches >= QUEUED_BATCHES_MAX;
        if (isFull === input.isPaused) continue;
        input.isPaused = isFull;
        if (isFull) consumer.pause([input]);
        else consumer.resume([input]);
      }
    }
  }

  /**
   * Asks for the end offsets of inputs with nothing in memory, to learn which are empty. Also while
   * others are busy: an input that stays empty must not hold back the rest.
   */
  async #lookAround(): Promise<void> {
    const asked = this.tasks.flatMap(({ inputs }) =>
      inputs.filter(({ queuedBatches }) => queuedBatches === 0),
    );
    const { partitions } = await this.#options.log.api.listOffsets({
      isolationLevel: 'read_uncommitted', // an open transaction is input still to come
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
    this.#lastLookMs = this.#nowMs();
    for (const task of this.tasks) task.noteEmpty(this.#lastLookMs);
  }

  /** Ends the tasks with no input left; true when all have ended and the end is committed. */
  async #endTasks(): Promise<boolean> {
    const open = this.tasks.filter(({ isEnded }) => !isEnded);
    if (open.length === 0) return true;
    const hasOpenUpstream = ({ plan }: Task): boolean =>
      open.some((other) => plan.upstreams.includes(other.plan.subTopology.id));
    // Markers alone are not enough: those of an earlier run may still be unread.
    const ending = open.filter((task) => task.canEnd() && !hasOpenUpstream(task));
    if (ending.length === 0) return false;
    for (const task of ending) task.end();
    await this.#commit();
    return false;
  }

  #waitMs(): number {
    if (this.tasks.some(({ hasQueued }) => hasQueued)) return 1; // an input keeps others waiting
    if (this.#isFinishing && this.tasks.every((task) => task.canEnd())) return 1; // no input left
    const dueMs = Math.min(...this.tasks.map(({ wallClockDueMs }) => wallClockDueMs));
    const waitMs = Math.min(POLL_MS, dueMs - this.#options.settings.clock.nowMs());
    if (!this.tasks.some(({ needsCommit }) => needsCommit)) return Math.max(1, waitMs);
    const sinceMs = this.#nowMs() - this.#lastCommitMs;
    return Math.max(1, Math.min(waitMs, this.#earlyCommitMs() - sinceMs));
  }

  #isCommitDue(isDry: boolean): boolean {
    if (this.tasks.some(({ isCommitRequested }) => isCommitRequested)) return true;
    if (this.#isAwaited()) return true;
    const { commitIntervalMs } = this.#options.settings;
    const sinceMs = this.#nowMs() - this.#lastCommitMs;
    if (sinceMs < (isDry ? this.#earlyCommitMs() : commitIntervalMs)) return false;
    return this.tasks.some(({ needsCommit }) => needsCommit);
  }

  /** True if a query waits for a commit and a checkpoint. */
  #isAwaited(): boolean {
    return this.tasks.some(({ state }) => state.committed.isAwaited);
  }

  #earlyCommitMs(): number {
    const { counts, settings } = this.#options;
    return Math.min(settings.commitIntervalMs, counts.lastCommitMs * EARLY_COMMIT_FACTOR);
  }

  async #commit(): Promise<void> {
    const { settings, counts, plan, log } = this.#options;
    const { producer, deliveries } = this.#parts;
    const { onStep = ignore } = settings;
    const startMs = this.#nowMs();
    const groupId = plan.applicationId;
    await commit({
      groupId,
      tasks: this.tasks,
      flush: async () => {
        await producer.flush();
        deliveries.check();
      },
      transaction: this.#transaction,
      commitOffsets: (offsets) => commitOffsets(log, groupId, offsets),
      onStep,
    });
    if (this.#transaction !== undefined) this.#transaction = await producer.beginTransaction();
    this.#lastCommitMs = this.#nowMs();
    counts.commits++;
    counts.lastCommitMs = this.#lastCommitMs - startMs;
    if (this.#isCheckpointDue()) await this.#checkpoint();
  }

  #isCheckpointDue(): boolean {
    const { checkpointIntervalMs, checkpointEntriesMax } = this.#options.settings;
    if (this.#lastCommitMs - this.#lastCheckpointMs >= checkpointIntervalMs) return true;
    return this.tasks.some(({ state: { tailCount, committed } }) => {
      return tailCount >= checkpointEntriesMax || committed.isAwaited;
    });
  }

  async #checkpoint(isFinal = false): Promise<void> {
    const { settings, counts, plan, log } = this.#options;
    const { cacheEntriesMax, onStep = ignore } = settings;
    const startMs = this.#nowMs();
    const { applicationId } = plan;
    await checkpoint({
      ...{ log, applicationId, tasks: this.tasks, cacheEntriesMax, isFinal, onStep },
    });
    await this.#purger.run(this.tasks);
    this.#lastCheckpointMs = this.#nowMs();
    counts.checkpoints++;
    counts.lastCheckpointMs = this.#lastCheckpointMs - startMs;
  }

  #nowMs(): number {
    return this.#options.settings.clock.monotonicMs();
  }
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

function ignore(): void {
  // no listener
}
