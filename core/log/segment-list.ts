import { readSegment } from './log-reader.ts';
import type { ReadPositions } from './read-positions.ts';
import type { Segment } from './segment.ts';

/** What a fetch gets. */
export interface LogRead {
  /** Whole batches; the first may begin before the asked offset. */
  readonly bytes: Buffer;
  readonly nextOffset: number;
}

/**
 * The index in `segments` of the one that holds `offset`, or that follows a gap around it; 0 for an
 * offset before them.
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

/** Reads from the batch that holds `offset` on, which may stand behind a gap in a later segment. */
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

const EMPTY = Buffer.alloc(0);
