import { LogError, NULL_POSITION, type PartitionRecords, type Serde } from '../../core/index.ts';
import { StreamsError } from '../errors.ts';
import type { TimestampExtractor } from '../topology/node.ts';
import type { Forward } from '../topology/operator.ts';
import { StreamRecord } from '../topology/stream-record.ts';
import type { TaskInputPlan } from './plan.ts';
import { decodeTimeMarker, RecordTime, UpstreamTime } from './stream-time.ts';

/**
 * One partition that a task reads: what has been fetched of it, how far the task has come in it, and how
 * far event time has come in it.
 */
export class TaskInput {
  readonly topic: string;
  readonly partition: number;
  readonly time: RecordTime | UpstreamTime;
  /** The next offset to process: what a commit commits. */
  position: number;
  /** Where the log ended when it was last asked; -1 before that. */
  endOffset = -1;
  /** When it was found empty, with nothing more in the log; undefined while there is something. */
  emptySinceMs: number | undefined;
  /** It has been empty for so long that stream time no longer waits for it. */
  isIdle = false;
  readonly #key: Serde<unknown>;
  readonly #value: Serde<unknown>;
  readonly #process: Forward<unknown, unknown>;
  readonly #timestamp: TimestampExtractor<unknown, unknown> | undefined;
  readonly #queue: PartitionRecords[] = [];
  #hasHead = false;

  constructor(plan: TaskInputPlan, partition: number, process: Forward<unknown, unknown>) {
    this.topic = plan.topic.name;
    this.partition = partition;
    this.position = 0;
    this.time =
      plan.upstreamTasks === undefined ? new RecordTime() : new UpstreamTime(plan.upstreamTasks);
    this.#key = plan.topic.key;
    this.#value = plan.topic.value;
    this.#timestamp = plan.node.kind === 'source' ? plan.node.timestamp : undefined;
    this.#process = process;
  }

  /** Takes what was fetched. */
  add(records: PartitionRecords): void {
    this.#queue.push(records);
    this.endOffset = Math.max(this.endOffset, records.highWatermark);
    this.emptySinceMs = undefined;
    this.isIdle = false;
  }

  /** Notes whether there is nothing left to read, and for how long that has been so. */
  noteEmpty(nowMs: number, idleTimeoutMs: number): void {
    if (!this.isCaughtUp) return;
    this.emptySinceMs ??= nowMs;
    this.isIdle = nowMs - this.emptySinceMs >= idleTimeoutMs;
  }

  get queuedBatches(): number {
    return this.#queue.length;
  }

  /** True when everything that the log had, when it was last asked, has been processed. */
  get isCaughtUp(): boolean {
    return this.#queue.length === 0 && this.endOffset >= 0 && this.position >= this.endOffset;
  }

  /**
   * Stands on the next record, and returns false when there is none in memory. Markers are taken in on the
   * way; `timeRose` is called when one moves the time of the input.
   */
  stand(timeRose: () => void): boolean {
    while (!this.#hasHead) {
      const batch = this.#queue[0];
      if (batch === undefined) return false;
      if (!batch.next()) {
        this.#queue.shift();
        this.position = batch.endOffset;
        continue;
      }
      const { cursor } = batch;
      if (this.time instanceof UpstreamTime && cursor.keyStart === NULL_POSITION) {
        const marker = decodeTimeMarker(cursor.headers);
        if (marker !== undefined) {
          this.position = cursor.offset + 1;
          if (this.time.observe(marker)) timeRose();
          continue;
        }
      }
      this.#hasHead = true;
    }
    return true;
  }

  /** Processes a record that no log has: for the test driver. */
  inject(record: StreamRecord, timeRose: () => void): void {
    this.isIdle = false;
    if (this.time instanceof UpstreamTime) {
      const marker = record.key === null ? decodeTimeMarker(record.headers) : undefined;
      if (marker !== undefined) {
        if (this.time.observe(marker)) timeRose();
        return;
      }
    }
    this.#pass(record, timeRose);
  }

  /** The timestamp of the record it stands on, as the log has it. */
  get headTimestampMs(): number {
    return this.#queue[0]!.cursor.timestampMs;
  }

  /** Processes the record it stands on; `timeRose` is called before, when the record moves the time. */
  processHead(timeRose: () => void): void {
    const { cursor } = this.#queue[0]!;
    const { offset, timestampMs, source } = cursor;
    const key = this.#read('key', this.#key, source, cursor.keyStart, cursor.keyEnd);
    const value = this.#read('value', this.#value, source, cursor.valueStart, cursor.valueEnd);
    const { topic, partition } = this;
    const { headers } = cursor;
    this.#pass(
      new StreamRecord(key, value, timestampMs, headers, topic, partition, offset),
      timeRose,
    );
    this.#hasHead = false;
    this.position = offset + 1;
  }

  #pass(logged: StreamRecord, timeRose: () => void): void {
    const extract = this.#timestamp;
    const record =
      extract === undefined ? logged : logged.with(logged.key, logged.value, extract(logged));
    if (this.time instanceof RecordTime && this.time.observe(record.timestampMs)) timeRose();
    this.#process(record);
  }

  #read(
    field: 'key' | 'value',
    serde: Serde<unknown>,
    source: Buffer,
    start: number,
    end: number,
  ): unknown {
    if (start === NULL_POSITION) return null;
    try {
      return serde.deserialize(source, start, end);
    } catch (cause) {
      if (cause instanceof LogError) throw cause;
      const { topic, partition } = this;
      const { offset } = this.#queue[0]!.cursor;
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `the ${field} of ${topic}-${partition} at offset ${offset} is not ${serde.name}: ${reason}`;
      const details = { topic, partition, offset, field };
      throw new StreamsError('DESERIALIZATION_FAILED', message, details, { cause });
    }
  }
}
