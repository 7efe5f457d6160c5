import { expect, test } from 'vitest';
import {
  json,
  nodeFileSystem,
  openLog,
  silentLogger,
  string,
  topic,
  type Log,
} from '../../../core/index.ts';
import { ManualClock } from '../../../core/testing/index.ts';
import { manifestIn, readOutput } from '../../../test/kit/output.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { SinkRunner, type SinkRunnerOptions } from '../../runtime/sink-runner.ts';
import { jsonl } from '../jsonl.ts';
import { parquet } from '../parquet.ts';
import { fileSink, type FileSinkOptions } from './file-sink.ts';
import type { Manifest } from './manifest.ts';

interface Event {
  readonly id: number;
  readonly kind: string;
}
const events = topic('events', { key: string(), value: json<Event>() });
type Options = Partial<FileSinkOptions<Event, string, Event>>;

const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 0, 1);

/** Writes an event for each time, given in hours, of kind `a`, or of the kind that follows it. */
async function produce(log: Log, hours: readonly (number | readonly [number, string])[]) {
  await using producer = log.producer();
  const records = hours.map((each, id) => {
    const [hour, kind] = typeof each === 'number' ? [each, 'a'] : each;
    return { key: kind, value: { id, kind }, timestampMs: START_MS + hour * HOUR_MS };
  });
  await producer.sendAll(events, records);
}

function sinkOf(log: Log, path: string, options: Options, run: SinkRunnerOptions = {}): SinkRunner {
  const format = options.format ?? jsonl<Event>();
  return new SinkRunner(log, fileSink({ topic: events, path, ...options, format }), run);
}

/** The ids in each part, in the order of the parts. */
async function idsOf(path: string): Promise<number[][]> {
  const parts = await readOutput(nodeFileSystem, path);
  return parts.map(({ rows }) => (rows as Event[]).map(({ id }) => id));
}

async function temporaryLog(): Promise<Log> {
  return openLog(temporaryDirectory(), { logger: silentLogger });
}

/** Lets the clock go on until the manifest is as it should be. */
async function until(path: string, clock: ManualClock, isSo: (found: Manifest) => boolean) {
  for (;;) {
    const found = await manifestIn(nodeFileSystem, path);
    if (found !== undefined && isSo(found)) return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
    clock.advance(5);
  }
}

const POLICIES: readonly (readonly [string, Options, readonly (readonly number[])[]])[] = [
  [
    'records',
    { partRecords: 3 },
    [
      [0, 1, 2],
      [3, 4, 5],
      [6, 7],
    ],
  ],
  [
    'event time',
    { partEventMs: HOUR_MS },
    [
      [0, 1, 2],
      [3, 4],
      [5, 6, 7],
    ],
  ],
  ['change', { partBy: ({ value }) => value?.kind ?? null }, [[0, 1], [2, 3, 4, 5], [6], [7]]],
  [
    'the first of them',
    { partRecords: 2, partEventMs: 10 * HOUR_MS },
    [
      [0, 1],
      [2, 3],
      [4, 5],
      [6, 7],
    ],
  ],
];

test.each(POLICIES)(
  '[CONNECT-ROLL-2] parts end by %s, wherever commits come',
  async (_, options, expected) => {
    await using log = await temporaryLog();
    // The record at index 4 is late: it stays with those that it came with.
    const kinds = [
      [0, 'a'],
      [0.2, 'a'],
      [0.9, 'b'],
      [1, 'b'],
      [0.5, 'b'],
      [3, 'b'],
      [3.1, 'a'],
      [3.2, 'c'],
    ];
    await produce(log, kinds as [number, string][]);
    for (const format of [jsonl<Event>(), parquet()]) {
      for (const commitRecordsMax of [1, 3, 1000]) {
        const path = temporaryDirectory();
        await sinkOf(log, path, { ...options, format }, { commitRecordsMax }).finish();
        expect([commitRecordsMax, await idsOf(path)]).toEqual([commitRecordsMax, expected]);
      }
    }
  },
);

test('[CONNECT-ROLL-2] a restart goes on where a part was', async () => {
  const policies: readonly Options[] = [
    { partRecords: 3 },
    { partEventMs: HOUR_MS },
    { partBy: ({ key }) => key },
  ];
  for (const options of policies) {
    await using log = await temporaryLog();
    const path = temporaryDirectory();
    const hours = [
      [0, 'a'],
      [0.5, 'a'],
      [1, 'b'],
      [1.5, 'b'],
      [1.6, 'b'],
    ] as [number, string][];
    for (const each of hours) {
      await produce(log, [each]);
      const runner = sinkOf(log, path, options, { commitIntervalMs: 1 });
      void runner.run();
      while (runner.progress.committedRecords === 0) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await runner.stop();
    }
    const parts = (await manifestIn(nodeFileSystem, path))!.parts;
    expect(parts.map(({ records }) => records)).toEqual(
      options.partRecords === 3 ? [3, 2] : [2, 3],
    );
  }
});

test('[CONNECT-ROLL-3] a part ends by its age, although no record comes', async () => {
  await using log = await temporaryLog();
  const clock = new ManualClock();
  const path = temporaryDirectory();
  const options = { partMs: 600_000 };
  const run = { commitIntervalMs: 5, clock };
  await produce(log, [0, 0]);
  const first = sinkOf(log, path, options, run);
  void first.run();
  await until(path, clock, ({ parts }) => parts.length === 1);
  await first.stop();
  const before = await manifestIn(nodeFileSystem, path);
  expect(before?.parts).toMatchObject([{ records: 2, isSealed: false }]);
  // The age is kept: a restart does not begin it anew.
  clock.advance(599_000);
  const second = sinkOf(log, path, options, run);
  void second.run();
  await until(path, clock, ({ parts }) => parts[0]!.isSealed);
  expect(clock.nowMs() - before!.parts[0]!.openedMs!).toBeGreaterThanOrEqual(600_000);
  expect(clock.nowMs() - before!.parts[0]!.openedMs!).toBeLessThan(605_000);
  await produce(log, [0]);
  await until(path, clock, ({ parts }) => parts.length === 2);
  await second.finish();
  expect(await idsOf(path)).toEqual([[0, 1], [0]]);
});

test('[CONNECT-ROLL-3] a part ends when no record has come for some time', async () => {
  await using log = await temporaryLog();
  const clock = new ManualClock();
  const path = temporaryDirectory();
  await produce(log, [0]);
  const runner = sinkOf(log, path, { partIdleMs: 60_000 }, { commitIntervalMs: 5, clock });
  void runner.run();
  await until(path, clock, ({ parts }) => parts.length === 1);
  clock.advance(50_000);
  await produce(log, [0]);
  await until(path, clock, ({ parts }) => parts[0]!.records === 2);
  expect((await manifestIn(nodeFileSystem, path))?.parts[0]?.isSealed).toBe(false);
  clock.advance(50_000);
  await until(path, clock, ({ offsets }) => offsets['0'] === 2);
  expect((await manifestIn(nodeFileSystem, path))?.parts[0]?.isSealed).toBe(false);
  clock.advance(10_000);
  await until(path, clock, ({ parts }) => parts[0]!.isSealed);
  await runner.stop();
});

test('[CONNECT-ROLL-4] a file that is whole or nothing is committed when it is full', async () => {
  await using log = await temporaryLog();
  const clock = new ManualClock();
  const path = temporaryDirectory();
  const options: Options = { format: parquet(), partRecords: 4 };
  const runner = sinkOf(log, path, options, { commitRecordsMax: 1, commitIntervalMs: 5, clock });
  void runner.run();
  await produce(log, [0, 0, 0]);
  while (runner.progress.records < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(await until(path, clock, ({ offsets }) => offsets['0'] !== undefined)).toMatchObject({
    offsets: { 0: 0 },
    parts: [],
  });
  expect(runner.progress.committedRecords).toBe(0);
  await produce(log, [0, 0, 0]);
  // The offset stays with the first record that is in no file.
  expect(await until(path, clock, ({ parts }) => parts.length === 1)).toMatchObject({
    offsets: { 0: 4 },
    parts: [{ file: 'part-0-00000.parquet', firstOffset: 0, lastOffset: 3, isSealed: true }],
  });
  while (runner.progress.committedRecords === 0) await new Promise(setImmediate);
  expect(runner.progress).toMatchObject({ records: 6, committedRecords: 4 });
  // By default it does not wait longer than a minute.
  clock.advance(60_000);
  expect(await until(path, clock, ({ parts }) => parts.length === 2)).toMatchObject({
    offsets: { 0: 6 },
  });
  await produce(log, [0]);
  while (runner.progress.records < 7) await new Promise((resolve) => setTimeout(resolve, 1));
  await runner.stop();
  expect(runner.progress).toMatchObject({ records: 7, committedRecords: 7 });
  expect(await manifestIn(nodeFileSystem, path)).toMatchObject({
    complete: false,
    offsets: { 0: 7 },
    parts: [{}, {}, { records: 1, isSealed: true }],
  });
});

test('[CONNECT-ROLL-5] at the end of the input the last part is finished', async () => {
  await using log = await temporaryLog();
  await produce(log, [0, 1]);
  for (const format of [jsonl<Event>(), parquet()]) {
    const path = temporaryDirectory();
    await sinkOf(log, path, { format, partEventMs: HOUR_MS, partIdleMs: HOUR_MS }).finish();
    const { parts, complete } = (await manifestIn(nodeFileSystem, path))!;
    expect([complete, ...parts.map(({ isSealed }) => isSealed)]).toEqual([true, true, true]);
  }
});
