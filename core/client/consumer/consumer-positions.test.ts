import { from } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { tap } from '../../../test/kit/tap.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import type { OffsetCommitRequest } from '../../protocol/broker-api.ts';
import { silentLogger } from '../../logger.ts';
import { string } from '../../serde/text.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import type { OffsetReset } from './assigned-partitions.ts';
import type { PartitionLag } from './consumer-positions.ts';
import { Consumer } from './consumer.ts';
import type { ConsumerOptions } from './consumer-options.ts';
import type { Log } from '../log.ts';
import { openLog, type OpenLogOptions } from '../open-log.ts';
import { topic } from '../topic.ts';

const letters = topic('letters', { key: string(), value: string(), partitions: 2 });
const first = { topic: 'letters', partition: 0 };
const second = { topic: 'letters', partition: 1 };
const START_MS = 1_700_000_000_000;

/** A log with ten letters in partition 0, stamped a second apart. */
async function logWith(options: OpenLogOptions = {}): Promise<Log> {
  const log = await openLog(temporaryDirectory(), { logger: silentLogger, ...options });
  await send(log, 0, 10);
  return log;
}

async function send(log: Log, start: number, end: number): Promise<void> {
  const records = Array.from({ length: end - start }, (_, index) => ({
    value: String(start + index),
    partition: 0,
    timestampMs: START_MS + 1000 * (start + index),
  }));
  await log.producer().sendAll(letters, records);
}

const valuesOf = (records: readonly { readonly value: string | null }[]) =>
  records.map(({ value }) => Number(value));

async function firstValue(log: Log, options: ConsumerOptions): Promise<number> {
  await using consumer = log.consumer(options).subscribe([letters]);
  const [record] = await consumer.poll();
  return Number(record?.value);
}

describe('where to begin', () => {
  test('[CONSUMER-4] at a time, or so long ago; at the end where nothing is so new', async () => {
    const clock = new ManualClock(START_MS + 10_000);
    await using log = await logWith();
    const at = (timestampMs: number) => ({ autoOffsetReset: { timestampMs } });
    expect(await firstValue(log, at(START_MS + 3500))).toBe(4);
    expect(await firstValue(log, at(0))).toBe(0);
    await using late = log.consumer(at(START_MS + 60_000)).subscribe([letters]);
    expect(await late.poll({ maxWaitMs: 30 })).toEqual([]);
    await expect.poll(() => late.position(first)).toBe(10);
    const options = { autoOffsetReset: { byDurationMs: 2000 } };
    await using consumer = new Consumer(log.api, options, { clock }).subscribe([letters]);
    expect(valuesOf(await consumer.poll())).toEqual([8, 9]);
  });

  test('[CONSUMER-10] other resets are refused', async () => {
    await using log = await logWith();
    for (const autoOffsetReset of ['first', {}, { timestampMs: -1 }, { byDurationMs: 1.5 }]) {
      const make = () => log.consumer({ autoOffsetReset } as ConsumerOptions);
      expect(make).toThrow('autoOffsetReset must be "earliest", "latest", "none", { timestampMs }');
    }
  });

  test('[CONSUMER-4] an offset that is gone is reported and logged, or an error', async () => {
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
    await using log = await logWith({ logger });
    await log.admin().deleteRecords([{ ...first, offset: 6 }]);
    const start = [{ topic: letters, partition: 0, offset: 2 }];
    const resets: OffsetReset[] = [];
    await using resetting = await log.consumer().assign(start);
    resetting.resets$.subscribe((reset) => resets.push(reset));
    expect(valuesOf(await resetting.poll())).toEqual([6, 7, 8, 9]);
    expect(resets).toEqual([{ ...first, from: 2, to: 6 }]);
    expect(warnings).toEqual(['letters-0 has no offset 2; its reader goes on at 6']);
    await using failing = await log.consumer({ offsetOutOfRange: 'fail' }).assign(start);
    expect(await codeOf(failing.poll())).toBe('OFFSET_OUT_OF_RANGE');
    await failing.seekToBeginning();
    expect(valuesOf(await failing.poll())).toEqual([6, 7, 8, 9]);
    expect(await firstValue(log, { offsetOutOfRange: 'fail' })).toBe(6);
  });
});

describe('commits', () => {
  test('[CONSUMER-12] a record, with metadata, and any offset', async () => {
    await using log = await logWith();
    await using consumer = log
      .consumer({ groupId: 'g', enableAutoCommit: false })
      .subscribe([letters]);
    const records = await consumer.poll();
    await consumer.commitRecord(records[3]!, { metadata: 'half' });
    expect((await consumer.committed([first])).get('letters-0')).toEqual({
      ...first,
      offset: 4,
      metadata: 'half',
    });
    await consumer.commit([{ ...first, offset: 2 }]);
    expect((await consumer.committed([first, second])).get('letters-0')?.metadata).toBe('');
    expect((await consumer.committed([second])).size).toBe(0);
  });

  test('[CONSUMER-12] a partition that the consumer does not have is refused', async () => {
    await using log = await logWith();
    await using consumer = await log
      .consumer({ groupId: 'g' })
      .assign([{ topic: letters, partition: 0 }]);
    const both = [
      { ...first, offset: 3 },
      { ...second, offset: 0 },
    ];
    expect(await codeOf(consumer.commit(both))).toBe('NOT_ASSIGNED');
    expect((await consumer.committed([first])).size).toBe(0);
    // From outside, for a group without members.
    await log.consumer({ groupId: 'g' }).commit(both);
    expect((await consumer.committed([first, second])).size).toBe(2);
  });

  test('[CONSUMER-12] a member that has not joined yet has nothing to commit for', async () => {
    await using log = await logWith();
    await using consumer = log.consumer({ groupId: 'g' }).subscribe([letters]);
    expect(await codeOf(consumer.commit())).toBe('UNKNOWN_MEMBER_ID');
    await using other = log.consumer({ groupId: 'g' }).subscribe([letters]);
    await other.poll({ maxWaitMs: 1000 }); // the group has a member
    const producer = log.producer({ transactionalId: 'copier' });
    await producer.transaction((tx) => tx.sendOffsets([], consumer.groupMetadata()));
  });

  test('[CONSUMER-12] commits that are not awaited are merged, in order', async () => {
    await using log = await logWith();
    const requests: OffsetCommitRequest[] = [];
    const api = tap(log.api, {
      offsetCommit: (request: OffsetCommitRequest) => {
        requests.push(request);
        return log.api.offsetCommit(request);
      },
    });
    const options = { groupId: 'g', enableAutoCommit: false };
    await using consumer = new Consumer(api, options).subscribe([letters]);
    const records = await consumer.poll();
    const commits = records.map((record) => consumer.commitRecord(record));
    await Promise.all(commits);
    expect((await consumer.committed([first])).get('letters-0')?.offset).toBe(10);
    const offsets = requests.flatMap((request) => request.offsets.map(({ offset }) => offset));
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    expect(requests.length).toBeLessThan(4);
  });
});

describe('offsets', () => {
  test('[CONSUMER-13] first, last, and at a time', async () => {
    await using log = await logWith();
    await log.admin().deleteRecords([{ ...first, offset: 2 }]);
    const consumer = log.consumer();
    const both = [first, second];
    expect(await consumer.beginningOffsets(both)).toEqual(
      new Map([
        ['letters-0', 2],
        ['letters-1', 0],
      ]),
    );
    expect([...(await consumer.endOffsets(both)).values()]).toEqual([10, 0]);
    const timed = await consumer.offsetsForTimes(both, START_MS + 4001);
    expect(timed).toEqual(new Map([['letters-0', 5]]));
    const unknown = consumer.endOffsets([{ topic: 'letters', partition: 7 }]);
    expect(await codeOf(unknown)).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    await consumer.close();
  });

  test('[CONSUMER-13] to the beginning, to the end, as the reader sees it', async () => {
    await using log = await logWith();
    const producer = log.producer({ transactionalId: 'open' });
    const open = await producer.beginTransaction();
    await open.sendAll(letters, [{ value: '10', partition: 0 }]);
    await producer.flush();
    const options = { isolationLevel: 'read_committed' } as const;
    await using consumer = log.consumer(options).subscribe([letters]);
    await consumer.poll();
    await consumer.seekToEnd();
    expect([consumer.position(first), consumer.position(second)]).toEqual([10, 0]);
    await using careless = await log.consumer().assign([{ topic: letters, partition: 0 }]);
    await careless.seekToEnd([first]);
    expect(careless.position(first)).toBe(11);
    await consumer.seekToBeginning([first]);
    expect(valuesOf(await consumer.poll()).slice(0, 2)).toEqual([0, 1]);
    await open.abort();
  });

  test('[CONSUMER-13] what is not assigned cannot be moved or paused', async () => {
    await using log = await logWith();
    await using consumer = await log.consumer().assign([{ topic: letters, partition: 0 }]);
    expect(await codeOf(consumer.seekToEnd([second]))).toBe('NOT_ASSIGNED');
    expect(() => consumer.pause([first, second])).toThrow('does not read letters-1');
    expect(() => consumer.resume([second])).toThrow('does not read letters-1');
    expect(consumer.paused).toEqual([]);
    consumer.pause([first]);
    expect(consumer.paused).toEqual([first]);
    for (const offset of [-1, 1.5, NaN]) {
      expect(() => consumer.seek(first, offset)).toThrow('an integer, 0 or more');
    }
  });

  test('[CONSUMER-14] the lag is what is left to read; lag$ repeats it', async () => {
    await using log = await logWith();
    const consumer = log.consumer({ maxPollRecords: 4 }).subscribe([letters]);
    await consumer.poll();
    expect(await consumer.lag()).toEqual([
      { ...first, lag: 6 },
      { ...second, lag: 0 },
    ]);
    const seen: (readonly PartitionLag[])[] = [];
    let isComplete = false;
    const lags = consumer.lag$(5);
    lags.subscribe({ next: (lag) => seen.push(lag), complete: () => (isComplete = true) });
    await consumer.poll();
    await expect.poll(() => seen.at(-1)?.[0]?.lag).toBe(2);
    await send(log, 10, 15);
    await expect.poll(() => seen.at(-1)?.[0]?.lag).toBe(7);
    await consumer.close();
    expect(isComplete).toBe(true);
  });
});

describe('readers', () => {
  test('[CONSUMER-15] after a poll that its signal ended, the next one ends in time', async () => {
    await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
    await using consumer = log.consumer({ fetchMaxWaitMs: 20_000 }).subscribe([letters]);
    const stop = new AbortController();
    const waiting = codeOf(consumer.poll({ signal: stop.signal }));
    await new Promise((resolve) => setTimeout(resolve, 30));
    stop.abort();
    expect(await waiting).toBe('ABORTED');
    // The broker still waits for records, on behalf of the first one.
    expect(await consumer.poll({ maxWaitMs: 0 })).toEqual([]);
    expect(await consumer.poll({ maxWaitMs: 50 })).toEqual([]);
  });

  test('[CONSUMER-15] a poll’s own signal ends it, and the next one goes on', async () => {
    await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
    await using consumer = log
      .consumer({ groupId: 'g', fetchMaxWaitMs: 20_000 })
      .subscribe([letters]);
    const stop = new AbortController();
    const waiting = codeOf(consumer.poll({ signal: stop.signal }));
    await new Promise((resolve) => setTimeout(resolve, 40));
    stop.abort();
    expect(await waiting).toBe('ABORTED');
    expect(await codeOf(consumer.poll({ signal: stop.signal }))).toBe('ABORTED');
    await send(log, 0, 2);
    expect(valuesOf(await consumer.poll())).toEqual([0, 1]);
  });

  test('[CONSUMER-15] a second reader is refused, and the first is not disturbed', async () => {
    await using log = await logWith();
    await using consumer = log.consumer({ maxPollRecords: 2 }).subscribe([letters]);
    const [records, code] = await Promise.all([consumer.poll(), codeOf(consumer.poll())]);
    expect([valuesOf(records), code]).toEqual([[0, 1], 'CONCURRENT_POLL']);
    for await (const { value } of consumer) {
      if (value !== '4') continue;
      expect(await codeOf(consumer.poll())).toBe('CONCURRENT_POLL');
      expect(await codeOf(consumer.pollBatches())).toBe('CONCURRENT_POLL');
      expect(await codeOf(consumer[Symbol.asyncIterator]().next())).toBe('CONCURRENT_POLL');
      break;
    }
    expect(valuesOf(await consumer.poll())[0]).toBe(5); // who left the loop has seen 4
  });

  test('[CONSUMER-15] as an Observable: from(consumer), until it is closed', async () => {
    await using log = await logWith();
    const stop = new AbortController();
    const consumer = log.consumer({ signal: stop.signal }).subscribe([letters]);
    const seen: number[] = [];
    let isComplete = false;
    from(consumer).subscribe({
      next: ({ value }) => seen.push(Number(value)),
      complete: () => (isComplete = true),
    });
    await expect.poll(() => seen).toHaveLength(10);
    stop.abort();
    await expect.poll(() => isComplete).toBe(true);
    await consumer.close();
  });

  test('[CONSUMER-16] subscribed, unsubscribed, assigned: one replaces the other', async () => {
    await using log = await logWith();
    const group = async () => (await log.admin().describeGroup('g')).state;
    await using consumer = log.consumer({ groupId: 'g', maxPollRecords: 3 });
    await consumer.subscribe([letters]).poll();
    expect(await group()).toBe('Stable');
    expect(consumer.subscription).toEqual(['letters']);
    await consumer.unsubscribe();
    expect(await group()).toBe('Empty');
    expect([consumer.subscription, consumer.assignment]).toEqual([[], []]);
    expect(await codeOf(consumer.poll())).toBe('NOT_SUBSCRIBED');
    expect((await consumer.committed([first])).get('letters-0')?.offset).toBe(3);
    expect(valuesOf(await consumer.subscribe([letters]).poll())).toEqual([3, 4, 5]);
    await consumer.assign([{ topic: letters, partition: 0, offset: 8 }]);
    expect(await group()).toBe('Empty');
    expect(consumer.assignment).toEqual([first]);
    expect((await consumer.poll()).map(({ value }) => value)).toEqual(['8', '9']);
    const member = consumer.subscribe([letters]);
    await expect
      .poll(async () => {
        await member.poll({ maxWaitMs: 20 });
        return member.assignment.length;
      })
      .toBe(2);
  });
});
