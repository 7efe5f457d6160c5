import { describe, expect, test } from 'vitest';
import {
  int64,
  json,
  partitionOfKey,
  string,
  topic,
  type Log,
  type Serde,
} from '../../core/index.ts';
import { makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { failureOf } from '../../test/kit/connect.ts';
import { failingCommit } from '../../test/kit/failing-commit.ts';
import {
  keyValueStore,
  recordStore,
  sessionStore,
  versionedStore,
  windowStore,
} from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import type { QueryResults } from '../topology/queryable.ts';
import {
  hoppingWindow,
  sessionWindow,
  slidingWindow,
  tumblingWindow,
  unlimitedWindow,
} from '../topology/windows.ts';
import type { StreamsApp } from './app.ts';
import type { CommitStep } from './commit.ts';

const numbers = topic('numbers', { key: string(), value: int64(), partitions: 3 });
const names = topic('names', { key: string(), value: string(), partitions: 2 });

type Row = readonly [key: string, value: number, timeMs: number];

const ROWS: readonly Row[] = [
  ['apple', 1, 100],
  ['pear', 2, 150],
  ['fig', 3, 200],
  ['apple', 4, 1_200],
  ['plum', 5, 1_300],
  ['pear', 6, 2_100],
  ['apple', 7, 2_200],
];

/** Starts an application and waits until it has processed the rows. */
async function running(
  builder: StreamsBuilder,
  rows: readonly Row[] = ROWS,
): Promise<{ readonly app: StreamsApp; readonly log: Log }> {
  const log = await openTestLog();
  await produce(log, numbers, rows);
  const app = makeApp(log, builder.build(), { idleTimeoutMs: 0 });
  await app.start();
  await until(() => app.metrics().processedRecords >= rows.length);
  return { app, log };
}

async function list<T>(rows: QueryResults<T>, show: (row: T) => string): Promise<string> {
  return (await rows.toArray()).map(show).join(', ');
}

const pair = ({ key, value }: { key: string; value: unknown }) => `${key}=${value as string}`;

describe('[QUERY-1] a store is queried by what the topology gives', () => {
  test('a table, of keys in all partitions, in the order of keys', async () => {
    const builder = new StreamsBuilder();
    const sums = builder
      .stream(numbers)
      .groupByKey()
      .reduce((sum, value) => sum + value);
    const { app } = await running(builder);
    const store = app.store(sums);
    const apples: number | undefined = await store.get('apple');
    expect(apples).toBe(12);
    expect(await store.entry('pear')).toEqual({ key: 'pear', value: 8, timestampMs: 2_100 });
    expect(await store.get('nothing')).toBeUndefined();
    expect(await list(store.all(), pair)).toBe('apple=12, fig=3, pear=8, plum=5');
    expect(await list(store.reverseAll(), pair)).toBe('plum=5, pear=8, fig=3, apple=12');
    expect(await list(store.range('b', 'pear'), pair)).toBe('fig=3, pear=8');
    expect(await list(store.range('b', undefined), pair)).toBe('fig=3, pear=8, plum=5');
    expect(await list(store.reverseRange(undefined, 'fig'), pair)).toBe('fig=3, apple=12');
    expect(await list(store.prefixScan('p'), pair)).toBe('pear=8, plum=5');
    expect(await list(store.prefixScan(3, int64()), pair)).toBe('');
    expect(await store.approximateNumEntries()).toBe(4);
    // @ts-expect-error its keys are strings
    expect(await failureOf(store.get(5))).toBeInstanceOf(TypeError);
    // @ts-expect-error a table without windows has no such method
    expect(store.fetch).toBeUndefined();
  });

  test('a table after a restart, which has it in a checkpoint', async () => {
    const log = await openTestLog();
    await produce(log, numbers, ROWS);
    const make = () => {
      const builder = new StreamsBuilder();
      const table = builder.stream(numbers).groupByKey().count();
      return { table, app: makeApp(log, builder.build()) };
    };
    const first = make();
    await first.app.start();
    await until(() => first.app.metrics().processedRecords === ROWS.length);
    await first.app.close();
    const { app, table } = make();
    await app.start();
    const store = app.store(table);
    expect(await store.approximateNumEntries()).toBe(4);
    expect(await list(store.reverseAll(), pair)).toBe('plum=1, pear=2, fig=1, apple=3');
    expect(await store.get('pear')).toBe(2);
  });

  test('a table by the name of its store, without types', async () => {
    const builder = new StreamsBuilder();
    builder.stream(numbers).groupByKey().count({ store: 'counts' });
    const { app } = await running(builder);
    const store = app.store('counts');
    const count: unknown = await store.get('apple');
    expect(count).toBe(3);
    const typed = app.store(keyValueStore<string, number>('counts'));
    expect((await typed.get('apple'))! + 1).toBe(4);
    expect(store.name).toBe('counts');
  });

  test('a topic as a table, whose values in the topic are bare', async () => {
    const builder = new StreamsBuilder();
    const table = builder.table(numbers);
    const { app, log } = await running(builder);
    expect(await list(app.store(table).all(), pair)).toBe('apple=7, fig=3, pear=6, plum=5');
    await produce(log, numbers, [
      ['apple', null, 3_000],
      ['fig', 9, 3_001],
    ]);
    await until(() => app.metrics().processedRecords === 9);
    await until(async () => (await app.store(table).get('fig')) === 9);
    expect(await list(app.store(table).all(), pair)).toBe('fig=9, pear=6, plum=5');
  });

  test('a view with a store, with rows that its filter takes away', async () => {
    const builder = new StreamsBuilder();
    const table = builder.table(numbers);
    const even = table.filter(({ value }) => value % 2 === 0, { store: 'even' });
    const { app } = await running(builder);
    expect(await list(app.store(even).all(), pair)).toBe('pear=6');
  });

  test('a table of tumbling windows', async () => {
    const builder = new StreamsBuilder();
    const counts = builder
      .stream(numbers)
      .groupByKey()
      .windowedBy(tumblingWindow({ sizeMs: 1_000, graceMs: 60_000 }))
      .count({ store: 'windows' });
    const { app } = await running(builder);
    const table = app.store(counts);
    const first: number | undefined = await table.get('apple', 0);
    expect(first).toBe(1);
    expect(await table.entry('apple', 1_000)).toEqual({
      key: { key: 'apple', windowStartMs: 1_000, windowEndMs: 2_000 },
      value: 1,
      timestampMs: 1_200,
    });
    const show = ({ key: { key, windowStartMs, windowEndMs }, value }: WindowedRow) =>
      `${key}@${windowStartMs}-${windowEndMs}=${value}`;
    expect(await list(table.fetch('apple', 0, 1_000), show)).toBe(
      'apple@0-1000=1, apple@1000-2000=1',
    );
    expect(await list(table.backwardFetch('pear'), show)).toBe('pear@2000-3000=1, pear@0-1000=1');
    expect(await list(table.fetchAll(0, 1_000), show)).toBe(
      'apple@0-1000=1, fig@0-1000=1, pear@0-1000=1, apple@1000-2000=1, plum@1000-2000=1',
    );
    expect(await list(table.backwardFetchAll(2_000), show)).toBe(
      'pear@2000-3000=1, apple@2000-3000=1',
    );
    // @ts-expect-error a table of windows has no ranges of keys
    expect(table.range).toBeUndefined();
    // @ts-expect-error its keys are strings
    expect(await failureOf(table.get(5, 0))).toBeInstanceOf(TypeError);
    const store = app.store(windowStore<string, number>('windows'));
    expect(await list(store.all(), ({ key, windowStartMs }) => `${key}@${windowStartMs}`)).toBe(
      'apple@0, fig@0, pear@0, apple@1000, plum@1000, apple@2000, pear@2000',
    );
    const prefixed = store.fetchAll(0, 1_000, { prefix: 'p' });
    expect(await list(prefixed, ({ key, windowStartMs }) => `${key}@${windowStartMs}`)).toBe(
      'pear@0, plum@1000',
    );
    expect(await store.entry('plum', 1_000)).toEqual({
      ...{ key: 'plum', windowStartMs: 1_000, value: 1, timestampMs: 1_300 },
    });
  });

  test.each([
    ['sessions', 'apple@100-200=2, fig@250-250=1, apple@1200-1200=1'],
    ['sliding windows', 'apple@0-500=2, apple@101-601=1, fig@0-500=1, apple@700-1200=1'],
    ['an unlimited window', 'apple@0-Infinity=3, fig@0-Infinity=1'],
    ['a view of windows in a store', 'apple@0-500=2, fig@0-500=1, apple@1000-1500=1'],
  ])('a table of %s', async (what, expected) => {
    const builder = new StreamsBuilder();
    const grouped = builder.stream(numbers).groupByKey();
    const graceMs = 60_000;
    const tables = {
      sessions: () => grouped.windowedBy(sessionWindow({ gapMs: 300, graceMs })).count(),
      'sliding windows': () =>
        grouped.windowedBy(slidingWindow({ differenceMs: 500, graceMs })).count(),
      'an unlimited window': () => grouped.windowedBy(unlimitedWindow({ startMs: 0 })).count(),
      'a view of windows in a store': () =>
        grouped
          .windowedBy(tumblingWindow({ sizeMs: 500, graceMs }))
          .count()
          .mapValues((count) => count, { store: 'view', value: int64() }),
    };
    const table = tables[what as keyof typeof tables]();
    const { app } = await running(builder, [
      ['apple', 1, 100],
      ['apple', 1, 200],
      ['fig', 1, 250],
      ['apple', 1, 1_200],
    ]);
    const store = app.store(table);
    const show = ({ key: { key, windowStartMs, windowEndMs }, value }: WindowedRow) =>
      `${key}@${windowStartMs}-${windowEndMs}=${value}`;
    const rows = expected.split(', ');
    expect((await list(store.fetchAll(), show)).split(', ').sort()).toEqual([...rows].sort());
    const all = await store.fetchAll().toArray();
    const starts = all.map(({ key }) => key.windowStartMs);
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
    expect(await store.backwardFetchAll().toArray()).toEqual([...all].reverse());
    const apples = rows.filter((row) => row.startsWith('apple'));
    expect((await list(store.fetch('apple'), show)).split(', ').sort()).toEqual(apples.sort());
    const figs = rows.filter((row) => row.startsWith('fig')).join();
    for (const keys of [{ prefix: 'f' }, { from: 'b' }, { from: 'b', to: 'fig' }]) {
      expect(await list(store.fetchAll(undefined, undefined, keys), show)).toBe(figs);
      expect(await list(store.backwardFetchAll(0, 500, keys), show)).toBe(figs);
    }
    const upTo = store.fetchAll(undefined, undefined, { to: 'apple' });
    expect((await list(upTo, show)).split(', ').sort()).toEqual(apples.sort());
    for (const { key: windowed, value } of all) {
      expect(await store.get(windowed.key, windowed.windowStartMs)).toBe(value);
    }
    expect(await store.get('apple', 7)).toBeUndefined();
  });

  test('sessions by the kind of their store', async () => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .groupByKey()
      .windowedBy(sessionWindow({ gapMs: 1_050, graceMs: 60_000 }))
      .count({ store: 'visits' });
    const { app } = await running(builder);
    const store = app.store(sessionStore<string, number>('visits'));
    const show = ({ key, startMs, endMs, value }: SessionRow) =>
      `${key}@${startMs}-${endMs}=${value}`;
    expect(await list(store.fetch('apple'), show)).toBe('apple@100-100=1, apple@1200-2200=2');
    expect(await store.get('apple', { startMs: 1_200, endMs: 2_200 })).toEqual({
      ...{ startMs: 1_200, endMs: 2_200, timestampMs: 2_200, value: 2 },
    });
    expect(await list(store.fetchAll('fig', 'pear', { latestStartMs: 1_000 }), show)).toBe(
      'fig@200-200=1, pear@150-150=1',
    );
    expect(await list(store.prefixScan('p', { latestStartMs: 1_000 }), show)).toBe(
      'pear@150-150=1',
    );
  });

  test('a versioned table: the newest by the table, the past by the kind of store', async () => {
    const builder = new StreamsBuilder();
    const prices = builder.table(numbers, { store: 'prices', versioned: { historyMs: 10_000 } });
    const { app } = await running(builder);
    expect(await list(app.store(prices).all(), pair)).toBe('apple=7, fig=3, pear=6, plum=5');
    expect(await list(app.store(prices).prefixScan('p'), pair)).toBe('pear=6, plum=5');
    const store = app.store(versionedStore<string, number>('prices'));
    expect(await store.get('apple', 2_000)).toBe(4);
    expect(await store.get('apple', 50)).toBeUndefined();
    expect(await store.getVersion('apple', 100)).toEqual({
      ...{ value: 1, timestampMs: 100, validToMs: 1_200 },
    });
    expect(await list(store.history('apple'), ({ value }) => String(value))).toBe('1, 4, 7');
    expect(await list(store.prefixScan('p', 1_250), pair)).toBe('pear=2');
    expect(await list(store.range(undefined, undefined, 1_250), pair)).toBe(
      'apple=4, fig=3, pear=2',
    );
  });

  test('stores of addStore', async () => {
    const builder = new StreamsBuilder();
    const serdes = { key: string(), value: json<{ total: number }>() };
    const totals = builder.addStore(keyValueStore('totals', { ...serdes, persistent: false }));
    const none = builder.addStore(
      keyValueStore('none', { key: string(), value: int64(), changelog: false }),
    );
    const last = builder.addStore(
      recordStore('last', { key: string(), value: int64(), retentionMs: 60_000 }),
    );
    builder.stream(numbers).process(
      (context) => {
        const [sums, records] = [context.store(totals), context.store(last)];
        const newest = context.store(none);
        return {
          process: ({ key, value, timestampMs }) => {
            records.put(key ?? '', value, timestampMs);
            newest.put(key ?? '', value, timestampMs);
            sums.update(key ?? '', timestampMs, (known = { total: 0 }) => {
              known.total += value; // in place
              return known;
            });
          },
        };
      },
      { stores: [totals, last, none] },
    );
    const { app } = await running(builder);
    const found = await app.store(totals).get('apple');
    expect(found).toEqual({ total: 12 });
    found!.total = 99; // a copy
    expect(await app.store(totals).get('apple')).toEqual({ total: 12 });
    const uncommitted = await app.store(totals, { isolationLevel: 'read_uncommitted' }).get('fig');
    uncommitted!.total = 99;
    expect(await app.store(totals).get('fig')).toEqual({ total: 3 });
    expect(await list(app.store(none).all(), pair)).toBe('apple=7, fig=3, pear=6, plum=5');
    expect(() => app.store(none).watch('apple')).toThrow(
      'store must be one with a changelog, as a failure would empty it unseen, not "none"',
    );
    const records = app.store(last);
    expect(await list(records.fetch('apple', 0, 1_500), pair)).toBe('apple=1, apple=4');
    expect(await list(records.all(), ({ value }) => String(value))).toBe('1, 4, 7, 3, 2, 6, 5');
    expect(await list(records.backwardAll(), ({ value }) => String(value))).toBe(
      '5, 6, 2, 3, 7, 4, 1',
    );
  });

  test('a global table', async () => {
    const builder = new StreamsBuilder();
    const table = builder.globalTable(names);
    builder.stream(numbers).foreach(() => undefined);
    const log = await openTestLog();
    await produce(log, names, [
      ['a', 'Anna', 0],
      ['c', 'Carl', 0],
      ['b', 'Bea', 0],
    ]);
    const app = makeApp(log, builder.build());
    await app.start();
    const store = app.store(table);
    const name: string | undefined = await store.get('a');
    expect(name).toBe('Anna');
    expect(await list(store.range('b', undefined), pair)).toBe('b=Bea, c=Carl');
    expect(await store.approximateNumEntries()).toBe(3);
    await produce(log, names, [['b', null, 1]]);
    await until(async () => (await store.get('b')) === undefined);
    const rows = await app.store('names').all().toArray();
    expect(rows.map(({ value }) => value)).toEqual(['Anna', 'Carl']);
  });
});

interface WindowedRow {
  readonly key: {
    readonly key: string;
    readonly windowStartMs: number;
    readonly windowEndMs: number;
  };
  readonly value: number;
}

interface SessionRow {
  readonly key: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly value: number;
}

describe('[QUERY-2] isolation', () => {
  test.each([
    ['exactly_once', true],
    ['exactly_once', false],
    ['at_least_once', false],
  ] as const)(
    'a query sees what is committed, or the newest state: %s, repartitioned %s',
    async (processingGuarantee, isRepartitioned) => {
      const builder = new StreamsBuilder();
      const stream = builder.stream(numbers);
      const sums = (
        isRepartitioned
          ? stream.groupBy(({ key }) => key ?? '', { key: string() })
          : stream.groupByKey()
      ).reduce((sum, value) => sum + value);
      sums.toStream().to(topic('sums', { key: string(), value: int64() }));
      const log = await openTestLog();
      const seen: { committed?: number | undefined; newest?: number | undefined }[] = [];
      let asked = Promise.resolve();
      const ask = async (): Promise<void> => {
        const newest = app.store(sums, { isolationLevel: 'read_uncommitted' }).get('a');
        const committed = app.store(sums).get('a');
        seen.push({ committed: await committed, newest: await newest });
      };
      const onStep = (step: CommitStep): void => {
        if (step === 'commit-5-end' && isAsking) asked = ask();
      };
      let isAsking = false;
      const app = makeApp(log, builder.build(), { onStep, processingGuarantee });
      await app.start();
      expect(await app.store(sums).get('a')).toBeUndefined();
      isAsking = true;
      for (let round = 1; round <= 5; round++) {
        await produce(log, numbers, [['a', 1, round]]);
        await until(async () => (await app.store(sums).get('a')) === round);
        await asked;
      }
      isAsking = false;
      await asked;
      // Repartitioned, there are also commits that do not change the sums.
      const changed = seen.filter(({ committed, newest }) => committed !== newest);
      expect(changed).toEqual([
        { committed: undefined, newest: 1 },
        { committed: 1, newest: 2 },
        { committed: 2, newest: 3 },
        { committed: 3, newest: 4 },
        { committed: 4, newest: 5 },
      ]);
    },
  );

  test('a range shows one state of a task, also when that commits in between', async () => {
    const count = 2_000;
    const one = topic('one', { key: string(), value: int64(), partitions: 1 });
    const builder = new StreamsBuilder();
    const table = builder.table(one, { store: 'one' });
    const log = await openTestLog();
    const keys = Array.from({ length: count }, (_, index) => `k${String(index).padStart(5, '0')}`);
    const round = (value: number) => keys.map((key) => [key, value, value] as const);
    await produce(log, one, round(1));
    const app = makeApp(log, builder.build(), { checkpointIntervalMs: 0 });
    await app.start();
    const store = app.store(table);
    await until(async () => (await store.get('k01999')) === 1);
    const values = new Set<number>();
    let read = 0;
    for await (const batch of store.all().batches()) {
      for (const { value } of batch) values.add(value);
      if (read === 0) {
        await produce(log, one, round(2));
        await until(async () => (await store.get('k00000')) === 2); // and a checkpoint follows
      }
      read += batch.length;
    }
    expect([read, [...values]]).toEqual([count, [1]]);
    expect((await store.range('k00001', 'k00001').toArray())[0]?.value).toBe(2);
  });

  test('a failed commit is never seen, and a query after the restart finds the rest', async () => {
    const builder = new StreamsBuilder();
    const sums = builder
      .stream(numbers)
      .groupByKey()
      .reduce((sum, value) => sum + value);
    const log = await openTestLog();
    const { failing, onStep } = failingCommit();
    const app = makeApp(log, builder.build(), { onStep });
    await app.start();
    const store = app.store(sums);
    await produce(log, numbers, [
      ['a', 1, 1],
      ['b', 1, 1],
    ]);
    await until(async () => (await store.get('a')) === 1 && (await store.get('b')) === 1);
    const iterator = store.all()[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toMatchObject({ key: 'a', value: 1 });
    failing.add('commit-5-end');
    await produce(log, numbers, [['a', 1, 2]]);
    await until(() => app.state === 'RETRYING');
    const failure = await failureOf(store.get('a'));
    expect(StreamsError.is(failure, 'STORE_UNAVAILABLE') && failure.retriable).toBe(true);
    expect((failure as Error).message).toContain('try again when its state is RUNNING');
    await until(() => app.state === 'RUNNING');
    // What began before the restart ends as it began.
    expect((await iterator.next()).value).toMatchObject({ key: 'b', value: 1 });
    expect((await iterator.next()).done).toBe(true);
    await until(async () => (await store.get('a')) === 2);
  });

  test('windows that have closed are gone with the commit, without a checkpoint', async () => {
    const builder = new StreamsBuilder();
    const one = topic('one', { key: string(), value: int64(), partitions: 1 });
    const grouped = builder.stream(one).groupByKey();
    const windows = grouped.windowedBy(tumblingWindow({ sizeMs: 100 })).count();
    const sessions = grouped.windowedBy(sessionWindow({ gapMs: 100 })).count();
    const log = await openTestLog();
    const app = makeApp(log, builder.build(), { checkpointIntervalMs: 60_000 });
    await app.start();
    const starts = async () => {
      const found = [windows, sessions].map((table) => app.store(table).fetch('a').toArray());
      const [first, second] = await Promise.all(found);
      return [first, second].map((rows) => rows!.map(({ key }) => key.windowStartMs));
    };
    await produce(log, one, [
      ['a', 1, 10],
      ['a', 1, 120],
    ]);
    await until(async () => (await starts())[0]?.join() === '100');
    const { checkpoints } = app.metrics();
    await produce(log, one, [['a', 1, 5_000]]);
    await until(async () => (await starts())[0]?.join() === '5000');
    expect((await starts())[0]).toEqual([5_000]);
    expect((await starts())[1]!.at(-1)).toBe(5_000);
    expect(app.metrics().checkpoints).toBe(checkpoints);
  });

  test('a query does not harm the task if it cannot read what that has written', async () => {
    const builder = new StreamsBuilder();
    const unreadable = {
      ...int64(),
      deserialize: (): number => {
        throw new TypeError('cannot read');
      },
    };
    const table = builder
      .stream(numbers)
      .groupByKey()
      .reduce((sum, value) => sum + value, { store: 'sums', value: unreadable });
    const log = await openTestLog();
    const app = makeApp(log, builder.build());
    await app.start();
    const store = app.store(table);
    const ended = failureOf(
      (async () => {
        for await (const value of store.watch('a')) expect(value).toBeUndefined();
      })(),
    );
    expect(await store.get('a')).toBeUndefined();
    await produce(log, numbers, [['a', 1, 1]]);
    expect(await ended).toMatchObject({ message: 'cannot read' });
    expect(await failureOf(store.get('a'))).toMatchObject({ message: 'cannot read' });
    await produce(log, numbers, [['b', 1, 2]]);
    await until(() => app.metrics().processedRecords === 2);
    expect(app.state).toBe('RUNNING');
  });

  test('a loop of queries leaves the tasks their turns', async () => {
    const builder = new StreamsBuilder();
    const table = builder.table(numbers, { store: 'numbers' });
    const log = await openTestLog();
    const app = makeApp(log, builder.build());
    await app.start();
    const store = app.store(table);
    const writing = produce(log, numbers, [['a', 1, 1]]);
    let value: number | undefined;
    while (value === undefined) value = await store.get('a');
    await writing;
    expect(value).toBe(1);
  });

  test('uncommitted reads fill no memory without end', async () => {
    let decoded = 0;
    const counted = {
      ...int64(),
      deserialize: (...args: Parameters<Serde<number>['deserialize']>): number => {
        decoded++;
        return int64().deserialize(...args);
      },
    };
    const builder = new StreamsBuilder();
    const one = topic('one', { key: string(), value: int64(), partitions: 1 });
    const table = builder
      .stream(one)
      .groupByKey()
      .reduce((sum, value) => sum + value, { store: 'sums', value: counted });
    const log = await openTestLog();
    const app = makeApp(log, builder.build(), { cacheEntriesMax: 0, checkpointIntervalMs: 0 });
    await app.start();
    await produce(log, one, [['a', 1, 1]]);
    await until(async () => (await app.store(table).get('a')) === 1);
    await until(() => app.metrics().checkpoints === app.metrics().commits);
    const store = app.store(table, { isolationLevel: 'read_uncommitted' });
    expect(await store.get('a')).toBe(1);
    const before = decoded;
    for (let count = 1; count < 25_000; count++) await store.get('a');
    expect(decoded).toBe(before + 2); // it was dropped twice
  });

  test('a query of several lists lets go of all if one fails', async () => {
    let isBroken = false;
    let written = 0;
    const serde: Serde<{ n: number }> = {
      ...json<{ n: number }>(),
      serialize: (value, ...rest) => {
        if (isBroken && value.n === 1) throw new TypeError('cannot write');
        if (value.n === 2) written++;
        return json<{ n: number }>().serialize(value, ...rest);
      },
    };
    const rows = topic('rows', { key: string(), value: json<{ n: number }>(), partitions: 3 });
    const builder = new StreamsBuilder();
    const windows = builder
      .stream(rows)
      .groupByKey()
      .windowedBy(tumblingWindow({ sizeMs: 100, graceMs: 60_000 }))
      .reduce((_, value) => value, { value: serde });
    const log = await openTestLog();
    const app = makeApp(log, builder.build(), { idleTimeoutMs: 0 });
    await app.start();
    const store = app.store(windows);
    const key = Buffer.from('a');
    const home = partitionOfKey(key, 0, key.length, 3);
    const [first = 0, second = 0] = [0, 1, 2].filter((partition) => partition !== home);
    await produce(log, rows, [
      ['a', { n: 1 }, 1, first],
      ['a', { n: 2 }, 1, second],
    ]);
    await until(async () => (await store.fetchAll().toArray()).length === 2);
    isBroken = true;
    expect(await failureOf(store.fetch('a').toArray())).toMatchObject({ message: 'cannot write' });
    const before = written;
    await produce(log, rows, [['b', { n: 3 }, 1, second]]);
    await until(async () => (await store.get('b', 0)) !== undefined);
    expect(written).toBe(before); // the other list was not read to its end
  });

  test('a list of uncommitted rows ends with an error if its task ends', async () => {
    const builder = new StreamsBuilder();
    const one = topic('one', { key: string(), value: int64(), partitions: 1 });
    const table = builder.table(one, { store: 'one' });
    const log = await openTestLog();
    await produce(log, one, [
      ['a', 1, 1],
      ['b', 2, 1],
      ...Array.from({ length: 500 }, (_, index) => [`c${index}`, 1, 1] as const),
    ]);
    const { failing, onStep } = failingCommit();
    const app = makeApp(log, builder.build(), { onStep });
    await app.start();
    await until(() => app.metrics().processedRecords === 502);
    const store = app.store(table, { isolationLevel: 'read_uncommitted' });
    const [first, second] = [store.all().batches(), store.all().batches()].map((batches) =>
      batches[Symbol.asyncIterator](),
    );
    expect((await first!.next()).value).toHaveLength(256);
    expect((await second!.next()).value).toHaveLength(256);
    failing.add('commit-5-end');
    await produce(log, one, [['a', 2, 2]]);
    await until(() => app.state === 'RETRYING');
    await until(() => app.state === 'RUNNING');
    const failure = await failureOf(first!.next());
    expect(StreamsError.is(failure, 'STORE_UNAVAILABLE') && failure.retriable).toBe(true);
    expect((failure as Error).message).toContain(
      'one.all: the task whose uncommitted rows were being read has ended',
    );
    await app.close();
    expect(await failureOf(second!.next())).toMatchObject({ code: 'INVALID_STATE' });
  });

  test('nobody asks any more: a commit does no more than otherwise', async () => {
    const builder = new StreamsBuilder();
    const sums = builder
      .stream(numbers)
      .groupByKey()
      .reduce((sum, value) => sum + value, { store: 'sums' });
    const log = await openTestLog();
    const checkpointIntervalMs = 600_000;
    const app = makeApp(log, builder.build(), { commitIntervalMs: 1, checkpointIntervalMs });
    await app.start();
    const store = app.store(sums);
    expect(await store.get('a')).toBeUndefined();
    const before = app.metrics();
    for (let round = 1; app.metrics().commits < before.commits + 110; round++) {
      await produce(log, numbers, [['a', 1, round]]);
      await until(() => app.metrics().processedRecords === round);
    }
    const { checkpoints } = app.metrics();
    await store.get('a'); // waits for a checkpoint again
    await until(() => app.metrics().checkpoints > checkpoints);
  });
});

describe('[QUERY-3] what cannot be queried says why', () => {
  function topology() {
    const builder = new StreamsBuilder();
    const table = builder.table(numbers, { store: 'numbers' });
    const view = table.mapValues((value) => value * 2, { name: 'doubled' });
    return { builder, table, view };
  }

  test.each([
    ['before the start', (app: StreamsApp) => app, 'INVALID_STATE', 'CREATED; start it first'],
    [
      'after the end',
      async (app: StreamsApp) => {
        await app.start();
        await app.close();
      },
      'INVALID_STATE',
      'NOT_RUNNING; its stores are closed',
    ],
  ] as const)('%s', async (_, prepare, code, words) => {
    const { builder, table } = topology();
    const app = makeApp(await openTestLog(), builder.build());
    await prepare(app);
    const failures = [
      await failureOf(app.store(table).get('a')),
      await failureOf(app.store(table).all().toArray()),
      await failureOf(app.store(table).approximateNumEntries()),
    ];
    for (const failure of failures) {
      expect(failure).toMatchObject({ code });
      expect((failure as Error).message).toContain(words);
    }
  });

  test.each<readonly [string, (app: StreamsApp) => unknown, string, string]>([
    ['a view', (app) => app.store(topologyOf(app).view), 'UNKNOWN_STORE', "{ store: 'name' }"],
    ['a name', (app) => app.store('number'), 'UNKNOWN_STORE', 'did you mean numbers?'],
    [
      'a kind',
      (app) => app.store(windowStore<string, number>('numbers')),
      'UNKNOWN_STORE',
      'store numbers is a key-value store, and not a window store',
    ],
    [
      'a table of another topology',
      (app) => app.store(topology().table),
      'UNKNOWN_STORE',
      'table numbers is of another topology',
    ],
    [
      'a global table of another topology',
      (app) => app.store(new StreamsBuilder().globalTable(names)),
      'UNKNOWN_STORE',
      'global table names is of another topology',
    ],
    [
      'a store of another topology',
      (app) => app.store(keyValueStore('numbers', { key: json<string>(), value: int64() })),
      'UNKNOWN_STORE',
      'store numbers is of another topology',
    ],
    ['nothing', (app) => app.store(undefined as never), 'INVALID_OPTION', 'a store or its name'],
    ['a number', (app) => app.store({} as never), 'INVALID_OPTION', 'a store or its name'],
    [
      'an isolation level',
      (app) => app.store('numbers', { isolationLevel: 'none' as never }),
      'INVALID_OPTION',
      'read_committed',
    ],
  ])('%s', async (_, query, code, words) => {
    const made = topology();
    const app = makeApp(await openTestLog(), made.builder.build());
    made_.set(app, made);
    const failure = await failureOf(Promise.resolve().then(() => query(app)));
    expect(failure).toMatchObject({ code });
    expect((failure as Error).message).toContain(words);
  });

  const made_ = new WeakMap<StreamsApp, ReturnType<typeof topology>>();
  const topologyOf = (app: StreamsApp) => made_.get(app)!;

  test('panes of hopping windows', async () => {
    const builder = new StreamsBuilder();
    const counts = builder
      .stream(numbers)
      .groupByKey()
      .windowedBy(hoppingWindow({ sizeMs: 1_000, advanceMs: 500 }))
      .count({ emit: 'final' });
    const app = makeApp(await openTestLog(), builder.build());
    const failure = await failureOf(Promise.resolve().then(() => app.store(counts)));
    expect(failure).toMatchObject({ code: 'UNKNOWN_STORE' });
    expect((failure as Error).message).toContain('panes of windows');
  });
});
