import { once } from 'node:events';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { int64, json, string, topic, topicPattern } from '../../core/index.ts';
import { makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { failureOf } from '../../test/kit/connect.ts';
import { failingCommit } from '../../test/kit/failing-commit.ts';
import { keyValueStore } from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { LiveQuery, TableChange, WatchedRow } from '../topology/queryable.ts';
import { sessionWindow, tumblingWindow } from '../topology/windows.ts';
import type { CommitStep } from './commit.ts';

const numbers = topic('numbers', { key: string(), value: int64(), partitions: 2 });

/** Sums of all values of a key, and an application that can be made to fail in a commit. */
async function summing() {
  const builder = new StreamsBuilder();
  const sums = builder
    .stream(numbers)
    .groupByKey()
    .reduce((sum, value) => sum + value, { store: 'sums' });
  const log = await openTestLog();
  const { failing, onStep } = failingCommit();
  const app = makeApp(log, builder.build(), { onStep });
  const add = (...rows: readonly (readonly [key: string, value: number])[]) =>
    produce(
      log,
      numbers,
      rows.map(([key, value], index) => [key, value, index]),
    );
  return { app, sums, add, failing };
}

function gather<T>(query: LiveQuery<T>): T[] {
  const seen: T[] = [];
  query.subscribe((item) => seen.push(item));
  return seen;
}

const show = (rows: readonly WatchedRow<string, number>[]): string =>
  rows.map(({ key, value }) => `${key}=${value}`).join(' ');

describe('[QUERY-LIVE-1] a live query begins with what is there and follows each commit', () => {
  test('one key, of several that change', async () => {
    const { app, sums, add } = await summing();
    const early = gather(app.store(sums).watch('a'));
    await app.start();
    await until(() => early.length === 1);
    await add(['a', 1], ['b', 1]);
    await until(() => early.length === 2);
    const seen: (number | undefined)[] = gather(app.store(sums).watch('a'));
    await until(() => seen.length === 1);
    await add(['a', 1], ['a', 1], ['b', 5]);
    await until(() => seen.at(-1) === 3 && early.at(-1) === 3);
    await add(['b', 5]);
    await until(async () => (await app.store(sums).get('b')) === 11);
    expect(early.slice(0, 2)).toEqual([undefined, 1]);
    expect(seen[0]).toBe(1);
    // @ts-expect-error its keys are strings
    expect(() => app.store(sums).watch(1)).toThrow(TypeError);
  });

  test('all changes of what is sent right after subscribing', async () => {
    const { app, sums, add } = await summing();
    await app.start();
    const count = async (): Promise<number> => (await app.store(sums).get('a')) ?? 0;
    const rounds = [0, 1, 2, 3, 4];
    const shown: string[] = [];
    for (const round of rounds) {
      await until(async () => (await count()) === 2 * round);
      const subscription = app.changes$(sums).subscribe(({ key, oldValue, newValue }) => {
        shown.push(`${key} ${oldValue ?? 0}>${newValue}`);
      });
      for (const sum of [2 * round + 1, 2 * round + 2]) {
        await add(['a', 1]); // while the task waits for input, and so for this
        await until(async () => (await count()) === sum);
      }
      await until(() => shown.at(-1)?.endsWith(`>${2 * round + 2}`) === true);
      subscription.unsubscribe();
    }
    expect(shown).toEqual(rounds.flatMap((n) => [2 * n, 2 * n + 1]).map((n) => `a ${n}>${n + 1}`));
  });

  test('a range of keys of all partitions, with deletions', async () => {
    const builder = new StreamsBuilder();
    const table = builder.table(numbers);
    const log = await openTestLog();
    await produce(log, numbers, [
      ['a', 1, 1],
      ['b', 2, 1],
      ['c', 3, 1],
      ['d', 4, 1],
    ]);
    const app = makeApp(log, builder.build());
    await app.start();
    await until(() => app.metrics().processedRecords === 4);
    const seen = gather(app.store(table).watchRange('b', 'c'));
    const all = gather(app.store(table).watchRange());
    await until(() => seen.length === 1 && all.length === 1);
    await produce(log, numbers, [
      ['d', 9, 2],
      ['c', null, 2],
    ]);
    await until(() => seen.length === 2 && all.flat().length === 6);
    expect(seen.map(show)).toEqual(['b=2 c=3', 'c=undefined']);
    expect(show(all[0]!)).toBe('a=1 b=2 c=3 d=4');
    expect(
      show(
        all
          .slice(1)
          .flat()
          .sort((x, y) => (x.key < y.key ? -1 : 1)),
      ),
    ).toBe('c=undefined d=9');
  });

  test('windows and sessions, also those that merge', async () => {
    const builder = new StreamsBuilder();
    const grouped = builder.stream(numbers).groupByKey();
    const graceMs = 60_000;
    const windows = grouped.windowedBy(tumblingWindow({ sizeMs: 100, graceMs })).count();
    const sessions = grouped.windowedBy(sessionWindow({ gapMs: 100, graceMs })).count();
    const log = await openTestLog();
    const app = makeApp(log, builder.build());
    await app.start();
    const of = <T>(rows: readonly WatchedRow<T & WindowedKey, number>[]) =>
      rows.map(({ key: { key, windowStartMs, windowEndMs }, value }) => {
        return `${key}@${windowStartMs}-${windowEndMs}=${value}`;
      });
    const first = gather(app.store(windows).watch('a', 0));
    const later = gather(app.store(windows).watchFetch('a', 100));
    const visits = gather(app.store(sessions).watchFetchAll());
    const visit = gather(app.store(sessions).watch('a', 50));
    await until(() => first.length + later.length + visits.length + visit.length === 4);
    await produce(log, numbers, [
      ['a', 1, 50],
      ['a', 1, 180],
      ['b', 1, 150],
    ]);
    await until(() => visits.flat().length === 3 && first.length === 2 && later.length === 2);
    expect(first).toEqual([undefined, 1]);
    expect(later.map(of)).toEqual([[], ['a@100-200=1']]);
    expect(visits.flatMap(of).sort()).toEqual(['a@180-180=1', 'a@50-50=1', 'b@150-150=1']);
    const before = visits.length;
    await produce(log, numbers, [['a', 1, 110]]);
    await until(() => visits.length > before);
    expect(visits.slice(before).flatMap(of)).toEqual([
      'a@50-50=undefined',
      'a@50-180=3',
      'a@180-180=undefined',
    ]);
    expect(visit).toEqual([undefined, 1, 3]); // it has grown
  });

  test('a global table', async () => {
    const builder = new StreamsBuilder();
    const names = topic('names', { key: string(), value: string() });
    const table = builder.globalTable(names);
    builder.stream(numbers).foreach(() => undefined);
    const log = await openTestLog();
    await produce(log, names, [['a', 'Anna', 0]]);
    const app = makeApp(log, builder.build());
    await app.start();
    const seen = gather(app.store(table).watch('a'));
    const changes: TableChange<string, string>[] = [];
    app.changes$(table).subscribe((change) => changes.push(change));
    await until(() => seen.length === 1);
    await produce(log, names, [
      ['nobody', null, 1],
      ['a', 'Ann', 1],
    ]);
    await until(() => seen.length === 2 && changes.length === 1);
    expect(seen).toEqual(['Anna', 'Ann']);
    expect(changes).toEqual([{ key: 'a', oldValue: 'Anna', newValue: 'Ann', timestampMs: 1 }]);
  });
});

interface WindowedKey {
  readonly key: string;
  readonly windowStartMs: number;
  readonly windowEndMs: number;
}

describe('[QUERY-LIVE-2] through restarts nothing is lost, doubled or seen too early', () => {
  test.each<readonly [string, CommitStep]>([
    ['whose changes were undone', 'commit-5-end'],
    ['that took effect all the same', 'commit-6-move'],
  ])('a failed commit %s', async (_, step) => {
    const { app, sums, add, failing } = await summing();
    await app.start();
    const values = gather(app.store(sums).watch('a'));
    const rows = gather(app.store(sums).watchRange());
    const changes: TableChange<string, number>[] = [];
    app.changes$(sums).subscribe((change) => changes.push(change));
    await until(() => values.length === 1 && rows.length === 1);
    await add(['a', 1], ['b', 1]);
    await until(() => changes.length === 2);
    failing.add(step);
    await add(['a', 1]);
    await until(() => app.state === 'RETRYING');
    expect([values, changes.length]).toEqual([[undefined, 1], 2]);
    await until(() => app.state === 'RUNNING');
    await until(() => changes.length === 3);
    await add(['b', 1]);
    await until(() => changes.length === 4);
    expect(values).toEqual([undefined, 1, 2]);
    const shown = changes.map(({ key, oldValue, newValue }) => `${key} ${oldValue}>${newValue}`);
    expect(shown.slice(0, 2).sort()).toEqual(['a null>1', 'b null>1']);
    expect(shown.slice(2)).toEqual(['a 1>2', 'b 1>2']);
    expect(
      rows
        .flat()
        .map(({ key, value }) => `${key} ${value}`)
        .sort(),
    ).toEqual([...['a 1', 'a 2', 'b 1', 'b 2']]);
  });
});

test('[QUERY-LIVE-2] what is watched goes on when topics come and tasks start anew', async () => {
  const serdes = { key: string(), value: int64() };
  const builder = new StreamsBuilder();
  const table = builder.stream(topicPattern(/^in-/, serdes)).groupByKey().count();
  const log = await openTestLog();
  await produce(log, topic('in-1', serdes), [['a', 1, 1]]);
  const app = makeApp(log, builder.build(), { metadataMaxAgeMs: 20 });
  await app.start();
  const changes: TableChange<string, number>[] = [];
  app.changes$(table).subscribe((change) => changes.push(change));
  const followed = new Map<string, number | undefined>();
  app
    .store(table)
    .watchRange()
    .subscribe((rows) => {
      for (const { key, value } of rows) followed.set(key, value);
    });
  await until(() => followed.size === 1);
  await produce(log, topic('in-2', serdes), [
    ['a', 1, 2],
    ['b', 1, 3],
  ]);
  await until(() => followed.get('a') === 2 && followed.get('b') === 1);
  await produce(log, topic('in-1', serdes), [['a', 1, 4]]);
  await until(() => followed.get('a') === 3);
  const shown = changes.map(({ key, oldValue, newValue }) => `${key} ${oldValue}>${newValue}`);
  expect(shown.filter((change) => change.startsWith('a')).slice(-2)).toEqual(['a 1>2', 'a 2>3']);
});

describe('[QUERY-LIVE-3] a live query takes no more than it needs', () => {
  test('a loop that takes its time gets the newest, each key once', async () => {
    const { app, sums, add } = await summing();
    await app.start();
    const seen: string[] = [];
    let count = 0;
    for await (const rows of app.store(sums).watchRange()) {
      seen.push(show(rows));
      if (rows.some(({ value }) => value === 20)) break;
      for (; count < 20; count++) {
        await add(['a', 1], ['b', 1]);
        await until(async () => (await app.store(sums).get('a')) === count + 1);
      }
    }
    expect(seen.length).toBeLessThan(5);
    expect(seen[0]).toBe('');
    expect(seen.at(-1)).toContain('a=20');
  });

  test('what ends with the subscription, the loop and the application', async () => {
    const { app, sums, add } = await summing();
    await app.start();
    const store = app.store(sums);
    const seen: (number | undefined)[] = [];
    const subscription = store.watch('a').subscribe((value) => seen.push(value));
    await until(() => seen.length === 1);
    subscription.unsubscribe();
    await add(['a', 1]);
    await until(async () => (await store.get('a')) === 1);
    expect(seen).toEqual([undefined]);
    const ended: string[] = [];
    store.watch('a').subscribe({ complete: () => ended.push('value') });
    app.changes$(sums).subscribe({ complete: () => ended.push('changes') });
    const loop = (async () => {
      for await (const value of store.watch('a')) ended.push(`loop ${value}`);
      ended.push('loop');
    })();
    await until(() => ended.length === 1);
    await app.close();
    await loop;
    store.watch('a').subscribe({ complete: () => ended.push('after') });
    await until(() => ended.length === 5);
    expect(ended.sort()).toEqual(['after', 'changes', 'loop', 'loop 1', 'value']);
  });

  test('a loop that waits is ended from outside', async () => {
    const { app, sums } = await summing();
    await app.start();
    const store = app.store(sums);
    const loop = store.watch('a')[Symbol.asyncIterator]();
    expect(await loop.next()).toEqual({ done: false, value: undefined });
    const waiting = loop.next();
    expect(await loop.return!()).toEqual({ done: true, value: undefined });
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(await loop.next()).toEqual({ done: true, value: undefined });
    // As of a client that goes away.
    const stream = Readable.from(store.watchRange());
    stream.resume();
    await once(stream, 'data');
    const closed = once(stream, 'close');
    stream.destroy(new TypeError('gone'));
    expect(await failureOf(closed)).toMatchObject({ message: 'gone' });
    expect(stream.closed).toBe(true);
  });

  test('an application that fails ends its live queries with the reason', async () => {
    const builder = new StreamsBuilder();
    const table = builder
      .stream(numbers)
      .peek(({ value }) => {
        if (value < 0) throw new TypeError('less than nothing');
      })
      .toTable({ store: 'checked' });
    const log = await openTestLog();
    const app = makeApp(log, builder.build());
    await app.start();
    const failure = failureOf(
      (async () => {
        for await (const value of app.store(table).watch('a')) {
          if (value === undefined) await produce(log, numbers, [['a', -1, 1]]);
        }
      })(),
    );
    expect(await failureOf(app.done)).toMatchObject({ code: 'PROCESSING_FAILED' });
    expect(await failure).toMatchObject({ code: 'INVALID_STATE' });
    expect(((await failure) as Error).cause).toMatchObject({ code: 'PROCESSING_FAILED' });
  });

  test('one that cannot copy a row of a global table ends, and nothing else', async () => {
    const builder = new StreamsBuilder();
    const uncopied = {
      ...json<{ name: string }>(),
      serialize: (): never => {
        throw new TypeError('cannot write');
      },
    };
    const names = topic('names', { key: string(), value: json<{ name: string }>() });
    const table = builder.globalTable(topic('names', { key: string(), value: uncopied }));
    builder.stream(numbers).foreach(() => undefined);
    const log = await openTestLog();
    await log.admin().ensureTopic(names);
    const app = makeApp(log, builder.build());
    await app.start();
    const failures: unknown[] = [];
    const seen: unknown[] = [];
    app
      .store(table)
      .watch('a')
      .subscribe({ next: (value) => seen.push(value), error: (error) => failures.push(error) });
    await until(() => seen.length === 1);
    await produce(log, names, [['a', { name: 'Anna' }, 1]]);
    await until(() => failures.length === 1);
    expect(failures[0]).toMatchObject({ message: 'cannot write' });
    await produce(log, numbers, [['a', 1, 1]]);
    await until(() => app.metrics().processedRecords === 1);
    expect([app.state, seen]).toEqual(['RUNNING', [undefined]]);
    expect(await app.store(table).approximateNumEntries()).toBe(1);
  });

  test('what it hands over is a copy', async () => {
    const builder = new StreamsBuilder();
    const rows = topic('rows', { key: string(), value: json<{ total: number }>() });
    const table = builder.stream(rows).toTable({ store: 'rows-store' });
    const log = await openTestLog();
    await produce(log, rows, [['a', { total: 1 }, 1]]);
    const app = makeApp(log, builder.build());
    await app.start();
    const store = app.store(table);
    store.watch('a').subscribe((value) => {
      if (value !== undefined) value.total = 99;
    });
    const other = gather(store.watch('a'));
    await until(() => other.some((value) => value !== undefined));
    await produce(log, rows, [['a', { total: 2 }, 2]]);
    await until(() => other.length > 1 && other.at(-1)?.total === 2);
    expect(await store.get('a')).toEqual({ total: 2 });
    expect(
      await app.store(keyValueStore<string, { total: number }>('rows-store')).get('a'),
    ).toEqual({ total: 2 });
  });
});
