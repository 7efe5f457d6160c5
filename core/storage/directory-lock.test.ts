import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { codeOf } from '../../test/kit/codes.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { LogError } from '../errors.ts';
import { seededRandom } from '../random.ts';
import { lockDirectory, LOCK_FILE } from './directory-lock.ts';
import { MemoryFileSystem } from './memory-fs.ts';
import { nodeFileSystem } from './node-fs.ts';

const LOCK = `/d/${LOCK_FILE}`;
/** No process has this pid: Linux ends at 2^22. */
const DEAD = { pid: 2 ** 30, startedAt: 'then', token: 'dead' };

async function machine(seed = 1): Promise<MemoryFileSystem> {
  const fileSystem = new MemoryFileSystem({ random: seededRandom(seed) });
  await fileSystem.makeDirectory('/d');
  return fileSystem;
}

test('[STORAGE-17] a directory has one owner; the error of others has its pid', async () => {
  const fileSystem = await machine();
  const release = await lockDirectory(fileSystem, '/d', 'one');
  const failure: unknown = await lockDirectory(fileSystem, '/d', 'two').catch((e: unknown) => e);
  expect(LogError.is(failure, 'LOG_LOCKED') && failure.details).toEqual({
    directory: '/d',
    ownerPid: process.pid,
  });
  await release();
  expect(await fileSystem.list('/d')).toEqual([]);
  await (
    await lockDirectory(fileSystem, '/d', 'two')
  )();
});

test('[STORAGE-17] a failure to release has a code', async () => {
  const fileSystem = await machine();
  const release = await lockDirectory(fileSystem, '/d', 'one');
  for (const kind of ['size', 'remove']) {
    fileSystem.fail({ at: (operation) => operation.kind === kind, code: 'EIO' });
    expect(await codeOf(release())).toBe('KAFKA_STORAGE_ERROR');
  }
  await release();
  expect(await fileSystem.list('/d')).toEqual([]);
});

test('[STORAGE-17] a second release does not remove the lock of another', async () => {
  const fileSystem = await machine();
  const release = await lockDirectory(fileSystem, '/d', 'one');
  await release();
  await lockDirectory(fileSystem, '/d', 'two');
  await release();
  expect(await codeOf(lockDirectory(fileSystem, '/d', 'three'))).toBe('LOG_LOCKED');
});

test.each([
  ['of a process that is gone', JSON.stringify(DEAD)],
  ['of an earlier process with this pid', JSON.stringify({ ...DEAD, pid: process.pid })],
  ['of Kafka, which is empty', ''],
  ['that is no JSON', '{"pid":'],
  ['that names no owner', '{}'],
  ['that is null', 'null'],
])('[STORAGE-18] a lock %s is taken over', async (_, content) => {
  const fileSystem = await machine();
  await fileSystem.createExclusive(LOCK, Buffer.from(content));
  await lockDirectory(fileSystem, '/d', 'new');
  expect((await fileSystem.readFile(LOCK)).toString()).toContain('"new"');
  expect(await fileSystem.list('/d')).toHaveLength(1);
  expect(await codeOf(lockDirectory(fileSystem, '/d', 'newer'))).toBe('LOG_LOCKED');
});

test('[STORAGE-18] a takeover that died half-way is finished', async () => {
  const fileSystem = await machine();
  const dead = Buffer.from(JSON.stringify(DEAD));
  await fileSystem.createExclusive(LOCK, dead);
  await fileSystem.createExclusive(`${LOCK}.takeover`, dead);
  await lockDirectory(fileSystem, '/d', 'new');
  expect(await fileSystem.list('/d')).toHaveLength(1);
});

test('[STORAGE-18] after a crash the lock can be taken, whatever is left over', async () => {
  const images: MemoryFileSystem[] = [];
  const fileSystem: MemoryFileSystem = new MemoryFileSystem({
    onOperation: () => {
      images.push(fileSystem.kill());
      for (let seed = 0; seed < 5; seed++) images.push(fileSystem.crash(seededRandom(seed)));
    },
  });
  await fileSystem.makeDirectory('/d');
  await fileSystem.createExclusive(LOCK, Buffer.from(JSON.stringify(DEAD)));
  await fileSystem.syncDirectory('/');
  images.length = 0;
  const release = await lockDirectory(fileSystem, '/d', 'before');
  await release();
  expect(images.length).toBeGreaterThan(30);
  for (const image of images) {
    await lockDirectory(image, '/d', 'after');
    expect(await codeOf(lockDirectory(image, '/d', 'second'))).toBe('LOG_LOCKED');
  }
});

test.each(['nothing', 'a dead lock', 'an empty lock', 'a dead lock and takeover'])(
  '[STORAGE-17] of many processes that find %s at once, one takes the lock',
  async (found) => {
    for (let seed = 0; seed < 1000; seed++) {
      const random = seededRandom(-seed);
      const fileSystem = await machine(seed);
      const content = found === 'an empty lock' ? '' : JSON.stringify(DEAD);
      if (found !== 'nothing') await fileSystem.createExclusive(LOCK, Buffer.from(content));
      if (found.endsWith('takeover')) {
        await fileSystem.createExclusive(`${LOCK}.takeover`, Buffer.from(content));
      }
      const codes = await Promise.all(
        ['a', 'b', 'c'].map(async (token) => {
          const turns = random.next() * 20;
          for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
          return codeOf(lockDirectory(fileSystem, '/d', token));
        }),
      );
      const owners = codes.filter((code) => code === 'resolved').length;
      if (owners !== 1) throw new Error(`seed ${seed}: ${codes.join()}`);
    }
  },
);

test.each([
  ['EIO', 'KAFKA_STORAGE_ERROR'],
  ['ENOSPC', 'DISK_FULL'],
])('[STORAGE-17] %s in any operation is %s, and nothing is taken', async (errno, code) => {
  for (let number = 1; ; number++) {
    const fileSystem = await machine();
    await fileSystem.createExclusive(LOCK, Buffer.from(JSON.stringify(DEAD)));
    fileSystem.fail({ at: fileSystem.operationCount + number, code: errno });
    const result = await codeOf(lockDirectory(fileSystem, '/d', 'one'));
    if (result === 'resolved') break;
    expect(result).toBe(code);
    expect(await codeOf(lockDirectory(fileSystem, '/d', 'two'))).toBe('resolved');
    expect(await fileSystem.list('/d')).toHaveLength(1);
  }
});

test.each([0, -1, 1.5, 1e20, 2 ** 31])(
  '[STORAGE-18] a lock with process %s, which is no pid, is taken over',
  async (pid) => {
    const fileSystem = await machine();
    const content = JSON.stringify({ pid, startedAt: '', token: 'none' });
    await fileSystem.createExclusive(LOCK, Buffer.from(content));
    await lockDirectory(fileSystem, '/d', 'new');
    expect((await fileSystem.readFile(LOCK)).toString()).toContain('"new"');
  },
);

test.runIf(process.platform === 'linux')(
  '[STORAGE-18] the lock of a zombie, which its parent never reaps, is taken over',
  async () => {
    // The shell becomes `sleep`, which never reaps the child and leaves it a zombie.
    const shell = spawn('sh', ['-c', 'sleep 0.01 & echo $!; exec sleep 60']);
    try {
      const [said] = (await once(shell.stdout, 'data')) as [Buffer];
      const pid = Number(said.toString());
      const stat = (): string => readFileSync(`/proc/${pid}/stat`, 'utf8');
      while (!stat().includes(') Z ')) await new Promise((resolve) => setTimeout(resolve, 5));
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
      const startedAt = `${boot}:${stat().split(') ')[1]!.split(' ')[19]!}`;
      const directory = temporaryDirectory();
      writeFileSync(join(directory, LOCK_FILE), JSON.stringify({ pid, startedAt, token: 'dead' }));
      expect(process.kill(pid, 0)).toBe(true); // `kill` still finds it
      const release = await lockDirectory(nodeFileSystem, directory, 'new');
      expect(await codeOf(lockDirectory(nodeFileSystem, directory, 'newer'))).toBe('LOG_LOCKED');
      await release();
    } finally {
      shell.kill('SIGKILL');
    }
  },
);

test('[STORAGE-21] taking a directory removes the files of openings that died', async () => {
  const fileSystem = await machine();
  const dead = JSON.stringify(DEAD);
  const alive = JSON.stringify({ pid: process.pid, startedAt: '', token: 'alive' });
  const left = {
    [`${LOCK}.${DEAD.pid}-0-1`]: '', // it died while writing
    [`${LOCK}.${DEAD.pid}-0-2`]: dead,
    [`${LOCK}.${process.pid}-0-3`]: dead, // this pid was another's
    [`${LOCK}.takeover`]: dead,
    [`${LOCK}.takeover.${DEAD.pid}-3-4`]: dead,
  };
  const kept = {
    [`${LOCK}.${process.pid}-1-5`]: alive, // another thread is about to find the directory taken
    [`${LOCK}.${process.pid}-1-6`]: '',
    '/d/notes-2024': '',
  };
  for (const [path, content] of Object.entries({ ...left, ...kept })) {
    await fileSystem.createExclusive(path, Buffer.from(content));
  }
  await lockDirectory(fileSystem, '/d', 'new');
  const names = (await fileSystem.list('/d')).map(({ name }) => `/d/${name}`).sort();
  expect(names).toEqual([LOCK, ...Object.keys(kept)].sort());
});
