import { rmSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { int64, string, topic, type Log } from '../../core/index.ts';
import { committedRows, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { ownTopology } from '../../test/kit/graph.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { KGroupedStream } from '../dsl/kgrouped-stream.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import { resultRecord } from '../operators/results.ts';
import { windowStore } from '../state/window-store.ts';
import type { Operator } from '../topology/operator.ts';
import type { StoreSpec } from '../topology/store.ts';
import type { Topology } from '../topology/topology.ts';
import { tumblingWindow } from '../topology/windows.ts';

const WINDOW_MS = 10;
const numbers = topic('numbers', { key: string(), value: int64() });
const results = topic('results', { key: string(), value: int64() });
const node = 'operator; a=b, c'; // any text can be the name of a node

const windowSpec = (name: string): StoreSpec<string, number> => ({
  ...windowStore<string, number>(name),
  key: string(),
  value: int64(),
  backing: 'changelog',
  expiry: { lifeMs: WINDOW_MS, node },
});

/** Keeps odd and even numbers in windows of two stores, and forwards them when a window closes. */
const twoStores: Operator<string, number, string, number> = {
  kind: 'two-stores',
  changesKey: false,
  start: (forward, context) => {
    const [odd, even] = [
      context.store(windowStore<string, number>('odd')),
      context.store(windowStore<string, number>('even')),
    ];
    const starts = () => [...odd.windowStarts(), ...even.windowStarts()];
    return {
      get deadlineMs() {
        return Math.min(...starts()) + WINDOW_MS;
      },
      process: (record) => {
        const { key, value, timestampMs } = record;
        const store = value % 2 === 0 ? even : odd;
        const startMs = timestampMs - (timestampMs % WINDOW_MS);
        store.update(key, startMs, timestampMs, (sum = 0) => sum + value);
      },
      advance: (streamTimeMs) => {
        for (const store of [odd, even]) {
          for (const startMs of store.windowStarts()) {
            if (startMs + WINDOW_MS > streamTimeMs) continue;
            for (const { key, value, timestampMs } of store.window(startMs)) {
              forward(resultRecord(key, value ?? 0, timestampMs, context.partition));
            }
            store.drop(startMs);
          }
        }
      },
    };
  },
};

function withTwoStores(): Topology {
  const stores = ['odd', 'even'];
  const nodes = [{ name: node, operator: twoStores, stores }];
  const specs = stores.map(windowSpec);
  return ownTopology({ input: numbers, output: results, stores: specs, nodes });
}

/** Starts, processes all input, stops without its end, and loses its checkpoints if asked to. */
async function run(
  log: Log,
  topology: Topology,
  ...rows: readonly (readonly [string, number, number])[]
): Promise<string[]> {
  const stateDir = temporaryDirectory(); // each run starts from the changelog
  await produce(log, numbers, rows);
  await runToEnd(log, topology, { stateDir });
  rmSync(stateDir, { recursive: true });
  return committedRows(log, results);
}

test('[STREAMS-TIME-1] closed windows of an operator with two stores stay closed', async () => {
  const log = await openTestLog();
  const next = (...rows: readonly (readonly [string, number, number])[]) =>
    run(log, withTwoStores(), ...rows);
  expect(await next(['a', 1, 1], ['a', 2, 2])).toEqual([]); // both are in the changelogs now
  const closed = ['a 1 @1', 'a 2 @2'];
  expect(await next(['a', 3, 15], ['a', 4, 16])).toEqual(closed);
  expect(await next(['a', 5, 45])).toEqual([...closed, 'a 3 @15', 'a 4 @16']);
});

/** Forwards the time at itself, in place of each value. */
const clock: Operator<string, number, string, number> = {
  kind: 'clock',
  changesKey: false,
  start: (forward, context) => {
    context.store(windowStore('shared'));
    return {
      deadlineMs: Infinity,
      process: (record) => forward(record.withValue(context.streamTimeMs())),
      advance: () => undefined,
    };
  },
};

/** What follows is 50 ms behind. */
const delay: Operator<string, number, string, number> = {
  kind: 'delay',
  changesKey: false,
  start: (forward, context) => ({
    process: forward,
    flush: () => undefined,
    heldMs: () => context.streamTimeMs() - 50,
  }),
};

test('[STREAMS-TIME-1] two operators that share a store each get their own time back', async () => {
  const log = await openTestLog();
  const stores = ['shared'];
  const topology = ownTopology({
    input: numbers,
    output: results,
    stores: [windowSpec('shared')],
    nodes: [
      { name: node, operator: clock, stores },
      { name: 'delay', operator: delay, stores: [] },
      { name: 'behind', parent: 'delay', operator: clock, stores },
    ],
    ends: [node, 'behind'],
  });
  await run(log, topology, ['a', 0, 100]);
  const rows = await run(log, topology, ['b', 0, 10]);
  expect(rows.filter((row) => row.startsWith('b'))).toEqual(['b 100 @10', 'b 50 @10']);
});

test.each([
  ['m1;2s;0;;counts=2s', 'm1'],
  ['m99;something else', 'm99'],
])(
  '[STREAMS-TIME-2] committed offsets of another format are refused: %s',
  async (metadata, version) => {
    const log = await openTestLog();
    await run(log, withTwoStores(), ['a', 1, 100]);
    await commitOffset(log, metadata);
    const failure = await run(log, withTwoStores(), ['a', 1, 101]).catch((error: unknown) => error);
    expect(StreamsError.is(failure, 'COMMIT_UNREADABLE') && failure.details).toEqual({
      applicationId: 'app',
      version,
    });
  },
);

test('[STREAMS-TIME-2] an offset that another program committed is taken as it is', async () => {
  const log = await openTestLog();
  await produce(log, numbers, [
    ['a', 1, 1],
    ['a', 3, 2],
  ]);
  await commitOffset(log, 'moved by hand');
  expect(await run(log, withTwoStores(), ['a', 5, 25])).toEqual(['a 3 @2']);
});

async function commitOffset(log: Log, metadata: string): Promise<void> {
  const { results: answers } = await log.api.offsetCommit({
    groupId: 'app',
    memberId: '',
    generation: -1,
    offsets: [{ topic: 'numbers', partition: 0, offset: 1, metadata }],
  });
  expect(answers[0]?.error).toBeUndefined();
}

describe('[STREAMS-TIME-3] an operator keeps its time behind another topic', () => {
  const serdes = { key: string(), value: int64() };
  const numbersTo = topic('final', serdes);

  /** Final counts in windows of 10 ms. */
  const counting = (grouped: KGroupedStream<string, number>): void =>
    grouped
      .windowedBy(tumblingWindow({ sizeMs: 10 }))
      .count({ store: 'windows', emit: 'final' })
      .toStream()
      .map(({ key, value }) => ({ key: `${key.key}@${key.windowStartMs}`, value }))
      .to(numbersTo);

  const runs = async (make: (isFirst: boolean) => Topology, second: typeof numbers) => {
    const log = await openTestLog();
    const stateDir = temporaryDirectory();
    await produce(log, numbers, [
      ['x', 1, 1],
      ['x', 1, 25],
    ]);
    await runToEnd(log, make(true), { stateDir });
    const late = [
      ['x', 1, 26], // its window has closed at the end of the first run
      ['x', 1, 45],
    ] as const;
    await produce(log, second, late);
    const options = { stateDir, dropState: ['first'] };
    const app = await runToEnd(log, make(false), options);
    expect(app.metrics().droppedRecords.late).toBe(1);
    const rows = await committedRows(log, numbersTo);
    return rows.map((row) => row.split(' @')[0]);
  };

  test('because the first reader of a shared repartition topic is gone', async () => {
    const make = (isFirst: boolean) => {
      const builder = new StreamsBuilder({ mergeRepartitionTopics: true });
      const grouped = builder
        .stream(numbers, { nullKeys: 'fail' })
        .groupBy(({ key }) => key, { key: string() });
      if (isFirst) grouped.count({ store: 'first' });
      counting(grouped);
      return builder.build();
    };
    expect(await runs(make, numbers)).toEqual(['x@0 1', 'x@20 1', 'x@40 1']);
  });

  test('because its stream is of another topic', async () => {
    const renamed = topic('renamed', { key: string(), value: int64() });
    const make = (isFirst: boolean) => {
      const builder = new StreamsBuilder();
      counting(builder.stream(isFirst ? numbers : renamed, { nullKeys: 'fail' }).groupByKey());
      return builder.build();
    };
    expect(await runs(make, renamed)).toEqual(['x@0 1', 'x@20 1', 'x@40 1']);
  });
});
