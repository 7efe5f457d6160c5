import { describe, expect, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import { drive, driveNulls, numbers, shown, sums } from '../../test/kit/drive.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';

const texts = topic('texts', { key: string(), value: string() });

test('[OP-11] count counts the records of each key; its time is that of the newest', () => {
  const { pipe } = drive(numbers, sums, (stream) => stream.groupByKey().count().toStream());
  expect(shown(pipe(['a', 1, 5], ['b', 1, 6], ['a', 1, 9], ['a', 1, 3]))).toEqual([
    'a 1 @5',
    'b 1 @6',
    'a 2 @9',
    'a 3 @9',
  ]);
});

test('[OP-11] reduce starts with the first value and combines the others with it', () => {
  const calls: string[] = [];
  const { pipe } = drive(numbers, sums, (stream) =>
    stream
      .groupByKey()
      .reduce((sum, value, { timestampMs }) => {
        calls.push(`${sum}+${value}@${timestampMs}`);
        return sum + value;
      })
      .toStream(),
  );
  expect(shown(pipe(['a', 1, 5], ['a', 2, 6], ['a', 4, 7]))).toEqual([
    'a 1 @5',
    'a 3 @6',
    'a 7 @7',
  ]);
  expect(calls).toEqual(['1+2@6', '3+4@7']);
});

test('[OP-11] aggregate starts each key with a new result of the initializer', () => {
  const { pipe } = drive(numbers, texts, (stream) =>
    stream
      .groupByKey()
      .aggregate<number[]>(
        () => [],
        (list, { value }) => {
          list.push(value); // in place
          return list;
        },
      )
      .toStream()
      .mapValues((list) => list.join()),
  );
  expect(shown(pipe(['a', 1, 5], ['b', 9, 5], ['a', 2, 6]))).toEqual([
    'a 1 @5',
    'b 9 @5',
    'a 1,2 @6',
  ]);
});

test('[OP-11] null keys and null values are dropped and counted', () => {
  const { driver, pipe } = driveNulls(numbers, sums, (stream) =>
    stream.groupByKey().count().toStream(),
  );
  expect(pipe([null, 1, 5], ['a', null, 6], [null, null, 7])).toEqual([]);
  expect(driver.metrics().droppedRecords).toEqual({
    'invalid-timestamp': 0,
    late: 0,
    'null-key': 2,
    'null-value': 1,
    unmatched: 0,
  });
});

test('[OP-11] an undefined from a mapper counts as null', () => {
  const { driver, pipe } = drive(numbers, sums, (stream) =>
    stream
      .mapValues(() => undefined)
      .groupByKey()
      .count()
      .toStream(),
  );
  expect(pipe(['a', 1, 5])).toEqual([]);
  expect(driver.metrics().droppedRecords['null-value']).toBe(1);
});

describe('[OP-11] an aggregate that becomes null or undefined', () => {
  test.each([[null], [undefined]])('is deleted and forwarded as null: %s', (nothing) => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .groupByKey()
      .aggregate(
        () => 0,
        (sum, { value }) => (value === 0 ? (nothing as unknown as number) : sum + value),
        { store: 'kept', value: int64() },
      )
      .toStream()
      .to(sums);
    const driver = new TopologyTestDriver(builder.build());
    for (const [value, timestampMs] of [
      [1, 9],
      [0, 9],
      [5, 3],
    ] as const) {
      driver.inputTopic(numbers).pipe({ key: 'a', value, timestampMs });
    }
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['a 1 @9', 'a null @9', 'a 5 @3']);
    expect(driver.keyValueStore('kept').get('a')).toBe(5);
  });
});

test('[OP-11] a null result is forwarded even if the key has no value', () => {
  const { pipe } = drive(numbers, sums, (stream) =>
    stream
      .groupByKey()
      .reduce((_, value) => (value === 0 ? null : value), { store: 'kept' })
      .toStream()
      .merge(
        stream
          .groupByKey()
          .aggregate(
            () => 0,
            (sum, { value }) => (value === 0 ? null : sum + value),
          )
          .toStream()
          .mapValues((sum) => (sum === null ? null : sum * 100)),
      ),
  );
  expect(shown(pipe(['a', 0, 1], ['a', 0, 2], ['a', 7, 3]))).toEqual([
    ...['a 0 @1', 'a null @1'], // the first value is not reduced
    ...['a null @2', 'a null @2'],
    ...['a 7 @3', 'a 700 @3'],
  ]);
});

test('[OP-11] results have no headers, because no single record made them', () => {
  const { pipe } = drive(numbers, sums, (stream) => stream.groupByKey().count().toStream());
  const headers = [{ key: 'trace', value: Buffer.from('7') }];
  expect(pipe(['a', 1, 5, headers])[0]?.headers).toEqual([]);
});

test('[OP-11] keys that are objects are grouped by their content', () => {
  const places = topic('places', { key: json<{ x: number }>(), value: int64() });
  const { pipe } = drive(numbers, places, (stream) =>
    stream
      .groupBy(({ value }) => ({ x: value % 2 }), { key: json<{ x: number }>() })
      .count()
      .toStream(),
  );
  const out = pipe(['a', 1, 0], ['b', 3, 0], ['c', 2, 0]);
  expect(out.map(({ key, value }) => [key?.x, value])).toEqual([
    [1, 1],
    [1, 2],
    [0, 1],
  ]);
});

describe('[OP-16] grouping', () => {
  test('by another key brings equal keys together and drops null keys', () => {
    const { driver, pipe } = drive(numbers, sums, (stream) =>
      stream
        .groupBy(({ key, value }) => (value === 0 ? (null as unknown as string) : key.slice(0, 1)))
        .count()
        .toStream(),
    );
    expect(shown(pipe(['ab', 1, 5], ['ac', 1, 6], ['b', 1, 7], ['ab', 0, 8]))).toEqual([
      'a 1 @5',
      'a 2 @6',
      'b 1 @7',
    ]);
    expect(driver.metrics().droppedRecords['null-key']).toBe(1);
  });

  test('by the key goes through a repartition topic only if the key may have changed', () => {
    const repartitions = (build: (builder: StreamsBuilder) => void) => {
      const builder = new StreamsBuilder();
      build(builder);
      return builder.build().nodes.filter(({ kind }) => kind === 'repartition').length;
    };
    const same = (builder: StreamsBuilder) =>
      builder
        .stream(numbers)
        .filter(() => true)
        .mapValues((value) => value + 1)
        .flatMapValues((value) => [value])
        .peek(() => undefined);
    expect(repartitions((builder) => same(builder).groupByKey().count())).toBe(0);
    const rekeyed = (builder: StreamsBuilder) => same(builder).selectKey(({ key }) => key);
    expect(repartitions((builder) => rekeyed(builder).groupByKey().count())).toBe(1);
    expect(
      repartitions((builder) =>
        same(builder)
          .groupBy(({ key }) => key)
          .count(),
      ),
    ).toBe(1);
    const merged = (builder: StreamsBuilder) => {
      const stream = same(builder);
      return stream.merge(stream.map((record) => record));
    };
    expect(repartitions((builder) => merged(builder).groupByKey().count())).toBe(1);
    const branches = (builder: StreamsBuilder) => rekeyed(builder).split({ a: () => true }).rest;
    expect(repartitions((builder) => branches(builder).groupByKey().count())).toBe(1);
  });

  test('values cross the repartition topic in the given serde or that of the stream', () => {
    const { pipe } = drive(numbers, texts, (stream) =>
      stream
        .mapValues((value) => ({ value, square: value * value }))
        .groupBy(({ key }) => key.length, { key: int64(), value: json() })
        .aggregate(
          () => 0,
          (sum, { value }) => sum + value.square,
        )
        .toStream()
        .map(({ key, value }) => ({ key: `${key}`, value: `${value}` })),
    );
    expect(shown(pipe(['ab', 3, 5], ['cd', 4, 6]))).toEqual(['2 9 @5', '2 25 @6']);
  });
});
