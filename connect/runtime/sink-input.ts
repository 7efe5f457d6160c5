import { LogError, type Clock, type ConsumerRecord, type Log } from '../../core/index.ts';
import type { SinkConnector, SinkOffset, SinkTask } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { applyTransforms, type Transform } from '../transform.ts';
import { failureOf } from './failure.ts';
import type { RunCounts } from './run-counts.ts';
import { SinkLetters } from './sink-letters.ts';
import { transformFailed } from './source-writer.ts';
import type { ConnectStage, Tolerance } from './tolerance.ts';
import { TransformedRecord, viewOf } from './transformed-record.ts';

/** What a run has learned of its sink, for the attempts that follow. */
export interface SinkKnowledge {
  /** What the sink reads of records, and fails at if it cannot be deserialized. */
  readonly reads: Set<'key' | 'value'>;
}

export interface SinkInputOptions {
  readonly log: Log;
  readonly connector: SinkConnector;
  readonly groupId: string;
  readonly transforms: readonly Transform[];
  readonly tolerance: Tolerance;
  readonly counts: RunCounts;
  readonly clock: Clock;
  readonly knowledge: SinkKnowledge;
}

/** Passes records to a sink: behind the transforms, and without those that cannot be handled. */
export class SinkInput {
  readonly #options: SinkInputOptions;
  readonly #letters: SinkLetters | undefined;
  /** True during `put`: only then may the sink reject records. */
  #isPutting = false;
  /** Of the current `put`. */
  #rejectedCount = 0;

  constructor(options: SinkInputOptions) {
    const { log, connector, groupId, tolerance } = options;
    const { topic } = tolerance;
    this.#options = options;
    this.#letters =
      topic &&
      new SinkLetters({
        ...{ log, topic, connector: connector.name, groupId: `${groupId}-dead-letters` },
      });
  }

  /** Opens it for a sink that begins to read there. */
  async open(starts: readonly SinkOffset[]): Promise<void> {
    await this.#letters?.open(starts);
  }

  /** True if records may become dead letters. */
  get hasLetters(): boolean {
    return this.#letters !== undefined;
  }

  /** True if `commitLetters` has something to do. */
  get hasLettersWaiting(): boolean {
    return this.#letters?.isWaiting ?? false;
  }

  /** True if so many dead letters wait that a commit should come soon. */
  get isCommitDue(): boolean {
    return this.#letters?.isDue ?? false;
  }

  /** Writes the dead letters that wait; they are durable then. */
  async commitLetters(): Promise<void> {
    await this.#letters?.commit();
  }

  /** True if no more dead letters can be remembered until the output has what was read. */
  get mustEnd(): boolean {
    return this.#letters?.isFull ?? false;
  }

  /** Called when the output has everything up to these offsets for good. */
  outputCommitted(offsets: readonly SinkOffset[]): void {
    this.#letters?.outputCommitted(offsets);
  }

  /**
   * Passes records of one partition to the sink.
   *
   * @throws ConnectError, LogError what the sink throws.
   */
  async put(task: SinkTask, read: readonly ConsumerRecord[]): Promise<void> {
    const { connector, transforms, knowledge, counts, clock } = this.#options;
    const isPlain = transforms.length === 0 && knowledge.reads.size === 0;
    const records = isPlain ? read : read.flatMap((record) => this.#prepare(record));
    if (records.length === 0) return;
    const startMs = clock.monotonicMs();
    this.#isPutting = true;
    this.#rejectedCount = 0;
    try {
      await task.put(records);
    } catch (cause) {
      this.#learn(cause);
      throw failureOf(connector.name, 'put', cause);
    } finally {
      this.#isPutting = false;
    }
    counts.batchTimes.note(clock.monotonicMs() - startMs);
    counts.now.records += records.length - this.#rejectedCount;
  }

  /** `SinkContext.reject`. */
  readonly reject = (record: ConsumerRecord, error: Error): void => {
    if (!this.#isPutting) {
      const message =
        `sink ${this.#options.connector.name} rejected a record outside of put: its offset may ` +
        'be committed already; wait in put for what may fail';
      throw new ConnectError('INVALID_STATE', message, { operation: 'reject', state: 'no put' });
    }
    this.#reject('put', record, error);
    this.#rejectedCount++;
  };

  /** Ends what it has opened. */
  async close(): Promise<void> {
    await this.#letters?.close();
  }

  /** The record as the sink gets it; none if it is dropped or cannot be read. */
  #prepare(record: ConsumerRecord): ConsumerRecord[] {
    const { connector, transforms, knowledge, counts } = this.#options;
    let stage: ConnectStage = 'convert';
    try {
      for (const field of knowledge.reads) Reflect.get(record, field); // it may throw
      if (transforms.length === 0) return [record];
      stage = 'transform';
      const before = viewOf(record);
      const after = applyTransforms(transforms, before);
      if (after === null) {
        counts.now.dropped++;
        return [];
      }
      return [after === before ? record : new TransformedRecord(record, after)];
    } catch (cause) {
      const isUnread = LogError.is(cause, 'DESERIALIZATION_FAILED');
      const error = isUnread ? cause : transformFailed(connector.name, placeOf(record), cause);
      this.#reject(isUnread ? 'convert' : stage, record, error);
      return [];
    }
  }

  /** Leaves a record out. @throws the error if nothing tolerates it. */
  #reject(stage: ConnectStage, given: ConsumerRecord, error: Error): void {
    const record = given instanceof TransformedRecord ? given.origin : given;
    const { topic, partition, offset, timestampMs, headers, rawKey, rawValue } = record;
    const source = { topic, partition, offset };
    const isOfSerde = isUnreadable(error);
    const letter = this.#options.tolerance.handle({
      ...{ stage: isOfSerde ? 'convert' : stage, error, source, place: placeOf(record) },
      ...{ timestampMs, headers: headers.map(({ key, value }) => ({ key, value: copied(value) })) },
      ...{ key: copied(rawKey), value: copied(rawValue) },
    });
    if (letter !== undefined) this.#letters?.add(source, letter);
  }

  /**
   * A sink that does not reject what it cannot read tells by its error which field it looks at:
   * from the next attempt on that is looked at first.
   */
  #learn(cause: unknown): void {
    if (!LogError.is(cause, 'DESERIALIZATION_FAILED') || !this.#options.tolerance.isOn) return;
    const { field } = cause.details;
    if (field === 'key' || field === 'value') this.#options.knowledge.reads.add(field);
  }
}

/** True if the bytes of the record, and not what the sink does with it, are the reason. */
function isUnreadable(error: unknown): boolean {
  if (LogError.is(error, 'DESERIALIZATION_FAILED')) return true;
  return error instanceof Error && error.cause !== undefined && isUnreadable(error.cause);
}

function copied(bytes: Uint8Array | null): Buffer | null {
  return bytes && Buffer.from(bytes);
}

function placeOf({ topic, partition, offset }: ConsumerRecord): string {
  return `${topic}-${partition} at offset ${offset}`;
}
