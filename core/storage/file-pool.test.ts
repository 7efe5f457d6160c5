import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { seededRandom } from '../random.ts';
import { pooledFiles } from './file-pool.ts';
import { fileSystemSuite } from './file-system.suite.ts';
import type { File } from './file-system.ts';
import { MemoryFileSystem } from './memory-fs.ts';
import type { Operation } from './memory-operations.ts';
import { errnoOf, nodeFileSystem } from './node-fs.ts';

const made: string[] = [];

afterEach(async () => {
  for (const directory of made.splice(0)) await rm(directory, { recursive: true });
});

let seed = 0;

for (const openFilesMax of [1, 3]) {
  fileSystemSuite(`nodeFileSystem with ${openFilesMax} descriptors`, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'millrace-pool-'));
    made.push(directory);
    return { fileSystem: pooledFiles(nodeFileSystem, { openFilesMax }), directory };
  });

  fileSystemSuite(`MemoryFileSystem with ${openFilesMax} descriptors`, async () => {
    const disk = new MemoryFileSystem({ random: seededRandom(++seed) });
    await disk.makeDirectory('/dir');
    return { fileSystem: pooledFiles(disk, { openFilesMax }), directory: '/dir' };
  });
}

const FILES = 20;
const contentOf = (index: number, round: number) => Buffer.from(`file ${index} round ${round}`);

async function textOf(file: File): Promise<string> {
  const target = Buffer.alloc(await file.sizeBytes());
  await file.read(target, 0);
  return target.toString();
}

async function failureOf(call: Promise<unknown>): Promise<string | undefined> {
  return call.then(() => 'no error', errnoOf);
}

/** A disk below a pool; records the greatest number of files open at once. */
function counted(openFilesMax: number) {
  const disk = new MemoryFileSystem({ random: seededRandom(++seed) });
  const most = { openFiles: 0 };
  disk.onOperation = () => {
    most.openFiles = Math.max(most.openFiles, disk.openFileCount);
  };
  return { disk, most, pool: pooledFiles(disk, { openFilesMax }) };
}

test('[STORAGE-19] many open files share few descriptors', async () => {
  const { disk, most, pool } = counted(3);
  const files = await Promise.all(
    Array.from({ length: FILES }, (_, index) => pool.open(`/f${index}`, 'create')),
  );
  for (const round of [1, 2, 3]) {
    await Promise.all(files.map((file, index) => file.write([contentOf(index, round)], 0)));
    const texts = await Promise.all(files.map(textOf));
    expect(texts).toEqual(files.map((_, index) => contentOf(index, round).toString()));
    await Promise.all(files.map((file) => file.sync()));
    await pool.syncDirectory('/');
  }
  expect(most.openFiles).toBe(3);
  await Promise.all(files.map((file) => file.close()));
  expect(disk.openFileCount).toBe(0);
});

test('[STORAGE-19] synced bytes survive a power cut, even if closed before', async () => {
  const { disk, pool } = counted(2);
  const files = await Promise.all(
    Array.from({ length: FILES }, (_, index) => pool.open(`/f${index}`, 'create')),
  );
  await Promise.all(files.map((file, index) => file.write([contentOf(index, 1)], 0)));
  await Promise.all(files.map((file) => file.sync()));
  await pool.syncDirectory('/');
  for (let outcome = 0; outcome < 20; outcome++) {
    const left = disk.crash();
    for (const index of files.keys()) {
      expect((await left.readFile(`/f${index}`)).equals(contentOf(index, 1))).toBe(true);
    }
  }
});

test('[STORAGE-19] a file that was only read is closed first, without a sync', async () => {
  const { disk, pool } = counted(2);
  await disk.createExclusive('/read', contentOf(1, 1));
  const read = await pool.open('/read', 'read');
  const written = await pool.open('/written', 'create');
  await written.write([contentOf(2, 1)], 0);
  await textOf(read);
  const kinds: string[] = [];
  disk.onOperation = ({ kind, path }) => void kinds.push(`${kind} ${path}`);
  await pool.open('/other', 'create');
  expect(kinds).toEqual(['close /read', 'create /other']);
  await textOf(read);
  expect(kinds.slice(2)).toEqual(['close /other', 'open /read', 'size /read', 'read /read']);
});

/** A pool that took the descriptor of a file with unsynced bytes, whose sync failed. */
async function failedWhileAway() {
  const { disk, pool } = counted(1);
  const file = await pool.open('/f', 'create');
  await file.write([contentOf(1, 1)], 0);
  disk.fail({ at: ({ kind, path }) => kind === 'sync' && path === '/f', code: 'EIO' });
  const other = await pool.open('/other', 'create');
  return { pool, disk, file, other };
}

test('[STORAGE-20] a failed sync by the pool itself fails the next sync call', async () => {
  const { file, other } = await failedWhileAway();
  expect(await textOf(file)).toBe('file 1 round 1'); // reopened
  await textOf(other); // closed again; this time its sync succeeds without an error
  expect(await failureOf(file.sync())).toBe('EIO');
});

test('[STORAGE-20] that failure is reported after a reopening, and by another name', async () => {
  const { pool, file, other } = await failedWhileAway();
  await file.close();
  await pool.rename('/f', '/moved');
  const moved = await pool.open('/moved', 'write');
  await textOf(other);
  expect(await failureOf(moved.sync())).toBe('EIO');
  const unrelated = await pool.open('/f', 'create');
  await unrelated.sync();
});

test('[STORAGE-23] a file without a descriptor follows its name or survives it', async () => {
  const { disk, pool } = counted(1);
  const paths = ['/moved', '/removed', '/replaced', '/dir/below'];
  await pool.makeDirectory('/dir');
  const files: File[] = [];
  for (const path of paths) {
    files.push(await pool.open(path, 'create'));
    await files.at(-1)!.write([Buffer.from(path)], 0);
  }
  await pool.rename('/moved', '/elsewhere');
  await pool.createExclusive('/moved', Buffer.from('another'));
  await pool.remove('/removed');
  await pool.createExclusive('/removed', Buffer.from('another'));
  await pool.createExclusive('/new', Buffer.from('another'));
  await pool.rename('/new', '/replaced');
  await pool.rename('/dir', '/folder');
  for (const round of [1, 2]) {
    const texts = await Promise.all(files.map(textOf));
    expect([round, texts]).toEqual([round, paths]);
  }
  for (const path of ['/moved', '/removed', '/replaced']) {
    expect((await pool.readFile(path)).toString()).toBe('another');
  }
  await files[0]!.write([Buffer.from('!')], 0);
  expect((await pool.readFile('/elsewhere')).toString()).toBe('!moved');
  await pool.removeDirectory('/folder');
  expect(await textOf(files[3]!)).toBe('/dir/below');
  await Promise.all(files.map((file) => file.close()));
  expect(disk.openFileCount).toBe(0);
});

test('[STORAGE-23] a file that lost its name elsewhere is not recreated', async () => {
  const { disk, pool } = counted(1);
  const file = await pool.open('/f', 'create');
  await (await pool.open('/other', 'create')).close();
  await disk.remove('/f');
  expect(await failureOf(file.write([contentOf(1, 1)], 0))).toBe('ENOENT');
  expect(await disk.stat('/f')).toBeUndefined();
});

/** Allows at most `count` open files on the disk, like a process with a lower limit. */
function limit(disk: MemoryFileSystem, count: number): () => void {
  const opens = new Set<Operation['kind']>(['open', 'create', 'syncDirectory']);
  const at = ({ kind }: Operation) => opens.has(kind) && disk.openFileCount >= count;
  return disk.fail({ at, code: 'EMFILE', times: Infinity });
}

test('[STORAGE-24] the pool works with fewer descriptors than it was told', async () => {
  const { disk, most, pool } = counted(10);
  const allow = limit(disk, 2);
  const files = await Promise.all(
    Array.from({ length: FILES }, (_, index) => pool.open(`/f${index}`, 'create')),
  );
  await Promise.all(files.map((file, index) => file.write([contentOf(index, 1)], 0)));
  await Promise.all([...files.map((file) => file.sync()), pool.syncDirectory('/')]);
  const texts = await Promise.all(files.map(textOf));
  expect(texts).toEqual(files.map((_, index) => contentOf(index, 1).toString()));
  expect(most.openFiles).toBe(2);
  allow();
});

test('[STORAGE-24] without any descriptor a call fails, and may be repeated', async () => {
  const { disk, pool } = counted(10);
  const allow = limit(disk, 0);
  expect(await failureOf(pool.open('/f', 'create'))).toBe('EMFILE');
  expect(await failureOf(pool.syncDirectory('/'))).toBe('EMFILE');
  allow();
  const file = await pool.open('/f', 'create');
  await file.write([contentOf(1, 1)], 0);
  await pool.syncDirectory('/');
  await file.close();
});

test.each(Array.from({ length: 30 }, (_, index) => index + 1))(
  '[STORAGE-19] [STORAGE-23] seed %i: random calls have the same outcomes as without a pool',
  async (number) => {
    const random = seededRandom(number);
    const disk = new MemoryFileSystem({ random: seededRandom(number) });
    const pool = pooledFiles(disk, { openFilesMax: 1 + (number % 3) });
    /** The content of each name and of each open file. */
    const names = new Map<string, { text: string }>();
    const open: { file: File; content: { text: string } }[] = [];
    const below = (count: number) => Math.floor(random.next() * count);
    const steps: Promise<void>[] = [];
    for (let step = 0; step < 200; step++) {
      const [path, other] = [`/f${below(4)}`, `/f${below(4)}`];
      const held = open[below(Math.max(1, open.length))];
      switch (below(6)) {
        case 0: {
          const content = names.get(path) ?? { text: '' };
          names.set(path, content);
          open.push({ file: await pool.open(path, 'create'), content });
          break;
        }
        case 1:
          if (held === undefined) break;
          held.content.text = `${step}`.padEnd(10, '.');
          steps.push(held.file.write([Buffer.from(held.content.text)], 0));
          await steps.at(-1);
          break;
        case 2:
          if (!names.has(path) || path === other) break;
          await pool.rename(path, other);
          names.set(other, names.get(path)!);
          names.delete(path);
          break;
        case 3:
          if (names.delete(path)) await pool.remove(path);
          break;
        case 4:
          await Promise.all(open.map(({ file }) => file.sync()));
          break;
        default:
          if (held === undefined) break;
          open.splice(open.indexOf(held), 1);
          await held.file.close();
      }
      const texts = await Promise.all(open.map(({ file }) => textOf(file)));
      expect([step, texts]).toEqual([step, open.map(({ content }) => content.text)]);
    }
    for (const [path, { text }] of names) {
      expect((await disk.readFile(path)).toString()).toBe(text);
    }
    await Promise.all(open.map(({ file }) => file.close()));
    expect(disk.openFileCount).toBe(0);
  },
);
