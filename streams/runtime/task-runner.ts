import { setImmediate as nextTurn } from 'node:timers/promises';
import { LogError, type PartitionRecords, type Transaction } from '../../core/index.ts';
import { commitOffsets } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import { checkpoint, type CheckpointContext } from './checkpoint.ts';
import { CheckpointRound } from './checkpoint-round.ts';
import { commit, type CommitStep } from './commit.ts';
import { CommitPace } from './commit-pace.ts';
import type { GroupMeters } from './meters.ts';
import { keepCommitted } from './metrics.ts';
import type { TaskPlan } from './plan.ts';
import { Purger } from './purge.ts';
import {
  abandonTasks,
  assign,
  closeParts,
  closeStates,
  openParts,
  openTasks,
  type RunnerParts,
  type TaskRunnerOptions,
} from './task-opening.ts';
import { TaskSet } from './task-set.ts';
import type { TaskInput } from './task-input.ts';
import type { Task } from './task.ts';

/** Records processed per turn of the event loop: a few milliseconds of work. */
const SLICE_RECORDS = 1000;
/** How often the ends of the inputs are asked for while there is work. */
const POLL_MS = 100;
/**
 * The longest wait of an idle or paused group, after which it looks how far behind it is. Input
 * ends the wait, and so does whatever else there is to do.
 */
const IDLE_MS = 1_000;
/** How often a group looks whether the others have ended, too. */
const ENDED_WAIT_MS = 5;
/** Fetches kept of an input that waits for another one: enough to continue once that arrives. */
const QUEUED_BATCHES_MAX = 2;

/**
 * Runs the tasks of a group: reads, processes, commits. One runner is one attempt: after a failed
 * commit a new one starts from the last commit.
 */
export class TaskRunner {
  readonly #options: TaskRunnerOptions;
  readonly #parts: RunnerParts;
  readonly #set: TaskSet;
  readonly #purger: Purger;
  readonly #meters: GroupMeters;
  /** With exactly-once always set, except while a commit replaces it. */
  #transaction: Transaction | undefined;
  readonly #pace: CommitPace;
  #commits = 0;
  readonly #round: CheckpointRound;
  #lastLookMs = -Infinity;
  /** True after a turn that found nothing to do. */
  #isIdle = false;
  /** Set by `stop` and `abort`. */
  #stopping: 'commit' | 'abort' | undefined;
  #isFinishing = false;

  private constructor(options: TaskRunnerOptions, parts: RunnerParts, set: TaskSet) {
    this.#options = options;
    this.#parts = parts;
    this.#meters = options.counts.meters.group(options.group);
    this.#transaction = parts.transaction;
    this.#purger = new Purger(options.log, options.plan.applicationId);
    this.#set = set;
    this.#pace = new CommitPace(options.settings.commitIntervalMs, this.#nowMs());
    this.#round = new CheckpointRound(options.settings, this.#pace.lastMs);
  }

  /**
   * Fences the previous attempt, restores the state of the tasks and continues from their last
   * commit.
   *
   * @throws StreamsError, LogError
   */
  static async open(options: TaskRunnerOptions, tasks: readonly TaskPlan[]): Promise<TaskRunner> {
    const parts = await openParts(options);
    const runner = new TaskRunner(options, parts, new TaskSet(tasks));
    try {
      await runner.#reassign(tasks);
      return runner;
    } catch (cause) {
      await runner.abandon();
      throw cause;
    }
  }

  get tasks(): readonly Task[] {
    return this.#set.tasks;
  }

  /** The tasks that it has, as they were assigned. */
  get assignment(): readonly TaskPlan[] {
    return this.#set.assignment;
  }

  /** How often it has committed. */
  get commits(): number {
    return this.#commits;
  }

  /** Changes the tasks, at the next turn of `run`. */
  assign(tasks: readonly TaskPlan[]): void {
    this.#set.assign(tasks);
    this.wake();
  }

  /** Ends `run` soon, after a last commit and checkpoint. */
  stop(): void {
    this.#stopping ??= 'commit';
    this.wake();
  }

  /**
   * Ends `run` at its next step with STARTING_OVER, unless it is at the end of a commit: call
   * `abandon` then.
   */
  abort(): void {
    this.#stopping = 'abort';
    this.wake();
  }

  /** Ends its wait: it looks what there is to do. */
  wake(): void {
    this.#parts.wakeup.wake();
  }

  /**
   * Declares the end of input: `run` ends when everything is processed and all windows are closed.
   */
  finish(): void {
    this.#isFinishing = true;
    this.wake();
  }

  /**
   * Works until `stop` or `finish`; returns true if all input has ended.
   *
   * @throws StreamsError, LogError the error that ended it; call `abandon` then.
   */
  async run(): Promise<boolean> {
    let hasFinished = false;
    while (this.#stopping === undefined && !hasFinished) {
      // Read first: this turn then sees all input that came before `finish` was called.
      const isFinishing = this.#isFinishing;
      const changes = this.#options.ends.changesBesides(this.#options.group);
      const { next } = this.#set;
      if (next !== this.assignment) await this.#reassign(next);
      if (this.#options.isPaused()) {
        await this.#pause();
        continue;
      }
      const batches = await this.#poll();
      // Before what was sent after a query began: a live query gets all that this changes.
      if (this.#isAwaited()) await this.#commit();
      for (const batch of batches) this.#set.add(batch);
      // What is known of the ends may be old: another input may have to be waited for.
      const isOld = this.#isIdle && batches.length > 0;
      if (isOld && this.tasks.some(({ inputs }) => inputs.length > 1)) await this.#lookAround();
      const processed = await this.#processAll();
      for (const task of this.tasks) task.punctuateWallClock();
      this.#limitQueues();
      const isDry = batches.length === 0 && processed === 0;
      if (isDry || this.#nowMs() - this.#lastLookMs >= POLL_MS) await this.#lookAround();
      if (this.#isCommitDue(isDry)) await this.#commit();
      hasFinished = isDry && isFinishing && (await this.#endTasks(changes));
      this.#isIdle = isDry;
    }
    this.#checkAborted();
    if (this.tasks.some(({ needsCommit }) => needsCommit)) await this.#commit();
    this.#checkAborted();
    await this.#checkpointLast(this.tasks);
    await this.#transaction?.abort(); // nothing was written in it
    for (const task of this.tasks) task.close();
    await this.#close();
    return hasFinished;
  }

  /**
   * Commits and waits until it is to go on, or for a moment: a query may want a commit meanwhile,
   * and other tasks may be assigned.
   */
  async #pause(): Promise<void> {
    const { isPaused, pausing, settings } = this.#options;
    const { wakeup } = this.#parts;
    wakeup.reset();
    const isAwaited = this.#isAwaited();
    if (isAwaited || this.tasks.some(({ needsCommit }) => needsCommit)) await this.#commit();
    pausing(true);
    if (this.#nowMs() - this.#lastLookMs >= IDLE_MS) await this.#noteEnds(this.#inputs());
    await wakeup.pause(IDLE_MS, settings.clock);
    if (!isPaused()) pausing(false);
    this.#isIdle = false;
  }

  /** @throws StreamsError STARTING_OVER after `abort`. */
  #checkAborted(): void {
    if (this.#stopping !== 'abort') return;
    const { group } = this.#options;
    const message = `${group} gives up what is not committed, as its deadline has passed`;
    throw new StreamsError('STARTING_OVER', message, { node: '', pauseMs: 0, isRetry: false });
  }

  /** Gives up and discards what is not committed. */
  async abandon(): Promise<void> {
    await this.#transaction?.abort().catch(() => undefined); // the next start aborts it
    abandonTasks(this.tasks, this.#options.settings.logger);
    await this.#close();
  }

  async #poll(): Promise<readonly PartitionRecords[]> {
    const meters = this.#meters;
    const startMs = this.#nowMs();
    const batches = await this.#awaitInput();
    const nowMs = this.#nowMs();
    meters.advance(nowMs);
    meters.poll.note(nowMs - startMs);
    meters.pollBytes.note(batches.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
    return batches;
  }

  async #close(): Promise<void> {
    await closeParts(this.#parts);
    await closeStates(this.tasks.map(({ state }) => state));
  }

  /**
   * Gives up the tasks that are not among these, behind a commit and a checkpoint, and then begins
   * those that are new. A crash before the commit leaves an open transaction, which the next start
   * aborts; after it, everything is in the log, whoever has the tasks then.
   */
  async #reassign(plans: readonly TaskPlan[]): Promise<void> {
    const { counts } = this.#options;
    const left = this.tasks.filter(({ plan }) => !plans.includes(plan));
    if (left.length > 0) {
      if (this.tasks.some(({ needsCommit }) => needsCommit)) await this.#commit();
      await this.#checkpointLast(left);
      for (const task of left) task.close();
      const kept = this.tasks.filter((task) => !left.includes(task));
      keepCommitted(left, counts);
      this.#set.replace(kept);
      await closeStates(left.map(({ state }) => state));
    }
    const had = this.tasks.map(({ plan }) => plan);
    const added = plans.filter((plan) => !had.includes(plan));
    const tasks = await openTasks(this.#options, this.#parts, added);
    this.#set.replace([...this.tasks, ...tasks]);
    this.#round.forget();
    await assign(this.#parts.consumer, this.tasks);
    for (const task of tasks) task.announce();
    this.#lastLookMs = -Infinity; // of the new inputs nothing is known
    this.#isIdle = false;
    this.#set.settle(plans);
    this.#options.assigned();
  }

  /** Waits for input, or for calls of functions to end. */
  async #awaitInput(): Promise<readonly PartitionRecords[]> {
    const { consumer, wakeup } = this.#parts;
    if (wakeup.isDue) return consumer.pollBatches({ maxWaitMs: 0 });
    const maxWaitMs = this.#waitMs();
    // At the end of input each turn has to see all that came before; and busy ones are short.
    const mayWake =
      (this.#isIdle && !this.#isFinishing) || this.tasks.some(({ pending }) => pending.count > 0);
    if (!mayWake) return consumer.pollBatches({ maxWaitMs });
    const { clock } = this.#options.settings;
    const wait = (signal: AbortSignal) => consumer.pollBatches({ maxWaitMs, signal });
    return (await wakeup.during(maxWaitMs, clock, wait)) ?? [];
  }

  /** Processes what is in memory, slice by slice, and commits in between when due. */
  async #processAll(): Promise<number> {
    const { producer } = this.#parts;
    let total = 0;
    for (;;) {
      let count = 0;
      this.#parts.wakeup.reset();
      for (const task of this.tasks) {
        count += task.resume();
        if (!task.hasQueued) continue;
        count += task.process(SLICE_RECORDS);
        task.punctuateWallClock();
        await nextTurn();
        this.#checkAborted();
        if (producer.isFull) await producer.room();
        if (this.#isCommitDue(false)) await this.#commit();
      }
      total += count;
      if (count === 0 || this.#stopping !== undefined || this.#options.isPaused()) return total;
    }
  }

  /**
   * Stops fetching an input that waits for another one of its task, or for calls of functions, to
   * bound memory.
   */
  #limitQueues(): void {
    const { consumer } = this.#parts;
    for (const { inputs, mayWait } of this.tasks) {
      if (!mayWait) continue;
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
    await this.#noteEnds(this.#inputs().filter(({ queuedBatches }) => queuedBatches === 0));
    for (const task of this.tasks) task.noteEmpty(this.#lastLookMs);
  }

  #inputs(): readonly TaskInput[] {
    return this.tasks.flatMap(({ inputs }) => inputs);
  }

  async #noteEnds(asked: readonly TaskInput[]): Promise<void> {
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
  }

  /**
   * Ends the tasks with no input left; true when those of all groups have ended and that is
   * committed.
   *
   * @param changes as of before this turn read anything.
   */
  async #endTasks(changes: number): Promise<boolean> {
    const { ends, group } = this.#options;
    if (ends.isOver) return true;
    if (ends.changesBesides(group) !== changes) return false; // what was read may be out of date
    const open = this.tasks.filter(({ isEnded }) => !isEnded);
    // Markers alone are not enough: those of an earlier run may still be unread.
    const ending = open.filter((task) => task.canEnd() && !ends.hasOpenUpstream(task.plan));
    if (ending.length === 0) {
      ends.foundNothing(group);
      return ends.isOver;
    }
    for (const task of ending) task.end();
    await this.#commit();
    return false;
  }

  /** How long to wait for input: until the next thing to do without any. */
  #waitMs(): number {
    if (this.#isFinishing && this.tasks.every((task) => task.canEnd())) {
      return this.tasks.every(({ isEnded }) => isEnded) ? ENDED_WAIT_MS : 1; // no input left
    }
    const { clock } = this.#options.settings;
    const [nowMs, wallClockMs] = [this.#nowMs(), clock.nowMs()];
    // While records wait for another input, that one's next fetch ends the wait.
    const isIdle = this.#isIdle && !this.#isFinishing;
    let waitMs = isIdle && this.tasks.every(({ hasQueued }) => !hasQueued) ? IDLE_MS : POLL_MS;
    for (const task of this.tasks) {
      waitMs = Math.min(waitMs, task.wallClockDueMs - wallClockMs);
      if (!isIdle) continue;
      // What is due and stays so was looked at, and waits for something else.
      const { quietDueMs } = task;
      if (quietDueMs > this.#lastLookMs) waitMs = Math.min(waitMs, quietDueMs - nowMs);
    }
    if (this.tasks.some(({ needsCommit }) => needsCommit)) {
      waitMs = Math.min(waitMs, this.#pace.earlyDueMs - nowMs);
    }
    return Math.max(1, Math.ceil(waitMs));
  }

  #isCommitDue(isDry: boolean): boolean {
    if (this.tasks.some(({ isCommitRequested }) => isCommitRequested)) return true;
    if (this.#isAwaited()) return true;
    if (this.#nowMs() < (isDry ? this.#pace.earlyDueMs : this.#pace.dueMs)) return false;
    return this.tasks.some(({ needsCommit }) => needsCommit);
  }

  /** True if a query waits for a commit and a checkpoint. */
  #isAwaited(): boolean {
    return this.tasks.some(({ state }) => state.committed.isAwaited);
  }

  async #commit(): Promise<void> {
    const { settings, counts, plan, log, ends } = this.#options;
    const { producer, deliveries, published } = this.#parts;
    const { onStep: told = ignore } = settings;
    const onStep = (step: CommitStep): void => {
      // From the end of the transaction on it is too late.
      if (step !== 'commit-6-move') this.#checkAborted();
      told(step);
    };
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
    published.commit();
    if (this.#transaction !== undefined) this.#transaction = await producer.beginTransaction();
    ends.committed(this.#options.group, this.tasks);
    const atMs = this.#nowMs();
    const tookMs = atMs - startMs;
    this.#pace.committed(atMs, tookMs);
    this.#commits++;
    counts.commits++;
    counts.lastCommitMs = tookMs;
    this.#meters.commit.note(tookMs);
    await this.#checkpointDue();
  }

  async #checkpointDue(): Promise<void> {
    const due = this.#round.due(this.tasks, this.#pace.lastMs);
    if (due === undefined) return;
    const waiting = await this.#checkpoint(due);
    if (this.#round.checkpointed(waiting, this.#nowMs())) {
      await this.#purger.run(this.tasks, this.#nowMs());
    }
  }

  /** The last one of tasks that end in order. */
  async #checkpointLast(tasks: readonly Task[]): Promise<void> {
    await this.#checkpoint({ tasks }, true);
    await this.#purger.run(tasks, this.#nowMs(), true);
  }

  /** @returns the tasks that wait for another one. */
  async #checkpoint(
    due: Pick<CheckpointContext, 'tasks' | 'canWait'>,
    isFinal = false,
  ): Promise<readonly Task[]> {
    const { settings, counts, plan, log } = this.#options;
    const { cacheEntriesMax, onStep = ignore } = settings;
    const startMs = this.#nowMs();
    const { applicationId } = plan;
    const waiting = await checkpoint({
      ...{ ...due, log, applicationId, cacheEntriesMax, isFinal, onStep },
    });
    counts.checkpoints++;
    this.#options.checkpointed();
    counts.lastCheckpointMs = this.#nowMs() - startMs;
    this.#meters.checkpoint.note(counts.lastCheckpointMs);
    return waiting;
  }

  #nowMs(): number {
    return this.#options.settings.clock.monotonicMs();
  }
}

function ignore(): void {
  // no listener
}
