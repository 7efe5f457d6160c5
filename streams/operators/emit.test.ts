import { describe, expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { committedRows, makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { drive, numbers, shown, sums, windowTable } from '../../test/kit/drive.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { KStream } from '../dsl/kstream.ts';
import type { KTable } from '../dsl/ktable.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { hoppingWindow, tumblingWindow, type Windowed } from '../topology/windows.ts';
import type { Emit, TableEmit } from './emit.ts';

const summing = (emit: TableEmit) =>
  drive(numbers, sums, (stream) =>
    stream
      .groupByKey()
      .reduce((sum, value) => sum + value, { store: 'kept', emit })
      .toStream(),
  );

describe("[OP-EMIT-1] with emit: 'each'", () => {
  test('every change is passed on, at the greater of the times of record and result', () => {
    const { pipe } = summing('each');
    expect(shown(pipe(['a', 1, 5], ['a', 2, 9], ['a', 4, 3], ['b', 8, 1]))).toEqual([
      'a 1 @5',
      'a 3 @9',
      'a 7 @9',
      'b 8 @1',
    ]);
  });

  test('a result has the headers of its record', () => {
    const headers = [{ key: 'trace', value: Buffer.from('7') }];
    expect(summing('each').pipe(['a', 1, 5, headers])[0]?.headers).toEqual(headers);
  });

  test('all changes of one commit are passed on', async () => {
    const log = await openTestLog();
    const builder = new StreamsBuilder();
    builder.stream(numbers).groupByKey().count({ emit: 'each' }).toStream().to(sums);
    await produce(log, numbers, [
      ['a', 1, 1],
      ['b', 1, 2],
      ['a', 1, 3],
    ]);
    const app = makeApp(log, builder.build(), { commitIntervalMs: 10_000 });
    await app.start();
    await app.finish();
    expect(await committedRows(log, sums)).toEqual(['a 1 @1', 'b 1 @2', 'a 2 @3']);
  });

  test('a record changes its windows in the order of their starts', () => {
    const windows = hoppingWindow({ sizeMs: 10, advanceMs: 5 });
    expect(windowTable({ windows, emit: 'each' }, 'a 1 12\na 2 7\na 4 25\nend')).toBe(
      [
        ...['a 1 12', '  a [5, 15) 1 @12', '  a [10, 20) 1 @12'],
        ...['a 2 7', '  a [5, 15) 3 @12'], // [0, 10) has closed
        ...['a 4 25', '  a [20, 30) 4 @25', '  a [25, 35) 4 @25'],
        ...['end', 'late: 1'],
      ].join('\n'),
    );
  });
});

describe('[OP-EMIT-2] with emit: { everyMs }', () => {
  test('a key is passed on once when stream time reaches a multiple', () => {
    const { driver, pipe } = summing({ everyMs: 10 });
    expect(shown(pipe(['a', 1, 1], ['b', 2, 3], ['a', 4, 9]))).toEqual([]);
    expect(shown(pipe(['c', 1, 10]))).toEqual(['a 5 @9', 'b 2 @3']); // without the record at 10
    expect(shown(pipe(['a', 8, 12], ['a', 16, 11]))).toEqual([]);
    expect(shown(pipe(['b', 4, 57]))).toEqual(['c 1 @10', 'a 29 @12']);
    expect(shown(pipe(['a', 1, 58], ['b', 1, 59]))).toEqual([]);
    driver.endOfInput();
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['b 7 @59', 'a 30 @58']);
    driver.endOfInput();
    expect(driver.outputTopic(sums).readAll()).toEqual([]);
  });

  test('a window passes on what waits when it closes', () => {
    const windows = tumblingWindow({ sizeMs: 10 });
    const table = windowTable({ windows, emit: { everyMs: 25 } }, 'a 1 1\na 2 12\nb 4 26\nend');
    expect(table).toBe(
      [
        ...['a 1 1', 'a 2 12', '  a [0, 10) 1 @1'],
        ...['b 4 26', '  a [10, 20) 2 @12'],
        ...['end', '  b [20, 30) 4 @26', 'late: 0'],
      ].join('\n'),
    );
  });

  test.each([
    ['from its changelogs', true],
    ['from its checkpoint', false],
  ])('a restart %s passes on what waited, once', async (_, isLost) => {
    const log = await openTestLog();
    const kept = temporaryDirectory();
    const builder = new StreamsBuilder();
    const emit = { everyMs: 100 };
    builder.stream(numbers).groupByKey().count({ store: 'count', emit }).toStream().to(sums);
    const run = async (rows: readonly (readonly [string, number, number])[], count: number) => {
      await produce(log, numbers, rows);
      const stateDir = isLost ? temporaryDirectory() : kept;
      const app = makeApp(log, builder.build(), { stateDir });
      await app.start();
      await until(() => app.metrics().processedRecords === count);
      await app.close();
      return committedRows(log, sums);
    };
    expect(
      await run(
        [
          ['a', 1, 1],
          ['b', 1, 2],
        ],
        2,
      ),
    ).toEqual([]);
    expect(await run([['a', 1, 3]], 1)).toEqual([]);
    const passed = ['a 2 @3', 'b 1 @2'];
    expect(await run([['a', 1, 150]], 1)).toEqual(passed);
    expect(await run([['b', 1, 199]], 1)).toEqual(passed);
    expect(await run([['c', 1, 200]], 1)).toEqual([...passed, 'a 3 @150', 'b 2 @199']);
  });
});

describe('[OP-EMIT-2] a deletion that waits keeps its time and place through a restart', () => {
  const emit = { everyMs: 100 };
  const sumUp = (sum: number, value: number) => (value === 0 ? null : sum + value);
  const grouped = (builder: StreamsBuilder) => builder.stream(numbers).groupByKey();
  const windowed = (builder: StreamsBuilder) =>
    grouped(builder).windowedBy(tumblingWindow({ sizeMs: 1_000 }));
  const unwindowed = (table: KTable<Windowed<string>, number | null>) =>
    table.toStream(({ key }) => key.key);

  test.each([
    ['of a table', (b) => grouped(b).reduce(sumUp, { emit }).toStream()],
    ['of a window without other rows', (b) => unwindowed(windowed(b).reduce(sumUp, { emit }))],
    [
      'of a stored view of windows',
      (b) => {
        const each = windowed(b).reduce(sumUp, { emit: 'each' });
        return unwindowed(each.mapValues((sum) => sum, { store: 'kept', emit }));
      },
    ],
  ] satisfies [string, (builder: StreamsBuilder) => KStream<string, number | null>][])(
    '%s',
    async (_, build) => {
      const log = await openTestLog();
      const stateDir = temporaryDirectory();
      const builder = new StreamsBuilder();
      build(builder).to(sums);
      const run = async (...rows: readonly (readonly [string, number, number])[]) => {
        await produce(log, numbers, rows);
        const app = makeApp(log, builder.build(), { stateDir });
        await app.start();
        await until(() => app.metrics().processedRecords === rows.length);
        await app.close();
        return committedRows(log, sums);
      };
      expect(await run(['a', 5, 1], ['b', 1, 100])).toEqual(['a 5 @1']);
      expect(await run(['b', 0, 105])).toEqual(['a 5 @1']);
      expect(await run(['a', 1, 110], ['a', 0, 150])).toEqual(['a 5 @1']);
      expect(await run(['c', 1, 200])).toEqual(['a 5 @1', 'b null @105', 'a null @150']);
    },
  );
});

describe('[OP-EMIT-3] a table of a topic passes its changes on', () => {
  const tableOf = (emit: TableEmit | undefined) => {
    const builder = new StreamsBuilder();
    builder
      .table(numbers, { store: 'kept', ...(emit !== undefined && { emit }) })
      .toStream()
      .to(sums);
    return builder.build();
  };
  const rows: readonly (readonly [string, number | null, number])[] = [
    ['a', 1, 5],
    ['a', 2, 3],
    ['b', 4, 6],
    ['a', null, 7],
  ];

  test.each([
    [undefined, ['a 1 @5', 'a 2 @3', 'b 4 @6', 'a null @7']],
    ['each', ['a 1 @5', 'a 2 @3', 'b 4 @6', 'a null @7']],
    ['commit', ['a null @7', 'b 4 @6']],
    [{ everyMs: 6 }, ['a 2 @3', 'b 4 @6', 'a null @7']],
  ] as const)('as its option says: %o', async (emit, expected) => {
    const log = await openTestLog();
    await produce(log, numbers, rows);
    const app = makeApp(log, tableOf(emit), { commitIntervalMs: 10_000 });
    await app.start();
    await app.finish();
    expect(await committedRows(log, sums)).toEqual(expected);
  });
});

test.each([
  ['update', /emit/],
  [{ everyMs: 0 }, /emit/],
  [{ everyMs: 5, every: 5 }, /emit/],
  ['final', /only windows have a 'final' result/],
])('[STREAMS-2] an unknown emit is refused: %o', (emit, message) => {
  const grouped = new StreamsBuilder().stream(topic('in', { key: string(), value: int64() }));
  const options = { emit: emit as TableEmit };
  expect(() => grouped.groupByKey().count(options)).toThrow(message);
  if (emit === 'final') return;
  const windows = tumblingWindow({ sizeMs: 5 });
  const wrong = { emit: emit as Emit };
  expect(() => grouped.groupByKey().windowedBy(windows).count(wrong)).toThrow(message);
});
