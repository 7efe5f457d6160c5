import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { openLog } from '../client/open-log.ts';
import { LogError } from '../errors.ts';
import { silentLogger } from '../logger.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';

const logger = silentLogger;

/** Why a directory is refused, or undefined. */
async function refusal(directory: string): Promise<string | undefined> {
  try {
    await (await openLog(directory, { logger })).close();
    return undefined;
  } catch (error) {
    if (!LogError.is(error, 'DIRECTORY_UNUSABLE')) throw error;
    return error.details.reason;
  }
}

describe('[LOG-30] a log does not settle among other files', () => {
  test.each([
    ['one file', ['flights.csv'], 'flights.csv'],
    ['two files', ['b.csv', 'a.csv'], 'a.csv, b.csv'],
    ['many files', ['a.csv', 'b.csv', 'c.csv', 'd.csv'], 'a.csv, b.csv and 2 more'],
    ['a folder', ['holidays/'], 'holidays'],
    ['a folder named as a partition is', ['backup-2024/'], 'backup-2024'],
    ['a file named as a partition is', ['notes-2024'], 'notes-2024'],
  ])('%s: refused, and nothing is changed', async (_, names, told) => {
    const directory = temporaryDirectory();
    for (const name of names) {
      if (name.endsWith('/')) mkdirSync(join(directory, name));
      else writeFileSync(join(directory, name), 'mine');
    }
    const reason = await refusal(directory);
    expect(reason).toBe(
      `it holds other files, and no log (${told}); choose an empty or new directory`,
    );
    expect(readdirSync(directory).sort()).toEqual(
      names.map((name) => name.replace('/', '')).sort(),
    );
  });

  test.each([
    ['hidden files', ['.gitkeep', '.DS_Store']],
    ['what a file system keeps there', ['lost+found/']],
    ['the stores of streams', ['streams/']],
    ['a lock, by a process that died in between', ['.lock']],
    ['an identity, by a process that died in between', ['.lock', 'meta.properties.tmp']],
    ['what a Kafka broker begins with', ['recovery-point-offset-checkpoint', 'somebodys.csv']],
    ['a copy of a partition', ['orders-0/partition.metadata', 'notes.txt']],
  ])('%s: no reason to refuse', async (_, names) => {
    const directory = temporaryDirectory();
    for (const name of names) {
      if (name.includes('/')) mkdirSync(join(directory, name.split('/')[0]!));
      if (!name.endsWith('/')) writeFileSync(join(directory, name), '');
    }
    expect(await refusal(directory)).toBeUndefined();
  });

  test('files that come later, beside the log, are no reason', async () => {
    const directory = temporaryDirectory();
    await (await openLog(directory, { logger })).close();
    writeFileSync(join(directory, 'flights.csv'), 'mine');
    expect(await refusal(directory)).toBeUndefined();
  });

  test('a first opening that dies at any moment', async () => {
    const images: MemoryFileSystem[] = [];
    const fileSystem: MemoryFileSystem = new MemoryFileSystem({
      onOperation: () => void images.push(fileSystem.kill(), fileSystem.crash()),
    });
    await (await openLog('/data', { fileSystem, logger })).close();
    expect(images.length).toBeGreaterThan(50);
    for (const image of images) {
      await (await openLog('/data', { fileSystem: image, logger })).close();
    }
  });
});

test.runIf(process.platform === 'linux')(
  '[STORAGE-22] where no directory can be made, opening fails at once and says so',
  async () => {
    expect(await refusal('/proc/nope')).toMatch(/lets nobody make directories there; choose/);
    expect(await refusal('/proc/nope/below')).toMatch(/lets nobody make directories there/);
  },
);
