import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import { numbers, windowTable } from '../../test/kit/drive.ts';
import { ownTopology } from '../../test/kit/graph.ts';
import { SEED } from '../../test/kit/seed.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { sessionStoreSpec } from '../state/session-store.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import type { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import {
  slidingWindow,
  windowedSerde,
  type SlidingWindows,
  type Windowed,
} from '../topology/windows.ts';
import { heldStoreSpec, storesFor, type Emit } from './emit.ts';
import { slidingAggregate, slidingLifeMs } from './sliding-aggregate.ts';

describe('[OP-SLIDING-1] sliding windows', () => {
  // The picture of Kafka's documentation: a difference of five seconds.
  test('are those of the documentation of Kafka Streams', () => {
    const windows = slidingWindow({ differenceMs: 5000, graceMs: 60_000 });
    const table = windowTable(
      { windows, emit: 'final' },
      `a 1 8000
       a 2 9200
       a 4 12400
       end`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 8000
      a 2 9200
      a 4 12400
      end
        a [3000, 8000] 1 @8000
        a [4200, 9200] 3 @9200
        a [7400, 12400] 7 @12400
        a [8001, 13001] 6 @12400
        a [9201, 14201] 4 @12400
      late: 0"
    `);
  });

  test('before 1970 are one, from there on', () => {
    const windows = slidingWindow({ differenceMs: 10, graceMs: 100 });
    const table = windowTable(
      { windows, emit: 'each' },
      `a 1 0
       a 2 5
       a 4 3
       a 8 10
       a 16 3`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
        a [0, 10] 1 @0
      a 2 5
        a [1, 11] 2 @5
        a [0, 10] 3 @5
      a 4 3
        a [1, 11] 6 @5
        a [4, 14] 2 @5
        a [0, 10] 7 @5
      a 8 10
        a [4, 14] 10 @10
        a [1, 11] 14 @10
        a [0, 10] 15 @10
        a [6, 16] 8 @10
      a 16 3
        a [1, 11] 30 @10
        a [0, 10] 31 @10
      late: 0"
    `);
  });
});

describe('[OP-SLIDING-2] each', () => {
  test('a record changes its windows from the newest on, then makes what is missing', () => {
    const windows = slidingWindow({ differenceMs: 10, graceMs: 100 });
    const table = windowTable(
      { windows, emit: 'each' },
      `a 1 20
       a 2 25
       b 4 24
       a 8 25
       a 16 35
       a 32 22
       a 64 60`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 20
        a [10, 20] 1 @20
      a 2 25
        a [21, 31] 2 @25
        a [15, 25] 3 @25
      b 4 24
        b [14, 24] 4 @24
      a 8 25
        a [21, 31] 10 @25
        a [15, 25] 11 @25
      a 16 35
        a [26, 36] 16 @35
        a [25, 35] 26 @35
      a 32 22
        a [21, 31] 42 @25
        a [15, 25] 43 @25
        a [12, 22] 33 @22
        a [23, 33] 10 @25
      a 64 60
        a [50, 60] 64 @60
      late: 0"
    `);
  });

  test('a result has the headers of its record', () => {
    const out = topic('out', { key: windowedSerde(string(), 10), value: int64() });
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .groupByKey()
      .windowedBy(slidingWindow({ differenceMs: 10 }))
      .count({ emit: 'each' })
      .toStream()
      .to(out);
    const driver = new TopologyTestDriver(builder.build());
    const headers = [{ key: 'trace', value: Buffer.from('7') }];
    driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs: 15, headers });
    expect(driver.outputTopic(out).read()?.headers).toEqual(headers);
  });
});

test('[OP-SLIDING-3] closed windows take no records, open ones do', () => {
  const table = windowTable(
    { windows: slidingWindow({ differenceMs: 10, graceMs: 5 }), emit: 'each' },
    `a 1 20
     b 2 40
     a 4 24
     a 8 25
     a 16 36
     null 2 41
     a null 42`,
  );
  expect(table).toMatchInlineSnapshot(`
    "a 1 20
      a [10, 20] 1 @20
    b 2 40
      b [30, 40] 2 @40
    a 4 24
    a 8 25
    a 16 36
      a [26, 36] 16 @36
    null 2 41
    a null 42
    late: 2"
  `);
});

test('[OP-SLIDING-4] final: a window has one result when it has closed, by end and key', () => {
  const table = windowTable(
    { windows: slidingWindow({ differenceMs: 10, graceMs: 2 }), emit: 'final' },
    `b 1 20
     a 2 20
     a 4 22
     a 8 23
     a 16 33
     b 32 36
     end`,
  );
  expect(table).toMatchInlineSnapshot(`
    "b 1 20
    a 2 20
    a 4 22
    a 8 23
      a [10, 20] 2 @20
      b [10, 20] 1 @20
    a 16 33
      a [12, 22] 6 @22
      a [13, 23] 14 @23
    b 32 36
      a [21, 31] 12 @23
      a [23, 33] 24 @33
    end
      a [24, 34] 16 @33
      b [26, 36] 32 @36
    late: 0"
  `);
});

test('[OP-EMIT-2] everyMs: windows wait, those that close pass on what waits', () => {
  const table = windowTable(
    { windows: slidingWindow({ differenceMs: 10 }), emit: { everyMs: 25 } },
    `a 1 20
     a 2 21
     a 4 26
     a 8 40
     a 16 51
     end`,
  );
  expect(table).toMatchInlineSnapshot(`
    "a 1 20
    a 2 21
      a [10, 20] 1 @20
    a 4 26
      a [21, 31] 2 @21
      a [11, 21] 3 @21
    a 8 40
      a [16, 26] 7 @26
      a [21, 31] 6 @26
      a [22, 32] 4 @26
    a 16 51
      a [30, 40] 8 @40
    end
      a [41, 51] 16 @51
    late: 0"
  `);
});

/** An input record. */
interface Row {
  readonly key: string;
  readonly value: number;
  readonly timestampMs: number;
}

const input = fc.array(
  fc.record({
    key: fc.constantFrom('a', 'b'),
    value: fc.integer({ min: 1, max: 9 }),
    timestampMs: fc.integer({ min: 0, max: 80 }),
  }),
  { maxLength: 30 },
);
const times = fc.record({
  differenceMs: fc.integer({ min: 1, max: 15 }),
  graceMs: fc.constantFrom(0, 1, 10, 200),
});

/**
 * The windows and their sums if no record is late: for each record its left window and, if there
 * are records in it, its right one.
 */
function expectedWindows({ differenceMs }: SlidingWindows, rows: readonly Row[]): string[] {
  const windows = new Map<string, number>();
  const add = (key: string, startMs: number): void => {
    const inside = rows.filter(
      (row) =>
        row.key === key && row.timestampMs >= startMs && row.timestampMs <= startMs + differenceMs,
    );
    if (inside.length === 0) return;
    windows.set(
      `${key} ${startMs}`,
      inside.reduce((sum, { value }) => sum + value, 0),
    );
  };
  for (const { key, timestampMs } of rows) {
    add(key, Math.max(0, timestampMs - differenceMs));
    add(key, timestampMs + 1);
  }
  return [...windows].map(([window, sum]) => `${window} ${sum}`).sort();
}

test(`[OP-SLIDING-1] equal a straight computation if nothing is late, seed ${SEED}`, () => {
  const emits: Emit[] = ['each', 'commit', 'final', { everyMs: 7 }];
  const property = fc.property(times, input, fc.constantFrom(...emits), (given, rows, emit) => {
    const windows = slidingWindow({ ...given, graceMs: 1000 });
    const driver = driverOf(windows, emit);
    driver.inputTopic(numbers).pipeAll(rows);
    driver.endOfInput();
    const found = driver.outputTopic(outOf(windows)).readAll();
    const rest = new Map<string, number | null>();
    let lastEndMs = -Infinity;
    for (const { key, value } of found) {
      rest.set(`${key?.key} ${key?.windowStartMs}`, value);
      if (emit !== 'final') continue;
      expect(key!.windowEndMs).toBeGreaterThanOrEqual(lastEndMs);
      lastEndMs = key!.windowEndMs;
    }
    const shown = [...rest].map(([window, value]) => `${window} ${value}`).sort();
    expect(shown).toEqual(expectedWindows(windows, rows));
    if (emit === 'final') expect(found).toHaveLength(rest.size);
    expect(driver.metrics().droppedRecords.late).toBe(0);
  });
  fc.assert(property, { seed: SEED, numRuns: 300 });
});

test(`[OP-SLIDING-3] the last result of a window does not depend on emit, seed ${SEED}`, () => {
  const property = fc.property(times, input, (given, rows) => {
    const windows = slidingWindow(given);
    const resultsOf = (emit: Emit): string[] => {
      const driver = driverOf(windows, emit);
      driver.inputTopic(numbers).pipeAll(rows);
      driver.endOfInput();
      const last = new Map<string, string>();
      for (const { key, value, timestampMs } of driver.outputTopic(outOf(windows)).readAll()) {
        last.set(`${key?.key} ${key?.windowStartMs}`, `${value} @${timestampMs}`);
      }
      const late = driver.metrics().droppedRecords.late;
      return [...[...last].map((each) => each.join(' ')).sort(), `late ${late}`];
    };
    const each = resultsOf('each');
    for (const emit of ['commit', 'final', { everyMs: 9 }] as const) {
      expect(resultsOf(emit)).toEqual(each);
    }
    // Without grace, what is in order is in no closed window.
    const inOrder = [...rows].sort((a, b) => a.timestampMs - b.timestampMs);
    const driver = driverOf(windows, 'commit');
    driver.inputTopic(numbers).pipeAll(inOrder);
    const last = new Map<string, number | null>();
    for (const { key, value } of driver.outputTopic(outOf(windows)).readAll()) {
      last.set(`${key?.key} ${key?.windowStartMs}`, value);
    }
    const sums = [...last].map(([window, sum]) => `${window} ${sum}`).sort();
    expect(sums).toEqual(expectedWindows(windows, rows));
  });
  fc.assert(property, { seed: SEED, numRuns: 150 });
});

const outOf = ({ differenceMs }: SlidingWindows) =>
  topic('out', { key: windowedSerde(string(), differenceMs), value: int64() });

function driverOf(windows: SlidingWindows, emit: Emit): TopologyTestDriver {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers)
    .groupByKey()
    .windowedBy(windows)
    .reduce((sum, value) => sum + value, { emit })
    .toStream()
    .to(outOf(windows));
  return new TopologyTestDriver(builder.build());
}

const lines = topic('lines', { key: string(), value: string() });

/** Forwards `old>new` of each change. */
const oldAndNew: Operator<Windowed<string>, Change<{ sum: number }>, string, string> = {
  kind: 'old-and-new',
  changesKey: true,
  oldValues: 'needed',
  start: (forward) => ({
    process: (record) => {
      const { key, windowStartMs } = record.key;
      const [before, after] = [record.value.oldValue, record.value.newValue];
      const text = `${before?.sum ?? '-'}>${after?.sum ?? '-'}`;
      forward(record.withKeyValue(`${key} ${windowStartMs}`, text));
    },
  }),
};

test(`[OP-SLIDING-5] aggregates in place, with old values, seed ${SEED}`, () => {
  const emits: Emit[] = ['each', 'commit', { everyMs: 7 }];
  const property = fc.property(times, input, fc.constantFrom(...emits), (given, rows, emit) => {
    const windows = slidingWindow({ ...given, graceMs: 1000 });
    const [store, node, value] = ['sums', 'sum', json<{ sum: number }>()];
    const summing = slidingAggregate<string, number, { sum: number }>({
      ...{ kind: 'aggregate', store, windows, emit },
      add: (total = { sum: 0 }, { value: number }) => {
        total.sum += number; // in place: windows must not share it
        return total;
      },
    });
    const life = { reachMs: windows.differenceMs, lifeMs: slidingLifeMs(windows) };
    const key = windowedSerde(string(), windows.differenceMs);
    const held = typeof emit === 'object' ? [heldStoreSpec({ store, node, key, value })] : [];
    const topology = ownTopology({
      ...{ input: numbers, output: lines },
      stores: [sessionStoreSpec({ store, node, key: string(), value, ...life }), ...held],
      nodes: [
        { name: node, operator: summing, stores: storesFor(store, emit) },
        { name: 'show', parent: node, operator: oldAndNew, stores: [] },
      ],
    });
    const driver = new TopologyTestDriver(topology);
    driver.inputTopic(numbers).pipeAll(rows);
    driver.endOfInput();
    const last = new Map<string | null, string>();
    for (const { key: window, value: change } of driver.outputTopic(lines).readAll()) {
      const [before, after = ''] = change?.split('>') ?? [];
      expect(before, `${window} ${change}`).toBe(last.get(window) ?? '-');
      last.set(window, after);
    }
    const shown = [...last].map(([window, sum]) => `${window} ${sum}`).sort();
    expect(shown).toEqual(expectedWindows(windows, rows));
  });
  fc.assert(property, { seed: SEED, numRuns: 300 });
});
