import { expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { errno, FaultyFileSystem } from '../../../test/kit/faulty-fs.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { LogHost, readValues } from '../log-host.suite.ts';

const directory = '/data/test-0';

async function turns(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test('[LOG-20] no segment begins while earlier batches wait to be written', async () => {
  const disk = new MemoryFileSystem();
  let release: () => void = () => undefined;
  const held = new Promise<undefined>((resolve) => (release = () => resolve(undefined)));
  let isHeld = false;
  const fileSystem = new FaultyFileSystem(({ name, path }) => {
    return isHeld && name === 'write' && path.endsWith('.log') ? held : undefined;
  }, disk);
  const config = { segmentBytes: 100 }; // a batch each
  const host = await LogHost.open({ fileSystem, directory, config });
  await host.appendEach('first', 'second');
  isHeld = true;
  host.append([{ value: 'third' }]);
  const { written } = host.append([{ value: 'fourth' }]);
  const deleted = host.deleteRecords(1); // begins the segment of the fourth
  await turns();
  const killed = await LogHost.open({ fileSystem: disk.kill(), directory, config });
  expect(killed.log.nextOffset).toBe(2);
  expect(await readValues(killed.log)).toEqual(['first', 'second']);
  await killed.close();
  release();
  await deleted;
  await written;
  expect(await readValues(host.log)).toEqual(['second', 'third', 'fourth']);
  await host.close();
});

test('[LOG-22] [LOG-29] a log is full from a write without room until one succeeds', async () => {
  const fileSystem = new MemoryFileSystem();
  const host = await LogHost.open({ fileSystem, directory });
  await host.appendEach('a');
  expect(host.log.state).toBe('open');
  fileSystem.capacityBytes = fileSystem.usedBytes;
  for (let attempt = 0; attempt < 3; attempt++) {
    expect(await codeOf(host.append([{ value: 'b' }]).written)).toBe('DISK_FULL');
    expect(host.log.state).toBe('reloading');
    await turns();
    expect(host.log.state).toBe('full');
  }
  fileSystem.capacityBytes = Infinity;
  await host.appendEach('b');
  expect(host.log.state).toBe('open');
  expect(await readValues(host.log)).toEqual(['a', 'b']);
  await host.close();
  expect(host.log.state).toBe('closed');
});

test('[LOG-23] a sync that gets no descriptor does not count as failed', async () => {
  const disk = new MemoryFileSystem();
  let isOut = false;
  const fileSystem = new FaultyFileSystem(({ name, path }) => {
    return isOut && name === 'sync' && path.endsWith('.log') ? errno('EMFILE') : undefined;
  }, disk);
  const host = await LogHost.open({ fileSystem, directory });
  await host.appendEach('a');
  isOut = true;
  expect(await codeOf(host.log.sync())).toBe('TOO_MANY_OPEN_FILES');
  expect(host.log.durableOffset).toBe(0);
  isOut = false;
  await turns();
  expect(host.log.state).toBe('full');
  await host.log.sync();
  expect(host.log.durableOffset).toBe(1);
  await host.appendEach('b');
  expect(host.log.state).toBe('open');
  await host.close();
  const cut = await LogHost.open({ fileSystem: disk.crash(), directory });
  expect(await readValues(cut.log)).toEqual(['a', 'b']);
  await cut.close();
});

test('[LOG-29] after a failed close a sync fails with the cause, not CLOSED', async () => {
  const fileSystem = new MemoryFileSystem();
  const host = await LogHost.open({ fileSystem, directory, hasJournal: true });
  await host.appendEach('a');
  fileSystem.fail({
    at: ({ kind, path }) => kind === 'sync' && path.endsWith('.log'),
    code: 'EIO',
  });
  expect(await codeOf(host.close())).toBe('KAFKA_STORAGE_ERROR');
  expect(await codeOf(host.log.flush(1))).toBe('KAFKA_STORAGE_ERROR');
  expect(() => host.append([{ value: 'b' }])).toThrow(expect.objectContaining({ code: 'CLOSED' }));
  expect(await codeOf(readValues(host.log))).toBe('CLOSED');
});
