import { describe, expect, test } from 'vitest';
import { joinOf, joinTable, lefts, joined, plus, rights } from '../../test/kit/join-table.ts';
import { joinWindow, type JoinWindow } from '../topology/join-window.ts';

const inner = (window: JoinWindow) =>
  joinOf((left, right) => left.join(right, plus, { window, store: 'j' }));
const left = (window: JoinWindow) =>
  joinOf((one, other) => one.leftJoin(other, plus, { window, store: 'j' }));
const outer = (window: JoinWindow) =>
  joinOf((one, other) => one.outerJoin(other, plus, { window, store: 'j' }));
const itself = (window: JoinWindow) => joinOf((one) => one.join(one, plus, { window, store: 'j' }));

/** The input of Kafka's AbstractJoinIntegrationTest without its records out of order. */
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
                R k d 14
                L k D 15
                L null E 16
                R null e 17`;

describe("Kafka's StreamStreamJoinIntegrationTest", () => {
  const window = joinWindow({ differenceMs: 10_000, graceMs: 24 * 3_600_000 });

  test('[OP-JOIN-1] an inner join passes on each pair once', () => {
    expect(joinTable(inner(window), ORACLE)).toMatchInlineSnapshot(`
      "L k null 1
      R k null 2
      L k A 3
      R k a 4
        k A+a @4
      L k B 5
        k B+a @5
      R k b 6
        k A+b @6
        k B+b @6
      L k null 7
      R k null 8
      L k C 9
        k C+a @9
        k C+b @9
      R k c 10
        k A+c @10
        k B+c @10
        k C+c @10
      R k null 11
      L k null 12
      R k null 13
      R k d 14
        k A+d @14
        k B+d @14
        k C+d @14
      L k D 15
        k D+a @15
        k D+b @15
        k D+c @15
        k D+d @15
      L null E 16
      R null e 17
      null-key: 2
      null-value: 7"
    `);
  });

  test('[OP-JOIN-2] a left join passes on also left records without a key', () => {
    expect(joinTable(left(window), ORACLE)).toMatchInlineSnapshot(`
      "L k null 1
      R k null 2
      L k A 3
      R k a 4
        k A+a @4
      L k B 5
        k B+a @5
      R k b 6
        k A+b @6
        k B+b @6
      L k null 7
      R k null 8
      L k C 9
        k C+a @9
        k C+b @9
      R k c 10
        k A+c @10
        k B+c @10
        k C+c @10
      R k null 11
      L k null 12
      R k null 13
      R k d 14
        k A+d @14
        k B+d @14
        k C+d @14
      L k D 15
        k D+a @15
        k D+b @15
        k D+c @15
        k D+d @15
      L null E 16
        null E+- @16
      R null e 17
      null-key: 1
      null-value: 7"
    `);
  });

  test('[OP-JOIN-2] an outer join passes on those of both sides', () => {
    expect(joinTable(outer(window), ORACLE)).toMatchInlineSnapshot(`
      "L k null 1
      R k null 2
      L k A 3
      R k a 4
        k A+a @4
      L k B 5
        k B+a @5
      R k b 6
        k A+b @6
        k B+b @6
      L k null 7
      R k null 8
      L k C 9
        k C+a @9
        k C+b @9
      R k c 10
        k A+c @10
        k B+c @10
        k C+c @10
      R k null 11
      L k null 12
      R k null 13
      R k d 14
        k A+d @14
        k B+d @14
        k C+d @14
      L k D 15
        k D+a @15
        k D+b @15
        k D+c @15
        k D+d @15
      L null E 16
        null E+- @16
      R null e 17
        null -+e @17
      null-value: 7"
    `);
  });

  test('[OP-JOIN-5] a join with itself passes on each pair in both directions', () => {
    const input = ['null 1', 'A 2', 'B 3', 'null 4', 'C 5', 'null 6', 'D 7'];
    const lines = input.map((each) => `L k ${each}`).join('\n');
    expect(joinTable(itself(window), lines)).toMatchInlineSnapshot(`
      "L k null 1
      L k A 2
        k A+A @2
      L k B 3
        k B+A @3
        k A+B @3
        k B+B @3
      L k null 4
      L k C 5
        k C+A @5
        k C+B @5
        k A+C @5
        k B+C @5
        k C+C @5
      L k null 6
      L k D 7
        k D+A @7
        k D+B @7
        k D+C @7
        k A+D @7
        k B+D @7
        k C+D @7
        k D+D @7
      null-value: 3"
    `);
  });
});

describe('[OP-JOIN-1] which records meet', () => {
  const ends = `L a 1 100
                R a A 89
                R a B 90
                R a C 105
                R a D 106
                L b 1 100
                R b A 106
                R c A 90
                L c 1 100
                R d A 105
                L d 1 100
                R e A 106
                L e 1 100`;

  test('the right one is up to `beforeMs` older and `afterMs` newer, both included', () => {
    const window = joinWindow({ beforeMs: 10, afterMs: 5, graceMs: 100 });
    expect(joinTable(inner(window), ends)).toMatchInlineSnapshot(`
      "L a 1 100
      R a A 89
      R a B 90
        a 1+B @100
      R a C 105
        a 1+C @105
      R a D 106
      L b 1 100
      R b A 106
      R c A 90
      L c 1 100
        c 1+A @100
      R d A 105
      L d 1 100
        d 1+A @105
      R e A 106
      L e 1 100"
    `);
  });

  test('a negative bound moves the window', () => {
    const window = joinWindow({ beforeMs: -5, afterMs: 10, graceMs: 100 });
    const input = `L a 1 100
                   R a A 104
                   R a B 105
                   R a C 110
                   R a D 111
                   R b A 104
                   R b B 105
                   R b C 110
                   R b D 111
                   L b 1 100`;
    expect(joinTable(inner(window), input)).toMatchInlineSnapshot(`
      "L a 1 100
      R a A 104
      R a B 105
        a 1+B @105
      R a C 110
        a 1+C @110
      R a D 111
      R b A 104
      R b B 105
      R b C 110
      R b D 111
      L b 1 100
        b 1+B @105
        b 1+C @110"
    `);
  });

  test('with no difference only those of one time', () => {
    const input = `L a 1 5
                   R a A 5
                   R a B 6
                   L a 2 6
                   L a 3 6`;
    expect(joinTable(inner(joinWindow({ differenceMs: 0 })), input)).toMatchInlineSnapshot(`
      "L a 1 5
      R a A 5
        a 1+A @5
      R a B 6
      L a 2 6
        a 2+B @6
      L a 3 6
        a 3+B @6"
    `);
  });

  test('those of the other side come by time, and of one time as they arrived', () => {
    const window = joinWindow({ differenceMs: 5_000, graceMs: 10_000 });
    const input = `R a C 7000
                   R a A 3000
                   R a B1 5000
                   R a D 9000
                   R a B2 5000
                   L a 1 5000
                   L a 2 12000`;
    expect(joinTable(inner(window), input)).toMatchInlineSnapshot(`
      "R a C 7000
      R a A 3000
      R a B1 5000
      R a D 9000
      R a B2 5000
      L a 1 5000
        a 1+A @5000
        a 1+B1 @5000
        a 1+B2 @5000
        a 1+C @7000
        a 1+D @9000
      L a 2 12000
        a 2+C @12000
        a 2+D @12000"
    `);
  });

  test('as long as the newest record of their side and stream time let them', () => {
    const window = joinWindow({ beforeMs: 10, afterMs: 0, graceMs: 2 });
    // The right one from 0 is found until the right side is past 12.
    const input = `R a A 0
                   L b 1 50
                   L a 1 5
                   R b B 12
                   L a 2 8
                   R b C 13
                   L a 3 9
                   R a D 0`;
    expect(joinTable(inner(window), input)).toMatchInlineSnapshot(`
      "R a A 0
      L b 1 50
      L a 1 5
        a 1+A @5
      R b B 12
      L a 2 8
        a 2+A @8
      R b C 13
      L a 3 9
      R a D 0
      late: 2"
    `);
  });
});

describe('[OP-JOIN-2] a record that finds no partner', () => {
  test('is passed on when its window has closed: neither earlier nor later', () => {
    const window = joinWindow({ beforeMs: 20, afterMs: 10, graceMs: 5 });
    const input = `L a 1 0
                   R b A 1
                   L x v 15
                   R x v 16
                   L x v 26
                   L x v 27
                   end`;
    expect(joinTable(outer(window), input)).toMatchInlineSnapshot(`
      "L a 1 0
      R b A 1
      L x v 15
      R x v 16
        a 1+- @0
        x v+v @16
      L x v 26
        x v+v @26
      L x v 27
        b -+A @1
        x v+v @27
      end"
    `);
  });

  test('is passed on before the results of the record that moves time, the oldest first', () => {
    const window = joinWindow({ differenceMs: 10 });
    // Of one time the right side comes first, then keys by their bytes.
    const input = `L b 1 3
                   L a 1 3
                   R c A 3
                   L a 2 3
                   R d A 2
                   L e 1 1
                   R a B 1000
                   L a 3 1000`;
    expect(joinTable(outer(window), input)).toMatchInlineSnapshot(`
      "L b 1 3
      L a 1 3
      R c A 3
      L a 2 3
      R d A 2
      L e 1 1
      R a B 1000
        e 1+- @1
        d -+A @2
        c -+A @3
        a 1+- @3
        a 2+- @3
        b 1+- @3
      L a 3 1000
        a 3+B @1000"
    `);
  });

  test('waits within the grace also if it is out of order', () => {
    const window = joinWindow({ differenceMs: 5, graceMs: 10 });
    const input = `L x v 100
                   L a 1 90
                   R a A 95
                   L b 1 90
                   R x v 105
                   R x v 106`;
    expect(joinTable(left(window), input)).toMatchInlineSnapshot(`
      "L x v 100
      L a 1 90
      R a A 95
        a 1+A @95
      L b 1 90
      R x v 105
        x v+v @105
      R x v 106
        b 1+- @90"
    `);
  });

  test('is passed on at once if it comes when its window has closed', () => {
    const window = joinWindow({ differenceMs: 5, graceMs: 10 });
    const input = `R x v 100
                   L a 1 85
                   L a 2 84
                   R a A 84
                   R x v 101`;
    expect(joinTable(left(window), input)).toMatchInlineSnapshot(`
      "R x v 100
      L a 1 85
      L a 2 84
        a 2+- @84
      R a A 84
        a 1+A @85
      R x v 101"
    `);
  });

  test('has no further result once it was passed on', () => {
    const window = joinWindow({ differenceMs: 5 });
    const input = `R a A 10
                   R x v 16
                   L a 1 10
                   L a 2 13
                   end`;
    expect(joinTable(outer(window), input)).toMatchInlineSnapshot(`
      "R a A 10
      R x v 16
        a -+A @10
      L a 1 10
        a 1+- @10
      L a 2 13
      end
        a 2+- @13
        x -+v @16"
    `);
  });

  test('holds back the time behind it, so that nothing there is late', () => {
    const window = joinWindow({ differenceMs: 5, graceMs: 3 });
    const driver = joinOf((one, other) =>
      one
        .leftJoin(other, plus, { window: joinWindow({ differenceMs: 50 }), store: 'first' })
        .leftJoin(other, plus, { window, store: 'second' }),
    );
    const input = `L a 1 0
                   R x v 40
                   L b 1 51
                   R x v 52
                   R x v 110
                   end`;
    expect(joinTable(driver, input)).toMatchInlineSnapshot(`
      "L a 1 0
      R x v 40
      L b 1 51
        a 1+-+- @0
      R x v 52
      R x v 110
        b 1+-+- @51
      end"
    `);
  });
});

describe('[OP-JOIN-3] headers', () => {
  const headers = (text: string) => [{ key: 'from', value: Buffer.from(text) }];

  test('of a pair are those of the record that came last, of one alone its own', () => {
    const driver = outer(joinWindow({ differenceMs: 5 }));
    const pipe = (side: typeof lefts, key: string, timestampMs: number) => {
      const row = { key, value: 'v', timestampMs, headers: headers(`${side.name} ${key}`) };
      driver.inputTopic(side).pipe(row);
    };
    pipe(lefts, 'a', 5);
    pipe(rights, 'a', 1);
    pipe(rights, 'b', 2);
    pipe(lefts, 'c', 100);
    const shown = driver
      .outputTopic(joined)
      .readAll()
      .map((row) => `${row.key} ${row.headers.map(({ value }) => String(value)).join()}`);
    expect(shown).toEqual(['a rights a', 'b rights b']);
  });
});
