import {
  AssertionFailure,
  LogError,
  NO_HEADERS,
  type Clock,
  type Logger,
} from '../../core/index.ts';
import { show } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import {
  errorAction,
  type ErrorAction,
  type FinalAction,
  type ErrorStage,
  type RecordFailure,
  type RetryAction,
  type SourceBytes,
} from '../topology/record-errors.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { deadLetterHeaders } from './dead-letters.ts';
import type { ErrorPolicies } from './error-policies.ts';
import { fieldsOf } from './log-fields.ts';
import { NodeCounts } from './node-counts.ts';
import type { RecordWriter } from './outputs.ts';
import type { Recovery } from './recovery.ts';

/** What became of a record that failed. */
export type FailureOutcome = 'skipped' | 'deadLettered' | 'retried';

/** Initial counts of failures. */
export function noneFailed(): Record<FailureOutcome, number> {
  return { skipped: 0, deadLettered: 0, retried: 0 };
}

/** Where a failed record was read. */
export interface FailedPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** A failure, as a node meets it. */
export interface Failing {
  readonly stage: ErrorStage;
  readonly node: string;
  /** What was thrown. */
  readonly cause: unknown;
  readonly place: FailedPlace;
  /** What the node was given, if it was anything. */
  readonly record: StreamRecord | undefined;
  /** The error that ends the application, if nothing else is to be done. */
  readonly error: Error;
  /** What was read, if that is no longer at hand but was kept. */
  readonly source?: SourceBytes | undefined;
}

/** What the handling of failures needs of its task. */
export interface FailureContext {
  readonly taskId: string;
  readonly policies: Pick<ErrorPolicies, 'of' | 'keepsInPlace' | 'needsSource' | 'nodesOf'>;
  readonly recovery: Recovery;
  readonly deadLetters: (topic: string) => RecordWriter;
  /** The bytes of a record, if they are at hand. */
  readonly sourceOf: (place: FailedPlace) => SourceBytes | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when a record was dropped: a commit has to keep that. */
  readonly dropped: () => void;
}

/** How often the log tells of the failures of a node. */
const LOG_EVERY_MS = 60_000;

/** What a writer finds wrong with a record; anything else would fail with another one, too. */
const WRITER_CODES: ReadonlySet<string> = new Set([
  'SERIALIZATION_FAILED',
  'INVALID_PARTITIONS',
  'INVALID_TIMESTAMP',
  'MESSAGE_TOO_LARGE',
]);

/**
 * Decides what becomes of the records of a task that fail [STREAMS-BAD-1], and does it. What a node
 * does before it fails stays, as in Kafka Streams (ProcessorNode.java): nothing of a record is
 * taken back.
 */
export class Failures {
  readonly counts: NodeCounts<FailureOutcome>;
  readonly #context: FailureContext;
  /** The error that ends the task: the nodes that it passes on its way do not decide again. */
  #fatal: Error | undefined;
  /** By node, when it was last logged, and failures since then. */
  readonly #logged = new Map<string, { sinceMs: number; count: number }>();

  constructor(context: FailureContext, counts = new NodeCounts(noneFailed)) {
    this.#context = context;
    this.counts = counts;
  }

  /** Returns if the record is dropped. @throws the error that ends the application. */
  handle(failing: Failing): void {
    const { cause, stage, node, error } = failing;
    if (cause === this.#fatal && this.#fatal !== undefined) throw this.#fatal;
    if (!isOfRecord(stage, cause)) throw this.#end(error);
    // Found by chance, at another record than the one that it is of.
    const isLate = StreamsError.is(cause, 'SERIALIZATION_FAILED');
    if (isLate && this.#check(cause.details.store)) throw this.#toFind(cause.details.store, cause);
    const { onError, deadLetterTopic } = this.#context.policies.of(node, stage);
    if (onError === 'fail') throw this.#end(error);
    this.#becomeCareful(failing);
    const source = failing.source ?? this.#context.sourceOf(failing.place);
    const failure = this.#describe(failing, source);
    const asked = typeof onError === 'function' ? this.#ask(onError, failure) : onError;
    const action = typeof asked === 'object' ? this.#retry(asked, failing, failure) : asked;
    if (action === 'fail') throw this.#end(error);
    if (action === 'deadLetter') this.#writeDeadLetter(failure, source, deadLetterTopic);
    this.counts.add(node, action === 'deadLetter' ? 'deadLettered' : 'skipped');
    this.#log(error, failing, action);
    this.#context.dropped();
  }

  /**
   * Returns the error with which the commit fails that cannot write a store. The first time, the
   * tasks start over: from then on the store refuses such a key or value at once, and so the record
   * is known that it is of, and its node decides [STREAMS-BAD-13].
   */
  unwritable(store: string, cause: unknown): unknown {
    if (!isUnwritable(cause) || !this.#check(store)) return cause;
    return this.#toFind(store, cause);
  }

  /** A copy of what was read of a record at hand, if a failure of it at this node may need it. */
  keepSource(node: string, place: FailedPlace): SourceBytes | undefined {
    if (!this.#context.policies.needsSource(node)) return undefined;
    const source = this.#context.sourceOf(place);
    if (source === undefined) return undefined;
    return { ...source, key: copied(source.key), value: copied(source.value) };
  }

  /** Called after a commit, with the next offset of each input. */
  committed(topic: string, partition: number, offset: number): void {
    this.#context.recovery.committed(topic, partition, offset);
  }

  /** Called after a commit of what the task has done, and not of its time markers alone. */
  passed(): void {
    this.#context.recovery.passed(this.#context.taskId);
  }

  /** Throws the error that has ended the task, if a function of the user caught it. */
  check(): void {
    if (this.#fatal !== undefined) throw this.#fatal;
  }

  /**
   * A function that changes values in place may have changed one before it failed, which nothing
   * can take back: the attempt starts over, and the next one gives it copies [STREAMS-BAD-10].
   */
  #becomeCareful({ stage, node, cause, error }: Failing): void {
    const { policies, recovery } = this.#context;
    if (stage !== 'processing' || !policies.keepsInPlace(node)) return;
    if (!recovery.becomeCareful(node)) return;
    const message = `${error.message}; the tasks start over, so that nothing of it stays`;
    const details = { node, pauseMs: 0, isRetry: false };
    throw this.#end(new StreamsError('STARTING_OVER', message, details, { cause }));
  }

  /** Lets a store check what is put into it; returns false if it does. */
  #check(store: string): boolean {
    const { policies, recovery } = this.#context;
    if (!recovery.checkWrites(store)) return false;
    // What their functions have changed in place could not be taken back.
    for (const node of policies.nodesOf(store)) recovery.becomeCareful(node);
    return true;
  }

  #toFind(store: string, cause: Error): Error {
    const { policies } = this.#context;
    const message =
      `${cause.message}; the tasks start over, to find the record that store ${store} ` +
      'cannot write';
    const details = { node: policies.nodesOf(store)[0] ?? '', pauseMs: 0, isRetry: false };
    return this.#end(new StreamsError('STARTING_OVER', message, details, { cause }));
  }

  /** What becomes of a record that was tried often enough. @throws StreamsError STARTING_OVER */
  #retry(action: RetryAction, { error }: Failing, failure: RecordFailure): FinalAction {
    const { recovery } = this.#context;
    const pauseMs = recovery.nextPauseMs(failure, action);
    if (pauseMs === undefined) return action.then ?? 'fail';
    const { node, error: cause } = failure;
    const message = `${error.message}; it is tried again in ${pauseMs} ms`;
    const details = { node, pauseMs, isRetry: true };
    throw this.#end(new StreamsError('STARTING_OVER', message, details, { cause }));
  }

  #describe(failing: Failing, source: SourceBytes | undefined): RecordFailure {
    const { stage, node, cause, place, record } = failing;
    const { taskId, clock } = this.#context;
    return {
      ...{ stage, node, taskId, ...place, record },
      error: cause instanceof Error ? cause : new TypeError(`it threw ${show(cause)}`),
      timestampMs: record?.timestampMs ?? source?.timestampMs ?? clock.nowMs(),
      headers: record?.headers ?? source?.headers ?? NO_HEADERS,
      rawKey: source?.key ?? null,
      rawValue: source?.value ?? null,
    };
  }

  #ask(handler: (failure: RecordFailure) => ErrorAction, failure: RecordFailure): ErrorAction {
    let action: unknown;
    try {
      action = handler(failure);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw this.#end(handlerFailed(failure, `threw: ${reason}`, cause));
    }
    const allowed = errorAction(action);
    if (allowed === undefined) return action as ErrorAction;
    const problem = `returned ${show(action)}, and not ${allowed}`;
    throw this.#end(handlerFailed(failure, problem, failure.error));
  }

  #writeDeadLetter(failure: RecordFailure, source: SourceBytes | undefined, topic: string): void {
    const { key = null, value = null } = source ?? {};
    const timestampMs = source?.timestampMs ?? loggable(failure.timestampMs);
    const headers = deadLetterHeaders(failure, source);
    try {
      this.#context.deadLetters(topic).write(key, value, timestampMs, headers);
    } catch (cause) {
      throw this.#end(deadLetterFailed(failure, topic, cause));
    }
  }

  /** Logs the first failure of a node, and then now and again how many there were. */
  #log(error: Error, { node, place }: Failing, action: FinalAction): void {
    const { clock, logger } = this.#context;
    const nowMs = clock.monotonicMs();
    const last = this.#logged.get(node);
    if (last !== undefined && nowMs - last.sinceMs < LOG_EVERY_MS) {
      last.count++;
      return;
    }
    const verb = action === 'skip' ? 'was skipped' : 'became a dead letter';
    const others = last === undefined || last.count === 0 ? '' : `; so did ${last.count} before it`;
    const { topic, partition, offset } = place;
    const at = topic === '' ? {} : { topic, partition, offset };
    logger.warn(`a record ${verb}: ${error.message}${others}`, {
      ...{ ...fieldsOf(error), node, ...at },
    });
    this.#logged.set(node, { sinceMs: nowMs, count: 0 });
  }

  #end(error: Error): Error {
    this.#fatal = error;
    return error;
  }
}

function copied(bytes: Buffer | null): Buffer | null {
  return bytes && Buffer.from(bytes);
}

/** True if a store's serdes do not take what was put into it. */
function isUnwritable(cause: unknown): cause is Error {
  return (
    LogError.is(cause, 'SERIALIZATION_FAILED') ||
    StreamsError.is(cause, 'SERIALIZATION_FAILED') ||
    StreamsError.is(cause, 'STATE_KEY_TOO_LONG')
  );
}

/** True if another record may fare better. */
function isOfRecord(stage: ErrorStage, cause: unknown): boolean {
  if (cause instanceof AssertionFailure || StreamsError.is(cause, 'STATE_CORRUPT')) return false;
  if (StreamsError.is(cause, 'PIPE_NOT_STATELESS')) return false;
  return stage !== 'production' || !(cause instanceof LogError) || WRITER_CODES.has(cause.code);
}

function handlerFailed(failure: RecordFailure, problem: string, cause: unknown): StreamsError {
  const { node, topic, partition, offset, error } = failure;
  const message =
    `the error handler of ${node} ${problem}; it was asked about ${placeText(failure)}, which ` +
    `failed: ${error.message}`;
  const details = { node, topic, partition, offset };
  return new StreamsError('ERROR_HANDLER_FAILED', message, details, { cause });
}

function deadLetterFailed(failure: RecordFailure, topic: string, cause: unknown): StreamsError {
  const { node, error } = failure;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message =
    `${placeText(failure)} failed at ${node}: ${error.message}; and it could not be written to ` +
    `${topic} as a dead letter: ${reason}`;
  return new StreamsError('DEAD_LETTER_FAILED', message, { node, topic }, { cause });
}

/** An event time as a log takes it; -1 for none. */
function loggable(timestampMs: number): number {
  return Number.isSafeInteger(timestampMs) && timestampMs >= 0 ? timestampMs : -1;
}

function placeText({ topic, partition, offset }: FailedPlace): string {
  return topic === '' ? 'a result' : `${topic}-${partition} at offset ${offset}`;
}
