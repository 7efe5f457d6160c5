import { epochAt } from '../log/leader-epochs.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import { NO_TIMESTAMP } from '../record/batch.ts';
import { foundOf } from '../protocol/answer-errors.ts';
import type {
  IsolationLevel,
  ListOffsetsRequest,
  ListOffsetsResponse,
  OffsetSpec,
} from '../protocol/broker-api.ts';
import { ledPartition } from './leadership.ts';
import type { Topics } from './topics.ts';

const NONE = { offset: -1, timestampMs: NO_TIMESTAMP, leaderEpoch: -1 };

/** Answers which offsets the partitions of a request have at its specs. */
export async function listOffsets(
  topics: Topics,
  { isolationLevel, partitions }: ListOffsetsRequest,
): Promise<ListOffsetsResponse> {
  const lookups = partitions.map((wanted) => {
    const { topic, partition } = wanted;
    return foundOf({ topic, partition }, NONE, async () => {
      const { log } = ledPartition(topics, wanted);
      const found = await lookUp(log, wanted.spec, isolationLevel);
      if (found === undefined) return NONE;
      return { ...found, leaderEpoch: epochAt(log.leaderEpochs, found.offset) ?? -1 };
    });
  });
  return { partitions: await Promise.all(lookups) };
}

async function lookUp(
  log: PartitionLog,
  spec: OffsetSpec,
  isolationLevel: IsolationLevel,
): Promise<{ readonly offset: number; readonly timestampMs: number } | undefined> {
  const end = isolationLevel === 'read_committed' ? log.lastStableOffset : log.highWatermark;
  if (spec === 'earliest') return { offset: log.logStartOffset, timestampMs: NO_TIMESTAMP };
  if (spec === 'latest') return { offset: end, timestampMs: NO_TIMESTAMP };
  const isMax = spec === 'max_timestamp';
  const found = await (isMax ? log.findMaxTimestamp() : log.findTimestamp(spec.timestampMs));
  return found === undefined || found.offset >= end ? undefined : found;
}
