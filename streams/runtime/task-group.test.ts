import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { int64, seededRandom, string, topic, type Log } from '../../core/index.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { makeApp, openTestLog, produce, runToEnd, until } from '../../test/kit/app.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import {
  copyState,
  openDisk,
  WAYS_TO_STOP,
  type Moment,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { tumblingWindow } from '../topology/windows.ts';
import type { StreamsApp } from './app.ts';
import type { CommitStep } from './commit.ts';
import { Division, DIVISION } from './division.ts';
import type { StreamsOptions } from './options.ts';

const PARTITIONS = 3;
const numbers = topic('numbers', { key: string(), value: int64(), partitions: PARTITIONS });
const names = topic('names', { key: string(), value: string() });
const results = topic('results', { key: string(), value: string(), partitions: 2 });
const options = { commitIntervalMs: 1, checkpointIntervalMs: 5, idleTimeoutMs: Infinity } as const;

/**
 * What does not depend on commits, nor on the order of records of different partitions: a count of
 * each record by its key, with a name of a global table, and counts in windows behind a repartition
 * topic.
 */
function application() {
  const builder = new StreamsBuilder();
  const stream = builder.stream(numbers, { nullKeys: 'fail' });
  const each = stream.groupByKey().count({ store: 'each', emit: 'each' });
  const windows = stream
    .groupBy(({ value }) => `v${value % 5}`, { key: string() })
    .windowedBy(tumblingWindow({ sizeMs: 100 }))
    .count({ store: 'windows', emit: 'final' });
  each
    .toStream()
    .join(
      builder.globalTable(names),
      ({ key }) => key,
      (count, name) => `${name} ${count}`,
    )
    .to(results);
  windows
    .toStream()
    .map(({ key: { key, windowStartMs }, value }) => {
      return { key: `${key} ${windowStartMs}`, value: String(value) };
    })
    .to(results);
  return { topology: builder.build(), each };
}

type Row = [key: string, value: number, timestampMs: number, partition: number];

function* rows(from: number, to: number): Generator<Row> {
  for (let index = from; index < to; index++) {
    yield [`k${index % 7}`, index, index, (index % 7) % PARTITIONS];
  }
}

async function produceNames(log: Log): Promise<void> {
  const keys = Array.from({ length: 7 }, (_, index) => `k${index}`);
  await produce(
    log,
    names,
    keys.map((key) => [key, key.toUpperCase(), 0] as const),
  );
}

/** All results of each key, in their order. */
async function resultsByKey(log: Log): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const { key, value, timestampMs } of await readTopic(log, results, 'read_committed')) {
    (found[key ?? ''] ??= []).push(`${value} @${timestampMs}`);
  }
  return found;
}

/** What one group makes of so many records, without a move. */
async function undisturbed(count: number): Promise<Record<string, string[]>> {
  const log = await openTestLog();
  await produceNames(log);
  await produce(log, numbers, rows(0, count));
  await runToEnd(log, application().topology, options);
  const found = await resultsByKey(log);
  expect(Object.values(found).flat().length).toBeGreaterThan(count);
  return found;
}

function inGroups(division: Division, more: Partial<StreamsOptions> = {}) {
  return { ...options, ...more, [DIVISION]: division };
}

/** Which group commits what: by transactional id, whether it exists. */
async function transactionalIds(log: Log): Promise<string[]> {
  const listed = await log.admin().listTransactions();
  return listed.map(({ transactionalId }) => transactionalId).sort();
}

describe('groups of tasks', () => {
  test('[RT-GROUP-1] two groups have the results of one', async () => {
    const log = await openTestLog();
    await produceNames(log);
    await produce(log, numbers, rows(0, 2_000));
    await runToEnd(log, application().topology, inGroups(new Division(2)));
    expect(await resultsByKey(log)).toEqual(await undisturbed(2_000));
    expect(await transactionalIds(log)).toEqual(['app', 'app/1']);
  });

  test('[RT-GROUP-1] a group without tasks hinders nobody', async () => {
    const log = await openTestLog();
    await produceNames(log);
    await produce(log, numbers, rows(0, 500));
    await runToEnd(log, application().topology, inGroups(new Division(5)));
    expect(await resultsByKey(log)).toEqual(await undisturbed(500));
  });

  test('[RT-GROUP-2] tasks that move have the results of those that stay', async () => {
    const log = await openTestLog();
    await produceNames(log);
    const division = new Division(2);
    const { topology, each } = application();
    const app = makeApp(log, topology, inGroups(division));
    await app.start();
    const store = app.store(each);
    const watched: (number | undefined)[] = [];
    const subscription = store.watch('k3').subscribe((value) => watched.push(value));
    onTestFinished(() => subscription.unsubscribe());
    const random = seededRandom(SEED);
    const tasks = app.metrics().tasks.map(({ taskId }) => taskId);
    expect(tasks).toHaveLength(2 * PARTITIONS);
    for (let round = 0; round < 24; round++) {
      await produce(log, numbers, rows(round * 50, (round + 1) * 50));
      const task = tasks[Math.floor(random.next() * tasks.length)]!;
      await division.move(task, Math.floor(random.next() * 2));
      if (round % 8 !== 7) continue;
      await until(() => app.state === 'RUNNING');
      expect(app.metrics().tasks.map(({ taskId }) => taskId)).toEqual(tasks);
      const end = (round + 1) * 50;
      const last = [...rows(end - 7, end)];
      await until(async () => (await store.get(last[0]![0])) === Math.floor((end - 7) / 7) + 1);
    }
    await until(() => watched.at(-1) === 171);
    expect(app.metrics().processedRecords).toBeGreaterThanOrEqual(1_200);
    await app.finish();
    expect(await resultsByKey(log)).toEqual(await undisturbed(1_200));
    // What was watched only rose: no move showed an older state again.
    const counts = watched.map((count = 0) => count);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
  }, 60_000);

  test('[RT-GROUP-2] a task that moves waits for empty inputs as the others do now', async () => {
    const log = await openTestLog();
    const [left, right] = ['left', 'right'].map((name) => {
      return topic(name, { key: string(), value: int64() });
    }) as [typeof numbers, typeof numbers];
    const builder = new StreamsBuilder();
    builder
      .stream(left, { nullKeys: 'fail' })
      .merge(builder.stream(right, { nullKeys: 'fail' }))
      .groupByKey()
      .windowedBy(tumblingWindow({ sizeMs: 10 }))
      .count({ emit: 'final' })
      .toStream()
      .map(({ key, value }) => ({ key: key.key, value: String(value) }))
      .to(results);
    const division = new Division(2);
    const app = makeApp(log, builder.build(), inGroups(division)); // would wait for ever
    await app.start();
    app.setIdleTimeout(0);
    await division.move(app.metrics().tasks[0]!.taskId, 1);
    await produce(log, left, [
      ['a', 1, 0],
      ['a', 1, 100],
    ]);
    await until(async () => (await values(log)).length === 1);
  });

  test('[RT-GROUP-3] while a group tries again, others commit and abort nothing', async () => {
    const log = await openTestLog();
    let failures = 0;
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .mapValues((value) => {
        if (value !== -1) return `n${value}`;
        failures++;
        throw new TypeError('cannot take it');
      })
      .to(results);
    const app = makeApp(
      log,
      builder.build(),
      inGroups(new Division(3), { onProcessingError: { retry: 1_000, backoffMs: 5 } }),
    );
    await app.start();
    await produce(log, numbers, [['bad', -1, 0, 1]]);
    await until(() => app.state === 'RETRYING');
    expect(app.retry?.cause.message).toContain('cannot take it');
    const expected: string[] = [];
    while (failures < 7) {
      const value = expected.length;
      await produce(log, numbers, [[`good ${value}`, value, 0, 0]]);
      expected.push(`n${value}`);
      await until(async () => (await values(log)).includes(`n${value}`));
    }
    // Had a transaction been aborted, its records would be in the log twice.
    expect((await values(log, 'read_uncommitted')).sort()).toEqual(expected.sort());
    expect((await values(log)).sort()).toEqual(expected.sort());
  });

  test('[RT-GROUP-3] a group that fails for good ends the others, which commit', async () => {
    const log = await openTestLog();
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .mapValues((value) => {
        if (value === -1) throw new TypeError('cannot take it');
        return `n${value}`;
      })
      .to(results);
    const slow = { commitIntervalMs: 30_000 };
    const app = makeApp(log, builder.build(), inGroups(new Division(3), slow));
    await app.start();
    const good = Array.from({ length: 50 }, (_, index): Row => ['good', index, 0, 0]);
    await produce(log, numbers, [...good, ['bad', -1, 0, 1]]);
    await expect(app.done).rejects.toThrow('cannot take it');
    expect(app.state).toBe('ERROR');
    const all = await values(log, 'read_uncommitted');
    expect(all).toEqual(await values(log));
    expect(new Set(all).size).toBe(all.length);
  });

  test('[RT-GROUP-4] what an earlier run left open is aborted at the start', async () => {
    const log = await openTestLog();
    await produceNames(log);
    await produce(log, numbers, rows(0, 300));
    await runToEnd(log, application().topology, options);
    const left = log.producer({ transactionalId: 'app/7', transactionTimeoutMs: 600_000 });
    onTestFinished(() => left.close().catch(() => undefined));
    const other = log.producer({ transactionalId: 'app7', transactionTimeoutMs: 600_000 });
    onTestFinished(() => other.close().catch(() => undefined));
    const changelog = topic('app-each-changelog', { key: string(), value: string() });
    for (const producer of [left, other]) {
      const transaction = await producer.beginTransaction();
      const target = producer === left ? changelog : names;
      transaction.send(target, { key: 'k0', value: 'never', partition: 0 });
      await producer.flush();
    }
    await produce(log, numbers, rows(300, 600));
    await runToEnd(log, application().topology, inGroups(new Division(2)));
    const states = (await log.admin().listTransactions({ states: ['Ongoing'] })).map(
      ({ transactionalId }) => transactionalId,
    );
    expect(states).toEqual(['app7']);
    expect((await resultsByKey(log))['k0']?.at(-1)).toBe('K0 86 @595');
  });

  test('[RT-GROUP-4] a store waits for what is open in its changelog', async () => {
    const log = await openTestLog();
    await produceNames(log);
    await produce(log, numbers, rows(0, 300));
    await runToEnd(log, application().topology, options);
    const stranger = log.producer({ transactionalId: 'stranger', transactionTimeoutMs: 600_000 });
    onTestFinished(() => stranger.close().catch(() => undefined));
    const transaction = await stranger.beginTransaction();
    const changelog = topic('app-each-changelog', { key: string(), value: string() });
    transaction.send(changelog, { key: 'k0', value: 'never', partition: 0 });
    await stranger.flush();
    const app = makeApp(log, application().topology, options);
    const started = app.start();
    await until(() => app.state === 'RETRYING');
    expect(app.retry?.cause).toMatchObject({ code: 'UNSTABLE_OFFSET_COMMIT' });
    await transaction.abort();
    await started;
    await produce(log, numbers, rows(300, 600));
    await app.finish();
    expect(await resultsByKey(log)).toEqual(await undisturbed(600));
  });
});

async function values(
  log: Log,
  isolation: 'read_committed' | 'read_uncommitted' = 'read_committed',
): Promise<string[]> {
  return (await readTopic(log, results, isolation)).map(({ value }) => value ?? '');
}

describe.each(WAYS_TO_STOP)('%s while tasks move', (_, stop) => {
  const COUNT = 700;
  const EACH = 2;
  /** A move is followed by commits, and so by the next move: it needs an end. */
  const MOVES = 30;

  /** Runs, moves tasks at each so many commits, and snapshots what a stop would leave of a move. */
  async function momentsOfMoves(): Promise<{ log: Log; moments: Moment[]; moves: number }> {
    const random = seededRandom(SEED);
    const disk = new MemoryFileSystem({ random: seededRandom(SEED) });
    const log = await openDisk(disk);
    await produceNames(log);
    await produce(log, numbers, rows(0, COUNT));
    const [stateDir, copies] = [temporaryDirectory(), temporaryDirectory()];
    const moments: Moment[] = [];
    const division = new Division(2);
    let [moves, moving, steps] = [0, 0, 0];
    const move = async (app: StreamsApp): Promise<void> => {
      moves++;
      moving++;
      const tasks = app.metrics().tasks;
      const task = tasks[Math.floor(random.next() * tasks.length)];
      if (task !== undefined) await division.move(task.taskId, moves % 2);
      moving--;
    };
    const seen = new Map<CommitStep, number>();
    const onStep = (step: CommitStep): void => {
      steps++;
      if (steps % 13 === 0 && moving === 0 && moves < MOVES) void move(app);
      const count = seen.get(step) ?? 0;
      if (moving === 0 || count === EACH) return;
      seen.set(step, count + 1);
      const copy = join(copies, String(steps));
      copyState(stateDir, copy);
      const operation = `${steps}: ${step}`;
      moments.push({ operation, disk: stop(disk, random), stateDir: copy });
    };
    const app = makeApp(log, application().topology, inGroups(division, { stateDir, onStep }));
    await app.start();
    await app.finish();
    expect([...seen.keys()].sort()).toHaveLength(9); // each step was stopped at
    return { log, moments, moves };
  }

  test('[RT-GROUP-5] leaves the results of a run without it', async () => {
    const expected = await undisturbed(COUNT);
    const { log, moments, moves } = await momentsOfMoves();
    expect(await resultsByKey(log)).toEqual(expected);
    expect(moves).toBeGreaterThan(3);
    expect(moments.length).toBe(9 * EACH);
    for (const [index, { operation, disk, stateDir }] of moments.entries()) {
      const reopened = await openDisk(disk);
      const division = new Division(1 + (index % 3));
      await runToEnd(reopened, application().topology, inGroups(division, { stateDir }));
      expect(await resultsByKey(reopened), operation).toEqual(expected);
      await reopened.close();
    }
  }, 90_000);
});
