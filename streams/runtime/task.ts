import { assert, type CommittedOffset, type PartitionRecords } from '../../core/index.ts';
import type { DropReason, OperatorContext } from '../topology/operator.ts';
import type { ReadOnlyKeyValueStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { TaskState } from '../state/task-state.ts';
import { decodeOffsetMetadata, encodeOffsetMetadata } from './offset-metadata.ts';
import type { Outputs } from './outputs.ts';
import { changelogTopic, type Plan, type TaskPlan } from './plan.ts';
import { startProcessors, type ProcessorGraph } from './processor-graph.ts';
import { TaskInput } from './task-input.ts';
import { encodeTimeMarker, UpstreamTime, type TimeMarker } from './stream-time.ts';

export interface TaskOptions {
  readonly plan: Plan;
  readonly task: TaskPlan;
  readonly state: TaskState;
  readonly outputs: Outputs;
  readonly globalStore: (name: string) => ReadOnlyKeyValueStore<unknown, unknown>;
  /** How long an input has to be empty before stream time no longer waits for it. */
  readonly idleTimeoutMs: number;
}

/** What a task has done since its start. */
export interface TaskCounts {
  processed: number;
  readonly dropped: Record<DropReason, number>;
}

/** One sub-topology on one partition: its inputs, its processors, its state, its stream time. */
export class Task {
  readonly id: string;
  readonly partition: number;
  readonly inputs: readonly TaskInput[];
  readonly state: TaskState;
  readonly counts: TaskCounts = {
    processed: 0,
    dropped: { late: 0, 'null-key': 0, 'null-value': 0 },
  };
  readonly #plan: Plan;
  readonly #outputs: Outputs;
  readonly #graph: ProcessorGraph;
  /** How long an input has to be empty before stream time no longer waits for it. */
  idleTimeoutMs: number;
  /** The repartition topics that its records go to. */
  readonly #downstream: readonly { readonly topic: string; readonly partitions: number }[];
  #streamTimeMs = -Infinity;
  /** Its input has ended and its windows are closed. Undone by further input. */
  #isEnded = false;
  /** What the last marker said, so that it is not said again. */
  #lastMarker: TimeMarker | undefined;
  /** Set when something happened that a commit has to keep. */
  #isDirty = false;
  readonly #timeRose = (): void => this.#advance();

  constructor(options: TaskOptions) {
    const { plan, task, state, outputs } = options;
    this.id = task.id;
    this.partition = task.partition;
    this.state = state;
    this.#plan = plan;
    this.#outputs = outputs;
    this.idleTimeoutMs = options.idleTimeoutMs;
    const context: OperatorContext = {
      taskId: task.id,
      partition: task.partition,
      streamTimeMs: () => this.#streamTimeMs,
      keyValueStore: (name) => state.keyValueStore(name),
      windowStore: (name) => state.windowStore(name),
      globalStore: <K, V>(name: string) =>
        options.globalStore(name) as unknown as ReadOnlyKeyValueStore<K, V>,
      drop: (reason) => this.counts.dropped[reason]++,
    };
    const { applicationId, topology } = plan;
    this.#graph = startProcessors(applicationId, topology, task.subTopology, outputs, context);
    this.inputs = task.inputs.map((input) => {
      const process = this.#graph.entries.get(input.node.name);
      assert(process !== undefined, 'each source of the sub-topology has an entry');
      return new TaskInput(input, task.partition, process);
    });
    this.#downstream = plan.repartitionTopics
      .filter(
        ({ node }) =>
          task.subTopology.nodes.includes(node.name) && !task.subTopology.sources.includes(node),
      )
      .map(({ topic, partitions }) => ({ topic: topic.name, partitions }));
  }

  get streamTimeMs(): number {
    return this.#streamTimeMs;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** True when a commit would have something to keep, or something to say downstream. */
  get needsCommit(): boolean {
    return this.#isDirty || (this.#downstream.length > 0 && this.#isNews(this.#marker()));
  }

  /** Goes on where the last commit was. */
  restore(input: TaskInput, offset: number, metadata: string): void {
    input.position = offset;
    const kept = decodeOffsetMetadata(metadata);
    if (kept === undefined) return;
    if (input.time instanceof UpstreamTime) input.time.restore(kept.timeMs, kept.upstreams);
    else input.time.timeMs = kept.timeMs;
    this.#streamTimeMs = Math.max(this.#streamTimeMs, kept.streamTimeMs);
  }

  add(records: PartitionRecords): void {
    const input = this.inputs.find(({ topic }) => topic === records.topic);
    assert(input !== undefined, 'records come for an input of the task');
    input.add(records);
  }

  get hasQueued(): boolean {
    return this.inputs.some(({ queuedBatches }) => queuedBatches > 0);
  }

  /**
   * Processes up to `max` records of those that were fetched, the oldest timestamp of all inputs first, and
   * returns how many it did. With several inputs it waits for those that are known to have more.
   */
  process(max: number): number {
    const single = this.inputs.length === 1 ? this.inputs[0] : undefined;
    let count = 0;
    for (; count < max; count++) {
      const input = single ?? this.#oldest();
      if (input === undefined || !input.stand(this.#timeRose)) break;
      input.processHead(this.#timeRose);
    }
    if (count > 0) {
      this.counts.processed += count;
      this.#isEnded = false;
      this.#isDirty = true;
    }
    return count;
  }

  /** Processes one record of `topic` that no log has: for the test driver. */
  inject(topic: string, record: StreamRecord): void {
    const input = this.inputs.find((each) => each.topic === topic);
    assert(input !== undefined, 'records come for an input of the task');
    input.inject(record, this.#timeRose);
    this.counts.processed++;
    this.#isEnded = false;
    this.#isDirty = true;
  }

  /** Notes which inputs have run dry; after a while stream time no longer waits for them. */
  noteEmpty(nowMs: number): void {
    let hasChanged = false;
    for (const input of this.inputs) {
      const wasIdle = input.isIdle;
      input.noteEmpty(nowMs, this.idleTimeoutMs);
      hasChanged ||= input.isIdle !== wasIdle;
    }
    if (hasChanged && this.inputs.length > 1) this.#advance();
  }

  /** Passes on what operators hold back, and says downstream how far this task is. */
  flush(): void {
    for (const processor of this.#graph.processors) processor.flush?.();
    this.#writeMarkers();
  }

  /** Appends one changelog record for each key that has changed since the last commit. */
  writeChangelog(): void {
    for (const [name, store] of this.state.stores) {
      if (store.spec.backing !== 'changelog') {
        store.takeChanged(() => undefined); // its topic has it already
        continue;
      }
      const writer = this.#outputs.writer(changelogTopic(this.#plan.applicationId, name));
      store.takeChanged((entry) => {
        const value = entry.value === undefined ? null : entry;
        writer.write(entry, value, entry.timestampMs, undefined, this.partition);
      });
    }
  }

  /** What to commit: the next offset of each input, with what decides lateness. */
  offsets(): CommittedOffset[] {
    return this.inputs.map(({ topic, partition, position, time }) => ({
      topic,
      partition,
      offset: position,
      metadata: encodeOffsetMetadata({
        timeMs: time.timeMs,
        streamTimeMs: this.#streamTimeMs,
        upstreams: time instanceof UpstreamTime ? time.snapshot() : [],
      }),
    }));
  }

  /** A commit has kept everything. */
  committed(): void {
    this.#isDirty = false;
  }

  /** True when nothing is left to read and nothing more can come. */
  canEnd(): boolean {
    return this.inputs.every((input) => {
      return input.isCaughtUp && (!(input.time instanceof UpstreamTime) || input.time.isEnded);
    });
  }

  /** No more input will come: closes all windows, and says so downstream. */
  end(): void {
    assert(this.canEnd(), 'a task ends when its input has');
    let closedMs = -Infinity;
    for (const processor of this.#graph.processors) {
      closedMs = Math.max(closedMs, processor.endOfInput?.() ?? -Infinity);
    }
    this.#streamTimeMs = Math.max(this.#streamTimeMs, closedMs);
    this.#isEnded = true;
    this.#isDirty = true;
  }

  /** The input to go on with: the one whose next record is the oldest. */
  #oldest(): TaskInput | undefined {
    let oldest: TaskInput | undefined;
    for (const input of this.inputs) {
      if (!input.stand(this.#timeRose)) {
        if (!input.isCaughtUp) return undefined; // more is to come: it may be older
        continue;
      }
      if (oldest === undefined || input.headTimestampMs < oldest.headTimestampMs) oldest = input;
    }
    return oldest;
  }

  /** Stream time is that of the slowest input that is not idle. */
  #advance(): void {
    this.#isDirty = true;
    let timeMs = Infinity;
    for (const { isIdle, time } of this.inputs) {
      if (!isIdle && time.timeMs < timeMs) timeMs = time.timeMs;
    }
    if (timeMs === Infinity || timeMs <= this.#streamTimeMs) return;
    this.#streamTimeMs = timeMs;
    for (const processor of this.#graph.processors) {
      if (processor.deadlineMs !== undefined && processor.deadlineMs <= timeMs) {
        processor.advance?.(timeMs);
      }
    }
  }

  #marker(): TimeMarker {
    return {
      upstream: this.partition,
      timeMs: this.#streamTimeMs,
      isIdle: this.inputs.every(({ isIdle }) => isIdle),
      isEnded: this.#isEnded,
    };
  }

  #isNews(marker: TimeMarker): boolean {
    const last = this.#lastMarker;
    return (
      last?.timeMs !== marker.timeMs ||
      last.isIdle !== marker.isIdle ||
      last.isEnded !== marker.isEnded
    );
  }

  #writeMarkers(): void {
    const marker = this.#marker();
    if (this.#downstream.length === 0 || !this.#isNews(marker)) return;
    this.#lastMarker = marker;
    const timestampMs = Math.max(0, marker.timeMs);
    const headers = encodeTimeMarker(marker);
    for (const { topic, partitions } of this.#downstream) {
      const writer = this.#outputs.writer(topic);
      for (let partition = 0; partition < partitions; partition++) {
        writer.write(null, null, timestampMs, headers, partition);
      }
    }
  }
}
