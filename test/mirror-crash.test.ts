import { join } from 'node:path';
import { expect, test } from 'vitest';
import { json, openLog, silentLogger, string, topic } from '../core/index.ts';
import { runChild } from './kit/child.ts';
import { readTopic } from './kit/read-topic.ts';
import { temporaryDirectory } from './kit/temporary-directory.ts';

const PROGRAM = 'test/kit/mirror-process.ts';
const STEPS = ['source-1-flush', 'source-2-offsets', 'source-3-end', 'source-4-committed'];

test('[CONNECT-MIRROR-1] kill -9 at each step, with both logs: each record once', async () => {
  const directory = temporaryDirectory();
  for (const [index, step] of STEPS.entries()) {
    const { how, output } = await runChild(PROGRAM, [directory, step, String(1 + (index % 2))]);
    expect([step, how, output]).toEqual([step, 'SIGKILL', '']);
  }
  const { how, output } = await runChild(PROGRAM, [directory]);
  expect([how, output]).toEqual(['0', 'done\n']);

  const names = { key: string(), value: json<number>() };
  const read = async (log: string, name: string): Promise<unknown[][]> => {
    await using opened = await openLog(join(directory, log), { logger: silentLogger });
    const records = await readTopic(opened, topic(name, names), 'read_committed');
    return records.map(({ partition, key, value, timestampMs }) => {
      return [partition, key, value, timestampMs];
    });
  };
  const originals = await read('from', 'rows');
  expect(originals).toHaveLength(600);
  expect(await read('to', 'primary.rows')).toEqual(originals);
}, 120_000);
