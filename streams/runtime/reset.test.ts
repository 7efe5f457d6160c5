import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { int64, nodeFileSystem, seededRandom, string, topic, type Log } from '../../core/index.ts';
import { lockDirectory } from '../../core/internal.ts';
import { committedRows, makeApp, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { openDisk } from '../../test/kit/same-after-crashes.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { SEED } from '../../test/kit/seed.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { Topology } from '../topology/topology.ts';
import { resetApplication } from './reset.ts';

const numbers = topic('numbers', { key: string(), value: int64() });
const out = topic('out', { key: string(), value: int64() });

/** Sums behind a repartition topic. */
function summing(): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers)
    .groupBy(({ key }) => key, { key: string() })
    .reduce((sum, one) => sum + one, { store: 'sums', emit: 'each' })
    .toStream()
    .to(out);
  return builder.build();
}

const rows: [string, number, number][] = [
  ['a', 1, 1],
  ['a', 2, 2],
  ['a', 4, 3],
];

async function sumsOf(log: Log): Promise<string[]> {
  return (await committedRows(log, out)).map((row) => row.split(' ')[1] ?? '');
}

test('[EVO-RESET-1] input is read again, state and internal topics are gone', async () => {
  const log = await openTestLog();
  const options = { stateDir: temporaryDirectory() };
  await produce(log, numbers, rows);
  await runToEnd(log, summing(), options);
  expect(await sumsOf(log)).toEqual(['1', '3', '7']);
  const dry = await resetApplication(log, { ...options, applicationId: 'app', dryRun: true });
  const done = await resetApplication(log, { ...options, applicationId: 'app' });
  expect(done).toEqual(dry);
  expect(done.offsets).toEqual([
    { topic: 'numbers', partition: 0, from: 3, to: 0, isClamped: false },
  ]);
  expect([...done.deletedTopics].sort()).toEqual([
    ...['app-sums-changelog', 'app-sums-repartition', 'app-topology'],
  ]);
  expect(readdirSync(options.stateDir)).toEqual([]);
  const topics = await log.admin().listTopics();
  expect(topics.filter((name) => name.startsWith('app-'))).toEqual([]);
  await runToEnd(log, summing(), options);
  expect(await sumsOf(log)).toEqual(['1', '3', '7', '1', '3', '7']);
  await resetApplication(log, { ...options, applicationId: 'app', to: { offset: 2 } });
  await runToEnd(log, summing(), options);
  expect((await sumsOf(log)).slice(6)).toEqual(['4']);
  await resetApplication(log, { ...options, applicationId: 'app', inputTopics: [] });
  await runToEnd(log, summing(), options);
  expect((await sumsOf(log)).slice(7)).toEqual([]); // the position stays
});

test('[EVO-RESET-2] not while it runs, nor one that never ran; topics of others stay', async () => {
  const log = await openTestLog();
  const stateDir = temporaryDirectory();
  await produce(log, numbers, rows);
  await runToEnd(log, summing(), { applicationId: 'app-2' });
  const app = makeApp(log, summing(), { stateDir });
  await app.start();
  const reset = () => resetApplication(log, { applicationId: 'app', stateDir });
  await expect(reset()).rejects.toMatchObject({ code: 'APPLICATION_RUNNING' });
  await app.finish();
  await reset();
  const topics = await log.admin().listTopics();
  expect(topics).toEqual(expect.arrayContaining(['app-2-sums-changelog', 'app-2-topology', 'out']));
  await expect(resetApplication(log, { applicationId: 'nobody' })).rejects.toMatchObject({
    code: 'INVALID_OPTION',
    message: expect.stringContaining('an application that has run on this log') as string,
  });
  const wrong = { applicationId: 'app-2', to: 'now' as never };
  await expect(resetApplication(log, wrong)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
});

test('[EVO-RESET-2] not with the state that another process uses', async () => {
  const log = await openTestLog();
  const stateDir = temporaryDirectory();
  await produce(log, numbers, rows);
  await runToEnd(log, summing(), { stateDir });
  const reset = () => resetApplication(log, { applicationId: 'app', stateDir });
  const release = await lockDirectory(nodeFileSystem, stateDir, 'other');
  await expect(reset()).rejects.toMatchObject({ code: 'STATE_LOCKED' });
  await release();
  await reset();
});

test('[EVO-RESET-2] not if an older version left changelogs that nothing tells of', async () => {
  const log = await openTestLog();
  const stateDir = temporaryDirectory();
  await produce(log, numbers, rows);
  await runToEnd(log, summing(), { stateDir });
  rmSync(join(stateDir, 'last-run.json'));
  await log.admin().deleteTopics(['app-topology']);
  const reset = () => resetApplication(log, { applicationId: 'app', stateDir });
  await expect(reset()).rejects.toMatchObject({
    code: 'LAST_RUN_UNREADABLE',
    message: expect.stringContaining('app-sums-changelog may belong to app') as string,
  });
  await runToEnd(log, summing(), { stateDir });
  await reset();
  await runToEnd(log, summing(), { stateDir });
  expect(await sumsOf(log)).toEqual(['1', '3', '7', '1', '3', '7']);
});

test('[EVO-RESET-2] internal topics of another application that it reads stay', async () => {
  const log = await openTestLog();
  await produce(log, numbers, rows);
  await runToEnd(log, summing(), { applicationId: 'app-2' });
  const builder = new StreamsBuilder();
  for (const name of ['app-2-sums-changelog', 'app-2-sums-repartition']) {
    builder
      .stream(topic(name, { key: string(), value: string() }), { nullValues: 'skip' })
      .foreach(() => undefined);
  }
  await runToEnd(log, builder.build());
  const { deletedTopics } = await resetApplication(log, { applicationId: 'app' });
  expect(deletedTopics).toEqual(['app-topology']);
});

test(`[EVO-RESET-3] killed at any operation, the next start ends it, seed ${SEED}`, async () => {
  const disk = new MemoryFileSystem({ random: seededRandom(SEED) });
  const log = await openDisk(disk);
  await produce(log, numbers, rows);
  const stateDir = temporaryDirectory();
  await runToEnd(log, summing(), { stateDir });
  const moments: { readonly disk: MemoryFileSystem; readonly operation: string }[] = [];
  const random = seededRandom(SEED);
  let count = 0;
  disk.onOperation = ({ kind, path }) => {
    if (++count % 7 === 0) moments.push({ disk: disk.kill(random), operation: `${kind} ${path}` });
  };
  await resetApplication(log, { applicationId: 'app', stateDir });
  disk.onOperation = undefined;
  expect(moments.length).toBeGreaterThan(3);
  const seen = new Set<number>();
  for (const moment of moments) {
    const reopened = await openDisk(moment.disk);
    // The state went first, so it is gone at each of them.
    await runToEnd(reopened, summing(), { stateDir: temporaryDirectory() });
    const sums = await sumsOf(reopened);
    seen.add(sums.length);
    const wanted = sums.length === 3 ? ['1', '3', '7'] : ['1', '3', '7', '1', '3', '7'];
    expect(sums, moment.operation).toEqual(wanted);
    await reopened.close();
  }
  expect(seen.has(6)).toBe(true);
}, 120_000);
