import type { PartitionLog } from '../log/partition-log.ts';
import { NO_TIMESTAMP } from '../record/batch.ts';
import { foundOf } from '../protocol/answer-errors.ts';
import type {
  IsolationLevel,
  ListOffsetsRequest,
  ListOffsetsResponse,
  OffsetSpec,
} from '../protocol/broker-api.ts';
import type { Topics } from './topics.ts';

const NONE = { offset: -1, timestampMs: NO_TIMESTAMP };

/** Answers which offsets the partitions of a request have at its specs. */
export async function listOffsets(
  topics: Topics,
  { isolationLevel, partitions }: ListOffsetsRequest,
): Promise<ListOffsetsResponse> {
  const lookups = partitions.map(({ topic, partition, spec }) =>
    foundOf({ topic, partition }, NONE, () =>
      lookUp(topics.partition({ topic, partition }).log, spec, isolationLevel),
    ),
  );
  return { partitions: await Promise.all(lookups) };
}

async function lookUp(
  log: PartitionLog,
  spec: OffsetSpec,
  isolationLevel: IsolationLevel,
): Promise<{ readonly offset: number; readonly timestampMs: number }> {
  const end = isolationLevel === 'read_committed' ? log.lastStableOffset : log.highWatermark;
  if (spec === 'earliest') return { offset: log.logStartOffset, timestampMs: NO_TIMESTAMP };
  if (spec === 'latest') return { offset: end, timestampMs: NO_TIMESTAMP };
  const isMax = spec === 'max_timestamp';
  const found = await (isMax ? log.findMaxTimestamp() : log.findTimestamp(spec.timestampMs));
  return found === undefined || found.offset >= end ? NONE : found;
}
