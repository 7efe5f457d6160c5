import { LogError } from '../errors.ts';
import { endOfEpoch, newestEpoch, withinLog } from '../log/leader-epochs.ts';
import { foundOf } from '../protocol/answer-errors.ts';
import type {
  OffsetForLeaderEpochRequest,
  OffsetForLeaderEpochResponse,
} from '../protocol/record-requests.ts';
import type { LedPartition } from '../protocol/topic-partition.ts';
import type { Partition } from './partitions.ts';
import type { Topics } from './topics.ts';

/**
 * The partition of a request, if its client knows who leads it (Kafka: `Partition.getLocalLog`).
 * Here no epoch begins while the broker is open, but clients outlive brokers, and may have seen the
 * same partition elsewhere.
 *
 * @throws LogError UNKNOWN_TOPIC_OR_PARTITION
 * @throws LogError FENCED_LEADER_EPOCH when the client's epoch is over, UNKNOWN_LEADER_EPOCH when
 *   this broker has not heard of it.
 */
export function ledPartition(topics: Topics, wanted: LedPartition): Partition {
  const found = topics.partition(wanted);
  const { topic, partition, currentLeaderEpoch: epoch = -1 } = wanted;
  const currentEpoch = newestEpoch(found.log);
  if (epoch < 0 || epoch === currentEpoch) return found;
  const isOver = epoch < currentEpoch;
  const message =
    `the leader of ${topic}-${partition} is at epoch ${currentEpoch}, the client at ${epoch}: ` +
    (isOver ? 'refresh the metadata' : 'this broker has not heard of that one');
  const code = isOver ? 'FENCED_LEADER_EPOCH' : 'UNKNOWN_LEADER_EPOCH';
  throw new LogError(code, message, { topic, partition, epoch, currentEpoch });
}

const UNKNOWN = { leaderEpoch: -1, endOffset: -1 };

/** Answers where the records of leader epochs end. */
export async function offsetForLeaderEpoch(
  topics: Topics,
  request: OffsetForLeaderEpochRequest,
): Promise<OffsetForLeaderEpochResponse> {
  const partitions = request.partitions.map((wanted) => {
    const { topic, partition } = wanted;
    return foundOf({ topic, partition }, UNKNOWN, () => {
      const { leaderEpochs, logStartOffset, highWatermark } = ledPartition(topics, wanted).log;
      const epochs = withinLog(leaderEpochs, logStartOffset, highWatermark);
      const end = endOfEpoch(epochs, wanted.leaderEpoch, highWatermark);
      return end === undefined ? UNKNOWN : { leaderEpoch: end.epoch, endOffset: end.endOffset };
    });
  });
  return { partitions: await Promise.all(partitions) };
}
