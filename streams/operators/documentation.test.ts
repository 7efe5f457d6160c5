import { describe, expect, test } from 'vitest';
import { string, topic } from '../../core/index.ts';
import { windowTable } from '../../test/kit/drive.ts';
import { joined, lefts, plus, rights, type Texts } from '../../test/kit/join-table.ts';
import type { KTable } from '../dsl/ktable.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import { joinWindow } from '../topology/join-window.ts';
import { hoppingWindow, tumblingWindow } from '../topology/windows.ts';

/*
 * The tables of the documentation of Kafka Streams ("Joining" and "Windowing" of its DSL). Those of
 * sliding and of session windows are beside their operators.
 */

type Rows = KTable<string, string | null>;

/**
 * Pipes the inputs of a table, one a line, `time | left | right | results of each kind of join`.
 * Returns it with the results that the driver gives in that column.
 */
function withResults(table: string, column: number, driver: TopologyTestDriver): string[] {
  return linesOf(table).map((cells) => {
    const [time = '', left = '', right = ''] = cells;
    const [input, text] = left === '' ? [rights, right] : [lefts, left];
    const value = text === 'null' ? null : text;
    driver.inputTopic(input).pipe({ key: 'k', value, timestampMs: Number(time) });
    const results = driver.outputTopic(joined).readAll();
    const shown = results.map((result) => String(result.value)).join(' ');
    return cells.map((cell, at) => (at === column ? shown : cell)).join(' | ');
  });
}

function linesOf(table: string): string[][] {
  const lines = table.trim().split('\n');
  return lines.map((line) => line.split('|').map((cell) => cell.trim()));
}

function expectTable(table: string, column: number, driver: TopologyTestDriver): void {
  const expected = linesOf(table).map((cells) => cells.join(' | '));
  expect(withResults(table, column, driver)).toEqual(expected);
}

const [INNER, LEFT, OUTER] = [3, 4, 5];

describe('two streams: with a window of 15, and a grace of 4', () => {
  const TABLE = `
     1 | null |      |                 |                 |
     2 |      | null |                 |                 |
     3 | A    |      |                 |                 |
     4 |      | a    | A+a             | A+a             | A+a
     5 | B    |      | B+a             | B+a             | B+a
     6 |      | b    | A+b B+b         | A+b B+b         | A+b B+b
     7 | null |      |                 |                 |
     8 |      | null |                 |                 |
     9 | C    |      | C+a C+b         | C+a C+b         | C+a C+b
    10 |      | c    | A+c B+c C+c     | A+c B+c C+c     | A+c B+c C+c
    11 |      | null |                 |                 |
    12 | null |      |                 |                 |
    13 |      | null |                 |                 |
    14 |      | d    | A+d B+d C+d     | A+d B+d C+d     | A+d B+d C+d
    15 | D    |      | D+a D+b D+c D+d | D+a D+b D+c D+d | D+a D+b D+c D+d
    40 | E    |      |                 |                 |
    60 | F    |      |                 | E+-             | E+-
    80 |      | f    |                 | F+-             | F+-
   100 | G    |      |                 |                 | -+f`;

  const window = joinWindow({ beforeMs: 15, afterMs: 15, graceMs: 4 });
  const JOINS: readonly (readonly [string, number, (left: Texts, right: Texts) => Texts])[] = [
    ['join', INNER, (left, right) => left.join(right, plus, { window })],
    ['leftJoin', LEFT, (left, right) => left.leftJoin(right, plus, { window })],
    ['outerJoin', OUTER, (left, right) => left.outerJoin(right, plus, { window })],
  ];

  test.each(JOINS)('[OP-JOIN-1] [OP-JOIN-2] %s', (_, column, join) => {
    const builder = new StreamsBuilder();
    const left = builder.stream(lefts, { nullValues: 'pass' });
    const right = builder.stream(rights, { nullValues: 'pass' });
    join(left, right).to(joined);
    expectTable(TABLE, column, new TopologyTestDriver(builder.build()));
  });
});

describe('a stream and a table', () => {
  const TABLE = `
     1 | null |      |     |
     2 |      | null |     |
     3 | A    |      |     | A+-
     4 |      | a    |     |
     5 | B    |      | B+a | B+a
     6 |      | b    |     |
     7 | null |      |     |
     8 |      | null |     |
     9 | C    |      |     | C+-
    10 |      | c    |     |
    11 |      | null |     |
    12 | null |      |     |
    13 |      | null |     |
    14 |      | d    |     |
    15 | D    |      | D+d | D+d`;

  const JOINS: readonly (readonly [string, number, (left: Texts, right: Rows) => Texts])[] = [
    ['join', INNER, (left, right) => left.join(right, plus)],
    ['leftJoin', LEFT, (left, right) => left.leftJoin(right, plus)],
  ];

  test.each(JOINS)('[OP-9] %s', (_, column, join) => {
    const builder = new StreamsBuilder();
    join(builder.stream(lefts, { nullValues: 'pass' }), builder.table(rights)).to(joined);
    expectTable(TABLE, column, new TopologyTestDriver(builder.build()));
  });
});

describe('two tables', () => {
  const TABLE = `
     1 | null |      |      |      |
     2 |      | null |      |      |
     3 | A    |      |      | A+-  | A+-
     4 |      | a    | A+a  | A+a  | A+a
     5 | B    |      | B+a  | B+a  | B+a
     6 |      | b    | B+b  | B+b  | B+b
     7 | null |      | null | null | -+b
     8 |      | null |      |      | null
     9 | C    |      |      | C+-  | C+-
    10 |      | c    | C+c  | C+c  | C+c
    11 |      | null | null | C+-  | C+-
    12 | null |      |      | null | null
    13 |      | null |      |      |
    14 |      | d    |      |      | -+d
    15 | D    |      | D+d  | D+d  | D+d`;

  const JOINS: readonly (readonly [string, number, (left: Rows, right: Rows) => Rows])[] = [
    ['join', INNER, (left, right) => left.join(right, plus)],
    ['leftJoin', LEFT, (left, right) => left.leftJoin(right, plus)],
    ['outerJoin', OUTER, (left, right) => left.outerJoin(right, plus)],
  ];

  test.each(JOINS)('[OP-TJOIN-1] %s', (_, column, join) => {
    const builder = new StreamsBuilder();
    join(builder.table(lefts), builder.table(rights)).toStream().to(joined);
    expectTable(TABLE, column, new TopologyTestDriver(builder.build()));
  });
});

describe('two tables by foreign key', () => {
  /** Left rows as `key=foreign key`, right ones as `key=value`. */
  const TABLE = `
    1 | k=1    |        |          | k=1+-
    2 |        | 1=foo  | k=1+foo  | k=1+foo
    3 | k=2    |        | k=null   | k=2+-
    4 | k=3    |        | k=null   | k=3+-
    5 |        | 3=bar  | k=3+bar  | k=3+bar
    6 | k=null |        | k=null   | k=null
    7 | k=1    |        | k=1+foo  | k=1+foo
    8 | q=10   |        |          | q=10+-
    9 |        | 10=baz | q=10+baz | q=10+baz`;
  const owners = topic('owners', { key: string(), value: string() });

  test.each([
    ['join', INNER],
    ['leftJoin', LEFT],
  ] as const)('[OP-FK-1] [OP-FK-2] %s', (method, column) => {
    const builder = new StreamsBuilder();
    const [left, right] = [builder.table(lefts), builder.table(owners)];
    const how = {
      foreignKey: ({ value }: { readonly value: string }) => value,
      joiner: plus,
      store: 'results',
    };
    const table = method === 'join' ? left.join(right, how) : left.leftJoin(right, how);
    table.toStream().to(joined);
    const driver = new TopologyTestDriver(builder.build());
    const results = linesOf(TABLE).map(([time, leftRow = '', rightRow = '']) => {
      const [key = '', text = ''] = (leftRow === '' ? rightRow : leftRow).split('=');
      const value = text === 'null' ? null : text;
      const row = { key, value, timestampMs: Number(time) };
      driver.inputTopic(leftRow === '' ? owners : lefts).pipe(row);
      const rows = driver.outputTopic(joined).readAll();
      return rows.map((each) => `${each.key}=${each.value}`).join(' ');
    });
    expect(results).toEqual(linesOf(TABLE).map((cells) => cells[column]));
  });
});

describe('[OP-12] windows begin at multiples of their advance', () => {
  test('tumbling ones of 5 seconds: [0, 5) and [5, 10), and not [1, 6)', () => {
    const table = windowTable(
      { windows: tumblingWindow({ sizeMs: 5_000 }), emit: 'each' },
      `a 1 1000
       a 1 4999
       a 1 5000
       a 1 9999
       a 1 10000`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 1000
        a [0, 5000) 1 @1000
      a 1 4999
        a [0, 5000) 2 @4999
      a 1 5000
        a [5000, 10000) 1 @5000
      a 1 9999
        a [5000, 10000) 2 @9999
      a 1 10000
        a [10000, 15000) 1 @10000
      late: 0"
    `);
  });

  test('hopping ones of 5 seconds by 3: [0, 5) and [3, 8), and not [1, 6)', () => {
    const table = windowTable(
      { windows: hoppingWindow({ sizeMs: 5_000, advanceMs: 3_000 }), emit: 'each' },
      `a 1 1000
       a 1 3000
       a 1 5000
       a 1 6000
       a 1 8000`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 1000
        a [0, 5000) 1 @1000
      a 1 3000
        a [0, 5000) 2 @3000
        a [3000, 8000) 1 @3000
      a 1 5000
        a [3000, 8000) 2 @5000
      a 1 6000
        a [3000, 8000) 3 @6000
        a [6000, 11000) 1 @6000
      a 1 8000
        a [6000, 11000) 2 @8000
      late: 0"
    `);
  });
});
