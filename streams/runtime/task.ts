import type { Clock, CommittedOffset, Logger, PartitionRecords } from '../../core/index.ts';
import { assert } from '../../core/internal.ts';
import { noneDropped, type DropReason } from '../topology/operator.ts';
import type { SourceBytes } from '../topology/record-errors.ts';
import type { ReadOnlyKeyValueStore } from '../topology/store.ts';
import { checkWrites } from '../state/checked-writes.ts';
import { kindOf } from '../state/store-kinds.ts';
import type { TaskState } from '../state/task-state.ts';
import type { OperatorTimes } from './committed.ts';
import { decodeOffsetMetadata, encodeOffsetMetadata } from './offset-metadata.ts';
import { writeChangelogs } from './changelog-writer.ts';
import { Feed } from './operator-time.ts';
import type { ErrorPolicies } from './error-policies.ts';
import { Failures, type FailedPlace, type FailureOutcome } from './failures.ts';
import type { TaskMeters } from './meters.ts';
import { NodeCounts } from './node-counts.ts';
import type { Outputs } from './outputs.ts';
import type { PendingCalls } from './pending-calls.ts';
import { MarkerWriter } from './marker-writer.ts';
import type { Plan, TaskPlan } from './plan.ts';
import { ProcessorGraph } from './processor-graph.ts';
import { Punctuations } from './punctuations.ts';
import type { Recovery } from './recovery.ts';
import { UpstreamTime } from './stream-time.ts';
import { TaskInput } from './task-input.ts';
import type { InjectedRecord } from './record-reader.ts';

export interface TaskOptions {
  readonly plan: Plan;
  readonly task: TaskPlan;
  readonly state: TaskState;
  readonly outputs: Outputs;
  readonly globalStore: (name: string) => ReadOnlyKeyValueStore<unknown, unknown>;
  /** How long an input has to be empty before stream time no longer waits for it. */
  readonly idleTimeoutMs: () => number;
  /** What its nodes do about records that fail. */
  readonly policies: ErrorPolicies;
  /** What earlier attempts have learnt. */
  readonly recovery: Recovery;
  readonly meters: TaskMeters;
  /** Asks for a call of `resume`, soon. */
  readonly wake: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Counts of what a task has done since its start. */
export interface TaskCounts {
  readonly processed: number;
  readonly dropped: NodeCounts<DropReason>;
  readonly failed: NodeCounts<FailureOutcome>;
}

/** One sub-topology on one partition: its inputs, its processors, its state, its time. */
export class Task {
  readonly id: string;
  readonly plan: TaskPlan;
  readonly inputs: readonly TaskInput[];
  readonly state: TaskState;
  /** The records that wait for calls of functions; while they are full, none is processed. */
  readonly pending: PendingCalls;
  readonly meters: TaskMeters;
  readonly #idleTimeoutMs: () => number;
  readonly #applicationId: string;
  readonly #outputs: Outputs;
  readonly #graph: ProcessorGraph;
  readonly #punctuations: Punctuations;
  /** All inputs. */
  readonly #feed: Feed;
  readonly #markers: MarkerWriter;
  #processed = 0;
  readonly #dropped = new NodeCounts(noneDropped);
  readonly #failures: Failures;
  #committedCounts: TaskCounts;
  #streamTimeMs = -Infinity;
  /** Its input has ended and its windows are closed. Further input resets it. */
  #isEnded = false;
  /** Set by everything that a commit has to keep. */
  #isDirty = false;
  /** Set by records, calls and the end: a commit then is behind what failed before. */
  #hasWorked = false;
  /** A processor has asked for a commit. */
  #isCommitRequested = false;
  /** Time rises with a record: punctuations come behind it. */
  readonly #timeRose = (): void => this.#advance(true);
  /** Time rises without a record. */
  readonly #markerRose = (): void => {
    this.#advance(false);
    this.#punctuate();
  };

  /** The event time that a node has reached. */
  readonly #timeOf = (name: string): number =>
    this.#graph.times.find(({ node }) => node === name)?.timeMs ?? -Infinity;

  constructor(options: TaskOptions) {
    const { plan, task, state, outputs, meters, clock, logger } = options;
    const { subTopology, partition } = task;
    this.id = task.id;
    this.plan = task;
    this.state = state;
    this.meters = meters;
    this.#applicationId = plan.applicationId;
    this.#outputs = outputs;
    this.#idleTimeoutMs = options.idleTimeoutMs;
    const drop = (node: string, reason: DropReason): void => this.#dropped.add(node, reason);
    const failures = this.#handleFailures(options);
    this.#failures = failures;
    this.inputs = task.inputs.map((input) => {
      const { name } = input.node;
      return new TaskInput(input, {
        ...{ partition, clock, logger, failures, meters },
        drop: (reason, record) => this.#graph.drops.get(name)?.(reason, record),
      });
    });
    this.#feed = new Feed(this.inputs, []);
    for (const [name, store] of state.stores) {
      if (options.recovery.isChecked(name)) checkWrites(store, kindOf(store.spec));
    }
    const punctuations = new Punctuations({
      ...{ partition, failures, nowMs: () => clock.nowMs() },
      timed: (call) => meters.punctuated(call),
    });
    this.#punctuations = punctuations;
    const graph = new ProcessorGraph({
      punctuations,
      failures,
      isCareful: (node) => options.recovery.isCareful(node),
      topology: plan.topology,
      subTopology,
      outputs,
      inputs: (node) => this.inputs.filter((input) => input.node === node),
      endToEnd: (node) => meters.endToEnd(node),
      context: {
        taskId: task.id,
        partition,
        store: (handle) => state.store(handle),
        globalStore: <K, V>(name: string) =>
          options.globalStore(name) as unknown as ReadOnlyKeyValueStore<K, V>,
        wallClockMs: () => clock.nowMs(),
        setTimer: (delayMs, callback) => clock.setBackgroundTimer(delayMs, callback),
        wake: options.wake,
        requestCommit: () => {
          this.#isCommitRequested = true;
          this.#isDirty = true;
        },
      },
      drop,
    });
    this.#graph = graph;
    this.pending = graph.pending;
    for (const input of this.inputs) {
      const process = graph.entries.get(input.node);
      assert(process !== undefined, 'each source of the sub-topology has an entry');
      input.process = process;
    }
    this.#markers = new MarkerWriter(plan, task, { exits: graph.exits, outputs });
    this.#committedCounts = this.counts;
  }

  /** Counts since the task's start, committed or not. */
  get counts(): TaskCounts {
    const failed = this.#failures.counts.copy();
    return { processed: this.#processed, dropped: this.#dropped.copy(), failed };
  }

  /** The same counts, up to the last commit. */
  get committedCounts(): TaskCounts {
    return this.#committedCounts;
  }

  /** The event time reached over all inputs. For metrics only. */
  get streamTimeMs(): number {
    this.#streamTimeMs = Math.max(this.#streamTimeMs, this.#feed.timeMs());
    return this.#streamTimeMs;
  }

  get isEnded(): boolean {
    return this.#isEnded && this.pending.count === 0;
  }

  /** Changes with each commit that has processed anything: the sum of the committed offsets. */
  get committedPosition(): number {
    return this.inputs.reduce((sum, { committedOffset }) => sum + committedOffset, 0);
  }

  /** True if a processor has asked for a commit since the last one. */
  get isCommitRequested(): boolean {
    return this.#isCommitRequested;
  }

  /** When the next wall-clock punctuation is due; Infinity for never. */
  get wallClockDueMs(): number {
    return this.#punctuations.wallClockDueMs;
  }

  /** True if a commit would keep something or write a marker downstream. */
  get needsCommit(): boolean {
    return this.#isDirty || this.#markers.hasNews(this.#isEnded);
  }

  /** When `noteEmpty` has something to do if nothing comes, by its clock; Infinity for never. */
  get quietDueMs(): number {
    const idleTimeoutMs = this.#idleTimeoutMs();
    return this.inputs.reduce(
      (dueMs, input) => Math.min(dueMs, input.idleDueMs(idleTimeoutMs)),
      this.#graph.quietDueMs,
    );
  }

  /** Continues from the last commit. */
  restore(input: TaskInput, offset: number, metadata: string): void {
    input.position = offset;
    input.committedOffset = offset;
    const kept = decodeOffsetMetadata(this.#applicationId, metadata);
    if (kept === undefined) return;
    input.time.restore(kept.timeMs, kept);
    this.restoreTimes(kept);
  }

  /** Gives the operators the times that they had; those of an input come last, and are newer. */
  restoreTimes({ operators, punctuations }: OperatorTimes): void {
    for (const time of this.#graph.times) {
      const keptMs = operators.get(time.node ?? '') ?? -Infinity;
      time.timeMs = Math.max(time.timeMs, keptMs);
    }
    this.#punctuations.restore(punctuations);
  }

  /**
   * Lets the processors begin. Call it once all inputs are restored, before anything else.
   *
   * @throws StreamsError PROCESSING_FAILED
   */
  init(): void {
    this.#graph.init();
    if (this.#punctuations.hasUnkept) this.#isDirty = true;
  }

  /** Ends all processors. @throws StreamsError PROCESSING_FAILED with the first error. */
  close(): void {
    this.#graph.close();
  }

  /** Makes the calls that are due by the wall clock. @throws StreamsError PROCESSING_FAILED */
  punctuateWallClock(): void {
    if (this.#punctuations.fireWallClock()) this.#noteWork();
  }

  /**
   * Tells downstream that this task works, before it writes anything else. This overrides unread
   * markers of an earlier run that called it idle or ended.
   */
  announce(): void {
    this.#writeMarkers();
  }

  add(records: PartitionRecords): void {
    const input = this.inputs.find(({ topic }) => topic === records.topic);
    assert(input !== undefined, 'records come for an input of the task');
    const wasIdle = input.isIdle;
    input.add(records);
    this.meters.consumed(records.topic, records.sizeBytes);
    // Readers wait for this task again from now on. By the next commit the other tasks may already
    // have advanced their time.
    if (wasIdle) this.#writeMarkers();
  }

  get hasQueued(): boolean {
    return this.inputs.some(({ queuedBatches }) => queuedBatches > 0);
  }

  /**
   * Processes up to `max` fetched records, oldest timestamp of all inputs first, and returns their
   * number. With several inputs it waits for those that are known to have more. It returns earlier
   * if a processor asks for a commit, or too many records wait for calls.
   */
  process(max: number): number {
    const single = this.inputs.length === 1 ? this.inputs[0] : undefined;
    const startMs = this.meters.begin();
    const mayFill = this.pending.areUsed;
    let count = 0;
    for (; count < max; count++) {
      if (mayFill && this.pending.isFull) break;
      const input = single ?? this.#oldest();
      if (input === undefined || !input.stand(this.#markerRose)) break;
      input.processHead(this.#timeRose);
      if (this.#punctuations.mayFire) this.#punctuate();
      if (this.#isCommitRequested) {
        count++;
        break;
      }
    }
    this.meters.processed(count, startMs);
    if (count > 0) this.#noteProcessed(count);
    return count;
  }

  /** True if fetched records of an input may have to wait: for another input, or for calls. */
  get mayWait(): boolean {
    return this.inputs.length > 1 || this.pending.areUsed;
  }

  /** Forwards the results of calls that have ended; returns how many records they finish. */
  resume(): number {
    if (this.pending.count > 0) this.meters.begin();
    const count = this.pending.resume();
    if (count > 0) this.#noteWork();
    if (count > 0) this.#markerRose(); // time no longer waits for them
    return count;
  }

  /** Processes one record that is in no log: for the test driver. */
  inject(topic: string, record: InjectedRecord): void {
    const input = this.inputs.find((each) => each.topic === topic);
    assert(input !== undefined, 'records come for an input of the task');
    const startMs = this.meters.begin();
    const count = input.inject(record, this.#timeRose) ? 1 : 0;
    this.meters.processed(count, startMs);
    if (count > 0) this.#noteProcessed(count);
    this.#punctuate();
  }

  /**
   * Records which inputs are empty; after the idle timeout stream time no longer waits for them,
   * and after a while of that it may go on with the clock.
   */
  noteEmpty(nowMs: number): void {
    const idleTimeoutMs = this.#idleTimeoutMs();
    let hasChanged = false;
    for (const input of this.inputs) {
      const wasIdle = input.isIdle;
      input.noteEmpty(nowMs, idleTimeoutMs);
      hasChanged ||= input.isIdle !== wasIdle;
    }
    if (hasChanged) this.#markerRose();
    if (!this.#graph.pass(nowMs)) return;
    this.#isDirty = true;
    this.#punctuations.timeRose();
    this.#punctuate();
  }

  /** Forwards what operators hold back and tells downstream how far this task is. */
  flush(): void {
    this.meters.begin();
    this.#graph.flush();
    this.#writeMarkers();
    this.#failures.check();
  }

  /** Appends one changelog record for each key changed since the last commit. */
  writeChangelog(): void {
    const { partition } = this.plan;
    writeChangelogs({
      ...{ state: this.state, partition, outputs: this.#outputs, meters: this.meters },
      failures: this.#failures,
    });
  }

  /** What to commit: the next offset of each input, and the times that decide lateness. */
  offsets(): CommittedOffset[] {
    const operators = new Map<string, number>();
    for (const { node, timeMs } of this.#graph.times) {
      if (node !== undefined) operators.set(node, timeMs);
    }
    const punctuations = this.#punctuations.wallClockDues();
    return this.inputs.map(({ topic, partition, position, time }) => {
      const metadata = encodeOffsetMetadata({
        ...{ timeMs: time.timeMs, ...time.snapshot(), operators, punctuations },
      });
      return { topic, partition, offset: position, metadata };
    });
  }

  /** Called after a successful commit. */
  committed(): void {
    this.#isDirty = false;
    this.#isCommitRequested = false;
    this.#punctuations.committed();
    this.state.committed.commit(this.#timeOf);
    this.#committedCounts = this.counts;
    for (const input of this.inputs) {
      const { topic, partition, position } = input;
      input.committedOffset = position;
      const pendingOffset = this.pending.lowestOffset(topic, partition);
      this.#failures.committed(topic, partition, Math.min(position, pendingOffset));
    }
    const lowest = this.pending.lowestOffset('', this.plan.partition); // of those of no place
    if (this.#hasWorked && lowest === Infinity) this.#failures.passed();
    this.#hasWorked = false;
  }

  /** True if nothing is left to read and, according to its inputs, nothing more can come. */
  canEnd(): boolean {
    if (this.pending.count > 0) return false;
    return this.inputs.every((input) => {
      return input.isCaughtUp && (!(input.time instanceof UpstreamTime) || input.time.isEnded);
    });
  }

  /** Ends the input, as far as that does not have to wait for calls. A commit follows. */
  end(): void {
    assert(this.canEnd(), 'a task ends when its input has');
    this.#isEnded = this.#graph.end();
    this.#noteWork();
  }

  #handleFailures(options: TaskOptions): Failures {
    const { task, policies, recovery, outputs, clock, logger } = options;
    return new Failures({
      ...{ taskId: task.id, policies, recovery, clock, logger },
      deadLetters: (topic) => outputs.deadLetters(topic),
      sourceOf: (place) => this.#sourceOf(place),
      dropped: () => {
        this.#isDirty = true;
      },
    });
  }

  /** The bytes of a record, while its input still stands on it. */
  #sourceOf({ topic, offset }: FailedPlace): SourceBytes | undefined {
    return this.inputs.find((input) => input.topic === topic)?.source(offset);
  }

  #noteProcessed(count: number): void {
    this.#processed += count;
    this.#isEnded = false;
    this.#noteWork();
  }

  #noteWork(): void {
    this.#hasWorked = true;
    this.#isDirty = true;
  }

  /** The input to process next: the one with the oldest next record. */
  #oldest(): TaskInput | undefined {
    let oldest: TaskInput | undefined;
    for (const input of this.inputs) {
      if (!input.stand(this.#markerRose)) {
        if (!input.isCaughtUp) return undefined; // more will come, perhaps older
        continue;
      }
      if (oldest === undefined || input.headTimestampMs < oldest.headTimestampMs) oldest = input;
    }
    return oldest;
  }

  #advance(precedesRecord: boolean): void {
    if (!this.#graph.advance(precedesRecord)) return;
    this.#isDirty = true;
    this.#punctuations.timeRose();
  }

  /** Makes the calls that are due by event time. */
  #punctuate(): void {
    if (this.#punctuations.fireStreamTime()) this.#noteWork();
  }

  #writeMarkers(): void {
    if (this.#markers.write(this.#isEnded)) this.#isDirty = true;
  }
}
