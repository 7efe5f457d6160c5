import type { LogConfig } from './log-config.ts';
import type { Segment } from './segment/segment.ts';

/** The inputs of the retention decision. */
export interface RetentionLimits {
  readonly config: Pick<LogConfig, 'retentionBytes' | 'retentionMs'>;
  readonly nowMs: number;
  /** Segments that end above it stay. */
  readonly highWatermark: number;
}

/**
 * The first offset that retention keeps, or undefined if it keeps everything. Removes segments from
 * the oldest on, while the log without one is still at least `retentionBytes` large, or the
 * segment's newest record is older than `retentionMs`.
 */
export function retainedFrom(
  segments: readonly Segment[],
  { config, nowMs, highWatermark }: RetentionLimits,
): number | undefined {
  const { retentionBytes, retentionMs } = config;
  const sizeBytes = segments.reduce((sum, { writtenBytes }) => sum + writtenBytes, 0);
  let excess = retentionBytes < 0 ? 0 : sizeBytes - retentionBytes;
  let keepFrom: number | undefined;
  for (const segment of segments) {
    if (segment.nextOffset > highWatermark || segment.writtenBytes === 0) break;
    const isTooLarge = retentionBytes >= 0 && excess - segment.writtenBytes >= 0;
    const isTooOld = retentionMs >= 0 && nowMs - segment.maxTimestampMs > retentionMs;
    if (!isTooLarge && !isTooOld) break;
    excess -= segment.writtenBytes;
    keepFrom = segment.nextOffset;
  }
  return keepFrom;
}
