import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { int64, openLog, silentLogger, string, topic, type Log } from '../../core/index.ts';
import { produce, until } from '../../test/kit/app.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { Topology } from '../topology/topology.ts';
import { tumblingWindow, windowedSerde } from '../topology/windows.ts';
import { StreamsApp } from './app.ts';
import {
  decodeTimeMarker,
  encodeTimeMarker,
  UpstreamTime,
  type TimeMarker,
} from './stream-time.ts';

const PARTITIONS = 3;
const WINDOW_MS = 100;
const readings = topic('readings', { key: string(), value: int64(), partitions: PARTITIONS });
const counts = topic('counts', { key: windowedSerde(string(), WINDOW_MS), value: int64() });

/** Counts by the last digit, so that records of all partitions meet behind a repartition topic. */
function counting(): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream(readings)
    .groupBy(({ value }) => `d${value % 10}`, { key: string() })
    .windowedBy(tumblingWindow({ sizeMs: WINDOW_MS }))
    .count({ store: 'counts', emit: 'final' })
    .toStream()
    .to(counts);
  return builder.build();
}

/** Some records of one partition, in the order of their times. */
interface Chunk {
  readonly partition: number;
  readonly steps: readonly number[];
  /** Afterwards the application gets time to process it, or is restarted. */
  readonly then: 'go on' | 'wait' | 'restart';
}

const chunks = fc.array(
  fc.record<Chunk>({
    partition: fc.nat(PARTITIONS - 1),
    steps: fc.array(fc.nat(150), { minLength: 1, maxLength: 20 }),
    then: fc.constantFrom('go on', 'wait', 'wait', 'restart'),
  }),
  { minLength: 1, maxLength: 8 },
);
/** The distance in time between the partitions at the start. */
const drifts = fc.tuple(fc.nat(5_000), fc.nat(5_000), fc.nat(5_000));

test(`[STREAMS-16] no upstream task makes the records of another late, seed ${SEED}`, async () => {
  const property = fc.asyncProperty(chunks, drifts, checkNothingIsLate);
  await fc.assert(property, { seed: SEED, numRuns: 12 });
});

async function checkNothingIsLate(parts: readonly Chunk[], starts: number[]): Promise<void> {
  const log = await openLog('/data', {
    fileSystem: new MemoryFileSystem(),
    logger: silentLogger,
  });
  onTestFinished(() => log.close());
  const times = [...starts];
  const expected = new Map<string, number>();
  const late: number[] = [];
  let count = 0;
  let processed = 0; // by closed applications
  const stateDir = temporaryDirectory();
  const start = async (): Promise<StreamsApp> => {
    const app = new StreamsApp(log, counting(), {
      applicationId: 'app',
      stateDir,
      commitIntervalMs: 1,
      idleTimeoutMs: Infinity, // all will get more input
    });
    await app.start();
    return app;
  };
  const processedInputs = (app: StreamsApp): number => {
    const own = app.metrics().tasks.filter(({ taskId }) => taskId.startsWith('0_'));
    return processed + own.reduce((sum, { processedRecords }) => sum + processedRecords, 0);
  };
  let app = await start();
  for (const { partition, steps, then } of parts) {
    const rows = steps.map((step) => {
      const timestampMs = (times[partition]! += step);
      const windowStartMs = timestampMs - (timestampMs % WINDOW_MS);
      const place = `d${count % 10} ${windowStartMs}`;
      expected.set(place, (expected.get(place) ?? 0) + 1);
      return [null, count++, timestampMs, partition] as const;
    });
    await produce(log, readings, rows);
    if (then === 'go on') continue;
    if (then === 'wait') {
      await until(() => processedInputs(app) === count);
      continue;
    }
    await app.close();
    processed = processedInputs(app);
    late.push(app.metrics().droppedRecords.late);
    app = await start();
  }
  await app.finish();
  late.push(app.metrics().droppedRecords.late);
  expect(late).toEqual(late.map(() => 0));
  await expectResults(log, expected);
}

async function expectResults(log: Log, expected: ReadonlyMap<string, number>): Promise<void> {
  const results = await readTopic(log, counts, 'read_committed');
  const found = results.map(({ key, value }): [string, number] => {
    return [`${key?.key} ${key?.windowStartMs}`, value ?? NaN];
  });
  expect(new Map(found)).toEqual(expected);
  expect(found).toHaveLength(expected.size); // each once
}

const marker = (upstream: number, timeMs: number, more: Partial<TimeMarker> = {}): TimeMarker => {
  return { upstream, timeMs, isIdle: false, isEnded: false, ...more };
};

test('[STREAMS-16] time is that of the slowest that is not idle, and never goes back', () => {
  const time = new UpstreamTime(3);
  expect(time.observe(marker(0, 50))).toBe(false);
  expect(time.observe(marker(1, 70))).toBe(false);
  expect(time.timeMs).toBe(-Infinity); // no marker of the third yet
  expect(time.observe(marker(2, 60))).toBe(true);
  expect(time.timeMs).toBe(50);
  expect(time.observe(marker(0, 50, { isIdle: true }))).toBe(true);
  expect(time.timeMs).toBe(60);
  expect(time.observe(marker(0, 55))).toBe(false); // behind: does not lower the time
  expect(time.timeMs).toBe(60);
  for (const upstream of [0, 1, 2]) time.observe(marker(upstream, 40, { isIdle: true }));
  expect(time.timeMs).toBe(70); // all idle: the furthest
  expect(time.isEnded).toBe(false);
  for (const upstream of [0, 1, 2]) {
    time.observe(marker(upstream, 90, { isEnded: true }));
  }
  expect(time.isEnded).toBe(true);
});

test('[STREAMS-16] a marker decodes to its input, and user headers are no marker', () => {
  for (const timeMs of [-Infinity, 0, 1_704_067_200_000]) {
    const each = marker(7, timeMs, { isIdle: timeMs === 0, isEnded: timeMs > 0 });
    expect(decodeTimeMarker(encodeTimeMarker(each))).toEqual(each);
  }
  expect(decodeTimeMarker([])).toBeUndefined();
  expect(decodeTimeMarker([{ key: 'other', value: Buffer.alloc(14) }])).toBeUndefined();
  const short = [{ key: '__millrace.stream-time', value: Buffer.alloc(3) }];
  expect(decodeTimeMarker(short)).toBeUndefined();
});
