import { expect, test } from 'vitest';
import { silentLogger } from '../../logger.ts';
import { string } from '../../serde/text.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import type { Consumer } from '../consumer/consumer.ts';
import type { ConsumerOptions } from '../consumer/consumer-options.ts';
import type { Log } from '../log.ts';
import { openLog } from '../open-log.ts';
import { topic } from '../topic.ts';

const spread = topic('spread', { key: string(), value: string(), partitions: 4 });
const any = topic('spread', { key: string(), value: string() });

const open = (fileSystem: MemoryFileSystem): Promise<Log> =>
  openLog('/data', { logger: silentLogger, fileSystem });

function join(log: Log, groupInstanceId?: string, options: ConsumerOptions = {}): Consumer {
  const id = groupInstanceId === undefined ? {} : { groupInstanceId };
  const quick = { groupId: 'g', heartbeatIntervalMs: 15, fetchMaxWaitMs: 20 } as const;
  return log.consumer({ ...quick, ...id, ...options }).subscribe([any]);
}

/** Polls all until they have so many partitions; returns which. */
async function seated(
  consumers: readonly Consumer[],
  counts: readonly number[],
): Promise<number[][]> {
  const numbers = (): number[][] =>
    consumers.map(({ assignment }) => assignment.map(({ partition }) => partition).sort());
  await expect
    .poll(async () => {
      await Promise.all(consumers.map((consumer) => consumer.poll({ maxWaitMs: 20 })));
      return numbers().map(({ length }) => length);
    })
    .toEqual(counts);
  return numbers();
}

const generationOf = (consumer: Consumer) => consumer.groupMetadata().generation;

const describeGroup = async (log: Log) => {
  const { state, members } = await log.admin().describeGroup('g');
  return { state, members: members.map(({ groupInstanceId = 'dynamic' }) => groupInstanceId) };
};

/** A log whose group has the static members x and y, and what they read. */
async function pair(fileSystem: MemoryFileSystem) {
  const log = await open(fileSystem);
  await log.admin().ensureTopic(spread);
  const consumers = [join(log, 'x'), join(log, 'y')] as const;
  const had = await seated(consumers, [2, 2]);
  return { log, consumers, had, generation: generationOf(consumers[0]) };
}

async function comeBack(log: Log, before: Awaited<ReturnType<typeof pair>>): Promise<void> {
  expect(await describeGroup(log)).toEqual({ state: 'Stable', members: ['x', 'y'] });
  const y = join(log, 'y');
  expect(await seated([y], [2])).toEqual([before.had[1]]);
  const x = join(log, 'x');
  expect(await seated([x, y], [2, 2])).toEqual(before.had);
  expect([x, y].map(generationOf)).toEqual([before.generation, before.generation]);
  await Promise.all([x.close(), y.close()]);
  await log.close();
}

test('[GROUP-22] static members have their seats after the log was closed and opened', async () => {
  const fileSystem = new MemoryFileSystem();
  const before = await pair(fileSystem);
  await Promise.all(before.consumers.map((consumer) => consumer.close()));
  await before.log.close();
  await comeBack(await open(fileSystem), before);
});

test('[GROUP-22] static members have their seats after the process was killed', async () => {
  const fileSystem = new MemoryFileSystem();
  const before = await pair(fileSystem);
  const killed = fileSystem.kill();
  await before.log.close();
  await comeBack(await open(killed), before);
});

test('[GROUP-22] who does not come back within its session is gone for good', async () => {
  const fileSystem = new MemoryFileSystem();
  const log = await open(fileSystem);
  await log.admin().ensureTopic(spread);
  const consumer = join(log, 'x', { sessionTimeoutMs: 100 });
  await seated([consumer], [4]);
  await consumer.close();
  await log.close();
  const again = await open(fileSystem);
  expect(await describeGroup(again)).toEqual({ state: 'Stable', members: ['x'] });
  await expect.poll(() => describeGroup(again)).toEqual({ state: 'Empty', members: [] });
  await again.close();
  await using last = await open(fileSystem);
  expect(await describeGroup(last)).toEqual({ state: 'Empty', members: [] });
});

test('[GROUP-22] others are gone with their process; a static one gets their share', async () => {
  const fileSystem = new MemoryFileSystem();
  const log = await open(fileSystem);
  await log.admin().ensureTopic(spread);
  const consumers = [join(log, 'x'), join(log)];
  await seated(consumers, [2, 2]);
  const generation = generationOf(consumers[0]!);
  const killed = fileSystem.kill();
  await log.close();
  await using again = await open(killed);
  expect(await describeGroup(again)).toEqual({ state: 'PreparingRebalance', members: ['x'] });
  await using x = join(again, 'x');
  await seated([x], [4]);
  expect(generationOf(x)).toBe(generation! + 1);
});

test('[GROUP-22] a leader that comes back sees what its topics have got meanwhile', async () => {
  const fileSystem = new MemoryFileSystem();
  const before = await pair(fileSystem);
  await before.log.close();
  await using log = await open(fileSystem);
  await log.admin().createPartitions('spread', 6);
  await using x = join(log, 'x', { metadataMaxAgeMs: 0 });
  await using y = join(log, 'y', { metadataMaxAgeMs: 0 });
  await seated([x, y], [3, 3]);
});
