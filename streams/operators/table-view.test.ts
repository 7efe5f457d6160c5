import { describe, expect, expectTypeOf, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import { committedRows, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { changes, changesOf, tableOf } from '../../test/kit/changes.ts';
import { drive, numbers, shown, sums } from '../../test/kit/drive.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { KTable } from '../dsl/ktable.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import { tumblingWindow } from '../topology/windows.ts';
import type { TableEmit } from './emit.ts';

const labels = topic('labels', { key: string(), value: string() });

describe('[OP-TABLE-3]', () => {
  test('filter passes on rows that come, change, go or stay away', () => {
    const { driver, pipe } = tableOf((table) => table.filter(({ value }) => value > 9));
    expect(pipe('a 1 1, a 10 2, a 11 1, a 2 4, a 3 5, a - 6')).toEqual([
      'a ->10 @2',
      'a 10>11 @1',
      'a 11>- @4',
    ]);
    expect(pipe('b - 1, b 12 2, b - 3, b - 4')).toEqual(['b ->12 @2', 'b 12>- @3']);
    expect(() => driver.keyValueStore('filter-table')).toThrow(/no store/);
  });

  test('filterNot keeps the other rows', () => {
    const { pipe } = tableOf((table) =>
      table.filterNot(({ key, value }) => `${key}${value}` === 'a1'),
    );
    expect(pipe('a 1 1, b 1 2, a 2 3, a 1 4')).toEqual(['b ->1 @2', 'a ->2 @3', 'a 2>- @4']);
  });

  test('mapValues replaces values, and passes on each change', () => {
    const { pipe } = tableOf((table) => table.mapValues((value, { key }) => `${key}${value}`));
    expect(pipe('a 1 1, a 1 2, a - 3, b - 4')).toEqual([
      'a ->a1 @1',
      'a a1>a1 @2',
      'a a1>- @3',
      'b ->- @4',
    ]);
  });

  test.each([null, undefined])('mapValues to %s deletes', (nothing) => {
    const { pipe } = tableOf((table) => table.mapValues((value) => (value > 9 ? value : nothing)));
    expect(pipe('a 10 1, a 1 2, a 2 3')).toEqual(['a ->10 @1', 'a 10>- @2', 'a ->- @3']);
  });

  test('a change keeps its headers', () => {
    const headers = [{ key: 'trace', value: Buffer.from('7') }];
    const { pipe } = drive(numbers, sums, (stream) =>
      stream
        .toTable()
        .filter(({ value }) => value > 1)
        .mapValues((value) => value + 1)
        .toStream(),
    );
    expect(pipe(['a', 5, 1, headers])[0]?.headers).toEqual(headers);
  });

  test('views of tables of windows', () => {
    const { pipe } = drive(numbers, sums, (stream) =>
      stream
        .groupByKey()
        .windowedBy(tumblingWindow({ sizeMs: 10 }))
        .count({ emit: 'each' })
        .filter(({ key, value }) => key.windowStartMs > 0 && value > 1)
        .mapValues((count) => count * 100)
        .toStream(({ key }) => `${key.key}${key.windowStartMs}`, { key: string() }),
    );
    expect(shown(pipe(['a', 1, 1], ['a', 1, 2], ['a', 1, 11], ['a', 1, 12]))).toEqual([
      'a10 200 @12',
    ]);
  });
});

describe('[OP-TABLE-4] a view in a store', () => {
  test('has a store, and is the same otherwise', () => {
    const { driver, pipe } = tableOf((table) =>
      table.filter(({ value }) => value > 9, { store: 'large' }),
    );
    expect(pipe('a 1 1, a 10 2, a 11 1, a 2 0, a 3 5, b 15 5, b - 4')).toEqual([
      'a ->10 @2',
      'a 10>11 @1',
      'a 11>- @0',
      'b ->15 @5',
      'b 15>- @4',
    ]);
    pipe('c 20 6');
    expect([...driver.keyValueStore('large').entries()]).toEqual([['c', 20]]);
  });

  test('mapValues writes its values by the serde given', () => {
    const { driver, pipe } = tableOf((table) =>
      table.mapValues((value) => `#${value}`, { store: 'labels', value: string() }),
    );
    expect(pipe('a 1 1, a 1 2, a - 1, b - 4')).toEqual([
      'a ->#1 @1',
      'a #1>#1 @2',
      'a #1>- @1',
      'b ->- @4',
    ]);
    expect([...driver.keyValueStore('labels').entries()]).toEqual([]);
  });

  test.each([
    ['commit', ['a ->12 @5', 'b ->20 @3']],
    [{ everyMs: 4 }, ['a ->10 @1', 'b ->20 @3', 'a 10>12 @5']],
    ['each', 'a ->10 @1, c ->30 @2, c 30>- @3, b ->20 @3, a 10>- @4, a ->12 @5'.split(', ')],
  ] as const)('passes changes on as emit says: %o', async (emit, expected) => {
    const log = await openTestLog();
    await produce(log, numbers, [
      ['a', 10, 1],
      ['c', 30, 2],
      ['c', 1, 3],
      ['b', 20, 3],
      ['a', 1, 4],
      ['a', 12, 5],
    ]);
    const builder = new StreamsBuilder();
    const options = { store: 'large', emit: emit as TableEmit };
    changesOf(builder.table(numbers).filter(({ value }) => value > 9, options)).to(changes);
    await runToEnd(log, builder.build(), { commitIntervalMs: 10_000 });
    expect(await committedRows(log, changes)).toEqual(expected);
  });

  test('is not changed by what changes the values of its table in place', async () => {
    interface Total {
      sum: number;
    }
    const log = await openTestLog();
    const topology = () => {
      const builder = new StreamsBuilder();
      const totals = builder
        .stream(numbers)
        .groupByKey()
        .aggregate(
          (): Total => ({ sum: 0 }),
          (total, { value }) => {
            total.sum += value;
            return total;
          },
          { store: 'totals', emit: 'each' },
        );
      const options = { store: 'small', value: json<Total>() };
      changesOf(
        totals.filter(({ value }) => value.sum < 9, options),
        ({ sum }) => sum,
      ).to(changes);
      return builder.build();
    };
    const stateDir = temporaryDirectory();
    for (const value of [1, 4]) {
      await produce(log, numbers, [
        ['a', value, value],
        ['a', value * 2, value * 2],
      ]);
      await runToEnd(log, topology(), { stateDir });
    }
    expect(await committedRows(log, changes)).toEqual([
      'a ->1 @1',
      'a 1>3 @2',
      'a 3>7 @4',
      'a 7>- @8',
    ]);
  });

  test('emit without a store is refused', () => {
    const table = new StreamsBuilder().table(numbers);
    expect(() => table.filter(() => true, { emit: 'commit' })).toThrow(/emit.*without a store/);
    expect(() => table.filter(() => true, { store: 's', emit: 'final' as 'each' })).toThrow(
      /only windows/,
    );
    expect(() => table.mapValues(String, { stroe: 's' } as object)).toThrow(/stroe/);
    expect(() => table.filter('yes' as unknown as () => true)).toThrow(/predicate/);
  });
});

describe('[OP-TABLE-5] a stream joins a view', () => {
  test.each(['a view', 'a stored view'])('%s of a view', (kind) => {
    const builder = new StreamsBuilder();
    const stored = kind === 'a stored view' ? { store: 'texts', value: string() } : {};
    const table = builder
      .table(sums)
      .filter(({ value }) => value > 9)
      .mapValues((value) => `<${value}>`, stored);
    builder
      .stream(numbers)
      .leftJoin(table, (left, right) => `${left}${String(right)}`)
      .to(labels);
    const driver = new TopologyTestDriver(builder.build());
    const results: string[] = [];
    for (const row of [1, 10, 11, 2, 12, null]) {
      driver.inputTopic(sums).pipe({ key: 'a', value: row });
      driver.inputTopic(numbers).pipe({ key: 'a', value: 0 });
      results.push(
        ...driver
          .outputTopic(labels)
          .readAll()
          .map(({ value }) => value!),
      );
    }
    expect(results).toEqual(['0undefined', '0<10>', '0<11>', '0undefined', '0<12>', '0undefined']);
  });

  test('[OP-TABLE-2] as it was passed on', async () => {
    const log = await openTestLog();
    const builder = new StreamsBuilder();
    const counts = builder.stream(sums).groupByKey().count({ store: 'counts' });
    const texts = counts.mapValues((count) => `${count}`);
    builder
      .stream(numbers)
      .leftJoin(texts, (_, text) => text ?? 'none')
      .to(labels);
    const run = async (firstMs: number) => {
      await produce(log, sums, [
        ['a', 1, firstMs],
        ['a', 1, firstMs + 1],
      ]);
      await produce(log, numbers, [['a', 0, firstMs + 2]]);
      await runToEnd(log, builder.build(), { commitIntervalMs: 10_000 });
    };
    await run(1);
    await run(11);
    expect(await committedRows(log, labels)).toEqual(['a none @3', 'a 2 @13']);
  });
});

test('[OP-TABLE-6] toStream with a function gives records other keys', () => {
  const { pipe } = drive(numbers, sums, (stream) =>
    stream
      .toTable()
      .toStream(({ key, value }) => `${key}${String(value)}`)
      .groupByKey()
      .count()
      .toStream(),
  );
  expect(shown(pipe(['a', 1, 1], ['a', 2, 2], ['a', 1, 3]))).toEqual([
    'a1 1 @1',
    'a2 1 @2',
    'a1 2 @3',
  ]);
});

test('[STREAMS-17] the types of views follow from their functions', () => {
  const table = new StreamsBuilder().table(numbers);
  const counts = new StreamsBuilder().stream(numbers).groupByKey().count();
  expectTypeOf(table.filter(({ value }) => value > 1)).toEqualTypeOf<
    KTable<string, number | null>
  >();
  expectTypeOf(counts.filter(({ value }) => value > 1)).toEqualTypeOf<
    KTable<string, number | null>
  >();
  expectTypeOf(counts.mapValues(String)).toEqualTypeOf<KTable<string, string>>();
  expectTypeOf(table.mapValues(String)).toEqualTypeOf<KTable<string, string | null>>();
  expectTypeOf(counts.mapValues((count) => (count > 1 ? count : undefined))).toEqualTypeOf<
    KTable<string, number | null>
  >();
  const wrongly = (): void => {
    // @ts-expect-error -- the value is a number
    table.filter(({ value }) => value.length > 1);
    // @ts-expect-error -- it is async
    table.filter(async () => true);
    // @ts-expect-error -- it is async
    table.mapValues(async (value) => value);
    // @ts-expect-error -- the serde is of another type
    table.mapValues(String, { store: 'texts', value: int64() });
    // @ts-expect-error -- a row may have been deleted
    table.toStream(({ value }) => value.toFixed());
    // @ts-expect-error -- it is async
    table.toStream(async ({ key }) => key);
  };
  expect(wrongly).toBeTypeOf('function');
});
