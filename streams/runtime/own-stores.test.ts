import { expect, test } from 'vitest';
import { int64, string, type Log } from '../../core/index.ts';
import {
  committedRows,
  makeApp,
  openTestLog,
  produce,
  runToEnd,
  until,
} from '../../test/kit/app.ts';
import { numbers, sums } from '../../test/kit/drive.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { keyValueStore, windowStore, type OwnStoreOptions } from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { Topology } from '../topology/topology.ts';

/** Adds numbers up in a store of these options; fails at 13. */
function summing(options: Partial<OwnStoreOptions<string, number>>, poison = 13): Topology {
  const builder = new StreamsBuilder();
  const serdes = { key: string(), value: int64() };
  const sumOf = builder.addStore(keyValueStore('own', { ...serdes, ...options }));
  builder
    .stream(numbers)
    .process<string, number>(
      (context) => {
        const store = context.store(sumOf);
        return {
          process: ({ value, timestampMs }) => {
            if (value === poison) throw new RangeError('unlucky');
            store.update('sum', timestampMs, (sum = 0) => sum + value);
            context.forward({ key: 'sum', value: store.get('sum') ?? -1 });
          },
        };
      },
      { stores: [sumOf], ...serdes },
    )
    .to(sums);
  return builder.build();
}

async function add(log: Log, ...values: number[]): Promise<void> {
  await produce(
    log,
    numbers,
    values.map((value) => ['a', value, value] as const),
  );
}

const topicsOf = async (log: Log) => log.admin().listTopics();

test('[STATE-READ-4] a store in memory is read back from its changelog', async () => {
  const log = await openTestLog();
  const stateDir = temporaryDirectory();
  for (const value of [1, 2, 3]) {
    await add(log, value);
    await runToEnd(log, summing({ persistent: false }), { stateDir });
  }
  expect(await committedRows(log, sums)).toEqual(['sum 1 @1', 'sum 3 @2', 'sum 6 @3']);
  await add(log, 4);
  await runToEnd(log, summing({}), { stateDir }); // its checkpoint is none of a persistent store
  expect((await committedRows(log, sums)).at(-1)).toBe('sum 10 @4');
});

test.each([true, false])(
  '[STATE-READ-4] the changelog of windows that have expired is deleted, persistent: %s',
  async (persistent) => {
    const log = await openTestLog();
    const builder = new StreamsBuilder();
    const options = { key: string(), value: int64(), retentionMs: 100, persistent };
    const seen = builder.addStore(windowStore('seen', options));
    builder.stream(numbers).process<string, number>(
      (context) => {
        const store = context.store(seen);
        return {
          process: ({ value, timestampMs }) => store.put('a', timestampMs, value, timestampMs),
        };
      },
      { stores: [seen] },
    );
    const intervals = { commitIntervalMs: 1, checkpointIntervalMs: 0 };
    await makeApp(log, builder.build(), intervals).start();
    let timestampMs = 0;
    await until(async () => {
      await produce(log, numbers, [['a', 1, (timestampMs += 5_000)]]);
      const [changelog] = await log.admin().offsets('app-seen-changelog');
      return (changelog?.earliest ?? 0) > 0;
    });
  },
);

test('[STATE-READ-4] a store that was persistent before is read back whole', async () => {
  const log = await openTestLog();
  const stateDir = temporaryDirectory();
  for (const [value, persistent] of [
    [1, true],
    [2, false],
    [3, true],
  ] as const) {
    await add(log, value);
    await runToEnd(log, summing({ persistent }), { stateDir });
  }
  expect(await committedRows(log, sums)).toEqual(['sum 1 @1', 'sum 3 @2', 'sum 6 @3']);
});

test('[STATE-READ-5] a store without a changelog outlives an end in order', async () => {
  const log = await openTestLog();
  const stateDir = temporaryDirectory();
  const options = { changelog: false };
  for (const value of [1, 2]) {
    await add(log, value);
    await runToEnd(log, summing(options), { stateDir });
  }
  expect(await committedRows(log, sums)).toEqual(['sum 1 @1', 'sum 3 @2']);
  expect(await topicsOf(log)).not.toContain('app-own-changelog');
  await add(log, 4);
  await runToEnd(log, summing(options), { stateDir: temporaryDirectory() }); // on another machine
  expect((await committedRows(log, sums)).at(-1)).toBe('sum 4 @4');
  await add(log, 5);
  await runToEnd(log, summing(options), { stateDir }); // back, behind what the other has committed
  expect((await committedRows(log, sums)).at(-1)).toBe('sum 5 @5');
});

test('[STATE-READ-5] and is empty after a failure', async () => {
  const log = await openTestLog();
  const stateDir = temporaryDirectory();
  await add(log, 1);
  await runToEnd(log, summing({ changelog: false }), { stateDir });
  await add(log, 2, 13, 4);
  const app = makeApp(log, summing({ changelog: false }), { stateDir });
  await app.start();
  await expect(app.done).rejects.toMatchObject({ code: 'PROCESSING_FAILED' });
  await runToEnd(log, summing({ changelog: false }, 0), { stateDir });
  expect(await committedRows(log, sums)).toEqual([
    ...['sum 1 @1', 'sum 2 @2', 'sum 15 @13', 'sum 19 @4'],
  ]);
});

test('[STATE-READ-5] in memory without a changelog it begins empty', async () => {
  const log = await openTestLog();
  const stateDir = temporaryDirectory();
  for (const value of [1, 2]) {
    await add(log, value);
    await runToEnd(log, summing({ changelog: false, persistent: false }), { stateDir });
  }
  expect(await committedRows(log, sums)).toEqual(['sum 1 @1', 'sum 2 @2']);
});
