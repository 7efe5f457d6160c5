import type { LogErrorData } from '../errors.ts';

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** The key of a partition in a checkpoint, and its name in messages. */
export function partitionKey(topic: string, partition: number): string {
  return `${topic}-${partition}`;
}

/** What became of one partition of a request. */
export interface PartitionError extends TopicPartition {
  readonly error?: LogErrorData;
}
