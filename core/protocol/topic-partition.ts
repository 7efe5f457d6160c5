import type { LogErrorData } from '../errors.ts';

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** The key of a partition in a checkpoint, and its name in messages. */
export function partitionKey(topic: string, partition: number): string {
  return `${topic}-${partition}`;
}

/** A partition, and who leads it as far as the client knows. */
export interface LedPartition extends TopicPartition {
  /** Another epoch than the broker's is FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH (KIP-320). */
  readonly currentLeaderEpoch?: number;
}

/** What became of one partition of a request. */
export interface PartitionError extends TopicPartition {
  readonly error?: LogErrorData;
}
