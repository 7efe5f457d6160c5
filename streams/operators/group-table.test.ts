import { describe, expect, expectTypeOf, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import {
  crashInput,
  crashOutput,
  sameAfterCrashes,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { numbers, shown } from '../../test/kit/drive.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { KGroupedTable } from '../dsl/kgrouped-table.ts';
import type { KTable } from '../dsl/ktable.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import { tumblingWindow } from '../topology/windows.ts';

/** Somebody in a town. */
interface Person {
  readonly town: string | null;
  readonly age: number | null;
}

const people = topic('people', { key: string(), value: json<Person>() });
const results = topic('results', { key: string(), value: string() });

/**
 * Pipes `key town age time` a line, `-` for null; below each input are its results, `town value
 * @time`.
 */
function groupTable<V>(
  aggregate: (grouped: KGroupedTable<string, number>) => KTable<string, V>,
  input: string,
): string {
  const builder = new StreamsBuilder();
  const grouped = builder
    .table(people)
    .groupBy(({ value }) => ({ key: value.town, value: value.age }), { key: string() });
  aggregate(grouped).toStream().mapValues(String).to(results);
  const driver = new TopologyTestDriver(builder.build());
  const lines: string[] = [];
  for (const line of input.trim().split('\n')) {
    const [key = '', town = '-', age = '-', time] = line.trim().split(/\s+/);
    const isGone = town === '-' && age === '-';
    const person = { town: town === '-' ? null : town, age: age === '-' ? null : Number(age) };
    driver
      .inputTopic(people)
      .pipe({ key, value: isGone ? null : person, timestampMs: Number(time) });
    lines.push(line.trim());
    lines.push(...shown(driver.outputTopic(results).readAll()).map((result) => `  ${result}`));
  }
  return `\n${lines.join('\n')}\n`;
}

const summed = (grouped: KGroupedTable<string, number>) =>
  grouped.reduce(
    (sum, age) => sum + age,
    (sum, age) => sum - age,
    { emit: 'each' },
  );

describe('[OP-GROUP-1] an aggregate follows the rows of its group', () => {
  test('reduce starts with the first row, and takes the greater time', () => {
    const table = groupTable(
      summed,
      `
      ann paris 30 5
      bob paris 20 3
      ann paris 31 4
      bob - - 9
      ann - - 2
      `,
    );
    expect(table).toBe(`
ann paris 30 5
  paris 30 @5
bob paris 20 3
  paris 50 @5
ann paris 31 4
  paris 51 @5
bob - - 9
  paris 31 @9
ann - - 2
  paris 0 @9
`);
  });

  test('count is 0 when the last row is gone', () => {
    const table = groupTable(
      (grouped) => grouped.count({ emit: 'each' }),
      `
      ann paris 30 1
      bob paris 20 2
      ann paris 31 3
      bob rome 20 4
      ann - - 5
      `,
    );
    expect(table).toBe(`
ann paris 30 1
  paris 1 @1
bob paris 20 2
  paris 2 @2
ann paris 31 3
  paris 2 @3
bob rome 20 4
  paris 1 @4
  rome 1 @4
ann - - 5
  paris 0 @5
`);
  });

  test('an aggregate that becomes null is deleted; the next row starts over', () => {
    const table = groupTable(
      (grouped) =>
        grouped.aggregate(
          () => 'ages:',
          (ages, { value }) => `${ages} ${value}`,
          (ages, { value }) => {
            const left = ages.replace(` ${value}`, '');
            return left === 'ages:' ? null : left;
          },
          { emit: 'each' },
        ),
      `
      ann paris 30 5
      ann paris 31 3
      bob paris 20 4
      bob - - 7
      ann - - 6
      cyd paris 1 1
      `,
    );
    expect(table).toBe(`
ann paris 30 5
  paris ages: 30 @5
ann paris 31 3
  paris ages: 31 @5
bob paris 20 4
  paris ages: 31 20 @5
bob - - 7
  paris ages: 31 @7
ann - - 6
  paris null @7
cyd paris 1 1
  paris ages: 1 @1
`);
  });

  test('a table of windows can be grouped', () => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .groupByKey()
      .windowedBy(tumblingWindow({ sizeMs: 10 }))
      .count({ emit: 'each' })
      .groupBy(({ key, value }) => ({ key: `at ${key.windowStartMs}`, value }), { key: string() })
      .reduce(
        (sum, count) => sum + count,
        (sum, count) => sum - count,
        { emit: 'each' },
      )
      .toStream()
      .mapValues(String)
      .to(results);
    const driver = new TopologyTestDriver(builder.build());
    for (const [key, timestampMs] of [
      ['a', 1],
      ['b', 2],
      ['a', 3],
      ['a', 11],
    ] as const) {
      driver.inputTopic(numbers).pipe({ key, value: 0, timestampMs });
    }
    expect(shown(driver.outputTopic(results).readAll())).toEqual([
      'at 0 1 @1',
      'at 0 2 @2',
      'at 0 3 @3',
      'at 10 1 @11',
    ]);
  });
});

describe('[OP-GROUP-2]', () => {
  test('a row that moves leaves its old group first', () => {
    const table = groupTable(
      summed,
      `
      ann paris 30 1
      bob rome 20 2
      ann rome 31 3
      `,
    );
    expect(table).toBe(`
ann paris 30 1
  paris 30 @1
bob rome 20 2
  rome 20 @2
ann rome 31 3
  paris 0 @3
  rome 51 @3
`);
  });

  test('a row without a group, or without a value there, is in none', () => {
    const table = groupTable(
      summed,
      `
      ann - 30 1
      ann paris - 2
      ann paris 30 3
      ann paris - 4
      ann paris 31 5
      ann - 31 6
      `,
    );
    expect(table).toBe(`
ann - 30 1
ann paris - 2
ann paris 30 3
  paris 30 @3
ann paris - 4
  paris 0 @4
ann paris 31 5
  paris 31 @5
ann - 31 6
  paris 0 @6
`);
  });

  test('a row that stays travels as one record, also if groups are objects', async () => {
    const builder = new StreamsBuilder();
    builder
      .table(people, { store: 'people' })
      .groupBy(({ value }) => ({ key: { town: value.town }, value: value.age }))
      .count({ store: 'counts', emit: 'each' })
      .toStream(({ key }) => key.town ?? '', { key: string() })
      .mapValues(String)
      .to(results);
    const driver = new TopologyTestDriver(builder.build());
    for (const age of [1, 2]) {
      driver.inputTopic(people).pipe({ key: 'ann', value: { town: 'paris', age } });
    }
    // Two records would also count 0 in between.
    expect(shown(driver.outputTopic(results).readAll())).toEqual(['paris 1 @0', 'paris 1 @0']);
  });

  test.each([
    ['nothing', undefined],
    ['no key', { value: 1 }],
  ])('a mapper that returns %s ends the application', async (_, made) => {
    const builder = new StreamsBuilder();
    builder
      .table(people)
      .groupBy((() => made) as unknown as () => { key: string; value: number })
      .count();
    const driver = new TopologyTestDriver(builder.build());
    const record = { key: 'ann', value: { town: 'paris', age: 1 } };
    expect(() => driver.inputTopic(people).pipe(record)).toThrow(/has to return { key, value }/);
  });
});

describe.each(WAYS_TO_STOP)('[OP-GROUP-4] after %s at any time', (_, stop) => {
  /** Rows move between groups; each group's rows are added and taken away. */
  function topology() {
    const builder = new StreamsBuilder();
    const table = builder.table(crashInput);
    const grouped = table.groupBy(
      ({ key, value }) => ({ key: `g${value % 3}`, value: key === 'k3' ? null : value }),
      { key: string(), value: int64() },
    );
    const named =
      (kind: string) =>
      ({ key, value }: { key: string; value: number }) => ({
        key: `${kind} ${key}`,
        value: String(value),
      });
    grouped
      .count({ store: 'counts', emit: 'each' })
      .toStream()
      .map(named('count'))
      .merge(
        grouped
          .reduce(
            (sum, value) => sum + value,
            (sum, value) => sum - value,
            { store: 'sums', emit: { everyMs: 30 } },
          )
          .toStream()
          .map(named('sum')),
      )
      .to(crashOutput);
    return builder.build();
  }

  test(`groups give the same results, seed ${SEED}`, async () => {
    await sameAfterCrashes(topology, stop);
  }, 60_000);
});

test('[STREAMS-17] the types of groups follow from their functions', () => {
  const table = new StreamsBuilder().table(people);
  const grouped = table.groupBy(({ key, value }) => ({ key: value.town, value: key.length }));
  expectTypeOf(grouped).toEqualTypeOf<KGroupedTable<string, number>>();
  expectTypeOf(grouped.count()).toEqualTypeOf<KTable<string, number>>();
  const reduced = grouped.reduce(
    (sum, value) => sum + value,
    (sum, value) => (value === sum ? null : sum - value),
  );
  expectTypeOf(reduced).toEqualTypeOf<KTable<string, number | null>>();
  const lists = grouped.aggregate(
    () => [0],
    (list, { value }) => [...list, value],
    (list, { value }) => list.filter((each) => each !== value),
  );
  expectTypeOf(lists).toEqualTypeOf<KTable<string, number[]>>();
  const wrongly = (): void => {
    // @ts-expect-error -- a town may be null
    table.groupBy(({ value }) => ({ key: value.town.length, value: 1 }));
    // @ts-expect-error -- it is async
    table.groupBy(async ({ key, value }) => ({ key, value }));
    // @ts-expect-error -- the serde is of another type
    table.groupBy(({ key }) => ({ key, value: 1 }), { key: int64() });
    // @ts-expect-error -- the subtractor is missing
    grouped.reduce((sum, value) => sum + value);
    // @ts-expect-error -- the subtractor returns something else
    grouped.reduce((sum, value) => sum + value, String);
    const zero = () => 0;
    const asText = (sum: number) => `${sum}`;
    // @ts-expect-error -- the aggregate is a number
    grouped.aggregate(zero, (sum, { value }) => sum + value, asText);
    const later = async (sum: number) => sum;
    // @ts-expect-error -- it is async
    grouped.reduce(later, zero);
  };
  expect(wrongly).toBeTypeOf('function');
  const noFunction = undefined as unknown as () => number;
  expect(() => grouped.reduce((sum) => sum, noFunction)).toThrow(/subtractor/);
  expect(() => grouped.count({ stroe: 's' } as object)).toThrow(/stroe/);
  expect(() => table.groupBy(noFunction as never)).toThrow(/mapper/);
});
