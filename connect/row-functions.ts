/** What sources do with the functions that users give them for their rows. */
import type { Topic } from '../core/index.ts';
import { stringifyJson } from '../core/internal.ts';
import type { BadInput, SourceBatch, SourceRecord } from './connector.ts';
import { ConnectError } from './errors.ts';

/** Where a row stands; `place` is for messages, such as `flights.csv, line 7`. */
export interface FailedRow {
  readonly place: string;
  readonly file: string;
  readonly line: number;
  /** The name of the function. */
  readonly option: string;
}

/** ROW_FAILED: a function that makes a part of the record has thrown. */
export function rowFailed({ place, file, line, option }: FailedRow, cause: unknown): ConnectError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `${place}: the function given as ${option} failed: ${reason}`;
  return new ConnectError('ROW_FAILED', message, { file, line, option }, { cause });
}

/** What `timestamp` has found, in milliseconds. @throws TypeError if it is not a time. */
export function toMs(time: number | Date): number {
  const ms = typeof time === 'number' ? time : time.getTime();
  if (Number.isFinite(ms)) return ms;
  throw new TypeError(`${String(time)} is no point in time`);
}

/** What makes records of rows. */
export interface RowFunctions<Row, K, V> {
  readonly topic: Topic<K, V>;
  readonly key: (row: Row) => K | null;
  /** Undefined if the row is the value. */
  readonly value: ((row: Row) => V | null) | undefined;
  readonly timestamp: ((row: Row) => number | Date) | undefined;
}

/** What a batch has of its rows. */
export type RowRecords = Pick<SourceBatch, 'records' | 'bad' | 'describe'>;

/**
 * Makes the records of rows that are objects already: those of a page, or of a table.
 *
 * @param page what the rows stand in; `position` is what dead letters have about it.
 */
export function recordsOf<Row, K, V>(
  rows: readonly Row[],
  { topic, key, value, timestamp }: RowFunctions<Row, K, V>,
  page: { readonly place: string; readonly position: Readonly<Record<string, string>> },
): RowRecords {
  const { place } = page;
  const records: SourceRecord[] = [];
  const numbers: number[] = [];
  const bad: BadInput[] = [];
  for (const [index, row] of rows.entries()) {
    const line = index + 1;
    let option = 'key';
    try {
      const recordKey = key(row);
      option = 'value';
      const recordValue = value === undefined ? row : value(row);
      option = 'timestamp';
      const timestampMs = timestamp === undefined ? undefined : toMs(timestamp(row));
      records.push({ topic, key: recordKey, value: recordValue, timestampMs });
      numbers.push(line);
    } catch (cause) {
      const where = { place: `${place}, row ${line}`, file: place, line, option };
      const text = stringifyJson(row);
      bad.push({
        stage: 'convert',
        raw: text === undefined ? undefined : Buffer.from(text),
        place: where.place,
        position: { ...page.position, row: line },
        error: rowFailed(where, cause),
      });
    }
  }
  return { records, bad, describe: (index) => `${place}, row ${numbers[index]}` };
}
