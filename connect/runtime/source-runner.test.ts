import { expect, test } from 'vitest';
import {
  json,
  LogError,
  openLog,
  silentLogger,
  string,
  topic,
  type Log,
  type Transaction,
} from '../../core/index.ts';
import { connectFailure, failureOf } from '../../test/kit/connect.ts';
import { ManualClock } from '../../core/testing/index.ts';
import { readTopic, readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type {
  SourceBatch,
  SourceConnector,
  SourceContext,
  SourcePartition,
  SourceTask,
} from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { connectOffsets } from './source-offsets.ts';
import { SourceRunner } from './source-runner.ts';

const numbers = topic('numbers', { key: string(), value: json<number>(), partitions: 2 });

interface CounterOptions {
  readonly name?: string;
  /** Counts up to here, 10 numbers per batch. */
  readonly end: number;
  /** Each is a partition and a task. */
  readonly partitions?: readonly string[];
  /** Called before each batch with the numbers in it so far. */
  readonly onPoll?: (next: number, context: SourceContext) => unknown;
}

/** Counts from the committed offset to `end`. */
function counter(options: CounterOptions): SourceConnector {
  const { name = 'counter', end, partitions = ['a'], onPoll } = options;
  return {
    name,
    topics: [numbers],
    isBounded: true,
    open: async (context) =>
      partitions.map((part): SourceTask => {
        const partition: SourcePartition = { part };
        let next = Number(context.offset(partition)?.['next'] ?? 0);
        return {
          async poll(): Promise<SourceBatch | undefined> {
            await onPoll?.(next, context);
            if (next >= end) return undefined;
            const from = next;
            next = Math.min(end, from + 10);
            const records = Array.from({ length: next - from }, (_, index) => {
              return { topic: numbers, key: part, value: from + index, timestampMs: from + index };
            });
            return { records, partition, offset: { next } };
          },
          progress: () => ({ unit: 'rows', done: next, total: end, current: part }),
          close: async () => undefined,
        };
      }),
  };
}

async function temporaryLog(): Promise<Log> {
  return openLog(temporaryDirectory(), { logger: silentLogger });
}

const committed = (log: Log) => readValues(log, numbers, 'read_committed');
const upTo = (end: number) => Array.from({ length: end }, (_, value) => value);

test('[CONNECT-SOURCE-2] a run continues at the committed offset', async () => {
  await using log = await temporaryLog();
  const first = await new SourceRunner(log, counter({ end: 25 })).run();
  expect(first).toMatchObject({ records: 25, commits: 1, isEnded: true });
  const again = await new SourceRunner(log, counter({ end: 25 })).run();
  expect(again).toMatchObject({ records: 0, commits: 0, isEnded: true });
  await new SourceRunner(log, counter({ end: 31 })).run();
  expect(await committed(log)).toEqual(upTo(31));
});

test('[CONNECT-SOURCE-4] offsets are stored as Kafka Connect stores them', async () => {
  await using log = await temporaryLog();
  await new SourceRunner(log, counter({ end: 5 })).run();
  const [record, ...more] = await readTopic(log, connectOffsets, 'read_committed');
  expect(record?.key).toEqual(['counter', { part: 'a' }]);
  expect(record?.value).toEqual({ next: 5 });
  expect(more).toEqual([]);
  const [described] = await log.admin().describeTopics(['connect-offsets']);
  expect(described?.config).toMatchObject({ 'cleanup.policy': 'compact' });
  // A tombstone makes the source start over, as in Kafka Connect.
  await log.producer().send(connectOffsets, { key: record!.key, value: null });
  await new SourceRunner(log, counter({ end: 2 })).run();
  expect(await committed(log)).toEqual([...upTo(5), 0, 1]);
});

test('[CONNECT-SOURCE-3] a new run fences the one before, which commits nothing more', async () => {
  await using log = await temporaryLog();
  let release: () => void = () => undefined;
  const waiting = new Promise<void>((resolve) => (release = resolve));
  let arrive: () => void = () => undefined;
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  const onPoll = (next: number) => {
    if (next !== 20) return undefined;
    arrive();
    return waiting;
  };
  const zombie = new SourceRunner(log, counter({ end: 40, onPoll })).run();
  await arrived;
  await new SourceRunner(log, counter({ end: 30 })).run();
  release();
  expect(LogError.is(await failureOf(zombie), 'PRODUCER_FENCED')).toBe(true);
  expect(await committed(log)).toEqual(upTo(30));
});

test('[CONNECT-SOURCE-5] commits follow the interval even if the source is silent', async () => {
  await using log = await temporaryLog();
  const clock = new ManualClock();
  const onPoll = (next: number, { signal }: SourceContext) => {
    if (next < 20) return undefined;
    return new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  };
  const runner = new SourceRunner(log, counter({ end: 20, onPoll }), {
    clock,
    commitIntervalMs: 500,
  });
  const running = runner.run();
  while (runner.progress.records < 20) await nextTurn();
  expect(await committed(log)).toEqual([]);
  clock.advance(500);
  while (runner.progress.committedRecords < 20) await nextTurn();
  expect(await committed(log)).toEqual(upTo(20));
  await runner.stop();
  expect(await running).toMatchObject({ records: 20, commits: 1, isEnded: false });
});

test('[CONNECT-SOURCE-6] a commit comes early if commitRecordsMax records wait', async () => {
  await using log = await temporaryLog();
  const options = { commitRecordsMax: 20, clock: new ManualClock() };
  const summary = await new SourceRunner(log, counter({ end: 95 }), options).run();
  expect(summary).toMatchObject({ records: 95, commits: 5 });
});

test('[CONNECT-SOURCE-7] stop and an aborted signal commit what was read', async () => {
  for (const by of ['stop', 'signal'] as const) {
    await using log = await temporaryLog();
    const abort = new AbortController();
    const onPoll = (next: number): void => {
      if (next !== 30) return;
      if (by === 'signal') abort.abort();
      else void runner.stop();
    };
    const runner = new SourceRunner(log, counter({ end: 1000, onPoll }), { signal: abort.signal });
    const summary = await runner.run();
    expect(summary).toMatchObject({ records: 40, isEnded: false });
    expect(await committed(log)).toEqual(upTo(40));
    await new SourceRunner(log, counter({ end: 50 })).run();
    expect(await committed(log)).toEqual(upTo(50));
  }
});

test('[CONNECT-SOURCE-8] a failure ends the run; nothing since the commit counts', async () => {
  await using log = await temporaryLog();
  const reason = new RangeError('no more numbers');
  const onPoll = (next: number): void => {
    if (next === 70) throw reason;
  };
  const options = { commitRecordsMax: 50 };
  const failed = new SourceRunner(log, counter({ end: 100, onPoll }), options).run();
  const error = await failureOf(failed);
  expect(ConnectError.is(error, 'CONNECTOR_FAILED') && error.details).toEqual({
    connector: 'counter',
    operation: 'poll',
  });
  expect((error as Error).cause).toBe(reason);
  expect(await committed(log)).toEqual(upTo(50));
  await new SourceRunner(log, counter({ end: 100 })).run();
  expect(await committed(log)).toEqual(upTo(100));
});

test('[CONNECT-SOURCE-9] tasks run side by side, each partition with its own offset', async () => {
  await using log = await temporaryLog();
  const partitions = ['a', 'b', 'c'];
  const onPoll = (next: number): void => {
    if (next === 40) throw new RangeError('stop');
  };
  const options = { commitRecordsMax: 30 };
  await failureOf(new SourceRunner(log, counter({ end: 50, partitions, onPoll }), options).run());
  const summary = await new SourceRunner(log, counter({ end: 50, partitions }), options).run();
  expect(summary.records).toBeGreaterThan(0);
  const records = await readTopic(log, numbers, 'read_committed');
  for (const part of partitions) {
    const values = records.filter(({ key }) => key === part).map(({ value }) => value);
    expect(values).toEqual(upTo(50));
  }
});

test('[CONNECT-SOURCE-10] a refused record is an error with its origin', async () => {
  await using log = await temporaryLog();
  const bad = (describe?: (index: number) => string): SourceConnector => ({
    ...counter({ end: 0 }),
    open: async () => [
      {
        poll: async () => ({
          records: [
            { topic: numbers, key: 'k', value: 1 },
            { topic: numbers, key: 7, value: 2 },
          ],
          partition: {},
          offset: {},
          ...(describe && { describe }),
        }),
        close: async () => undefined,
      },
    ],
  });
  const described = bad((index) => `numbers.txt, line ${index + 1}`);
  expect(await connectFailure(new SourceRunner(log, described).run())).toMatchObject({
    code: 'RECORD_REFUSED',
    details: { connector: 'counter', topic: 'numbers', place: 'numbers.txt, line 2' },
    message: expect.stringMatching(/^numbers.txt, line 2: the key of a record/) as string,
  });
  const { details } = await connectFailure(new SourceRunner(log, bad()).run());
  expect(details['place']).toBe('record 1 of a batch');
  expect(await committed(log)).toEqual([]);
});

test('[CONNECT-SOURCE-11] undeclared topics and other partition counts are errors', async () => {
  await using log = await temporaryLog();
  const undeclared = { ...counter({ end: 5 }), topics: [] };
  expect((await connectFailure(new SourceRunner(log, undeclared).run())).code).toBe(
    'UNDECLARED_TOPIC',
  );
  await log.admin().createTopic('numbers', { partitions: 3 });
  const failure = await failureOf(new SourceRunner(log, counter({ end: 5 })).run());
  expect(LogError.is(failure, 'PARTITION_MISMATCH')).toBe(true);
});

test('[CONNECT-SOURCE-12] progress counts records and adds up the tasks', async () => {
  await using log = await temporaryLog();
  const runner = new SourceRunner(log, counter({ end: 30, partitions: ['a', 'b'] }));
  expect(runner.progress).toMatchObject({ records: 0, done: 0, total: undefined });
  const seen: number[] = [];
  let isComplete = false;
  runner.progress$.subscribe({
    next: ({ records }) => seen.push(records),
    complete: () => (isComplete = true),
  });
  await runner.run();
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect(isComplete).toBe(true);
  expect(runner.progress).toEqual({
    records: 60,
    committedRecords: 60,
    unit: 'rows',
    done: 60,
    total: 60,
    current: 'a',
    failed: { skipped: 0, deadLettered: 0 },
    state: 'ENDED',
    retry: undefined,
  });
});

test('[CONNECT-SOURCE-13] a runner runs once, and checks its options', async () => {
  await using log = await temporaryLog();
  const runner = new SourceRunner(log, counter({ end: 1 }));
  await runner.run();
  expect((await connectFailure(runner.run())).code).toBe('INVALID_STATE');
  const stopped = new SourceRunner(log, counter({ end: 1 }));
  await stopped.stop();
  expect((await connectFailure(stopped.run())).message).toMatch(/was stopped before/);
  const misspelt = { commitIntervallMs: 5 } as object;
  expect(() => new SourceRunner(log, counter({ end: 1 }), misspelt)).toThrow(
    /did you mean commitIntervalMs/,
  );
});

test('[CONNECT-SOURCE-14] open transactions of other connectors hide no offset', async () => {
  await using log = await temporaryLog();
  await using other = log.producer({ transactionalId: 'connect-other' });
  let open: Transaction | undefined;
  const onPoll = async (next: number): Promise<void> => {
    if (next !== 10) return;
    open = await other.beginTransaction();
    open.send(connectOffsets, { key: ['other', {}], value: { next: 1 } });
    await other.flush();
  };
  await new SourceRunner(log, counter({ end: 20, onPoll })).run();
  // The first run's commit comes after the open transaction.
  let isDone = false;
  const again = new SourceRunner(log, counter({ end: 25 })).run().finally(() => (isDone = true));
  for (let turn = 0; turn < 100; turn++) await nextTurn();
  expect(isDone).toBe(false);
  await open?.commit();
  expect(await again).toMatchObject({ records: 5 });
  expect(await committed(log)).toEqual(upTo(25));
});

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
