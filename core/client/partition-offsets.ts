import { throwFirst } from '../protocol/answer-errors.ts';
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
