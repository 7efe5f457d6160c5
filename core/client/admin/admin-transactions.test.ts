import { describe, expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import { adminOf } from '../../../test/kit/port.ts';
import { readValues } from '../../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { silentLogger } from '../../logger.ts';
import { string } from '../../serde/text.ts';
import type { Log } from '../log.ts';
import { openLog } from '../open-log.ts';
import { topic } from '../topic.ts';
import type { Transaction } from '../producer/transaction.ts';

const letters = topic('letters', { key: string(), value: string(), partitions: 1 });
const place = { topic: 'letters', partition: 0 };

/** A transaction of `open` with one record, which is in the log. */
async function begin(log: Log, value: string): Promise<Transaction> {
  const producer = log.producer({ transactionalId: 'open' });
  const transaction = await producer.beginTransaction();
  await transaction.sendAll(letters, [{ value }]);
  await producer.flush();
  return transaction;
}

describe('what is told of transactions', () => {
  test('[ADMIN-13] [ADMIN-18] transactional ids are listed and described', async () => {
    const clock = new ManualClock();
    await using log = await openLog(temporaryDirectory(), { logger: silentLogger, clock });
    const admin = adminOf(log);
    const producer = log.producer({ transactionalId: 'done' });
    await producer.transaction((tx) => tx.send(letters, { value: 'a' }));
    const startMs = clock.nowMs();
    const open = await begin(log, 'b');
    await open.sendOffsets([{ ...place, offset: 1, metadata: '' }], 'g');
    clock.advance(500);
    const ids = async (...args: Parameters<typeof admin.listTransactions>) =>
      (await admin.listTransactions(...args)).map(({ transactionalId }) => transactionalId);
    expect(await ids()).toEqual(['done', 'open']);
    expect(await ids({ states: ['Ongoing'] })).toEqual(['open']);
    expect(await ids({ states: ['CompleteCommit'] })).toEqual(['done']);
    expect(await ids({ durationMs: 499 })).toEqual(['open']);
    expect(await ids({ durationMs: 500 })).toEqual([]);
    const described = await admin.describeTransaction('open');
    expect(described).toEqual({
      transactionalId: 'open',
      state: 'Ongoing',
      producerId: expect.any(Number) as number,
      producerEpoch: expect.any(Number) as number,
      timeoutMs: 60_000,
      startMs,
      partitions: [place, { topic: '__consumer_offsets', partition: 0 }],
    });
    expect(await ids({ producerIds: [described.producerId] })).toEqual(['open']);
    await open.commit();
    const after = await admin.describeTransaction('open');
    expect(after).toMatchObject({ state: 'CompleteCommit', startMs: -1, partitions: [] });
    expect(await codeOf(admin.describeTransaction('x'))).toBe('TRANSACTIONAL_ID_NOT_FOUND');
    expect(await codeOf(admin.listTransactions({ state: [] } as object))).toBe('UNKNOWN_OPTION');
  });

  test('[ADMIN-16] a partition tells its producers, and what they have open', async () => {
    await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
    const admin = adminOf(log);
    const plain = log.producer();
    await plain.sendAll(letters, [{ value: 'a' }, { value: 'b' }]);
    const open = await begin(log, 'c');
    const [first, second] = await admin.describeProducers(place);
    expect(first).toMatchObject({ coordinatorEpoch: -1, currentTransactionStartOffset: -1 });
    expect(first?.lastSequence).toBe(1);
    expect(second).toMatchObject({ lastSequence: 0, currentTransactionStartOffset: 2 });
    expect(second?.producerId).toBe((await admin.describeTransaction('open')).producerId);
    expect(second?.lastTimestampMs).toBeGreaterThan(1.6e12);
    await open.abort();
    const [, ended] = await admin.describeProducers(place);
    expect(ended).toMatchObject({ currentTransactionStartOffset: -1, coordinatorEpoch: 0 });
    const nowhere = admin.describeProducers({ ...place, partition: 1 });
    expect(await codeOf(nowhere)).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  });
});

describe('transactions are aborted', () => {
  test('[ADMIN-14] by transactional id: its producer is fenced', async () => {
    await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
    const admin = adminOf(log);
    const open = await begin(log, 'a');
    await log.producer().send(letters, { value: 'b' });
    expect(await readValues(log, letters, 'read_committed')).toEqual([]);
    await admin.abortTransaction({ transactionalId: 'open' });
    expect(await readValues(log, letters, 'read_committed')).toEqual(['b']);
    expect(await codeOf(open.commit())).toBe('PRODUCER_FENCED');
    const described = await admin.describeTransaction('open');
    expect(described).toMatchObject({ state: 'Empty', timeoutMs: 60_000, partitions: [] });
    await log
      .producer({ transactionalId: 'open' })
      .transaction((tx) => tx.send(letters, { value: 'c' }));
    expect(await readValues(log, letters, 'read_committed')).toEqual(['b', 'c']);
    const unknown = admin.abortTransaction({ transactionalId: 'x' });
    expect(await codeOf(unknown)).toBe('TRANSACTIONAL_ID_NOT_FOUND');
    expect(await admin.listTransactions()).toHaveLength(1);
  });

  test('[ADMIN-15] one that its transactional id may still commit is left to that', async () => {
    await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
    const open = await begin(log, 'a');
    const admin = adminOf(log);
    const { producerId, producerEpoch } = await admin.describeTransaction('open');
    const aborted = admin.abortTransaction({ ...place, producerId, producerEpoch });
    await expect(aborted).rejects.toThrow('abort transactionalId open instead');
    await open.commit();
    expect(await readValues(log, letters, 'read_committed')).toEqual(['a']);
  });
});
