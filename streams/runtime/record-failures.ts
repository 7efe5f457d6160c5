import { AssertionFailure, type Serde } from '../../core/index.ts';
import { StreamsError } from '../errors.ts';
import type { StreamRecord } from '../topology/stream-record.ts';

/** The codes of calls and of stores, which know no record. */
const WITHOUT_RECORD: ReadonlySet<string> = new Set([
  'CALL_TIMED_OUT',
  'SERIALIZATION_FAILED',
  'STATE_KEY_TOO_LONG',
]);

/** True for an error that says all there is to say. */
function isComplete(cause: unknown): cause is Error {
  if (cause instanceof AssertionFailure) return true;
  return cause instanceof StreamsError && !WITHOUT_RECORD.has(String(cause.code));
}

/**
 * PROCESSING_FAILED with the node and the record's position; errors with a code pass unchanged, but
 * for those that know no record.
 */
export function processingFailed(node: string, record: StreamRecord, cause: unknown): Error {
  if (isComplete(cause)) return cause;
  const { topic, partition, offset } = record;
  const place = topic === '' ? 'a result' : `${topic}-${partition} at offset ${offset}`;
  const message = `${node} failed on ${place}: ${reasonOf(cause)}`;
  const details = { node, topic, partition, offset };
  return new StreamsError('PROCESSING_FAILED', message, details, { cause });
}

/** PROCESSING_FAILED where there is no record: `when` says at what. */
export function nodeFailed(node: string, partition: number, when: string, cause: unknown): Error {
  if (isComplete(cause)) return cause;
  const message = `${node} failed ${when}: ${reasonOf(cause)}`;
  const details = { node, topic: '', partition, offset: -1 };
  return new StreamsError('PROCESSING_FAILED', message, details, { cause });
}

/** UNEXPECTED_NULL with the record's position and the remedy. */
export function unexpectedNull(
  node: string,
  { topic, partition, offset }: StreamRecord,
  field: 'key' | 'value',
): StreamsError {
  const option = field === 'key' ? 'nullKeys' : 'nullValues';
  const message =
    `the ${field} of ${topic}-${partition} at offset ${offset} is null, and ${node} takes none: ` +
    `give builder.stream(${topic}) the option { ${option}: 'pass' } to hand nulls to its ` +
    `functions, or { ${option}: 'skip' } to leave such records out`;
  return new StreamsError('UNEXPECTED_NULL', message, { node, topic, partition, offset, field });
}

/** The position of bytes that their serde cannot read. */
export interface FieldPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly field: 'key' | 'value';
}

/** DESERIALIZATION_FAILED with the record's position. */
export function deserializationFailed(
  { topic, partition, offset, field }: FieldPlace,
  serde: Serde<unknown>,
  cause: unknown,
): StreamsError {
  const place = `${topic}-${partition} at offset ${offset}`;
  const message = `the ${field} of ${place} is not ${serde.name}: ${reasonOf(cause)}`;
  const details = { topic, partition, offset, field };
  return new StreamsError('DESERIALIZATION_FAILED', message, details, { cause });
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
