import { describe, expect, test } from 'vitest';
import { int64, partitionOfKey, string, topic } from '../../core/index.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { numbers, shown, sums } from '../../test/kit/drive.ts';
import { keyValueStore, windowStore } from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import type { KTable } from '../dsl/ktable.ts';
import { hours, minutes, seconds } from '../time.ts';
import { tumblingWindow, type Windowed } from '../topology/windows.ts';
import { TopologyTestDriver, type TestDriverOptions } from './topology-test-driver.ts';

/** Sums windowed counts by key in windows of another size. */
function rollUp(
  table: KTable<Windowed<string>, number>,
  sizeMs: number,
): KTable<Windowed<string>, number> {
  return table
    .toStream()
    .map(({ key, value }) => ({ key: key.key, value }))
    .groupByKey({ key: string(), value: int64() })
    .windowedBy(tumblingWindow({ sizeMs }))
    .reduce((a, b) => a + b, { emit: 'final', store: `sums-${sizeMs}` });
}

function write(builder: StreamsBuilder, table: KTable<Windowed<string>, number>) {
  table
    .toStream()
    .map(({ key, value }) => ({ key: `${key.key}@${key.windowStartMs}`, value }))
    .to(sums);
  return new TopologyTestDriver(builder.build());
}

describe('[OP-19] an operator that holds records back holds back time for what follows', () => {
  test.each([
    ['without grace', 0],
    ['with grace', minutes(10)],
    ['with a long grace', hours(30)],
  ])('final windows behind windows lose nothing: %s', (_, graceMs) => {
    const builder = new StreamsBuilder();
    const hourly = builder
      .stream(numbers)
      .groupByKey()
      .windowedBy(tumblingWindow({ sizeMs: hours(1), graceMs }))
      .count({ emit: 'final', store: 'hourly' });
    const driver = write(builder, rollUp(rollUp(hourly, hours(6)), hours(24)));
    for (let timestampMs = 0; timestampMs < hours(60); timestampMs += minutes(25)) {
      driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs });
    }
    const before = driver.outputTopic(sums).readAll();
    expect(before.length).toBeGreaterThan(0); // not only at the end
    driver.endOfInput();
    const all = [...before, ...driver.outputTopic(sums).readAll()];
    expect(all.map(({ key, value }) => [key, value])).toEqual([
      ['a@0', 58],
      [`a@${hours(24)}`, 58],
      [`a@${hours(48)}`, 28],
    ]);
    expect(driver.metrics().droppedRecords.late).toBe(0);
  });

  test('also without a repartition topic in between', () => {
    const builder = new StreamsBuilder();
    const table = builder
      .stream(numbers)
      .groupByKey()
      .windowedBy(tumblingWindow({ sizeMs: 10, graceMs: 5 }))
      .count({ emit: 'final', store: 'first' })
      .toStream()
      .groupByKey() // the window is in the key
      .windowedBy(tumblingWindow({ sizeMs: 20 }))
      .count({ emit: 'final', store: 'second' });
    table
      .toStream()
      .map(({ key, value }) => ({
        key: `${key.key.key}@${key.key.windowStartMs} in ${key.windowStartMs}`,
        value,
      }))
      .to(sums);
    const driver = new TopologyTestDriver(builder.build());
    expect(builder.build().subTopologies).toHaveLength(1);
    for (const timestampMs of [0, 9, 14, 19, 24, 29, 35, 44, 45, 60]) {
      driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs });
    }
    driver.endOfInput();
    expect(shown(driver.outputTopic(sums).readAll())).toEqual([
      'a@0 in 0 1 @9',
      'a@10 in 0 1 @19',
      'a@20 in 20 1 @29',
      'a@30 in 20 1 @35',
      'a@40 in 40 1 @45',
      'a@60 in 60 1 @60',
    ]);
    expect(driver.metrics().droppedRecords.late).toBe(0);
  });

  test('counts forwarded at a commit are not late for the windows behind them', () => {
    const builder = new StreamsBuilder();
    const table = builder
      .stream(numbers)
      .groupByKey()
      .count({ store: 'counts' })
      .toStream()
      .groupByKey()
      .windowedBy(tumblingWindow({ sizeMs: 10 }))
      .reduce((_, newest) => newest, { emit: 'final', store: 'newest' });
    const driver = write(builder, table);
    for (const timestampMs of [0, 5, 12, 25]) {
      driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs });
    }
    driver.endOfInput();
    expect(shown(driver.outputTopic(sums).readAll())).toEqual([
      'a@0 2 @5',
      'a@10 3 @12',
      'a@20 4 @25',
    ]);
  });
});

describe('[STREAMS-8] the test driver', () => {
  test('closes windows behind a repartition topic as stream time advances', () => {
    const builder = new StreamsBuilder();
    const table = builder
      .stream(topic('numbers', { key: string(), value: int64(), partitions: 4 }))
      .groupBy(({ value }) => `k${value % 2}`, { key: string(), partitions: 3 })
      .windowedBy(tumblingWindow({ sizeMs: 10 }))
      .count({ emit: 'final', store: 'counts' });
    const driver = write(builder, table);
    driver.inputTopic(numbers).pipeAll([
      { key: 'a', value: 1, timestampMs: 1 },
      { key: 'b', value: 3, timestampMs: 5 },
      { key: 'c', value: 2, timestampMs: 10 },
    ]);
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['k1@0 2 @5']);
    driver.endOfInput();
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['k0@10 1 @10']);
    expect(driver.metrics().processedRecords).toBe(6); // three on each side
  });

  test('reads back what a topology writes to a topic that it reads', () => {
    const builder = new StreamsBuilder();
    const middle = topic('middle', { key: string(), value: int64() });
    builder.stream(middle).groupByKey().count({ store: 'counts' }).toStream().to(sums);
    builder
      .stream(numbers)
      .groupByKey()
      .windowedBy(tumblingWindow({ sizeMs: 10 }))
      .count({ emit: 'final' })
      .toStream()
      .map(({ value }) => ({ key: 'all', value }))
      .to(middle);
    const driver = new TopologyTestDriver(builder.build());
    for (const timestampMs of [0, 10, 20]) {
      driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs });
    }
    driver.endOfInput();
    const out = driver.outputTopic(sums).readAll();
    expect(out.map(({ value }) => value)).toEqual([1, 2, 3]);
    expect(driver.outputTopic(middle).readAll()).toHaveLength(3);
  });

  test('uses the time of the previous record by default', () => {
    const builder = new StreamsBuilder();
    builder.stream(numbers).to(sums);
    const driver = new TopologyTestDriver(builder.build());
    driver
      .inputTopic(numbers)
      .pipeAll([{ value: 1 }, { key: 'a', value: 2, timestampMs: 7 }, { key: 'b', value: 3 }]);
    const output = driver.outputTopic(sums);
    expect(output.read()).toMatchObject({ key: null, value: 1, timestampMs: 0 });
    expect(shown(output.readAll())).toEqual(['a 2 @7', 'b 3 @7']);
    expect(output.read()).toBeUndefined();
  });

  test('names the kind of a store that it cannot show', () => {
    const builder = new StreamsBuilder();
    const windows = tumblingWindow({ sizeMs: 10 });
    builder.stream(numbers).groupByKey().windowedBy(windows).count({ store: 'w' });
    const driver = new TopologyTestDriver(builder.build());
    expect(() => driver.keyValueStore('w')).toThrow(
      expect.objectContaining({
        code: 'UNKNOWN_STORE',
        message: 'store w is a window store, and not a key-value store',
      }),
    );
    expect(() => driver.keyValueStore('v')).toThrow('there is no store v; did you mean w?');
  });

  test.each([
    [{ key: 'a', value: 'text' as never }, 'value', 'int64'],
    [{ key: 5 as never, value: 1 }, 'key', 'string'],
  ])('names topic and field if it cannot write a record: %j', (record, field, serde) => {
    const builder = new StreamsBuilder();
    builder.stream(numbers).to(sums);
    const from = new TopologyTestDriver(builder.build()).inputTopic(numbers);
    const message = `the ${field} of a record for numbers could not be written by ${serde}: `;
    const details = { topic: 'numbers', field };
    const code = 'SERIALIZATION_FAILED';
    const parts = { code, details, message: expect.stringContaining(message) as string };
    expect(() => from.pipe(record)).toThrow(expect.objectContaining(parts));
  });

  test.each([{ key: 'a', val: 1 }, undefined, 5])('[STREAMS-19] refuses %j', (record) => {
    const builder = new StreamsBuilder();
    builder.stream(numbers).to(sums);
    const from = new TopologyTestDriver(builder.build()).inputTopic(numbers);
    const message = /^pipe to numbers: record must be an object with a value, and a key/;
    expect(() => from.pipe(record as never)).toThrow(message);
    const apart = { key: 'a', value: 1, partition: 1 };
    expect(() => from.pipe(apart)).toThrow('partition must be an integer, 0 to 0');
  });

  test('reads an output as a table', () => {
    const builder = new StreamsBuilder();
    builder.stream(numbers, { nullValues: 'pass' }).to(sums);
    const driver = new TopologyTestDriver(builder.build());
    for (const [key, value] of [
      ['a', 1],
      ['b', 2],
      ['a', 3],
      ['b', null],
    ] as const) {
      driver.inputTopic(numbers).pipe({ key, value });
    }
    expect([...driver.outputTopic(sums).readTable()]).toEqual([['a', 3]]);
  });

  test('names the node and the record if a function throws or a value cannot be written', () => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .peek(
        ({ value }) => {
          if (value === 13) throw new RangeError('unlucky');
        },
        { name: 'look' },
      )
      .mapValues((value) => (value === 5 ? 0.5 : value))
      .to(sums, { name: 'out' });
    const driver = new TopologyTestDriver(builder.build());
    driver.inputTopic(numbers).pipe({ key: 'a', value: 1 });
    const failure = catching(() => driver.inputTopic(numbers).pipe({ key: 'a', value: 13 }));
    expect(StreamsError.is(failure, 'PROCESSING_FAILED') && failure.details).toEqual({
      node: 'look',
      topic: 'numbers',
      partition: 0,
      offset: 1,
    });
    expect(failure).toMatchObject({
      message: 'look failed on numbers-0 at offset 1: unlucky',
      cause: new RangeError('unlucky'),
    });
    const unwritable = catching(() => driver.inputTopic(numbers).pipe({ key: 'a', value: 5 }));
    expect(StreamsError.is(unwritable, 'PROCESSING_FAILED') && unwritable.details).toMatchObject({
      node: 'out',
      offset: 2,
    });
  });

  test('fails if a store cannot be written, and names the record', () => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .groupByKey()
      .aggregate(
        () => 0,
        () => 0.5,
        { value: int64(), store: 'halves' },
      );
    const driver = new TopologyTestDriver(builder.build());
    const failure = catching(() => driver.inputTopic(numbers).pipe({ key: 'a', value: 1 }));
    expect(failure).toMatchObject({
      ...{ code: 'PROCESSING_FAILED', details: { topic: 'numbers', partition: 0, offset: 0 } },
      cause: { code: 'SERIALIZATION_FAILED', details: { store: 'halves', field: 'value' } },
    });
  });

  test('refuses missing topics and stores and names the nearest', async () => {
    const builder = new StreamsBuilder();
    builder.stream(numbers).groupByKey().count({ store: 'counts' });
    const driver = new TopologyTestDriver(builder.build());
    const input = async () => driver.inputTopic(sums);
    expect(await codeOf(input())).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    const store = async () => driver.keyValueStore('count');
    expect(await codeOf(store())).toContain('did you mean counts?');
  });
});

/** The counts of windows of 10 ms, closed in the order of two merged inputs. */
function twoInputs(options: TestDriverOptions) {
  const builder = new StreamsBuilder();
  const others = topic('others', { key: string(), value: int64() });
  builder
    .stream(numbers)
    .merge(builder.stream(others))
    .groupByKey()
    .windowedBy(tumblingWindow({ sizeMs: 10 }))
    .count({ emit: 'final', store: 'counts' })
    .toStream()
    .map(({ key, value }) => ({ key: `${key.key}@${key.windowStartMs}`, value }))
    .to(sums);
  const driver = new TopologyTestDriver(builder.build(), options);
  const pipe = (from: typeof numbers, timestampMs: number): string[] => {
    driver.inputTopic(from).pipe({ key: 'a', value: 1, timestampMs });
    return shown(driver.outputTopic(sums).readAll());
  };
  return { driver, others, pipe };
}

describe('[STREAMS-DRIVER-1] in the driver, stream time', () => {
  test('does not wait for an empty input, before its first record or after', () => {
    const { driver, others, pipe } = twoInputs({});
    expect(pipe(numbers, 5)).toEqual([]);
    expect(pipe(numbers, 10)).toEqual(['a@0 1 @5']);
    expect(pipe(others, 3)).toEqual([]);
    expect(driver.metrics().droppedRecords.late).toBe(1);
    expect(pipe(others, 25)).toEqual(['a@10 1 @10']);
    expect(pipe(numbers, 19)).toEqual([]);
    expect(driver.metrics().droppedRecords.late).toBe(2);
  });

  test('rises to the first record before it is counted', () => {
    const { driver, pipe } = twoInputs({});
    pipe(numbers, 100);
    pipe(numbers, 89);
    expect(driver.metrics().droppedRecords.late).toBe(1);
  });

  test('waits for an input that is empty for less than idleTimeoutMs', () => {
    const { driver, others, pipe } = twoInputs({ idleTimeoutMs: 100, wallClockMs: 5 });
    expect(pipe(numbers, 5)).toEqual([]);
    driver.advanceWallClock(99);
    expect(pipe(numbers, 30)).toEqual([]);
    expect(pipe(others, 25)).toEqual(['a@0 1 @5']);
    driver.advanceWallClock(99);
    pipe(numbers, 36);
    driver.advanceWallClock(1); // others has been empty for 100 ms
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['a@20 1 @25']);
  });

  test.each([
    [{ idleTimeoutMs: -1 }, 'idleTimeoutMs must be an integer, 0 or more'],
    [{ wallClockMs: 0.5 }, 'wallClockMs must be an integer'],
    [{ idleTimeout: 1 } as never, 'did you mean idleTimeoutMs?'],
  ])('[STREAMS-19] refuses %j', (options: TestDriverOptions, reason: string) => {
    expect(() => twoInputs(options)).toThrow(reason);
    expect(() => twoInputs({}).driver.advanceWallClock(-5)).toThrow('ms must be an integer, 0');
  });
});

test('[STREAMS-DRIVER-2] with partitions, keys meet as in an application', () => {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers, { name: 'in' })
    .peek(({ key, partition, offset }) => void seen.push(`${key} ${partition}-${offset}`))
    .groupBy(({ value }) => `k${value % 3}`, { key: string() })
    .count({ store: 'counts', emit: 'each' })
    .toStream()
    .peek(({ key, partition }) => void counted.set(key, partition))
    .to(sums, { name: 'out' });
  const seen: string[] = [];
  const counted = new Map<string, number>();
  const driver = new TopologyTestDriver(builder.build(), { partitions: 4 });
  expect(driver.metrics().tasks.map(({ taskId }) => taskId)).toEqual(
    ['0_0', '0_1', '0_2', '0_3', '1_0', '1_1', '1_2', '1_3'], // two sub-topologies
  );
  const input = driver.inputTopic(numbers);
  input.pipeAll(['a', 'b', 'c', 'a', null].map((key, index) => ({ key, value: index })));
  input.pipe({ key: 'a', value: 5, partition: 3 });
  const partition = (key: string) => partitionOfKey(Buffer.from(key), 0, key.length, 4);
  expect(['a', 'b', 'c'].map(partition)).toEqual([0, 0, 2]);
  const expected = ['a 0-0', 'b 0-1', 'c 2-0', 'a 0-2', 'null 0-3', 'a 3-0'];
  expect(seen).toEqual(expected);
  const counts = ['k0 1 @0', 'k1 1 @0', 'k2 1 @0', 'k0 2 @0', 'k1 2 @0', 'k2 2 @0'];
  expect(shown(driver.outputTopic(sums).readAll())).toEqual(counts);
  for (const [key, at] of counted) expect(at, key).toBe(partition(key));
  driver.endOfInput();
});

test('[STREAMS-DRIVER-2] windows behind a repartition topic close in all partitions', () => {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers)
    .groupBy(({ value }) => `k${value}`, { key: string() })
    .windowedBy(tumblingWindow({ sizeMs: 10 }))
    .count({ emit: 'final', store: 'counts' })
    .toStream()
    .map(({ key, value }) => ({ key: key.key, value }))
    .to(sums);
  const driver = new TopologyTestDriver(builder.build(), { partitions: 3 });
  const rows = Array.from({ length: 9 }, (_, value) => ({ key: `${value}`, value }));
  driver.inputTopic(numbers, { advanceMs: 1 }).pipeAll(rows);
  expect(driver.outputTopic(sums).readAll()).toEqual([]);
  driver.inputTopic(numbers).pipe({ key: '9', value: 9, timestampMs: 10 });
  const open = shown(driver.outputTopic(sums).readAll());
  driver.endOfInput();
  const all = [...open, ...shown(driver.outputTopic(sums).readAll())].sort();
  expect(all).toEqual([...rows.map(({ value }) => `k${value} 1 @${value}`), 'k9 1 @10']);
  expect(open.length).toBeGreaterThan(0); // where no slower partition holds them back
});

test('[STREAMS-DRIVER-5] counts of dropped records are by node and reason', () => {
  const builder = new StreamsBuilder();
  const lookedUp = topic('rows', { key: string(), value: int64() });
  const rows = builder.table(lookedUp);
  builder
    .stream(numbers, { name: 'in', nullValues: 'skip' })
    .join(rows, (left, right) => left + right, { name: 'look-up' })
    .to(sums, { name: 'out', partitioner: () => [] });
  const driver = new TopologyTestDriver(builder.build());
  driver.inputTopic(lookedUp).pipe({ key: 'a', value: 1 });
  driver.inputTopic(numbers).pipeAll([
    { key: 'a', value: 1 },
    { key: 'b', value: 1 },
    { key: null, value: 1 },
    { key: 'a', value: null },
  ]);
  const { droppedRecords, droppedByNode } = driver.metrics();
  expect(droppedByNode).toMatchObject({
    in: { 'null-value': 1, unmatched: 0 },
    'look-up': { 'null-key': 1, unmatched: 1 },
    out: { unmatched: 1 },
  });
  expect(droppedRecords).toMatchObject({ 'null-value': 1, 'null-key': 1, unmatched: 2, late: 0 });
});

test('[STREAMS-DRIVER-6] a store is readable by table, handle or name, in each partition', () => {
  const builder = new StreamsBuilder();
  const lookedUp = topic('rows', { key: string(), value: int64() });
  const global = builder.globalTable(lookedUp);
  const grouped = builder.stream(numbers).groupByKey();
  const table = grouped.count({ store: 'counts' });
  const windowed = grouped.windowedBy(tumblingWindow({ sizeMs: 10 })).count({ store: 'windows' });
  const driver = new TopologyTestDriver(builder.build(), { partitions: 3 });
  driver.inputTopic(numbers, { startMs: 5, advanceMs: 2 }).pipeAll([
    { key: 'a', value: 1 },
    { key: 'c', value: 1 },
    { key: 'a', value: 1 },
  ]);
  driver.inputTopic(lookedUp).pipe({ key: 'r', value: 9, timestampMs: 4 });
  const [a, c] = ['a', 'c'].map((key) => partitionOfKey(Buffer.from(key), 0, 1, 3));
  const counts = keyValueStore<string, number>('counts');
  expect(driver.store(counts, a).entry('a')).toMatchObject({ value: 2, timestampMs: 9 });
  expect(driver.store(counts, c).get('c')).toBe(1);
  const windows = driver.store(windowStore<string, number>('windows'), a);
  const found = [...windows.fetch('a', 0, 100)];
  expect(found.map(({ windowStartMs, value }) => [windowStartMs, value])).toEqual([[0, 2]]);
  expect(driver.store(table, a).get('a')).toBe(2);
  expect(driver.store('counts', a).get('a')).toBe(2);
  expect([...driver.store(windowed, a).fetch('a')]).toEqual([
    { key: { key: 'a', windowStartMs: 0, windowEndMs: 10 }, value: 2, timestampMs: 9 },
  ]);
  // @ts-expect-error its keys are strings
  expect(driver.store(table, a).get(1)).toBeUndefined();
  expect(driver.store(global).get('r')).toBe(9);
  const rows = driver.store(keyValueStore<string, number>('rows'));
  expect([...rows.all()]).toMatchObject([{ key: 'r', value: 9, timestampMs: 4 }]);
  expect(() => driver.store(counts, 3)).toThrow('store: partition must be an integer, 0 to 2');
  expect(() => driver.store(windowStore('counts'))).toThrow(
    'is a key-value store, and not a window',
  );
  expect(() => driver.store(keyValueStore('row'))).toThrow('did you mean rows?');
});

test('durations are in milliseconds', () => {
  expect([seconds(2), minutes(2), hours(2)]).toEqual([2000, 120_000, 7_200_000]);
});

function catching(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
}
