import { describe, expect, test } from 'vitest';
import {
  bytes,
  json,
  LogError,
  openLog,
  parseDeadLetter,
  silentLogger,
  string,
  topic,
  type Log,
} from '../../core/index.ts';
import { failureOf } from '../../test/kit/connect.ts';
import { readTopic, readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { BadInput, SinkConnector, SourceBatch, SourceConnector } from '../connector.ts';
import { SinkRunner } from './sink-runner.ts';
import { SourceRunner } from './source-runner.ts';

const numbers = topic('numbers', { key: string(), value: json<number>() });

async function temporaryLog(): Promise<Log> {
  return openLog(temporaryDirectory(), { logger: silentLogger });
}

/** What becomes of the transaction behind each number. */
type Ends = Readonly<Record<number, SourceBatch['transaction']>>;

function badNumber(value: number): BadInput {
  return {
    ...{ stage: 'read', raw: Buffer.from(`x${value}`), place: `${value}`, position: {} },
    error: new RangeError('bad'),
  };
}

/** Counts to `end`, a number a batch. */
function counter(end: number, ends: Ends = {}, tasks = 1): SourceConnector {
  return {
    ...{ name: 'counter', topics: [numbers], isBounded: true },
    open: async ({ offset }) =>
      Array.from({ length: tasks }, () => {
        let next = Number(offset({})?.['next'] ?? 0);
        return {
          poll: async () => {
            if (next >= end) return undefined;
            const value = next++;
            const records = [{ topic: numbers, key: 'k', value }];
            const bad = [badNumber(value)];
            const transaction = ends[value];
            return { records, bad, partition: {}, offset: { next }, transaction };
          },
          close: async () => undefined,
        };
      }),
  };
}

const errors = { tolerance: 'all', deadLetter: 'letters' } as const;
const OPTIONS = { errors, logger: silentLogger } as const;

async function letters(log: Log): Promise<string[]> {
  const handle = topic('letters', { key: bytes(), value: bytes() });
  const found = (await readTopic(log, handle, 'read_committed')).map(parseDeadLetter);
  return found.map(({ value }) => String(value));
}

test('[CONNECT-BOUNDARY-1] with poll each batch is a transaction', async () => {
  await using log = await temporaryLog();
  const options = { ...OPTIONS, transactionBoundary: 'poll' } as const;
  const summary = await new SourceRunner(log, counter(5), options).run();
  expect(summary).toMatchObject({ records: 5, commits: 5 });
  expect(await readValues(log, numbers, 'read_committed')).toEqual([0, 1, 2, 3, 4]);
});

describe('[CONNECT-BOUNDARY-2] with connector', () => {
  const options = { ...OPTIONS, transactionBoundary: 'connector' } as const;

  test('the source says where its transactions end', async () => {
    await using log = await temporaryLog();
    const ends: Ends = { 1: 'commit', 4: 'commit' };
    const summary = await new SourceRunner(log, counter(7, ends), options).run();
    expect(summary).toMatchObject({ records: 5, commits: 2, isEnded: true });
    expect(await readValues(log, numbers, 'read_committed')).toEqual([0, 1, 2, 3, 4]);
    // What it did not end is read again.
    await new SourceRunner(log, counter(7, { 6: 'commit' }), options).run();
    expect(await readValues(log, numbers, 'read_committed')).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(await letters(log)).toEqual(['x0', 'x1', 'x2', 'x3', 'x4', 'x5', 'x6']);
  });

  test('an abort drops the records, not the dead letters, and nothing is read again', async () => {
    await using log = await temporaryLog();
    const ends: Ends = { 1: 'commit', 3: 'abort', 5: 'commit' };
    const summary = await new SourceRunner(log, counter(6, ends), options).run();
    expect(summary).toMatchObject({ records: 4, failed: { deadLettered: 6 } });
    expect(await readValues(log, numbers, 'read_committed')).toEqual([0, 1, 4, 5]);
    expect(await letters(log)).toEqual(['x0', 'x1', 'x2', 'x3', 'x4', 'x5']);
    const again = await new SourceRunner(log, counter(6, ends), options).run();
    expect(again).toMatchObject({ records: 0 });
  });

  test('there can be one task only: its end would commit half of what another began', async () => {
    await using log = await temporaryLog();
    const failed = await failureOf(new SourceRunner(log, counter(3, {}, 2), options).run());
    expect(LogError.is(failed, 'INVALID_OPTION') && failed.message).toMatch(
      /transactionBoundary must be interval or poll for counter, which has 2 tasks/,
    );
  });
});

describe('[CONNECT-TASKS-1] a runner that is paused', () => {
  test('reads nothing, with what was read committed, until it goes on', async () => {
    await using log = await temporaryLog();
    const source = counter(1_000_000);
    const runner = new SourceRunner(log, source, { ...OPTIONS, commitIntervalMs: 5 });
    const running = runner.run();
    const { progress: seen } = runner;
    expect(seen.state).toBe('RUNNING');
    while (runner.progress.records < 50) await nextTurn();
    runner.pause();
    expect(runner.progress.state).toBe('PAUSED');
    while (runner.progress.committedRecords < runner.progress.records) await nextTurn();
    await nextTurn();
    const { records } = runner.progress;
    for (let turn = 0; turn < 50; turn++) await nextTurn();
    expect(runner.progress).toMatchObject({ records, committedRecords: records });
    runner.resume();
    while (runner.progress.records < records + 50) await nextTurn();
    expect(runner.progress.state).toBe('RUNNING');
    runner.pause();
    await runner.stop();
    const { records: total } = await running;
    expect(runner.progress.state).toBe('STOPPED');
    expect(await readValues(log, numbers, 'read_committed')).toHaveLength(total);
  });

  test('writes nothing to a sink; finish goes on', async () => {
    await using log = await temporaryLog();
    await log.producer().send(numbers, { key: 'k', value: 1 });
    const put: unknown[] = [];
    const sink: SinkConnector = {
      ...{ name: 'sink', topics: [numbers], delivery: 'at-least-once' },
      open: async () => ({
        committedOffsets: undefined,
        put: (records) => void put.push(...records.map(({ value }) => value)),
        commit: async () => undefined,
        close: async () => undefined,
      }),
    };
    const runner = new SinkRunner(log, sink);
    runner.pause();
    const running = runner.run();
    for (let turn = 0; turn < 50; turn++) await nextTurn();
    expect([put, runner.progress.state]).toEqual([[], 'PAUSED']);
    runner.resume();
    while (put.length < 1) await nextTurn();
    runner.pause();
    while (runner.progress.committedRecords < 1) await nextTurn();
    await log.producer().send(numbers, { key: 'k', value: 2 });
    expect(await runner.finish()).toMatchObject({ records: 2, isFinished: true });
    expect((await running).records).toBe(2);
    expect(put).toEqual([1, 2]);
  });
});

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
