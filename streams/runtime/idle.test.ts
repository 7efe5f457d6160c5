import { describe, expect, onTestFinished, test } from 'vitest';
import { int64, Log, silentLogger, string, systemClock, topic } from '../../core/index.ts';
import { sleep } from '../../core/internal.ts';
import { ManualClock } from '../../core/testing/index.ts';
import { committedRows, makeApp, openTestLog, produce } from '../../test/kit/app.ts';
import { numbers, sums } from '../../test/kit/drive.ts';
import { tap } from '../../test/kit/tap.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { Topology } from '../topology/topology.ts';
import { tumblingWindow } from '../topology/windows.ts';

const PARTITIONS = 16;
const wide = topic('wide', { key: string(), value: int64(), partitions: PARTITIONS });

/** Sums behind a repartition topic, and so two sub-topologies. */
function summing(): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream(wide, { nullKeys: 'fail' })
    .groupBy(({ key }) => `${key}!`, { key: string() })
    .reduce((sum, value) => sum + value, { store: 'sums', emit: 'each' })
    .toStream()
    .to(sums);
  return builder.build();
}

/**
 * A clock that goes on by a millisecond in each turn of the event loop or so: on a machine that is
 * busy with other things, time is slow.
 */
class SlowClock extends ManualClock {
  /** More where nothing is measured that an application does in the meantime. */
  tickMs = 1;
}

function slowClock(): SlowClock {
  const clock = new SlowClock();
  const ticks = setInterval(() => clock.advance(clock.tickMs), 1);
  onTestFinished(() => clearInterval(ticks));
  return clock;
}

/** Waits until `isTrue`; returns how long that took, and fails when it takes longer. */
async function within(clock: ManualClock, limitMs: number, isTrue: () => unknown): Promise<number> {
  const startMs = clock.nowMs();
  while (!(await isTrue())) {
    if (clock.nowMs() - startMs > limitMs)
      throw new TypeError(`not within ${limitMs} ms: ${String(isTrue)}`);
    await sleep(systemClock, 1);
  }
  return clock.nowMs() - startMs;
}

/** An application that has come to rest, and has just begun to wait. */
async function resting() {
  const clock = slowClock();
  const opened = await openTestLog({ clock });
  const calls = { fetch: 0, listOffsets: 0, steps: 0 };
  const api = tap(opened.api, {
    fetch: (request) => {
      calls.fetch++;
      return opened.api.fetch(request);
    },
    listOffsets: (request) => {
      calls.listOffsets++;
      return opened.api.listOffsets(request);
    },
  });
  const log = new Log(api, { clock, logger: silentLogger });
  await produce(opened, wide, [['a', 1, 0]]);
  const app = makeApp(log, summing(), {
    ...{ clock, stateDir: temporaryDirectory() },
    onStep: () => (calls.steps += 1),
  });
  await app.start();
  await within(clock, 5_000, async () => (await committedRows(opened, sums)).length > 0);
  const untilLook = (): Promise<number> => {
    const before = calls.listOffsets;
    return within(clock, 5_000, () => calls.listOffsets > before);
  };
  clock.tickMs = 5;
  // Idle, and not only slow once.
  for (let idle = 0; idle < 3;) idle = (await untilLook()) < 800 ? 0 : idle + 1;
  clock.tickMs = 1;
  return { clock, app, log: opened, calls };
}

/** Far below the longest wait of an idle application, which is 1 s. */
const SOON_MS = 300;

describe('[RT-IDLE-1] an idle application', () => {
  test('looks about once a second, whatever its number of partitions', async () => {
    const { clock, app, calls } = await resting();
    Object.assign(calls, { fetch: 0, listOffsets: 0 });
    const startMs = clock.nowMs();
    await within(clock, 6_000, () => clock.nowMs() - startMs >= 5_000);
    expect(app.metrics().tasks).toHaveLength(2 * PARTITIONS);
    expect(calls.listOffsets).toBeGreaterThanOrEqual(4);
    expect(calls.listOffsets).toBeLessThanOrEqual(6);
    expect(calls.fetch).toBeLessThanOrEqual(12);
  }, 60_000);

  test('processes what comes as soon as a busy one', async () => {
    const { clock, log } = await resting();
    await produce(log, wide, [['a', 2, 1]]);
    await within(clock, SOON_MS, async () => (await committedRows(log, sums)).length === 2);
    expect(await committedRows(log, sums)).toEqual(['a! 1 @0', 'a! 3 @1']);
  }, 60_000);

  test('answers the first query, which needs a commit', async () => {
    const { clock, app } = await resting();
    let found: unknown;
    void app
      .store('sums')
      .get('a!')
      .then((value) => (found = value));
    await within(clock, SOON_MS, () => found !== undefined);
    expect(found).toBe(1);
  }, 60_000);

  test('pauses, is queried while it is paused, and goes on', async () => {
    const { clock, app, log } = await resting();
    let isPaused = false;
    void app.pause().then(() => (isPaused = true));
    await within(clock, SOON_MS, () => isPaused);
    let found: unknown;
    void app
      .store('sums')
      .get('a!')
      .then((value) => (found = value));
    await within(clock, SOON_MS, () => found === 1);
    await produce(log, wide, [['a', 2, 1]]);
    app.resume();
    await within(clock, SOON_MS, async () => (await committedRows(log, sums)).length === 2);
  }, 60_000);

  test.each(['close', 'finish'] as const)(
    'follows %s',
    async (method) => {
      const { clock, app, calls } = await resting();
      const before = calls.fetch + calls.steps;
      const done = app[method]();
      await within(clock, SOON_MS, () => calls.fetch + calls.steps > before);
      await done; // after commits and checkpoints, which take as long as the disk does
      expect(app.state).toBe('NOT_RUNNING');
    },
    60_000,
  );
});

describe('[RT-IDLE-2] an idle application acts when something is due', () => {
  test('a punctuation by the wall clock', async () => {
    const clock = slowClock();
    const log = await openTestLog({ clock });
    const builder = new StreamsBuilder();
    const times: number[] = [];
    builder.stream(numbers, { nullKeys: 'fail' }).process((context) => {
      context.schedule(250, 'wall-clock', (timeMs) => void times.push(timeMs));
      return { process: () => undefined };
    });
    await makeApp(log, builder.build(), { clock }).start();
    const startMs = clock.nowMs();
    await within(clock, 3_000, () => clock.nowMs() - startMs >= 2_000);
    expect(times.length).toBeGreaterThanOrEqual(7);
    const gaps = times.slice(1).map((timeMs, index) => timeMs - times[index]!);
    expect(Math.max(...gaps)).toBeLessThan(300);
  }, 60_000);

  test('a window that closes because nothing has come', async () => {
    const clock = slowClock();
    const log = await openTestLog({ clock });
    const builder = new StreamsBuilder();
    builder
      .stream(numbers, { nullKeys: 'fail' })
      .groupByKey()
      .windowedBy(tumblingWindow({ sizeMs: 10, closeAfterIdleMs: 1_730 }))
      .count({ emit: 'final' })
      .toStream(({ key }) => key.key)
      .to(sums);
    const app = makeApp(log, builder.build(), { clock, idleTimeoutMs: 350 });
    await app.start();
    await produce(log, numbers, [['a', 1, 5]]);
    const ms = await within(clock, 5_000, async () => (await committedRows(log, sums)).length > 0);
    expect(ms).toBeGreaterThanOrEqual(1_700); // it was noticed while `produce` returned
    expect(ms).toBeLessThan(1_730 + SOON_MS);
  }, 60_000);
});
