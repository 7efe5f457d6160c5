import { rmSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { int64, string, systemClock, topic, type Log } from '../../core/index.ts';
import { sleep } from '../../core/internal.ts';
import {
  committedRows,
  makeApp,
  openTestLog,
  produce,
  runToEnd,
  until,
} from '../../test/kit/app.ts';
import { runChild } from '../../test/kit/child.ts';
import { failureOf } from '../../test/kit/connect.ts';
import { sums } from '../../test/kit/drive.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import { minutes } from '../time.ts';
import type { Topology } from '../topology/topology.ts';
import type { StreamsState } from './app-life.ts';
import type { CommitStep } from './commit.ts';
import type { StreamsMetrics } from './metrics.ts';

const input = topic('numbers', { key: string(), value: int64(), partitions: 3 });

/** Running sums of each key. */
function summing(): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream(input)
    .groupByKey()
    .reduce((sum, value) => sum + value, { store: 'sums' })
    .toStream()
    .to(sums);
  return builder.build();
}

function* ones(count: number, from = 0): Generator<[string, number, number]> {
  for (let index = from; index < from + count; index++) yield [`k${index % 7}`, 1, index];
}

/** The newest value of each key. */
async function newest(log: Log): Promise<Map<string | null, number | null>> {
  const records = await readTopic(log, sums, 'read_committed');
  return new Map(records.map(({ key, value }) => [key, value]));
}

function expected(count: number): Map<string, number> {
  const totals = new Map<string, number>();
  for (const [key] of ones(count)) totals.set(key, (totals.get(key) ?? 0) + 1);
  return totals;
}

describe.each(['exactly_once', 'at_least_once'] as const)('[STREAMS-9] %s', (guarantee) => {
  const options = { processingGuarantee: guarantee };

  test('processes existing input and continues where it stopped', async () => {
    const log = await openTestLog();
    await produce(log, input, ones(1000));
    const first = await runToEnd(log, summing(), options);
    expect(first.metrics().processedRecords).toBe(1000);
    expect(await newest(log)).toEqual(expected(1000));
    await produce(log, input, ones(500, 1000));
    const second = await runToEnd(log, summing(), options);
    expect(second.metrics().processedRecords).toBe(500);
    expect(await newest(log)).toEqual(expected(1500));
  });

  test('continues after the log is closed and reopened', async () => {
    const log = await openTestLog({ directory: temporaryDirectory() });
    await produce(log, input, ones(100));
    await runToEnd(log, summing(), options);
    await log.close();
    const again = await openTestLog({ directory: log.directory });
    await produce(again, input, ones(100, 100));
    await runToEnd(again, summing(), options);
    expect(await newest(again)).toEqual(expected(200));
  });

  test('processes input that comes while it runs and commits it at close', async () => {
    const log = await openTestLog();
    const app = makeApp(log, summing(), options);
    await app.start();
    for (let round = 0; round < 5; round++) await produce(log, input, ones(100, round * 100));
    await until(() => app.metrics().processedRecords === 500);
    await produce(log, input, ones(2000, 500)); // it may process any part of these
    await app.close();
    const { processedRecords } = app.metrics();
    const total = [...(await newest(log)).values()].reduce<number>((a, b) => a + (b ?? 0), 0);
    expect(total).toBe(processedRecords);
    await runToEnd(log, summing(), options);
    expect(await newest(log)).toEqual(expected(2500));
  });
});

test('[STREAMS-9] exactly_once: one result per key and commit, and each sum once', async () => {
  const log = await openTestLog();
  await produce(log, input, ones(20_000));
  await runToEnd(log, summing(), { commitIntervalMs: 5 });
  const byKey = new Map<string | null, number[]>();
  for (const { key, value } of await readTopic(log, sums, 'read_committed')) {
    byKey.set(key, [...(byKey.get(key) ?? []), value ?? 0]);
  }
  for (const values of byKey.values()) {
    expect(values).toEqual([...new Set(values)].sort((a, b) => a - b));
  }
  expect(await newest(log)).toEqual(expected(20_000));
});

test.each([1, 1_000_000])(
  '[STATE-11] state that is gone comes back from the changelog, in checkpoints of %i',
  async (checkpointEntriesMax) => {
    const log = await openTestLog();
    const stateDir = temporaryDirectory();
    await produce(log, input, ones(1000));
    // Of seven keys in three tasks one task has three: more than twice the allowed tail.
    const options = { stateDir, checkpointEntriesMax };
    await runToEnd(log, summing(), options);
    rmSync(stateDir, { recursive: true });
    await produce(log, input, ones(500, 1000));
    const onStep = () => {
      throw new TypeError('no further than this'); // before any commit has a checkpoint
    };
    const failing = makeApp(log, summing(), { ...options, onStep });
    await failing.start();
    expect(await failureOf(failing.done)).toBeInstanceOf(TypeError);
    await runToEnd(log, summing(), options);
    expect(await newest(log)).toEqual(expected(1500));
  },
);

test('[STREAMS-10] a missing topic is created as its handle says', async () => {
  const log = await openTestLog();
  const out = topic('sums', {
    key: string(),
    value: int64(),
    partitions: 2,
    config: { retentionMs: 12_345, cleanupPolicy: 'compact' },
  });
  const source = topic('numbers', {
    key: string(),
    value: int64(),
    partitions: 3,
    config: { segmentBytes: 99_999 },
  });
  const builder = new StreamsBuilder();
  builder.stream(source).to(out);
  await runToEnd(log, builder.build());
  const described = await log.admin().describeTopics(['sums', 'numbers']);
  expect(described.map(({ partitions, config }) => [partitions, config])).toEqual([
    [2, { 'retention.ms': '12345', 'cleanup.policy': 'compact' }],
    [3, { 'segment.bytes': '99999' }],
  ]);
});

test('[STREAMS-10] two sinks on one topic keep their serdes', async () => {
  const log = await openTestLog();
  const texts = topic('mixed', { key: string(), value: string() });
  const counts = topic('mixed', { key: string(), value: int64() });
  const builder = new StreamsBuilder();
  const stream = builder.stream(input);
  stream.mapValues((value) => `text ${value}`).to(texts);
  stream.to(counts);
  await produce(log, input, [['a', 7, 1]]);
  await runToEnd(log, builder.build());
  const written = await readTopic(log, topic('mixed', { key: string(), value: string() }));
  expect(written.map(({ value }) => value)).toEqual(['text 7', '\0\0\0\0\0\0\0\x07']);
});

describe('[STREAMS-11] one application at a time', () => {
  test('a second one of the same id is refused and the first continues', async () => {
    const log = await openTestLog();
    const first = makeApp(log, summing());
    await first.start();
    const second = makeApp(log, summing());
    const failure = await failureOf(second.start());
    expect(StreamsError.is(failure, 'APPLICATION_RUNNING')).toBe(true);
    expect(second.state).toBe('ERROR');
    expect(await failureOf(second.done)).toBe(failure);
    await produce(log, input, ones(50));
    await first.finish();
    expect(await newest(log)).toEqual(expected(50));
    const third = makeApp(log, summing());
    await third.start();
    await third.finish();
  });

  test('one of another id has its own offsets, topics and state', async () => {
    const log = await openTestLog();
    await produce(log, input, ones(50));
    const one = makeApp(log, summing(), { applicationId: 'one' });
    const two = makeApp(log, summing(), { applicationId: 'two' });
    await Promise.all([one.start(), two.start()]);
    await Promise.all([one.finish(), two.finish()]);
    expect(one.metrics().processedRecords).toBe(50);
    expect(two.metrics().processedRecords).toBe(50);
    const topics = await log.admin().listTopics();
    expect(topics).toContain('one-sums-changelog');
    expect(topics).toContain('two-sums-changelog');
  });
});

test('[STREAMS-15] an application waits for transactions that may commit its offsets', async () => {
  const log = await openTestLog();
  await produce(
    log,
    input,
    [...ones(10)].map((row) => [...row, 0] as const),
  );
  const producer = log.producer({ transactionalId: 'other' });
  onTestFinished(() => producer.close());
  const transaction = await producer.beginTransaction();
  const next = { topic: 'numbers', partition: 0, offset: 4, metadata: '' };
  await transaction.sendOffsets([next], 'app');
  const app = makeApp(log, summing());
  const starting = app.start();
  const admin = log.admin();
  // It creates its topics, then reads its committed offsets.
  await until(async () => (await admin.listTopics()).includes('app-sums-changelog'));
  await sleep(systemClock, 20);
  expect(app.state).toBe('RETRYING');
  await transaction.commit();
  await starting;
  await app.finish();
  expect(app.metrics().processedRecords).toBe(6);
});

describe('[STREAMS-12] the life of an application', () => {
  const collect = <T>(values: {
    subscribe: (observer: { next: (value: T) => void; complete: () => void }) => unknown;
  }) => {
    const seen: (T | 'complete')[] = [];
    values.subscribe({
      next: (value) => void seen.push(value),
      complete: () => void seen.push('complete'),
    });
    return seen;
  };

  test('shows in state$ and metrics$', async () => {
    const log = await openTestLog();
    await produce(log, input, ones(50));
    const app = makeApp(log, summing());
    const states = collect<StreamsState>(app.state$);
    const metrics = collect<StreamsMetrics>(app.metrics$);
    await app.start();
    expect(states).toEqual(['CREATED', 'RESTORING', 'RUNNING']);
    await until(() => metrics.length > 0); // once a second
    await app.finish();
    expect(states).toEqual(['CREATED', 'RESTORING', 'RUNNING', 'NOT_RUNNING', 'complete']);
    expect(metrics.at(-1)).toBe('complete');
    expect(metrics.at(-2)).toEqual(app.metrics());
    expect(app.metrics()).toMatchObject({
      processedRecords: 50,
      droppedRecords: { late: 0, 'null-key': 0, 'null-value': 0, unmatched: 0 },
      checkpoints: 1,
      tasks: [
        { taskId: '0_0', lag: 0 },
        { taskId: '0_1', lag: 0 },
        { taskId: '0_2', lag: 0 },
      ],
    });
    expect(collect(app.state$)).toEqual(['NOT_RUNNING', 'complete']);
    expect(collect(app.metrics$)).toEqual([app.metrics(), 'complete']);
  });

  test('ends with close: PENDING_SHUTDOWN, NOT_RUNNING; a second close does nothing', async () => {
    const log = await openTestLog();
    const app = makeApp(log, summing());
    const states = collect<StreamsState>(app.state$);
    await app.start();
    await app.close();
    await app.close();
    expect(states.slice(2)).toEqual(['RUNNING', 'PENDING_SHUTDOWN', 'NOT_RUNNING', 'complete']);
  });

  test('starts once', async () => {
    const log = await openTestLog();
    const app = makeApp(log, summing());
    const starting = app.start();
    expect(await codeOf(app.start())).toBe('INVALID_STATE');
    await starting;
    expect(await codeOf(app.start())).toBe('INVALID_STATE');
    await app.close();
    expect(await codeOf(app.start())).toBe('INVALID_STATE');
  });

  test('cannot be finished before its start, nor started after its close', async () => {
    const log = await openTestLog();
    const app = makeApp(log, summing());
    expect(await codeOf(app.finish())).toBe('INVALID_STATE');
    const states = collect<StreamsState>(app.state$);
    await app.close();
    expect(states).toEqual(['CREATED', 'NOT_RUNNING', 'complete']);
    expect(await codeOf(app.start())).toBe('INVALID_STATE');
  });

  test('may end while it starts', async () => {
    const log = await openTestLog();
    await produce(log, input, ones(100));
    for (const delayMs of [0, 1, 5, 10]) {
      const app = makeApp(log, summing());
      const starting = failureOf(app.start());
      await sleep(systemClock, delayMs);
      await app.close();
      expect(app.state).toBe('NOT_RUNNING');
      const outcome = await starting;
      if (!(outcome instanceof TypeError)) {
        expect(StreamsError.is(outcome, 'INVALID_STATE')).toBe(true);
      }
    }
    await runToEnd(log, summing());
    expect(await newest(log)).toEqual(expected(100));
  });

  test('finish rejects if close comes first', async () => {
    const log = await openTestLog();
    await produce(log, input, ones(100));
    const app = makeApp(log, summing(), { idleTimeoutMs: Infinity });
    await app.start();
    const closing = app.close();
    expect(await codeOf(app.finish())).toBe('INVALID_STATE');
    await closing;
  });
});

describe('[STREAMS-20] a function that throws', () => {
  const failing = (): Topology => {
    const builder = new StreamsBuilder();
    builder.stream(input).peek(() => {
      throw new RangeError('unlucky');
    });
    return builder.build();
  };
  const program = 'test/kit/unheard-app-process.ts';

  test('ends a program without listeners, with its error', async () => {
    const { how } = await runChild(program, [temporaryDirectory()]);
    expect(how).toMatch(/^1 /);
    const reason = 'peek-numbers failed on numbers-0 at offset 0: unlucky';
    expect(how).toContain(`millrace: application app has failed: ${reason}\n`);
    expect(how).toContain(`StreamsError: ${reason}`); // the unhandled rejection, as Node shows it
  });

  test('is reported only by done if something listens to it', async () => {
    const { how, output } = await runChild(program, [temporaryDirectory(), 'listen']);
    expect(output).toBe('heard');
    expect(how).toBe('0');
  });

  test('makes close reject if nothing else reports it, but only the first close', async () => {
    const log = await openTestLog();
    const onStep = (step: CommitStep) => {
      if (step === 'checkpoint-1-offsets') throw new TypeError('no checkpoint');
    };
    const app = makeApp(log, summing(), { onStep, checkpointIntervalMs: 1_000_000 });
    await app.start();
    expect(await failureOf(app.close())).toEqual(new TypeError('no checkpoint'));
    expect(app.state).toBe('ERROR');
    await app.close();
  });

  test.each(['done', 'finish'] as const)('is not reported again by close: %s', async (by) => {
    const log = await openTestLog();
    await produce(log, input, ones(1));
    const app = makeApp(log, failing());
    await app.start();
    const heard = failureOf(by === 'done' ? app.done : app.finish());
    await app.close();
    expect(StreamsError.is(await heard, 'PROCESSING_FAILED')).toBe(true);
  });
});

test('[STREAMS-13] a single record does not wait for the commit interval', async () => {
  const log = await openTestLog();
  const app = makeApp(log, summing(), {
    ...{ commitIntervalMs: minutes(5), transactionTimeoutMs: minutes(10) },
  });
  await app.start();
  for (let index = 0; index < 5; index++) {
    await produce(log, input, [['a', 1, index]]);
    await until(async () => (await committedRows(log, sums)).length === index + 1);
  }
});

test('[STREAMS-14] onStep gets each step of commits and checkpoints, in order', async () => {
  const log = await openTestLog();
  await produce(log, input, ones(10));
  const steps: CommitStep[] = [];
  await runToEnd(log, summing(), { onStep: (step) => void steps.push(step) });
  const commit = [
    'commit-1-flush',
    'commit-2-changelog',
    'commit-3-produce',
    'commit-4-offsets',
    'commit-5-end',
    'commit-6-move',
  ];
  expect(steps.slice(0, 6)).toEqual(commit);
  const tasks = [0, 1, 2].flatMap(() => ['checkpoint-1-offsets', 'checkpoint-2-write']);
  expect(steps.slice(-7)).toEqual([...tasks, 'checkpoint-3-done']);
});

describe('[STREAMS-2] options of an application', () => {
  test.each([
    [{}, 'INVALID_OPTION'],
    [{ applicationId: 'a b' }, 'INVALID_OPTION'],
    [{ applicationId: 'a', commitInterval: 5 }, 'UNKNOWN_OPTION'],
    [{ applicationId: 'a', processingGuarantee: 'twice' }, 'INVALID_OPTION'],
    [{ applicationId: 'a', commitIntervalMs: -1 }, 'INVALID_OPTION'],
    [{ applicationId: 'a', idleTimeoutMs: 0.5 }, 'INVALID_OPTION'],
    [{ applicationId: 'a', commitIntervalMs: 5000, transactionTimeoutMs: 5000 }, 'INVALID_OPTION'],
  ])('%j is refused: %s', async (options, code) => {
    const log = await openTestLog();
    const make = async () =>
      makeApp(log, summing(), { applicationId: undefined, ...options } as never);
    expect(await codeOf(make())).toBe(code);
  });

  test('at_least_once has no transactions whose timeout could be too short', async () => {
    const log = await openTestLog();
    const options = { commitIntervalMs: 90_000, processingGuarantee: 'at_least_once' } as const;
    expect(() => makeApp(log, summing(), options)).not.toThrow();
  });
});

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return ((await failureOf(promise)) as { code?: string }).code ?? 'resolved';
}
