import { describe, expect, expectTypeOf, test } from 'vitest';
import { int64, json, silentLogger, string, topic, type Headers } from '../../core/index.ts';
import { openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { numbers } from '../../test/kit/drive.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import {
  crashInput,
  crashOutput,
  sameAfterCrashes,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import { countWindow } from '../topology/count-windows.ts';
import { joinWindow } from '../topology/join-window.ts';
import type { DroppedRecord } from '../topology/operator.ts';
import { SKIP_RECORD } from '../topology/timestamps.ts';
import {
  hoppingWindow,
  sessionWindow,
  slidingWindow,
  tumblingWindow,
  unlimitedWindow,
} from '../topology/windows.ts';
import type { KGroupedStream } from './kgrouped-stream.ts';
import type { KStream } from './kstream.ts';
import { StreamsBuilder } from './streams-builder.ts';

const others = topic('others', { key: string(), value: int64() });
const dropped = topic('dropped', { key: string(), value: json<DroppedRecord<number | null>>() });

type Dropping = (records: KStream<string | null, DroppedRecord<number | null>>) => void;
const toTopic: Dropping = (records) => records.to(dropped);

/**
 * Pipes rows `key value time`, of the other topic behind a `+`, and returns what was dropped, as
 * `reason key value @time`.
 */
function droppedBy(
  build: (
    stream: KStream<string | null, number | null>,
    other: KStream<string | null, number>,
    builder: StreamsBuilder,
  ) => void,
  rows: string,
): string[] {
  const builder = new StreamsBuilder();
  build(builder.stream(numbers, { nullValues: 'pass' }), builder.stream(others), builder);
  const driver = new TopologyTestDriver(builder.build());
  for (const row of rows.split(', ')) {
    const [name = '', value, time] = row.replace('+', '').split(' ');
    driver.inputTopic(row.startsWith('+') ? others : numbers).pipe({
      key: name === 'null' ? null : name,
      value: value === 'null' ? null : Number(value),
      timestampMs: Number(time),
    });
  }
  const found = driver.outputTopic(dropped).readAll();
  const { droppedRecords } = driver.metrics();
  const counts = Object.values(droppedRecords).reduce((sum, count) => sum + count, 0);
  expect(counts).toBe(found.length); // each was counted, too
  return found.map(({ key, value, timestampMs }) => {
    return `${value?.reason} ${key} ${value?.value} @${timestampMs}`;
  });
}

describe('[OP-LATE-1] what an operator drops is a stream of its own', () => {
  const rows = 'a 1 5, null 2 6, a null 7, b 3 90, a 4 5, a 5 95';
  const grouped =
    (add: (stream: KGroupedStream<string, number>) => void) =>
    (stream: KStream<string | null, number | null>): void =>
      add(stream.groupByKey());
  const options = { store: 'kept', dropped: toTopic };
  const nulls = ['null-key null 2 @6', 'null-value a null @7'];
  const late = 'late a 4 @5';

  test('aggregations without windows, and in unlimited ones', () => {
    expect(
      droppedBy(
        grouped((stream) => stream.count(options)),
        rows,
      ),
    ).toEqual(nulls);
    const unlimited = grouped((stream) => stream.windowedBy(unlimitedWindow()).count(options));
    expect(droppedBy(unlimited, rows)).toEqual(nulls);
    const counted = grouped((stream) => stream.windowedBy(countWindow({ size: 2 })).count(options));
    expect(droppedBy(counted, rows)).toEqual(nulls);
    const top = grouped((stream) => stream.topN(1, { by: (value) => value, ...options }));
    expect(droppedBy(top, rows)).toEqual(nulls);
  });

  test.each([
    ['tumbling', tumblingWindow({ sizeMs: 10 })],
    ['hopping', hoppingWindow({ sizeMs: 10, advanceMs: 5 })],
    ['sliding', slidingWindow({ differenceMs: 10 })],
  ])('%s windows, with every emit', (_, windows) => {
    for (const emit of ['commit', 'each', 'final', { everyMs: 7 }] as const) {
      const add = grouped((stream) =>
        stream.windowedBy(windows).reduce((sum, value) => sum + value, { ...options, emit }),
      );
      expect(droppedBy(add, rows)).toEqual([...nulls, late]);
    }
    const panes = grouped((stream) =>
      stream.windowedBy(windows).count({ ...options, emit: 'final' }),
    );
    expect(droppedBy(panes, rows)).toEqual([...nulls, late]);
  });

  test('a record that is late for some of its windows comes once', () => {
    const add = grouped((stream) =>
      stream.windowedBy(hoppingWindow({ sizeMs: 20, advanceMs: 5 })).count(options),
    );
    expect(droppedBy(add, 'a 1 26, a 2 10')).toEqual(['late a 2 @10']);
  });

  test('sessions', () => {
    const add = grouped((stream) =>
      stream.windowedBy(sessionWindow({ gapMs: 5 })).aggregate(
        () => 0,
        (sum, { value }) => sum + value,
        (left, right) => left + right,
        options,
      ),
    );
    expect(droppedBy(add, rows)).toEqual([...nulls, late]);
  });

  test('a search for duplicates', () => {
    expect(droppedBy((stream) => void stream.dedupe({ withinMs: 10, ...options }), rows)).toEqual([
      'null-key null 2 @6',
      late,
    ]); // values may be null
  });

  test('tables, also versioned ones', () => {
    const versioned = { historyMs: 20 };
    const toTable = (stream: KStream<string | null, number | null>) =>
      void stream.toTable({ ...options, versioned });
    expect(droppedBy(toTable, rows)).toEqual(['null-key null 2 @6', late]);
    const builder = new StreamsBuilder();
    builder.table(numbers, { dropped: toTopic });
    const driver = new TopologyTestDriver(builder.build());
    driver.inputTopic(numbers).pipe({ key: null, value: 3, timestampMs: 8 });
    expect(driver.outputTopic(dropped).readAll()).toMatchObject([
      { key: null, value: { reason: 'null-key', value: 3 }, timestampMs: 8 },
    ]);
  });

  test('joins of streams, of either side', () => {
    const window = joinWindow({ differenceMs: 5 });
    const join = (
      stream: KStream<string | null, number | null>,
      other: KStream<string | null, number>,
    ) => void stream.join(other, (left, right) => left + right, { window, ...options });
    const both = `${rows}, +null 7 96, +a 9 97, +a 8 1`;
    expect(droppedBy(join, both)).toEqual([...nulls, late, 'null-key null 7 @96', 'late a 8 @1']);
    const self = (stream: KStream<string | null, number | null>) =>
      void stream.join(stream, (left, right) => left + right, { window, ...options });
    expect(droppedBy(self, rows)).toEqual([...nulls, late]);
  });

  test('joins with a global table', () => {
    const builder = new StreamsBuilder();
    const table = builder.globalTable(others);
    builder.stream(numbers).join(
      table,
      ({ key }) => key,
      (left, right) => left + right,
      { dropped: toTopic },
    );
    const driver = new TopologyTestDriver(builder.build());
    driver.inputTopic(others).pipe({ key: 'a', value: 1 });
    driver.inputTopic(numbers).pipe({ key: 'a', value: 2, timestampMs: 3 });
    driver.inputTopic(numbers).pipe({ key: 'b', value: 4, timestampMs: 5 });
    expect(driver.outputTopic(dropped).readAll()).toMatchObject([
      { key: 'b', value: { reason: 'unmatched', value: 4 }, timestampMs: 5 },
    ]);
  });

  test('joins with a table, at once and after a grace', () => {
    const { dropped: option } = options;
    const join = (
      stream: KStream<string | null, number | null>,
      other: KStream<string | null, number>,
    ) => void stream.join(other.toTable({ store: 't' }), (left) => left, { dropped: option });
    const unmatched = ['unmatched a 1 @5', ...nulls, 'unmatched b 3 @90'];
    expect(droppedBy(join, 'a 1 5, null 2 6, a null 7, b 3 90')).toEqual(unmatched);
    const grace = (
      stream: KStream<string | null, number | null>,
      other: KStream<string | null, number>,
    ) =>
      void stream.join(other.toTable({ store: 't', versioned: { historyMs: 9 } }), (left) => left, {
        ...{ dropped: option, graceMs: 3 },
      });
    // What has a row is joined, and what waits for one is dropped when its wait is over.
    expect(droppedBy(grace, '+c 1 1, a 1 5, null 2 6, a null 7, b 3 90, c 4 95')).toEqual([
      ...['null-key null 2 @6', 'null-value a null @7', 'unmatched a 1 @5', 'unmatched b 3 @90'],
    ]);
  });
});

test('[OP-LATE-2] it keeps key, time and headers, and other streams may follow', () => {
  const builder = new StreamsBuilder();
  const counts = topic('counts', { key: string(), value: int64() });
  builder
    .stream(numbers, { nullKeys: 'fail' })
    .groupByKey()
    .windowedBy(tumblingWindow({ sizeMs: 10 }))
    .count({
      store: 'windows',
      emit: 'final',
      dropped: (records) => {
        expectTypeOf(records).toEqualTypeOf<KStream<string | null, DroppedRecord<number | null>>>();
        records.to(dropped);
        records
          .filter(({ value }) => value.reason === 'late')
          .groupByKey({ key: string() })
          .count({ store: 'late' })
          .toStream()
          .to(counts);
      },
    })
    .toStream(({ key }) => key.key)
    .to(counts);
  const driver = new TopologyTestDriver(builder.build());
  const headers: Headers = [{ key: 'h', value: Buffer.from('x') }];
  const input = driver.inputTopic(numbers);
  input.pipe({ key: 'a', value: 1, timestampMs: 15 });
  input.pipe({ key: 'a', value: 2, timestampMs: 3, headers });
  input.pipe({ key: 'a', value: 3, timestampMs: 4 });
  const found = driver.outputTopic(dropped).readAll();
  expect(found[0]).toMatchObject({
    ...{ key: 'a', value: { reason: 'late', value: 2 }, timestampMs: 3, headers },
  });
  expect(
    driver
      .outputTopic(counts)
      .readAll()
      .map(({ value }) => value),
  ).toEqual([1, 2]);
  driver.endOfInput();
  expect(
    driver
      .outputTopic(counts)
      .readAll()
      .map(({ value }) => value),
  ).toEqual([1]); // the window
});

test('[OP-LATE-2] it goes with the results, behind a repartition topic, too', async () => {
  const log = await openTestLog();
  const stateDir = temporaryDirectory();
  const run = async (row: readonly [string, number, number]) => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers, { nullKeys: 'fail' })
      .groupBy(({ key }) => key, { key: string() })
      .windowedBy(tumblingWindow({ sizeMs: 10 }))
      .count({ store: 'windows', dropped: toTopic });
    await produce(log, numbers, [row]);
    await runToEnd(log, builder.build(), { stateDir });
    const records = await readTopic(log, dropped, 'read_committed');
    return records.map(({ key, value }) => [key, value]);
  };
  expect(await run(['a', 1, 15])).toEqual([]);
  expect(await run(['a', 2, 3])).toEqual([['a', { reason: 'late', value: 2 }]]);
});

test('[OP-LATE-5] what a source drops, with its key, time and headers', () => {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers, {
      ...{ nullKeys: 'skip', nullValues: 'skip' },
      timestamp: ({ value, timestampMs }) => (value === 13 ? SKIP_RECORD : timestampMs + 100),
      dropped: (records) => {
        expectTypeOf(records).toEqualTypeOf<KStream<string | null, DroppedRecord<number | null>>>();
        records.to(dropped);
      },
    })
    .to(others);
  const driver = new TopologyTestDriver(builder.build(), { logger: silentLogger });
  const headers: Headers = [{ key: 'h', value: Buffer.from('x') }];
  driver.inputTopic(numbers).pipeAll([
    { key: 'a', value: 1, timestampMs: 1 },
    { key: null, value: 2, timestampMs: 2, headers },
    { key: 'b', value: null, timestampMs: 3 },
    { key: 'c', value: 13, timestampMs: 4 },
    { key: 'd', value: 5, timestampMs: 5 },
  ]);
  expect(driver.outputTopic(dropped).readAll()).toMatchObject([
    { key: null, value: { reason: 'null-key', value: 2 }, timestampMs: 2, headers },
    { key: 'b', value: { reason: 'null-value', value: null }, timestampMs: 3 },
    { key: 'c', value: { reason: 'invalid-timestamp', value: 13 }, timestampMs: 4 },
  ]);
  const passed = driver.outputTopic(others).readAll();
  expect(passed.map(({ key, timestampMs }) => [key, timestampMs])).toEqual([
    ['a', 101],
    ['d', 105],
  ]);
  expect(driver.metrics().droppedRecords).toMatchObject({
    ...{ 'null-key': 1, 'null-value': 1, 'invalid-timestamp': 1 },
  });
});

test.each([
  ['without windows', undefined, ['null-value a null @2']],
  ['in windows', tumblingWindow({ sizeMs: 10 }), ['null-value a null @2', 'late a 5 @3']],
  ['in sessions', sessionWindow({ gapMs: 5 }), ['null-value a null @2', 'late a 5 @3']],
])('[OP-LATE-6] what a cogroup drops is of its streams: %s', (_, windows, expected) => {
  const builder = new StreamsBuilder();
  const add = (sum: number, { value }: { readonly value: number }) => sum + value;
  const cogrouped = builder
    .stream(numbers, { nullKeys: 'fail', nullValues: 'pass' })
    .groupByKey()
    .cogroup(add)
    .cogroup(builder.stream(others).groupByKey(), add);
  const option = {
    dropped: (records: KStream<string | null, DroppedRecord<unknown>>) => {
      records.mapValues((value) => value as DroppedRecord<number | null>).to(dropped);
    },
  };
  const zero = () => 0;
  if (windows === undefined) cogrouped.aggregate(zero, option);
  else if ('gapMs' in windows) {
    cogrouped.windowedBy(windows).aggregate(zero, (left, right) => left + right, option);
  } else cogrouped.windowedBy(windows).aggregate(zero, option);
  const driver = new TopologyTestDriver(builder.build());
  driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs: 1 });
  driver.inputTopic(numbers).pipe({ key: 'a', value: null, timestampMs: 2 });
  driver.inputTopic(others).pipe({ key: 'a', value: 4, timestampMs: 50 });
  driver.inputTopic(others).pipe({ key: 'a', value: 5, timestampMs: 3 });
  const found = driver.outputTopic(dropped).readAll();
  const rows = found.map(({ key, value, timestampMs }) => {
    return `${value?.reason} ${key} ${value?.value} @${timestampMs}`;
  });
  expect(rows).toEqual(expected);
});

test('[OP-LATE-3] what does not fit is refused', () => {
  const grouped = new StreamsBuilder().stream(numbers, { nullKeys: 'fail' }).groupByKey();
  // @ts-expect-error -- a function is needed
  expect(() => grouped.count({ dropped })).toThrow('dropped');
  // It is called once, as the topology is made.
  const later: () => unknown = async () => undefined;
  expect(() => grouped.count({ dropped: later })).toThrow('async');
  // @ts-expect-error -- the values are numbers, with a reason
  grouped.count({ dropped: (records: KStream<string | null, string>) => records });
  const windows = grouped.windowedBy(tumblingWindow({ sizeMs: 5 }));
  windows.count({
    dropped: (records) => {
      const texts = topic('texts', { key: string(), value: string() });
      // @ts-expect-error -- a topic of other values
      records.to(texts);
    },
  });
});

describe.each(WAYS_TO_STOP)('[OP-LATE-4] after %s', (_, stop) => {
  test(`no dropped record is lost or comes twice, at any time, seed ${SEED}`, async () => {
    const topology = () => {
      const builder = new StreamsBuilder();
      // Every third record is late for some of its windows.
      const timestamp = ({ value }: { readonly value: number | null }) =>
        Math.max(0, (value ?? 0) - ((value ?? 0) % 3 === 0 ? 90 : 0));
      const stream = builder.stream(crashInput, { nullKeys: 'fail', timestamp });
      stream
        .groupByKey()
        .windowedBy(hoppingWindow({ sizeMs: 50, advanceMs: 10 }))
        .count({
          ...{ store: 'windows', emit: 'final' },
          dropped: (records) =>
            records
              .map(({ key, value }) => ({
                key: `${value.reason} ${key}`,
                value: String(value.value),
              }))
              .to(crashOutput),
        })
        .toStream()
        .map(({ key, value }) => ({ key: `in ${key.key}`, value: String(value) }))
        .to(crashOutput);
      return builder.build();
    };
    await sameAfterCrashes(topology, stop, { every: 17 });
  }, 60_000);
});
