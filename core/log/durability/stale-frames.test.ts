import { expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { errno, FaultyFileSystem } from '../../../test/kit/faulty-fs.ts';
import { seededRandom } from '../../random.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { LogHost, readRecords, type HostOptions } from '../log-host.suite.ts';

/*
 * The journal keeps frames of a segment that was flushed since. To redo them is harmless if the
 * segment still has the same bytes or another one follows it. Compaction changes the bytes, so the
 * next segment must be durable before.
 */

const DIRECTORY = '/data/test-0';
const config = { cleanupPolicy: 'compact', segmentBytes: 600, minCleanableDirtyRatio: 0 } as const;
const options = { directory: DIRECTORY, config, hasJournal: true };
const SEEDS = 40;

/** A log whose full first segment has frames in the journal and is flushed. */
async function withFrames(fileSystem: HostOptions['fileSystem']): Promise<LogHost> {
  const host = await LogHost.open({ ...options, fileSystem });
  for (let count = 0; count < 5; count++) {
    host.append([{ key: 'a', value: `${count}`.repeat(30) }]);
    await host.log.sync(); // all but the first by the journal
  }
  await host.checkpoint();
  return host;
}

async function newestOf(host: LogHost): Promise<Record<string, string | null>> {
  const records = await readRecords(host.log);
  return Object.fromEntries(records.map(({ key, value }) => [String(key), value]));
}

/** Opens the log after power cuts, and expects the newest durable values. */
async function checkCuts(disk: MemoryFileSystem, expected: Record<string, string>): Promise<void> {
  for (let seed = 0; seed < SEEDS; seed++) {
    const image = disk.crash(seededRandom(seed));
    const host = await LogHost.open({ ...options, fileSystem: image });
    expect([seed, await newestOf(host)]).toMatchObject([seed, expected]);
    await host.close();
  }
}

test('[LOG-28] no journal frame overwrites a compacted segment', async () => {
  const disk = new MemoryFileSystem();
  const host = await withFrames(disk);
  await host.append([{ key: 'b', value: 'x'.repeat(400) }]).written; // of the next segment
  expect(await host.compact()).toMatchObject({ passes: 1 });
  await checkCuts(disk, { a: '4'.repeat(30) });
});

test('[LOG-28] nor while the file of the next segment is being created', async () => {
  const disk = new MemoryFileSystem();
  let isHeld = false;
  let release: () => void = () => undefined;
  const held = new Promise<undefined>((resolve) => (release = () => resolve(undefined)));
  const isOfFirst = (path: string) => path.includes('/00000000000000000000.');
  const fileSystem = new FaultyFileSystem(({ name, path }) => {
    const isNext = name === 'open' && path.endsWith('.log') && !isOfFirst(path);
    return isHeld && isNext ? held : undefined;
  }, disk);
  const host = await withFrames(fileSystem);
  isHeld = true;
  const { written } = host.append([{ key: 'b', value: 'x'.repeat(400) }]);
  const compacted = host.compact();
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
  await checkCuts(disk, { a: '4'.repeat(30) });
  release();
  await written;
  expect(await compacted).toMatchObject({ passes: 1 });
  await checkCuts(disk, { a: '4'.repeat(30) });
});

test('[LOG-28] nor if the first write to the next segment hangs, and then fails', async () => {
  const disk = new MemoryFileSystem();
  let fail: (error: Error) => void = () => undefined;
  const held = new Promise<Error>((resolve) => (fail = resolve));
  let isHeld = false;
  const fileSystem = new FaultyFileSystem(({ name, path }) => {
    return isHeld && name === 'write' && path.endsWith('.log') ? held : undefined;
  }, disk);
  const host = await withFrames(fileSystem);
  isHeld = true;
  const { written } = host.append([{ key: 'b', value: 'x'.repeat(400) }]);
  const code = codeOf(written);
  expect(await host.compact()).toMatchObject({ passes: 1 });
  isHeld = false;
  fail(errno('EIO'));
  expect(await code).toBe('KAFKA_STORAGE_ERROR');
  await expect.poll(() => host.log.state).toBe('open');
  await checkCuts(disk, { a: '4'.repeat(30) });
  host.append([{ key: 'c', value: 'later' }]);
  await host.log.sync();
  await checkCuts(disk, { a: '4'.repeat(30), c: 'later' });
});
