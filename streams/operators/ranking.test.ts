import fc from 'fast-check';
import { describe, expect, expectTypeOf, test } from 'vitest';
import {
  deserializeBytes,
  int64,
  json,
  serializeToBytes,
  string,
  topic,
} from '../../core/index.ts';
import { drive, numbers } from '../../test/kit/drive.ts';
import {
  crashInput,
  crashOutput,
  sameAfterCrashes,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { KTable } from '../dsl/ktable.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import { countWindow } from '../topology/count-windows.ts';
import {
  hoppingWindow,
  sessionWindow,
  slidingWindow,
  tumblingWindow,
  type Windowed,
} from '../topology/windows.ts';
import { listSerde } from './list-serde.ts';
import type { Ranking } from './ranking.ts';

interface Product {
  readonly name: string;
  readonly shop: string;
  readonly sold: number;
}

const tops = topic('tops', { key: string(), value: json<number[]>() });
const named = topic('named', { key: string(), value: json<string[] | null>() });
const products = topic('products', { key: string(), value: json<Product>() });

/** Pipes rows `key value time` and returns `key values @time` of each result. */
function ranked(
  rows: string,
  build: Parameters<typeof drive<string, number, string, number[]>>[2],
): string[] {
  const { driver, pipe } = drive(numbers, tops, build);
  const lines = rows.split(', ').flatMap((row) => {
    const [key = '', value, time] = row.split(' ');
    if (key === 'end') driver.endOfInput();
    const found = key === 'end' ? pipe() : pipe([key, Number(value), Number(time)]);
    return found.map((each) => `${each.key} ${each.value?.join()} @${each.timestampMs}`);
  });
  return lines;
}

const by = (value: number): number => value;
/** The code of the error that a function throws. */
function codeThrownBy(make: () => unknown): string | undefined {
  try {
    make();
    return undefined;
  } catch (error) {
    return (error as { readonly code?: string }).code;
  }
}

const inWindow = (table: KTable<Windowed<string>, number[] | null>) =>
  table.toStream(({ key }) => `${key.key}[${key.windowStartMs},${key.windowEndMs}`);

describe('[OP-TOPN-1] topN keeps the first values of each key', () => {
  test('the greatest numbers, greatest first; what is not among them passes nothing on', () => {
    const rows = 'a 5 1, a 9 2, a 1 3, a 7 4, b 1 5, a 9 6, a 8 7, a 9 8';
    const of = (options: Ranking<number>) =>
      ranked(rows, (stream) =>
        stream
          .groupByKey()
          .topN(3, { ...options, emit: 'each', store: 'top' })
          .toStream(),
      );
    expect(of({ by })).toEqual([
      ...['a 5 @1', 'a 9,5 @2', 'a 9,5,1 @3', 'a 9,7,5 @4', 'b 1 @5', 'a 9,9,7 @6'],
      ...['a 9,9,8 @7', 'a 9,9,9 @8'],
    ]);
    expect(of({ by, first: 'least' })).toEqual([
      ...['a 5 @1', 'a 5,9 @2', 'a 1,5,9 @3', 'a 1,5,7 @4', 'b 1 @5'],
    ]);
    expect(of({ compare: (left, right) => (left % 5) - (right % 5) })).toEqual([
      ...['a 5 @1', 'a 5,9 @2', 'a 5,1,9 @3', 'a 5,1,7 @4', 'b 1 @5'],
    ]);
  });

  test('of equal ones the value that came first, and only that', () => {
    const { pipe } = drive(products, named, (stream) =>
      stream
        .groupByKey()
        .topN(2, { by: ({ sold }) => sold, store: 'top' })
        .toStream()
        .mapValues((list) => list.map(({ name }) => name)),
    );
    const row = (name: string, sold: number) => ['k', { name, sold, shop: '' }, 1] as const;
    const found = pipe(row('p', 3), row('q', 3), row('r', 3), row('s', 4), row('t', 4));
    expect(found.map(({ value }) => value?.join(' '))).toEqual(['p', 'p q', 's p', 's t']);
  });

  test('with n above the number of values it keeps all of them', () => {
    expect(
      ranked('a 1 1, a 2 2', (stream) => stream.groupByKey().topN(9, { by }).toStream()),
    ).toEqual(['a 1 @1', 'a 2,1 @2']);
  });
});

describe('[OP-TOPN-2] in windows of each kind', () => {
  const rows = 'a 5 1, a 9 2, a 7 3, b 1 4, a 8 12, a 1 13, end';

  test('tumbling and hopping', () => {
    const of = (windows: ReturnType<typeof hoppingWindow>) =>
      ranked(rows, (stream) =>
        inWindow(
          stream.groupByKey().windowedBy(windows).topN(2, { by, emit: 'final', store: 'top' }),
        ),
      );
    expect(of(tumblingWindow({ sizeMs: 10 }))).toEqual([
      ...['a[0,10 9,7 @3', 'b[0,10 1 @4', 'a[10,20 8,1 @13'],
    ]);
    expect(of(hoppingWindow({ sizeMs: 20, advanceMs: 10 }))).toEqual([
      ...['a[0,20 9,8 @12', 'b[0,20 1 @4', 'a[10,30 8,1 @13'],
    ]);
  });

  test('sessions, which merge', () => {
    const sessions = (stream: Parameters<Parameters<typeof ranked>[1]>[0]) =>
      inWindow(
        stream
          .groupByKey()
          .windowedBy(sessionWindow({ gapMs: 5, graceMs: 50 }))
          .topN(2, { by, emit: 'final', store: 'top' }),
      );
    expect(ranked(`a 5 1, a 9 2, a 8 12, a 7 7, b 3 7, end`, sessions)).toEqual([
      ...['b[7,7 3 @7', 'a[1,12 9,8 @12'],
    ]);
  });

  test('sliding windows', () => {
    const sliding = ranked('a 5 10, a 9 12, a 7 13, end', (stream) =>
      inWindow(
        stream
          .groupByKey()
          .windowedBy(slidingWindow({ differenceMs: 5 }))
          .topN(2, { by, emit: 'final', store: 'top' }),
      ),
    );
    expect(sliding).toEqual([
      ...['a[5,10 5 @10', 'a[7,12 9,5 @12', 'a[8,13 9,7 @13', 'a[11,16 9,7 @13', 'a[13,18 7 @13'],
    ]);
  });

  test('windows of records', () => {
    const counted = ranked('a 5 1, a 9 2, a 7 3, a 1 4', (stream) =>
      stream
        .groupByKey()
        .windowedBy(countWindow({ size: 3, advance: 2 }))
        .topN(2, { by, store: 'top' })
        .toStream(({ key }) => `${key.key}[${key.windowStart},${key.windowEnd}`),
    );
    expect(counted).toEqual(['a[0,2 9,5 @2', 'a[1,4 9,7 @4']);
  });
});

describe('[OP-TOPN-3] of a grouped table it follows the rows', () => {
  const build = (emit: 'each' | 'commit') => {
    const builder = new StreamsBuilder();
    builder
      .table(products)
      .groupBy(({ value }) => ({ key: value.shop, value }), {
        key: string(),
        value: json<Product>(),
      })
      .topN(2, { by: ({ sold }) => sold, store: 'top', emit })
      .toStream()
      .mapValues((list) => (list === null ? null : list.map(({ name }) => name)))
      .to(named);
    return builder.build();
  };

  test('when one of the first leaves, the next takes its place', () => {
    const driver = new TopologyTestDriver(build('each'));
    const pipe = (key: string, value: Product | null): string => {
      driver.inputTopic(products).pipe({ key, value, timestampMs: 1 });
      const found = driver.outputTopic(named).readAll();
      return found.map((each) => `${each.key}: ${each.value?.join(' ') ?? 'none'}`).join(', ');
    };
    const of = (name: string, shop: string, sold: number): Product => ({ name, shop, sold });
    expect(pipe('p', of('p', 'x', 5))).toBe('x: p');
    expect(pipe('q', of('q', 'x', 7))).toBe('x: q p');
    expect(pipe('r', of('r', 'x', 3))).toBe('x: q p');
    expect(pipe('q', null)).toBe('x: p r');
    expect(pipe('p', of('p', 'y', 5))).toBe('x: r, y: p'); // it moves
    expect(pipe('r', of('r', 'x', 4))).toBe('x: r'); // its value before is taken away
    expect(pipe('r', null)).toBe('x: none');
  });

  test(`is what the rows give at once, seed ${SEED}`, () => {
    const change = fc.record({
      row: fc.integer({ min: 0, max: 9 }),
      shop: fc.constantFrom('x', 'y'),
      sold: fc.integer({ min: 0, max: 4 }),
      isDeleted: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const driver = new TopologyTestDriver(build('each'));
        const rows = new Map<string, Product>();
        const newest = new Map<string, string[] | null>();
        for (const { row, shop, sold, isDeleted } of changes) {
          const name = `p${row}`;
          const value = isDeleted ? null : { name, shop, sold };
          if (value === null) rows.delete(name);
          else rows.set(name, value);
          driver.inputTopic(products).pipe({ key: name, value, timestampMs: 1 });
          for (const { key, value: list } of driver.outputTopic(named).readAll()) {
            newest.set(key ?? '', list);
          }
          for (const each of ['x', 'y']) {
            const group = [...rows.values()].filter((product) => product.shop === each);
            const best = group.map((product) => product.sold).sort((a, b) => b - a);
            const found = (newest.get(each) ?? []).map((key) => rows.get(key)!.sold);
            expect(found).toEqual(best.slice(0, 2));
          }
        }
      }),
      { seed: SEED, numRuns: 30 },
    );
  });
});

test('[OP-TOPN-4] what is no ranking is refused', () => {
  const grouped = new StreamsBuilder().stream(numbers, { nullKeys: 'fail' }).groupByKey();
  const of = codeThrownBy;
  expect(of(() => grouped.topN(0, { by }))).toBe('INVALID_OPTION');
  expect(of(() => grouped.topN(1.5, { by }))).toBe('INVALID_OPTION');
  // @ts-expect-error -- by or compare is needed
  expect(of(() => grouped.topN(1, {}))).toBe('TOPOLOGY_INVALID');
  // @ts-expect-error -- and only one of them
  expect(of(() => grouped.topN(1, { by, compare: () => 0 }))).toBe('TOPOLOGY_INVALID');
  // @ts-expect-error -- there is no such order
  expect(of(() => grouped.topN(1, { by, first: 'best' }))).toBe('INVALID_OPTION');
  // @ts-expect-error -- a number is needed
  expect(of(() => grouped.topN(1, { by: async () => 1 }))).toBe('TOPOLOGY_INVALID');
  // @ts-expect-error -- its values are numbers
  grouped.topN(1, { by: (value: string) => value.length });
  // @ts-expect-error -- the values of the store are lists
  grouped.topN(1, { by, value: int64() });
  expectTypeOf(grouped.topN(1, { by })).toEqualTypeOf<KTable<string, number[]>>();
  for (const bad of [NaN, undefined, '1']) {
    const run = () =>
      ranked('a 1 1, a 2 2', (stream) =>
        stream
          .groupByKey()
          .topN(2, { by: () => bad as number })
          .toStream(),
      );
    expect(run).toThrow('a ranking needs a number');
  }
});

test('[OP-TOPN-1] lists of any length and values are read as they were written', () => {
  for (const list of [[], [''], ['a', '', 'b'.repeat(300)], ['\u00e9', 'x']]) {
    const serde = listSerde(string());
    const bytes = serializeToBytes(serde, list);
    expect(bytes.length).toBe(
      list.reduce((sum, each) => sum + 4 + Buffer.byteLength(each), 4), // no more than that
    );
    expect(deserializeBytes(serde, bytes)).toEqual(list);
  }
});

describe.each(WAYS_TO_STOP)('[OP-TOPN-5] after %s', (_, stop) => {
  test(`the lists are the same, at any time, seed ${SEED}`, async () => {
    const topology = () => {
      const builder = new StreamsBuilder();
      const stream = builder.stream(crashInput, { nullKeys: 'fail' });
      const digit = (value: number): number => (value * 7_919) % 1_009;
      const grouped = stream.groupByKey();
      const windows = tumblingWindow({ sizeMs: 100 });
      grouped
        .topN(3, { by: digit, store: 'top', emit: 'each' })
        .toStream()
        .map(({ key, value }) => ({ key: `all ${key}`, value: value.join() }))
        .to(crashOutput);
      grouped
        .windowedBy(windows)
        .topN(3, { by: digit, store: 'top-windows', emit: 'final' })
        .toStream()
        .map(({ key, value }) => ({ key: `in ${key.key}`, value: value.join() }))
        .to(crashOutput);
      stream
        .toTable({ store: 'rows' })
        .groupBy(({ value }) => ({ key: `g${value % 2}`, value }), {
          ...{ key: string(), value: int64() },
        })
        .topN(3, { by: digit, store: 'top-rows', emit: 'each' })
        .toStream()
        .map(({ key, value }) => ({ key: `rows ${key}`, value: String(value) }))
        .to(crashOutput);
      return builder.build();
    };
    await sameAfterCrashes(topology, stop);
  }, 60_000);
});
