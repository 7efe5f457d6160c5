import type { PartitionLog } from '../log/partition-log.ts';

/** How often the broker looks which partitions are due: none is more often. */
export const RETENTION_LOOK_MS = 10_000;
/** Kafka's `log.retention.check.interval.ms`. */
const CHECK_MS = 5 * 60 * 1000;
/** A part of `retentionMs`: what is kept for a minute must not wait for five. */
const PART_OF_RETENTION = 1 / 2;

/** When partitions are due for a look at what they need not keep. */
export class RetentionChecks {
  readonly #startMs: number;
  readonly #lastMs = new WeakMap<PartitionLog, number>();

  /** @param nowMs monotonic time, as in all calls. */
  constructor(nowMs: number) {
    this.#startMs = nowMs;
  }

  /** True if it is time; the next time is counted from now. */
  isDue(log: PartitionLog, nowMs: number): boolean {
    const { retentionMs } = log.config;
    const wantedMs = retentionMs < 0 ? CHECK_MS : retentionMs * PART_OF_RETENTION;
    const intervalMs = Math.min(CHECK_MS, Math.max(RETENTION_LOOK_MS, wantedMs));
    if (nowMs - (this.#lastMs.get(log) ?? this.#startMs) < intervalMs) return false;
    this.#lastMs.set(log, nowMs);
    return true;
  }
}
