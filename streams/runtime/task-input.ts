import {
  AssertionFailure,
  NULL_POSITION,
  type Clock,
  type Logger,
  type PartitionRecords,
} from '../../core/index.ts';
import { StreamsError } from '../errors.ts';
import type { NullHandling } from '../topology/node.ts';
import type { DropReason, Forward } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import {
  SKIP_RECORD,
  type TimestampContext,
  type TimestampExtractor,
} from '../topology/timestamps.ts';
import type { SourceBytes } from '../topology/record-errors.ts';
import type { TimedInput } from './operator-time.ts';
import type { Failures } from './failures.ts';
import type { EndToEndMeter, TaskMeters } from './meters.ts';
import type { TaskInputPlan } from './plan.ts';
import { processingFailed, unexpectedNull } from './record-failures.ts';
import { RecordReader, type InjectedRecord } from './record-reader.ts';
import { decodeTimeMarker, RecordTime, UpstreamTime } from './stream-time.ts';

/** What an input uses of its task. */
export interface TaskInputContext {
  readonly partition: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Decides about records that cannot be read. */
  readonly failures: Failures;
  readonly meters: TaskMeters;
  /** Counts a record that is dropped at the source, and passes it to whoever reads those. */
  readonly drop: (reason: DropReason, record: StreamRecord) => void;
}

/** The time of a record that its extractor skips: no log and no extractor can have it. */
const SKIPPED_MS = -Infinity;

/**
 * One partition that a task reads: its fetched records, the task's position and the event time
 * reached.
 */
export class TaskInput implements TimedInput {
  readonly topic: string;
  readonly partition: number;
  /** The node that takes its records. */
  readonly node: string;
  readonly time: RecordTime | UpstreamTime;
  /** Takes the records; set once the processors are wired up. */
  process: Forward<unknown, unknown> = unconnected;
  /** The next offset to process, which a commit commits. */
  position = 0;
  /** The last committed offset: nothing below is ever read again. */
  committedOffset = 0;
  /** The end offset at the last request; -1 before the first. */
  endOffset = -1;
  /** Not fetched at present: enough of it waits in memory for another input. */
  isPaused = false;
  /** When it was found empty, in memory and in the log; undefined while it has records. */
  #emptySinceMs: number | undefined;
  #isIdle = false;
  readonly #reader: RecordReader;
  readonly #timestamp: TimestampExtractor<unknown, unknown> | undefined;
  readonly #nullKeys: NullHandling;
  readonly #nullValues: NullHandling;
  readonly #context: TaskInputContext;
  readonly #endToEnd: EndToEndMeter;
  /** What the extractor sees besides the record. */
  readonly #times: TimestampContext;
  readonly #queue: PartitionRecords[] = [];
  #hasHead = false;
  /** The current record, if its time is not the log's; otherwise it is built when processed. */
  #head: StreamRecord | undefined;

  constructor(plan: TaskInputPlan, context: TaskInputContext) {
    const { node } = plan;
    const { partition, clock } = context;
    const isSource = node.kind === 'source';
    this.topic = plan.topic.name;
    this.partition = partition;
    this.node = node.name;
    this.time =
      plan.upstreamTasks === undefined ? new RecordTime() : new UpstreamTime(plan.upstreamTasks);
    this.#reader = new RecordReader(plan.topic, partition);
    this.#timestamp = isSource ? node.timestamp : undefined;
    this.#nullKeys = isSource ? node.nullKeys : 'pass';
    this.#nullValues = isSource ? node.nullValues : 'pass';
    this.#context = context;
    this.#endToEnd = context.meters.endToEnd(node.name);
    const { time } = this;
    this.#times = {
      get partitionTimeMs() {
        return time.timeMs;
      },
      wallClockMs: () => clock.nowMs(),
    };
  }

  get isIdle(): boolean {
    return this.#isIdle;
  }

  get quietSinceMs(): number {
    if (!this.#isIdle || (this.time instanceof UpstreamTime && !this.time.isQuiet)) return Infinity;
    return this.#emptySinceMs ?? Infinity;
  }

  /** Queues fetched records. */
  add(records: PartitionRecords): void {
    this.#queue.push(records);
    this.endOffset = Math.max(this.endOffset, records.highWatermark);
    this.#wake();
  }

  /** Records whether nothing is left to read, and since when. */
  noteEmpty(nowMs: number, idleTimeoutMs: number): void {
    if (!this.isCaughtUp) {
      this.#wake();
      return;
    }
    this.#emptySinceMs ??= nowMs;
    this.#isIdle = nowMs - this.#emptySinceMs >= idleTimeoutMs;
  }

  /** When it becomes idle if nothing comes; Infinity if it is, or has records. */
  idleDueMs(idleTimeoutMs: number): number {
    if (this.#isIdle || this.#emptySinceMs === undefined) return Infinity;
    return this.#emptySinceMs + idleTimeoutMs;
  }

  #wake(): void {
    this.#emptySinceMs = undefined;
    this.#isIdle = false;
  }

  get queuedBatches(): number {
    return this.#queue.length;
  }

  /** True if everything up to the last known end offset has been processed. */
  get isCaughtUp(): boolean {
    return this.#queue.length === 0 && this.endOffset >= 0 && this.position >= this.endOffset;
  }

  /**
   * Moves to the next record; returns false if none is in memory. Applies markers on the way and
   * calls `timeRose` when one advances the input's time.
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
      if (this.#timestamp !== undefined) {
        this.#head = this.#tryRecord();
        if (this.#head === undefined) {
          this.position = cursor.offset + 1;
          continue;
        }
      }
      this.#hasHead = true;
    }
    return true;
  }

  /** Processes a record that is in no log, for the test driver; returns false for a marker. */
  inject(raw: InjectedRecord, timeRose: () => void): boolean {
    this.#wake();
    if (this.time instanceof UpstreamTime) {
      const marker = raw.key === null ? decodeTimeMarker(raw.headers) : undefined;
      if (marker !== undefined) {
        if (this.time.observe(marker)) timeRose();
        return false;
      }
    }
    this.#reader.inject(raw);
    const record = this.#tryRecord();
    if (record !== undefined) this.#pass(record, timeRose);
    return true;
  }

  /** The bytes of a record that is at hand: the current one, or the last. */
  source(offset: number): SourceBytes | undefined {
    return this.#reader.source(this.#queue[0]?.cursor, offset);
  }

  /** The event time of the current record. */
  get headTimestampMs(): number {
    return this.#head?.timestampMs ?? this.#queue[0]!.cursor.timestampMs;
  }

  /** Processes the current record; calls `timeRose` first if the record advances the time. */
  processHead(timeRose: () => void): void {
    const { offset } = this.#queue[0]!.cursor;
    const record = this.#head ?? this.#tryRecord();
    if (record !== undefined) this.#pass(record, timeRose);
    this.#head = undefined;
    this.#hasHead = false;
    this.position = offset + 1;
  }

  /** The current record, with its event time; undefined if it cannot be read, and is dropped. */
  #tryRecord(): StreamRecord | undefined {
    let logged: StreamRecord | undefined;
    try {
      logged = this.#reader.read(this.#queue[0]?.cursor);
      return this.#timestamp === undefined ? logged : this.#timed(this.#timestamp, logged);
    } catch (cause) {
      this.#failed(cause, logged);
      return undefined;
    }
  }

  /** Drops the current record, or ends the task with this error. */
  #failed(error: unknown, record: StreamRecord | undefined): void {
    if (!(error instanceof Error)) throw error;
    const offset = this.#reader.offset(this.#queue[0]?.cursor);
    const { topic, partition, node } = this;
    const stage = 'deserialization';
    const isWrapped = error instanceof StreamsError && error.cause instanceof Error;
    const cause = isWrapped ? error.cause : error;
    const place = { topic, partition, offset };
    this.#context.failures.handle({ stage, node, cause, place, record, error });
  }

  /** The record with the event time that the user's function returns. */
  #timed(extract: TimestampExtractor<unknown, unknown>, logged: StreamRecord): StreamRecord {
    if (this.#reasonToDrop(logged) !== undefined) return logged; // no function may see it
    let timestampMs: number | typeof SKIP_RECORD;
    try {
      timestampMs = extract(logged, this.#times);
    } catch (cause) {
      throw processingFailed(this.node, logged, cause);
    }
    if (timestampMs === SKIP_RECORD)
      timestampMs = SKIPPED_MS; // dropped when its turn comes
    else if (!Number.isSafeInteger(timestampMs)) throw this.#badTime(logged, timestampMs);
    return logged.with(logged.key, logged.value, timestampMs);
  }

  #pass(record: StreamRecord, timeRose: () => void): void {
    if (!this.#accepts(record)) return;
    const { timestampMs } = record;
    if (this.time instanceof RecordTime && this.time.observe(timestampMs)) timeRose();
    const lateMs = this.time.timeMs - timestampMs;
    this.#context.meters.lateness.note(lateMs > 0 ? lateMs : 0);
    this.#endToEnd.note(timestampMs);
    this.process(record);
  }

  /** False for a record that is dropped here. */
  #accepts(record: StreamRecord): boolean {
    const { key, value, timestampMs } = record;
    if (key !== null && value !== null && timestampMs >= 0) return true;
    try {
      const reason = this.#reasonToDrop(record);
      if (reason !== undefined) {
        this.#context.drop(reason, record);
        return false;
      }
      if (timestampMs >= 0) return true;
      if (timestampMs !== SKIPPED_MS) throw this.#badTime(record, timestampMs);
      this.#skip(record);
    } catch (cause) {
      this.#failed(cause, record);
    }
    return false;
  }

  /**
   * Why a record is dropped before anything else sees it, if so: it has a null that the functions
   * behind the source do not accept.
   *
   * @throws StreamsError UNEXPECTED_NULL
   */
  #reasonToDrop(record: StreamRecord): DropReason | undefined {
    const { key, value } = record;
    if (key !== null && value !== null) return undefined;
    if (key === null && this.#nullKeys === 'fail') throw unexpectedNull(this.node, record, 'key');
    if (value === null && this.#nullValues === 'fail') {
      throw unexpectedNull(this.node, record, 'value');
    }
    if (key === null && this.#nullKeys === 'skip') return 'null-key';
    return value === null && this.#nullValues === 'skip' ? 'null-value' : undefined;
  }

  #skip(record: StreamRecord): void {
    const { drop, logger } = this.#context;
    const { node } = this;
    const { topic, partition, offset } = record;
    const loggedMs = this.source(offset)?.timestampMs ?? 0; // the source is still at hand
    drop('invalid-timestamp', record.with(record.key, record.value, loggedMs));
    logger.warn(`${node} skips ${topic}-${partition} at offset ${offset}: its time is invalid`, {
      node,
      topic,
      partition,
      offset,
    });
  }

  #badTime(record: StreamRecord, timestampMs: number): Error {
    const reason =
      `its time is ${timestampMs}; whole milliseconds since 1970 are needed: ` +
      "give builder.stream() a 'timestamp' that finds them";
    return processingFailed(this.node, record, reason);
  }
}

function unconnected(): never {
  throw new AssertionFailure('an input is connected before it is read');
}
