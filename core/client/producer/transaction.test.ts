import { describe, expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { errno, FaultyFileSystem } from '../../../test/kit/faulty-fs.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import { readValues } from '../../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { LogError } from '../../errors.ts';
import { silentLogger } from '../../logger.ts';
import { BatchWriter } from '../../record/batch-writer.ts';
import { NO_HEADERS } from '../../record/record.ts';
import { string } from '../../serde/text.ts';
import type { Log } from '../log.ts';
import { openLog, type OpenLogOptions } from '../open-log.ts';
import { topic } from '../topic.ts';

const input = topic('input', { key: string(), value: string(), partitions: 4 });
const output = topic('output', { key: string(), value: string(), partitions: 2 });
const letters = topic('letters', { key: string(), value: string(), partitions: 1 });

const NOW = 1_700_000_000_000;

const open = (options: OpenLogOptions = {}) =>
  openLog(temporaryDirectory(), { logger: silentLogger, ...options });

const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index));

/** The offset that a group has committed for the first partition of `letters`. */
async function committedOf(log: Log, groupId: string): Promise<number | undefined> {
  const place = { topic: 'letters', partition: 0 };
  await using consumer = log.consumer({ groupId });
  return (await consumer.committed([place])).get('letters-0')?.offset;
}

const next = (offset: number) => [{ topic: 'letters', partition: 0, offset }];

test('[TXN-12] a record refused just before a transaction takes no offsets out of it', async () => {
  await using log = await open();
  await using producer = log.producer({ transactionalId: 't' });
  await producer.send(letters, { value: 'a' });
  const refused = codeOf(producer.send(letters, { value: 'b', timestampMs: 2 ** 45 }));
  const transaction = await producer.beginTransaction();
  await transaction.sendOffsets(next(1), 'g');
  transaction.send(letters, { value: 'c' });
  await transaction.commit();
  expect(await refused).toBe('INVALID_TIMESTAMP');
  expect(await committedOf(log, 'g')).toBe(1);
  expect(await readValues(log, letters, 'read_committed')).toEqual(['a', 'c']);
});

test('[TXN-15] initTransactions ends an open transaction, for which a poll waits', async () => {
  await using log = await open();
  const letter = log.producer();
  await letter.send(letters, { value: 'a' });
  const lost = log.producer({ transactionalId: 'copier' });
  const left = await lost.beginTransaction();
  await left.sendOffsets(next(1), 'g');

  await using consumer = log
    .consumer({ groupId: 'g', isolationLevel: 'read_committed' })
    .subscribe([letters]);
  expect(await consumer.poll({ maxWaitMs: 300 })).toEqual([]); // waits for the open offsets
  await using producer = log.producer({ transactionalId: 'copier' });
  await producer.initTransactions();
  expect((await consumer.poll({ maxWaitMs: 10_000 })).map(({ value }) => value)).toEqual(['a']);
  await producer.initTransactions();
  await producer.transaction((tx) => tx.sendOffsets(next(1), consumer.groupMetadata()));
  expect(await committedOf(log, 'g')).toBe(1);

  expect(await codeOf(left.commit())).toBe('PRODUCER_FENCED');
  expect(await codeOf(letter.initTransactions())).toBe('NO_TRANSACTION');
  await letter.close();
  expect(await codeOf(letter.initTransactions())).toBe('CLOSED');
});

test('[TXN-13] no offsets at all are committed without complaint', async () => {
  await using log = await open();
  await using producer = log.producer({ transactionalId: 't' });
  await log.admin().ensureTopic(letters);
  const transaction = await producer.beginTransaction();
  await transaction.sendOffsets([], 'g');
  transaction.send(letters, { value: 'a' });
  await transaction.commit();
  expect(await readValues(log, letters, 'read_committed')).toEqual(['a']);
  const onlyOffsets = await producer.beginTransaction();
  await onlyOffsets.sendOffsets([], 'g');
  await onlyOffsets.commit();
  expect(await committedOf(log, 'g')).toBeUndefined();
  await using consumer = log.consumer({ groupId: 'g' });
  await consumer.assign([{ topic: letters, partition: 0 }]);
  await consumer.commit([]);
});

describe('visibility', () => {
  test('[TXN-2] committed records appear at once everywhere, aborted ones never', async () => {
    await using log = await open();
    await using producer = log.producer({ transactionalId: 't' });
    for (const type of ['commit', 'abort'] as const) {
      const transaction = await producer.beginTransaction();
      await transaction.sendAll(
        output,
        numbers(6).map((value, index) => ({ value: `${type} ${value}`, partition: index % 2 })),
      );
      transaction.send(letters, { value: type });
      await producer.flush();
      expect(await readValues(log, output)).toHaveLength(type === 'commit' ? 6 : 12);
      expect(await readValues(log, letters, 'read_committed')).not.toContain(type);
      await transaction[type]();
    }
    const seen = await readValues(log, output, 'read_committed');
    expect(seen.sort()).toEqual(numbers(6).map((value) => `commit ${value}`));
    expect(await readValues(log, letters, 'read_committed')).toEqual(['commit']);
    expect(await readValues(log, letters)).toEqual(['commit', 'abort']);
  });

  test('[TXN-2] an exception aborts, and is what the caller gets', async () => {
    await using log = await open();
    await using producer = log.producer({ transactionalId: 't' });
    const result = producer.transaction(async (tx) => {
      await tx.sendAll(letters, [{ value: 'dropped' }]);
      throw new RangeError('no');
    });
    await expect(result).rejects.toThrow(RangeError);
    await producer.transaction((tx) => tx.send(letters, { value: 'kept' }));
    expect(await readValues(log, letters, 'read_committed')).toEqual(['kept']);
  });
});

describe('owners', () => {
  test('[TXN-3] a newer producer of the id aborts what is open, and fences the older', async () => {
    await using log = await open();
    const older = log.producer({ transactionalId: 't' });
    const transaction = await older.beginTransaction();
    await transaction.sendAll(letters, [{ value: 'old' }]);
    await older.flush();
    await using newer = log.producer({ transactionalId: 't' });
    await newer.transaction((tx) => tx.send(letters, { value: 'new' }));
    expect(await codeOf(transaction.sendOffsets(next(1), 'g'))).toBe('PRODUCER_FENCED');
    expect(await codeOf(transaction.commit())).toBe('PRODUCER_FENCED');
    expect(await codeOf(older.beginTransaction())).toBe('PRODUCER_FENCED');
    expect(await codeOf(older.send(letters, { value: 'late' }))).toBe('PRODUCER_FENCED');
    await older.close();
    expect(await readValues(log, letters, 'read_committed')).toEqual(['new']);
    expect(await committedOf(log, 'g')).toBeUndefined();
  });

  test('[TXN-3] of many producers of one id that write at once the last one commits', async () => {
    await using log = await open();
    const producers = numbers(5).map(() => log.producer({ transactionalId: 't' }));
    const codes = await Promise.all(
      producers.map((producer, index) =>
        codeOf(producer.transaction((tx) => tx.sendAll(letters, [{ value: String(index) }]))),
      ),
    );
    const committed = numbers(5).filter((_, index) => codes[index] === 'resolved');
    expect(committed.length).toBeGreaterThan(0);
    expect((await readValues(log, letters, 'read_committed')).sort()).toEqual(committed);
    for (const producer of producers) await producer.close();
  });

  test('[TXN-4] a transaction is aborted after its timeout, and its producer fenced', async () => {
    const clock = new ManualClock();
    await using log = await open({ clock });
    const producer = log.producer({ transactionalId: 't', transactionTimeoutMs: 5_000 });
    const transaction = await producer.beginTransaction();
    await transaction.sendAll(letters, [{ value: 'late' }]);
    await producer.flush();
    clock.advance(4_000);
    await log.producer().send(letters, { value: 'plain' });
    expect(await readValues(log, letters, 'read_committed')).toEqual([]); // behind the open one
    for (let step = 0; step < 20; step++) {
      clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await expect.poll(() => readValues(log, letters, 'read_committed')).toEqual(['plain']);
    expect(await codeOf(transaction.commit())).toBe('PRODUCER_FENCED');
    await producer.close();
  });
});

describe('offsets', () => {
  test('[TXN-5] offsets count with the commit, and not after an abort', async () => {
    await using log = await open();
    await using producer = log.producer({ transactionalId: 't' });
    await log.producer().sendAll(letters, [{ value: 'a' }, { value: 'b' }]);
    for (const type of ['abort', 'commit'] as const) {
      const transaction = await producer.beginTransaction();
      await transaction.sendOffsets(next(2), 'g');
      expect(await committedOf(log, 'g')).toBeUndefined();
      await transaction[type]();
      expect(await committedOf(log, 'g')).toBe(type === 'commit' ? 2 : undefined);
    }
  });

  test('[TXN-5] a reader that begins waits for the end of the transaction', async () => {
    await using log = await open();
    await using producer = log.producer({ transactionalId: 't' });
    await log.producer().sendAll(
      letters,
      ['a', 'b', 'c'].map((value) => ({ value })),
    );
    const transaction = await producer.beginTransaction();
    await transaction.sendOffsets(next(2), 'g');
    await using consumer = log.consumer({ groupId: 'g' });
    const reading = consumer.subscribe([letters]).poll({ maxWaitMs: 5_000 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await transaction.commit();
    expect((await reading).map(({ value }) => value)).toEqual(['c']);
  });

  test('[TXN-6] offsets of a member whose group has moved on fail the commit', async () => {
    await using log = await open();
    await using producer = log.producer({ transactionalId: 't' });
    await log.producer().send(letters, { value: 'a' });
    const quick = { groupId: 'g', heartbeatIntervalMs: 15, fetchMaxWaitMs: 20 } as const;
    await using first = log.consumer(quick).subscribe([letters]);
    await first.poll({ maxWaitMs: 1_000 });
    const stale = first.groupMetadata();
    await using second = log.consumer(quick).subscribe([letters]);
    const joining = second.poll({ maxWaitMs: 1_000 });
    await expect
      .poll(async () => {
        await first.poll({ maxWaitMs: 10 });
        return first.groupMetadata().generation;
      })
      .not.toBe(stale.generation);
    await joining;
    const transaction = await producer.beginTransaction();
    transaction.send(output, { value: 'from old seat' });
    expect(await codeOf(transaction.sendOffsets(next(1), stale))).toBe('ILLEGAL_GENERATION');
    expect(await codeOf(transaction.commit())).toBe('ILLEGAL_GENERATION');
    expect(await readValues(log, output, 'read_committed')).toEqual([]);
    await producer.transaction((tx) => tx.send(output, { value: 'next' })); // the producer goes on
    expect(await readValues(log, output, 'read_committed')).toEqual(['next']);
  });

  test('[TXN-6] a static member whose id another has taken commits nothing', async () => {
    await using log = await open();
    await using producer = log.producer({ transactionalId: 't' });
    await log.producer().send(letters, { value: 'a' });
    const options = { groupId: 'g', groupInstanceId: 'one', fetchMaxWaitMs: 20 } as const;
    await using former = log.consumer(options).subscribe([letters]);
    await former.poll({ maxWaitMs: 1_000 });
    const replaced = former.groupMetadata();
    expect(replaced.groupInstanceId).toBe('one');
    await using newer = log.consumer(options).subscribe([letters]);
    await newer.poll({ maxWaitMs: 1_000 });
    const transaction = await producer.beginTransaction();
    transaction.send(output, { value: 'from the old place' });
    expect(await codeOf(transaction.sendOffsets(next(1), replaced))).toBe('FENCED_INSTANCE_ID');
    expect(await codeOf(transaction.commit())).toBe('FENCED_INSTANCE_ID');
    expect(await readValues(log, output, 'read_committed')).toEqual([]);
    await producer.transaction((tx) => tx.sendOffsets(next(1), newer.groupMetadata()));
    expect(await committedOf(log, 'g')).toBe(1);
  });

  test('[TXN-7] members that come and go process each record exactly once', async () => {
    await using log = await open();
    const count = 400;
    const records = numbers(count).map((value) => ({ key: value, value }));
    await log.producer().sendAll(input, records);
    const stops = [new AbortController(), new AbortController(), new AbortController()];
    const workers = stops.map((stop, index) => processAll(log, `worker-${index}`, stop.signal));
    const done = () => readValues(log, output, 'read_committed');
    const timeout = 20_000;
    await expect.poll(async () => (await done()).length, { timeout }).toBeGreaterThan(count / 4);
    stops[0]!.abort();
    await workers[0];
    workers[0] = processAll(log, 'worker-0', stops[2]!.signal); // takes the id of the one that went
    await expect.poll(async () => (await done()).length, { timeout }).toBeGreaterThanOrEqual(count);
    for (const stop of stops) stop.abort();
    await Promise.all(workers);
    const order = (a: string, b: string) => Number(a) - Number(b);
    expect((await done()).map(String).sort(order)).toEqual(numbers(count));
  }, 60_000);
});

/** Reads `input` in a group and writes each value to `output`, a few in each transaction. */
async function processAll(log: Log, transactionalId: string, signal: AbortSignal): Promise<void> {
  const options = { groupId: 'g', enableAutoCommit: false, heartbeatIntervalMs: 15 } as const;
  await using consumer = log
    .consumer({
      ...options,
      fetchMaxWaitMs: 20,
      maxPollRecords: 7,
      isolationLevel: 'read_committed',
    })
    .subscribe([input]);
  await using producer = log.producer({ transactionalId });
  while (!signal.aborted) {
    const records = await consumer.poll({ maxWaitMs: 20 });
    if (records.length === 0) continue;
    const offsets = new Map(
      records.map(({ topic: name, partition, offset }) => [
        partition,
        { topic: name, partition, offset: offset + 1, metadata: '' },
      ]),
    );
    const code = await codeOf(
      producer.transaction(async (tx) => {
        await tx.sendAll(
          output,
          records.map(({ key, value }) => ({ key, value })),
        );
        await tx.sendOffsets([...offsets.values()], consumer.groupMetadata());
      }),
    );
    if (code === 'resolved') continue;
    // A rebalance came in between: what is committed decides where to go on.
    expect(['ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'REBALANCE_IN_PROGRESS']).toContain(code);
    const places = consumer.assignment;
    const committed = await consumer.committed(places);
    for (const place of places) {
      consumer.seek(place, committed.get(`${place.topic}-${place.partition}`)?.offset ?? 0);
    }
  }
}

describe('failures and misuse', () => {
  test('[TXN-11] a partition takes part only once that is saved, so nothing hangs', async () => {
    let answer: (error: Error) => void = () => undefined;
    const held = new Promise<Error>((resolve) => (answer = resolve));
    const fileSystem = new FaultyFileSystem(async ({ name, path }) =>
      name === 'write' && isHeld && path.includes('__transaction_state') ? await held : undefined,
    );
    let isHeld = false;
    await using log = await open({ fileSystem });
    await log.producer().send(letters, { value: 'before' });
    const transactionalId = 't';
    const identity = await log.api.initProducerId({ transactionalId, transactionTimeoutMs: 1000 });
    isHeld = true;
    const place = { topic: 'letters', partition: 0 };
    const adding = codeOf(
      log.api.addPartitionsToTxn({ transactionalId, ...identity, partitions: [place] }),
    );
    const writer = new BatchWriter(1024);
    writer.append(NOW, null, 0, 0, string(), 'hasty', NO_HEADERS);
    const records = writer.close({ ...identity, baseSequence: 0, isTransactional: true });
    const batches = [{ ...place, records }];
    const { results } = await log.api.produce({ acks: 1, transactionalId, batches });
    expect(results[0]?.error?.code).toBe('INVALID_TXN_STATE');
    answer(errno('ENOSPC'));
    expect(await adding).toBe('DISK_FULL');
    isHeld = false;
    await log.producer().send(letters, { value: 'after' });
    // Behind a transaction that nobody ends, this one would not be seen.
    expect(await readValues(log, letters, 'read_committed')).toEqual(['before', 'after']);
  });

  test('[TXN-8] a record that fails fails the commit, and not the next transaction', async () => {
    await using log = await open();
    await using producer = log.producer({ transactionalId: 't' });
    const result = producer.transaction((tx) => {
      tx.send(letters, { value: 'good' });
      tx.send(letters, { value: 'from the future', timestampMs: 2 ** 45 });
    });
    expect(await codeOf(result)).toBe('INVALID_TIMESTAMP');
    await producer.transaction((tx) => tx.send(letters, { value: 'next' }));
    expect(await readValues(log, letters, 'read_committed')).toEqual(['next']);
  });

  test('[TXN-12] abort and go on after a failure, but not after a fatal one', async () => {
    await using log = await open();
    const producer = log.producer({ transactionalId: 't' });
    const failed = await producer.beginTransaction();
    expect(failed.status).toBe('open');
    await failed.sendAll(letters, [{ value: 'from the future', timestampMs: 2 ** 45 }]);
    await producer.flush();
    expect(failed.status).toBe('failed');
    const error: unknown = await failed.commit().catch((cause: unknown) => cause);
    expect(LogError.is(error, 'INVALID_TIMESTAMP') && !error.fatal).toBe(true);
    expect(failed.status).toBe('aborted');
    const good = await producer.beginTransaction();
    good.send(letters, { value: 'good' });
    const committing = good.commit();
    expect(good.status).toBe('ending');
    await committing;
    expect(good.status).toBe('committed');
    const fenced = await producer.beginTransaction();
    await fenced.sendAll(letters, [{ value: 'fenced' }]);
    await producer.flush();
    await using other = log.producer({ transactionalId: 't' });
    await (await other.beginTransaction()).abort();
    const fatal: unknown = await fenced.commit().catch((cause: unknown) => cause);
    expect(LogError.is(fatal, 'PRODUCER_FENCED') && fatal.fatal).toBe(true);
    expect(fenced.status).toBe('in_doubt');
    expect(await codeOf(producer.beginTransaction())).toBe('PRODUCER_FENCED');
    await producer.close();
    expect(await readValues(log, letters, 'read_committed')).toEqual(['good']);
  });

  test('[TXN-9] one transaction at a time, and nothing after its end', async () => {
    await using log = await open();
    expect(await codeOf(log.producer().beginTransaction())).toBe('NO_TRANSACTION');
    const producer = log.producer({ transactionalId: 't' });
    const transaction = await producer.beginTransaction();
    expect(await codeOf(producer.beginTransaction())).toBe('INVALID_TXN_STATE');
    await transaction.commit(); // nothing was written, and that is fine
    expect(() => {
      transaction.send(letters, { value: 'late' });
    }).toThrow('the transaction has ended');
    expect(await codeOf(transaction.sendAll(letters, []))).toBe('NO_TRANSACTION');
    expect(await codeOf(transaction.sendOffsets(next(1), 'g'))).toBe('NO_TRANSACTION');
    expect(await codeOf(transaction.commit())).toBe('NO_TRANSACTION');
    await transaction.abort(); // the commit has decided
  });

  test('[TXN-9] close aborts what is open; a commit under way is waited for', async () => {
    await using log = await open();
    const producers = ['aborted', 'committed'].map((transactionalId) =>
      log.producer({ transactionalId }),
    );
    const [aborted, committed] = await Promise.all(
      producers.map((producer) => producer.beginTransaction()),
    );
    aborted!.send(letters, { value: 'aborted' });
    committed!.send(letters, { value: 'committed' });
    const commit = committed!.commit();
    await Promise.all(producers.map((producer) => producer.close()));
    await commit;
    expect(await codeOf(aborted!.commit())).toBe('NO_TRANSACTION');
    expect(await readValues(log, letters, 'read_committed')).toEqual(['committed']);
  });

  test('[TXN-10] a log opens with what was committed; a producer aborts the rest', async () => {
    const directory = temporaryDirectory();
    const options = { logger: silentLogger };
    {
      await using log = await openLog(directory, options);
      await log.producer().send(letters, { value: 'plain' });
      const producer = log.producer({ transactionalId: 't' });
      await producer.transaction(async (tx) => {
        tx.send(letters, { value: 'committed' });
        await tx.sendOffsets(next(1), 'g');
      });
      const transaction = await producer.beginTransaction();
      await transaction.sendAll(letters, [{ value: 'open' }]);
      await transaction.sendOffsets(next(2), 'g');
      await producer.flush();
    }
    await using log = await openLog(directory, options);
    await using producer = log.producer({ transactionalId: 't' });
    await producer.transaction((tx) => tx.send(letters, { value: 'after' }));
    expect(await readValues(log, letters, 'read_committed')).toEqual([
      'plain',
      'committed',
      'after',
    ]);
    expect(await committedOf(log, 'g')).toBe(1);
  });
});
