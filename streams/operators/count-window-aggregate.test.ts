import fc from 'fast-check';
import { describe, expect, expectTypeOf, test } from 'vitest';
import {
  bytes,
  deserializeBytes,
  int64,
  json,
  serializeToBytes,
  string,
  topic,
} from '../../core/index.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { numbers } from '../../test/kit/drive.ts';
import {
  crashInput,
  crashOutput,
  sameAfterCrashes,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { KTable } from '../dsl/ktable.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import {
  countWindow,
  countWindowedSerde,
  type CountWindowed,
  type CountWindows,
} from '../topology/count-windows.ts';
import { countedWindowsSerde } from './count-window-aggregate.ts';

const windowed = topic('windowed', { key: countWindowedSerde(string()), value: json<unknown>() });

interface TableOptions {
  readonly windows: CountWindows;
  /** Default: `final`. */
  readonly emit?: 'final' | 'each';
}

/**
 * Runs the sums of windows and returns a text table: each line `key value time` is an input, and
 * below it are its results, `key [first, end) value @time`.
 */
function countTable({ windows, emit = 'final' }: TableOptions, input: string): string {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers, { nullValues: 'pass' })
    .groupByKey()
    .windowedBy(windows)
    .reduce((sum, value) => sum + value, { store: 'sums', emit })
    .toStream()
    .to(windowed);
  const driver = new TopologyTestDriver(builder.build());
  const lines = input
    .trim()
    .split('\n')
    .flatMap((line) => {
      const [name = '', value, time] = line.trim().split(/\s+/);
      const row = { key: name === 'null' ? null : name, timestampMs: Number(time) };
      if (name === 'end') driver.endOfInput();
      else {
        driver.inputTopic(numbers).pipe({ ...row, value: value === 'null' ? null : Number(value) });
      }
      const found = driver.outputTopic(windowed).readAll();
      return [
        line.trim(),
        ...found.map(({ key, value: sum, timestampMs }) => {
          const window = key && `[${key.windowStart}, ${key.windowEnd})`;
          return `  ${key?.key} ${window} ${Number(sum)} @${timestampMs}`;
        }),
      ];
    });
  const { droppedRecords } = driver.metrics();
  lines.push(`dropped: ${droppedRecords['null-key'] + droppedRecords['null-value']}`);
  return lines.join('\n');
}

describe('[OP-COUNTWINDOW-1] windows of so many records', () => {
  test('follow each other for each key; a complete one has its result at once', () => {
    const table = countTable(
      { windows: countWindow({ size: 3 }) },
      `a 1 0
       b 10 1
       a 2 9
       a 4 5
       a 8 20
       b 20 21
       null 7 21
       b null 22
       b 30 19
       a 16 23
       end
       a 32 24`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
      b 10 1
      a 2 9
      a 4 5
        a [0, 3) 7 @9
      a 8 20
      b 20 21
      null 7 21
      b null 22
      b 30 19
        b [0, 3) 60 @21
      a 16 23
      end
      a 32 24
        a [3, 6) 56 @24
      dropped: 2"
    `);
  });

  test('overlap: the last `size`, each `advance`, also before there are so many', () => {
    const table = countTable(
      { windows: countWindow({ size: 5, advance: 2 }) },
      `a 1 0
       a 2 1
       a 4 2
       a 8 3
       a 16 4
       a 32 5
       a 64 6
       a 128 7`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
      a 2 1
        a [0, 2) 3 @1
      a 4 2
      a 8 3
        a [0, 4) 15 @3
      a 16 4
      a 32 5
        a [1, 6) 62 @5
      a 64 6
      a 128 7
        a [3, 8) 248 @7
      dropped: 0"
    `);
  });

  test('with each, every window that a record changes', () => {
    const table = countTable(
      { windows: countWindow({ size: 3, advance: 2 }), emit: 'each' },
      `a 1 5
       a 2 1
       a 4 2
       a 8 9`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 5
        a [0, 2) 1 @5
      a 2 1
        a [0, 2) 3 @5
        a [1, 4) 2 @1
      a 4 2
        a [1, 4) 6 @2
      a 8 9
        a [1, 4) 14 @9
        a [3, 6) 8 @9
      dropped: 0"
    `);
  });

  test(`have what the last records give at once, seed ${SEED}`, () => {
    const sizes = fc.integer({ min: 1, max: 9 }).chain((size) => {
      return fc.record({ size: fc.constant(size), advance: fc.integer({ min: 1, max: size }) });
    });
    fc.assert(
      fc.property(sizes, fc.array(fc.nat(99), { maxLength: 40 }), (options, values) => {
        const builder = new StreamsBuilder();
        builder
          .stream(numbers, { nullKeys: 'fail' })
          .groupByKey()
          .windowedBy(countWindow(options))
          .aggregate(
            (): number[] => [],
            (list, { value }) => (list.push(value), list),
            {
              store: 'lists',
            },
          )
          .toStream()
          .to(windowed);
        const driver = new TopologyTestDriver(builder.build());
        for (const value of values) driver.inputTopic(numbers).pipe({ key: 'a', value });
        const found = driver.outputTopic(windowed).readAll();
        const expected: unknown[] = [];
        for (let end = options.advance; end <= values.length; end += options.advance) {
          expected.push(values.slice(Math.max(0, end - options.size), end));
        }
        expect(found.map(({ value }) => value)).toEqual(expected);
      }),
      { seed: SEED, numRuns: 60 },
    );
  });
});

describe('[OP-COUNTWINDOW-2] values', () => {
  test('are not shared by windows, whatever a function changes in place', () => {
    const carts = topic('carts', { key: string(), value: json<{ total: number }>() });
    const builder = new StreamsBuilder();
    builder
      .stream(carts, { nullKeys: 'fail' })
      .groupByKey()
      .windowedBy(countWindow({ size: 2, advance: 1 }))
      .reduce(
        (sum, value) => {
          sum.total += value.total;
          return sum;
        },
        { store: 'totals' },
      )
      .toStream()
      .to(windowed);
    const driver = new TopologyTestDriver(builder.build());
    for (const total of [1, 10, 100]) driver.inputTopic(carts).pipe({ key: 'a', value: { total } });
    const found = driver.outputTopic(windowed).readAll();
    expect(found.map(({ value }) => value)).toEqual([{ total: 1 }, { total: 11 }, { total: 110 }]);
  });

  test('that are null begin again, and have no final result', () => {
    const builder = new StreamsBuilder();
    const table = builder
      .stream(numbers, { nullKeys: 'fail' })
      .groupByKey()
      .windowedBy(countWindow({ size: 2 }))
      .aggregate(
        () => 0,
        (sum, { value }) => (value === 0 ? null : sum + value),
        { store: 'sums', value: int64() },
      );
    expectTypeOf(table).toEqualTypeOf<KTable<CountWindowed<string>, number | null>>();
    table.toStream().to(windowed);
    const driver = new TopologyTestDriver(builder.build());
    for (const value of [5, 0, 0, 3]) driver.inputTopic(numbers).pipe({ key: 'a', value });
    expect(
      driver
        .outputTopic(windowed)
        .readAll()
        .map(({ value }) => value),
    ).toEqual([3]);
  });

  test('before a change are those that were passed on', () => {
    const sums = topic('sums', { key: string(), value: int64() });
    const builder = new StreamsBuilder();
    builder
      .stream(numbers, { nullKeys: 'fail' })
      .groupByKey()
      .windowedBy(countWindow({ size: 3, advance: 2 }))
      .count({ store: 'counts', emit: 'each' })
      .groupBy(({ key, value }) => ({ key: key.key, value }), { key: string(), value: int64() })
      .reduce(
        (sum, value) => sum + value,
        (sum, value) => sum - value,
        { store: 'all' },
      )
      .toStream()
      .to(sums);
    const driver = new TopologyTestDriver(builder.build());
    const totals = [1, 2, 3, 4, 5].map(() => {
      driver.inputTopic(numbers).pipe({ key: 'a', value: 1 });
      return driver.outputTopic(sums).readAll().at(-1)?.value;
    });
    // [0, 2) has 1 and 2; [1, 4) has 1, 2 and 3 from the second record on; [3, 6) from the fourth.
    expect(totals).toEqual([1, 3, 4, 6, 7]);
  });

  test('are read from the store as they were written', () => {
    const serde = countedWindowsSerde(bytes());
    const counted = {
      count: 7,
      open: [
        { value: Buffer.from('ab'), timestampMs: 5 },
        { value: undefined, timestampMs: 0 },
        { value: Buffer.alloc(0), timestampMs: 9 },
      ],
    };
    expect(deserializeBytes(serde, serializeToBytes(serde, counted))).toEqual(counted);
    const key = { key: 'k', windowStart: 3, windowEnd: 9 };
    const keys = countWindowedSerde(string());
    expect(deserializeBytes(keys, serializeToBytes(keys, key))).toEqual(key);
  });
});

test('[OP-COUNTWINDOW-3] what makes no sense is refused', async () => {
  const of = (make: () => unknown) => codeOf((async () => make())());
  const bad = [{}, { size: 0 }, { size: 2, advance: 3 }, { size: 2, advance: 0 }, { size: 1.5 }];
  for (const options of bad) {
    expect(await of(() => countWindow(options as never))).toBe('INVALID_OPTION');
  }
  expect(await of(() => countWindow({ size: 1, count: 1 } as never))).toBe('UNKNOWN_OPTION');
  const grouped = new StreamsBuilder().stream(numbers, { nullKeys: 'fail' }).groupByKey();
  expect(await of(() => grouped.windowedBy({ size: 2, advance: 9 }))).toBe('INVALID_OPTION');
  const windows = grouped.windowedBy(countWindow({ size: 2 }));
  for (const emit of ['commit', { everyMs: 5 }]) {
    // @ts-expect-error -- results come when a window is complete, or with each record
    expect(await of(() => windows.count({ emit }))).toBe('INVALID_OPTION');
  }
  // @ts-expect-error -- an adder of other values
  windows.reduce((sum: string, value: string) => sum + value);
  const counts = windows.count({ store: 'counts' });
  expectTypeOf(counts).toEqualTypeOf<KTable<CountWindowed<string>, number>>();
  expect(counts.store).toBeUndefined();
});

describe.each(WAYS_TO_STOP)('[OP-COUNTWINDOW-4] after %s', (_, stop) => {
  test(`the results are the same, at any time, seed ${SEED}`, async () => {
    const topology = () => {
      const builder = new StreamsBuilder();
      const grouped = builder.stream(crashInput, { nullKeys: 'fail' }).groupByKey();
      const sums = (windows: CountWindows, emit: 'each' | 'final') =>
        grouped
          .windowedBy(windows)
          .reduce((sum, value) => sum + value, { store: `${emit}-${windows.advance}`, emit })
          .toStream()
          .map(({ key, value }) => {
            return { key: `${emit} ${key.key} ${key.windowStart}`, value: String(value) };
          });
      sums(countWindow({ size: 10 }), 'final')
        .merge(sums(countWindow({ size: 10, advance: 3 }), 'final'))
        .merge(sums(countWindow({ size: 4, advance: 2 }), 'each'))
        .to(crashOutput);
      return builder.build();
    };
    await sameAfterCrashes(topology, stop, { every: 7 });
  }, 60_000);
});
