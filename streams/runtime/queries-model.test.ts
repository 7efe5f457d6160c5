import { expect, test } from 'vitest';
import {
  int64,
  json,
  seededRandom,
  string,
  systemClock,
  topic,
  type Random,
} from '../../core/index.ts';
import { sleep } from '../../core/internal.ts';
import { makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { FailingRun } from '../../test/kit/failing-run.ts';
import {
  crashMoments,
  openDisk,
  triedMoments,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { KGroupedStream } from '../dsl/kgrouped-stream.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import type { QueriedRow, TableChange } from '../topology/queryable.ts';
import { sessionWindow, tumblingWindow, type Windowed } from '../topology/windows.ts';

/** Of one partition, so that each committed state is that of so many records. */
const ones = topic('ones', { key: string(), value: int64(), partitions: 1 });
const KEYS = 400;
const RECORDS = 6_000;

type Sum = { count: number };
type Counts = ReturnType<typeof counting>['counts'];

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

test.each([SEED, 7, 11])(
  '[QUERY-2] [QUERY-LIVE-2] seed %i: queries see what commits have left, whatever fails',
  async (seed) => {
    const random = seededRandom(seed);
    const keys = randomKeys(random);
    const log = await openTestLog();
    const { topology, counts } = counting((offset) => run.note(offset));
    const run = new FailingRun(log, random, topology);
    const { app } = run;
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
        seen = await checkedAnswer(run, counts, keys, random);
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
  { app, commits }: FailingRun,
  counts: Counts,
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

/** Counts of each key and window or session, of records with the times 0, 1, 2 and so on. */
const WINDOWED = {
  windows: {
    tableOf: (grouped: KGroupedStream<string, number>) =>
      grouped.windowedBy(tumblingWindow({ sizeMs: 300, graceMs: 100_000 })).count(),
    modelOf: (keys: readonly string[]) => {
      const model = new Map<string, number>();
      for (const [timeMs, key] of keys.entries()) {
        const startMs = timeMs - (timeMs % 300);
        const text = `${key}@${startMs}-${startMs + 300}`;
        model.set(text, (model.get(text) ?? 0) + 1);
      }
      return model;
    },
  },
  sessions: {
    tableOf: (grouped: KGroupedStream<string, number>) =>
      grouped.windowedBy(sessionWindow({ gapMs: 40, graceMs: 5_000 })).count(),
    modelOf: (keys: readonly string[]) => {
      const sessions: { key: string; startMs: number; endMs: number; count: number }[] = [];
      for (const [timeMs, key] of keys.entries()) {
        const last = sessions.findLast((session) => session.key === key);
        if (last === undefined || timeMs - last.endMs > 40) {
          sessions.push({ key, startMs: timeMs, endMs: timeMs, count: 1 });
        } else {
          [last.endMs, last.count] = [timeMs, last.count + 1];
        }
      }
      return new Map(
        sessions.map(({ key, startMs, endMs, count }) => [`${key}@${startMs}-${endMs}`, count]),
      );
    },
  },
} as const;

test.each(['windows', 'sessions'] as const)(
  `[QUERY-2] [QUERY-LIVE-2] seed ${SEED}: the same for %s`,
  async (kind) => {
    const random = seededRandom(SEED);
    const keys = Array.from({ length: 3_000 }, () => `k${Math.floor(random.next() ** 2 * 40)}`);
    const { tableOf, modelOf } = WINDOWED[kind];
    const builder = new StreamsBuilder();
    const stream = builder.stream(ones, { nullKeys: 'fail' });
    const table = tableOf(stream.peek(({ offset }) => run.note(offset)).groupByKey());
    const log = await openTestLog();
    const run = new FailingRun(log, random, builder.build());
    const { app } = run;
    const store = app.store(table);
    const textOf = ({ key, windowStartMs, windowEndMs }: Windowed<string>): string =>
      `${key}@${windowStartMs}-${windowEndMs}`;
    const folded = new Map<string, number>();
    app.changes$(table).subscribe(({ key, oldValue, newValue }) => {
      expect(folded.get(textOf(key)) ?? null).toBe(oldValue);
      if (newValue === null) folded.delete(textOf(key));
      else folded.set(textOf(key), newValue);
    });
    const followed = new Map<string, number>();
    store.watchFetchAll().subscribe((rows) => {
      for (const { key, value } of rows) {
        if (value === undefined) followed.delete(textOf(key));
        else followed.set(textOf(key), value);
      }
    });
    await app.start();
    const writing = (async () => {
      for (let from = 0; from < keys.length; from += 60) {
        const rows = keys.slice(from, from + 60).map((key, at) => [key, 1, from + at] as const);
        await produce(log, ones, rows);
        await sleep(systemClock, random.next() * 20);
      }
    })();
    for (let seen = 0; seen < keys.length;) {
      await sleep(systemClock, random.next() * 20);
      const { committed } = run;
      try {
        const rows = await (
          random.next() < 0.5 ? store.fetchAll() : store.backwardFetchAll()
        ).toArray();
        seen = rows.reduce((sum, { value }) => sum + value, 0);
        const found = new Map(rows.map(({ key, value }) => [textOf(key), value]));
        expect(found).toEqual(modelOf(keys.slice(0, seen)));
        expect(run.commits).toContain(seen);
        expect(seen).toBeGreaterThanOrEqual(committed);
      } catch (error) {
        if (!StreamsError.is(error, 'STORE_UNAVAILABLE')) throw error;
      }
    }
    await writing;
    const sumOf = (counts: ReadonlyMap<string, number>): number =>
      [...counts.values()].reduce((a, b) => a + b, 0);
    await until(() => sumOf(folded) === keys.length && sumOf(followed) === keys.length);
    expect(folded).toEqual(modelOf(keys));
    expect(followed).toEqual(modelOf(keys));
    expect(run.failures).toBeGreaterThan(1);
  },
  60_000,
);

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
    for (const { operation, disk, stateDir } of triedMoments(moments)) {
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
