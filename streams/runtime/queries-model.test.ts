import { expect, test } from 'vitest';
import {
  int64,
  json,
  seededRandom,
  string,
  systemClock,
  topic,
  type Clock,
  type Random,
} from '../../core/index.ts';
import { sleep } from '../../core/internal.ts';
import { makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { crashMoments, openDisk, WAYS_TO_STOP } from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import type { QueriedRow, TableChange } from '../topology/queryable.ts';
import type { StreamsApp } from './app.ts';
import type { CommitStep } from './commit.ts';

/** Of one partition, so that each committed state is that of so many records. */
const ones = topic('ones', { key: string(), value: int64(), partitions: 1 });
const KEYS = 400;
const RECORDS = 6_000;
const STEPS: readonly CommitStep[] = [
  'commit-2-changelog',
  'commit-4-offsets',
  'commit-5-end',
  'commit-6-move',
  'checkpoint-1-offsets',
  'checkpoint-2-write',
  'checkpoint-3-done',
];

type Sum = { count: number };

/** Counts the records of each key, in objects that are changed in place. */
function counting(onRecord: (offset: number) => void) {
  const builder = new StreamsBuilder();
  const counts = builder
    .stream(ones)
    .peek(({ offset }) => onRecord(offset))
    .groupByKey()
    .aggregate<Sum>(
      () => ({ count: 0 }),
      (sum) => {
        sum.count++;
        return sum;
      },
      { store: 'counts', value: json() },
    );
  return { topology: builder.build(), counts };
}

function randomKeys(random: Random): string[] {
  return Array.from({ length: RECORDS }, () => {
    return `k${String(Math.floor(random.next() ** 2 * KEYS)).padStart(3, '0')}`;
  });
}

/** The counts after so many records. */
function countsAfter(keys: readonly string[], records: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys.slice(0, records)) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

/** The number of records in a state, after a check that it is that of the first so many. */
function recordsIn(keys: readonly string[], rows: readonly QueriedRow<string, Sum>[]): number {
  const found = new Map(rows.map(({ key, value }) => [key, value.count]));
  const records = rows.reduce((sum, { value }) => sum + value.count, 0);
  const expected = [...countsAfter(keys, records)].sort(([a], [b]) => (a < b ? -1 : 1));
  expect([...found]).toEqual(expected);
  return records;
}

/** Timers come early, so that a restart does not wait a second. */
const HASTY: Clock = {
  ...systemClock,
  setTimer: (delayMs, callback) => systemClock.setTimer(delayMs / 50, callback),
};

/** An application some of whose commits fail, and what it has committed. */
class FailingRun {
  readonly app: StreamsApp;
  readonly counts: ReturnType<typeof counting>['counts'];
  /** The numbers of records after each commit. */
  readonly commits = new Set([0]);
  failures = 0;
  /** Records that a query has to see. */
  committed = 0;
  /** Records that are processed, perhaps not committed. */
  #processed = 0;

  constructor(log: Awaited<ReturnType<typeof openTestLog>>, random: Random) {
    const { topology, counts } = counting((offset) => (this.#processed = offset + 1));
    this.counts = counts;
    let calls = 0;
    let failsAt = 20;
    let known = 0;
    const onStep = (step: CommitStep): void => {
      if (step === 'commit-6-move') {
        known = this.#processed;
        this.commits.add(known);
      }
      if (++calls >= failsAt && STEPS.includes(step)) {
        failsAt = calls + 10 + Math.floor(random.next() * 60);
        this.failures++;
        const details = { applicationId: 'app', step };
        throw new StreamsError('COMMIT_FAILED', `${step} is to fail`, details);
      }
      if (step === 'commit-6-move') this.committed = known;
    };
    this.app = makeApp(log, topology, {
      ...{ onStep, clock: HASTY, commitIntervalMs: 5, checkpointIntervalMs: 25 },
      cacheEntriesMax: 50,
    });
    this.app.state$.subscribe((state) => {
      if (state === 'RESTORING') this.#processed = known;
      if (state === 'RUNNING') this.committed = known;
    });
  }
}

test.each([SEED, 7, 11])(
  '[QUERY-2] [QUERY-LIVE-2] seed %i: queries see what commits have left, whatever fails',
  async (seed) => {
    const random = seededRandom(seed);
    const keys = randomKeys(random);
    const log = await openTestLog();
    const run = new FailingRun(log, random);
    const { app, counts } = run;
    const store = app.store(counts);
    const changes: TableChange<string, Sum>[] = [];
    app.changes$(counts).subscribe((change) => changes.push(change));
    const values: number[] = [];
    store.watch('k000').subscribe((sum) => values.push(sum?.count ?? 0));
    const followed = new Map<string, number>();
    store.watchRange().subscribe((rows) => {
      for (const { key, value } of rows) followed.set(key, value!.count);
    });
    await app.start();
    const writing = (async () => {
      for (let index = 0; index < RECORDS; index += 100) {
        const rows = keys.slice(index, index + 100).map((key) => [key, 1, index] as const);
        await produce(log, ones, rows);
        await sleep(systemClock, random.next() * 20);
      }
    })();
    let seen = 0;
    let answers = 0;
    for (; seen < RECORDS; answers++) {
      await sleep(systemClock, random.next() * 20);
      const { committed } = run;
      try {
        seen = await checkedAnswer(run, keys, random);
        expect(run.commits).toContain(seen);
        expect(seen).toBeGreaterThanOrEqual(committed);
      } catch (error) {
        if (!StreamsError.is(error, 'STORE_UNAVAILABLE')) throw error;
      }
    }
    await writing;
    const final = countsAfter(keys, RECORDS);
    await until(() => changes.reduce((sum, change) => sum + growth(change), 0) === RECORDS);
    await until(() => [...followed.values()].reduce((a, b) => a + b, 0) === RECORDS);
    expect(new Map(changes.map(({ key, newValue }) => [key, newValue!.count]))).toEqual(final);
    expect(followed).toEqual(final);
    const last = new Map<string, number>();
    for (const { key, oldValue, newValue } of changes) {
      expect(oldValue?.count).toBe(last.get(key));
      last.set(key, newValue!.count);
    }
    expect(values).toEqual([...new Set(values)].sort((a, b) => a - b));
    expect(values.at(-1)).toBe(final.get('k000'));
    expect([run.failures > 3, answers > 20, run.commits.size > 20]).toEqual([true, true, true]);
  },
  60_000,
);

/** Asks in one of several ways; returns how many records the state has that answers. */
async function checkedAnswer(
  { app, counts, commits }: FailingRun,
  keys: readonly string[],
  random: Random,
): Promise<number> {
  const store = app.store(counts);
  const way = Math.floor(random.next() * 3);
  if (way === 0) return recordsIn(keys, await store.all().toArray());
  if (way === 1) {
    const key = `k00${Math.floor(random.next() * 9)}`;
    const value = (await store.get(key))?.count ?? 0;
    // Of several states that have this value, any one may have answered.
    expect([...commits].map((records) => countsAfter(keys, records).get(key) ?? 0)).toContain(
      value,
    );
    return recordsIn(keys, await store.all().toArray());
  }
  const rows: QueriedRow<string, Sum>[] = [];
  for await (const batch of store.reverseAll().batches()) {
    rows.push(...batch);
    await sleep(systemClock, 10); // some commits come in between
  }
  return recordsIn(keys, rows.reverse());
}

function growth({ oldValue, newValue }: TableChange<string, Sum>): number {
  return newValue!.count - (oldValue?.count ?? 0);
}

test.each(WAYS_TO_STOP)(
  '[QUERY-2] after %s a query sees a committed state, and then the rest',
  async (_, stop) => {
    const random = seededRandom(SEED);
    const keys = randomKeys(random).slice(0, 1_000);
    const fill = (log: Parameters<typeof produce>[0]): Promise<void> =>
      produce(
        log,
        ones,
        keys.map((key, index) => [key, 1, index] as const),
      );
    const options = { commitIntervalMs: 1, checkpointIntervalMs: 5, idleTimeoutMs: Infinity };
    const { topology } = counting(() => undefined);
    const { moments } = await crashMoments({ topology, fill, options, every: 11, stop });
    expect(moments.length).toBeGreaterThan(5);
    for (const { operation, disk, stateDir } of moments) {
      const log = await openDisk(disk);
      const { topology: again, counts } = counting(() => undefined);
      const partitions = [{ topic: ones.name, partition: 0 }];
      const request = { groupId: 'app', partitions, requireStable: false };
      const committed = (await log.api.offsetFetch(request)).offsets[0]?.offset ?? 0;
      const app = makeApp(log, again, { ...options, stateDir });
      await app.start();
      const store = app.store(counts);
      const followed = new Map<string, number>();
      store.watchRange().subscribe((rows) => {
        for (const { key, value } of rows) followed.set(key, value!.count);
      });
      const first = recordsIn(keys, await store.all().toArray());
      expect(first, operation).toBeGreaterThanOrEqual(committed);
      await until(async () => recordsIn(keys, await store.all().toArray()) >= 1_000);
      const sum = (): number => [...followed.values()].reduce((a, b) => a + b, 0);
      await until(() => sum() === 1_000);
      expect(followed).toEqual(countsAfter(keys, 1_000));
      await app.close();
      await log.close();
    }
  },
  120_000,
);
