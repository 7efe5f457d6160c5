import type { Headers } from '../../core/index.ts';
import { integer, oneOf, type OptionCheck } from '../../core/internal.ts';
import type { StreamRecord } from './stream-record.ts';

/**
 * What becomes of a record that a node cannot handle.
 *
 * - `fail`: ends the application; nothing since the last commit counts.
 * - `skip`: drops, counts and logs it.
 * - `deadLetter`: drops and counts it, and writes what was read, with the error, to the topic of
 *   dead letters, in the same transaction as everything else.
 * - `{ retry }`: goes back to the last commit and tries again, for what may pass.
 */
export type ErrorAction = FinalAction | RetryAction;

/** What becomes of a record that is not tried again. */
export type FinalAction = 'fail' | 'skip' | 'deadLetter';

/**
 * Tries again from the last commit: nothing of the attempt counts, no transaction stays open
 * meanwhile, and the order of the records stays. All tasks of the application wait. A restart of
 * the process counts from the beginning.
 *
 * Tries are counted by node and by the record that was read: what `flatMapValues` makes of one has
 * one count. Results and punctuations, which come of no single record, have one in each task and
 * node, until the task has committed what it did.
 */
export interface RetryAction {
  /** How often, 1 to 1,000. */
  readonly retry: number;
  /** How long to wait before the first retry; it doubles with each, up to 1 min. Default 1 s. */
  readonly backoffMs?: number;
  /** What becomes of the record when all tries have failed. Default: `fail`. */
  readonly then?: FinalAction;
}

/** Decides about one failure. Synchronous; an error that it throws ends the application. */
export type ErrorHandler = (failure: RecordFailure) => ErrorAction;

/**
 * Where a record failed: a source could not read it, an operator could not process it, or a sink
 * could not write it.
 */
export type ErrorStage = 'deserialization' | 'processing' | 'production';

/** A record as it stands in the log. */
export interface SourceBytes {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly timestampMs: number;
  readonly headers: Headers;
}

/** A failure, and what is known of the record; Kafka Streams' `ErrorHandlerContext`. */
export interface RecordFailure {
  readonly stage: ErrorStage;
  /** The error that was thrown. */
  readonly error: Error;
  /** The name of the node. */
  readonly node: string;
  /** The name of the task, such as `1_3`. */
  readonly taskId: string;
  /** Where the record was read; empty if it comes of no single record, as in a punctuation. */
  readonly topic: string;
  readonly partition: number;
  /** -1 without a topic. */
  readonly offset: number;
  /** The event time; the log's if the record could not be read. */
  readonly timestampMs: number;
  readonly headers: Headers;
  /**
   * The bytes that were read: valid during the call. Null also if they are unknown: the record
   * comes of no single one, or was read before the last restart.
   */
  readonly rawKey: Buffer | null;
  readonly rawValue: Buffer | null;
  /** What the node was given; undefined if it could not be read, and in a punctuation. */
  readonly record: StreamRecord | undefined;
}

/** What a node does about failures; what is undefined is as the application says. */
export interface ErrorPolicy {
  readonly onError?: ErrorAction | ErrorHandler | undefined;
  readonly deadLetterTopic?: string | undefined;
}

/** Only these fields, of any options. */
export function errorPolicyOf({ onError, deadLetterTopic }: ErrorPolicy): ErrorPolicy | undefined {
  if (onError === undefined && deadLetterTopic === undefined) return undefined;
  return { onError, deadLetterTopic };
}

const FINAL = oneOf('fail', 'skip', 'deadLetter');
const RETRY_CHECKS: Readonly<Record<string, OptionCheck>> = {
  retry: integer(1, 1_000),
  backoffMs: integer(0),
  then: FINAL,
};

/** Accepts what a handler may return. */
export const errorAction: OptionCheck = (value) =>
  FINAL(value) === undefined || isRetry(value)
    ? undefined
    : `${FINAL(undefined)} or { retry: 1 to 1000, backoffMs, then }`;

function isRetry(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || !('retry' in value)) return false;
  return (
    Object.entries(value).every(([name, given]) => {
      return given === undefined ? name !== 'retry' : RETRY_CHECKS[name]?.(given) === undefined;
    }) && Object.keys(value).every((name) => Object.hasOwn(RETRY_CHECKS, name))
  );
}

/** Accepts what `onError` may be. */
export const errorHandling: OptionCheck = (value) =>
  typeof value === 'function' || errorAction(value) === undefined
    ? undefined
    : `${errorAction(undefined)}, or a function that returns one of them`;

/** Accepts the name of a topic. */
export const topicName: OptionCheck = (value) =>
  typeof value === 'string' && /^[\w.-]{1,249}$/.test(value)
    ? undefined
    : 'the name of a topic, of a-z A-Z 0-9 . _ -';
