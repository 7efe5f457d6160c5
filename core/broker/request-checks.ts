import { LogError } from '../errors.ts';
import type { CommittedOffset, JoinGroupRequest } from '../protocol/broker-api.ts';
import { STRING_BYTES_MAX } from '../protocol/struct-codec.ts';

/*
 * The broker's door. What is kept of a request is encoded later, at a checkpoint or when the log
 * closes: what Kafka's formats cannot hold must be refused before it is remembered, or it would
 * fail there, each time.
 */

const INT32_MAX = 0x7fff_ffff;

/**
 * Checks a string that is kept in a struct of Kafka.
 *
 * @throws LogError INVALID_REQUEST with the limit.
 */
export function checkString(field: string, value: string): void {
  const sizeBytes = Buffer.byteLength(value);
  if (sizeBytes <= STRING_BYTES_MAX) return;
  const allowed = `a string of at most ${STRING_BYTES_MAX} bytes of UTF-8`;
  throw invalid(field, allowed, `one of ${sizeBytes} bytes`);
}

/**
 * Checks an offset that somebody hands in.
 *
 * @throws LogError INVALID_REQUEST
 */
export function checkOffset(field: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw invalid(field, 'an offset: an integer, 0 or more', String(value));
}

/** @throws LogError INVALID_REQUEST for what the record of a group cannot hold. */
export function checkJoin(request: JoinGroupRequest): void {
  const { groupInstanceId = '', rebalanceTimeoutMs } = request;
  const { groupId, memberId, clientId, protocolType, protocols } = request;
  const strings = { groupId, memberId, groupInstanceId, clientId, protocolType };
  for (const [field, value] of Object.entries(strings)) checkString(field, value);
  for (const [index, { name }] of protocols.entries()) {
    checkString(`protocols[${index}].name`, name);
  }
  if (rebalanceTimeoutMs >= 0 && rebalanceTimeoutMs <= INT32_MAX) return;
  throw invalid('rebalanceTimeoutMs', `0 to ${INT32_MAX}`, String(rebalanceTimeoutMs));
}

/** @throws LogError INVALID_REQUEST for a group id or an offset that cannot be kept. */
export function checkCommitted(groupId: string, offsets: readonly CommittedOffset[]): void {
  checkString('groupId', groupId);
  for (const [index, { offset }] of offsets.entries()) {
    checkOffset(`offsets[${index}].offset`, offset);
  }
}

function invalid(field: string, allowed: string, found: string): LogError {
  const message = `${field} must be ${allowed}, not ${found}`;
  return new LogError('INVALID_REQUEST', message, { field, allowed });
}
