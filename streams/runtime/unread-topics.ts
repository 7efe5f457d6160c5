import { bytes, LogError, NULL_POSITION, type Log, type Logger } from '../../core/index.ts';
import { offsetsOf } from '../../core/internal.ts';
import type { Plan } from './plan.ts';
import { decodeTimeMarker } from './stream-time.ts';
import { isMadeInternal, isRepartitionTopic, topicHandle } from './topics.ts';
import { fieldsOf } from './log-fields.ts';

/** A partition, and how far the application has read it. */
interface Position {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** True if a topic that the application reads, or has read, has records for it to process. */
export async function unreadIn(log: Log, applicationId: string, topic: string): Promise<boolean> {
  const [found] = (await log.api.metadata({ topics: [topic] })).topics;
  if (found === undefined || found.error !== undefined) return false;
  return isUnread(log, applicationId, { name: topic, partitions: found.partitions });
}

/**
 * Warns of repartition topics that the application read once and no longer does, if there are
 * records for it in them [OP-TOPOLOGY-14]: its topology was changed before it had processed them.
 *
 * @param skipped topics that are known, and not to be warned of.
 */
export async function warnOfUnread(
  log: Log,
  plan: Plan,
  logger: Logger,
  skipped: ReadonlySet<string> = new Set(),
): Promise<void> {
  const { applicationId } = plan;
  for (const topic of await leftTopics(log, plan)) {
    if (skipped.has(topic.name)) continue;
    try {
      if (!(await isUnread(log, applicationId, topic))) continue;
      logger.warn(
        `${applicationId} no longer reads ${topic.name}, which has records that it has not ` +
          'processed; to process them, run the topology that made them once more, with finish()',
        { topic: topic.name },
      );
    } catch (error) {
      // The application does not need the topic, which may be damaged, or be deleted just now.
      const reason = error instanceof Error ? error.message : String(error);
      logger.warn(
        `${applicationId} no longer reads ${topic.name}, and whether that has records that it ` +
          `has not processed cannot be found out: ${reason}`,
        { topic: topic.name, ...fieldsOf(error) },
      );
    }
  }
}

async function isUnread(log: Log, groupId: string, topic: LeftTopic): Promise<boolean> {
  for (const position of await committedPositions(log, groupId, topic)) {
    if (await hasUnread(log, position)) return true;
  }
  return false;
}

interface LeftTopic {
  readonly name: string;
  readonly partitions: number;
}

/** The repartition topics that may have been those of the application. */
async function leftTopics(
  log: Log,
  { applicationId, repartitionTopics }: Plan,
): Promise<LeftTopic[]> {
  const read = repartitionTopics.map(({ topic }) => topic.name);
  const { topics } = await log.api.metadata({});
  return topics.flatMap((each) => {
    const { topic: name, partitions } = each;
    const isOwn = isRepartitionTopic(applicationId, name) && isMadeInternal(applicationId, each);
    return isOwn && !read.includes(name) ? [{ name, partitions }] : [];
  });
}

/** Those of another application, whose id begins alike, have no offsets of this one. */
async function committedPositions(
  log: Log,
  groupId: string,
  { name: topic, partitions: count }: LeftTopic,
): Promise<Position[]> {
  const partitions = Array.from({ length: count }, (_, partition) => ({ topic, partition }));
  const { offsets } = await log.api.offsetFetch({ groupId, partitions, requireStable: false });
  return offsets.flatMap(({ partition, offset, error }) => {
    if (error !== undefined) throw LogError.fromData(error);
    return offset >= 0 ? [{ topic, partition, offset }] : [];
  });
}

/** True if anything but markers of time is behind the position. */
async function hasUnread(log: Log, { topic: name, partition, offset }: Position): Promise<boolean> {
  const { earliest, latest } = await offsetsOf(log, name, partition);
  let position = Math.max(offset, earliest);
  if (position >= latest) return false;
  const serdes = { key: bytes(), value: bytes() };
  const topic = topicHandle({ name, ...serdes, partitions: undefined, config: {} });
  await using consumer = log.consumer({ isolationLevel: 'read_committed' });
  await consumer.assign([{ topic, partition, offset: position }]);
  while (position < latest) {
    for (const batch of await consumer.pollBatches({ maxWaitMs: 100 })) {
      while (batch.next()) {
        const { keyStart, headers } = batch.cursor;
        if (keyStart !== NULL_POSITION || decodeTimeMarker(headers) === undefined) return true;
      }
      position = batch.endOffset;
    }
  }
  return false;
}
