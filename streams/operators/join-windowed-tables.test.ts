import { describe, expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { committedRows, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { changes, changesOf } from '../../test/kit/changes.ts';
import { numbers, shown } from '../../test/kit/drive.ts';
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
import {
  hoppingWindow,
  tumblingWindow,
  unlimitedWindow,
  type TimeWindows,
  type Windowed,
} from '../topology/windows.ts';
import type { Emit } from './emit.ts';

const others = topic('others', { key: string(), value: int64() });
const windows = tumblingWindow({ sizeMs: 10, graceMs: 5 });

const paste = (left: number | undefined, right: number | undefined) =>
  `${left ?? '-'}+${right ?? '-'}`;

type Counts = KTable<Windowed<string>, number>;
type Method = 'join' | 'leftJoin' | 'outerJoin';

/** Counts of both topics in windows, joined: `key start` and the value of each change. */
function topology(method: Method, emit: Emit, left: TimeWindows = windows, right = left) {
  const builder = new StreamsBuilder();
  const counts = (input: typeof numbers, of: TimeWindows): Counts =>
    builder.stream(input).groupByKey().windowedBy(of).count({ store: input.name, emit });
  const [one, other] = [counts(numbers, left), counts(others, right)];
  const table =
    method === 'join'
      ? one.join(other, paste)
      : method === 'leftJoin'
        ? one.leftJoin(other, paste)
        : one.outerJoin(other, paste);
  changesOf(table)
    .selectKey(({ key }) => `${key.key} ${key.windowStartMs}`)
    .to(changes);
  return builder.build();
}

describe('[OP-TJOIN-4] tables of the same windows', () => {
  test('are joined window by window, as long as either may change', () => {
    const driver = new TopologyTestDriver(topology('outerJoin', 'each'), {
      idleTimeoutMs: Infinity,
    });
    const pipe = (side: typeof numbers, timestampMs: number) => {
      driver.inputTopic(side).pipe({ key: 'a', value: 0, timestampMs });
      return shown(driver.outputTopic(changes).readAll());
    };
    expect(pipe(numbers, 1)).toEqual(['a 0 ->1+- @1']);
    expect(pipe(others, 3)).toEqual(['a 0 1+->1+1 @3']);
    expect(pipe(numbers, 2)).toEqual(['a 0 1+1>2+1 @3']);
    expect(pipe(numbers, 99)).toEqual(['a 90 ->1+- @99']); // the left table has closed the first
    expect(pipe(others, 14)).toEqual(['a 10 ->-+1 @14']);
    expect(pipe(others, 9)).toEqual(['a 0 2+1>2+2 @9']); // the right one has not
    expect(pipe(others, 15)).toEqual(['a 10 -+1>-+2 @15']);
    expect(pipe(others, 9)).toEqual([]); // now it has
    expect(driver.metrics().droppedRecords.late).toBe(1);
  });

  test.each([
    ['join', 'commit', ['a 0 ->2+1 @4', 'a 20 ->1+1 @26']],
    ['join', 'final', ['a 0 ->2+1 @4', 'a 20 ->1+1 @26']],
    ['join', { everyMs: 7 }, ['a 0 ->2+1 @4', 'a 20 ->1+1 @26']],
    ['leftJoin', 'final', ['a 0 2+->2+1 @4', 'a 20 ->1+- @25', 'a 20 1+->1+1 @26']],
  ] as const)(
    '%s finds the rows of windows passed on late: emit %o',
    async (method, emit, expected) => {
      const log = await openTestLog();
      await produce(log, numbers, [
        ['a', 0, 1],
        ['a', 0, 4],
        ['a', 0, 25],
      ]);
      await produce(log, others, [
        ['a', 0, 3],
        ['a', 0, 26],
      ]);
      await runToEnd(log, topology(method, emit), { commitIntervalMs: 10_000 });
      const rows = await committedRows(log, changes);
      const last = new Map(rows.map((row) => [row.slice(0, row.indexOf('>')).split(' ')[1], row]));
      const lastExpected = new Map(
        expected.map((row) => [row.slice(0, row.indexOf('>')).split(' ')[1], row]),
      );
      const result = (row: string | undefined) => row?.slice(row.indexOf('>'));
      for (const [start, row] of lastExpected) expect(result(last.get(start))).toBe(result(row));
      expect(last.size).toBe(lastExpected.size);
    },
  );

  test('[OP-TJOIN-1] those of unlimited windows are joined as without windows', () => {
    const builder = new StreamsBuilder();
    const [one, other] = [numbers, others].map((input) =>
      builder
        .stream(input)
        .groupByKey()
        .windowedBy(unlimitedWindow({ startMs: 10 }))
        .count({ store: input.name, emit: 'each' }),
    );
    changesOf(one!.leftJoin(other!, paste))
      .selectKey(({ key }) => `${key.key} ${key.windowStartMs}`)
      .to(changes);
    const driver = new TopologyTestDriver(builder.build());
    const pipe = (side: typeof numbers, timestampMs: number) => {
      driver.inputTopic(side).pipe({ key: 'a', value: 0, timestampMs });
      return shown(driver.outputTopic(changes).readAll());
    };
    expect(pipe(numbers, 12)).toEqual(['a 10 ->1+- @12']);
    expect(pipe(others, 999_999)).toEqual(['a 10 1+->1+1 @999999']);
    expect(pipe(numbers, 11)).toEqual(['a 10 1+1>2+1 @999999']);
    const tumbling = builder.stream(numbers).groupByKey().windowedBy(windows).count();
    expect(() => one!.join(tumbling, paste)).toThrow(/same windows/);
  });

  test('tables of other windows are refused', () => {
    expect(() => topology('join', 'each', windows, tumblingWindow({ sizeMs: 20 }))).toThrow(
      /same windows.*10 ms.*20 ms/,
    );
    const hopping = hoppingWindow({ sizeMs: 10, advanceMs: 5 });
    expect(() => topology('join', 'each', windows, hopping)).toThrow(/same windows/);
    expect(() => topology('join', 'each', windows, { ...windows, graceMs: 0 })).not.toThrow();
    const builder = new StreamsBuilder();
    const counts = builder.stream(numbers).groupByKey().windowedBy(windows).count();
    const plain = builder.table(others) as unknown as Counts;
    expect(() => counts.join(plain, paste)).toThrow(/same windows/);
    expect(() => plain.join(counts, paste)).toThrow(/same windows/);
  });
});

describe.each(WAYS_TO_STOP)('[OP-TJOIN-5] windows after %s at any time', (_, stop) => {
  function crashing() {
    const builder = new StreamsBuilder();
    const stream = builder.stream(crashInput);
    const of = tumblingWindow({ sizeMs: 50, graceMs: 20 });
    const counts = (divisor: number, emit: Emit) =>
      stream
        .filter(({ value }) => value % divisor === 0)
        .groupByKey()
        .windowedBy(of)
        .count({ store: `by${divisor}`, emit });
    changesOf(counts(2, 'each').outerJoin(counts(3, 'final'), paste))
      .selectKey(({ key }) => `${key.key} ${key.windowStartMs}`)
      .to(crashOutput);
    return builder.build();
  }

  test(`joins give the same changes, seed ${SEED}`, async () => {
    await sameAfterCrashes(crashing, stop);
  }, 60_000);
});
