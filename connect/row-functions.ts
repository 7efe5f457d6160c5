/** What sources do with the functions that users give them for their rows. */
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
