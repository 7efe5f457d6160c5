/** When a part is full, and the next one begins. */
import type { ConsumerRecord } from '../../../core/index.ts';

/** The limits of a part; whichever is reached first ends it. */
export interface RollPolicy {
  readonly partBytes: number;
  readonly partRecords: number;
  /** How old a part gets, and how long it may wait for a record; by the clock. */
  readonly partMs: number;
  readonly partIdleMs: number;
  /** Periods of event time, from 1970 on: a part holds one of them. */
  readonly partEventMs: number;
  readonly partBy: ((record: ConsumerRecord) => string | number | null) | undefined;
}

/** What a policy looks at. */
export interface PartState {
  readonly records: number;
  readonly maxTimestampMs: number;
  /** What `partBy` gave for its records. */
  readonly by: string | undefined;
  /** When it was begun, and when the last record came; by the clock. */
  readonly openedMs: number;
  readonly usedMs: number;
}

/** What `partBy` says of a record; undefined without it. */
export function byOf({ partBy }: RollPolicy, record: ConsumerRecord): string | undefined {
  return partBy === undefined ? undefined : String(partBy(record));
}

/**
 * True if the record belongs in the next part. That depends on nothing but the records before it,
 * so a part holds the same records wherever commits and crashes come.
 */
export function isFull(
  policy: RollPolicy,
  part: PartState & { readonly sizeBytes: number },
  timestampMs: number,
  by: string | undefined,
): boolean {
  if (part.records === 0) return false;
  if (part.sizeBytes >= policy.partBytes || part.records >= policy.partRecords) return true;
  if (by !== part.by) return true;
  const { partEventMs } = policy;
  if (partEventMs === Infinity) return false;
  // A record of an earlier period is late: it stays with those that came with it.
  return Math.floor(timestampMs / partEventMs) > Math.floor(part.maxTimestampMs / partEventMs);
}

/** When a part is to be ended, record or not; `Infinity` for never. */
export function dueMs(policy: RollPolicy, { records, openedMs, usedMs }: PartState): number {
  if (records === 0) return Infinity;
  return Math.min(openedMs + policy.partMs, usedMs + policy.partIdleMs);
}
