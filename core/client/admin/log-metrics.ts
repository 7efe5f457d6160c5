import { expositionText, type MetricFamily } from '../../exposition.ts';
import { LogError } from '../../errors.ts';
import type { TopicPartition } from '../../protocol/broker-api.ts';
import { throwFirst } from '../../protocol/answer-errors.ts';
import type { Log } from '../log.ts';

/**
 * Metrics of a log in the text format of Prometheus, version 0.0.4: the offsets and the size of
 * each partition, internal ones too, and the committed offset and the lag of each group. Those of
 * docs/METRICS.md that begin with `millrace_log_`. It asks the broker at each call: some requests,
 * and one for each group.
 *
 * @example
 * http.createServer(async (request, response) => {
 *   response.end(await logPrometheusText(log));
 * });
 *
 * @throws LogError CLOSED
 */
export async function logPrometheusText(log: Log): Promise<string> {
  const groups = await groupSamples(log); // first: an end that is read later is no less
  const partitions = await partitionSamples(log);
  return expositionText([...partitions, ...groups]);
}

type Samples = MetricFamily['samples'][number][];

function gauge(name: string, help: string, samples: Samples): MetricFamily {
  return { name: `millrace_log_${name}`, type: 'gauge', help, samples };
}

async function partitionSamples(log: Log): Promise<MetricFamily[]> {
  const [directory] = await log.admin().describeLogDirs();
  const partitions = directory?.partitions ?? [];
  const listed = async (spec: 'earliest' | 'latest'): Promise<Samples> => {
    const request = partitions.map(({ topic, partition }) => ({ topic, partition, spec }));
    const answer = await log.api.listOffsets({
      isolationLevel: 'read_uncommitted',
      partitions: request,
    });
    // A topic that was deleted meanwhile has none any more.
    const found = answer.partitions.filter(({ error }) => !isGone(error));
    throwFirst(found);
    return found.map((each) => [labelsOf(each), each.offset]);
  };
  const [earliest, latest] = await Promise.all([listed('earliest'), listed('latest')]);
  return [
    gauge('start_offset', 'The first offset of a partition that can be read.', earliest),
    gauge('end_offset', 'The offset that the next record of a partition gets.', latest),
    gauge(
      'size_bytes',
      'What the segments of a partition take on the disk, without their indexes.',
      partitions.map((each) => [labelsOf(each), each.sizeBytes]),
    ),
  ];
}

async function groupSamples(log: Log): Promise<MetricFamily[]> {
  const admin = log.admin();
  const [offsets, lags]: [Samples, Samples] = [[], []];
  for (const { groupId } of await admin.listGroups()) {
    for (const { offset, lag, ...place } of await offsetsOf(log, groupId)) {
      const labels = { group_id: groupId, ...labelsOf(place) };
      offsets.push([labels, offset]);
      lags.push([labels, lag]);
    }
  }
  return [
    gauge('group_offset', 'The next offset that a group will read, as it was committed.', offsets),
    gauge('group_lag', 'Offsets between that and the end: records, markers and gaps.', lags),
  ];
}

/** None of a group that was deleted meanwhile. */
async function offsetsOf(log: Log, groupId: string) {
  try {
    return await log.admin().listGroupOffsets(groupId);
  } catch (error) {
    if (LogError.is(error, 'GROUP_ID_NOT_FOUND')) return [];
    throw error;
  }
}

function labelsOf({ topic, partition }: TopicPartition): { topic: string; partition: string } {
  return { topic, partition: String(partition) };
}

function isGone(error: { readonly code: string } | undefined): boolean {
  return error?.code === 'UNKNOWN_TOPIC_OR_PARTITION';
}
