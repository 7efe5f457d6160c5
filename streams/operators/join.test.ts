import { describe, expect, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import { numbers, shown } from '../../test/kit/drive.ts';
import {
  joined as joinedTexts,
  joinTable,
  lefts,
  plus,
  rights,
} from '../../test/kit/join-table.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';

const names = topic('names', { key: int64(), value: string() });
const rows = topic('rows', { key: string(), value: string() });
const joined = topic('joined', { key: string(), value: string() });

describe('[OP-9] with a global table', () => {
  function driverOf(kind: 'join' | 'leftJoin') {
    const builder = new StreamsBuilder();
    const table = builder.globalTable(names);
    const key = ({ value }: { value: number }) => (value < 0 ? undefined : value % 10);
    const joiner = (left: number, right: string | undefined) => `${left}-${String(right)}`;
    const stream = builder.stream(numbers, { nullValues: 'pass' });
    const results =
      kind === 'join' ? stream.join(table, key, joiner) : stream.leftJoin(table, key, joiner);
    results.to(joined);
    return new TopologyTestDriver(builder.build());
  }

  test('join looks up any key and drops records without a row', () => {
    const driver = driverOf('join');
    driver.inputTopic(names).pipe({ key: 3, value: 'three' });
    const headers = [{ key: 'trace', value: Buffer.from('7') }];
    driver.inputTopic(numbers).pipeAll([
      { key: 'a', value: 13, timestampMs: 5, headers },
      { key: 'b', value: 14, timestampMs: 6 },
      { key: null, value: 23, timestampMs: 4 },
    ]);
    const out = driver.outputTopic(joined).readAll();
    expect(shown(out)).toEqual(['a 13-three @5', 'null 23-three @4']);
    expect(out[0]?.headers).toEqual(headers);
    expect(driver.metrics().droppedRecords).toMatchObject({
      'null-key': 0,
      'null-value': 0,
      unmatched: 1,
    });
  });

  test('leftJoin joins records without a row with undefined', () => {
    const driver = driverOf('leftJoin');
    driver.inputTopic(names).pipe({ key: 3, value: 'three' });
    for (const value of [13, 14, -1]) driver.inputTopic(numbers).pipe({ key: 'a', value });
    expect(shown(driver.outputTopic(joined).readAll())).toEqual([
      'a 13-three @0',
      'a 14-undefined @0',
      'a -1-undefined @0',
    ]);
  });

  test.each(['join', 'leftJoin'] as const)('%s, record by record', (kind) => {
    const builder = new StreamsBuilder();
    const table = builder.globalTable(rights);
    const stream = builder.stream(lefts, { nullValues: 'pass' });
    const keyOf = ({ value }: { readonly value: string | null }) => value?.at(0);
    const results =
      kind === 'join' ? stream.join(table, keyOf, plus) : stream.leftJoin(table, keyOf, plus);
    results.to(joinedTexts);
    const all = `
      L k null 1
      R A null 2
      L k A1 3
        k A1+- @3
      R A a 4
      L k A2 5
        k A2+a @5
      R A b 6
      L k null 7
      L k B1 8
        k B1+- @8
      R B c 7
      L null B2 10
        null B2+c @10
      L k A3 2
        k A3+b @2
      R A null 3
      L k A4 15
        k A4+- @15
      null-value: 2`;
    const isUnmatched = (line: string) => line.includes('+-');
    const lines = all
      .trim()
      .split('\n')
      .map((line) => line.replace(/^ {6}/, ''));
    const input = lines.filter((line) => /^[LR]/.test(line)).join('\n');
    const expected =
      kind === 'leftJoin' ? lines : [...lines.filter((line) => !isUnmatched(line)), 'unmatched: 3'];
    expect(joinTable(new TopologyTestDriver(builder.build()), input)).toBe(expected.join('\n'));
  });

  test('the row is the current one: changes and deletes affect later records', () => {
    const driver = driverOf('leftJoin');
    const pipe = (value: string | null) => {
      driver.inputTopic(names).pipe({ key: 3, value });
      driver.inputTopic(numbers).pipe({ key: 'a', value: 3 });
    };
    for (const value of ['old', 'new', null]) pipe(value);
    const values = driver
      .outputTopic(joined)
      .readAll()
      .map(({ value }) => value);
    expect(values).toEqual(['3-old', '3-new', '3-undefined']);
  });

  test.each(['join', 'leftJoin'] as const)('%s drops null values', (kind) => {
    const driver = driverOf(kind);
    driver.inputTopic(numbers).pipe({ key: 'a', value: null });
    expect(driver.outputTopic(joined).readAll()).toEqual([]);
    expect(driver.metrics().droppedRecords['null-value']).toBe(1);
  });

  test('join counts records with no key to look up; leftJoin joins them', () => {
    const driver = driverOf('join');
    driver.inputTopic(numbers).pipe({ key: 'a', value: -1 });
    expect(driver.outputTopic(joined).readAll()).toEqual([]);
    expect(driver.metrics().droppedRecords['null-key']).toBe(1);
  });

  test('object keys are found by their content', () => {
    interface Place {
      readonly x: number;
      readonly y: number;
    }
    const places = topic('places', { key: json<Place>(), value: string() });
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .join(
        builder.globalTable(places),
        ({ value }) => ({ x: value, y: 1 }),
        (_, place) => place,
      )
      .to(joined);
    const driver = new TopologyTestDriver(builder.build());
    driver.inputTopic(places).pipe({ key: { x: 7, y: 1 }, value: 'here' });
    driver.inputTopic(numbers).pipe({ key: 'a', value: 7 });
    expect(shown(driver.outputTopic(joined).readAll())).toEqual(['a here @0']);
  });

  test('two global tables can read one topic', () => {
    const builder = new StreamsBuilder();
    const [one, two] = [
      builder.globalTable(names, { store: 'one' }),
      builder.globalTable(names, { store: 'two' }),
    ];
    builder
      .stream(numbers)
      .join(
        one,
        ({ value }) => value,
        (_, name) => name,
      )
      .join(
        two,
        () => 3,
        (left, name) => `${left}+${name}`,
      )
      .to(joined);
    const driver = new TopologyTestDriver(builder.build());
    driver.inputTopic(names).pipe({ key: 3, value: 'three' });
    driver.inputTopic(numbers).pipe({ key: 'a', value: 3 });
    expect(shown(driver.outputTopic(joined).readAll())).toEqual(['a three+three @0']);
  });
});

describe('[OP-9] with a table', () => {
  function driverOf(kind: 'join' | 'leftJoin') {
    const builder = new StreamsBuilder();
    const joiner = (left: number, right: string | undefined) => `${left}-${String(right)}`;
    const stream = builder.stream(numbers);
    const table = builder.table(rows);
    (kind === 'join' ? stream.join(table, joiner) : stream.leftJoin(table, joiner)).to(joined);
    const driver = new TopologyTestDriver(builder.build());
    const row = (key: string, value: string | null) => {
      driver.inputTopic(rows).pipe({ key, value, timestampMs: 1 });
    };
    const record = (key: string | null, value: number) => {
      driver.inputTopic(numbers).pipe({ key, value, timestampMs: 2 });
      return shown(driver.outputTopic(joined).readAll());
    };
    return { driver, row, record };
  }

  test('join joins with the row of the same key, triggered by the stream alone', () => {
    const { driver, row, record } = driverOf('join');
    expect(record('a', 1)).toEqual([]);
    row('a', 'A');
    expect(driver.outputTopic(joined).readAll()).toEqual([]);
    expect(record('a', 2)).toEqual(['a 2-A @2']);
    expect(record('b', 2)).toEqual([]);
    row('a', 'A2');
    expect(record('a', 3)).toEqual(['a 3-A2 @2']);
    row('a', null);
    expect(record('a', 4)).toEqual([]);
  });

  test('leftJoin joins records without a row, or without a key, with undefined', () => {
    const { row, record } = driverOf('leftJoin');
    row('a', 'A');
    expect(record('a', 1)).toEqual(['a 1-A @2']);
    expect(record('b', 1)).toEqual(['b 1-undefined @2']);
    expect(record(null, 1)).toEqual(['null 1-undefined @2']);
    row('a', null);
    expect(record('a', 2)).toEqual(['a 2-undefined @2']);
  });

  test('a table can be the result of an aggregation', () => {
    const builder = new StreamsBuilder();
    const more = topic('more', { key: string(), value: int64() });
    const counts = builder.stream(more).groupByKey().count({ store: 'counts' });
    builder
      .stream(numbers)
      .join(counts, (value, count) => `${value} of ${count}`)
      .to(joined);
    const driver = new TopologyTestDriver(builder.build());
    for (let index = 0; index < 3; index++) driver.inputTopic(more).pipe({ key: 'a', value: 0 });
    driver.inputTopic(numbers).pipe({ key: 'a', value: 5 });
    expect(shown(driver.outputTopic(joined).readAll())).toEqual(['a 5 of 3 @0']);
  });
});
