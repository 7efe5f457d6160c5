import type { Codec } from '../record/batch.ts';
import { COMPRESSION_LEVELS, type CompressionLevels } from '../record/compression.ts';

/**
 * The settings of one topic, in Kafka's names (camelCase) and meaning. Sizes in bytes, times in
 * milliseconds, -1 for "no limit" where the comment says so.
 */
export interface LogConfig extends CompressionLevels {
  /** `delete` (default) removes old segments, `compact` keeps the newest record of each key. */
  readonly cleanupPolicy: CleanupPolicy;
  /** The codec that batches are stored in, or `producer` (default): they stay as they came. */
  readonly compressionType: Codec | 'producer';
  /** How long compaction keeps tombstones and transaction markers; default 1 day. */
  readonly deleteRetentionMs: number;
  /** How long a removed segment stays on disk as `.deleted`; default 1 min. */
  readonly fileDeleteDelayMs: number;
  /** Bytes of batches between two entries of the offset index; default 4 KiB. */
  readonly indexIntervalBytes: number;
  /** The largest batch, after compression; default 1,048,588. */
  readonly maxMessageBytes: number;
  /** A record waits no longer than this for compaction. Default: no limit. */
  readonly maxCompactionLagMs: number;
  /** How far ahead of the broker's clock a record may be stamped; default 1 h. */
  readonly messageTimestampAfterMaxMs: number;
  /** How far behind the broker's clock a record may be stamped. Default: no limit. */
  readonly messageTimestampBeforeMaxMs: number;
  /** Whose timestamp a record has: the producer's, `CreateTime` (default), or the broker's. */
  readonly messageTimestampType: 'CreateTime' | 'LogAppendTime';
  /** The share of a log that must be new before the next compaction; default 0.5. */
  readonly minCleanableDirtyRatio: number;
  /** The least age of a record before compaction may remove it; default 0. */
  readonly minCompactionLagMs: number;
  /** The oldest segments are removed while the log is larger; default -1, no limit. */
  readonly retentionBytes: number;
  /**
   * Segments are removed once their newest record is older. Default -1, no limit. Kafka: 7 days;
   * here the log is often the only copy, and history loaded into it would be gone within minutes.
   */
  readonly retentionMs: number;
  /** The size at which a new segment begins; default 1 GiB. */
  readonly segmentBytes: number;
  /** The largest index of a segment, beyond which a new one begins; default 10 MiB. */
  readonly segmentIndexBytes: number;
  /** The age at which a new segment begins; default 7 days. */
  readonly segmentMs: number;
}

export type CleanupPolicy = 'delete' | 'compact' | 'compact,delete';

const SECOND_MS = 1000;
const HOUR_MS = 3600 * SECOND_MS;
const DAY_MS = 24 * HOUR_MS;
const MIB = 1024 * 1024;

/** Kafka's defaults (`org.apache.kafka.storage.internals.log.LogConfig`), but for `retentionMs`. */
export const LOG_CONFIG_DEFAULTS: LogConfig = {
  ...COMPRESSION_LEVELS,
  cleanupPolicy: 'delete',
  compressionType: 'producer',
  deleteRetentionMs: DAY_MS,
  fileDeleteDelayMs: 60 * SECOND_MS,
  indexIntervalBytes: 4096,
  maxMessageBytes: MIB + 12,
  maxCompactionLagMs: Number.MAX_SAFE_INTEGER,
  messageTimestampAfterMaxMs: HOUR_MS,
  messageTimestampBeforeMaxMs: Number.MAX_SAFE_INTEGER,
  messageTimestampType: 'CreateTime',
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  retentionBytes: -1,
  // Kafka: 7 days. Here the log is often the only copy, and users load history into it, which
  // Kafka's default would remove within minutes: nothing is deleted unless someone asked for it.
  retentionMs: -1,
  segmentBytes: 1024 * MIB,
  segmentIndexBytes: 10 * MIB,
  segmentMs: 7 * DAY_MS,
};

export function isCompacted(config: LogConfig): boolean {
  return config.cleanupPolicy !== 'delete';
}

export function isDeleted(config: LogConfig): boolean {
  return config.cleanupPolicy !== 'compact';
}
