import {
  LogError,
  NO_HEADERS,
  PRODUCER_DEFAULTS,
  topic as topicHandle,
  type AnyTopic,
  type Clock,
  type LogErrorCode,
  type Producer,
  type TopicWriter,
} from '../../core/index.ts';
import { present, recordText } from '../../core/internal.ts';
import type {
  BadInput,
  PackedRecords,
  SourceBatch,
  SourceConnector,
  SourceRecord,
} from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { applyTransforms, type ConnectRecord, type Transform } from '../transform.ts';
import { failureOf } from './failure.ts';
import { writePacked } from './packed-writer.ts';
import type { RunCounts } from './run-counts.ts';
import type { ConnectFailure, Letter, Tolerance } from './tolerance.ts';
import type { TopicCreation } from './topic-creation.ts';

/**
 * When a source commits: Kafka Connect's `transaction.boundary`. `interval`: by `commitIntervalMs`
 * and `commitRecordsMax`; `poll`: after each batch; `connector`: when a batch says so.
 */
export type TransactionBoundary = 'interval' | 'poll' | 'connector';

export interface SourceWriterOptions {
  readonly connector: SourceConnector;
  readonly producer: Producer;
  readonly tolerance: Tolerance;
  readonly counts: RunCounts;
  readonly transforms: readonly Transform[];
  /** Undefined: topics are created as their handles say. */
  readonly topicCreation: TopicCreation | undefined;
  readonly transactionBoundary: TransactionBoundary;
  readonly clock: Clock;
}

/** What a topic finds wrong with a record; anything else would fail with another one, too. */
const RECORD_CODES: ReadonlySet<LogErrorCode> = new Set<LogErrorCode>([
  'SERIALIZATION_FAILED',
  'INVALID_PARTITIONS',
  'INVALID_TIMESTAMP',
  'MESSAGE_TOO_LARGE',
]);

/** Room for headers and framing beside the bytes of a dead letter. */
const LETTER_MARGIN_BYTES = 64 * 1024;
/** The producer of the records writes dead letters, too, and takes 1 MiB of any topic. */
const RAW_BYTES_MAX = PRODUCER_DEFAULTS.maxRequestSize - LETTER_MARGIN_BYTES;

type Writer = TopicWriter<unknown, unknown>;

/** A batch behind the transforms. */
export interface PreparedBatch {
  readonly batch: SourceBatch;
  readonly taskId: number;
  /** How many records the transforms have dropped. */
  readonly dropped: number;
  /** What the transforms could not handle. */
  readonly failures: readonly ConnectFailure[];
}

/** Writes the batches of a source's tasks into the open transaction, with dead letters. */
export class SourceWriter {
  readonly #options: SourceWriterOptions;
  readonly #writers = new Map<AnyTopic, Writer>();
  /** The handles of topics that transforms have named, by name and by what they stand for. */
  readonly #renamed = new Map<string, Map<AnyTopic, AnyTopic>>();
  #letters: TopicWriter<Uint8Array, Uint8Array> | undefined;
  /** The dead letters of the open transaction, if the connector may abort that. */
  #kept: Letter[] = [];

  constructor(options: SourceWriterOptions) {
    this.#options = options;
  }

  /** Creates the topics that are missing. @throws LogError as `Producer.writer`. */
  async open(): Promise<void> {
    const { connector, producer, tolerance } = this.#options;
    for (const topic of connector.topics) {
      await this.#openWriter(topic);
    }
    if (tolerance.topic !== undefined) this.#letters = await producer.writer(tolerance.topic);
  }

  /** Applies the transforms to a batch. Resolves when the topics that they name are there. */
  async prepare(batch: SourceBatch, taskId: number): Promise<PreparedBatch> {
    if (this.#options.connector.hasOtherTopics === true) await this.#openTopics(batch.records);
    if (this.#options.transforms.length === 0) {
      return { batch, taskId, dropped: 0, failures: [] };
    }
    const kept: number[] = [];
    const records: SourceRecord[] = [];
    const failures: ConnectFailure[] = [];
    for (const index of batch.records.keys()) {
      const result = this.#transform(batch, index, taskId);
      if ('error' in result) failures.push(result);
      else if (result.record !== undefined) {
        kept.push(index);
        records.push(result.record);
      }
    }
    const dropped = batch.records.length - records.length - failures.length;
    for (const { topic } of records) {
      if (this.#writers.has(topic) || !this.#isRenamed(topic)) continue;
      await this.#openWriter(topic);
    }
    const describe = (index: number): string => placeOf(batch, kept[index] ?? index);
    const after = { ...batch, packed: undefined, records, describe };
    return { batch: after, taskId, dropped, failures };
  }

  /** Creates the topic if it is missing. */
  async #openWriter(topic: AnyTopic): Promise<void> {
    const { producer, topicCreation } = this.#options;
    await topicCreation?.ensure(topic);
    this.#writers.set(topic, await producer.writer(topic));
  }

  /** Opens the topics of records that the connector does not name. */
  async #openTopics(records: readonly SourceRecord[]): Promise<void> {
    for (const { topic } of records) if (!this.#writers.has(topic)) await this.#openWriter(topic);
  }

  /** Adds a batch to the open transaction, synchronously, so that no commit can split it. */
  write({ batch, taskId, dropped, failures }: PreparedBatch): void {
    const { packed, bad = [] } = batch;
    this.#options.counts.now.dropped += dropped;
    for (const each of bad) this.#writeBad(each, taskId);
    for (const failure of failures) this.#handle(failure);
    // Of packed records, those from the first one on that is refused are written in plain form.
    let index = packed === undefined ? 0 : this.#writePacked(packed);
    const count = packed?.count ?? batch.records.length;
    while (index < count) index = this.#writeFrom(batch, index, taskId);
  }

  /** Writes packed records up to the first that is refused; returns how many. */
  #writePacked(packed: PackedRecords): number {
    const { clock, counts } = this.#options;
    const writer = this.#writers.get(packed.topic) ?? this.#undeclared(packed.topic);
    const written = writePacked(writer, packed, clock.nowMs());
    counts.now.records += written;
    return written;
  }

  /** Writes the dead letters of a transaction that was aborted into the next one. */
  repeatLetters(): void {
    for (const letter of this.#kept) this.#writeLetter(letter);
  }

  /** Called when everything that was written is committed. */
  committed(): void {
    this.#kept = [];
  }

  /** Writes the records from an index on, up to the first that is refused; returns the next one. */
  #writeFrom(batch: SourceBatch, start: number, taskId: number): number {
    const { records } = batch;
    const { counts } = this.#options;
    let topic: AnyTopic | undefined;
    let writer: Writer | undefined;
    let index = start;
    try {
      for (; index < records.length; index++) {
        const record = records[index]!;
        if (record.topic !== topic || writer === undefined) {
          topic = record.topic;
          writer = this.#writers.get(topic) ?? this.#undeclared(topic);
        }
        const { key, value, timestampMs, headers, partition } = record;
        writer.write(key, value, timestampMs, headers, partition);
      }
    } catch (cause) {
      // A producer that has failed refuses everything: that is no fault of the record.
      if (!(cause instanceof LogError) || cause.fatal || topic === undefined) throw cause;
      counts.now.records += index - start;
      this.#refuse(batch, index, cause, taskId);
      return index + 1;
    }
    counts.now.records += index - start;
    return index;
  }

  #writeBad({ stage, raw, place, position, error: cause }: BadInput, taskId: number): void {
    const { connector } = this.#options;
    const error = failureOf(connector.name, 'poll', cause);
    const isKept = raw === undefined || raw.length <= RAW_BYTES_MAX;
    this.#handle({
      ...{ stage, error, place, position, taskId },
      ...{ key: null, value: isKept ? (raw ?? null) : null, timestampMs: -1, headers: NO_HEADERS },
      record: isKept ? undefined : `${raw.length} bytes, too many for a dead letter`,
    });
  }

  /** A record that its topic does not take. @throws ConnectError RECORD_REFUSED */
  #refuse(batch: SourceBatch, index: number, cause: LogError, taskId: number): void {
    const { connector } = this.#options;
    const { topic, timestampMs = -1, headers = NO_HEADERS, key, value } = batch.records[index]!;
    const place = placeOf(batch, index);
    const details = { connector: connector.name, topic: topic.name, place };
    const message = `${place}: ${cause.message}`;
    const error = new ConnectError('RECORD_REFUSED', message, details, { cause });
    if (!RECORD_CODES.has(cause.code)) throw error;
    this.#handle({
      ...{ stage: 'convert', error, place, taskId, key: null, value: null },
      ...{ timestampMs, headers },
      record: recordText({ key, value, timestampMs }),
    });
  }

  /** What the transforms make of a record: undefined if they drop it. */
  #transform(
    batch: SourceBatch,
    index: number,
    taskId: number,
  ): { readonly record: SourceRecord | undefined } | ConnectFailure {
    const { connector, transforms } = this.#options;
    const record = batch.records[index]!;
    const before: ConnectRecord = {
      ...{ topic: record.topic.name, partition: undefined, offset: undefined },
      ...{ key: record.key, value: record.value, timestampMs: record.timestampMs },
      headers: record.headers ?? NO_HEADERS,
    };
    try {
      const after = applyTransforms(transforms, before);
      if (after === null) return { record: undefined };
      if (after === before) return { record };
      const { key, value, timestampMs, headers } = after;
      const topic = this.#topicOf(record.topic, after.topic);
      const { partition } = record;
      return { record: { topic, key, value, timestampMs, headers, partition } };
    } catch (cause) {
      const place = placeOf(batch, index);
      const error = transformFailed(connector.name, place, cause);
      const { timestampMs = -1 } = record;
      return {
        ...{ stage: 'transform', error, place, taskId, key: null, value: null, timestampMs },
        ...{ headers: before.headers, record: recordText(before) },
      };
    }
  }

  /** The handle of the topic that a transform has named. */
  #topicOf(topic: AnyTopic, name: string): AnyTopic {
    if (name === topic.name) return topic;
    const declared = this.#options.connector.topics.find((each) => each.name === name);
    if (declared !== undefined) return declared;
    let handles = this.#renamed.get(name);
    if (handles === undefined) this.#renamed.set(name, (handles = new Map<AnyTopic, AnyTopic>()));
    let handle = handles.get(topic);
    if (handle === undefined) {
      const { key, value } = topic;
      // Rules for the new name are not hidden by settings of the old one.
      const config = this.#options.topicCreation === undefined ? topic.config : {};
      handles.set(topic, (handle = topicHandle(name, { key, value, config })));
    }
    return handle;
  }

  #isRenamed(topic: AnyTopic): boolean {
    return [...(this.#renamed.get(topic.name)?.values() ?? [])].includes(topic);
  }

  /** Writes the dead letter of a failure, if it is tolerated and is to have one. */
  #handle(failure: ConnectFailure): void {
    const { tolerance, transactionBoundary } = this.#options;
    const letter = tolerance.handle(failure);
    if (letter === undefined) return;
    if (transactionBoundary === 'connector') this.#kept.push(letter);
    this.#writeLetter(letter);
  }

  #writeLetter({ key, value, timestampMs, headers }: Letter): void {
    const writer = present(this.#letters, 'the topic of dead letters is open');
    try {
      writer.write(key, value, timestampMs, headers);
    } catch (cause) {
      throw letterFailed(this.#options.connector.name, writer.topic.name, cause);
    }
  }

  #undeclared({ name: topic }: AnyTopic): never {
    const { name: connector } = this.#options.connector;
    const message = `connector ${connector} yields records for ${topic}, not one of its topics`;
    throw new ConnectError('UNDECLARED_TOPIC', message, { connector, topic });
  }
}

/** TRANSFORM_FAILED, unless it is a bug of ours. */
export function transformFailed(connector: string, place: string, cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `${place}: a transform of connector ${connector} failed: ${reason}`;
  return new ConnectError('TRANSFORM_FAILED', message, { connector, place }, { cause });
}

/** DEAD_LETTER_FAILED: the run ends, since nothing may be dropped without a trace. */
export function letterFailed(connector: string, topic: string, cause: unknown): Error {
  if (cause instanceof LogError && cause.fatal) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `connector ${connector} cannot write a dead letter to ${topic}: ${reason}`;
  return new ConnectError('DEAD_LETTER_FAILED', message, { connector, topic }, { cause });
}

function placeOf({ describe }: SourceBatch, index: number): string {
  return describe?.(index) ?? `record ${index} of a batch`;
}
