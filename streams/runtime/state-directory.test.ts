import { join } from 'node:path';
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Log, silentLogger, LogError, string, topic } from '../../core/index.ts';
import { openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { throughPort } from '../../test/kit/port.ts';
import { readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsApp } from './app.ts';

const words = topic('words', { key: string(), value: string() });
const loud = topic('loud', { key: string(), value: string() });

const shouting = () => {
  const builder = new StreamsBuilder();
  builder
    .stream(words)
    .mapValues((word) => word.toUpperCase())
    .to(loud);
  return builder.build();
};

test('[BROKER-2] a log without a directory runs an application with stateDir', async () => {
  const embedded = await openTestLog();
  const log = new Log(throughPort(embedded.api), { logger: silentLogger });
  await produce(log, words, [['k', 'a', 1]]);
  const make = (): StreamsApp => new StreamsApp(log, shouting(), { applicationId: 'app' });
  expect(make).toThrow(LogError);
  expect(make).toThrow('stateDir is missing');
  const stateDir = temporaryDirectory();
  await runToEnd(log, shouting(), { stateDir });
  expect(await readValues(embedded, loud)).toEqual(['A']);
  expect(readdirSync(stateDir)).not.toEqual([]);
});

test('[BROKER-2] an embedded log keeps the state in its directory', async () => {
  const log = await openTestLog();
  await produce(log, words, [['k', 'a', 1]]);
  await runToEnd(log, shouting());
  expect(readdirSync(join(log.directory, 'streams', 'app'))).not.toEqual([]);
});
