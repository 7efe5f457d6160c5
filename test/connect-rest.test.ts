import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BUILT_IN_PLUGINS, ConnectWorker } from '../connect/index.ts';
import { openLog, silentLogger, systemClock } from '../core/index.ts';
import { Loggers, serveConnect } from '../services/connect/index.ts';
import { answersOf, shapesOf, type Answer } from './kafka/connect/rest-answers.ts';
import { REST_DIFFERENCES } from './kafka/connect/rest-differences.ts';
import { STEPS, type Side } from './kafka/connect/rest-steps.ts';
import { readText } from './tidy/source.ts';
import { temporaryDirectory } from './kit/temporary-directory.ts';

const GOLDEN = 'test/kafka/connect/rest-answers.golden.txt';

/** Our connectors of files. */
function ourSide(directory: string): Side {
  const input = join(directory, 'in.txt');
  writeFileSync(input, 'one\ntwo\n');
  const common = { 'tasks.max': '1', format: 'lines', 'value.converter': 'string' };
  return {
    source: {
      ...{ ...common, path: input, topic: 'lines', follow: 'true' },
      ...{ 'connector.class': 'file-source', 'topic.creation.default.partitions': '1' },
    },
    sink: {
      ...{ ...common, path: join(directory, 'out'), topics: 'lines' },
      'connector.class': 'file-sink',
    },
    required: 'topic',
    partition: { file: input },
    offset: { position: 4 },
  };
}

async function ourAnswers(): Promise<Record<string, Answer>> {
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  await using worker = new ConnectWorker(log, { plugins: BUILT_IN_PLUGINS, logger: silentLogger });
  await worker.start();
  const directory = temporaryDirectory();
  const allowedRoots = [directory];
  const loggers = new Loggers(silentLogger, { clock: systemClock });
  await using server = await serveConnect(worker, { port: 0, allowedRoots, loggers });
  return shapesOf(await answersOf(server.url, ourSide(directory)));
}

test('[CONNECT-KAFKA-4] requests are answered as by Kafka Connect, or listed', async () => {
  const recorded = JSON.parse(readText(GOLDEN)) as Record<string, Answer>;
  const ours = await ourAnswers();
  expect(Object.keys(recorded)).toEqual(STEPS.map(({ id }) => id));
  const differing = STEPS.filter(({ id }) => !isSame(ours[id], recorded[id])).map(({ id }) => id);
  const listed = REST_DIFFERENCES.flatMap(({ steps }) => steps);
  const unexpected = differing.filter((id) => !listed.includes(id));
  const shown = unexpected.map((id) => JSON.stringify([id, ours[id], recorded[id]], null, 1));
  expect(shown).toEqual([]);
  expect(listed.filter((id) => !differing.includes(id))).toEqual([]);
}, 120_000);

function isSame(one: unknown, other: unknown): boolean {
  try {
    expect(one).toEqual(other);
    return true;
  } catch {
    return false;
  }
}

test('[CONNECT-KAFKA-4] each of these differences has a reason, and each step one at most', () => {
  const steps = REST_DIFFERENCES.flatMap((each) => each.steps);
  expect(new Set(steps).size).toBe(steps.length);
  const [, section = ''] = readText('docs/KAFKA-DIFFERENCES.md').split('## Kafka Connect: REST');
  const [table = ''] = section.split('\n## ');
  const named = [...table.matchAll(/^\| `([A-Z-]+)`/gm)].map(([, id]) => id!);
  expect(named.sort()).toEqual(REST_DIFFERENCES.map(({ id }) => id).sort());
});
