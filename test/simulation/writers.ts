import { CODECS_OF_PRODUCERS, outcomeOf, type Noted } from './notes.ts';
import type { Producer, ProducerOptions, Topic, Transaction } from '../../core/index.ts';
import { sleep } from '../../core/internal.ts';
import type { OpenOperation } from '../../core/testing/index.ts';
import type { KeyWrite, WindowModel } from './models.ts';
import { aging, bounded, events, fast, table } from './topics.ts';
import { below, pick, type Stage } from './world.ts';

/** Runs several sends at once; throws the first failure after all have ended. */
async function all(sends: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(sends)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
}

function producerOf({ life, random }: Stage, options: ProducerOptions = {}): Producer {
  return life.log.producer({
    compressionType: pick(random, CODECS_OF_PRODUCERS),
    lingerMs: pick(random, [0, 0, 5]),
    batchSize: pick(random, [128, 16_384]),
    metadataMaxAgeMs: 1000,
    ...options,
  });
}

/** Closes a producer, or leaves it open. */
async function leave({ random }: Stage, producer: Producer): Promise<void> {
  if (random.next() < 0.7) await producer.close();
}

function pause({ life, random }: Stage, limitMs = 40): Promise<void> {
  return sleep(life.clock, below(random, limitMs));
}

/**
 * Sends to `events`. A record that is acknowledged with acks all stays, exactly once; with acks 1
 * it may be lost, unless a group has read it, whose commit makes it durable.
 */
export async function writeEvents(stage: Stage): Promise<void> {
  const { world, life, name, random, isDone } = stage;
  const acks = random.next() < 0.7 ? 'all' : 1;
  const producer = producerOf(stage, { acks });
  while (!isDone()) {
    const sends = Array.from({ length: 1 + below(random, 8) }, async () => {
      const partition = below(random, world.models.eventPartitions);
      const record: Noted = { topic: events.name, partition, value: world.newValue(name) };
      const operation = world.notes.begin(name, life.isOver);
      operation.sent(record);
      try {
        const { offset } = await producer.send(events, { value: record.value, partition });
        if (life.isOver() || acks === 1) return;
        record.offset = offset;
        operation.end('ok');
      } catch (error) {
        operation.end(outcomeOf(error));
        throw error;
      }
    });
    await all(sends);
    await pause(stage);
  }
  await leave(stage, producer);
}

/** Ends a transaction, mostly by a commit, and notes the outcome. */
async function end(
  { random, life }: Stage,
  transaction: Transaction,
  operation: OpenOperation,
): Promise<'ok' | 'failed'> {
  if (random.next() < 0.25) {
    await sleep(life.clock, below(random, 20));
    // Without a commit it counts as aborted, whatever the outcome of the abort.
    operation.end('failed');
    await transaction.abort();
    return 'failed';
  }
  operation.committing();
  try {
    await transaction.commit();
  } catch (error) {
    operation.end(transaction.status === 'aborted' ? 'failed' : outcomeOf(error));
    throw error;
  }
  operation.end('ok');
  return 'ok';
}

const WRITERS = 3;
const transactionTimeoutMs = 15_000;

/** Writes transactions over partitions of `events`; never ends some of them. */
export async function transact(stage: Stage): Promise<void> {
  const { world, life, name, random, isDone } = stage;
  const transactionalId = `writer ${below(random, WRITERS)}`;
  const producer = producerOf(stage, { transactionalId, transactionTimeoutMs });
  while (!isDone()) {
    const operation = world.notes.begin(name, life.isOver, { isTransaction: true });
    const transaction = await producer.beginTransaction();
    for (let left = 1 + below(random, 10); left > 0; left--) {
      const partition = below(random, world.models.eventPartitions);
      const value = world.newValue(name);
      operation.sent({ topic: events.name, partition, value });
      transaction.send(events, { value, partition });
      if (below(random, 5) === 0) await pause(stage, 10);
    }
    if (below(random, 12) === 0) {
      await producer.flush();
      await sleep(life.clock, 1000);
      return; // the next producer with this name ends it, or its timeout
    }
    await end(stage, transaction, operation);
    await pause(stage);
  }
  await leave(stage, producer);
}

/** Sends to `fast`, mostly with acks 1. */
export async function writeFast(stage: Stage): Promise<void> {
  const { world, life, name, random, isDone } = stage;
  const isDurable = random.next() < 0.2;
  const producer = producerOf(stage, { acks: isDurable ? 'all' : 1 });
  while (!isDone()) {
    const sends = Array.from({ length: 1 + below(random, 6) }, async () => {
      const value = world.newValue(name);
      world.models.fast.sending(value);
      const { offset } = await producer.send(fast, { value });
      if (!life.isOver()) world.models.fast.acknowledged(offset, value, isDurable);
    });
    await all(sends);
    await pause(stage, 80);
  }
  await leave(stage, producer);
}

const KEYS = 8;

/** Writes to the compacted `table`, under keys that nobody else writes. */
export async function writeTable(stage: Stage, isTransactional: boolean): Promise<void> {
  const { world, life, random, isDone } = stage;
  const owner = isTransactional ? 'transactional' : 'plain';
  const next = () => {
    const key = `${owner} ${below(random, KEYS)}`;
    const isTombstone = below(random, 4) === 0;
    const write = world.models.table.writing(key, isTombstone, life.clock.nowMs());
    return { key, write };
  };
  const producer = producerOf(
    stage,
    isTransactional ? { transactionalId: 'table', transactionTimeoutMs } : {},
  );
  while (!isDone()) {
    const writes = Array.from({ length: 1 + below(random, 5) }, next);
    await (isTransactional
      ? writeTogether(stage, producer, writes)
      : all(writes.map((each) => writeOne(stage, producer, each))));
    await pause(stage);
  }
  // No other client may write these keys before its last record has arrived or failed.
  await producer.close();
}

interface Keyed {
  readonly key: string;
  readonly write: KeyWrite;
}

async function writeOne({ life }: Stage, producer: Producer, { key, write }: Keyed): Promise<void> {
  try {
    await producer.send(table, { key, value: write.value });
    if (!life.isOver()) write.state = 'ok';
  } catch (error) {
    if (!life.isOver() && outcomeOf(error) === 'failed') write.state = 'failed';
    throw error;
  }
}

async function writeTogether(
  { random, life }: Stage,
  producer: Producer,
  writes: readonly Keyed[],
): Promise<void> {
  const settle = (state: KeyWrite['state']): void => {
    if (!life.isOver()) for (const { write } of writes) write.state = state;
  };
  const transaction = await producer.beginTransaction();
  for (const { key, write } of writes) transaction.send(table, { key, value: write.value });
  if (below(random, 4) === 0) {
    settle('failed');
    await transaction.abort();
    return;
  }
  try {
    await transaction.commit();
  } catch (error) {
    if (transaction.status === 'aborted' || outcomeOf(error) === 'failed') settle('failed');
    throw error;
  }
  settle('ok');
}

/** Sends to a topic whose start is deleted, and requests some deletions itself. */
async function writeWindow(
  stage: Stage,
  topic: Topic<string, string>,
  model: WindowModel,
): Promise<void> {
  const { world, life, name, random, isDone } = stage;
  const producer = producerOf(stage, { compressionType: 'none' });
  let newest = -1;
  while (!isDone()) {
    const timestampMs = life.clock.nowMs();
    const value = world.newValue(name);
    const { offset } = await producer.send(topic, { key: 'x'.repeat(150), value, timestampMs });
    if (life.isOver()) return;
    model.acknowledged(offset, value, timestampMs);
    newest = offset;
    if (below(random, 25) === 0) {
      const upTo = below(random, newest + 2);
      model.asking(upTo);
      await life.log.admin().deleteRecords([{ topic: topic.name, partition: 0, offset: upTo }]);
      if (!life.isOver()) model.deleted(upTo);
    }
    await pause(stage);
  }
  await leave(stage, producer);
}

export const writeAging = (stage: Stage): Promise<void> =>
  writeWindow(stage, aging, stage.world.models.aging);

export const writeBounded = (stage: Stage): Promise<void> =>
  writeWindow(stage, bounded, stage.world.models.bounded);
