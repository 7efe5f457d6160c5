import { describe, expect, test } from 'vitest';
import {
  json,
  LogError,
  openLog,
  seededRandom,
  silentLogger,
  string,
  systemClock,
  topic,
  type Clock,
  type Log,
} from '../../core/index.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { connectFailure, failureOf } from '../../test/kit/connect.ts';
import { readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { SinkConnector, SourceConnector, SourceTask } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { Backoff, canPass } from './retries.ts';
import { SinkRunner } from './sink-runner.ts';
import { SourceRunner, type SourceRunnerOptions } from './source-runner.ts';

const numbers = topic('numbers', { key: string(), value: json<number>() });
const upTo = (end: number) => Array.from({ length: end }, (_, value) => value);

/** A clock on which everything comes sooner. */
function fastClock(times: number): Clock {
  return {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() * times,
    setTimer: (delayMs, callback) => systemClock.setTimer(delayMs / times, callback),
  };
}

async function temporaryLog(): Promise<Log> {
  return openLog(temporaryDirectory(), { logger: silentLogger });
}

/** Counts to `end`, ten numbers per batch. */
function counter(
  end: number,
  onPoll: (next: number) => unknown = () => undefined,
): SourceConnector {
  return {
    ...{ name: 'counter', topics: [numbers], isBounded: true },
    open: async ({ offset }) => {
      let next = Number(offset({})?.['next'] ?? 0);
      const task: SourceTask = {
        poll: async () => {
          await onPoll(next);
          if (next >= end) return undefined;
          const values = upTo(Math.min(10, end - next)).map((value) => next + value);
          next += values.length;
          const records = values.map((value) => ({ topic: numbers, key: 'k', value }));
          return { records, partition: {}, offset: { next } };
        },
        close: async () => undefined,
      };
      return [task];
    },
  };
}

const SILENT = { logger: silentLogger };

describe('[CONNECT-RETRY-1] a run that fails', () => {
  test('begins again from its last commit, and says so', async () => {
    await using log = await temporaryLog();
    let failures = 3;
    const lines: string[] = [];
    const runner = new SourceRunner(
      log,
      counter(50, (next) => {
        if (next === 20 && failures-- > 0) throw new RangeError('no network');
      }),
      {
        ...{ clock: fastClock(1_000), retries: {}, commitIntervalMs: 600_000 },
        logger: { ...silentLogger, warn: (line) => lines.push(line) },
      },
    );
    const seen: string[] = [];
    runner.progress$.subscribe(({ state, retry }) => {
      const text = retry === undefined ? state : `${state}: ${retry.cause.message}`;
      if (seen.at(-1) !== text) seen.push(text);
    });
    expect(await runner.run()).toMatchObject({ records: 50, isEnded: true });
    expect(await readValues(log, numbers, 'read_committed')).toEqual(upTo(50));
    const retrying = 'RETRYING: connector counter failed to poll: no network';
    expect(seen).toEqual([
      ...['READY', 'RUNNING', retrying, 'RUNNING', retrying, 'RUNNING', retrying, 'RUNNING'],
      'ENDED',
    ]);
    expect(lines.map((line) => /in (\d+) ms/.exec(line)?.[1])).toEqual(['1000', '2000', '4000']);
  });

  test('gives up after so many times without a commit', async () => {
    await using log = await temporaryLog();
    let count = 0;
    const rare = { commitIntervalMs: 600_000 };
    const options = { clock: fastClock(1_000), retries: { max: 2 }, ...rare, ...SILENT };
    const failing = counter(50, (next) => {
      if (next < 20) return;
      count++;
      throw new RangeError('no network');
    });
    const runner = new SourceRunner(log, failing, options);
    expect((await connectFailure(runner.run())).code).toBe('CONNECTOR_FAILED');
    expect([count, runner.progress.state]).toEqual([3, 'FAILED']);
    expect(await readValues(log, numbers, 'read_committed')).toEqual([]);
  });

  test('counts from the beginning after a commit', async () => {
    await using log = await temporaryLog();
    const failed = new Set<number>();
    const failing = counter(50, (next) => {
      if (failed.has(next)) return;
      failed.add(next);
      throw new RangeError('once');
    });
    const options = {
      ...{ clock: fastClock(1_000), retries: { max: 1 }, commitRecordsMax: 10, ...SILENT },
    };
    expect(await new SourceRunner(log, failing, options).run()).toMatchObject({ records: 50 });
    expect(failed.size).toBe(6);
    expect(await readValues(log, numbers, 'read_committed')).toEqual(upTo(50));
  });

  test('of a sink goes on where its output ends', async () => {
    await using log = await temporaryLog();
    await using producer = log.producer();
    await producer.sendAll(
      numbers,
      upTo(9).map((value) => ({ key: 'k', value })),
    );
    let failures = 2;
    let [pending, kept]: [number[], number[]] = [[], []];
    const sink: SinkConnector = {
      ...{ name: 'sink', topics: [numbers], delivery: 'transactional' },
      open: async () => {
        pending = [];
        const at = { topic: 'numbers', partition: 0, offset: kept.length };
        return {
          committedOffsets: [at],
          put: (records) => void pending.push(...records.map(({ value }) => value as number)),
          commit: async () => {
            if (failures-- > 0) throw new RangeError('no network');
            kept = [...kept, ...pending];
            pending = [];
          },
          close: async () => undefined,
        };
      },
    };
    const options = { clock: fastClock(1_000), retries: {}, ...SILENT };
    expect(await new SinkRunner(log, sink, options).finish()).toMatchObject({
      ...{ records: 9, isFinished: true },
    });
    expect(kept).toEqual(upTo(9));
  });

  test('is not told to go on once it was stopped', async () => {
    await using log = await temporaryLog();
    const failing = counter(50, () => {
      throw new RangeError('no network');
    });
    const options = { retries: { backoffMs: 600_000 }, ...SILENT };
    const runner = new SourceRunner(log, failing, options);
    const running = failureOf(runner.run());
    while (runner.progress.state !== 'RETRYING') await nextTurn();
    const { retry } = runner.progress;
    expect(retry?.nextMs).toBeGreaterThan(systemClock.nowMs() + 500_000);
    await runner.stop();
    expect(ConnectError.is(await running, 'CONNECTOR_FAILED')).toBe(true);
  });
});

describe('[CONNECT-RETRY-2] what cannot pass', () => {
  test('ends the run at once: bad input, options, output, fencing', () => {
    const mismatch = { directory: 'out', field: 'topic', expected: 'a', actual: 'b' };
    const fenced = { transactionalId: 't', epoch: 1, currentEpoch: 2 };
    const option = { option: 'a', value: 'b', allowed: 'c' };
    const refused = { connector: 'c', topic: 't', place: 'p' };
    for (const error of [
      new ConnectError('OUTPUT_MISMATCH', 'no', mismatch),
      new ConnectError('RECORD_REFUSED', 'no', refused),
      new LogError('PRODUCER_FENCED', 'no', fenced),
      new LogError('INVALID_OPTION', 'no', option),
    ]) {
      expect([error.code, canPass(error)]).toEqual([error.code, false]);
      expect(new Backoff({}).nextPauseMs(error)).toBeUndefined();
    }
    const locked = { directory: 'out', ownerPid: 1 };
    expect(canPass(new ConnectError('OUTPUT_LOCKED', 'no', locked))).toBe(true);
  });

  test('so a run that another one has fenced leaves it alone', async () => {
    await using log = await temporaryLog();
    let release: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => (release = resolve));
    let arrive: () => void = () => undefined;
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const slow = counter(40, (next) => {
      if (next !== 20) return undefined;
      arrive();
      return waiting;
    });
    const options: SourceRunnerOptions = { retries: {}, ...SILENT };
    const zombie = new SourceRunner(log, slow, options).run();
    await arrived;
    await new SourceRunner(log, counter(30)).run();
    release();
    expect(LogError.is(await failureOf(zombie), 'PRODUCER_FENCED')).toBe(true);
    expect(await readValues(log, numbers, 'read_committed')).toEqual(upTo(30));
  });
});

describe('[CONNECT-RETRY-3] a log whose disk is full', () => {
  const open = (disk: MemoryFileSystem, clock: Clock): Promise<Log> =>
    openLog('/data', { fileSystem: disk, random: seededRandom(1), logger: silentLogger, clock });

  test('is DISK_FULL for a source, and the next run goes on', async () => {
    const disk = new MemoryFileSystem({ random: seededRandom(1) });
    const clock = fastClock(50);
    const log = await open(disk, clock);
    const filling = counter(60, (next) => {
      if (next === 30) disk.capacityBytes = disk.usedBytes;
    });
    const failed = await failureOf(new SourceRunner(log, filling, { clock }).run());
    expect(LogError.is(failed, 'DISK_FULL')).toBe(true);
    disk.capacityBytes = Infinity;
    // What was tried on the full disk may still fail the first call.
    await new SourceRunner(log, counter(60), { clock, retries: {}, ...SILENT }).run();
    expect(await readValues(log, numbers, 'read_committed')).toEqual(upTo(60));
    await log.close();
  }, 60_000);

  test('is waited for as long as it takes, if the source is told to try again', async () => {
    const disk = new MemoryFileSystem({ random: seededRandom(2) });
    const clock = fastClock(50);
    const log = await open(disk, clock);
    let isFull = false;
    const filling = counter(60, (next) => {
      if (next !== 30 || isFull) return;
      isFull = true;
      disk.capacityBytes = disk.usedBytes;
    });
    const runner = new SourceRunner(log, filling, { clock, retries: { max: 1 }, ...SILENT });
    const running = runner.run();
    running.catch(() => undefined);
    let [retries, last]: [number, string] = [0, ''];
    runner.progress$.subscribe(({ state }) => {
      if (state === 'RETRYING' && last !== state) retries++;
      last = state;
    });
    while (retries < 4 && runner.progress.state !== 'FAILED') await nextTurn();
    disk.capacityBytes = Infinity;
    expect(await running).toMatchObject({ records: 60, isEnded: true });
    expect(await readValues(log, numbers, 'read_committed')).toEqual(upTo(60));
    await log.close();
  }, 60_000);
});

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
