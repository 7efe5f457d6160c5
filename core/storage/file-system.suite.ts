import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import type { FileSystem } from './file-system.ts';
import { errnoOf } from './node-fs.ts';

/** An empty directory for the suite. */
export interface FileSystemUnderTest {
  readonly fileSystem: FileSystem;
  readonly directory: string;
}

/** The contract of `file-system.ts`, as tests that every implementation must pass. */
export function fileSystemSuite(name: string, setUp: () => Promise<FileSystemUnderTest>): void {
  describe(`${name} as a FileSystem`, () => {
    let fileSystem: FileSystem;
    let directory: string;
    let path: string;

    beforeEach(async () => {
      ({ fileSystem, directory } = await setUp());
      path = join(directory, 'file');
    });

    testFiles();
    testWriting();
    testNames();
    testDirectories();

    async function create(content = ''): Promise<void> {
      await fileSystem.createExclusive(path, Buffer.from(content));
    }

    async function codeOf(call: Promise<unknown>): Promise<string | undefined> {
      return call.then(() => 'no error', errnoOf);
    }

    function testFiles(): void {
      test('[STORAGE-1] read and write need the file; create creates it', async () => {
        expect(await codeOf(fileSystem.open(path, 'read'))).toBe('ENOENT');
        expect(await codeOf(fileSystem.open(path, 'write'))).toBe('ENOENT');
        expect(await codeOf(fileSystem.readFile(path))).toBe('ENOENT');
        expect(await codeOf(fileSystem.open(join(directory, 'no', 'file'), 'create'))).toBe(
          'ENOENT',
        );
        await (await fileSystem.open(path, 'create')).close();
        const again = await fileSystem.open(path, 'create');
        expect(again.path).toBe(path);
        expect(await again.sizeBytes()).toBe(0);
        await again.close();
        await (await fileSystem.open(path, 'read')).close();
      });

      test('[STORAGE-1] opening with create keeps the content of the file', async () => {
        await create('kept');
        const file = await fileSystem.open(path, 'create');
        expect(await file.sizeBytes()).toBe(4);
        await file.close();
        expect((await fileSystem.readFile(path)).toString()).toBe('kept');
      });

      test('[STORAGE-1] a file opened to read refuses writes, a closed one all', async () => {
        await create('text');
        const file = await fileSystem.open(path, 'read');
        expect(await codeOf(file.write([Buffer.from('x')], 0))).toBe('EBADF');
        await file.close();
        expect(await codeOf(file.read(Buffer.alloc(1), 0))).toBe('EBADF');
        expect(await codeOf(file.close())).toBe('EBADF');
        expect((await fileSystem.readFile(path)).toString()).toBe('text');
      });

      test('[STORAGE-2] a read fills its target, except at the end of the file', async () => {
        await create('0123456789');
        const file = await fileSystem.open(path, 'read');
        const target = Buffer.alloc(4, '.');
        expect(await file.read(target, 3)).toBe(4);
        expect(target.toString()).toBe('3456');
        expect(await file.read(target, 8)).toBe(2);
        expect(target.toString()).toBe('8956'); // the unread part stays
        expect(await file.read(target, 10)).toBe(0);
        expect(await file.read(target, 1000)).toBe(0);
        expect(await file.read(Buffer.alloc(0), 0)).toBe(0);
        await file.close();
      });

      test('[STORAGE-2] a read into part of a buffer leaves the rest alone', async () => {
        await create('abc');
        const file = await fileSystem.open(path, 'read');
        const whole = Buffer.alloc(5, '.');
        expect(await file.read(whole.subarray(1, 4), 0)).toBe(3);
        expect(whole.toString()).toBe('.abc.');
        await file.close();
      });

      test('[STORAGE-2] reads may overlap with each other and with writes elsewhere', async () => {
        const content = Buffer.alloc(100_000, 'old ');
        await fileSystem.createExclusive(path, content);
        const file = await fileSystem.open(path, 'write');
        const targets = Array.from({ length: 20 }, () => Buffer.alloc(5000));
        const reads = targets.map((target, index) => file.read(target, index * 4000));
        const write = file.write([Buffer.alloc(1000, 'new ')], content.length);
        expect(await Promise.all(reads)).toEqual(targets.map(({ length }) => length));
        await write;
        for (const [index, target] of targets.entries()) {
          expect(target.equals(content.subarray(index * 4000, index * 4000 + 5000))).toBe(true);
        }
        expect(await file.sizeBytes()).toBe(101_000);
        await file.close();
      });
    }

    function testWriting(): void {
      test('[STORAGE-3] buffers are written in order from the position', async () => {
        const file = await fileSystem.open(path, 'create');
        await file.write([Buffer.from('world'), Buffer.alloc(0), Buffer.from('!')], 6);
        await file.write([Buffer.from('hello'), Buffer.from(' ')], 0);
        await file.write([], 50);
        await file.write([Buffer.alloc(0)], 60);
        await file.sync();
        await file.close();
        expect((await fileSystem.readFile(path)).toString()).toBe('hello world!');
      });

      test('[STORAGE-3] a write past the end leaves zeros before it', async () => {
        const file = await fileSystem.open(path, 'create');
        await file.write([Buffer.from('x')], 700);
        await file.close();
        const content = await fileSystem.readFile(path);
        expect(content.length).toBe(701);
        expect(content.subarray(0, 700).every((byte) => byte === 0)).toBe(true);
      });

      test('[STORAGE-3] more buffers than one system call takes are written', async () => {
        const buffers = Array.from({ length: 2500 }, (_, index) => Buffer.from(`${index},`));
        const file = await fileSystem.open(path, 'create');
        await file.write(buffers, 3);
        await file.close();
        const content = await fileSystem.readFile(path);
        expect(content.subarray(3).equals(Buffer.concat(buffers))).toBe(true);
      });

      test('[STORAGE-3] only the viewed part of larger memory is written', async () => {
        const memory = Buffer.from('0123456789');
        const file = await fileSystem.open(path, 'create');
        await file.write([new Uint8Array(memory.buffer, memory.byteOffset + 2, 3)], 0);
        await file.close();
        expect((await fileSystem.readFile(path)).toString()).toBe('234');
      });

      test('[STORAGE-4] truncation cuts, and extends with zeros', async () => {
        await create('0123456789');
        const file = await fileSystem.open(path, 'write');
        await file.truncate(4);
        expect(await file.sizeBytes()).toBe(4);
        await file.truncate(6);
        expect((await fileSystem.readFile(path)).toString()).toBe('0123\0\0');
        await file.truncate(0);
        expect(await file.read(Buffer.alloc(4), 0)).toBe(0);
        await file.write([Buffer.from('ab')], 1);
        expect((await fileSystem.readFile(path)).toString()).toBe('\0ab');
        await file.close();
      });
    }

    function testNames(): void {
      test('[STORAGE-5] createExclusive refuses a name that is taken', async () => {
        await create('first');
        expect(await codeOf(fileSystem.createExclusive(path, Buffer.from('second')))).toBe(
          'EEXIST',
        );
        expect(await codeOf(fileSystem.createExclusive(directory, Buffer.alloc(0)))).toBe('EEXIST');
        expect((await fileSystem.readFile(path)).toString()).toBe('first');
      });

      test('[STORAGE-5] an exclusively created file is never seen in part', async () => {
        const content = Buffer.alloc(2_000_000, 'x');
        const seen = new Set<number | undefined>();
        for (let round = 0; round < 20; round++) {
          const creation = fileSystem.createExclusive(path, content);
          for (let look = 0; look < 10; look++) seen.add((await fileSystem.stat(path))?.sizeBytes);
          await creation;
          await fileSystem.remove(path);
        }
        expect([undefined, content.length]).toEqual(expect.arrayContaining([...seen]));
        expect(await fileSystem.list(directory)).toEqual([]);
      });

      test('[STORAGE-5] one of many exclusive creations wins', async () => {
        const attempts = Array.from({ length: 10 }, (_, index) =>
          fileSystem.createExclusive(path, Buffer.from(`${index}`)),
        );
        const results = await Promise.allSettled(attempts);
        const winners = results.flatMap(({ status }, index) =>
          status === 'fulfilled' ? [index] : [],
        );
        expect(winners).toHaveLength(1);
        expect((await fileSystem.readFile(path)).toString()).toBe(String(winners[0]));
      });

      test('[STORAGE-6] rename moves a file and replaces another', async () => {
        const other = join(directory, 'other');
        await create('new');
        await fileSystem.createExclusive(other, Buffer.from('old content'));
        await fileSystem.rename(path, other);
        expect(await fileSystem.stat(path)).toBeUndefined();
        expect((await fileSystem.readFile(other)).toString()).toBe('new');
        expect(await codeOf(fileSystem.rename(path, other))).toBe('ENOENT');
        expect((await fileSystem.readFile(other)).toString()).toBe('new');
        await fileSystem.rename(other, other);
        expect((await fileSystem.readFile(other)).toString()).toBe('new');
      });

      test('[STORAGE-6] rename moves a directory with all in it', async () => {
        const [from, to] = [join(directory, 'a'), join(directory, 'b')];
        await fileSystem.makeDirectory(join(from, 'inner'));
        await fileSystem.createExclusive(join(from, 'inner', 'f'), Buffer.from('x'));
        await fileSystem.rename(from, to);
        expect((await fileSystem.readFile(join(to, 'inner', 'f'))).toString()).toBe('x');
        expect(await fileSystem.stat(from)).toBeUndefined();
        await fileSystem.makeDirectory(from);
        await fileSystem.rename(from, join(directory, 'c'));
        await fileSystem.makeDirectory(from);
        expect(await codeOf(fileSystem.rename(from, to))).toBe('ENOTEMPTY');
        expect(await codeOf(fileSystem.rename(to, join(to, 'inner', 'deeper')))).toBe('EINVAL');
      });

      test('[STORAGE-6] an open file keeps its content when its name goes', async () => {
        await create('content');
        const file = await fileSystem.open(path, 'write');
        await fileSystem.rename(path, `${path}.deleted`);
        await file.write([Buffer.from('CON')], 0);
        expect((await fileSystem.readFile(`${path}.deleted`)).toString()).toBe('CONtent');
        await fileSystem.remove(`${path}.deleted`);
        const target = Buffer.alloc(7);
        expect(await file.read(target, 0)).toBe(7);
        expect(target.toString()).toBe('CONtent');
        await file.close();
      });

      test('[STORAGE-7] remove removes a file, and fails if there is none', async () => {
        await create();
        await fileSystem.remove(path);
        expect(await fileSystem.stat(path)).toBeUndefined();
        expect(await codeOf(fileSystem.remove(path))).toBe('ENOENT');
        expect(await codeOf(fileSystem.remove(join(path, 'below')))).toBe('ENOENT');
      });
    }

    function testDirectories(): void {
      test('[STORAGE-8] list returns the entries of a directory', async () => {
        expect(await fileSystem.list(directory)).toEqual([]);
        await create();
        await fileSystem.makeDirectory(join(directory, 'sub', 'subsub'));
        const entries = await fileSystem.list(directory);
        expect(entries.toSorted((a, b) => a.name.localeCompare(b.name))).toEqual([
          { name: 'file', isDirectory: false },
          { name: 'sub', isDirectory: true },
        ]);
        expect(await codeOf(fileSystem.list(join(directory, 'none')))).toBe('ENOENT');
        expect(await codeOf(fileSystem.list(path))).toBe('ENOTDIR');
      });

      test('[STORAGE-8] stat describes a path', async () => {
        await create('12345');
        const stat = await fileSystem.stat(path);
        expect(stat).toMatchObject({ sizeBytes: 5, isDirectory: false });
        expect(stat?.modifiedMs).toBeTypeOf('number');
        expect(await fileSystem.stat(directory)).toMatchObject({ isDirectory: true });
        expect(await fileSystem.stat(join(directory, 'none'))).toBeUndefined();
        expect(await fileSystem.stat(join(directory, 'none', 'below'))).toBeUndefined();
      });

      test('[STORAGE-9] makeDirectory creates parents too, and may be repeated', async () => {
        const deep = join(directory, 'a', 'b', 'c');
        await fileSystem.makeDirectory(deep);
        await fileSystem.makeDirectory(deep);
        expect(await fileSystem.stat(deep)).toMatchObject({ isDirectory: true });
        await create();
        expect(await codeOf(fileSystem.makeDirectory(path))).toBe('EEXIST');
        expect(await codeOf(fileSystem.makeDirectory(join(path, 'below')))).toBe('ENOTDIR');
      });

      test('[STORAGE-9] removeDirectory removes all in it; a missing one is no error', async () => {
        const above = join(directory, 'a');
        await fileSystem.makeDirectory(join(above, 'b', 'c'));
        await fileSystem.createExclusive(join(above, 'b', 'f'), Buffer.from('x'));
        await fileSystem.removeDirectory(above);
        await fileSystem.removeDirectory(above);
        expect(await fileSystem.list(directory)).toEqual([]);
      });

      test('[STORAGE-9] syncDirectory syncs a directory', async () => {
        await create();
        await fileSystem.syncDirectory(directory);
        expect(await codeOf(fileSystem.syncDirectory(join(directory, 'none')))).toBe('ENOENT');
      });
    }
  });
}
