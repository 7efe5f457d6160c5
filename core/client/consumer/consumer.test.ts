import { firstValueFrom } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { errno, FaultyFileSystem } from '../../../test/kit/faulty-fs.ts';
import { tap } from '../../../test/kit/tap.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import type { FetchRequest } from '../../protocol/broker-api.ts';
import { LogError } from '../../errors.ts';
import { silentLogger } from '../../logger.ts';
import { json, string } from '../../serde/text.ts';
import type { OffsetReset } from './assigned-partitions.ts';
import { Consumer } from './consumer.ts';
import type { ConsumerOptions } from './consumer-options.ts';
import type { Log } from '../log.ts';
import { openLog, type OpenLogOptions } from '../open-log.ts';
import { topic } from '../topic.ts';

const letters = topic('letters', { key: string(), value: string(), partitions: 1 });
const spread = topic('spread', { key: string(), value: string(), partitions: 3 });
const first = { topic: 'letters', partition: 0 };

/** A log with `count` letters, whose values are their offsets. */
async function logWith(count: number, options: OpenLogOptions = {}): Promise<Log> {
  const log = await openLog(temporaryDirectory(), { logger: silentLogger, ...options });
  await log.admin().ensureTopic(letters);
  await append(log, count);
  return log;
}

async function append(log: Log, count: number): Promise<void> {
  const [{ latest } = { latest: 0 }] = await log.admin().offsets('letters');
  const records = Array.from({ length: count }, (_, index) => ({ value: String(latest + index) }));
  await log.producer({ batchSize: 128 }).sendAll(letters, records);
}

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => String(from + index));
const valuesOf = (records: readonly { readonly value: string | null }[]) =>
  records.map(({ value }) => value);

const reader = (log: Log, options: ConsumerOptions = {}) =>
  log.consumer({ groupId: 'readers', ...options }).subscribe([letters]);

async function committed(log: Log): Promise<number | undefined> {
  const found = await log.consumer({ groupId: 'readers' }).committed([first]);
  return found.get('letters-0')?.offset;
}

describe('polls', () => {
  test('[CONSUMER-1] poll returns what there is, in order, up to maxPollRecords', async () => {
    await using log = await logWith(12);
    await using consumer = log.consumer({ maxPollRecords: 5 }).subscribe([letters]);
    const polls = [await consumer.poll(), await consumer.poll(), await consumer.poll()];
    expect(polls.map(valuesOf)).toEqual([numbers(0, 5), numbers(5, 10), numbers(10, 12)]);
  });

  test('[CONSUMER-1] a poll waits for records, and not longer than maxWaitMs', async () => {
    await using log = await logWith(1);
    await using consumer = log.consumer().subscribe([letters]);
    await consumer.poll();
    expect(await consumer.poll({ maxWaitMs: 0 })).toEqual([]);
    expect(await consumer.poll({ maxWaitMs: 30 })).toEqual([]);
    const waiting = consumer.poll();
    await append(log, 1);
    expect(valuesOf(await waiting)).toEqual(['1']);
  });

  test('[CONSUMER-1] a poll goes on while it has fetched nothing that a reader sees', async () => {
    await using log = await logWith(0);
    const producer = log.producer({ transactionalId: 'aborter' });
    for (let round = 0; round < 3; round++) {
      const transaction = await producer.beginTransaction();
      await transaction.sendAll(letters, [{ value: 'never' }]);
      await producer.flush();
      await transaction.abort();
    }
    await producer.transaction((tx) => tx.send(letters, { value: 'seen' }));
    const options = { isolationLevel: 'read_committed', maxPartitionFetchBytes: 1 } as const;
    await using consumer = log.consumer(options).subscribe([letters]);
    expect(valuesOf(await consumer.poll())).toEqual(['seen']);
  });

  test('[CONSUMER-1] all partitions get their turn', async () => {
    await using log = await logWith(0);
    for (let partition = 0; partition < 3; partition++) {
      const records = numbers(0, 40).map((value) => ({ value, partition }));
      await log.producer({ batchSize: 128 }).sendAll(spread, records);
    }
    const options = { maxPartitionFetchBytes: 200, fetchMaxBytes: 1024, maxPollRecords: 4 };
    await using consumer = log.consumer(options).subscribe([spread]);
    const seen = new Set<number>();
    for (let poll = 0; poll < 6; poll++)
      for (const { partition } of await consumer.poll()) seen.add(partition);
    expect(seen.size).toBe(3);
  });
});

describe('positions', () => {
  test('[CONSUMER-2] what a poll returned counts as handed out', async () => {
    await using log = await logWith(10);
    await using consumer = reader(log, { maxPollRecords: 4 });
    await consumer.poll();
    expect(consumer.position(first)).toBe(4);
    await consumer.commit();
    expect(await committed(log)).toBe(4);
  });

  test('[CONSUMER-2] an iterated record counts when the next one is asked for', async () => {
    await using log = await logWith(10);
    const consumer = reader(log);
    for await (const { value, offset } of consumer) {
      expect(consumer.position(first)).toBe(offset);
      if (value === '6') break;
    }
    await consumer.close();
    expect(await committed(log)).toBe(6);
    await using next = reader(log);
    expect(valuesOf(await next.poll())).toEqual(numbers(6, 10));
  });

  test('[CONSUMER-2] a partition assigned by hand begins where it is told', async () => {
    await using log = await logWith(10);
    await using consumer = await log
      .consumer()
      .assign([{ topic: letters, partition: 0, offset: 7 }]);
    expect(valuesOf(await consumer.poll())).toEqual(numbers(7, 10));
    await consumer.assign([{ topic: letters, partition: 0, offset: 9 }]);
    expect(valuesOf(await consumer.poll())).toEqual(['9']);
  });

  test('[CONSUMER-2] a new subscription replaces the one before', async () => {
    await using log = await logWith(3);
    await log.producer().send(spread, { value: 'other' });
    await using consumer = log.consumer().subscribe([letters]);
    await consumer.poll();
    await append(log, 1);
    const other = consumer.subscribe([spread]);
    expect(valuesOf(await other.poll())).toEqual(['other']);
    expect(await other.poll({ maxWaitMs: 10 })).toEqual([]);
  });
});

describe('auto-commit', () => {
  test('[CONSUMER-3] commits what the polls before returned, and no more', async () => {
    await using log = await logWith(10);
    await using consumer = reader(log, { maxPollRecords: 3, autoCommitIntervalMs: 0 });
    expect((await consumer.poll()).length).toBe(3);
    expect(await committed(log)).toBeUndefined();
    await consumer.poll();
    expect(await committed(log)).toBe(3);
    await consumer.poll();
    expect(await committed(log)).toBe(6);
  });

  test('[CONSUMER-3] commits at the end what was handed out, and leaves nothing out', async () => {
    await using log = await logWith(10);
    const consumer = reader(log, { maxPollRecords: 4 });
    await consumer.poll();
    await consumer.close();
    expect(await committed(log)).toBe(4);
  });

  test('[CONSUMER-3] an iteration commits on the way, not only when all is through', async () => {
    await using log = await logWith(40);
    await using consumer = reader(log, { maxPollRecords: 10, autoCommitIntervalMs: 0 });
    for await (const { value } of consumer) {
      if (value === '25') break;
    }
    expect(await committed(log)).toBe(20);
  });

  test('[CONSUMER-3] an idle consumer commits nothing again', async () => {
    await using log = await logWith(2);
    await using consumer = reader(log, { autoCommitIntervalMs: 0 });
    await consumer.poll();
    for (let poll = 0; poll < 5; poll++) await consumer.poll({ maxWaitMs: 1 });
    const [place] = await log.admin().offsets('__consumer_offsets');
    for (let poll = 0; poll < 5; poll++) await consumer.poll({ maxWaitMs: 1 });
    expect(await log.admin().offsets('__consumer_offsets')).toEqual([place]);
  });

  test('[CONSUMER-3] enableAutoCommit false commits only when told', async () => {
    await using log = await logWith(10);
    const options = { enableAutoCommit: false, autoCommitIntervalMs: 0 };
    const consumer = reader(log, options);
    await consumer.poll();
    await consumer.poll({ maxWaitMs: 1 });
    await consumer.close();
    expect(await committed(log)).toBeUndefined();
  });

  test('[CONSUMER-3] an offset is committed once the records below it are durable', async () => {
    const gate: { hold?: Promise<void> } = {};
    const fileSystem = new FaultyFileSystem(async ({ name, path }) => {
      if (name === 'sync' && path.includes('/letters-0/0')) await gate.hold;
      return undefined;
    });
    await using log = await logWith(1, { fileSystem });
    let release: () => void = () => undefined;
    gate.hold = new Promise((resolve) => (release = resolve));
    await log.producer({ acks: 1 }).send(letters, { value: '1' });
    await using consumer = reader(log, { enableAutoCommit: false });
    expect((await consumer.poll()).length).toBe(2);
    let isCommitted = false;
    const committing = consumer.commit().then(() => (isCommitted = true));
    await log.producer({ acks: 1 }).send(letters, { value: '2' });
    expect(isCommitted).toBe(false);
    expect(await committed(log)).toBeUndefined();
    release();
    await committing;
    expect(await committed(log)).toBe(2);
  });
});

describe('where to begin', () => {
  test('[CONSUMER-4] by autoOffsetReset, where the group has committed nothing', async () => {
    await using log = await logWith(3);
    await using earliest = log.consumer().subscribe([letters]);
    expect(valuesOf(await earliest.poll())).toEqual(numbers(0, 3));
    await using latest = log.consumer({ autoOffsetReset: 'latest' }).subscribe([letters]);
    const waiting = latest.poll();
    await expect.poll(() => latest.position(first)).toBe(3);
    await append(log, 1);
    expect(valuesOf(await waiting)).toEqual(['3']);
    await using none = reader(log, { autoOffsetReset: 'none' });
    expect(await codeOf(none.poll())).toBe('OFFSET_OUT_OF_RANGE');
    expect(await codeOf(none.poll())).toBe('OFFSET_OUT_OF_RANGE');
  });

  test('[CONSUMER-4] an offset that is gone is told by resets$, or is an error', async () => {
    await using log = await logWith(10);
    await log.consumer({ groupId: 'readers' }).commit([{ ...first, offset: 2 }]);
    await log.admin().deleteRecords([{ ...first, offset: 6 }]);
    await using strict = reader(log, { autoOffsetReset: 'none', groupId: 'readers' });
    expect(await codeOf(strict.poll())).toBe('OFFSET_OUT_OF_RANGE');
    await strict.close();
    await using next = reader(log);
    const resets: OffsetReset[] = [];
    next.resets$.subscribe((reset) => resets.push(reset));
    expect(valuesOf(await next.poll())).toEqual(numbers(6, 10));
    expect(resets).toEqual([{ ...first, from: 2, to: 6 }]);
  });
});

describe('seek', () => {
  test('[CONSUMER-5] goes on from the offset, between polls', async () => {
    await using log = await logWith(10);
    await using consumer = log.consumer({ maxPollRecords: 4 }).subscribe([letters]);
    await consumer.poll();
    consumer.seek(first, 8);
    expect(consumer.position(first)).toBe(8);
    expect(valuesOf(await consumer.poll())).toEqual(['8', '9']);
    consumer.seek(first, 3);
    expect(valuesOf(await consumer.poll())).toEqual(numbers(3, 7));
    const elsewhere = () => consumer.seek({ topic: 'letters', partition: 1 }, 0);
    expect(elsewhere).toThrow('does not read letters-1');
  });

  test('[CONSUMER-5] in the middle of an iteration, and other partitions go on', async () => {
    await using log = await logWith(10);
    const records = numbers(0, 10).map((value) => ({ value, partition: 1 }));
    await log.producer().sendAll(spread, records);
    await using consumer = log.consumer().subscribe([letters, spread]);
    const seen: string[] = [];
    for await (const record of consumer) {
      seen.push(`${record.topic}:${record.value}`);
      if (record.topic === 'letters' && record.value === '3' && seen.length < 20) {
        consumer.seek(first, 8);
      }
      if (seen.length === 16) break;
    }
    expect(seen.filter((each) => each.startsWith('letters'))).toEqual(
      ['0', '1', '2', '3', '8', '9'].map((value) => `letters:${value}`),
    );
    expect(seen.filter((each) => each.startsWith('spread'))).toEqual(
      numbers(0, 10).map((value) => `spread:${value}`),
    );
    expect(consumer.position(first)).toBeGreaterThanOrEqual(9);
  });

  test('[CONSUMER-5] while a poll waits, and while an answer is on its way', async () => {
    await using log = await logWith(5);
    const gates: (() => void)[] = [];
    const api = tap(log.api, {
      fetch: async (request: FetchRequest) => {
        const answer = await log.api.fetch(request);
        await new Promise<void>((resolve) => gates.push(resolve));
        return answer;
      },
    });
    await using consumer = new Consumer(api).subscribe([letters]);
    const waiting = consumer.poll();
    await expect.poll(() => gates.length).toBe(1);
    consumer.seek(first, 4);
    await expect.poll(() => gates.length).toBe(2);
    for (const go of gates) go();
    expect(valuesOf(await waiting)).toEqual(['4']);
    for (const go of gates) go();
  });
});

describe('pause', () => {
  test('[CONSUMER-6] hands out nothing of the partition, also of what was fetched', async () => {
    await using log = await logWith(10);
    await using consumer = log.consumer({ maxPollRecords: 2 }).subscribe([letters, spread]);
    await consumer.poll();
    consumer.pause([first]);
    expect(await consumer.poll({ maxWaitMs: 20 })).toEqual([]);
    await log.producer().send(spread, { value: 'other' });
    expect(valuesOf(await consumer.poll())).toEqual(['other']);
    consumer.resume([first]);
    expect(valuesOf(await consumer.poll())).toEqual(['2', '3']);
  });

  test('[CONSUMER-6] in the middle of an iteration', async () => {
    await using log = await logWith(6);
    await log.producer().sendAll(
      spread,
      numbers(0, 3).map((value) => ({ value, partition: 0 })),
    );
    await using consumer = log.consumer().subscribe([letters, spread]);
    const seen: string[] = [];
    for await (const { topic: from, value } of consumer) {
      seen.push(`${from}:${value}`);
      if (from === 'letters' && value === '1') consumer.pause([first]);
      if (from === 'spread' && value === '2') consumer.resume([first]);
      if (value === '5') break;
    }
    expect(seen.filter((each) => each.startsWith('letters'))).toEqual(
      numbers(0, 6).map((value) => `letters:${value}`),
    );
    expect(seen.indexOf('spread:2')).toBeLessThan(seen.indexOf('letters:2'));
  });

  test('[CONSUMER-6] resuming needs no patience, and a seek keeps the pause', async () => {
    await using log = await logWith(3);
    await using consumer = log.consumer({ fetchMaxWaitMs: 20_000 }).subscribe([letters]);
    await consumer.poll();
    consumer.pause([first]);
    consumer.seek(first, 1);
    const waiting = consumer.poll();
    await new Promise((resolve) => setTimeout(resolve, 30));
    consumer.resume([first]);
    expect(valuesOf(await waiting)).toEqual(['1', '2']);
  });
});

describe('the end', () => {
  test('[CONSUMER-7] the signal ends a poll and an iteration at once', async () => {
    await using log = await logWith(0);
    const stop = new AbortController();
    const options = { signal: stop.signal, fetchMaxWaitMs: 20_000 };
    const consumer = log.consumer(options).subscribe([letters]);
    const polling = codeOf(consumer.poll());
    const iterating = (async () => {
      const other = log.consumer(options).subscribe([letters]);
      for await (const record of other) expect(record).toBeUndefined();
      return 'ended';
    })();
    await new Promise((resolve) => setTimeout(resolve, 30));
    stop.abort();
    expect(await polling).toBe('ABORTED');
    expect(await iterating).toBe('ended');
    expect(await codeOf(consumer.poll())).toBe('ABORTED');
  });

  test('[CONSUMER-7] close ends a poll at once, and everything afterwards', async () => {
    await using log = await logWith(0);
    const consumer = log.consumer({ fetchMaxWaitMs: 20_000 }).subscribe([letters]);
    const polling = codeOf(consumer.poll());
    await new Promise((resolve) => setTimeout(resolve, 30));
    await Promise.all([consumer.close(), consumer.close()]);
    expect(await polling).toBe('CLOSED');
    expect(await codeOf(consumer.poll())).toBe('CLOSED');
  });

  test('[CONSUMER-7] the end of the log ends long polls, also those of idle members', async () => {
    const log = await logWith(1);
    const options = { fetchMaxWaitMs: 20_000 };
    const idle = reader(log, options);
    const busy = reader(log, options);
    const alone = log.consumer(options).subscribe([letters]);
    await alone.poll();
    const polls = [idle, busy].map((consumer) =>
      codeOf(
        (async () => {
          for (;;) await consumer.poll();
        })(),
      ),
    );
    const lonely = codeOf(alone.poll());
    await expect
      .poll(async () => (await log.admin().describeGroup('readers')).state)
      .toBe('Stable');
    await log.close();
    expect(await Promise.all([...polls, lonely])).toEqual(['CLOSED', 'CLOSED', 'CLOSED']);
    await Promise.all([idle, busy, alone].map((consumer) => consumer.close()));
  });
});

/** True where a record has no key and the one-letter value, behind its length. */
const isLetter = (records: Buffer, at: number, letter: string) =>
  records[at - 2] === 1 && records[at - 1] === 2 && records[at] === letter.charCodeAt(0);

describe('errors', () => {
  test('[CONSUMER-8] what stands before a damaged batch is handed out first', async () => {
    await using log = await logWith(10);
    const api = tap(log.api, {
      fetch: async (request: FetchRequest) => {
        const answer = await log.api.fetch(request);
        const [fetched] = answer.partitions;
        // A value whose length points outside: only the reader notices. Behind the batch's head
        // come its record's length, attributes, time, offset, key and value.
        const records = Buffer.from(fetched?.records ?? []);
        const at = records.findIndex((_, index) => isLetter(records, index, '6'));
        if (at > 0) fetched!.records[at - 1] = 0x7f;
        return answer;
      },
    });
    await using consumer = new Consumer(api, { groupId: 'readers' }).subscribe([letters]);
    expect(valuesOf(await consumer.poll())).toEqual(numbers(0, 6));
    expect(await codeOf(consumer.poll())).toBe('CORRUPT_MESSAGE');
    expect(await codeOf(consumer.poll())).toBe('CORRUPT_MESSAGE');
    await consumer.commit();
    expect(await committed(log)).toBe(6);
    consumer.seek(first, 7);
    expect(valuesOf(await consumer.poll())).toEqual(numbers(7, 10));
  });

  test('[CONSUMER-8] a failed request is an error of the next poll, and no more', async () => {
    await using log = await logWith(3);
    let failures = 0;
    const api = tap(log.api, {
      fetch: async (request: FetchRequest) => {
        if (failures-- > 0) throw new TypeError('a bug');
        return log.api.fetch(request);
      },
    });
    await using consumer = new Consumer(api).subscribe([letters]);
    expect((await consumer.poll()).length).toBe(3);
    failures = 2; // the request ahead, and one more
    await append(log, 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await expect(consumer.poll({ maxWaitMs: 1000 })).rejects.toThrow('a bug');
    failures = 0;
    expect(valuesOf(await consumer.poll())).toEqual(['3']);
  });

  test('[CONSUMER-8] a file that cannot be read is an error as long as it is so', async () => {
    let isBroken = false;
    const fileSystem = new FaultyFileSystem(({ name, path }) =>
      isBroken && name === 'read' && path.includes('letters-0') ? errno('EIO') : undefined,
    );
    await using log = await logWith(3, { fileSystem });
    await using consumer = log.consumer().subscribe([letters]);
    isBroken = true;
    expect(await codeOf(consumer.poll())).toBe('KAFKA_STORAGE_ERROR');
    isBroken = false;
    expect(valuesOf(await consumer.poll())).toEqual(numbers(0, 3));
  });

  test('[CONSUMER-8] a deleted topic is an error of its readers', async () => {
    await using log = await logWith(3);
    await using consumer = log.consumer({ fetchMaxWaitMs: 20_000 }).subscribe([letters]);
    await consumer.poll();
    const waiting = codeOf(consumer.poll());
    await new Promise((resolve) => setTimeout(resolve, 20));
    await log.admin().deleteTopics(['letters']);
    expect(await waiting).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  });

  test('[CONSUMER-9] a value of another kind fails when it is looked at', async () => {
    await using log = await logWith(1);
    await log.producer().send(letters, { key: 'k', value: 'not json' });
    const objects = topic('letters', { key: string(), value: json<unknown>() });
    await using consumer = log.consumer().subscribe([objects]);
    const [, record] = await consumer.poll();
    expect(record?.key).toBe('k');
    const look = () => record?.value;
    expect(look).toThrow(LogError);
    expect(look).toThrow('the value of letters-0 at offset 1 is not json');
  });

  test('[CONSUMER-10] misuse is refused with what to do instead', async () => {
    await using log = await logWith(0);
    expect(await codeOf(log.consumer().poll())).toBe('NOT_SUBSCRIBED');
    expect(await codeOf(log.consumer().commit())).toBe('NOT_SUBSCRIBED');
    const unknown = () => log.consumer({ group: 'a' } as ConsumerOptions);
    expect(unknown).toThrow('did you mean groupId?');
    const wrong = () => log.consumer({ isolationLevel: 'committed' as 'read_committed' });
    expect(wrong).toThrow('must be "read_uncommitted" or "read_committed"');
  });
});

test('[CONSUMER-11] tail$ of a log that is closed fails with CLOSED', async () => {
  const log = await logWith(1);
  const tail$ = log.tail$(letters);
  await log.close();
  expect(await codeOf(firstValueFrom(tail$))).toBe('CLOSED');
});

test('[CONSUMER-11] tail$ tells what is written from now on, until nobody listens', async () => {
  const log = await logWith(3);
  const seen: (string | null)[] = [];
  let isComplete = false;
  const listening = log.tail$(letters).subscribe({
    next: ({ value }) => seen.push(value),
    complete: () => (isComplete = true),
  });
  const endless: (string | null)[] = [];
  log
    .tail$(letters)
    .subscribe({ next: ({ value }) => endless.push(value), complete: () => (isComplete = true) });
  await new Promise((resolve) => setTimeout(resolve, 50));
  await append(log, 1);
  await expect.poll(() => seen).toEqual(['3']);
  listening.unsubscribe();
  await append(log, 1);
  await expect.poll(() => endless).toEqual(['3', '4']);
  expect(seen).toEqual(['3']);
  await log.close();
  await expect.poll(() => isComplete).toBe(true);
});
