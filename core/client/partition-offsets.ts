import { throwFirst } from '../protocol/answer-errors.ts';
import type { TopicPartition } from '../protocol/topic-partition.ts';
import type { Log } from './log.ts';

/**
 * The start and end of a partition for readers of committed data.
 *
 * @throws LogError UNKNOWN_TOPIC_OR_PARTITION
 */
export async function offsetsOf(
  log: Log,
  topic: string,
  partition: number,
): Promise<{ readonly earliest: number; readonly latest: number }> {
  const { partitions } = await log.api.listOffsets({
    isolationLevel: 'read_committed',
    partitions: [
      { topic, partition, spec: 'earliest' },
      { topic, partition, spec: 'latest' },
    ],
  });
  throwFirst(partitions);
  return { earliest: partitions[0]?.offset ?? 0, latest: partitions[1]?.offset ?? 0 };
}

/** The **next** record to read of a partition, with what its reader keeps beside it. */
interface Position extends TopicPartition {
  readonly offset: number;
  /** Default: nothing. */
  readonly metadata?: string;
}

/**
 * Commits offsets for a group that has no members, durably, outside of a transaction.
 *
 * @throws LogError UNKNOWN_MEMBER_ID if it has members; what else the broker answers.
 */
export async function commitOffsets(
  log: Log,
  groupId: string,
  positions: readonly Position[],
): Promise<void> {
  if (positions.length === 0) return;
  const offsets = positions.map((position) => ({ metadata: '', ...position }));
  const member = { groupId, memberId: '', generation: -1 };
  throwFirst((await log.api.offsetCommit({ ...member, offsets })).results);
}
