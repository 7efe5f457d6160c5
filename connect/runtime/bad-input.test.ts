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
  type DeadLetter,
  type Log,
} from '../../core/index.ts';
import { connectFailure, failureOf } from '../../test/kit/connect.ts';
import { readTopic, readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type {
  BadInput,
  SinkConnector,
  SinkContext,
  SourceBatch,
  SourceConnector,
} from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { SinkRunner, type SinkRunnerOptions } from './sink-runner.ts';
import { SourceRunner, type SourceRunnerOptions } from './source-runner.ts';

const numbers = topic('numbers', { key: string(), value: json<number>() });
/** The same topic, for what is no number. */
const raw = topic('numbers', { key: bytes(), value: bytes() });

async function temporaryLog(): Promise<Log> {
  return openLog(temporaryDirectory(), { logger: silentLogger });
}

/** The dead letters of a topic, in order. */
async function lettersIn(log: Log, name: string): Promise<DeadLetter[]> {
  const letters = topic(name, { key: bytes(), value: bytes() });
  return (await readTopic(log, letters, 'read_committed')).map(parseDeadLetter);
}

function badLine(line: number, stage: BadInput['stage'] = 'read'): BadInput {
  const position = { file: 'numbers.txt', line, byte: line * 10 };
  const details = { file: 'numbers.txt', line, positionBytes: line * 10, reason: 'no number' };
  const place = `numbers.txt, line ${line}`;
  return {
    ...{ stage, raw: Buffer.from(`x${line}`), place, position },
    error: new ConnectError('INVALID_JSON', `${place}: no number`, details),
  };
}

/** Reads these batches, once. */
function source(batches: readonly Partial<SourceBatch>[]): SourceConnector {
  return {
    name: 'numbers',
    topics: [numbers],
    isBounded: true,
    open: async ({ offset }) => {
      let next = Number(offset({})?.['next'] ?? 0);
      const poll = async (): Promise<SourceBatch | undefined> => {
        const batch = batches[next];
        if (batch === undefined) return undefined;
        next++;
        return { records: [], ...batch, partition: {}, offset: { next } };
      };
      return [{ poll, close: async () => undefined }];
    },
  };
}

const records = (...values: unknown[]) => {
  return values.map((value) => ({ topic: numbers, key: 'k', value }));
};

/** Keeps values, and rejects what is odd or cannot be read. */
function sink(kept: number[], put?: (context: SinkContext) => void): SinkConnector {
  return {
    ...{ name: 'evens', topics: [numbers], delivery: 'at-least-once' },
    open: async (context) => ({
      committedOffsets: undefined,
      put: (batch) => {
        put?.(context);
        for (const record of batch) {
          try {
            const value = record.value as number;
            if (value % 2 !== 0) throw new RangeError(`${value} is odd`);
            kept.push(value);
          } catch (cause) {
            context.reject(record, cause as Error);
          }
        }
      },
      commit: async () => undefined,
      close: async () => undefined,
    }),
  };
}

/** Writes numbers, and text for what is none. */
async function produce(log: Log, ...values: (number | string)[]): Promise<void> {
  await using producer = log.producer();
  const all = values.map((value) => {
    return { key: Buffer.from('k'), value: Buffer.from(String(value)), timestampMs: 7 };
  });
  await producer.sendAll(raw, all);
}

const SILENT = { logger: silentLogger };
const tolerant: SourceRunnerOptions & SinkRunnerOptions = {
  ...SILENT,
  errors: { tolerance: 'all', deadLetter: true },
};

describe('[CONNECT-ERRORS-1] without tolerance', () => {
  test('a bad piece of the input ends the run with its error', async () => {
    await using log = await temporaryLog();
    const batches = [{ records: records(1) }, { records: records(2, 4), bad: [badLine(3)] }];
    const failed = new SourceRunner(log, source(batches), { commitRecordsMax: 1 }).run();
    expect(await connectFailure(failed)).toMatchObject({
      code: 'INVALID_JSON',
      details: { file: 'numbers.txt', line: 3 },
    });
    expect(await readValues(log, numbers, 'read_committed')).toEqual([1]);
  });

  test('a rejected record ends the run with the error given', async () => {
    await using log = await temporaryLog();
    await produce(log, 3);
    const error = await failureOf(new SinkRunner(log, sink([])).finish());
    expect(ConnectError.is(error, 'CONNECTOR_FAILED') && error.cause).toEqual(
      new RangeError('3 is odd'),
    );
  });
});

describe('[CONNECT-ERRORS-2] with tolerance', () => {
  test('a source goes on behind what it cannot read, and counts it', async () => {
    await using log = await temporaryLog();
    const bad = [badLine(2), badLine(3)];
    const lines: string[] = [];
    const runner = new SourceRunner(log, source([{ records: records(1, 4), bad }]), {
      errors: { tolerance: 'all' },
      logger: { ...silentLogger, warn: (line) => lines.push(line) },
    });
    const failed = { skipped: 2, deadLettered: 0 };
    expect(await runner.run()).toMatchObject({ records: 2, failed, isEnded: true });
    expect(runner.progress).toMatchObject({ failed });
    expect(await readValues(log, numbers, 'read_committed')).toEqual([1, 4]);
    expect(lines).toEqual(['numbers left out numbers.txt, line 2: numbers.txt, line 2: no number']);
  });

  test('only so many are tolerated', async () => {
    await using log = await temporaryLog();
    const errors = { tolerance: 'all', max: 2 } as const;
    const batches = [{ bad: [badLine(1)] }, { records: records(1), bad: [badLine(2)] }];
    const options = { errors, ...SILENT };
    await new SourceRunner(log, source(batches), options).run();
    const more = [...batches, { bad: [badLine(3), badLine(4), badLine(5)] }];
    const failed = await failureOf(new SourceRunner(log, source(more), options).run());
    expect(ConnectError.is(failed, 'TOO_MANY_FAILURES') && failed.details.max).toBe(2);
    expect((failed as Error).cause).toMatchObject({ details: { line: 5 } });
    expect(await readValues(log, numbers, 'read_committed')).toEqual([1]);
  });

  test('a sink goes on behind what it rejects', async () => {
    await using log = await temporaryLog();
    await produce(log, 2, 3, 'x', 4);
    const kept: number[] = [];
    const summary = await new SinkRunner(log, sink(kept), {
      errors: { tolerance: 'all' },
      ...SILENT,
    }).finish();
    expect(summary).toMatchObject({ records: 2, failed: { skipped: 2, deadLettered: 0 } });
    expect(kept).toEqual([2, 4]);
    const again = new SinkRunner(log, sink(kept), SILENT); // nothing is left to reject
    expect(await again.finish()).toMatchObject({ records: 0 });
  });

  test('wrong options are refused', async () => {
    await using log = await temporaryLog();
    const make = (errors: object) => () => new SourceRunner(log, source([]), { errors });
    expect(make({ tolerance: 'some' })).toThrow(/errors: tolerance must be "none" or "all"/);
    expect(make({ deadLetter: true })).toThrow(/tolerance must be 'all'/);
    expect(make({ tolerance: 'none', max: 3 })).toThrow(/tolerance must be 'all'/);
    expect(make({ tolerance: 'all', deadLetter: 'a b' })).toThrow(/the name of a topic/);
    expect(make({ tolerance: 'all', deadLeter: 'a' })).toThrow(/did you mean deadLetter/);
  });
});

describe('[CONNECT-ERRORS-3] a dead letter of a source', () => {
  test('has the bytes, where they stand, and why they failed', async () => {
    await using log = await temporaryLog();
    const batches = [{ records: records(1), bad: [badLine(2), badLine(3, 'convert')] }];
    const summary = await new SourceRunner(log, source(batches), tolerant).run();
    expect(summary).toMatchObject({ records: 1, failed: { skipped: 0, deadLettered: 2 } });
    const letters = await lettersIn(log, 'connect-numbers-dead-letters');
    expect(letters).toMatchObject([
      {
        ...{ key: null, value: Buffer.from('x2'), source: undefined, place: 'numbers.txt, line 2' },
        ...{ node: 'numbers', taskId: '0', stage: 'TASK_POLL', error: 'ConnectError' },
        ...{ code: 'INVALID_JSON', message: 'numbers.txt, line 2: no number' },
      },
      { value: Buffer.from('x3'), stage: 'VALUE_CONVERTER' },
    ]);
    const handle = topic('connect-numbers-dead-letters', { key: bytes(), value: bytes() });
    const [record] = await readTopic(log, handle);
    const headers = record!.headers.map(({ key, value }) => [key, String(value)]);
    expect(headers).toContainEqual(['__connect.errors.connector.name', 'numbers']);
    expect(headers).toContainEqual(['__connect.errors.file', 'numbers.txt']);
    expect(headers).toContainEqual(['__connect.errors.line', '2']);
    expect(headers).toContainEqual(['__connect.errors.byte', '20']);
    expect(headers.map(([key]) => key)).toContain('__connect.errors.exception.stacktrace');
  });

  test('tells a record as text that its topic refuses', async () => {
    await using log = await temporaryLog();
    const odd = { topic: numbers, key: 7, value: 5, timestampMs: 3 };
    const batches = [{ records: [...records(1), odd, ...records(Symbol('two'), 4)] }];
    await new SourceRunner(log, source(batches), tolerant).run();
    expect(await readValues(log, numbers, 'read_committed')).toEqual([1, 4]);
    const letters = await lettersIn(log, 'connect-numbers-dead-letters');
    expect(letters).toMatchObject([
      {
        ...{ key: null, value: null, stage: 'KEY_CONVERTER', code: 'RECORD_REFUSED' },
        ...{ place: 'record 1 of a batch', record: '{"key":7,"value":5,"timestampMs":3}' },
        timestampMs: 3,
      },
      { stage: 'VALUE_CONVERTER', place: 'record 2 of a batch' },
    ]);
  });

  test('that would be too large keeps where it was read', async () => {
    await using log = await temporaryLog();
    const bad = [{ ...badLine(2), raw: Buffer.alloc(2_000_000) }];
    await new SourceRunner(log, source([{ bad }]), tolerant).run();
    expect(await lettersIn(log, 'connect-numbers-dead-letters')).toMatchObject([
      {
        value: null,
        place: 'numbers.txt, line 2',
        record: '2000000 bytes, too many for a dead letter',
      },
    ]);
  });
});

describe('[CONNECT-ERRORS-4] a dead letter of a sink', () => {
  test('has key, value, time and headers as they were read, and its place', async () => {
    await using log = await temporaryLog();
    await produce(log, 2, 'x', 3);
    await new SinkRunner(log, sink([]), tolerant).finish();
    expect(await lettersIn(log, 'connect-evens-dead-letters')).toMatchObject([
      {
        ...{ key: Buffer.from('k'), value: Buffer.from('x'), timestampMs: 7, headers: [] },
        ...{ source: { topic: 'numbers', partition: 0, offset: 1 }, node: 'evens' },
        ...{ stage: 'VALUE_CONVERTER', code: 'DESERIALIZATION_FAILED', place: undefined },
      },
      {
        ...{ value: Buffer.from('3'), stage: 'TASK_PUT', error: 'RangeError' },
        ...{ message: '3 is odd', source: { topic: 'numbers', partition: 0, offset: 2 } },
      },
    ]);
  });

  test('is not repeated when a commit of the output fails behind it', async () => {
    await using log = await temporaryLog();
    await produce(log, 2, 3, 5, 'x', 4);
    let failures = 2;
    const steps: string[] = [];
    const onStep = (step: string): void => {
      steps.push(step);
      if (step === 'sink-1-output' && failures-- > 0) throw new RangeError('crash');
    };
    const run = (): Promise<unknown> =>
      new SinkRunner(log, sink([]), { ...tolerant, onStep }).finish();
    expect(await failureOf(run())).toEqual(new RangeError('crash'));
    await produce(log, 7);
    expect(await failureOf(run())).toEqual(new RangeError('crash'));
    await run();
    expect(steps.filter((step) => step === 'sink-0-letters')).toHaveLength(2);
    const letters = await lettersIn(log, 'connect-evens-dead-letters');
    expect(letters.map(({ value }) => String(value))).toEqual(['3', '5', 'x', '7']);
  });

  test('comes again for an output that was set back', async () => {
    await using log = await temporaryLog();
    await produce(log, 3);
    await new SinkRunner(log, sink([]), tolerant).finish();
    await produce(log, 5);
    await new SinkRunner(log, sink([]), tolerant).finish();
    await log.admin().deleteGroups(['connect-evens']);
    await new SinkRunner(log, sink([]), tolerant).finish();
    const letters = await lettersIn(log, 'connect-evens-dead-letters');
    expect(letters.map(({ value }) => String(value))).toEqual(['3', '5', '3', '5']);
  });

  test('does not wait for the interval if there are many', async () => {
    await using log = await temporaryLog();
    await produce(log, ...Array.from({ length: 1_000 }, (_, index) => index));
    const summary = await new SinkRunner(log, sink([]), {
      ...tolerant,
      ...{ commitIntervalMs: 600_000 },
    }).finish();
    expect(summary).toMatchObject({ records: 500, failed: { deadLettered: 500 } });
    expect(summary.commits).toBeGreaterThanOrEqual(5);
    expect(await lettersIn(log, 'connect-evens-dead-letters')).toHaveLength(500);
  });
});

test('[CONNECT-ERRORS-5] a sink may fail at what it cannot read instead', async () => {
  await using log = await temporaryLog();
  await produce(log, 2, 'x', 4, 'y');
  const kept: unknown[] = [];
  const simple: SinkConnector = {
    ...{ name: 'simple', topics: [numbers], delivery: 'at-least-once' },
    open: async () => {
      kept.length = 0;
      return {
        committedOffsets: undefined,
        put: (batch) => {
          for (const { value } of batch) kept.push(value);
        },
        commit: async () => undefined,
        close: async () => undefined,
      };
    },
  };
  const failed = await failureOf(new SinkRunner(log, simple, SILENT).finish());
  expect(LogError.is(failed, 'DESERIALIZATION_FAILED')).toBe(true);
  expect(await new SinkRunner(log, simple, tolerant).finish()).toMatchObject({
    ...{ records: 2, failed: { skipped: 0, deadLettered: 2 } },
  });
  expect(kept).toEqual([2, 4]);
  const letters = await lettersIn(log, 'connect-simple-dead-letters');
  expect(letters.map(({ value, stage }) => [String(value), stage])).toEqual([
    ['x', 'VALUE_CONVERTER'],
    ['y', 'VALUE_CONVERTER'],
  ]);
});

test('[CONNECT-ERRORS-6] a sink rejects during put only', async () => {
  await using log = await temporaryLog();
  await produce(log, 2);
  let late: (() => void) | undefined;
  const keeping = sink([], ({ reject }) => {
    late = () => reject(undefined as never, new RangeError('late'));
  });
  const failed = new SinkRunner(log, keeping, {
    ...tolerant,
    onStep: (step) => {
      if (step === 'sink-1-output') late?.();
    },
  }).finish();
  expect(await connectFailure(failed)).toMatchObject({
    code: 'INVALID_STATE',
    message: expect.stringContaining('outside of put') as string,
  });
});

describe('[CONNECT-TRANSFORM-1] transforms', () => {
  test('change, drop and rename the records of a source', async () => {
    await using log = await temporaryLog();
    const summary = await new SourceRunner(log, source([{ records: records(1, 2, 3, 4) }]), {
      ...tolerant,
      transforms: [
        (record) => (record.value === 2 ? null : record),
        (record) => {
          if (record.value === 3) throw new RangeError('three');
          return { ...record, value: Number(record.value) * 10 };
        },
        (record) => (record.value === 40 ? { ...record, topic: 'forties' } : record),
      ],
    }).run();
    expect(summary).toMatchObject({ records: 2, failed: { deadLettered: 1 } });
    expect(await readValues(log, numbers, 'read_committed')).toEqual([10]);
    const forties = topic('forties', { key: string(), value: json<number>() });
    expect(await readValues(log, forties, 'read_committed')).toEqual([40]);
    expect(await lettersIn(log, 'connect-numbers-dead-letters')).toMatchObject([
      { stage: 'TRANSFORMATION', code: 'TRANSFORM_FAILED', place: 'record 2 of a batch' },
    ]);
  });

  test('change and drop the records of a sink; what fails keeps its bytes', async () => {
    await using log = await temporaryLog();
    await produce(log, 1, 2, 3, 'x', 4, 5);
    const kept: number[] = [];
    const summary = await new SinkRunner(log, sink(kept), {
      ...tolerant,
      transforms: [
        (record) => (record.value === 1 ? null : record),
        (record) => {
          if (record.value === 2) throw new RangeError('two');
          return record.value === 5 ? record : { ...record, value: Number(record.value) * 2 };
        },
      ],
    }).finish();
    expect(summary).toMatchObject({ records: 2, failed: { deadLettered: 3 } });
    expect(kept).toEqual([6, 8]);
    const letters = await lettersIn(log, 'connect-evens-dead-letters');
    expect(letters.map(({ value, stage }) => [String(value), stage])).toEqual([
      ['2', 'TRANSFORMATION'],
      ['x', 'VALUE_CONVERTER'],
      ['5', 'TASK_PUT'],
    ]);
  });

  test('that drop everything do not keep a sink from committing', async () => {
    await using log = await temporaryLog();
    await produce(log, 1, 2);
    const runner = new SinkRunner(log, sink([]), { transforms: [() => null] });
    expect(await runner.finish()).toMatchObject({ records: 0, commits: 1 });
    expect(await new SinkRunner(log, sink([])).finish()).toMatchObject({ records: 0, commits: 0 });
  });
});
