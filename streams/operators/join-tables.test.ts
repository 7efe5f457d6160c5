import { describe, expect, expectTypeOf, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { committedRows, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { changes, changesOf } from '../../test/kit/changes.ts';
import {
  crashInput,
  crashOutput,
  sameAfterCrashes,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { KTable } from '../dsl/ktable.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';

const lefts = topic('lefts', { key: string(), value: string() });
const rights = topic('rights', { key: string(), value: string() });

type Texts = KTable<string, string | null>;
type Method = 'join' | 'leftJoin' | 'outerJoin';

const paste = (left: string | undefined, right: string | undefined) =>
  `${left ?? '-'}+${right ?? '-'}`;

function joined(left: Texts, right: Texts, method: Method, options = {}): Texts {
  if (method === 'join') return left.join(right, paste, options);
  return method === 'leftJoin'
    ? left.leftJoin(right, paste, options)
    : left.outerJoin(right, paste, options);
}

/**
 * Joins two tables. Each line of the input, `L value time` or `R value time` with `-` for null, is
 * followed by its results: `value @time`.
 */
function joinTable(method: Method, input: string, options = {}): string {
  const builder = new StreamsBuilder();
  const table = joined(builder.table(lefts), builder.table(rights), method, options);
  table.toStream().to(changes);
  const driver = new TopologyTestDriver(builder.build());
  const lines: string[] = [];
  for (const line of input.trim().split('\n')) {
    const [side, value, time] = line.trim().split(/\s+/);
    driver.inputTopic(side === 'L' ? lefts : rights).pipe({
      key: 'a',
      value: value === '-' ? null : value!,
      timestampMs: Number(time),
    });
    const results = driver.outputTopic(changes).readAll();
    const shownResults = results.map((result) => `${result.value ?? '-'} @${result.timestampMs}`);
    lines.push([line.trim(), ...shownResults].join(' | '));
  }
  return lines.join('\n');
}

/** The input of Kafka's join tests (AbstractJoinIntegrationTest); its end is out of order. */
const INPUT = `
  L - 1
  R - 2
  L A 3
  R a 4
  L B 5
  R b 6
  L - 7
  R - 8
  L C 9
  R c 10
  R - 11
  L - 12
  R - 13
  R d 7
  L D 6
  L - 2
  R - 3
  R e 14
  L E 15
  L - 10
  R - 9
  L F 4
  R f 3
`;

const RESULTS = {
  join: `
    L - 1
    R - 2
    L A 3
    R a 4 | A+a @4
    L B 5 | B+a @5
    R b 6 | B+b @6
    L - 7 | - @7
    R - 8
    L C 9
    R c 10 | C+c @10
    R - 11 | - @11
    L - 12
    R - 13
    R d 7
    L D 6 | D+d @7
    L - 2 | - @7
    R - 3
    R e 14
    L E 15 | E+e @15
    L - 10 | - @14
    R - 9
    L F 4
    R f 3 | F+f @4`,
  leftJoin: `
    L - 1
    R - 2
    L A 3 | A+- @3
    R a 4 | A+a @4
    L B 5 | B+a @5
    R b 6 | B+b @6
    L - 7 | - @7
    R - 8
    L C 9 | C+- @9
    R c 10 | C+c @10
    R - 11 | C+- @11
    L - 12 | - @12
    R - 13
    R d 7
    L D 6 | D+d @7
    L - 2 | - @7
    R - 3
    R e 14
    L E 15 | E+e @15
    L - 10 | - @14
    R - 9
    L F 4 | F+- @4
    R f 3 | F+f @4`,
  outerJoin: `
    L - 1
    R - 2
    L A 3 | A+- @3
    R a 4 | A+a @4
    L B 5 | B+a @5
    R b 6 | B+b @6
    L - 7 | -+b @7
    R - 8 | - @8
    L C 9 | C+- @9
    R c 10 | C+c @10
    R - 11 | C+- @11
    L - 12 | - @12
    R - 13
    R d 7 | -+d @7
    L D 6 | D+d @7
    L - 2 | -+d @7
    R - 3 | - @3
    R e 14 | -+e @14
    L E 15 | E+e @15
    L - 10 | -+e @14
    R - 9 | - @9
    L F 4 | F+- @4
    R f 3 | F+f @4`,
};

const unindented = (text: string) => text.trim().replace(/^ +/gm, '');

describe.each(['join', 'leftJoin', 'outerJoin'] as const)('[OP-TJOIN-1] %s', (method) => {
  test.each([
    ['as a view', {}],
    ['in a store', { store: 'joined' }],
  ])("Kafka's input, %s", (_, options) => {
    expect(joinTable(method, INPUT, options)).toBe(unindented(RESULTS[method]));
  });
});

test('[OP-TJOIN-1] a result has the greater time of both, and the headers of the change', () => {
  expect(joinTable('outerJoin', 'L A 9\nR a 4\nR b 12\nL B 3\nR - 2\nL - 1')).toBe(
    unindented(`
      L A 9 | A+- @9
      R a 4 | A+a @9
      R b 12 | A+b @12
      L B 3 | B+b @12
      R - 2 | B+- @3
      L - 1 | - @1`),
  );
  const builder = new StreamsBuilder();
  builder.table(lefts).join(builder.table(rights), paste).toStream().to(changes);
  const driver = new TopologyTestDriver(builder.build());
  const headers = [{ key: 'trace', value: Buffer.from('7') }];
  driver.inputTopic(lefts).pipe({ key: 'a', value: 'A' });
  driver.inputTopic(rights).pipe({ key: 'a', value: 'a', headers });
  expect(driver.outputTopic(changes).readAll()[0]?.headers).toEqual(headers);
});

describe('[OP-TJOIN-2]', () => {
  const run = (input: string, build: (left: Texts, right: Texts) => Texts) => {
    const builder = new StreamsBuilder();
    changesOf(build(builder.table(lefts), builder.table(rights))).to(changes);
    const topology = builder.build();
    const driver = new TopologyTestDriver(topology);
    for (const row of input.split(', ')) {
      const [side, value] = row.split(' ');
      const record = { key: 'a', value: value === '-' ? null : value!, timestampMs: 1 };
      driver.inputTopic(side === 'L' ? lefts : rights).pipe(record);
    }
    const results = driver.outputTopic(changes).readAll();
    return {
      stores: [...topology.stores.keys()].sort(),
      values: results.map(({ value }) => value),
    };
  };

  test.each([
    ['join', ['->A+a', 'A+a>B+a', 'B+a>B+b', 'B+b>-', '->C+b']],
    ['leftJoin', ['->A+-', 'A+->A+a', 'A+a>B+a', 'B+a>B+b', 'B+b>-', '->C+b']],
    ['outerJoin', ['->A+-', 'A+->A+a', 'A+a>B+a', 'B+a>B+b', 'B+b>-+b', '-+b>C+b']],
  ] as const)('a change of a %s has the value before', (method, expected) => {
    const build = (left: Texts, right: Texts) => joined(left, right, method);
    const input = 'L A, R a, L B, R b, L -, L C';
    expect(run(input, build).values).toEqual(expected);
    const stored = (left: Texts, right: Texts) => joined(left, right, method, { store: 'joined' });
    expect(run(input, stored).values).toEqual(expected);
  });

  test('a table joins what is made of it, or itself: then the join is stored', () => {
    const build = (left: Texts) =>
      left.join(
        left.mapValues((text) => text.toLowerCase()),
        paste,
      );
    const { stores, values } = run('L A, L B, L -', build);
    expect(values).toEqual(['->A+a', 'A+a>A+a', 'A+a>B+b', 'B+b>B+b', 'B+b>-']);
    expect(stores).toEqual([expect.stringMatching(/^join-tables/), 'lefts', 'rights']);
  });

  test('joins of joins are views', () => {
    const { stores, values } = run('L A, R a, L B', (left, right) =>
      left.join(right, paste).leftJoin(
        right.mapValues((text) => `${text}!`),
        paste,
      ),
    );
    expect(values.at(-1)).toBe('A+a+a!>B+a+a!');
    expect(stores).toContain('lefts');
  });
});

describe('[OP-TJOIN-3] a join that is a view can be read', () => {
  test.each([
    ['join', ['none', 'none', 'A+a', 'none']],
    ['leftJoin', ['none', 'A+-', 'A+a', 'none']],
    ['outerJoin', ['none', 'A+-', 'A+a', '-+a']],
  ] as const)('%s', (method, expected) => {
    const builder = new StreamsBuilder();
    const table = joined(builder.table(lefts), builder.table(rights), method);
    const queries = topic('queries', { key: string(), value: int64() });
    builder
      .stream(queries)
      .leftJoin(table, (_, text) => text ?? 'none')
      .to(changes);
    const driver = new TopologyTestDriver(builder.build());
    const ask = () => {
      driver.inputTopic(queries).pipe({ key: 'a', value: 0 });
      return driver.outputTopic(changes).readAll()[0]?.value;
    };
    const found = [ask()];
    driver.inputTopic(lefts).pipe({ key: 'a', value: 'A' });
    found.push(ask());
    driver.inputTopic(rights).pipe({ key: 'a', value: 'a' });
    found.push(ask());
    driver.inputTopic(lefts).pipe({ key: 'a', value: null });
    found.push(ask());
    expect(found).toEqual(expected);
  });
});

test('tables that are joined need equally many partitions', () => {
  const two = topic('two', { key: string(), value: string(), partitions: 2 });
  const three = topic('three', { key: string(), value: string(), partitions: 3 });
  const builder = new StreamsBuilder();
  builder.table(two).join(builder.table(three), paste).toStream().to(changes);
  let failure: unknown;
  try {
    builder.build();
  } catch (error) {
    failure = error;
  }
  expect(StreamsError.is(failure, 'COPARTITIONING')).toBe(true);
});

test('[OP-TJOIN-2] emit of a stored join', async () => {
  const log = await openTestLog();
  await produce(log, lefts, [
    ['a', 'A', 1],
    ['a', 'B', 3],
  ]);
  await produce(log, rights, [['a', 'a', 2]]);
  const builder = new StreamsBuilder();
  const options = { store: 'joined', emit: 'commit', value: string() } as const;
  changesOf(builder.table(lefts).leftJoin(builder.table(rights), paste, options)).to(changes);
  await runToEnd(log, builder.build(), { commitIntervalMs: 10_000 });
  expect(await committedRows(log, changes)).toEqual(['a ->B+a @3']);
});

describe.each(WAYS_TO_STOP)('[OP-TJOIN-5] after %s at any time', (_, stop) => {
  function topology() {
    const builder = new StreamsBuilder();
    const stream = builder.stream(crashInput);
    const left = stream.filter(({ value }) => value % 2 === 0).toTable({ store: 'left' });
    const right = stream
      .filter(({ value }) => value % 3 === 0)
      .mapValues((value) => (value % 5 === 0 ? null : value))
      .toTable({ store: 'right', value: int64() });
    const add = (one = 0, other = 0) => `${one}+${other}`;
    const kinds = {
      inner: left.join(right, add),
      left: left.leftJoin(right, add, { store: 'kept', value: string(), emit: { everyMs: 20 } }),
      outer: left.outerJoin(right, add, { store: 'each', value: string() }),
    };
    const [first, ...others] = Object.entries(kinds).map(([kind, table]) =>
      changesOf(table).map(({ key, value }) => ({ key: `${kind} ${key}`, value })),
    );
    others.reduce((merged, each) => merged.merge(each), first!).to(crashOutput);
    return builder.build();
  }

  test(`joins give the same changes, seed ${SEED}`, async () => {
    await sameAfterCrashes(topology, stop);
  }, 60_000);
});

test('[STREAMS-17] the types of joins follow from their tables and joiners', () => {
  const builder = new StreamsBuilder();
  const texts = builder.table(lefts);
  const counts = builder.stream(rights).groupByKey().count();
  const inner = texts.join(counts, (text, count, key) => {
    expectTypeOf(text).toEqualTypeOf<string>();
    expectTypeOf(count).toEqualTypeOf<number>();
    expectTypeOf(key).toEqualTypeOf<string>();
    return text.length + count;
  });
  expectTypeOf(inner).toEqualTypeOf<KTable<string, number | null>>();
  const left = counts.leftJoin(texts, (count, text) => {
    expectTypeOf(text).toEqualTypeOf<string | undefined>();
    return { count };
  });
  expectTypeOf(left).toEqualTypeOf<KTable<string, { count: number }>>();
  const outer = counts.outerJoin(texts, (count, text) => {
    expectTypeOf(count).toEqualTypeOf<number | undefined>();
    return text ?? null;
  });
  expectTypeOf(outer).toEqualTypeOf<KTable<string, string | null>>();
  const wrongly = (): void => {
    const byNumber = counts.toStream(({ value }) => value).toTable();
    // @ts-expect-error -- the keys differ
    texts.join(byNumber, () => 1);
    // @ts-expect-error -- it is async
    texts.join(counts, async () => 1);
    // @ts-expect-error -- the right row may be missing
    texts.leftJoin(counts, (text, count) => text.length + count.toFixed().length);
    // @ts-expect-error -- the serde is of another type
    texts.join(counts, () => 1, { value: string() });
  };
  expect(wrongly).toBeTypeOf('function');
  const other = new StreamsBuilder().table(rights);
  expect(() => texts.join(other, paste)).toThrow(/one StreamsBuilder/);
  expect(() => texts.join('rights' as never, paste)).toThrow(/KTable/);
  expect(() => texts.join(texts, undefined as never)).toThrow(/joiner/);
  expect(() => texts.join(texts, paste, { emit: 'each' })).toThrow(/without a store/);
});
