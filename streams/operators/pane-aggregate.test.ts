import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { int64, json, string, topic, type Serde, type Topic } from '../../core/index.ts';
import { committedRows, makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { numbers, windowTable } from '../../test/kit/drive.ts';
import { ownTopology } from '../../test/kit/graph.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { windowStore } from '../dsl/stores.ts';
import { windowStore as windowHandle } from '../state/window-store.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import type { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { hoppingWindow, type TimeWindows, type Windowed } from '../topology/windows.ts';
import { copying } from '../state/copying.ts';
import { havePanes, paneAggregate } from './pane-aggregate.ts';
import { windowedAggregate } from './windowed-aggregate.ts';

const lines = topic('lines', { key: string(), value: string() });

test('[OP-PANE-1] a hopping window is merged from panes; the store has one value for each', () => {
  const windows = hoppingWindow({ sizeMs: 30, advanceMs: 10 });
  const driver = driverOf(summing(windows, true, string()), numbers);
  const pipe = (value: number, timestampMs: number) => {
    driver.inputTopic(numbers).pipe({ key: 'a', value, timestampMs });
    const results = driver.outputTopic(lines).readAll();
    return results.map(({ key, value: sum, timestampMs: at }) => `${key} ${sum} @${at}`);
  };
  expect([pipe(1, 5), pipe(2, 12), pipe(4, 8), pipe(8, 29)]).toEqual([[], [], [], []]);
  const panes = driver.store(windowStore<string, Total>('sums'));
  const values = panes.windowStarts().map((paneMs) => [paneMs, panes.get('a', paneMs)?.sum]);
  expect(values).toEqual([
    [0, 5],
    [10, 2],
    [20, 8],
  ]);
  expect(pipe(16, 41)).toEqual(['a [0, 30) 15 @29', 'a [10, 40) 10 @29']);
  expect(panes.windowStarts()).toEqual([20, 40]);
});

test('[OP-PANE-1] results are those of windows, also of late records', () => {
  const table = windowTable(
    { windows: hoppingWindow({ sizeMs: 10, advanceMs: 5, graceMs: 1 }), emit: 'final' },
    `a 1 12
     a 2 16
     a 4 14
     a 8 9
     end`,
  );
  const windows = hoppingWindow({ sizeMs: 10, advanceMs: 5, graceMs: 1 });
  const made = run(
    summing(windows, true, string()),
    [12, 16, 14, 9].map((timestampMs, index) => ({ key: 'a', value: 2 ** index, timestampMs })),
    string(),
  );
  expect(made).toEqual([
    ...['after 0', 'a [5, 15) 1 @12', 'after 1', 'after 2', 'after 3'],
    ...['a [10, 20) 7 @16', 'a [15, 25) 2 @16', 'end', 'late: 2'],
  ]);
  for (const line of ['a [5, 15) 1 @12', 'a [10, 20) 7 @16', 'a [15, 25) 2 @16', 'late: 2']) {
    expect(table).toContain(line);
  }
});

interface Row<K> {
  readonly key: K;
  readonly value: number;
  readonly timestampMs: number;
}

/** Sums in objects, which functions change in place. */
interface Total {
  sum: number;
}

const total = json<Total>();
const addTo = (before: Total | undefined, { value }: StreamRecord<unknown, number>): Total => {
  const sum = before ?? { sum: 0 };
  sum.sum += value;
  return sum;
};

/** Sums of windows, with panes or without. */
function summing<K>(
  windows: TimeWindows,
  hasPanes: boolean,
  key: Serde<K>,
  keptMax?: number,
): Operator<K, number, Windowed<K>, Change<Total>> {
  const common = { kind: 'aggregate', store: 'sums', windows, add: addTo } as const;
  if (!hasPanes) return windowedAggregate<K, number, Total>({ ...common, emit: 'final' });
  return paneAggregate<K, number, Total>({
    ...common,
    combine: (left, right) => {
      left.sum += right.sum; // in place
      return left;
    },
    copy: copying(total) as (value: Total) => Total,
    key,
    ...(keptMax !== undefined && { keptMax }),
  });
}

const asText: Operator<Windowed<unknown>, Change<Total>, string, string> = {
  kind: 'as-text',
  changesKey: true,
  start: (forward) => ({
    process: (record) => {
      const { key, windowStartMs, windowEndMs } = record.key;
      const name = typeof key === 'string' ? key : JSON.stringify(key);
      const { newValue } = record.value;
      const value = `[${windowStartMs}, ${windowEndMs}) ${newValue?.sum}`;
      if (newValue !== null) newValue.sum = -1; // whoever changes a result changes nothing else
      forward(record.withKeyValue(name, value));
    },
  }),
};

/** Runs an operator, whose store can be read as it is. */
function driverOf<K>(
  operator: Operator<K, number, Windowed<K>, Change<Total>>,
  input: Topic<K, number>,
): TopologyTestDriver {
  const expiry = { lifeMs: 1_000_000, node: 'sum' };
  const spec = { key: input.key, value: total, backing: 'changelog', expiry } as const;
  const topology = ownTopology({
    ...{ input, output: lines, stores: [{ ...windowHandle('sums'), ...spec }] },
    nodes: [
      { name: 'sum', operator, stores: ['sums'] },
      { name: 'text', parent: 'sum', operator: asText, stores: [] },
    ],
  });
  return new TopologyTestDriver(topology);
}

/** What comes out after each record and at the end, and how many records were late. */
function run<K>(
  operator: Operator<K, number, Windowed<K>, Change<Total>>,
  rows: readonly Row<K>[],
  key: Serde<K>,
): string[] {
  const input = topic('in', { key, value: int64() });
  const driver = driverOf(operator, input);
  const found: string[] = [];
  const read = (): void => {
    for (const { key: name, value, timestampMs } of driver.outputTopic(lines).readAll()) {
      found.push(`${name} ${value} @${timestampMs}`);
    }
  };
  for (const [index, row] of rows.entries()) {
    driver.inputTopic(input).pipe(row);
    read();
    found.push(`after ${index}`);
  }
  driver.endOfInput();
  read();
  return [...found, 'end', `late: ${driver.metrics().droppedRecords.late}`];
}

const windowTimes = fc
  .record({
    panes: fc.integer({ min: 2, max: 9 }),
    advanceMs: fc.integer({ min: 1, max: 6 }),
    graceMs: fc.constantFrom(0, 1, 7, 40),
  })
  .map(({ panes, advanceMs, graceMs }) => ({ sizeMs: panes * advanceMs, advanceMs, graceMs }));

/** Records of a few keys whose time moves on, with some out of order and some jumps. */
const rowsOf = <K>(keys: fc.Arbitrary<K>): fc.Arbitrary<Row<K>[]> =>
  fc
    .array(
      fc.record({
        key: keys,
        value: fc.integer({ min: 1, max: 9 }),
        step: fc.oneof(
          { weight: 12, arbitrary: fc.integer({ min: 0, max: 4 }) },
          { weight: 3, arbitrary: fc.integer({ min: -30, max: 0 }) },
          { weight: 1, arbitrary: fc.integer({ min: 5, max: 120 }) },
        ),
      }),
      { maxLength: 60, size: 'max' },
    )
    .map((list) => {
      let nowMs = 0;
      return list.map(({ step, ...row }) => {
        const timestampMs = Math.max(0, nowMs + step);
        nowMs = Math.max(nowMs, timestampMs);
        return { ...row, timestampMs };
      });
    });

describe('[OP-PANE-2] results, their order, times and drops are those without panes', () => {
  test(`with names as keys, seed ${SEED}`, () => {
    const rows = rowsOf(fc.constantFrom('a', 'b', 'ä', 'aa'));
    const property = fc.property(windowTimes, rows, (windows, input) => {
      const expected = run(summing(windows, false, string()), input, string());
      expect(run(summing(windows, true, string()), input, string())).toEqual(expected);
    });
    fc.assert(property, { seed: SEED, numRuns: 400 });
  });

  test(`with few values kept, seed ${SEED}`, () => {
    const rows = rowsOf(fc.constantFrom('a', 'b', 'c'));
    const keptMax = fc.integer({ min: 0, max: 12 });
    const property = fc.property(windowTimes, rows, keptMax, (windows, input, max) => {
      const expected = run(summing(windows, false, string()), input, string());
      expect(run(summing(windows, true, string(), max), input, string())).toEqual(expected);
    });
    fc.assert(property, { seed: SEED, numRuns: 200 });
  });

  test(`with objects as keys, seed ${SEED}`, () => {
    const rows = rowsOf(fc.constantFrom({ x: 1 }, { x: 2 }));
    const key = json<{ x: number }>();
    const property = fc.property(windowTimes, rows, (windows, input) => {
      const expected = run(summing(windows, false, key), input, key);
      expect(run(summing(windows, true, key), input, key)).toEqual(expected);
    });
    fc.assert(property, { seed: SEED, numRuns: 100 });
  });

  test.each([
    ['from its changelogs', true],
    ['from its checkpoint', false],
  ])('after restarts %s', async (_, isLost) => {
    const log = await openTestLog();
    const kept = temporaryDirectory();
    const windows = hoppingWindow({ sizeMs: 40, advanceMs: 10, graceMs: 5 });
    const builder = new StreamsBuilder();
    const windowed = builder.stream(numbers).groupByKey().windowedBy(windows);
    const emit = 'final';
    const sum = (left: number, right: number): number => left + right;
    const panes = windowed.reduce(sum, { store: 'panes', emit, merger: sum });
    const plain = windowed.reduce(sum, { store: 'plain', emit });
    for (const [name, table] of Object.entries({ panes, plain })) {
      table
        .toStream()
        .map(({ key: { key, windowStartMs }, value }) => {
          return { key: name, value: `${key} ${windowStartMs} ${value}` };
        })
        .to(lines);
    }
    for (let index = 0; index < 40; index += 4) {
      const rows = Array.from({ length: 4 }, (__, offset): [string, number, number] => {
        const at = index + offset;
        return [`k${at % 3}`, at, at * 7 - (at % 5) * 9 + 36];
      });
      await produce(log, numbers, rows);
      const stateDir = isLost ? temporaryDirectory() : kept;
      const app = makeApp(log, builder.build(), { stateDir, cacheEntriesMax: 1 });
      await app.start();
      await until(() => app.metrics().processedRecords === rows.length);
      await app.close();
    }
    const rows = await committedRows(log, lines);
    const of = (name: string) =>
      rows.filter((row) => row.startsWith(name)).map((row) => row.slice(name.length));
    expect(of('panes').length).toBeGreaterThan(40);
    expect(of('panes')).toEqual(of('plain'));
  });
});

test('[OP-PANE-3] only overlapping windows of whole panes have them', () => {
  expect(havePanes({ sizeMs: 60, advanceMs: 1, graceMs: 0 })).toBe(true);
  expect(havePanes({ sizeMs: 60, advanceMs: 60, graceMs: 0 })).toBe(false);
  expect(havePanes({ sizeMs: 60, advanceMs: 7, graceMs: 0 })).toBe(false);
});

describe('[OP-PANE-4] an aggregation with a merger', () => {
  const windows = hoppingWindow({ sizeMs: 20, advanceMs: 10 });
  const windowed = () => new StreamsBuilder().stream(numbers).groupByKey().windowedBy(windows);
  const zero = () => 0;

  test.each([
    ['adder', () => null, (left: number) => left],
    ['merger', (sum: number) => sum + 1, () => null],
  ] as const)('cannot delete: its %s returns nothing', (what, adder, merger) => {
    const builder = new StreamsBuilder();
    const grouped = builder.stream(numbers).groupByKey();
    grouped
      .windowedBy(windows)
      .aggregate(zero, adder as () => number, { emit: 'final', merger: merger as () => number })
      .toStream();
    const driver = new TopologyTestDriver(builder.build());
    const pipe = () => {
      for (const timestampMs of [5, 15, 50]) {
        driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs });
      }
    };
    expect(pipe).toThrow(new RegExp(`its ${what} returned nothing`));
  });

  test('is checked when the topology is built', () => {
    const wrongly = (): void => {
      // @ts-expect-error -- it is async
      windowed().reduce((sum, value) => sum + value, { merger: async (left: number) => left });
      // @ts-expect-error -- another type
      windowed().aggregate(zero, (sum) => sum, { merger: (left: string) => left });
      // @ts-expect-error -- nothing may be deleted
      windowed().aggregate(zero, () => null, { merger: (left: number) => left });
      // @ts-expect-error -- counts merge by themselves
      windowed().count({ merger: (left: number) => left });
    };
    expect(wrongly).toBeTypeOf('function');
    const options = { merger: async () => 1 } as object;
    expect(() => windowed().reduce((sum) => sum, options)).toThrow(/merger is async/);
    expect(() => windowed().reduce((sum) => sum, { merger: 5 } as object)).toThrow(/merger must/);
    expect(() => windowed().count({ merger: zero } as object)).toThrow(/no option merger/);
  });
});
