import {
  bytes,
  LogError,
  topic as handleOf,
  type CommittedOffset,
  type Log,
  type ProducerRecord,
  type TopicMetadata,
} from '../../core/index.ts';
import { commitOffsets, offsetsOf } from '../../core/internal.ts';
import type { GroupOffsetAt } from './last-run.ts';
import { decodeOffsetMetadata, encodeOffsetMetadata, isOffsetMetadata } from './offset-metadata.ts';
import { MESSAGE_BYTES_MAX } from './topics.ts';

/** Deletes those of the topics that exist. Durable when it resolves. */
export async function deleteTopics(log: Log, topics: readonly string[]): Promise<void> {
  const existing = new Set(await log.admin().listTopics());
  const found = topics.filter((topic) => existing.has(topic));
  if (found.length > 0) await log.admin().deleteTopics(found);
}

/** True if a topic exists and has records, or the ends of transactions. */
export async function hasRecords(log: Log, topic: string): Promise<boolean> {
  const found = await metadataOf(log, topic);
  if (found === undefined) return false;
  const partitions = await log.admin().offsets(topic);
  return partitions.some(({ earliest, latest }) => latest > earliest);
}

/**
 * Creates `to` with the partitions and settings of `from`, and copies all committed records, each
 * into the partition with the same number. Durable when it resolves. Does nothing if there is no
 * `from`: then the store never had anything.
 */
export async function copyTopic(log: Log, from: string, to: string): Promise<void> {
  const source = await metadataOf(log, from);
  if (source === undefined) return;
  const { partitions, config } = source;
  await log.admin().createTopic(to, { partitions, config });
  await using producer = log.producer({ maxRequestSize: MESSAGE_BYTES_MAX });
  for (let partition = 0; partition < partitions; partition++) {
    await producer.sendAll(handleOf(to, RAW), committedRecords(log, from, partition));
  }
}

/** The committed records of a partition that are there now. */
async function* committedRecords(
  log: Log,
  topic: string,
  partition: number,
): AsyncGenerator<ProducerRecord<Uint8Array, Uint8Array>> {
  const { earliest, latest } = await offsetsOf(log, topic, partition);
  if (earliest >= latest) return;
  await using consumer = log.consumer({ isolationLevel: 'read_committed' });
  const place = { topic: handleOf(topic, RAW), partition, offset: earliest };
  const assigned = await consumer.assign([place]);
  while ((assigned.position({ topic, partition }) ?? latest) < latest) {
    for (const { key, value, timestampMs, headers } of await assigned.poll({ maxWaitMs: 100 })) {
      yield { key, value, timestampMs, headers, partition };
    }
  }
}

const RAW = { key: bytes(), value: bytes() };

/**
 * Gives the times that nodes have reached to those that take over from them, in what the
 * application has committed: their windows that have closed stay closed. The old ones stay, too,
 * for a start of the old topology.
 */
export async function renameTimes(
  log: Log,
  groupId: string,
  renamed: readonly (readonly [from: string, to: string])[],
): Promise<void> {
  if (renamed.length === 0) return;
  const changed: CommittedOffset[] = [];
  for (const committed of await committedOf(log, groupId)) {
    const { metadata = '' } = committed;
    const times = isOffsetMetadata(metadata) ? decodeOffsetMetadata(groupId, metadata) : undefined;
    if (times === undefined) continue;
    const operators = new Map(times.operators);
    for (const [from, to] of renamed) {
      const timeMs = times.operators.get(from);
      if (timeMs !== undefined) operators.set(to, timeMs);
    }
    const rewritten = encodeOffsetMetadata({ ...times, operators });
    if (rewritten !== metadata) changed.push({ ...committed, metadata: rewritten });
  }
  await commitOffsets(log, groupId, changed);
}

/** Gives up the records of a repartition topic that are not processed; times stay. */
export async function skipUnread(log: Log, groupId: string, topic: string): Promise<void> {
  const skipped: CommittedOffset[] = [];
  for (const committed of await committedOf(log, groupId)) {
    if (committed.topic !== topic) continue;
    const { latest } = await offsetsOf(log, topic, committed.partition);
    skipped.push({ ...committed, offset: latest });
  }
  await commitOffsets(log, groupId, skipped);
}

/**
 * Makes this all that the application has committed, without times: it decides what is late from
 * the beginning. Again after a crash, and then without topics that were deleted meanwhile.
 */
export async function replaceOffsets(
  log: Log,
  groupId: string,
  offsets: readonly GroupOffsetAt[],
): Promise<void> {
  try {
    await log.admin().deleteGroups([groupId]);
  } catch (error) {
    if (!LogError.is(error, 'GROUP_ID_NOT_FOUND')) throw error; // it has committed nothing
  }
  const existing = new Set(await log.admin().listTopics());
  await commitOffsets(
    log,
    groupId,
    offsets.filter(({ topic }) => existing.has(topic)),
  );
}

/** What the application has committed for topics that exist. */
async function committedOf(log: Log, groupId: string): Promise<CommittedOffset[]> {
  const existing = new Set(await log.admin().listTopics());
  const { offsets } = await log.api.offsetFetch({ groupId, requireStable: true });
  return offsets.flatMap(({ error, ...committed }) => {
    if (error !== undefined) throw LogError.fromData(error);
    return committed.offset >= 0 && existing.has(committed.topic) ? [committed] : [];
  });
}

async function metadataOf(log: Log, topic: string): Promise<TopicMetadata | undefined> {
  const [found] = (await log.api.metadata({ topics: [topic] })).topics;
  return found === undefined || found.error !== undefined ? undefined : found;
}
