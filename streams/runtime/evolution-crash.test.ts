import { describe, expect, test } from 'vitest';
import { int64, string, topic, type Log } from '../../core/index.ts';
import { committedRows, makeApp, produce, runToEnd } from '../../test/kit/app.ts';
import {
  crashMoments,
  openDisk,
  triedMoments,
  WAYS_TO_STOP,
  type Moment,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import type { Topology } from '../topology/topology.ts';

const numbers = topic('numbers', { key: string(), value: int64(), partitions: 2 });
const out = topic('out', { key: string(), value: int64() });

function summing(store: string): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers)
    .groupByKey()
    .reduce((sum, one) => sum + one, { store, emit: 'each' })
    .toStream()
    .to(out);
  return builder.build();
}

function rows(from: number): [string, number, number][] {
  return Array.from({ length: 20 }, (_, index) => [`k${index % 3}`, 1, from + index]);
}

/** Runs the old topology, and leaves input for the new one. */
async function fill(log: Log): Promise<void> {
  await produce(log, numbers, rows(0));
  await runToEnd(log, summing('sums'), { stateDir: temporaryDirectory() });
  await produce(log, numbers, rows(20));
}

/** Each sum of a key, from 1 to the last one, once. */
async function check(log: Log, operation: string): Promise<void> {
  const found = (await committedRows(log, out)).map((row) => row.split(' @')[0] ?? '').sort();
  const expected = ['k0', 'k1', 'k2'].flatMap((key) => {
    const count = rows(0).filter(([each]) => each === key).length * 2;
    return Array.from({ length: count }, (_, index) => `${key} ${index + 1}`);
  });
  expect(found, operation).toEqual(expected.sort());
}

/** Runs the old topology from there, if it may: nothing was moved before the new one was noted. */
async function checkOld({ disk, stateDir, operation }: Moment): Promise<boolean> {
  const log = await openDisk(disk);
  const app = makeApp(log, summing('sums'), { stateDir });
  try {
    await app.start();
  } catch (error) {
    expect(StreamsError.is(error, 'STATE_MISMATCH'), `${operation}: ${String(error)}`).toBe(true);
    await log.close();
    return false;
  }
  await app.finish();
  await check(log, operation);
  await log.close();
  return true;
}

describe.each(WAYS_TO_STOP)('[EVO-STATE-6] a store that is renamed, and %s', (_, stop) => {
  const options = { renamedStores: { totals: 'sums' }, commitIntervalMs: 1 };

  test(`[EVO-STATE-6] the next start ends it, whenever it comes, seed ${SEED}`, async () => {
    const run = { topology: summing('totals'), fill, options, every: 7, stop };
    const { log, moments } = await crashMoments(run);
    await check(log, 'undisturbed');
    expect(moments.length).toBeGreaterThan(10);
    for (const { disk, stateDir, operation } of triedMoments(moments)) {
      const reopened = await openDisk(disk);
      await runToEnd(reopened, summing('totals'), { ...options, stateDir });
      await check(reopened, operation);
      const topics = await reopened.admin().listTopics();
      expect(topics.filter((name) => name.endsWith('-changelog'))).toEqual([
        'app-totals-changelog',
      ]);
      await reopened.close();
    }
  }, 120_000);

  test(`[EVO-STATE-6] the old topology goes on, or is refused, seed ${SEED}`, async () => {
    const run = { topology: summing('totals'), fill, options, every: 7, stop };
    const { moments } = await crashMoments(run);
    const results: boolean[] = [];
    for (const moment of moments) results.push(await checkOld(moment));
    expect(new Set(results)).toEqual(new Set([true, false])); // before and after it was noted
    expect(results).toEqual([...results].sort((a, b) => Number(b) - Number(a)));
  }, 120_000);
});
