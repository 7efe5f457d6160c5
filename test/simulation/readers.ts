import {
  cooperativeStickyAssignor,
  rangeAssignor,
  type Consumer,
  type ConsumerRecord,
  type TopicPartition,
} from '../../core/index.ts';
import { sleep } from '../../core/internal.ts';
import type { GroupModel } from './models.ts';
import { CODECS_OF_PRODUCERS, outcomeOf, type Isolation } from './notes.ts';
import { copies, events } from './topics.ts';
import { below, pick, type Stage } from './world.ts';

type Next = { readonly topic: string; readonly partition: number; readonly offset: number };

/** The offsets after the last records of each partition, in the order of the records. */
function nextOffsets(records: readonly ConsumerRecord[]): Next[] {
  const next = new Map<string, Next>();
  for (const { topic, partition, offset } of records) {
    next.set(keyOf({ topic, partition }), { topic, partition, offset: offset + 1 });
  }
  return [...next.values()];
}

const GROUPS: readonly { readonly groupId: string; readonly isolation: Isolation }[] = [
  { groupId: 'readers', isolation: 'read_committed' },
  { groupId: 'dirty readers', isolation: 'read_uncommitted' },
];

/** Numbers of records per poll; the last is for a reader that has to reach the end. */
const AT_ONCE = [
  { maxPollRecords: 3, maxPartitionFetchBytes: 300 },
  { maxPollRecords: 20, maxPartitionFetchBytes: 100_000 },
  { maxPollRecords: 500, maxPartitionFetchBytes: 100_000 },
];

function member(
  stage: Stage,
  groupId: string,
  isolationLevel: Isolation,
  atOnce = pick(stage.random, AT_ONCE),
): Consumer {
  const { world, life, name, random } = stage;
  const consumer = life.log.consumer({
    groupId,
    isolationLevel,
    enableAutoCommit: false,
    fetchMaxWaitMs: 50,
    heartbeatIntervalMs: 1000,
    sessionTimeoutMs: 10_000,
    maxPollIntervalMs: 10_000,
    ...atOnce,
    metadataMaxAgeMs: 1000,
    // All members of a group must have one in common.
    partitionAssignmentStrategy: pick(random, [
      [rangeAssignor],
      [cooperativeStickyAssignor, rangeAssignor],
    ]),
  });
  const moved = (): void => world.notes.repositioned(name);
  return consumer.subscribe([events], { onAssigned: moved, onRevoked: moved, onLost: moved });
}

/** Reads `events` as a member of a group, and commits from time to time. */
export async function readInGroup(stage: Stage): Promise<void> {
  const { world, life, name, random, isDone } = stage;
  const { groupId, isolation } = pick(random, GROUPS);
  const model = world.models.group(groupId);
  const consumer = member(stage, groupId, isolation);
  while (!isDone()) {
    const records = await consumer.poll({ maxWaitMs: 100 });
    if (life.isOver()) return;
    const operation = world.notes.begin(name, life.isOver, { isolation });
    for (const { topic, partition, offset, value } of records) {
      operation.polled({ topic, partition, offset, value: String(value) });
      model.handed.add(String(value));
    }
    operation.end('ok');
    if (below(random, 3) === 0) await commit(stage, consumer, model);
    await sleep(life.clock, below(random, 50));
  }
  if (random.next() < 0.7) await consumer.close();
}

/** Commits the consumer's positions, and notes them and what was acknowledged. */
async function commit({ life }: Stage, consumer: Consumer, model: GroupModel): Promise<void> {
  const places = consumer.assignment;
  for (const place of places) model.committing(keyOf(place), consumer.position(place) ?? -1);
  await consumer.commit();
  const committed = await consumer.committed(places);
  if (life.isOver()) return;
  for (const [key, { offset }] of committed) model.committed(key, offset);
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}

const COPIERS = 2;
/** This long without a record means the end: members of earlier lives have timed out. */
const DRAINED_AFTER_MS = 60_000;

/**
 * Copies `events` to `copies`, each record exactly once: output and input offsets in a transaction.
 * Transactions that it leaves open, or that run while another copier has taken its transactional
 * id, must not count. One that may not fail copies all records and returns.
 */
export async function copy(stage: Stage, mayFail = true): Promise<void> {
  const { world, life, name, random, isDone } = stage;
  const consumer = member(stage, 'copiers', 'read_committed', mayFail ? undefined : AT_ONCE.at(-1));
  const producer = life.log.producer({
    transactionalId: `copier ${below(random, COPIERS)}`,
    transactionTimeoutMs: 15_000,
    compressionType: pick(random, CODECS_OF_PRODUCERS),
    lingerMs: pick(random, [0, 5]),
    metadataMaxAgeMs: 1000,
  });
  const maxWaitMs = mayFail ? 100 : DRAINED_AFTER_MS;
  while (!isDone()) {
    const records = await consumer.poll({ maxWaitMs });
    if (life.isOver()) return;
    if (records.length === 0 && !mayFail) break;
    if (records.length === 0) continue;
    const operation = world.notes.begin(name, life.isOver, { isTransaction: true });
    const transaction = await producer.beginTransaction();
    for (const { topic, partition, offset, value: read } of records) {
      const value = String(read);
      operation.polled({ topic, partition, offset, value });
      const copied = `copy of ${value}`;
      operation.sent({ topic: copies.name, partition: 0, value: copied });
      transaction.send(copies, { value: copied, partition: 0 });
    }
    if (mayFail && below(random, 20) === 0) {
      await producer.flush();
      return; // like a hung copier: its successor fences it, or its timeout ends it
    }
    const offsets = nextOffsets(records).map((next) => ({ ...next, metadata: '' }));
    if (mayFail && below(random, 10) === 0) {
      operation.end('failed');
      await transaction.abort();
      return; // its position is past the records that were not copied
    }
    await transaction.sendOffsets(offsets, consumer.groupMetadata());
    operation.committing();
    try {
      await transaction.commit();
    } catch (error) {
      operation.end(transaction.status === 'aborted' ? 'failed' : outcomeOf(error));
      throw error;
    }
    operation.end('ok');
    await sleep(life.clock, below(random, 20));
  }
  if (random.next() < 0.7) await consumer.close();
  await producer.close();
}
