import { expect, test } from 'vitest';
import {
  json,
  LogError,
  openLog,
  seededRandom,
  silentLogger,
  string,
  topic,
  type Log,
} from '../../core/index.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { failureOf } from '../../test/kit/connect.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import type { SourceConnector } from '../connector.ts';
import { SourceRunner } from './source-runner.ts';

const numbers = topic('numbers', { key: string(), value: json<number>(), partitions: 2 });
const PARTS = ['a', 'b'];
const END = 12;

/** Two tasks that each count to END, three numbers per batch. */
const counter: SourceConnector = {
  name: 'counter',
  topics: [numbers],
  isBounded: true,
  open: async (context) =>
    PARTS.map((part) => {
      let next = Number(context.offset({ part })?.['next'] ?? 0);
      return {
        poll: async () => {
          if (next >= END) return undefined;
          const values = [next, next + 1, next + 2];
          next += 3;
          const records = values.map((value) => ({ topic: numbers, key: part, value }));
          return { records, partition: { part }, offset: { next } };
        },
        close: async () => undefined,
      };
    }),
};

const open = (fileSystem: MemoryFileSystem, seed: number): Promise<Log> =>
  openLog('/data', { fileSystem, random: seededRandom(seed), logger: silentLogger });

async function work(disk: MemoryFileSystem, seed: number): Promise<void> {
  const log = await open(disk, seed);
  await new SourceRunner(log, counter, { commitRecordsMax: 5 }).run();
  await log.close();
}

/** Continues after a crash; then each number must be in the topic once, and in order. */
async function checkRecovery(disk: MemoryFileSystem, seed: number): Promise<void> {
  const log = await open(disk, seed);
  await new SourceRunner(log, counter, { commitRecordsMax: 5 }).run();
  const records = await readTopic(log, numbers, 'read_committed');
  for (const part of PARTS) {
    const values = records.filter(({ key }) => key === part).map(({ value }) => value);
    expect(values).toEqual(Array.from({ length: END }, (_, value) => value));
  }
  await log.close();
}

test.each([
  ['power cut', 1, (disk: MemoryFileSystem) => disk.crash(seededRandom(11))],
  ['power cut', 2, (disk: MemoryFileSystem) => disk.crash(seededRandom(12))],
  ['kill', 3, (disk: MemoryFileSystem) => disk.kill()],
] as const)(
  '[CONNECT-SOURCE-1] %s after each operation on the disk: each record once (seed %i)',
  async (_, seed, crash) => {
    const moments: MemoryFileSystem[] = [];
    const disk: MemoryFileSystem = new MemoryFileSystem({
      random: seededRandom(seed),
      onOperation: ({ kind }) => {
        if (['write', 'sync', 'syncDirectory', 'rename', 'create'].includes(kind)) {
          moments.push(crash(disk));
        }
      },
    });
    await work(disk, seed);
    expect(moments.length).toBeGreaterThan(50);
    for (const moment of moments) await checkRecovery(moment, seed);
  },
  60_000,
);

test('[CONNECT-SOURCE-1] a failed write or sync of the log loses nothing', async () => {
  let failures = 0;
  for (let nth = 1; ; nth += 3) {
    const disk = new MemoryFileSystem({ random: seededRandom(nth) });
    let count = 0;
    disk.fail({ at: ({ kind }) => /write|sync$/.test(kind) && ++count === nth, code: 'EIO' });
    const error = await failureOf(work(disk, nth));
    if (count < nth) break;
    if (error instanceof LogError) failures++;
    await checkRecovery(disk.kill(), nth);
  }
  expect(failures).toBeGreaterThan(5);
}, 60_000);
