import { expect, test } from 'vitest';
import { codeOf } from '../../test/kit/codes.ts';
import { systemClock as clock } from '../clock.ts';
import { silentLogger as logger } from '../logger.ts';
import { seededRandom } from '../random.ts';
import { BatchWriter } from '../record/batch-writer.ts';
import { NO_HEADERS } from '../record/record.ts';
import { string } from '../serde/text.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import { CoordinatorLog } from './coordinator-log.ts';
import { abortHanging } from './describe-transactions.ts';
import { OffsetStore } from './offset-store.ts';
import { ProducerIds } from './producer-ids.ts';
import { Topics } from './topics.ts';
import { TransactionCoordinator } from './transaction-coordinator.ts';

const place = { topic: 'letters', partition: 0 };
const producer = { producerId: 7, producerEpoch: 3 };
const EMPTY = Buffer.alloc(0);

/**
 * A partition with a transaction of which no coordinator knows. Our clients cannot leave one, and
 * the opening of a log aborts what a crash has left.
 */
async function hang() {
  const fileSystem = new MemoryFileSystem({ random: seededRandom(1) });
  const directory = '/data';
  await fileSystem.makeDirectory(directory);
  const environment = { fileSystem, directory, clock, logger, random: seededRandom(2) };
  const topics = new Topics({ ...environment, deleted: () => Promise.resolve() });
  await topics.open(false);
  const offsets = new OffsetStore(topics, new CoordinatorLog('offsets', topics, clock), clock);
  const log = new CoordinatorLog('transactions', topics, clock);
  const producerIds = new ProducerIds(fileSystem, directory);
  const options = { topics, log, offsets, producerIds, clock, logger };
  const transactions = new TransactionCoordinator(options);
  await topics.create(place.topic, 1, {});
  const writer = new BatchWriter(1024);
  writer.append(1_700_000_000_000, EMPTY, 0, 0, string(), 'a', NO_HEADERS);
  const seal = { ...producer, baseSequence: 0, isTransactional: true };
  const partition = topics.partition(place);
  await partition.log.append(writer.close(seal)).written;
  return { partition, topics, offsets, transactions, clock };
}

test('[ADMIN-15] a transaction that hangs in a partition is aborted there, durably', async () => {
  const environment = await hang();
  const { log } = environment.partition;
  expect(log.lastStableOffset).toBe(0);
  const other = { ...producer, producerEpoch: 4 };
  expect(await codeOf(abortHanging(environment, other, place))).toBe('INVALID_PRODUCER_EPOCH');
  const nowhere = abortHanging(environment, producer, { ...place, partition: 1 });
  expect(await codeOf(nowhere)).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  expect(log.lastStableOffset).toBe(0);

  await abortHanging(environment, producer, place);
  expect(log.lastStableOffset).toBe(2); // the record and the marker
  expect(log.durableOffset).toBe(2);
  expect(log.abortedTransactions(0, 2)).toMatchObject([{ producerId: 7, firstOffset: 0 }]);
  expect(await codeOf(abortHanging(environment, producer, place))).toBe('INVALID_TXN_STATE');
});
