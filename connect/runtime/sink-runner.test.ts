import { expect, test } from 'vitest';
import { json, openLog, silentLogger, string, topic, type Log } from '../../core/index.ts';
import { connectFailure, failureOf } from '../../test/kit/connect.ts';
import { ManualClock } from '../../core/testing/index.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { SinkConnector, SinkOffset, SinkTask } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { SinkRunner } from './sink-runner.ts';

const numbers = topic('numbers', { key: string(), value: json<number>(), partitions: 2 });

/** The contents of a sink in memory. */
class Memory {
  readonly put: number[] = [];
  committed = 0;
  offsets: readonly SinkOffset[] | undefined;
  isFinal = false;
  isClosed = false;
  /** Called before each call does anything. */
  onCall: (call: 'open' | 'put' | 'commit' | 'close') => void = () => undefined;

  /** @param ownsOffsets stores its own offsets. */
  connector(ownsOffsets = false): SinkConnector {
    return {
      name: 'memory',
      topics: [numbers],
      delivery: ownsOffsets ? 'transactional' : 'at-least-once',
      open: async () => this.#open(ownsOffsets),
    };
  }

  #open(ownsOffsets: boolean): SinkTask {
    this.onCall('open');
    this.isClosed = false;
    return {
      committedOffsets: ownsOffsets ? (this.offsets ?? []) : undefined,
      put: (records) => {
        this.onCall('put');
        for (const { value } of records) this.put.push(value as number);
      },
      commit: async (offsets, { isFinal }) => {
        this.onCall('commit');
        this.offsets = offsets;
        this.committed = this.put.length;
        this.isFinal = isFinal;
      },
      close: async () => {
        this.onCall('close');
        this.isClosed = true;
      },
    };
  }
}

async function temporaryLog(): Promise<Log> {
  return openLog(temporaryDirectory(), { logger: silentLogger });
}

async function produce(log: Log, from: number, count: number): Promise<void> {
  await using producer = log.producer();
  const records = Array.from({ length: count }, (_, index) => {
    return { key: 'k', value: from + index, partition: (from + index) % 2 };
  });
  await producer.sendAll(numbers, records);
}

const upTo = (end: number) => Array.from({ length: end }, (_, value) => value);
const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);

test('[CONNECT-SINK-1] a sink without offsets continues at those of its group', async () => {
  await using log = await temporaryLog();
  await produce(log, 0, 10);
  const memory = new Memory();
  expect(await new SinkRunner(log, memory.connector()).finish()).toMatchObject({
    records: 10,
    commits: 1,
    isFinished: true,
  });
  await produce(log, 10, 4);
  await new SinkRunner(log, memory.connector()).finish();
  expect(sorted(memory.put)).toEqual(upTo(14));
  const { offsets } = await log.api.offsetFetch({
    groupId: 'connect-memory',
    requireStable: false,
  });
  expect(offsets.map(({ offset }) => offset)).toEqual([7, 7]);
});

test('[CONNECT-SINK-2] after a failed commit the records are put again', async () => {
  await using log = await temporaryLog();
  await produce(log, 0, 6);
  const memory = new Memory();
  memory.onCall = (call) => {
    if (call === 'commit') throw new RangeError('full');
  };
  const error = await failureOf(new SinkRunner(log, memory.connector()).finish());
  expect(ConnectError.is(error, 'CONNECTOR_FAILED') && error.details).toEqual({
    connector: 'memory',
    operation: 'commit',
  });
  expect(memory.isClosed).toBe(true);
  memory.onCall = () => undefined;
  await new SinkRunner(log, memory.connector()).finish();
  expect(sorted(memory.put)).toEqual([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
});

test('[CONNECT-SINK-3] a sink with its own offsets starts there', async () => {
  await using log = await temporaryLog();
  await produce(log, 0, 10);
  const memory = new Memory();
  memory.offsets = [{ topic: 'numbers', partition: 0, offset: 3 }];
  await new SinkRunner(log, memory.connector(true)).finish();
  expect(sorted(memory.put)).toEqual([1, 3, 5, 6, 7, 8, 9]);
  expect(memory.offsets).toEqual([
    { topic: 'numbers', partition: 0, offset: 5 },
    { topic: 'numbers', partition: 1, offset: 5 },
  ]);
});

test('[CONNECT-SINK-4] an output ahead of the log is an error', async () => {
  await using log = await temporaryLog();
  await produce(log, 0, 2);
  const memory = new Memory();
  memory.offsets = [{ topic: 'numbers', partition: 1, offset: 9 }];
  expect(await connectFailure(new SinkRunner(log, memory.connector(true)).finish())).toMatchObject({
    code: 'OUTPUT_AHEAD',
    details: { topic: 'numbers', partition: 1, offset: 9, endOffset: 1 },
  });
  expect(memory.put).toEqual([]);
  expect(memory.isClosed).toBe(true);
});

test('[CONNECT-SINK-5] only committed records are written', async () => {
  await using log = await temporaryLog();
  await using producer = log.producer({ transactionalId: 'p' });
  const aborted = await producer.beginTransaction();
  await aborted.sendAll(numbers, [{ key: 'k', value: -1, partition: 0 }]);
  await aborted.abort();
  await produce(log, 0, 4);
  const open = await producer.beginTransaction();
  await open.sendAll(numbers, [{ key: 'k', value: 4, partition: 0 }]);
  await producer.flush();
  await produce(log, 6, 2); // behind the open transaction, in one of the partitions
  const memory = new Memory();
  await new SinkRunner(log, memory.connector()).finish();
  expect(sorted(memory.put)).toEqual([0, 1, 2, 3, 7]);
  await open.commit();
  await new SinkRunner(log, memory.connector()).finish();
  expect(sorted(memory.put)).toEqual([0, 1, 2, 3, 4, 6, 7]);
});

test('[CONNECT-SINK-6] finish writes what is there and is final; stop is not', async () => {
  await using log = await temporaryLog();
  await produce(log, 0, 4);
  const memory = new Memory();
  const runner = new SinkRunner(log, memory.connector());
  const running = runner.run();
  while (memory.put.length < 4) await nextTurn();
  await produce(log, 4, 4);
  expect(await runner.finish()).toMatchObject({ records: 8, isFinished: true });
  expect(await running).toEqual(await runner.finish());
  expect(memory).toMatchObject({ committed: 8, isFinal: true, isClosed: true });

  await produce(log, 8, 2);
  const abort = new AbortController();
  const stopped = new SinkRunner(log, memory.connector(), { signal: abort.signal });
  const stopping = stopped.run();
  while (memory.put.length < 10) await nextTurn();
  abort.abort();
  expect(await stopping).toMatchObject({ records: 2, isFinished: false });
  expect(memory).toMatchObject({ committed: 10, isFinal: false, isClosed: true });
});

test('[CONNECT-SINK-7] commits follow the interval, and commitRecordsMax', async () => {
  await using log = await temporaryLog();
  await produce(log, 0, 4);
  const clock = new ManualClock();
  const memory = new Memory();
  const runner = new SinkRunner(log, memory.connector(), { clock, commitRecordsMax: 100 });
  const running = runner.run();
  while (memory.put.length < 4) await nextTurn();
  expect(memory.committed).toBe(0);
  clock.advance(1000);
  while (memory.committed < 4) await nextTurn();
  await produce(log, 4, 200);
  while (memory.committed < 104) await nextTurn();
  await runner.stop();
  expect(await running).toMatchObject({ records: 204 });
});

test('[CONNECT-SINK-8] a failure at any call ends the run and closes the sink', async () => {
  await using log = await temporaryLog();
  await produce(log, 0, 2);
  for (const operation of ['open', 'put', 'commit', 'close'] as const) {
    const memory = new Memory();
    memory.onCall = (call) => {
      if (call === operation) throw new RangeError(operation);
    };
    const runner = new SinkRunner(log, memory.connector(), { groupId: operation });
    expect(await connectFailure(runner.finish())).toMatchObject({
      code: 'CONNECTOR_FAILED',
      details: { connector: 'memory', operation },
    });
  }
});

test('[CONNECT-SINK-9] progress counts records, and how many wait', async () => {
  await using log = await temporaryLog();
  await produce(log, 0, 6);
  const runner = new SinkRunner(log, new Memory().connector());
  expect(runner.progress).toMatchObject({ records: 0, committedRecords: 0, lag: 0 });
  const seen: number[] = [];
  let isComplete = false;
  runner.progress$.subscribe({
    next: ({ lag }) => seen.push(lag),
    complete: () => (isComplete = true),
  });
  await runner.finish();
  expect(seen).toContain(3);
  const failed = { skipped: 0, deadLettered: 0 };
  expect(runner.progress).toEqual({
    ...{ records: 6, committedRecords: 6, lag: 0, failed, state: 'ENDED', retry: undefined },
  });
  expect(isComplete).toBe(true);
});

test('[CONNECT-SINK-10] a runner runs once, and checks its options', async () => {
  await using log = await temporaryLog();
  const runner = new SinkRunner(log, new Memory().connector());
  await runner.finish();
  expect((await connectFailure(runner.run())).code).toBe('INVALID_STATE');
  const options = { comitIntervalMs: 5 } as object;
  expect(() => new SinkRunner(log, new Memory().connector(), options)).toThrow(
    /did you mean commitIntervalMs/,
  );
});

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
