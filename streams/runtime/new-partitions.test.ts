import { describe, expect, test } from 'vitest';
import { int64, string, topic, type Log } from '../../core/index.ts';
import { committedRows, makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { StreamsApp } from './app.ts';

const serdes = { key: string(), value: int64() };
const numbers = topic('numbers', serdes);
const others = topic('others', serdes);
const out = topic('out', serdes);

type Build = (builder: StreamsBuilder) => void;

/** Counts behind a repartition topic. */
const counting: Build = (builder) => {
  const stream = builder.stream(numbers, { nullKeys: 'fail' });
  const grouped = stream.groupBy(({ key }) => key, { key: string() });
  grouped.count({ store: 'counts', emit: 'each' }).toStream().to(out);
};

async function start(log: Log, build: Build, metadataMaxAgeMs = 20): Promise<StreamsApp> {
  const builder = new StreamsBuilder();
  build(builder);
  const options = { stateDir: temporaryDirectory(), metadataMaxAgeMs, idleTimeoutMs: 0 };
  const app = makeApp(log, builder.build(), options);
  await app.start();
  return app;
}

describe('[OP-TOPOLOGY-19] partitions that come while the application runs', () => {
  test('are read', async () => {
    const log = await openTestLog();
    await produce(log, numbers, [['x', 1, 1, 0]]);
    const app = await start(log, counting);
    await until(async () => (await committedRows(log, out)).length === 1);
    await log.admin().createPartitions('numbers', 2);
    await produce(log, numbers, [['x', 1, 2, 1]]);
    await until(async () => (await committedRows(log, out)).length === 2);
    expect(app.state).toBe('RUNNING');
    await app.finish();
    expect(await committedRows(log, out)).toEqual(['x 1 @1', 'x 2 @2']);
  });

  test('are read by finish()', async () => {
    const log = await openTestLog();
    await produce(log, numbers, [['x', 1, 1, 0]]);
    const app = await start(log, counting, 1_000_000);
    await log.admin().createPartitions('numbers', 2);
    await produce(log, numbers, [['x', 1, 2, 1]]);
    await app.finish();
    expect(await committedRows(log, out)).toHaveLength(2);
  });

  test.each<[string, Build, string]>([
    [
      'the state would need more',
      (builder) => builder.stream(numbers).groupByKey().count({ store: 'counts' }),
      'app-counts-changelog has 1 partitions, and app now needs 2',
    ],
    [
      'they meet a topic that has fewer',
      (builder) => builder.stream(numbers).join(builder.table(others), (left) => left),
      'numbers has 2, others has 1',
    ],
    [
      'the handle declares another number',
      (builder) => builder.stream(topic('numbers', { ...serdes, partitions: 1 })).to(out),
      'PARTITION_MISMATCH',
    ],
  ])('end it if %s', async (_, build, message) => {
    const log = await openTestLog();
    await log.admin().createTopic('numbers', { partitions: 1 });
    const app = await start(log, build);
    await log.admin().createPartitions('numbers', 2);
    expect(await codeOf(app.done)).toContain(message);
    expect(app.state).toBe('ERROR');
  });
});
