import type { LogConfig } from './log-config.ts';
import type { Segment } from './segment/segment.ts';

/** What decides how much of a log is old. */
export interface RetentionLimits {
  readonly config: Pick<LogConfig, 'retentionBytes' | 'retentionMs'>;
  readonly nowMs: number;
  /** Segments that reach above it stay. */
  readonly highWatermark: number;
}

/**
 * The offset from which on retention keeps everything, or undefined when it keeps all there is.
 * Segments go from the oldest on, while the log without one is still at least `retentionBytes`
 * large, or its newest record is older than `retentionMs`.
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
