import { readSegment } from './log-reader.ts';
import type { ReadPositions } from './read-positions.ts';
import type { Segment } from './segment.ts';
import {
  abortedWithin,
  type AbortedDigest,
  type AbortedTransaction,
  type KnownAborted,
} from './transaction-index.ts';

/** The result of a fetch. */
export interface LogRead {
  /** Whole batches; the first may begin before the requested offset. */
  readonly bytes: Buffer;
  readonly nextOffset: number;
}

/**
 * The index in `segments` of the one that holds `offset`, or that follows a gap around it; 0 for an
 * offset before all.
 */
export function segmentIndexOf(segments: readonly Segment[], offset: number): number {
  let [low, high] = [0, segments.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (segments[middle]!.baseOffset <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Reads from the batch that holds `offset`, or, in a gap, from the next one. */
export async function readSegments(
  segments: readonly Segment[],
  positions: ReadPositions,
  request: { readonly offset: number; readonly endOffset: number; readonly maxBytes: number },
): Promise<LogRead> {
  const { offset, endOffset } = request;
  for (let index = segmentIndexOf(segments, offset); index < segments.length; index++) {
    if (offset >= endOffset) break;
    const segment = segments[index]!;
    const start = positions.find(segment, offset) ?? segment.indexes.offsets.lookup(offset);
    const { bytes, nextOffset, nextPosition } = await readSegment(segment, {
      ...request,
      ...start,
    });
    if (bytes.length === 0) continue;
    positions.note(segment, nextOffset, nextPosition);
    return { bytes, nextOffset };
  }
  return { bytes: EMPTY, nextOffset: offset };
}

/** True if `some` are consecutive in `segments`. */
export function isRunOf(segments: readonly Segment[], some: readonly Segment[]): boolean {
  const first = segments.indexOf(some[0]!);
  return first >= 0 && some.every((segment, index) => segments[first + index] === segment);
}

/** The list with one segment instead of some; a new list, because running reads use the old one. */
export function withInstead(
  segments: readonly Segment[],
  old: readonly Segment[],
  replacement: Segment,
): Segment[] {
  return segments.toSpliced(segments.indexOf(old[0]!), old.length, replacement);
}

/** The aborted transactions with data in [from, upTo), for readers of committed data. */
export function abortedIn(
  segments: readonly Segment[],
  from: number,
  upTo: number,
): AbortedTransaction[] {
  return abortedWithin(segments.slice(segmentIndexOf(segments, from)), from, upTo);
}

/** Digests against which recovery checks the `.txnindex` files, up to `upTo`. */
export function knownAborted(segments: readonly Segment[], upTo: number): KnownAborted {
  const known = new Map<number, AbortedDigest>();
  for (const segment of segments) {
    const digest = segment.abortedDigest(upTo);
    if (digest !== undefined) known.set(segment.baseOffset, digest);
  }
  return { upTo, segments: known };
}

/**
 * Writes the index entries that are only in memory. Durable once the directory is synced.
 *
 * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR: call again.
 */
export async function flushAll(segments: readonly Segment[]): Promise<void> {
  for (const segment of segments) if (segment.hasUnflushedIndexes) await segment.flushIndexes();
}

/** A failure to close loses nothing: everything that must be durable was synced. */
export async function closeAll(segments: readonly Segment[]): Promise<void> {
  await Promise.allSettled(segments.map((segment) => segment.close()));
}

const EMPTY = Buffer.alloc(0);
