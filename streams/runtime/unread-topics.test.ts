import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { int64, silentLogger, string, topic, type Log } from '../../core/index.ts';
import { makeApp, openTestLog, produce } from '../../test/kit/app.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';

const serdes = { key: string(), value: int64() };
const numbers = topic('numbers', serdes);

/** Starts and ends an application that groups under this name; returns its warnings. */
async function warnings(log: Log, store: string, input = numbers): Promise<string[]> {
  const lines: string[] = [];
  const logger = { ...silentLogger, warn: (line: string) => void lines.push(line) };
  const builder = new StreamsBuilder();
  const grouped = builder.stream(input).groupBy(({ key }) => key, { key: string() });
  grouped.count({ store });
  const dropState = ['old', 'new', 'old2'].filter((name) => name !== store);
  const options = { logger, stateDir: temporaryDirectory(), dropState };
  const app = makeApp(log, builder.build(), options);
  await app.start();
  await app.finish();
  return lines.filter((line) => !line.includes('dropState'));
}

test('[OP-TOPOLOGY-14] warns of records in a repartition topic that is left', async () => {
  const log = await openTestLog();
  await produce(log, numbers, [['a', 1, 1]]);
  expect(await warnings(log, 'old')).toEqual([]);
  // Everything in the old topic is processed: only markers and the ends of transactions follow.
  expect(await warnings(log, 'new')).toEqual([]);
  await produce(log, topic('app-other-repartition', serdes), [['b', 1, 2]]); // no offset of ours
  expect(await warnings(log, 'new')).toEqual([]);
  await produce(log, topic('app-old-repartition', serdes), [['b', 1, 2]]);
  expect(await warnings(log, 'old2')).toEqual([
    'app no longer reads app-old-repartition, which has records that it has not processed; to ' +
      'process them, run the topology that made them once more, with finish()',
  ]);
});

test('[OP-TOPOLOGY-14] it starts although a topic that is left is damaged', async () => {
  const directory = temporaryDirectory();
  const log = await openTestLog({ directory });
  await produce(log, numbers, [['a', 1, 1]]);
  await warnings(log, 'old');
  await produce(log, topic('app-old-repartition', serdes), [['b', 1, 2]]);
  const partition = join(directory, 'app-old-repartition-0');
  const segment = readdirSync(partition).findLast((name) => name.endsWith('.log'))!;
  const file = join(partition, segment);
  const bytes = readFileSync(file);
  bytes[bytes.length - 2]! ^= 1;
  writeFileSync(file, bytes);
  const [warning, ...others] = await warnings(log, 'new');
  expect(others).toEqual([]);
  expect(warning).toContain(
    'app no longer reads app-old-repartition, and whether that has records that it has not ' +
      'processed cannot be found out: ',
  );
});

test("[OP-TOPOLOGY-14] does not warn of a user's topic that has such a name", async () => {
  const log = await openTestLog();
  const input = topic('app-users-repartition', serdes);
  for (const value of [1, 2]) {
    await produce(log, input, [['a', value, value]]);
    expect(await warnings(log, 'counts', input)).toEqual([]);
  }
});
