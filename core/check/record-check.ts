import {
  decodeGroupTopicKey,
  decodeGroupValue,
  decodeOffsetValue,
  decodeTransactionKey,
  decodeTransactionValue,
} from '../broker/coordinator-records.ts';
import { LogError } from '../errors.ts';
import type { BatchHeader } from '../record/batch.ts';
import { markerTypeAt } from '../record/control.ts';
import { NULL_POSITION, type RecordCursor } from '../record/record-cursor.ts';

/** The facts that the records of a batch are checked against. */
export interface ExpectedRecords {
  /** The batch's header, with its correct offset. */
  readonly header: BatchHeader;
  /** Compaction removes records from the middle. */
  readonly isCompacted: boolean;
  /** Throws a RangeError if a record does not fit the schema of its internal topic. */
  readonly decode: ((cursor: RecordCursor) => void) | undefined;
}

/** A batch that cannot be decoded. */
export interface Unreadable {
  readonly codec: string;
}

/**
 * Reads every record of a batch whose checksum is right. Returns the fault in them, or undefined.
 */
export function checkRecords(
  { source, at }: { readonly source: Buffer; readonly at: number },
  cursor: RecordCursor,
  expected: ExpectedRecords,
): string | Unreadable | undefined {
  try {
    cursor.open(source, at);
    cursor.header = expected.header;
    return faultOf(cursor, expected);
  } catch (cause) {
    if (cause instanceof RangeError) {
      return `the record at offset ${cursor.offset} cannot be read: ${cause.message}`;
    }
    if (LogError.is(cause, 'UNSUPPORTED_COMPRESSION_TYPE')) return { codec: cause.details.codec };
    if (LogError.is(cause, 'CORRUPT_MESSAGE')) return cause.details.reason;
    throw cause;
  }
}

function faultOf(cursor: RecordCursor, expected: ExpectedRecords): string | undefined {
  const { header, isCompacted, decode } = expected;
  const { baseOffset, lastOffset, recordCount, isControl, producerId } = header;
  let next = baseOffset;
  while (cursor.next()) {
    const isNext = isCompacted ? cursor.offset >= next : cursor.offset === next;
    if (!isNext || cursor.offset > lastOffset) return `offset ${cursor.offset} is out of order`;
    next = cursor.offset + 1;
    if (cursor.hasHeaders && cursor.headers.length === 0) return 'headers are counted wrong';
    if (!isControl) decode?.(cursor);
    else if (markerTypeAt(cursor) === undefined && producerId >= 0) {
      return 'it is a control record of no known kind';
    }
  }
  const isEmptied = recordCount === 0;
  if (isControl && recordCount > 1) return 'a control batch has one record';
  if (!isEmptied && !isCompacted && next !== lastOffset + 1) return 'records are missing in it';
  return undefined;
}

export const OFFSETS_TOPIC = '__consumer_offsets';
const TRANSACTIONS_TOPIC = '__transaction_state';

/**
 * The function that reads the records of an internal topic and throws a RangeError if one does not
 * fit its schema; undefined for users' topics, whose records may be anything.
 */
export function decoderOf(topic: string): ((cursor: RecordCursor) => void) | undefined {
  if (topic === OFFSETS_TOPIC) return decodeGroupRecord;
  return topic === TRANSACTIONS_TOPIC ? decodeTransactionRecord : undefined;
}

/** Key and value of the record at `cursor`. */
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
