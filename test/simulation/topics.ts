import { int64, string, topic, type Topic } from '../../core/index.ts';

const serdes = { key: string(), value: string() };
/** Small segments, so that they are constantly rolled, indexed, compacted and removed. */
const small = { segmentBytes: 2048, indexIntervalBytes: 256, fileDeleteDelayMs: 1000 };

/** Written to with and without transactions, read by groups, copied. It gets more partitions. */
export const events = topic('events', { ...serdes, config: small });
/** The copies, exactly one of each committed record. */
export const copies = topic('copies', { ...serdes, config: small });
/** Written mostly with acks 1: a kill keeps the records, a power cut may lose them. */
export const fast = topic('fast', { ...serdes, partitions: 1, config: small });

export const DELETE_RETENTION_MS = 60_000;
/** Compacted: key to a number that only increases. */
export const table = topic('table', {
  key: string(),
  value: int64(),
  partitions: 2,
  config: {
    ...small,
    cleanupPolicy: 'compact',
    deleteRetentionMs: DELETE_RETENTION_MS,
    minCleanableDirtyRatio: 0.01,
  },
});

export const RETENTION_MS = 4 * 60_000;
export const RETENTION_BYTES = 6 * 1024;
/** Old records are deleted. */
export const aging = topic('aging', {
  ...serdes,
  partitions: 1,
  config: { ...small, retentionMs: RETENTION_MS },
});
/** Records beyond a size are deleted. */
export const bounded = topic('bounded', {
  ...serdes,
  partitions: 1,
  config: { ...small, retentionBytes: RETENTION_BYTES },
});

/** One of the topics that come and go. */
export function passing(name: string): Topic<string, string> {
  return topic(name, { ...serdes, config: small });
}
