import { expect, test } from 'vitest';
import { codeOf } from '../../test/kit/codes.ts';
import { seededRandom } from '../random.ts';
import { replaceFile } from './atomic-file.ts';
import { MemoryFileSystem } from './memory-fs.ts';
import type { OperationKind } from './memory-operations.ts';

const OLD = 'old content, of '.repeat(100);
const NEW = 'new one, longer '.repeat(150);
const OUTCOMES = 20;

async function withOldContent(): Promise<MemoryFileSystem> {
  const fileSystem = new MemoryFileSystem();
  await fileSystem.makeDirectory('/d');
  await fileSystem.syncDirectory('/');
  await replaceFile(fileSystem, '/d/f', Buffer.from(OLD));
  return fileSystem;
}

async function contentOf(fileSystem: MemoryFileSystem): Promise<string> {
  return (await fileSystem.readFile('/d/f')).toString();
}

test('[STORAGE-16] a crash anywhere leaves the old or the new content whole', async () => {
  const before = await withOldContent();
  const images: MemoryFileSystem[] = [];
  const fileSystem: MemoryFileSystem = new MemoryFileSystem({
    onOperation: () => {
      images.push(fileSystem.kill());
      for (let seed = 0; seed < OUTCOMES; seed++) images.push(fileSystem.crash(seededRandom(seed)));
    },
  });
  await fileSystem.makeDirectory('/d');
  await fileSystem.syncDirectory('/');
  await replaceFile(fileSystem, '/d/f', Buffer.from(await contentOf(before)));
  images.length = 0;
  await replaceFile(fileSystem, '/d/f', Buffer.from(NEW));
  const found = new Set<string>();
  for (const image of images) {
    found.add(await contentOf(image));
    await replaceFile(image, '/d/f', Buffer.from('next')); // left-overs do not get in the way
    expect(await contentOf(image)).toBe('next');
  }
  expect(found).toEqual(new Set([OLD, NEW]));
});

test('[STORAGE-16] the new content survives every crash once the call resolves', async () => {
  const fileSystem = await withOldContent();
  await replaceFile(fileSystem, '/d/f', Buffer.from(NEW));
  for (let seed = 0; seed < OUTCOMES; seed++) {
    expect(await contentOf(fileSystem.crash(seededRandom(seed)))).toBe(NEW);
  }
});

test.each([
  ['EIO', 'KAFKA_STORAGE_ERROR'],
  ['ENOSPC', 'DISK_FULL'],
  ['EDQUOT', 'DISK_FULL'],
])(
  '[STORAGE-16] %s in any operation is %s, and leaves one of the contents',
  async (errno, code) => {
    for (let number = 1; ; number++) {
      const fileSystem = await withOldContent();
      const at = fileSystem.operationCount + number;
      let failed: OperationKind | undefined;
      fileSystem.fail({ at, code: errno, writtenBytes: 700 });
      fileSystem.onOperation = ({ number: done, kind }) => {
        if (done === at) failed = kind;
      };
      const result = await codeOf(replaceFile(fileSystem, '/d/f', Buffer.from(NEW)));
      if (result === 'resolved') {
        expect(fileSystem.operationCount).toBe(at - 1); // every operation was tried
        break;
      }
      // The new name may be lost, and a repeated sync would not report it.
      expect(result).toBe(failed === 'syncDirectory' ? 'KAFKA_STORAGE_ERROR' : code);
      expect([OLD, NEW]).toContain(await contentOf(fileSystem));
      expect(fileSystem.openFileCount).toBe(0);
      await replaceFile(fileSystem, '/d/f', Buffer.from(NEW));
      expect(await contentOf(fileSystem)).toBe(NEW);
    }
  },
);
