import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nodeFileSystem, type File, type FileSystem } from '../../core/index.ts';
import { connectFailure, inputFile, readRows } from '../../test/kit/connect.ts';
import { ConnectError } from '../errors.ts';
import type { InputFile } from './format.ts';
import { lines } from './lines.ts';

const CHUNK_BYTES = 512 * 1024;

/** The machine's disk; `read` sees each read of a file. */
function watched(read: (file: File, target: Buffer, position: number) => Promise<number>) {
  const open: FileSystem['open'] = async (path, mode) => {
    const file = await nodeFileSystem.open(path, mode);
    return {
      path,
      read: (target, position) => read(file, target, position),
      sizeBytes: () => file.sizeBytes(),
      close: () => file.close(),
    } as File;
  };
  return { ...nodeFileSystem, open };
}

function inputOf(path: string, fileSystem: FileSystem): InputFile {
  const badOffset = () => new ConnectError('INVALID_STATE', 'bad', { operation: '', state: '' });
  return { fileSystem, path, offset: undefined, isFollowed: false, isCarried: true, badOffset };
}

const numbered = (count: number) => Array.from({ length: count }, (_, index) => `line ${index}`);

test('[CONNECT-TEXT-16] the next part of a file is read while the one before is used', async () => {
  const all = numbered(200_000);
  const positions: number[] = [];
  let last: Promise<number> = Promise.resolve(0);
  const fileSystem = watched((file, target, position) => {
    positions.push(position);
    return (last = file.read(target, position));
  });
  const reader = await lines().open(inputOf(inputFile(`${all.join('\n')}\n`), fileSystem));
  const found: string[] = [];
  for (let batch = await reader.next(); batch !== undefined; batch = await reader.next()) {
    const { bytes, bounds, count } = batch.packed!;
    if (found.length === 0) expect(positions).toEqual([0, CHUNK_BYTES]);
    await last; // what is read ahead must not touch what is in use
    for (let index = 0; index < count; index++) {
      found.push(bytes.toString('utf8', bounds[2 * index], bounds[2 * index + 1]));
    }
  }
  await reader.close();
  expect(found).toEqual(all);
});

test('[CONNECT-TEXT-16] a failure ahead comes behind the rows before it', async () => {
  const path = inputFile(`${numbered(100_000).join('\n')}\n`);
  const fileSystem = watched((file, target, position) => {
    if (position < CHUNK_BYTES) return file.read(target, position);
    return Promise.reject(Object.assign(new Error('a bad sector'), { code: 'EIO' }));
  });
  const reader = await lines().open(inputOf(path, fileSystem));
  expect((await reader.next())?.packed?.count).toBeGreaterThan(10_000);
  expect(await connectFailure(reader.next())).toMatchObject({ code: 'STORAGE_FAILED' });
  await reader.close();
});

test('[CONNECT-TEXT-16] a reader that is closed waits for what it reads ahead', async () => {
  const path = inputFile(`${numbered(100_000).join('\n')}\n`);
  let isReading = false;
  const fileSystem = watched(async (file, target, position) => {
    if (position < CHUNK_BYTES) return file.read(target, position);
    isReading = true;
    await new Promise((resolve) => setTimeout(resolve, 5));
    const count = await file.read(target, position);
    isReading = false;
    return count;
  });
  const reader = await lines().open(inputOf(path, fileSystem));
  await reader.next();
  expect(isReading).toBe(true);
  await reader.close();
  expect(isReading).toBe(false);
});

test('[CONNECT-TEXT-16] lines of any length are whole, wherever parts end', async () => {
  const length = fc.oneof(
    fc.nat(200),
    fc.constantFrom(0, 15 * 1024 - 1, 15 * 1024, 16 * 1024, CHUNK_BYTES - 1, CHUNK_BYTES, 600_000),
  );
  const text = fc.array(length, { minLength: 1, maxLength: 60 }).map((lengths) => {
    return lengths.map((each, index) => String(index % 10).repeat(each));
  });
  await fc.assert(
    fc.asyncProperty(text, async (all) => {
      const rows = await readRows(lines(), inputFile(`${all.join('\n')}\n`));
      expect(rows.map((row) => row.length)).toEqual(all.map((row) => row.length));
      expect(rows.join('\n') === all.join('\n')).toBe(true);
    }),
    { numRuns: 30 },
  );
});
