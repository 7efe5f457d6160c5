import { expect, test, vi } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { seededRandom } from '../../random.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { LogHost, readValues } from '../log-host.suite.ts';

const isLog = (path: string) => path.endsWith('.log');
const DIRECTORY = '/data/test-0';

/**
 * A write is torn and cut off, then a sync fails and loses the cut, as the file system sees fit by
 * the seed. The log continues in a new process, until a power cut.
 */
async function recovered(
  seed: number,
  { isCheckpointed, isAtRoll }: { readonly isCheckpointed: boolean; readonly isAtRoll: boolean },
  after: readonly string[],
) {
  const random = seededRandom(seed);
  const fileSystem = new MemoryFileSystem({ random });
  let host = await LogHost.open({ fileSystem, directory: DIRECTORY });
  await host.appendEach('kept');
  await host.log.sync();
  if (isCheckpointed) await host.checkpoint();
  fileSystem.fail({ at: ({ kind }) => kind === 'write', code: 'EIO', writtenBytes: 600 });
  const torn = ['a', 'b', 'c', 'd', 'e'].map((value) => codeOf(host.append([{ value }]).written));
  expect(new Set(await Promise.all(torn))).toEqual(new Set(['KAFKA_STORAGE_ERROR']));
  await vi.waitFor(() => expect(host.log.state).toBe('open'), { interval: 1 });
  fileSystem.fail({ at: ({ kind, path }) => kind === 'sync' && isLog(path), code: 'EIO' });
  if (isAtRoll) {
    const refused = host.append([{ value: 'z'.repeat(960) }]).written; // needs another segment
    expect(await codeOf(refused)).toBe('KAFKA_STORAGE_ERROR');
  } else {
    await host.appendEach('unsynced');
    expect(await codeOf(host.log.sync())).toBe('KAFKA_STORAGE_ERROR');
  }
  host = await host.killAndOpen();
  await host.appendEach(...after);
  await host.log.sync();
  host = await LogHost.open({ fileSystem: fileSystem.crash(random), directory: DIRECTORY });
  const values = await readValues(host.log);
  await host.abandon();
  return values;
}

test.each([
  { isCheckpointed: false, isAtRoll: false },
  { isCheckpointed: true, isAtRoll: false },
  { isCheckpointed: true, isAtRoll: true },
])('[LOG-20] [LOG-23] a cut that a failed sync lost is made again: %j', async (how) => {
  for (let seed = 1; seed <= 60; seed++) {
    for (const after of [['x'], ['x', 'y'.repeat(900), 'z']]) {
      const unsynced = how.isAtRoll ? [] : ['unsynced'];
      expect(await recovered(seed, how, after)).toEqual(['kept', ...unsynced, ...after]);
    }
  }
});
