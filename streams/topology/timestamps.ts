import type { StreamRecord } from './stream-record.ts';

/** What an extractor returns to have the record dropped, counted and logged. */
export const SKIP_RECORD: unique symbol = Symbol('skip this record');

/** What an extractor can know besides the record. */
export interface TimestampContext {
  /** The largest event time so far in the record's partition; -Infinity before its first record. */
  readonly partitionTimeMs: number;
  /** The time of day by the application's clock. */
  wallClockMs(): number;
}

/**
 * Returns the event time of a record, by default its own timestamp. Whole milliseconds since 1970,
 * not before, so that a log accepts it; or SKIP_RECORD.
 */
export type TimestampExtractor<K, V> = (
  record: StreamRecord<K, V>,
  context: TimestampContext,
) => number | typeof SKIP_RECORD;

/**
 * Ends the application at an invalid time, as a source does by default; Kafka Streams'
 * `FailOnInvalidTimestamp`. A time is invalid if it is negative or no whole number.
 *
 * @param extract finds the time; default: the record's timestamp.
 */
export function failOnInvalidTimestamp<K, V>(
  extract: TimestampExtractor<K, V> = ownTimestamp,
): TimestampExtractor<K, V> {
  return extract;
}

/**
 * Drops records with an invalid time, logs and counts them; Kafka Streams'
 * `LogAndSkipOnInvalidTimestamp`.
 *
 * @param extract finds the time; default: the record's timestamp.
 */
export function logAndSkipOnInvalidTimestamp<K, V>(
  extract: TimestampExtractor<K, V> = ownTimestamp,
): TimestampExtractor<K, V> {
  return (record, context) => {
    const timestampMs = extract(record, context);
    return isInvalid(timestampMs) ? SKIP_RECORD : timestampMs;
  };
}

/**
 * Gives records with an invalid time the largest event time so far in their partition; ends the
 * application if there is none. Kafka Streams' `UsePartitionTimeOnInvalidTimestamp`.
 *
 * @param extract finds the time; default: the record's timestamp.
 */
export function usePartitionTimeOnInvalidTimestamp<K, V>(
  extract: TimestampExtractor<K, V> = ownTimestamp,
): TimestampExtractor<K, V> {
  return (record, context) => {
    const timestampMs = extract(record, context);
    const { partitionTimeMs } = context;
    return isInvalid(timestampMs) && partitionTimeMs >= 0 ? partitionTimeMs : timestampMs;
  };
}

/**
 * Takes the time at which a record is read, by the application's clock; Kafka Streams'
 * `WallclockTimestampExtractor`. A record that is read again after a crash gets another time.
 */
export function wallclockTimestamp<K, V>(): TimestampExtractor<K, V> {
  return (_, context) => context.wallClockMs();
}

function ownTimestamp({ timestampMs }: StreamRecord): number {
  return timestampMs;
}

/** Anything but a number is the function's mistake, not the record's: that always fails. */
function isInvalid(timestampMs: unknown): boolean {
  return (
    typeof timestampMs === 'number' && !(Number.isSafeInteger(timestampMs) && timestampMs >= 0)
  );
}
