import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nodeFileSystem, systemClock, type FileSystem } from '../../../core/index.ts';
import { failureOf } from '../../../test/kit/connect.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { ConnectError } from '../../errors.ts';
import type { InputFile } from '../format.ts';
import { openBytes } from './open-bytes.ts';
import { SMALL_BYTES, SmallFiles } from './small-file.ts';

function inputOf(path: string, more: Partial<InputFile> = {}): InputFile {
  const badOffset = () => new ConnectError('INVALID_STATE', 'bad', { operation: '', state: '' });
  const input = { fileSystem: nodeFileSystem, path, offset: undefined, badOffset };
  return { ...input, isFollowed: false, foundBytes: 1, ...more };
}

test('[CONNECT-MANY-7] a small file is read at once, in the same way as a large one', async () => {
  const directory = temporaryDirectory();
  for (const size of [0, 1, SMALL_BYTES, SMALL_BYTES + 1]) {
    const path = join(directory, String(size));
    const content = Buffer.alloc(size, 'x');
    writeFileSync(path, content);
    for (const foundBytes of [0, undefined]) {
      const input = await openBytes(inputOf(path, { foundBytes }));
      const target = Buffer.alloc(size + 2, 'y');
      expect(await input.read(target, 0)).toBe(size);
      expect(target.subarray(0, size).equals(content)).toBe(true);
      expect([input.sizeBytes, input.isWhole, input.doneBytes(7)]).toEqual([size, true, 7]);
      expect(await input.read(target, size)).toBe(0);
      await input.close();
    }
  }
});

test('[CONNECT-MANY-7] on a slow disk files are opened in the other way, for a while', () => {
  const path = join(temporaryDirectory(), 'file');
  writeFileSync(path, 'x');
  let nowMs = 0;
  let costMs = 100;
  const clock = { ...systemClock, monotonicMs: () => (nowMs += costMs / 2) };
  const files = new SmallFiles(clock);
  expect(files.read(path, true)).toBeDefined();
  costMs = 0;
  for (let index = 0; index < 1_000; index++) expect(files.read(path, true)).toBe(undefined);
  for (let index = 0; index < 50; index++) expect(files.read(path, true)).toBeDefined();
  // One slow file among many is no slow disk.
  costMs = 10;
  expect(files.read(path, true)).toBeDefined();
  costMs = 0;
  expect(files.read(path, true)).toBeDefined();
});

test('[CONNECT-MANY-7] what is no small file of the disk is opened in the other way', async () => {
  const directory = temporaryDirectory();
  const files = new SmallFiles();
  const large = join(directory, 'large');
  writeFileSync(large, Buffer.alloc(SMALL_BYTES + 1));
  expect(files.read(large, true)).toBe(undefined);
  mkdirSync(join(directory, 'below'));
  expect(files.read(join(directory, 'below'), true)).toBe(undefined);
  // A pipe without a writer would block whoever opens it.
  const pipe = join(directory, 'pipe');
  if (spawnSync('mkfifo', [pipe]).status === 0) expect(files.read(pipe, true)).toBe(undefined);
  let opened = 0;
  const open: FileSystem['open'] = (...args) => {
    opened++;
    return nodeFileSystem.open(...args);
  };
  const other = { ...nodeFileSystem, open };
  await (await openBytes(inputOf(large, { fileSystem: other }))).close();
  expect(opened).toBe(1);
  const missing = await failureOf(openBytes(inputOf(join(directory, 'missing'))));
  expect((missing as NodeJS.ErrnoException).code).toBe('ENOENT');
});
