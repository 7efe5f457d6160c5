import {
  decodeGroupTopicKey,
  decodeGroupValue,
  decodeOffsetValue,
  decodeTransactionKey,
  decodeTransactionValue,
} from '../broker/coordinator-records.ts';
import { NULL_POSITION, type RecordCursor } from '../record/record-cursor.ts';

export const OFFSETS_TOPIC = '__consumer_offsets';
const TRANSACTIONS_TOPIC = '__transaction_state';

/**
 * What reads the records of an internal topic, and throws a RangeError for one that is not of its
 * schema; undefined for the topics of users, whose records may be anything.
 */
export function decoderOf(topic: string): ((cursor: RecordCursor) => void) | undefined {
  if (topic === OFFSETS_TOPIC) return decodeGroupRecord;
  return topic === TRANSACTIONS_TOPIC ? decodeTransactionRecord : undefined;
}

/** Key and value of the record that `cursor` stands on. */
export function partsAt(cursor: RecordCursor): { key: Buffer | null; value: Buffer | null } {
  const { source, keyStart, keyEnd, valueStart, valueEnd } = cursor;
  return {
    key: keyStart === NULL_POSITION ? null : source.subarray(keyStart, keyEnd),
    value: valueStart === NULL_POSITION ? null : source.subarray(valueStart, valueEnd),
  };
}

function decodeGroupRecord(cursor: RecordCursor): void {
  const { key, value } = partsAt(cursor);
  if (key === null) return;
  const decoded = decodeGroupTopicKey(key);
  if (value === null || decoded === undefined) return;
  if (decoded.kind === 'offset') decodeOffsetValue(value);
  else decodeGroupValue(value);
}

function decodeTransactionRecord(cursor: RecordCursor): void {
  const { key, value } = partsAt(cursor);
  if (key === null || decodeTransactionKey(key) === undefined) return;
  if (value !== null) decodeTransactionValue(value);
}
