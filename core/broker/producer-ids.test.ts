import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { codeOf } from '../../test/kit/codes.ts';
import { errno, FaultyFileSystem } from '../../test/kit/faulty-fs.ts';
import { readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { openLog } from '../client/open-log.ts';
import { topic } from '../client/topic.ts';
import { silentLogger } from '../logger.ts';
import { string } from '../serde/text.ts';
import { nodeFileSystem } from '../storage/node-fs.ts';
import { ProducerIds } from './producer-ids.ts';

const letters = topic('letters', { key: string(), value: string(), partitions: 1 });

test('[PRODUCER-14] after a restart, no record is taken for an earlier producer’s', async () => {
  const directory = temporaryDirectory();
  for (const value of ['a', 'b', 'c']) {
    await using log = await openLog(directory, { logger: silentLogger });
    await log.producer().send(letters, { value });
  }
  await using log = await openLog(directory, { logger: silentLogger });
  expect(await readValues(log, letters)).toEqual(['a', 'b', 'c']);
});

test('[PRODUCER-14] nor after the file of the ids was lost', async () => {
  const directory = temporaryDirectory();
  for (const value of ['a', 'b', 'c']) {
    await using log = await openLog(directory, { logger: silentLogger });
    await log.producer().send(letters, { value });
    rmSync(join(directory, 'producer-ids'));
  }
  await using log = await openLog(directory, { logger: silentLogger });
  expect(await readValues(log, letters)).toEqual(['a', 'b', 'c']);
});

test('[PRODUCER-14] ids are handed out once, also when many ask and across restarts', async () => {
  const directory = temporaryDirectory();
  const used = new Set<number>();
  for (let opening = 0; opening < 4; opening++) {
    const ids = new ProducerIds(nodeFileSystem, directory);
    await ids.open(-1);
    const handedOut = await Promise.all(Array.from({ length: 1500 }, () => ids.next()));
    for (const id of handedOut) used.add(id);
  }
  expect(used.size).toBe(6000);
});

test('[PRODUCER-14] an id whose block could not be written is not handed out', async () => {
  const directory = temporaryDirectory();
  let isFull = true;
  const fileSystem = new FaultyFileSystem(({ name }) =>
    isFull && name === 'write' ? errno('ENOSPC') : undefined,
  );
  const ids = new ProducerIds(fileSystem, directory);
  await ids.open(41);
  expect(await codeOf(ids.next())).toBe('DISK_FULL');
  isFull = false;
  expect(await Promise.all([ids.next(), ids.next()])).toEqual([42, 43]);
});

test('[PRODUCER-14] a damaged file is reported, not guessed', async () => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, 'producer-ids'), '10x0\n');
  const opening = openLog(directory, { logger: silentLogger });
  expect(await codeOf(opening)).toBe('CORRUPT_FILE');
});
