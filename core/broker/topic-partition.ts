import type { LogErrorData } from '../errors.ts';

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** What became of one partition of a request. */
export interface PartitionError extends TopicPartition {
  readonly error?: LogErrorData;
}
