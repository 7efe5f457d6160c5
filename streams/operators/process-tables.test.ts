import { describe, expect, expectTypeOf, test } from 'vitest';
import { bytes, int64, string, topic } from '../../core/index.ts';
import { committedRows, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { numbers, shown, sums } from '../../test/kit/drive.ts';
import {
  crashInput,
  crashOutput,
  sameAfterCrashes,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { KTable } from '../dsl/ktable.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { untilTimeLimit, untilWindowCloses } from '../dsl/suppression.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import type { ReadOnlyTable, TableHandle } from '../topology/processor.ts';
import type { TableRow } from '../topology/store.ts';
import { sessionWindow, tumblingWindow, type Windowed } from '../topology/windows.ts';
import type { TableEmit } from './emit.ts';

const asked = topic('asked', { key: string(), value: int64() });
const windows = tumblingWindow({ sizeMs: 10, graceMs: 5 });

type Numbers = KTable<string, number | null>;

/** A processor of `asked` that answers with the row of `keyOf` in a table of `numbers`. */
function answering<K, V>(
  tableOf: (builder: StreamsBuilder) => KTable<K, V>,
  keyOf: (key: string, value: number) => K,
) {
  const builder = new StreamsBuilder();
  const table = tableOf(builder);
  builder
    .stream(asked)
    .process<string, string>(
      (context) => {
        const rows = context.table(table);
        return {
          process: ({ key, value }) => {
            const row = rows.row(keyOf(key ?? '', value));
            const text = row === undefined ? 'none' : `${String(row.value)} @${row.timestampMs}`;
            context.forward({ key: key ?? '', value: text });
          },
        };
      },
      { tables: [table], value: string() },
    )
    .to(answers);
  const driver = new TopologyTestDriver(builder.build());
  const put = (...rows: (readonly [string, number | null, number])[]) => {
    const records = rows.map(([key, value, timestampMs]) => ({ key, value, timestampMs }));
    driver.inputTopic(numbers).pipeAll(records);
  };
  const ask = (key: string, value = 0) => {
    driver.inputTopic(asked).pipe({ key, value, timestampMs: 0 });
    return driver
      .outputTopic(answers)
      .readAll()
      .map((answer) => answer.value)
      .join();
  };
  return { driver, put, ask };
}

const answers = topic('answers', { key: string(), value: string() });
const others = topic('others', { key: string(), value: int64() });

/** What a processor finds in a table of these numbers. */
function list<K, V>(
  tableOf: (builder: StreamsBuilder, right: Numbers) => KTable<K, V>,
  find: (rows: ReadOnlyTable<K, NonNullable<V>>) => string[],
): string[] {
  const builder = new StreamsBuilder();
  const table = tableOf(builder, builder.table(others));
  let found: string[] = [];
  builder.stream(asked).process(
    (context) => {
      const rows = context.table(table);
      return { process: () => void (found = find(rows)) };
    },
    { tables: [table] },
  );
  const driver = new TopologyTestDriver(builder.build());
  const input = 'c 3, a 1, cc 9, d 4, b 2, a -, cc 5'.split(', ').entries();
  for (const [timestampMs, row] of input) {
    const [key = '', value] = row.split(' ');
    const record = { key, value: value === '-' ? null : Number(value), timestampMs };
    driver.inputTopic(numbers).pipe(record);
  }
  driver.inputTopic(others).pipe({ key: 'b', value: 20, timestampMs: 10 });
  driver.inputTopic(others).pipe({ key: 'e', value: 50, timestampMs: 11 });
  driver.inputTopic(asked).pipe({ key: '', value: 0, timestampMs: 0 });
  return found;
}

function listed(rows: Iterable<TableRow<string, number>>): string[] {
  return [...rows].map(({ key, value, timestampMs }) => `${key} ${value} @${timestampMs}`);
}

const whole = ['b 2 @4', 'c 3 @0', 'cc 5 @6', 'd 4 @3'];

/** Tables of the same rows, and what is in them. */
const TABLES: [string, (builder: StreamsBuilder, right: Numbers) => Numbers, string[]][] = [
  ['of a topic', (builder) => builder.table(numbers), whole],
  [
    'a view',
    (builder) =>
      builder
        .table(numbers)
        .filter(({ value }) => value > 2)
        .mapValues((value) => value * 10),
    ['c 30 @0', 'cc 50 @6', 'd 40 @3'],
  ],
  [
    'an inner join',
    (builder, right) => builder.table(numbers).join(right, (one, other) => one + other),
    ['b 22 @10'],
  ],
  [
    'a left join',
    (builder, right) => builder.table(numbers).leftJoin(right, (one, other = 0) => one + other),
    ['b 22 @10', 'c 3 @0', 'cc 5 @6', 'd 4 @3'],
  ],
  [
    'an outer join',
    (builder, right) =>
      builder.table(numbers).outerJoin(right, (one = 0, other = 0) => one + other),
    ['b 22 @10', 'c 3 @0', 'cc 5 @6', 'd 4 @3', 'e 50 @11'],
  ],
  [
    'a suppressed one, with rows that wait',
    (builder) => builder.table(numbers).suppress(untilTimeLimit({ ms: 3 })),
    ['a 1 @-1', 'c 3 @0', 'cc 9 @-1', 'd 4 @3'],
  ],
  [
    'a versioned one',
    (builder) => builder.table(numbers, { versioned: { historyMs: 100 } }),
    whole,
  ],
  [
    'one whose changes wait',
    (builder) => builder.table(numbers, { emit: { everyMs: 4 } }),
    ['a 1 @1', 'c 3 @0', 'cc 9 @2', 'd 4 @3'],
  ],
];

describe('[OP-TABLE-13] a processor reads', () => {
  test('a table of a topic, in the sub-topology that this makes of both', () => {
    const { put, ask } = answering(
      (builder) => builder.table(numbers),
      (key) => key,
    );
    expect(ask('a')).toBe('none');
    put(['a', 5, 1], ['b', 6, 2]);
    expect(ask('a')).toBe('5 @1');
    put(['a', null, 3]);
    expect(ask('a')).toBe('none');
    expect(ask('b')).toBe('6 @2');
  });

  test('views, joins and suppressed tables, which store nothing', () => {
    const view = (table: Numbers) => table.mapValues((value) => value * 10);
    const { put, ask } = answering(
      (builder) => {
        const table = builder.table(numbers);
        return view(table).join(
          table.filter(({ value }) => value > 5),
          (left, right) => left + right,
        );
      },
      (key) => key,
    );
    put(['a', 5, 1], ['b', 6, 2]);
    expect([ask('a'), ask('b')]).toEqual(['none', '66 @2']);
  });

  test('the open windows of an aggregation, and of a view in a store', () => {
    const counts = (builder: StreamsBuilder) =>
      builder.stream(numbers).groupByKey().windowedBy(windows).count({ emit: 'each' });
    const windowed = (key: string, startMs: number): Windowed<string> => {
      return { key, windowStartMs: startMs, windowEndMs: startMs + 10 };
    };
    for (const tableOf of [
      counts,
      (builder: StreamsBuilder) => counts(builder).filter(() => true, { store: 'kept' }),
    ]) {
      const { put, ask } = answering(tableOf, windowed);
      put(['a', 0, 1], ['a', 0, 2], ['a', 0, 12]);
      expect([ask('a', 0), ask('a', 10), ask('a', 20)]).toEqual(['2 @2', '1 @12', 'none']);
    }
  });

  test.each(TABLES)(
    'rows of some keys, in the order of their bytes: %s',
    (_, tableOf, expected) => {
      const found = list(tableOf, (rows) => {
        const all = listed(rows.all());
        expect(listed(rows.reverseAll())).toEqual([...all].reverse());
        const within = all.filter((row) => row >= 'b' && row < 'd');
        expect(listed(rows.range('b', 'cc'))).toEqual(within);
        expect(listed(rows.reverseRange('b', 'cc'))).toEqual([...within].reverse());
        expect(listed(rows.range(undefined, 'a'))).toEqual(all.filter((row) => row < 'b'));
        const prefixed = all.filter((row) => row.startsWith('c'));
        expect(listed(rows.prefixScan('c'))).toEqual(prefixed);
        expect(listed(rows.prefixScan(Buffer.from('c'), bytes()))).toEqual(prefixed);
        for (const { key, value, timestampMs } of rows.all()) {
          expect(rows.row(key)).toMatchObject({ value, timestampMs });
        }
        return all;
      });
      expect(found).toEqual(expected);
    },
  );

  test('rows of open windows, in the order of their keys', () => {
    const windowed = (builder: StreamsBuilder) =>
      builder
        .stream(numbers, { nullValues: 'skip' })
        .groupByKey()
        .windowedBy(tumblingWindow({ sizeMs: 3, graceMs: 5 }))
        .count({ emit: 'each' });
    for (const tableOf of [
      windowed,
      (builder: StreamsBuilder) => windowed(builder).mapValues((count) => count),
      (builder: StreamsBuilder) => windowed(builder).filter(() => true, { store: 'kept' }),
    ]) {
      const found = list<Windowed<string>, number | null>(tableOf, (rows) => {
        const of = (given: Iterable<{ readonly key: Windowed<string> }>) =>
          [...given].map(({ key }) => `${key.key} ${key.windowStartMs}`);
        const all = of(rows.all());
        expect(of(rows.reverseAll())).toEqual([...all].reverse());
        expect(of(rows.prefixScan('c', string()))).toEqual(
          all.filter((row) => row.startsWith('c')),
        );
        const from = { key: 'cc', windowStartMs: 1, windowEndMs: 4 };
        expect(of(rows.range(from, undefined))).toEqual(all.filter((row) => row > 'cc 1'));
        return all;
      });
      expect(found).toEqual(['a 0', 'b 3', 'c 0', 'cc 0', 'cc 6', 'd 3']);
    }
  });

  const emits: readonly (readonly [TableEmit, string])[] = [
    ['each', '2 @9'],
    ['commit', '1 @1'],
    [{ everyMs: 100 }, '1 @1'],
  ];
  test.each(emits)('what was passed on, never ahead of it: emit %o', async (emit, expected) => {
    const log = await openTestLog();
    const builder = new StreamsBuilder();
    const stream = builder.stream(numbers);
    const counts = stream.groupByKey().count({ emit });
    stream
      .process<string, string>(
        (context) => {
          const rows = context.table(counts);
          return {
            process: ({ key }) => {
              const row = rows.row(key ?? '');
              const value = row === undefined ? 'none' : `${row.value} @${row.timestampMs}`;
              context.forward({ key: 'found', value });
            },
          };
        },
        { tables: [counts], value: string() },
      )
      .to(answers);
    const topology = builder.build();
    await produce(log, numbers, [['a', 0, 1]]);
    await runToEnd(log, topology);
    await produce(log, numbers, [['a', 0, 9]]);
    await runToEnd(log, topology);
    expect((await committedRows(log, answers)).at(-1)).toMatch(new RegExp(`^found ${expected}`));
  });

  test('tables in punctuations, and in transformValues', () => {
    const builder = new StreamsBuilder();
    const table = builder.table(numbers);
    const others = builder.table(asked).transformValues(
      (context) => {
        const rows = context.table(table);
        return { transform: ({ key, value }) => (value ?? 0) + (rows.get(key) ?? 0) };
      },
      { tables: [table] },
    );
    others
      .toStream()
      .process<string, number>(
        (context) => {
          const [one, other] = [context.table(table), context.table(others)];
          context.schedule(10, 'stream-time', () => {
            context.forward({ key: 'tick', value: (one.get('a') ?? 0) * (other.get('a') ?? 0) });
          });
          return { process: (record) => context.forward(record) };
        },
        { tables: [table, others], value: int64() },
      )
      .to(sums);
    const driver = new TopologyTestDriver(builder.build());
    driver.inputTopic(numbers).pipe({ key: 'a', value: 7, timestampMs: 1 });
    driver.inputTopic(asked).pipe({ key: 'a', value: 3, timestampMs: 2 });
    driver.inputTopic(numbers).pipe({ key: 'b', value: 3, timestampMs: 10 });
    driver.inputTopic(asked).pipe({ key: 'b', value: 3, timestampMs: 10 });
    const output = shown(driver.outputTopic(sums).readAll());
    expect(output).toEqual(['a 10 @2', 'tick 70 @2', 'b 6 @10', 'tick 70 @10']);
  });
});

describe('[OP-TABLE-14] connecting a processor to a table', () => {
  test('joins their sub-topologies, and describe() shows the store', () => {
    const builder = new StreamsBuilder();
    const table = builder.table(numbers, { store: 'rows' });
    const node = { name: 'reading', tables: [table] };
    builder.stream(asked).process(() => ({ process: () => undefined }), node);
    const { subTopologies } = builder.build().describe();
    expect(subTopologies).toHaveLength(1);
    const nodes = subTopologies.flatMap((each) => each.nodes);
    expect(nodes.find(({ name }) => name === 'reading')).toMatchObject({ stores: ['rows'] });
  });

  test('needs equally many partitions, declared by the handles or at the start', async () => {
    const reading = (partitions?: number) => {
      const of = partitions === undefined ? {} : { partitions };
      const builder = new StreamsBuilder();
      const table = builder.table(topic('numbers', { key: string(), value: int64(), ...of }));
      builder
        .stream(topic('asked', { key: string(), value: int64(), partitions: 3 }))
        .process(() => ({ process: () => undefined }), { tables: [table] });
      return builder;
    };
    const refused = { code: 'COPARTITIONING' };
    expect(() => reading(2).build()).toThrow(expect.objectContaining(refused) as Error);
    const log = await openTestLog();
    await produce(log, topic('numbers', { key: string(), value: int64(), partitions: 2 }), []);
    await expect(runToEnd(log, reading().build())).rejects.toMatchObject(refused);
  });

  test('that comes of what the processor makes is refused', () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream(numbers);
    const counts = stream.groupBy(({ value }) => `${value}`, { key: string() }).count();
    stream.process(() => ({ process: () => undefined }), { tables: [counts] });
    expect(() => builder.build()).toThrow(/wait for itself/);
  });

  test('is refused for other builders, for sessions, and for what is no table', () => {
    const processing = (tables: unknown) => () =>
      new StreamsBuilder()
        .stream(numbers)
        .process(() => ({ process: () => undefined }), { tables: tables as [] });
    const builder = new StreamsBuilder();
    expect(processing([builder.table(numbers)])).toThrow(/tables\[0\] is of another builder/);
    expect(processing(['rows'])).toThrow(/tables\[0\].*KTable/);
    expect(processing('rows')).toThrow(/tables/);
    const stream = builder.stream(asked);
    const grouped = stream.groupByKey();
    const counts = grouped.windowedBy(windows).count({ emit: 'each' });
    for (const table of [
      grouped.windowedBy(sessionWindow({ gapMs: 5 })).count(),
      grouped.windowedBy(windows).count({ emit: 'final' }),
      counts.suppress(untilWindowCloses()),
      counts.join(counts, (left) => left),
    ]) {
      expect(() =>
        stream.process(() => ({ process: () => undefined }), { tables: [table] }),
      ).toThrow(/joins without a store .* Final results, .*toTable\(\{ store \}\)/);
    }
  });

  test('of final results is one of their stream, where they stay', () => {
    const { put, ask } = answering(
      (builder) => {
        const grouped = builder.stream(numbers).groupByKey();
        const counts = grouped.windowedBy(windows).count({ emit: 'final' });
        return counts.toStream().toTable({ store: 'kept' });
      },
      (key, startMs): Windowed<string> => {
        return { key, windowStartMs: startMs, windowEndMs: startMs + 10 };
      },
    );
    put(['a', 0, 1], ['a', 0, 99]);
    expect([ask('a', 0), ask('a', 90)]).toEqual(['1 @1', 'none']);
  });

  test('is needed before it is read', () => {
    const builder = new StreamsBuilder();
    const table = builder.table(numbers);
    builder.stream(asked).process((context) => {
      context.table(table);
      return { process: () => undefined };
    });
    expect(() => new TopologyTestDriver(builder.build())).toThrow(/tables: \[/);
  });

  test('windows still cannot be joined with by a key', () => {
    const builder = new StreamsBuilder();
    const table = builder.stream(numbers).groupByKey().windowedBy(windows).count();
    const kept = table.filter(() => true, { store: 'kept' });
    const stream = builder.stream(asked) as never as {
      join: (other: unknown, joiner: unknown) => unknown;
    };
    expect(() => stream.join(kept, () => 1)).toThrow(/table of windows/);
  });

  test('is typed by the table', () => {
    const builder = new StreamsBuilder();
    const table = builder.table(numbers);
    const stream = builder.stream(asked);
    stream.process(
      (context) => {
        const rows = context.table(table);
        expectTypeOf(rows).toEqualTypeOf<ReadOnlyTable<string, number>>();
        // @ts-expect-error its keys are strings
        rows.get(7);
        const [row] = rows.all();
        expectTypeOf(row).toEqualTypeOf<TableRow<string, number> | undefined>();
        // @ts-expect-error its keys are strings
        rows.range(7, undefined);
        // @ts-expect-error it is read-only
        expectTypeOf(rows.put);
        return { process: () => undefined };
      },
      { tables: [table] },
    );
    expectTypeOf<KTable<Windowed<string>, number>>().toExtend<
      TableHandle<Windowed<string>, number>
    >();
    // @ts-expect-error a stream is no table
    const none = () => stream.process(() => ({ process: () => undefined }), { tables: [stream] });
    expect(none).toThrow();
    const global = builder.globalTable(topic('names', { key: string(), value: int64() }));
    // @ts-expect-error a global table needs no connection
    const all = () => stream.process(() => ({ process: () => undefined }), { tables: [global] });
    expect(all).toThrow(/KTable/);
  });
});

describe.each(WAYS_TO_STOP)('[OP-TABLE-13] after %s at any time', (_, stop) => {
  function topology() {
    const builder = new StreamsBuilder();
    const stream = builder.stream(crashInput);
    const counts = stream
      .filter(({ value }) => value % 3 !== 0)
      .groupByKey()
      .count({ store: 'counts', emit: { everyMs: 50 } });
    stream
      .process<string, string>(
        (context) => {
          const rows = context.table(counts);
          return {
            process: ({ key, value }) => {
              const row = rows.row(key ?? '');
              context.forward({
                key: key ?? '',
                value: `${value} ${row?.value} ${row?.timestampMs}`,
              });
            },
          };
        },
        { name: 'reading', tables: [counts], key: string(), value: string() },
      )
      .to(crashOutput);
    return builder.build();
  }

  test(`a processor reads the same, seed ${SEED}`, async () => {
    await sameAfterCrashes(topology, stop, { every: 11 });
  }, 60_000);
});
