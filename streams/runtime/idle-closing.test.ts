import { describe, expect, test } from 'vitest';
import { int64, string, systemClock, topic, type Log } from '../../core/index.ts';
import { sleep } from '../../core/internal.ts';
import { committedRows, makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { numbers, shown, sums, windowTable } from '../../test/kit/drive.ts';
import {
  crashMomentsOf,
  openDisk,
  triedMoments,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { untilWindowCloses } from '../dsl/suppression.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import { joinWindow } from '../topology/join-window.ts';
import type { Topology } from '../topology/topology.ts';
import {
  hoppingWindow,
  sessionWindow,
  slidingWindow,
  tumblingWindow,
  unlimitedWindow,
  type TimeWindows,
} from '../topology/windows.ts';

const closeAfterIdleMs = 20;

describe('[OP-IDLE-1] windows close when nothing has come for a while', () => {
  test('stream time goes on from where it was, to the end of what closes and no further', () => {
    const windows = tumblingWindow({ sizeMs: 10, closeAfterIdleMs });
    const table = windowTable(
      { windows, emit: 'final' },
      `a 1 0
       a 2 5
       wait 19
       b 3 6
       wait 19
       wait 1
       a 4 9
       a 5 11
       wait 100
       a 6 19
       a 7 20
       end`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
      a 2 5
      wait 19
      b 3 6
      wait 19
      wait 1
        a [0, 10) 3 @5
        b [0, 10) 3 @6
      a 4 9
      a 5 11
      wait 100
        a [10, 20) 5 @11
      a 6 19
      a 7 20
      end
        a [20, 30) 7 @20
      late: 2"
    `);
  });

  test('a window that is further off than the time that passed stays open', () => {
    const windows = tumblingWindow({ sizeMs: 100, graceMs: 10, closeAfterIdleMs });
    const table = windowTable(
      { windows, emit: 'final' },
      `a 1 50
       wait 20
       wait 39
       wait 1
       b 2 109
       b 3 100`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 50
      wait 20
      wait 39
      wait 1
        a [0, 100) 1 @50
      b 2 109
      b 3 100
      late: 0"
    `);
  });

  test('hopping windows, each at its time', () => {
    const windows = hoppingWindow({ sizeMs: 20, advanceMs: 10, closeAfterIdleMs });
    const table = windowTable(
      { windows, emit: 'final' },
      `a 1 15
       wait 20
       a 2 18
       wait 21`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 15
      wait 20
        a [0, 20) 1 @15
        a [10, 30) 1 @15
      a 2 18
      wait 21
      late: 1"
    `);
  });

  test('sessions', () => {
    const windows = sessionWindow({ gapMs: 5, graceMs: 2, closeAfterIdleMs });
    const table = windowTable(
      { windows, emit: 'final' },
      `a 1 0
       a 2 5
       b 3 6
       wait 20
       a 4 8
       b 5 30`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
      a 2 5
      b 3 6
      wait 20
        a [0, 5] 3 @5
        b [6, 6] 3 @6
      a 4 8
      b 5 30
      late: 1"
    `);
  });

  test('sliding windows', () => {
    const windows = slidingWindow({ differenceMs: 5, closeAfterIdleMs });
    const table = windowTable(
      { windows, emit: 'final' },
      `a 1 10
       a 2 12
       wait 20
       a 4 12`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 10
      a 2 12
        a [5, 10] 1 @10
      wait 20
        a [7, 12] 3 @12
        a [11, 16] 2 @12
      a 4 12
      late: 1"
    `);
  });

  test('what waits for a multiple of everyMs is passed on', () => {
    const windows = tumblingWindow({ sizeMs: 100, closeAfterIdleMs });
    const table = windowTable(
      { windows, emit: { everyMs: 10 } },
      `a 1 3
       a 2 4
       wait 20
       a 4 12
       wait 200`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 3
      a 2 4
      wait 20
        a [0, 100) 3 @4
      a 4 12
      wait 200
        a [0, 100) 7 @12
      late: 0"
    `);
  });
});

/** Final counts, behind a repartition topic if asked to. */
function finals(windows: TimeWindows, isMoved: boolean): Topology {
  const builder = new StreamsBuilder();
  const stream = builder.stream(numbers, { nullKeys: 'fail' });
  const grouped = isMoved
    ? stream.groupBy(({ key }) => key, { key: string() })
    : stream.groupByKey();
  grouped
    .windowedBy(windows)
    .count({ store: 'counts', emit: 'final' })
    .toStream()
    .map(({ key, value }) => ({ key: `${key.key}@${key.windowStartMs}`, value }))
    .to(sums);
  return builder.build();
}

test('[OP-IDLE-1] a record alone in a left or outer join is passed on', () => {
  const others = topic('others', { key: string(), value: int64() });
  const builder = new StreamsBuilder();
  const window = joinWindow({ differenceMs: 10, graceMs: 5, closeAfterIdleMs });
  builder
    .stream(numbers)
    .outerJoin(builder.stream(others), (left, right) => (left ?? 0) * 100 + (right ?? 0), {
      ...{ window, store: 'joined' },
    })
    .to(sums);
  const driver = new TopologyTestDriver(builder.build());
  driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs: 0 });
  driver.inputTopic(others).pipe({ key: 'b', value: 2, timestampMs: 3 });
  const read = (): string[] => shown(driver.outputTopic(sums).readAll());
  driver.advanceWallClock(closeAfterIdleMs - 1);
  expect(read()).toEqual([]);
  driver.advanceWallClock(1);
  expect(read()).toEqual(['a 100 @0', 'b 2 @3']);
  driver.inputTopic(others).pipe({ key: 'a', value: 3, timestampMs: 1 });
  expect(driver.metrics().droppedRecords.late + read().length).toBe(1); // and no pair
});

test('[OP-IDLE-1] a record that waits for a versioned table is joined', () => {
  const builder = new StreamsBuilder();
  const rows = topic('rows', { key: string(), value: int64() });
  const table = builder.table(rows, { versioned: { historyMs: 100 } });
  builder
    .stream(numbers)
    .join(table, (value, row) => value + row, { graceMs: 10, closeAfterIdleMs, name: 'join' })
    .to(sums);
  const driver = new TopologyTestDriver(builder.build());
  driver.inputTopic(rows).pipe({ key: 'a', value: 100, timestampMs: 1 });
  driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs: 2 });
  const read = (): string[] => shown(driver.outputTopic(sums).readAll());
  expect(read()).toEqual([]);
  driver.advanceWallClock(closeAfterIdleMs);
  expect(read()).toEqual(['a 101 @2']);
  const join = () => builder.stream(numbers).join(table, (value) => value, { closeAfterIdleMs });
  expect(join).toThrow('needs graceMs');
});

test('[OP-IDLE-1] a suppression behind the windows closes with them', () => {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers, { nullKeys: 'fail' })
    .groupByKey()
    .windowedBy(tumblingWindow({ sizeMs: 10, graceMs: 3, closeAfterIdleMs }))
    .count({ store: 'counts' })
    .suppress(untilWindowCloses(), { store: 'final' })
    .toStream()
    .map(({ key, value }) => ({ key: `${key.key}@${key.windowStartMs}`, value }))
    .to(sums);
  const driver = new TopologyTestDriver(builder.build());
  driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs: 4 });
  const read = (): string[] => shown(driver.outputTopic(sums).readAll());
  expect(read()).toEqual([]);
  driver.advanceWallClock(closeAfterIdleMs);
  expect(read()).toEqual(['a@0 1 @4']);
  driver.advanceWallClock(1_000);
  expect(read()).toEqual([]);
});

test('[OP-IDLE-2] an operator behind another one does not count the same time twice', () => {
  const builder = new StreamsBuilder();
  const again = { sizeMs: 40, closeAfterIdleMs };
  builder
    .stream(numbers, { nullKeys: 'fail' })
    .groupByKey()
    .windowedBy(tumblingWindow({ sizeMs: 10, closeAfterIdleMs }))
    .count({ store: 'first', emit: 'final' })
    .toStream(({ key }) => key.key)
    .groupByKey({ key: string(), value: int64() })
    .windowedBy(tumblingWindow(again))
    .count({ store: 'second', emit: 'final' })
    .toStream(({ key }) => `${key.key}@${key.windowStartMs}`)
    .to(sums);
  const driver = new TopologyTestDriver(builder.build());
  driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs: 5 });
  const read = (): string[] => shown(driver.outputTopic(sums).readAll());
  driver.advanceWallClock(20); // the first closes at 10; the second has waited since
  driver.advanceWallClock(15);
  expect(read()).toEqual([]);
  driver.advanceWallClock(20);
  expect(read()).toEqual(['a@0 1 @5']);
});

describe('[OP-IDLE-2] time stands still while input may come', () => {
  const windows = tumblingWindow({ sizeMs: 10, closeAfterIdleMs });

  test('an input is idle first, also behind a repartition topic', () => {
    const driver = new TopologyTestDriver(finals(windows, true), { idleTimeoutMs: 50 });
    driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs: 5 });
    const read = (): string[] => shown(driver.outputTopic(sums).readAll());
    driver.advanceWallClock(49);
    expect(read()).toEqual([]);
    driver.advanceWallClock(1); // tells the reader that this is idle
    expect(read()).toEqual([]);
    driver.advanceWallClock(50);
    expect(read()).toEqual(['a@0 1 @5']);
  });

  test('each record starts the wait over, of any key', () => {
    const driver = new TopologyTestDriver(finals(windows, false));
    for (let time = 0; time < 10; time++) {
      driver.inputTopic(numbers).pipe({ key: `k${time}`, value: 1, timestampMs: 5 });
      driver.advanceWallClock(closeAfterIdleMs - 1);
    }
    expect(driver.outputTopic(sums).readAll()).toEqual([]);
  });

  test('so it does before the first record', () => {
    const driver = new TopologyTestDriver(finals(windows, false));
    driver.advanceWallClock(1_000);
    driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs: 5 });
    expect(driver.metrics().droppedRecords.late).toBe(0);
  });
});

describe('[OP-IDLE-3] a restart', () => {
  const windows = tumblingWindow({ sizeMs: 10, closeAfterIdleMs });
  const settings = { idleTimeoutMs: 1, commitIntervalMs: 1, checkpointIntervalMs: 5 } as const;

  test.each([[false], [true]])(
    'does not open windows again that closed; moved: %s',
    async (isMoved) => {
      const log = await openTestLog();
      const run = async (count: number): Promise<number> => {
        const app = makeApp(log, finals(windows, isMoved), {
          ...{ ...settings, stateDir: temporaryDirectory() },
        });
        await app.start();
        await until(async () => (await committedRows(log, sums)).length >= count);
        await until(() => app.metrics().droppedRecords.late === count - 1);
        await app.close();
        return app.metrics().droppedRecords.late;
      };
      await produce(log, numbers, [['a', 1, 5]]);
      await run(1);
      expect(await committedRows(log, sums)).toEqual(['a@0 1 @5']);
      await produce(log, numbers, [
        ['a', 1, 6], // late
        ['b', 1, 12],
      ]);
      await run(2);
      expect(await committedRows(log, sums)).toEqual(['a@0 1 @5', 'b@10 1 @12']);
    },
  );

  const ends = ['a@0 1 @5', 'a@10 1 @15', 'a@20 1 @25', 'b@0 2 @7', 'b@20 1 @28'];

  /** Runs until the last windows have closed; they never do by a record. */
  async function runUntilIdle(log: Log, stateDir: string, isMoved: boolean): Promise<string[]> {
    const app = makeApp(log, finals(windows, isMoved), { ...settings, stateDir });
    await app.start();
    await until(async () => (await committedRows(log, sums)).length >= ends.length);
    await sleep(systemClock, 5); // a second result would come at the next look
    await app.close();
    return (await committedRows(log, sums)).sort();
  }

  describe.each([[false], [true]])('moved: %s', (isMoved) => {
    test.each(WAYS_TO_STOP)(
      `closes each window once after %s at any time, seed ${SEED}`,
      async (_, stop) => {
        const { moments } = await crashMomentsOf({
          ...{ stop, every: 17 },
          fill: (log) =>
            produce(log, numbers, [
              ['a', 1, 5],
              ['b', 1, 6],
              ['b', 1, 7],
              ['a', 1, 15],
              ['a', 1, 25],
              ['b', 1, 28],
            ]),
          work: async (log, stateDir) => {
            expect(await runUntilIdle(log, stateDir, isMoved)).toEqual(ends);
          },
        });
        expect(moments.length).toBeGreaterThan(5);
        for (const { disk, stateDir, operation } of triedMoments(moments)) {
          const log = await openDisk(disk);
          expect(await runUntilIdle(log, stateDir, isMoved), operation).toEqual(ends);
          await log.close();
        }
      },
      60_000,
    );
  });
});

test('[OP-IDLE-4] a time that makes no sense is refused', async () => {
  const of = (make: () => unknown) => codeOf((async () => make())());
  for (const bad of [0, -1, 1.5, '5' as never, Infinity]) {
    const option = { closeAfterIdleMs: bad };
    expect(await of(() => tumblingWindow({ sizeMs: 5, ...option }))).toBe('INVALID_OPTION');
    expect(await of(() => hoppingWindow({ sizeMs: 5, advanceMs: 5, ...option }))).toBe(
      'INVALID_OPTION',
    );
    expect(await of(() => sessionWindow({ gapMs: 5, ...option }))).toBe('INVALID_OPTION');
    expect(await of(() => slidingWindow({ differenceMs: 5, ...option }))).toBe('INVALID_OPTION');
    expect(await of(() => joinWindow({ differenceMs: 5, ...option }))).toBe('INVALID_OPTION');
    const given = { sizeMs: 5, advanceMs: 5, graceMs: 0, ...option };
    const grouped = new StreamsBuilder().stream(numbers, { nullKeys: 'fail' }).groupByKey();
    expect(await of(() => grouped.windowedBy(given))).toBe('INVALID_OPTION');
  }
  expect(tumblingWindow({ sizeMs: 5, closeAfterIdleMs: 7 })).toEqual({
    ...{ sizeMs: 5, advanceMs: 5, graceMs: 0, closeAfterIdleMs: 7 },
  });
  // @ts-expect-error -- an unlimited window never closes
  expect(await of(() => unlimitedWindow({ closeAfterIdleMs: 1 }))).toBe('UNKNOWN_OPTION');
});
