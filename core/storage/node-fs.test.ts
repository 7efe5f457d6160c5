import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
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
