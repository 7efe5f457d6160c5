import { AssertionFailure, type Serde } from '../../core/index.ts';
import { StreamsError } from '../errors.ts';
import type { StreamRecord } from '../topology/stream-record.ts';

/**
 * PROCESSING_FAILED with the node and the record's position; errors with a code pass unchanged, but
 * for that of a call, which knows no record.
 */
export function processingFailed(node: string, record: StreamRecord, cause: unknown): Error {
  const isOfCall = StreamsError.is(cause, 'CALL_TIMED_OUT');
  if (cause instanceof AssertionFailure) return cause;
  if (cause instanceof StreamsError && !isOfCall) return cause;
  const { topic, partition, offset } = record;
  const place = topic === '' ? 'a result' : `${topic}-${partition} at offset ${offset}`;
  const message = `${node} failed on ${place}: ${reasonOf(cause)}`;
  const details = { node, topic, partition, offset };
  return new StreamsError('PROCESSING_FAILED', message, details, { cause });
}

/** PROCESSING_FAILED where there is no record: `when` says at what. */
export function nodeFailed(node: string, partition: number, when: string, cause: unknown): Error {
  if (cause instanceof StreamsError || cause instanceof AssertionFailure) return cause;
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
