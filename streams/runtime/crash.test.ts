import { describe, expect, test } from 'vitest';
import { int64, string, topic, type Log } from '../../core/index.ts';
import { produce, runToEnd } from '../../test/kit/app.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import {
  crashMoments,
  kill,
  openDisk,
  powerCut,
  triedMoments,
  WAYS_TO_STOP,
  type CrashingRun,
  type Moment,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { KStream } from '../dsl/kstream.ts';
import { keyValueStore } from '../dsl/stores.ts';
import type { SessionWindowedStream } from '../dsl/session-windowed-stream.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { joinWindow } from '../topology/join-window.ts';
import type { Topology } from '../topology/topology.ts';
import {
  hoppingWindow,
  sessionWindow,
  slidingWindow,
  tumblingWindow,
  windowedSerde,
} from '../topology/windows.ts';

const RECORDS = 4_000;
const WINDOW_MS = 500;
const numbers = topic('numbers', { key: string(), value: int64(), partitions: 2 });
const sums = topic('sums', { key: string(), value: int64() });
const counts = topic('counts', { key: windowedSerde(string(), WINDOW_MS), value: int64() });

/** Running sums, and counts in windows behind a repartition topic. */
function topology(): Topology {
  const builder = new StreamsBuilder();
  const stream = builder.stream(numbers);
  stream
    .groupByKey()
    .reduce((sum, value) => sum + value, { store: 'sums' })
    .toStream()
    .to(sums);
  stream
    .groupBy(({ value }) => `v${value % 3}`, { key: string() })
    .windowedBy(tumblingWindow({ sizeMs: WINDOW_MS }))
    .count({ store: 'counts', emit: 'final' })
    .toStream()
    .to(counts);
  return builder.build();
}

function* rows(): Generator<[string, number, number]> {
  for (let index = 0; index < RECORDS; index++) yield [`k${index % 7}`, index, index];
}

const options = { commitIntervalMs: 1, checkpointIntervalMs: 5, idleTimeoutMs: Infinity } as const;

const emitted = topic('emitted', { key: string(), value: int64() });

/** Sums in a store of its own, all forwarded every 300 ms of stream time. */
function summing(builder: StreamsBuilder, stream: KStream<string | null, number>) {
  const sumOf = builder.addStore(keyValueStore('own', { key: string(), value: int64() }));
  return stream.process<string, number>(
    (context) => {
      const store = context.store(sumOf);
      context.schedule(300, 'stream-time', (timeMs) => {
        context.forward({ key: `tick ${context.partition}`, value: timeMs });
        for (const [key, value] of store.entries()) context.forward({ key: `own ${key}`, value });
      });
      return {
        process: ({ key, value, timestampMs }) => {
          store.update(key ?? '', timestampMs, (sum = 0) => sum + value);
        },
      };
    },
    { name: 'own', stores: [sumOf] },
  );
}

/** Counts whose results do not depend on commits, so that they are the same after any crash. */
function emitting(): Topology {
  const builder = new StreamsBuilder();
  const stream = builder.stream(numbers).filter(({ value }) => value % 5 === 0);
  const grouped = stream.groupByKey();
  const windows = grouped.windowedBy(tumblingWindow({ sizeMs: WINDOW_MS }));
  const emit = { everyMs: 300 };
  grouped
    .count({ store: 'each', emit: 'each' })
    .toStream()
    .map(({ key, value }) => ({ key: `each ${key}`, value }))
    .merge(
      grouped
        .count({ store: 'every', emit })
        .toStream()
        .map(({ key, value }) => ({ key: `every ${key}`, value })),
    )
    .merge(
      windows
        .count({ store: 'each-window', emit: 'each' })
        .toStream()
        .map(({ key, value }) => ({ key: `each ${key.key} ${key.windowStartMs}`, value })),
    )
    .merge(
      windows
        .count({ store: 'every-window', emit })
        .toStream()
        .map(({ key, value }) => ({ key: `every ${key.key} ${key.windowStartMs}`, value })),
    )
    .merge(summing(builder, stream))
    .to(emitted);
  return builder.build();
}

/** Sessions: a key has records for 200 ms, then none for 300. */
function sessions(): Topology {
  const windows = sessionWindow({ gapMs: 60, graceMs: 100 });
  return withEveryEmit((stream) =>
    stream
      .filter(({ value }) => value % 500 < 200)
      .groupByKey()
      .windowedBy(windows),
  );
}

function slidingWindows(): Topology {
  const windows = slidingWindow({ differenceMs: 60, graceMs: 100 });
  return withEveryEmit((stream) =>
    stream
      .filter(({ value }) => value % 5 === 0)
      .groupByKey()
      .windowedBy(windows),
  );
}

/** Hopping windows that are merged from panes. */
function panes(): Topology {
  const builder = new StreamsBuilder();
  const windows = hoppingWindow({ sizeMs: 300, advanceMs: 50, graceMs: 20 });
  const windowed = builder.stream(numbers).groupByKey().windowedBy(windows);
  const sum = (left: number, right: number): number => left + right;
  const sumsOf = windowed.reduce(sum, { store: 'summed', emit: 'final', merger: sum });
  const countsOf = windowed.count({ store: 'counted', emit: 'final' });
  const named = Object.entries({ summed: sumsOf, counted: countsOf }).map(([name, table]) =>
    table
      .toStream()
      .map(({ key, value }) => ({ key: `${name} ${key.key} ${key.windowStartMs}`, value })),
  );
  const [first, ...others] = named;
  others.reduce((merged, other) => merged.merge(other), first!).to(emitted);
  return builder.build();
}

/** Two streams into one value: with and without windows. */
function cogroups(): Topology {
  const builder = new StreamsBuilder();
  const stream = builder.stream(numbers);
  const of = (divisor: number) => stream.filter(({ value }) => value % divisor === 0).groupByKey();
  const cogrouped = of(5)
    .cogroup((sum: number, { value }) => sum + value)
    .cogroup(of(7), (sum, { value }) => (sum * 3 - value) % 1_000_003);
  const none = () => 0;
  const value = int64();
  const [tumbling, gaps] = [
    { sizeMs: 100, graceMs: 20 },
    { gapMs: 60, graceMs: 50 },
  ];
  cogrouped
    .aggregate(none, { store: 'cogrouped', emit: { everyMs: 80 }, value })
    .toStream()
    .map((record) => ({ key: `all ${record.key}`, value: record.value }))
    .merge(
      cogrouped
        .windowedBy(tumblingWindow(tumbling))
        .aggregate(none, { store: 'cogrouped-windows', emit: 'each', value })
        .toStream()
        .map(({ key, value: sum }) => ({ key: `in ${key.key} ${key.windowStartMs}`, value: sum })),
    )
    .merge(
      cogrouped
        .windowedBy(sessionWindow(gaps))
        .aggregate(none, (left, right) => left + right, {
          ...{ store: 'cogrouped-sessions', emit: 'final', value },
        })
        .toStream()
        .map(({ key, value: sum }) => ({ key: `of ${key.key} ${key.windowEndMs}`, value: sum })),
    )
    .to(emitted);
  return builder.build();
}

/** Sums of the windows with every emit whose results do not depend on commits. */
function withEveryEmit(
  windowedOf: (
    stream: KStream<string | null, number>,
  ) => Pick<SessionWindowedStream<string, number>, 'reduce'>,
): Topology {
  const builder = new StreamsBuilder();
  const windowed = windowedOf(builder.stream(numbers));
  const emits = { each: 'each', every: { everyMs: 90 }, final: 'final' } as const;
  const [each, ...others] = Object.entries(emits).map(([name, emit]) =>
    windowed
      .reduce((sum, value) => sum + value, { store: name, emit })
      .toStream()
      .map(({ key, value }) => {
        return { key: `${name} ${key.key} ${key.windowStartMs} ${key.windowEndMs}`, value };
      }),
  );
  others.reduce((merged, other) => merged.merge(other), each!).to(emitted);
  return builder.build();
}

/** Joins of every 5th with every 3rd number, some of which find no partner. */
function joining(): Topology {
  const builder = new StreamsBuilder();
  const stream = builder.stream(numbers);
  const left = stream.filter(({ value }) => value % 5 === 0);
  const right = stream.filter(({ value }) => value % 3 === 0);
  const window = joinWindow({ beforeMs: 12, afterMs: 5, graceMs: 30 });
  const add = (one: number | null = 0, other: number | null = 0) =>
    (one ?? 0) * RECORDS + (other ?? 0);
  const rows = right.toTable({ store: 'rows', versioned: { historyMs: 200 } });
  const named = (kind: string) => (record: { readonly key: string | null; value: number }) => ({
    key: `${kind} ${record.key}`,
    value: record.value,
  });
  left
    .join(right, add, { window, store: 'inner' })
    .map(named('inner'))
    .merge(left.leftJoin(right, add, { window, store: 'left' }).map(named('left')))
    .merge(left.outerJoin(right, add, { window, store: 'outer' }).map(named('outer')))
    .merge(left.join(left, add, { window, store: 'self' }).map(named('self')))
    .merge(left.leftJoin(rows, add, { graceMs: 25, name: 'grace' }).map(named('grace')))
    .to(emitted);
  return builder.build();
}

/** The results of each key, in their order. */
async function readEmitted(log: Log): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const { key, value, timestampMs } of await readTopic(log, emitted, 'read_committed')) {
    (found[key ?? ''] ??= []).push(`${value} @${timestampMs}`);
  }
  return found;
}

/** What a crash at each n-th operation of the log's disk would leave. */
async function crashOften(
  every: number,
  stop: CrashingRun['stop'],
  processingGuarantee: 'exactly_once' | 'at_least_once',
  made = topology(),
): ReturnType<typeof crashMoments> {
  const fill = (log: Log): Promise<void> => produce(log, numbers, rows());
  const settings = { ...options, processingGuarantee };
  return crashMoments({ topology: made, fill, options: settings, every, stop });
}

/** The newest sum of each key, and how often each sum occurs. */
async function readSums(log: Log): Promise<{ newest: Map<string, number>; seen: string[] }> {
  const records = await readTopic(log, sums, 'read_committed');
  return {
    newest: new Map(records.map(({ key, value }) => [key ?? '', value ?? NaN])),
    seen: records.map(({ key, value }) => `${key} ${value}`),
  };
}

async function readCounts(log: Log): Promise<[string, number][]> {
  const records = await readTopic(log, counts, 'read_committed');
  return records.map(({ key, value }) => [`${key?.key} ${key?.windowStartMs}`, value ?? NaN]);
}

function expectedSums(): Map<string, number> {
  const expected = new Map<string, number>();
  for (const [key, value] of rows()) expected.set(key, (expected.get(key) ?? 0) + value);
  return expected;
}

function expectedCounts(): Map<string, number> {
  const expected = new Map<string, number>();
  for (const [, value, timestampMs] of rows()) {
    const place = `v${value % 3} ${timestampMs - (timestampMs % WINDOW_MS)}`;
    expected.set(place, (expected.get(place) ?? 0) + 1);
  }
  return expected;
}

async function checkExactlyOnce({ disk, stateDir, operation }: Moment): Promise<void> {
  const log = await openDisk(disk);
  const app = await runToEnd(log, topology(), { ...options, stateDir });
  const { newest, seen } = await readSums(log);
  expect(newest, operation).toEqual(expectedSums());
  expect(new Set(seen).size, operation).toBe(seen.length);
  const windows = await readCounts(log);
  expect(new Map(windows), operation).toEqual(expectedCounts());
  expect(windows.length, operation).toBe(expectedCounts().size); // each window once
  expect(app.metrics().droppedRecords.late, operation).toBe(0);
  await log.close();
}

test(`[STREAMS-9] exactly_once: a power cut at any time, seed ${SEED}`, async () => {
  const { moments } = await crashOften(31, powerCut, 'exactly_once');
  expect(moments.length).toBeGreaterThan(10);
  for (const moment of triedMoments(moments)) await checkExactlyOnce(moment);
}, 60_000);

test(`[STREAMS-9] exactly_once: kill -9 at any time, seed ${SEED}`, async () => {
  const { moments } = await crashOften(37, kill, 'exactly_once');
  expect(moments.length).toBeGreaterThan(10);
  for (const moment of triedMoments(moments)) await checkExactlyOnce(moment);
}, 60_000);

describe.each([
  ['with tables', emitting],
  ['with sessions', sessions],
  ['with joins', joining],
  ['with sliding windows', slidingWindows],
  ['with panes', panes],
  ['with cogroups', cogroups],
])('%s', (_, make) => {
  test.each(WAYS_TO_STOP)(
    `[OP-EMIT-1] [OP-EMIT-2] [OP-PROCESS-3] [OP-COGROUP-1] the same after %s, seed ${SEED}`,
    async (__, stop) => {
      // Panes write little: few operations, so that a moment comes more often.
      const { log, moments } = await crashOften(43, stop, 'exactly_once', make());
      const expected = await readEmitted(log);
      expect(Object.values(expected).flat().length).toBeGreaterThan(100);
      expect(moments.length).toBeGreaterThan(5);
      for (const { disk, stateDir, operation } of triedMoments(moments)) {
        const reopened = await openDisk(disk);
        await runToEnd(reopened, make(), { ...options, stateDir });
        expect(await readEmitted(reopened), operation).toEqual(expected);
        await reopened.close();
      }
    },
    60_000,
  );
});

test(`[STREAMS-9] at_least_once: kill -9 at any time loses nothing, seed ${SEED}`, async () => {
  const guarantee = 'at_least_once';
  const { moments } = await crashOften(37, kill, guarantee);
  expect(moments.length).toBeGreaterThan(3);
  for (const { disk, stateDir, operation } of triedMoments(moments)) {
    const log = await openDisk(disk);
    await runToEnd(log, topology(), { ...options, stateDir, processingGuarantee: guarantee });
    const { newest } = await readSums(log);
    for (const [key, sum] of expectedSums()) {
      expect(newest.get(key), `${operation}: ${key}`).toBeGreaterThanOrEqual(sum);
    }
    const windows = new Map(await readCounts(log));
    for (const [place, count] of expectedCounts()) {
      expect(windows.get(place), `${operation}: ${place}`).toBeGreaterThanOrEqual(count);
    }
    await log.close();
  }
}, 60_000);
