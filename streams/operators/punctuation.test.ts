import { describe, expect, test } from 'vitest';
import { string } from '../../core/index.ts';
import { ManualClock } from '../../core/testing/index.ts';
import {
  committedRows,
  makeApp,
  openTestLog,
  produce,
  runToEnd,
  until,
} from '../../test/kit/app.ts';
import { numbers, shown, sums } from '../../test/kit/drive.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import type { Cancellable, PunctuationType } from '../topology/processor.ts';
import { tumblingWindow } from '../topology/windows.ts';
import { driverOf, pipe, serdes, type Supplier } from './processors.suite.ts';

/** Forwards `name time` for each punctuation, as the time of the record `name`. */
function scheduling(
  plans: readonly (readonly [
    name: string,
    intervalMs: number,
    type: PunctuationType,
    startMs?: number,
  ])[],
): Supplier {
  return (context) => {
    for (const [name, intervalMs, type, startMs] of plans) {
      const options = startMs === undefined ? {} : { startMs };
      const call = (timeMs: number): void => context.forward({ key: name, value: timeMs });
      context.schedule(intervalMs, type, call, options);
    }
    return { process: ({ value }) => context.forward({ key: 'record', value }) };
  };
}

describe('[OP-PROCESS-3] a stream-time punctuation', () => {
  test('comes after the record that moved time, at once first, then on its grid', () => {
    const driver = driverOf(scheduling([['tick', 10, 'stream-time']]));
    expect(pipe(driver, [1, 3])).toEqual(['record 1 @3', 'tick 3 @3']);
    expect(pipe(driver, [2, 9], [3, 5])).toEqual(['record 2 @9', 'record 3 @5']);
    expect(pipe(driver, [4, 10])).toEqual(['record 4 @10', 'tick 10 @10']);
    expect(pipe(driver, [5, 45])).toEqual(['record 5 @45', 'tick 45 @45']); // once for 20, 30, 40
    expect(pipe(driver, [6, 49], [7, 50])).toEqual([
      ...['record 6 @49', 'record 7 @50', 'tick 50 @50'],
    ]);
    driver.advanceWallClock(1_000);
    expect(driver.outputTopic(sums).readAll()).toEqual([]);
  });

  test('counts from startMs; earliest due first, then what waits longest', () => {
    const plans = [
      ['late', 100, 'stream-time', 25],
      ['early', 10, 'stream-time', 5],
    ] as const;
    const driver = driverOf(scheduling(plans));
    expect(pipe(driver, [1, 4])).toEqual(['record 1 @4']);
    expect(pipe(driver, [2, 7])).toEqual(['record 2 @7', 'early 7 @7']);
    expect(pipe(driver, [3, 26])).toEqual(['record 3 @26', 'early 26 @26', 'late 26 @26']);
    expect(pipe(driver, [4, 124])).toEqual(['record 4 @124', 'early 124 @124']);
    expect(pipe(driver, [5, 125])).toEqual(['record 5 @125', 'late 125 @125', 'early 125 @125']);
  });

  test('may be cancelled and scheduled at any time', () => {
    const driver = driverOf((context) => {
      let ticks: Cancellable | undefined;
      return {
        process: ({ value }) => {
          context.forward({ key: 'record', value });
          if (value === 1) {
            ticks = context.schedule(10, 'stream-time', (timeMs) => {
              context.forward({ key: 'tick', value: timeMs });
              if (timeMs >= 30) ticks?.cancel();
            });
          }
          if (value === 9) ticks?.cancel();
        },
      };
    });
    expect(pipe(driver, [1, 12])).toEqual(['record 1 @12', 'tick 12 @12']);
    expect(pipe(driver, [2, 20], [3, 31], [4, 50])).toEqual([
      ...['record 2 @20', 'tick 20 @20', 'record 3 @31', 'tick 31 @31', 'record 4 @50'],
    ]);
    expect(pipe(driver, [1, 51], [9, 60])).toEqual(['record 1 @51', 'tick 51 @51', 'record 9 @60']);
  });

  test('behind a repartition topic and windows it has the time there', () => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .groupBy(() => 'all', { key: string() })
      .windowedBy(tumblingWindow({ sizeMs: 10 }))
      .count({ emit: 'final', store: 'counts' })
      .toStream()
      .map(({ value }) => ({ key: 'count', value }))
      .process(scheduling([['tick', 10, 'stream-time']]), { ...serdes, name: 'own' })
      .to(sums);
    const driver = new TopologyTestDriver(builder.build());
    expect(pipe(driver, [1, 5])).toEqual(['tick 0 @0']); // a result of time 0 may come
    expect(pipe(driver, [1, 12])).toEqual(['record 1 @5', 'tick 10 @10']);
    driver.endOfInput();
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['record 1 @12', 'tick 20 @20']);
  });

  test('continues after a restart where the last commit was', async () => {
    const builder = new StreamsBuilder();
    const supplier = scheduling([['tick', 10, 'stream-time']]);
    builder
      .stream(numbers)
      .process(supplier, { name: 'own', ...serdes })
      .to(sums);
    const log = await openTestLog();
    for (const timestampMs of [3, 8, 10, 12, 35, 39, 40]) {
      await produce(log, numbers, [['a', timestampMs, timestampMs]]);
      await runToEnd(log, builder.build(), { stateDir: temporaryDirectory() });
    }
    expect((await committedRows(log, sums)).filter((row) => row.startsWith('tick'))).toEqual([
      ...['tick 3 @3', 'tick 10 @10', 'tick 35 @35', 'tick 40 @40'],
    ]);
  });
});

describe('[OP-PROCESS-4] a wall-clock punctuation', () => {
  test('comes when the clock has moved, first after one interval', () => {
    const driver = driverOf(scheduling([['tick', 100, 'wall-clock']]), 1_005);
    const advance = (ms: number): string[] => {
      driver.advanceWallClock(ms);
      return shown(driver.outputTopic(sums).readAll());
    };
    expect(pipe(driver, [1, 5_000])).toEqual(['record 1 @5000']);
    expect(advance(99)).toEqual([]);
    expect(advance(1)).toEqual(['tick 1105 @1105']);
    expect(advance(250)).toEqual(['tick 1355 @1355']); // once for 1205 and 1305
    expect(advance(50)).toEqual(['tick 1405 @1405']);
  });

  test('counts from startMs', () => {
    const plans = [
      ['past', 100, 'wall-clock', 30],
      ['to come', 100, 'wall-clock', 1_500],
    ] as const;
    const driver = driverOf(scheduling(plans), 1_005);
    driver.advanceWallClock(24);
    expect(driver.outputTopic(sums).readAll()).toEqual([]);
    driver.advanceWallClock(1);
    driver.advanceWallClock(469);
    driver.advanceWallClock(1);
    expect(shown(driver.outputTopic(sums).readAll())).toEqual([
      ...['past 1030 @1030', 'past 1499 @1499', 'to come 1500 @1500'],
    ]);
  });

  test('is kept by commits: what fell due while the application was down comes once', async () => {
    const clock = new ManualClock(1_000);
    const log = await openTestLog();
    const builder = new StreamsBuilder();
    const supplier = scheduling([['tick', 100, 'wall-clock']]);
    builder
      .stream(numbers)
      .process(supplier, { name: 'own', ...serdes })
      .to(sums);
    const topology = builder.build();
    const rows = () => committedRows(log, sums);
    const run = async (during: () => Promise<void> | void): Promise<void> => {
      const app = makeApp(log, topology, { clock, stateDir: temporaryDirectory() });
      await app.start();
      await during();
      await until(() => app.metrics().tasks.length > 0);
      await app.close();
    };
    await run(() => undefined); // nothing but the schedule, which is committed
    clock.advance(60);
    await run(() => undefined); // still due at 1100
    clock.advance(30);
    await run(async () => {
      clock.advance(10);
      await until(async () => (await rows()).length === 1);
    });
    expect(await rows()).toEqual(['tick 1100 @1100']);
    clock.advance(250);
    await run(() => until(async () => (await rows()).length === 2));
    expect(await rows()).toEqual(['tick 1100 @1100', 'tick 1350 @1350']);
    clock.advance(49);
    await run(() => undefined);
    expect(await rows()).toHaveLength(2);
    clock.advance(1); // 1400
    await run(() => until(async () => (await rows()).length === 3));
  });
});
