import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { fileSystemSuite } from './file-system.suite.ts';
import { nodeFileSystem } from './node-fs.ts';

const made: string[] = [];

afterEach(async () => {
  for (const directory of made.splice(0)) await rm(directory, { recursive: true });
});

fileSystemSuite('nodeFileSystem', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-fs-'));
  made.push(directory);
  return { fileSystem: nodeFileSystem, directory };
});

test('directories with one missing parent can be made at the same time', async () => {
  const root = temporaryDirectory();
  for (let round = 0; round < 300; round++) {
    const parent = join(root, String(round));
    const names = ['a', 'b', 'c', 'd'];
    await Promise.all(names.map((name) => nodeFileSystem.makeDirectory(join(parent, name))));
    const made = await nodeFileSystem.list(parent);
    expect(made.map(({ name }) => name).sort()).toEqual(names);
  }
});
