import { int64, string, topic, type Topic } from '../../core/index.ts';

const serdes = { key: string(), value: string() };
/** Small segments, so that all of it is rolled, indexed, compacted and removed all the time. */
const small = { segmentBytes: 2048, indexIntervalBytes: 256, fileDeleteDelayMs: 1000 };

/** Written to with and without transactions, read by groups, copied. It gets more partitions. */
export const events = topic('events', { ...serdes, config: small });
/** The copies, exactly one of each record that is read_committed. */
export const copies = topic('copies', { ...serdes, config: small });
/** Written to with acks 1 mostly: what a kill leaves and a power cut may take. */
export const fast = topic('fast', { ...serdes, partitions: 1, config: small });

export const DELETE_RETENTION_MS = 60_000;
/** Compacted: key to a number that only rises. */
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
/** What is old goes. */
export const aging = topic('aging', {
  ...serdes,
  partitions: 1,
  config: { ...small, retentionMs: RETENTION_MS },
});
/** What is too much goes. */
export const bounded = topic('bounded', {
  ...serdes,
  partitions: 1,
  config: { ...small, retentionBytes: RETENTION_BYTES },
});

/** One of the topics that come and go. */
export function passing(name: string): Topic<string, string> {
  return topic(name, { ...serdes, config: small });
}
