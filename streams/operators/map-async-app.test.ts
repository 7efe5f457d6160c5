import { describe, expect, test } from 'vitest';
import { int64, Log, string, topic } from '../../core/index.ts';
import {
  committedRows,
  makeApp,
  openTestLog,
  produce,
  runToEnd,
  until,
} from '../../test/kit/app.ts';
import { gate } from '../../test/kit/gate.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import {
  crashInput,
  crashOutput,
  sameAfterCrashes,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import { tap } from '../../test/kit/tap.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { AsyncOptions } from '../dsl/async-options.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { Topology } from '../topology/topology.ts';

const input = topic('input', { key: string(), value: int64() });
const other = topic('other', { key: string(), value: int64() });
const results = topic('results', { key: string(), value: int64() });
const others = topic('others', { key: string(), value: int64() });

function* rows(count: number): Generator<[string, number, number]> {
  for (let index = 0; index < count; index++) yield [`k${index % 7}`, index, index];
}

/** Values through a gate, and beside them another sub-topology that waits for nothing. */
function gatedTopology(options: AsyncOptions<string, number> = {}) {
  const doubling = gate<number, number>();
  const builder = new StreamsBuilder();
  builder
    .stream(input)
    .mapValuesAsync((value, _, call) => doubling.call(value, call), {
      store: 'waiting',
      ...options,
    })
    .to(results);
  builder.stream(other).to(others);
  return { topology: builder.build(), doubling };
}

describe('[OP-ASYNC-6] a task whose calls are slow', () => {
  test('reads no more than maxPending records and a fetch or two, while others go on', async () => {
    const log = await openTestLog();
    const { topology, doubling } = gatedTopology({ concurrency: 3, maxPending: 10 });
    await produce(log, input, rows(20_000));
    await produce(log, other, rows(10));
    const app = makeApp(log, topology);
    await app.start();
    await until(async () => (await committedRows(log, others)).length === 10);
    await until(() => doubling.open.length === 3);
    expect(app.metrics().processedRecords).toBe(20);
    await produce(log, other, rows(10));
    await until(async () => (await committedRows(log, others)).length === 20);
    expect(app.metrics().processedRecords).toBe(30);
    expect(doubling.calls).toEqual([0, 1, 2]);
  });

  test('waits without being busy, and goes on as soon as a call has ended', async () => {
    const opened = await openTestLog();
    let polls = 0;
    const api = tap(opened.api, {
      fetch: (request) => {
        polls++;
        return opened.api.fetch(request);
      },
    });
    const log = new Log(api, {});
    const { topology, doubling } = gatedTopology({ maxPending: 10 });
    await produce(opened, input, rows(100));
    const app = makeApp(log, topology, { stateDir: temporaryDirectory() });
    await app.start();
    await until(() => doubling.open.length === 10);
    await new Promise((resolve) => setTimeout(resolve, 200)); // until it is at rest
    polls = 0;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(polls).toBeLessThan(30); // every 100 ms it looks at everything else
    const before = performance.now();
    doubling.open[0]!.resolve(0);
    await until(async () => (await committedRows(opened, results)).length === 1);
    expect(performance.now() - before).toBeLessThan(400);
  });

  test('aborts the signals when it stops, and is asked again for what waited', async () => {
    const log = await openTestLog();
    const { topology, doubling } = gatedTopology({ order: 'none' });
    await produce(log, input, rows(5));
    const first = makeApp(log, topology);
    await first.start();
    await until(() => doubling.open.length === 5);
    const left = [...doubling.open];
    left[3]!.resolve(30);
    await until(async () => (await committedRows(log, results)).length === 1);
    await first.close();
    expect(left.map(({ signal }) => signal.aborted)).toEqual([true, true, true, false, true]);
    left[0]!.resolve(7); // too late
    const again = gatedTopology({ order: 'none' });
    const second = makeApp(log, again.topology);
    await second.start();
    await until(() => again.doubling.open.length === 4);
    expect(again.doubling.calls).toEqual([0, 1, 2, 4]);
    const finished = second.finish();
    for (const call of [...again.doubling.open]) call.resolve(call.given * 10);
    await finished;
    expect((await committedRows(log, results)).sort()).toEqual(
      [0, 1, 2, 3, 4].map((value) => `k${value} ${value * 10} @${value}`),
    );
  });

  test('starts over from the last commit, as often as onError says', async () => {
    const log = await openTestLog();
    await produce(log, input, rows(40));
    const tries = new Map<number, number>();
    const builder = new StreamsBuilder();
    builder
      .stream(input)
      .mapValuesAsync(
        async (value) => {
          tries.set(value, (tries.get(value) ?? 0) + 1);
          await new Promise((resolve) => setTimeout(resolve, value % 3));
          if (value === 11 || value === 25) throw new TypeError('down');
          return value;
        },
        { order: 'key', onError: { retry: 3, backoffMs: 1, then: 'skip' } },
      )
      .to(results);
    const app = await runToEnd(log, builder.build(), { commitIntervalMs: 1 });
    expect([tries.get(11), tries.get(25)]).toEqual([4, 4]);
    const values = (await readTopic(log, results, 'read_committed')).map(({ value }) => value);
    const expected = Array.from(rows(40), ([, value]) => value);
    expect(values.sort((a, b) => a! - b!)).toEqual(
      expected.filter((value) => value !== 11 && value !== 25),
    );
    expect(app.metrics().failedRecords.skipped).toBe(2);
  });
});

describe.each(WAYS_TO_STOP)('[OP-ASYNC-5] after %s', (_, stop) => {
  test.each(['partition', 'key'] as const)(
    `each result is there once, with the order %s, seed ${SEED}`,
    async (order) => {
      await sameAfterCrashes(() => summedLater(order), stop, { every: 71 });
    },
    90_000,
  );
});

/** Sums in a store, each of which is passed on later. */
function summedLater(order: 'partition' | 'key'): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream(crashInput)
    .groupByKey()
    .reduce((sum, value) => sum + value, { store: 'sums', emit: 'each' })
    .toStream()
    .mapValuesAsync(
      async (sum) => {
        const turns = sum % 4;
        for (let turn = 0; turn < turns; turn++) await new Promise((go) => setImmediate(go));
        return String(sum);
      },
      { order, concurrency: 5, store: 'waiting' },
    )
    .filterAsync(({ value }) => Promise.resolve(value.length > 1), { order, store: 'kept' })
    .to(crashOutput);
  return builder.build();
}
