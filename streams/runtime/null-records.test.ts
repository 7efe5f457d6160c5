import { describe, expect, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import { makeApp, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { failureOf } from '../../test/kit/connect.ts';
import { numbers, shown, sums } from '../../test/kit/drive.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import type { NullHandling } from '../topology/node.ts';
import type { Topology } from '../topology/topology.ts';

/** The arguments of the topology's functions. */
type Seen = (string | number | null)[];

/** Doubles numbers, with the types of a source without nulls. */
function doubling(nullKeys: NullHandling, nullValues: NullHandling, seen: Seen = []): Topology {
  const builder = new StreamsBuilder();
  const timestamp = ({ value }: { readonly value: number | null }) => {
    seen.push(value);
    return 5;
  };
  builder
    .stream(numbers, { nullKeys, nullValues, timestamp })
    .peek(({ key, value }) => seen.push(key, value))
    .mapValues((value) => (value === null ? null : value * 2))
    .to(sums);
  return builder.build();
}

const rows = [
  ['a', 1, 1],
  ['b', null, 2],
  [null, 3, 3],
  ['c', 4, 4],
] as const;

describe('[STREAMS-17] a null value at a source', () => {
  test('is an error by default that names the record and what to do', () => {
    const seen: Seen = [];
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .mapValues((value) => seen.push(value))
      .to(sums);
    const driver = new TopologyTestDriver(builder.build());
    const from = driver.inputTopic(numbers);
    from.pipe({ key: 'a', value: 1 });
    expect(() => from.pipe({ key: 'a', value: null })).toThrow(
      expect.objectContaining({
        code: 'UNEXPECTED_NULL',
        message:
          'the value of numbers-0 at offset 1 is null, and source-numbers takes none: give ' +
          "builder.stream(numbers) the option { nullValues: 'pass' } to hand nulls to its " +
          "functions, or { nullValues: 'skip' } to leave such records out",
        details: {
          node: 'source-numbers',
          topic: 'numbers',
          partition: 0,
          offset: 1,
          field: 'value',
        },
      }),
    );
    expect(seen).toEqual([1]);
  });

  test('also if its bytes decode to null', () => {
    const texts = topic('texts', { key: string(), value: json<{ n: number }>() });
    const builder = new StreamsBuilder();
    builder
      .stream(texts, { nullValues: 'skip' })
      .mapValues(({ n }) => n)
      .to(sums);
    const driver = new TopologyTestDriver(builder.build());
    const written = topic('texts', { key: string(), value: string() });
    driver.inputTopic(written).pipeAll([
      { key: 'a', value: 'null' },
      { key: 'a', value: '{"n":5}' },
    ]);
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['a 5 @0']);
    expect(driver.metrics().droppedRecords['null-value']).toBe(1);
  });

  test.each<[NullHandling, NullHandling, string[], Record<string, number>]>([
    [
      'pass',
      'pass',
      ['a 2 @5', 'b null @5', 'null 6 @5', 'c 8 @5'],
      { 'null-key': 0, 'null-value': 0 },
    ],
    ['pass', 'skip', ['a 2 @5', 'null 6 @5', 'c 8 @5'], { 'null-key': 0, 'null-value': 1 }],
    ['skip', 'pass', ['a 2 @5', 'b null @5', 'c 8 @5'], { 'null-key': 1, 'null-value': 0 }],
    ['skip', 'skip', ['a 2 @5', 'c 8 @5'], { 'null-key': 1, 'null-value': 1 }],
  ])('keys: %s, values: %s', async (nullKeys, nullValues, out, dropped) => {
    const log = await openTestLog();
    await produce(log, numbers, rows);
    const seen: Seen = [];
    const app = await runToEnd(log, doubling(nullKeys, nullValues, seen));
    expect(shown(await records(log))).toEqual(out);
    expect(app.metrics()).toMatchObject({ processedRecords: 4, droppedRecords: dropped });
    expect(seen.includes(null)).toBe(nullKeys === 'pass' || nullValues === 'pass');
    const again = await runToEnd(log, doubling(nullKeys, nullValues));
    expect(again.metrics().processedRecords).toBe(0); // dropped records are committed
  });

  test.each<[NullHandling, NullHandling, number, string]>([
    ['pass', 'fail', 1, 'value'],
    ['fail', 'pass', 2, 'key'],
  ])('keys: %s, values: %s: ends the application', async (nullKeys, nullValues, at, field) => {
    const log = await openTestLog();
    await produce(log, numbers, rows);
    const app = makeApp(log, doubling(nullKeys, nullValues));
    await app.start();
    const failure = await failureOf(app.done);
    expect(failure).toMatchObject({
      code: 'UNEXPECTED_NULL',
      details: { topic: 'numbers', partition: 0, offset: at, field },
    });
    expect(await records(log)).toEqual([]); // nothing was committed
  });
});

test('[STREAMS-17] input is committed even if all of it is dropped', async () => {
  const log = await openTestLog();
  await produce(log, numbers, [['a', null, 1]]);
  await runToEnd(log, doubling('pass', 'skip'));
  const again = await runToEnd(log, doubling('pass', 'skip'));
  expect(again.metrics().droppedRecords['null-value']).toBe(0);
});

test('[STREAMS-17] a table passes deleted rows as null to its timestamp function', () => {
  const builder = new StreamsBuilder();
  builder
    .table(numbers, { timestamp: ({ value }) => (value === null ? 7 : value) })
    .toStream()
    .mapValues((value) => (value === null ? -1 : value * 2))
    .to(topic('sums', { key: string(), value: int64() }));
  const driver = new TopologyTestDriver(builder.build());
  for (const value of [5, null]) driver.inputTopic(numbers).pipe({ key: 'a', value });
  expect(shown(driver.outputTopic(sums).readAll())).toEqual(['a 10 @5', 'a -1 @7']);
});

async function records(log: Parameters<typeof readTopic>[0]) {
  const read = await readTopic(log, sums, 'read_committed');
  return read.map(({ key, value, timestampMs, headers }) => ({ key, value, timestampMs, headers }));
}
