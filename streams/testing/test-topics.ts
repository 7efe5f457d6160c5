import { deserializeBytes, type Topic } from '../../core/index.ts';
import { checkArgument, checkOptions, integer } from '../../core/internal.ts';
import type { OutputRecord, StoredRecord, TestRecord } from './test-records.ts';

/** Pipes records into one topic. */
export interface TestInputTopic<K, V> {
  /** Processes a record: when this returns, all its results are in the output topics. */
  pipe(record: TestRecord<K, V>): void;
  /** Processes records one by one. */
  pipeAll(records: readonly TestRecord<K, V>[]): void;
  /**
   * Moves the time of the topic, for records without one of their own.
   *
   * @throws LogError INVALID_OPTION unless `ms` is a whole number, 0 or more.
   */
  advanceTime(ms: number): void;
}

/** The time of records that are piped without one. */
export interface TestInputOptions {
  /** The time of the first such record, in milliseconds since 1970. Default: 0. */
  readonly startMs?: number;
  /** How much later each further one is. Default: 0. */
  readonly advanceMs?: number;
}

/** Reads the output of one topic. */
export interface TestOutputTopic<K, V> {
  /** The next record, or undefined if there is none. */
  read(): OutputRecord<K, V> | undefined;
  /** All unread records. */
  readAll(): OutputRecord<K, V>[];
  /** The newest value of each key in the unread records; null deletes. */
  readTable(): Map<K | null, V>;
}

/** The time of records without one: that of the topic, or of the previous record of any topic. */
export interface RecordTimes {
  /** The time of the next such record; the topic's own time advances. */
  next(): number;
  advance(ms: number): void;
}

/** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
export function ownTimes(options: TestInputOptions): RecordTimes {
  checkOptions('inputTopic', options, { startMs: integer(0), advanceMs: integer(0) });
  const { startMs = 0, advanceMs = 0 } = options;
  let nextMs = startMs;
  return {
    next: () => {
      const timestampMs = nextMs;
      nextMs += advanceMs;
      return timestampMs;
    },
    advance: (ms) => void (nextMs += ms),
  };
}

/** @param pipe processes a record; it takes the time of `times` if it has none of its own. */
export function makeInputTopic<K, V>(
  times: RecordTimes,
  pipe: (record: TestRecord<K, V>) => void,
): TestInputTopic<K, V> {
  return {
    pipe,
    pipeAll: (records) => {
      for (const record of records) pipe(record);
    },
    advanceTime: (ms) => {
      checkArgument('advanceTime', 'ms', ms, integer(0));
      times.advance(ms);
    },
  };
}

/** @param stored the unread records; reading removes them. */
export function makeOutputTopic<K, V>(
  topic: Topic<K, V>,
  stored: StoredRecord[],
): TestOutputTopic<K, V> {
  const decode = ({ key, value, timestampMs, headers }: StoredRecord): OutputRecord<K, V> => ({
    key: key === null ? null : deserializeBytes(topic.key, key),
    value: value === null ? null : deserializeBytes(topic.value, value),
    timestampMs,
    headers,
  });
  return {
    read: () => {
      const next = stored.shift();
      return next === undefined ? undefined : decode(next);
    },
    readAll: () => stored.splice(0).map(decode),
    readTable: () => {
      const table = new Map<K | null, V>();
      for (const { key, value } of stored.splice(0).map(decode)) {
        if (value === null) table.delete(key);
        else table.set(key, value);
      }
      return table;
    },
  };
}
