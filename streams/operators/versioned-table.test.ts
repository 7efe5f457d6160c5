import { describe, expect, test } from 'vitest';
import { joined, joinTable, lefts, plus, rights, type Texts } from '../../test/kit/join-table.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { KStream } from '../dsl/kstream.ts';
import type { KTable } from '../dsl/ktable.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';

type Rows = KTable<string, string | null>;

/** A stream of lefts and a versioned table of rights, or one of the newest values, joined. */
function joinWith(
  historyMs: number | undefined,
  build: (left: Texts, right: Rows) => KStream<string | null, string>,
): TopologyTestDriver {
  const builder = new StreamsBuilder();
  const left = builder.stream(lefts, { nullValues: 'pass' });
  const options = historyMs === undefined ? {} : { versioned: { historyMs } };
  build(left, builder.table(rights, options)).to(joined);
  return new TopologyTestDriver(builder.build());
}

const inner = (left: Texts, right: Rows) => left.join(right, plus);
const outer = (left: Texts, right: Rows) => left.leftJoin(right, plus);
const MINUTES = 60_000;

/** The input of Kafka's AbstractJoinIntegrationTest. */
const ORACLE = `L k null 1
                R k null 2
                L k A 3
                R k a 4
                L k B 5
                R k b 6
                L k null 7
                R k null 8
                L k C 9
                R k c 10
                R k null 11
                L k null 12
                R k null 13
                R k d 7
                L k D 6
                L k null 2
                R k null 3
                R k e 14
                L k E 15
                L k null 10
                R k null 9
                L k F 4
                R k f 3`;

/** Only the results, with the inputs that caused them. */
function results(driver: TopologyTestDriver, input = ORACLE): string[] {
  const lines = joinTable(driver, input).split('\n');
  return lines.flatMap((line, index) => {
    if (!line.startsWith('  ')) return [];
    const cause = lines.slice(0, index).findLast((each) => !each.startsWith('  '));
    return [`${cause} ->${line.slice(1)}`];
  });
}

describe("Kafka's StreamTableJoinIntegrationTest", () => {
  test('[OP-9] a table is joined as it is', () => {
    expect(results(joinWith(undefined, inner))).toEqual([
      'L k B 5 -> k B+a @5',
      'L k D 6 -> k D+d @6',
      'L k E 15 -> k E+e @15',
    ]);
    expect(results(joinWith(undefined, outer))).toEqual([
      'L k A 3 -> k A+- @3',
      'L k B 5 -> k B+a @5',
      'L k C 9 -> k C+- @9',
      'L k D 6 -> k D+d @6',
      'L k E 15 -> k E+e @15',
      'L k F 4 -> k F+- @4',
    ]);
  });

  test('[OP-ASOF-2] a versioned one as of the time of the record', () => {
    expect(results(joinWith(5 * MINUTES, inner))).toEqual([
      'L k B 5 -> k B+a @5',
      'L k D 6 -> k D+b @6',
      'L k E 15 -> k E+e @15',
      'L k F 4 -> k F+a @4',
    ]);
    expect(results(joinWith(5 * MINUTES, outer))).toEqual([
      'L k A 3 -> k A+- @3',
      'L k B 5 -> k B+a @5',
      'L k C 9 -> k C+- @9',
      'L k D 6 -> k D+b @6',
      'L k E 15 -> k E+e @15',
      'L k F 4 -> k F+a @4',
    ]);
  });

  test('[OP-ASOF-3] with grace when stream time is past the record by that', () => {
    const withGrace = (left: Texts, right: Rows) => left.join(right, plus, { graceMs: 2 });
    expect(results(joinWith(5 * MINUTES, withGrace))).toEqual([
      'L k null 7 -> k B+a @5', // Kafka: at C, since null values do not move its time
      'L k D 6 -> k D+b @6',
      'L k F 4 -> k F+a @4',
    ]);
    const leftWithGrace = (left: Texts, right: Rows) => left.leftJoin(right, plus, { graceMs: 2 });
    expect(results(joinWith(5 * MINUTES, leftWithGrace))).toEqual([
      'L k B 5 -> k A+- @3',
      'L k null 7 -> k B+a @5',
      'L k null 12 -> k C+- @9',
      'L k D 6 -> k D+b @6',
      'L k F 4 -> k F+a @4',
    ]);
  });
});

describe('[OP-ASOF-1] a versioned table', () => {
  test('takes records out of order within its history, and drops older ones', () => {
    const input = `R a new 100
                   R a old 50
                   R a older 49
                   L a 1 100
                   L a 2 99
                   L a 3 50
                   L a 4 49`;
    expect(joinTable(joinWith(50, outer), input)).toMatchInlineSnapshot(`
      "R a new 100
      R a old 50
      R a older 49
      L a 1 100
        a 1+new @100
      L a 2 99
        a 2+old @99
      L a 3 50
        a 3+old @50
      L a 4 49
        a 4+- @49
      late: 1"
    `);
  });

  test('knows its past only within the history, and the newest value for ever', () => {
    const input = `R a A 10
                   R a B 20
                   R b X 10
                   R c - 120
                   L a 1 19
                   L a 2 20
                   L a 3 1
                   L b 4 10
                   R c - 121
                   L a 5 20`;
    expect(joinTable(joinWith(100, outer), input)).toMatchInlineSnapshot(`
      "R a A 10
      R a B 20
      R b X 10
      R c - 120
      L a 1 19
        a 1+- @19
      L a 2 20
        a 2+B @20
      L a 3 1
        a 3+- @1
      L b 4 10
        b 4+X @10
      R c - 121
      L a 5 20
        a 5+B @20"
    `);
  });

  test('forgets a value for a time from its deletion on', () => {
    const input = `R a A 10
                   R a null 20
                   R a B 30
                   R a null 25
                   L a 1 9
                   L a 2 10
                   L a 3 20
                   L a 4 29
                   L a 5 30`;
    expect(joinTable(joinWith(100, outer), input)).toMatchInlineSnapshot(`
      "R a A 10
      R a null 20
      R a B 30
      R a null 25
      L a 1 9
        a 1+- @9
      L a 2 10
        a 2+A @10
      L a 3 20
        a 3+- @20
      L a 4 29
        a 4+- @29
      L a 5 30
        a 5+B @30"
    `);
  });

  test('passes on all its versions; those out of order are not the latest', () => {
    const driver = joinWith(100, (_, right) =>
      right.toStream().mapValues((value) => value ?? 'deleted'),
    );
    const input = `R a A 10
                   R a B 20
                   R a C 15
                   R a null 12
                   R a null 30
                   R null X 30`;
    expect(joinTable(driver, input)).toMatchInlineSnapshot(`
      "R a A 10
        a A @10
      R a B 20
        a B @20
      R a C 15
        a C @15
      R a null 12
        a deleted @12
      R a null 30
        a deleted @30
      R null X 30
      null-key: 1"
    `);
  });

  test('changes no row of the past in what is kept of it: views, and what is grouped', () => {
    const driver = joinWith(100, (_, right) => {
      const kept = right.mapValues((value) => value.toLowerCase(), { store: 'kept' });
      kept
        .groupBy(({ value }) => ({ key: 'all', value }))
        .reduce(
          (all, value) => all + value,
          (all, value) => all.replace(value, ''),
          { store: 'all', emit: 'each' },
        );
      return kept.toStream().mapValues((value) => value ?? 'deleted');
    });
    const input = `R a B 20
                   R a A 10
                   R a null 15`;
    expect(joinTable(driver, input)).toMatchInlineSnapshot(`
      "R a B 20
        a b @20
      R a A 10
      R a null 15"
    `);
    expect(driver.keyValueStore('kept').get('a')).toBe('b');
    expect(driver.keyValueStore('all').get('all')).toBe('b');
  });

  test('is read through its views as of the time too', () => {
    const driver = joinWith(100, (left, right) =>
      left.join(
        right.filter(({ value }) => value !== 'B').mapValues((value) => value.toLowerCase()),
        plus,
      ),
    );
    const input = `R a A 10
                   R a B 20
                   R a C 30
                   L a 1 30
                   L a 2 29
                   L a 3 19`;
    expect(joinTable(driver, input)).toMatchInlineSnapshot(`
      "R a A 10
      R a B 20
      R a C 30
      L a 1 30
        a 1+c @30
      L a 2 29
      L a 3 19
        a 3+a @19
      unmatched: 1"
    `);
  });

  test('can be made of a stream', () => {
    const builder = new StreamsBuilder();
    const table = builder
      .stream(rights, { nullValues: 'pass' })
      .toTable({ store: 'rows', versioned: { historyMs: 100 } });
    builder.stream(lefts, { nullValues: 'pass' }).join(table, plus).to(joined);
    const driver = new TopologyTestDriver(builder.build());
    const input = `R a A 10
                   R a B 20
                   L a 1 15`;
    expect(joinTable(driver, input)).toMatchInlineSnapshot(`
      "R a A 10
      R a B 20
      L a 1 15
        a 1+A @15"
    `);
  });
});

describe('[OP-ASOF-3] a record that waits', () => {
  const withGrace = (left: Texts, right: Rows) => left.leftJoin(right, plus, { graceMs: 10 });

  test('is joined with what the table was at its time, changes out of order included', () => {
    const input = `R a A 10
                   L a 1 20
                   R a C 25
                   R a B 15
                   L x v 29
                   L x v 30
                   end`;
    expect(joinTable(joinWith(100, withGrace), input)).toMatchInlineSnapshot(`
      "R a A 10
      L a 1 20
      R a C 25
      R a B 15
      L x v 29
      L x v 30
        a 1+B @20
      end
        x v+- @29
        x v+- @30"
    `);
  });

  test('comes by time, those of one time by the bytes of their keys', () => {
    const input = `L b 1 5
                   L a 2 5
                   L c 3 4
                   L a 4 5
                   L x v 40`;
    expect(joinTable(joinWith(100, withGrace), input)).toMatchInlineSnapshot(`
      "L b 1 5
      L a 2 5
      L c 3 4
      L a 4 5
      L x v 40
        c 3+- @4
        a 2+- @5
        a 4+- @5
        b 1+- @5"
    `);
  });

  test('does not wait if it is late, or has no key; null values are dropped', () => {
    const input = `R a A 10
                   L a 1 40
                   L a 2 30
                   L a 3 31
                   L null 4 41
                   L a null 42`;
    expect(joinTable(joinWith(100, withGrace), input)).toMatchInlineSnapshot(`
      "R a A 10
      L a 1 40
      L a 2 30
        a 2+A @30
      L a 3 31
      L null 4 41
        a 3+A @31
        null 4+- @41
      L a null 42
      null-value: 1"
    `);
  });

  test('keeps its headers, and holds back the time behind it', () => {
    const builder = new StreamsBuilder();
    const table = builder.table(rights, { versioned: { historyMs: 100 } });
    const first = builder.stream(lefts).leftJoin(table, plus, { graceMs: 10 });
    first.leftJoin(table, plus, { graceMs: 5 }).to(joined);
    const driver = new TopologyTestDriver(builder.build());
    const headers = [{ key: 'h', value: Buffer.from('1') }];
    driver.inputTopic(lefts).pipe({ key: 'a', value: '1', timestampMs: 5, headers });
    driver.inputTopic(lefts).pipe({ key: 'b', value: '2', timestampMs: 15 });
    driver.inputTopic(lefts).pipe({ key: 'c', value: '3', timestampMs: 22 });
    const output = driver.outputTopic(joined);
    expect(output.readAll().map(({ value, headers: own }) => [value, own])).toEqual([
      ['1+-+-', headers],
    ]);
    driver.inputTopic(lefts).pipe({ key: 'd', value: '4', timestampMs: 30 });
    expect(output.readAll().map(({ value }) => value)).toEqual(['2+-+-']); // c holds back time
    driver.endOfInput();
    expect(output.readAll().map(({ value }) => value)).toEqual(['3+-+-', '4+-+-']);
    expect(driver.metrics().droppedRecords.late).toBe(0);
  });
});
