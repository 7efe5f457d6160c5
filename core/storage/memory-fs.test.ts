import { expect, test } from 'vitest';
import { seededRandom } from '../random.ts';
import type { FileSystem } from './file-system.ts';
import { fileSystemSuite } from './file-system.suite.ts';
import { MemoryFileSystem } from './memory-fs.ts';
import type { Operation } from './memory-operations.ts';
import { errnoOf } from './node-fs.ts';

let seed = 0;

fileSystemSuite('MemoryFileSystem', async () => {
  const fileSystem = new MemoryFileSystem({ random: seededRandom(++seed) });
  await fileSystem.makeDirectory('/dir');
  return { fileSystem, directory: '/dir' };
});

/** Few enough sectors that OUTCOMES crashes show every way of tearing. */
const OLD = Buffer.alloc(4 * 512, 'old!');
const NEW = Buffer.alloc(4 * 512, 'new.');
const OUTCOMES = 600;

/** The contents of a file after many crashes at this moment: each one that occurred, as text. */
async function outcomes(fileSystem: MemoryFileSystem, path: string): Promise<Set<string>> {
  const found = new Set<string>();
  for (let outcome = 0; outcome < OUTCOMES; outcome++) {
    const after = fileSystem.crash(seededRandom(outcome));
    found.add(await textOf(after, path));
  }
  return found;
}

async function textOf(fileSystem: FileSystem, path: string): Promise<string> {
  if ((await fileSystem.stat(path)) === undefined) return 'absent';
  return (await fileSystem.readFile(path)).toString('latin1');
}

async function durableFile(fileSystem: MemoryFileSystem, path: string, content: Buffer) {
  const file = await fileSystem.open(path, 'create');
  await file.write([content], 0);
  await file.sync();
  await fileSystem.syncDirectory('/');
  return file;
}

async function failureOf(call: Promise<unknown>): Promise<string | undefined> {
  return call.then(() => 'no error', errnoOf);
}

test('[STORAGE-10] synced bytes survive every crash', async () => {
  const fileSystem = new MemoryFileSystem();
  const file = await durableFile(fileSystem, '/f', OLD);
  await file.write([NEW], 0);
  await file.truncate(700);
  await file.sync();
  expect(await outcomes(fileSystem, '/f')).toEqual(new Set([NEW.toString().slice(0, 700)]));
});

test('[STORAGE-10] an unsynced write is lost, kept, or torn between sectors', async () => {
  const fileSystem = new MemoryFileSystem();
  const file = await durableFile(fileSystem, '/f', OLD);
  await file.write([NEW], 0);
  const found = await outcomes(fileSystem, '/f');
  expect(found).toContain(OLD.toString());
  expect(found).toContain(NEW.toString());
  expect(found.size).toBe(2 ** 4); // each sector is the old or the new one
  for (const text of found) {
    expect(text).toMatch(/^((old!){128}|(new\.){128}){4}$/);
  }
});

test('[STORAGE-10] a write tears at sectors wherever it begins', async () => {
  const fileSystem = new MemoryFileSystem();
  const file = await durableFile(fileSystem, '/f', Buffer.alloc(1536, 'o'));
  await file.write([Buffer.alloc(600, 'n')], 500); // 12 bytes, 512 bytes, 76 bytes
  const found = await outcomes(fileSystem, '/f');
  expect(found.size).toBe(8);
  for (const text of found) expect(text).toMatch(/^o{500}[no]{12}(n{512}|o{512})[no]{76}o{436}$/);
});

test('[STORAGE-10] the later of two unsynced writes may survive alone', async () => {
  const fileSystem = new MemoryFileSystem();
  const file = await durableFile(fileSystem, '/f', Buffer.alloc(0));
  await file.write([Buffer.alloc(512, 'a')], 0);
  await file.write([Buffer.alloc(512, 'b')], 512);
  const [a, b, zeros] = ['a'.repeat(512), 'b'.repeat(512), '\0'.repeat(512)];
  const found = await outcomes(fileSystem, '/f');
  for (const text of ['', a, a + b, zeros + b, a + zeros]) expect(found).toContain(text);
  for (const text of found) expect(text).toMatch(/^(a{512}|\0{512})?(b{512}|\0{512})?$/);
});

test('[STORAGE-10] a sector is never older in one part than in another', async () => {
  const fileSystem = new MemoryFileSystem();
  const file = await durableFile(fileSystem, '/f', Buffer.alloc(512, 'o'));
  await file.write([Buffer.alloc(100, '1')], 0);
  await file.write([Buffer.alloc(100, '2')], 100);
  const found = await outcomes(fileSystem, '/f');
  const [first, rest] = ['1'.repeat(100), 'o'.repeat(312)];
  expect(found).toEqual(
    new Set(['o'.repeat(512), `${first}${'o'.repeat(412)}`, `${first}${'2'.repeat(100)}${rest}`]),
  );
});

test('[STORAGE-10] an unsynced truncation is lost or kept; removed bytes stay gone', async () => {
  const fileSystem = new MemoryFileSystem();
  const file = await durableFile(fileSystem, '/f', OLD);
  await file.truncate(512);
  const found = await outcomes(fileSystem, '/f');
  expect(found).toContain(OLD.toString());
  expect(found).toContain(OLD.toString().slice(0, 512));
  for (const text of found) expect([512, 2048]).toContain(text.length);
  await file.sync();
  await file.truncate(2048);
  for (const text of await outcomes(fileSystem, '/f')) {
    expect(text).toMatch(/^(old!){128}(\0{1536})?$/);
  }
});

test('[STORAGE-10] a sync covers the writes before it began', async () => {
  const lost = new Set<boolean>();
  for (let each = 0; each < 50; each++) {
    const fileSystem = new MemoryFileSystem({ random: seededRandom(each) });
    const file = await durableFile(fileSystem, '/f', OLD);
    await file.write([Buffer.from('before')], 0);
    await Promise.all([file.sync(), file.write([Buffer.from('during')], 1024)]);
    for (const text of await outcomes(fileSystem, '/f')) {
      expect(text.slice(0, 6)).toBe('before');
      lost.add(text.slice(1024, 1030) !== 'during');
    }
  }
  expect(lost).toEqual(new Set([true, false]));
});

test('[STORAGE-11] a new, moved or removed name is durable only after syncDirectory', async () => {
  const fileSystem = new MemoryFileSystem();
  const file = await fileSystem.open('/f', 'create');
  await file.write([Buffer.from('x')], 0);
  await file.sync();
  expect(await outcomes(fileSystem, '/f')).toEqual(new Set(['absent', 'x']));
  await fileSystem.syncDirectory('/');
  expect(await outcomes(fileSystem, '/f')).toEqual(new Set(['x']));
  await fileSystem.rename('/f', '/g');
  expect(await outcomes(fileSystem, '/f')).toEqual(new Set(['absent', 'x']));
  await fileSystem.syncDirectory('/');
  expect(await outcomes(fileSystem, '/f')).toEqual(new Set(['absent']));
  expect(await outcomes(fileSystem, '/g')).toEqual(new Set(['x']));
  await fileSystem.remove('/g');
  expect(await outcomes(fileSystem, '/g')).toEqual(new Set(['absent', 'x']));
  await fileSystem.syncDirectory('/');
  expect(await outcomes(fileSystem, '/g')).toEqual(new Set(['absent']));
});

test('[STORAGE-11] a rename over a file leaves the old or the new one', async () => {
  const fileSystem = new MemoryFileSystem();
  await durableFile(fileSystem, '/old', Buffer.from('old'));
  await durableFile(fileSystem, '/new', Buffer.from('new'));
  await fileSystem.rename('/new', '/old');
  const found = new Set<string>();
  for (let each = 0; each < 50; each++) {
    const after = fileSystem.crash(seededRandom(each));
    found.add(`${await textOf(after, '/old')},${await textOf(after, '/new')}`);
  }
  expect(found).toEqual(new Set(['old,new', 'new,absent']));
});

test('[STORAGE-11] a rename between directories is durable as a whole', async () => {
  for (const synced of ['/a', '/b']) {
    const fileSystem = new MemoryFileSystem();
    await fileSystem.makeDirectory('/a');
    await fileSystem.makeDirectory('/b');
    await fileSystem.createExclusive('/a/f', Buffer.alloc(0));
    for (const each of ['/', '/a', '/b']) await fileSystem.syncDirectory(each);
    await fileSystem.rename('/a/f', '/b/f');
    await fileSystem.syncDirectory(synced);
    expect(await outcomes(fileSystem, '/a/f')).toEqual(new Set(['absent']));
    expect(await outcomes(fileSystem, '/b/f')).toEqual(new Set(['']));
  }
});

test('[STORAGE-11] names survive independently of each other and of the content', async () => {
  const fileSystem = new MemoryFileSystem();
  for (const name of ['/f1', '/f2']) {
    const file = await fileSystem.open(name, 'create');
    await file.write([Buffer.from('x')], 0);
  }
  const found = new Set<string>();
  for (let each = 0; each < OUTCOMES; each++) {
    const after = fileSystem.crash(seededRandom(each));
    found.add(`${await textOf(after, '/f1')},${await textOf(after, '/f2')}`);
  }
  for (const one of ['absent', '', 'x']) {
    for (const two of ['absent', '', 'x']) expect(found).toContain(`${one},${two}`);
  }
});

test('[STORAGE-11] a lost directory loses its files too', async () => {
  const fileSystem = new MemoryFileSystem();
  await fileSystem.makeDirectory('/a/b');
  await fileSystem.createExclusive('/a/b/f', Buffer.alloc(0));
  await fileSystem.syncDirectory('/a/b');
  await fileSystem.syncDirectory('/a');
  expect(await outcomes(fileSystem, '/a/b/f')).toEqual(new Set(['absent', '']));
  await fileSystem.syncDirectory('/');
  expect(await outcomes(fileSystem, '/a/b/f')).toEqual(new Set(['']));
});

test('[STORAGE-12] a kill keeps all written bytes, until a power cut', async () => {
  const fileSystem = new MemoryFileSystem();
  await durableFile(fileSystem, '/f', OLD);
  const file = await fileSystem.open('/f', 'write');
  await file.write([NEW], 0);
  await fileSystem.rename('/f', '/g');
  await fileSystem.makeDirectory('/d');
  await fileSystem.createExclusive('/d/h', Buffer.from('h'));
  const after = fileSystem.kill();
  await file.write([OLD], 0); // the old one continues, separate from the new one
  await fileSystem.remove('/d/h');
  expect(await textOf(after, '/g')).toBe(NEW.toString());
  expect(await textOf(after, '/d/h')).toBe('h');
  const found = await outcomes(after, '/g');
  for (const text of ['absent', OLD.toString(), NEW.toString()]) expect(found).toContain(text);
  await (await after.open('/g', 'write')).sync();
  await after.syncDirectory('/');
  expect(await outcomes(after, '/g')).toEqual(new Set([NEW.toString()]));
});

test('[STORAGE-12] a crash does not change the running file system', async () => {
  const fileSystem = new MemoryFileSystem();
  const file = await durableFile(fileSystem, '/f', OLD);
  await file.write([NEW], 0);
  const after = fileSystem.crash(seededRandom(3));
  await (await after.open('/f', 'write')).truncate(0);
  expect(await textOf(fileSystem, '/f')).toBe(NEW.toString());
  expect(fileSystem.incarnation).not.toBe(after.incarnation);
});

test('[STORAGE-13] the n-th operation fails, and only that', async () => {
  const fileSystem = new MemoryFileSystem();
  const file = await fileSystem.open('/f', 'create');
  fileSystem.fail({ at: fileSystem.operationCount + 2, code: 'EIO' });
  await file.write([Buffer.from('a')], 0);
  expect(await failureOf(file.write([Buffer.from('b')], 1))).toBe('EIO');
  await file.write([Buffer.from('c')], 1);
  expect(await textOf(fileSystem, '/f')).toBe('ac');
});

test('[STORAGE-13] operations of a kind or path fail as often as asked', async () => {
  const fileSystem = new MemoryFileSystem();
  const file = await fileSystem.open('/f', 'create');
  const isWrite = ({ kind, path }: Operation) => kind === 'write' && path === '/f';
  fileSystem.fail({ at: isWrite, code: 'ENOSPC', times: 2, writtenBytes: 3 });
  expect(await failureOf(file.write([Buffer.from('abc'), Buffer.from('def')], 0))).toBe('ENOSPC');
  expect(await textOf(fileSystem, '/f')).toBe('abc');
  expect(await failureOf(file.write([Buffer.from('x')], 0))).toBe('ENOSPC');
  await file.write([Buffer.from('y')], 0);
  expect(await textOf(fileSystem, '/f')).toBe('ybc');

  const stop = fileSystem.fail({ at: ({ kind }) => kind === 'create', code: 'EACCES', times: 99 });
  expect(await failureOf(fileSystem.open('/g', 'create'))).toBe('EACCES');
  expect(await failureOf(fileSystem.createExclusive('/g', Buffer.alloc(0)))).toBe('EACCES');
  await (await fileSystem.open('/f', 'create')).close();
  stop();
  await (await fileSystem.open('/g', 'create')).close();
});

test('[STORAGE-13] a failed sync settles the bytes that it covered', async () => {
  const fileSystem = new MemoryFileSystem();
  const file = await durableFile(fileSystem, '/f', OLD);
  const found = new Set<string>();
  for (let each = 0; each < 20; each++) {
    await file.write([NEW], 0);
    fileSystem.fail({ at: ({ kind }) => kind === 'sync', code: 'EIO' });
    expect(await failureOf(file.sync())).toBe('EIO');
    expect(await textOf(fileSystem, '/f')).toBe(NEW.toString());
    await file.write([Buffer.from('later')], 3000);
    await file.sync();
    const all = await outcomes(fileSystem, '/f');
    expect(all.size).toBe(1); // settled by the failure, whatever the outcome
    for (const text of all) {
      expect(text.slice(3000)).toBe('later');
      found.add(text.slice(0, 2048));
    }
    await file.write([OLD], 0);
    await file.truncate(OLD.length);
    await file.sync();
  }
  expect(found).toContain(OLD.toString());
  expect(found).toContain(NEW.toString());
  expect(found.size).toBeGreaterThan(2);
});

test('[STORAGE-13] a failed syncDirectory settles the names that it covered', async () => {
  const found = new Set<string>();
  for (let each = 0; each < 20; each++) {
    const fileSystem = new MemoryFileSystem({ random: seededRandom(each) });
    await fileSystem.createExclusive('/f', Buffer.alloc(0));
    fileSystem.fail({ at: ({ kind }) => kind === 'syncDirectory', code: 'EIO' });
    expect(await failureOf(fileSystem.syncDirectory('/'))).toBe('EIO');
    expect(await textOf(fileSystem, '/f')).toBe('');
    await fileSystem.syncDirectory('/');
    const all = await outcomes(fileSystem, '/f');
    expect(all.size).toBe(1);
    for (const text of all) found.add(text);
  }
  expect(found).toEqual(new Set(['absent', '']));
});

test('[STORAGE-14] a full disk takes part of a write, and later the rest', async () => {
  const fileSystem = new MemoryFileSystem({ capacityBytes: 10 });
  await fileSystem.createExclusive('/other', Buffer.from('1234'));
  const file = await fileSystem.open('/f', 'create');
  expect(await failureOf(file.write([Buffer.from('abcd'), Buffer.from('efgh')], 0))).toBe('ENOSPC');
  expect(await textOf(fileSystem, '/f')).toBe('abcdef');
  expect(fileSystem.usedBytes).toBe(10);
  await file.write([Buffer.from('ABC')], 2); // within the file: needs no space
  expect(await failureOf(file.write([Buffer.from('x')], 6))).toBe('ENOSPC');
  await fileSystem.remove('/other');
  await file.write([Buffer.from('ghij')], 6);
  expect(await textOf(fileSystem, '/f')).toBe('abABCfghij');
  await file.truncate(1);
  expect(fileSystem.usedBytes).toBe(1);
  fileSystem.capacityBytes = 12;
  await file.write([Buffer.alloc(11, 'z')], 1);
  expect(await failureOf(file.write([Buffer.from('x')], 12))).toBe('ENOSPC');
});

test('[STORAGE-15] the same calls with the same seed have the same outcome', async () => {
  const runs: string[] = [];
  for (let run = 0; run < 2; run++) {
    const operations: string[] = [];
    const fileSystem: MemoryFileSystem = new MemoryFileSystem({
      random: seededRandom(42),
      onOperation: ({ number, kind, path }) => operations.push(`${number} ${kind} ${path}`),
    });
    const files = await Promise.all(
      ['/a', '/b', '/c'].map((path) => fileSystem.open(path, 'create')),
    );
    await Promise.all(
      files.flatMap((file) => [file.write([NEW], 0), file.sync(), file.truncate(1000)]),
    );
    const after = fileSystem.crash();
    for (const path of ['/a', '/b', '/c']) operations.push(await textOf(after, path));
    runs.push(operations.join('\n'));
  }
  expect(runs[0]).toBe(runs[1]);
});

test('[STORAGE-15] every operation is reported before its caller knows', async () => {
  const seen: string[] = [];
  const fileSystem: MemoryFileSystem = new MemoryFileSystem({
    onOperation: ({ number, kind, to }) => {
      expect(number).toBe(fileSystem.operationCount);
      seen.push(to === undefined ? kind : `${kind} to ${to}`);
    },
  });
  await fileSystem.makeDirectory('/d');
  await fileSystem.createExclusive('/d/f', Buffer.from('x'));
  await fileSystem.rename('/d/f', '/d/g');
  await fileSystem.syncDirectory('/d');
  fileSystem.fail({ at: () => true, code: 'EIO' });
  expect(await failureOf(fileSystem.list('/d'))).toBe('EIO');
  await fileSystem.removeDirectory('/d');
  expect(seen).toEqual([
    ...['makeDirectory', 'create', 'rename to /d/g', 'syncDirectory', 'list'],
    ...['remove', 'removeDirectory'],
  ]);
  expect(fileSystem.openFileCount).toBe(0);
});
