import { describe, expect, test } from 'vitest';
import { int64, string, topic, topicPattern, type Log, type Logger } from '../../core/index.ts';
import { committedRows, makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { keyValueStore } from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/index.ts';
import type { Topology } from '../topology/topology.ts';
import { tumblingWindow } from '../topology/windows.ts';
import type { StreamsOptions } from './options.ts';

const serdes = { key: string(), value: int64() };
const orders = (name: string) => topic(`orders-${name}`, serdes);
const pattern = topicPattern(/^orders-/, serdes);
const out = topic('out', serdes);
const copies = topic('copies', serdes);
const others = topic('others', serdes);

/** Counts by key, of all topics that match. */
function counting(): Topology {
  const builder = new StreamsBuilder();
  builder.stream(pattern).groupByKey().count({ store: 'counts', emit: 'each' }).toStream().to(out);
  return builder.build();
}

/** A logger that keeps what it is told. */
function keeping(): { readonly logger: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const keep = (line: string): void => void lines.push(line);
  return { lines, logger: { debug: keep, info: keep, warn: keep, error: keep } };
}

const start = async (log: Log, topology: Topology, options: Partial<StreamsOptions> = {}) => {
  const app = makeApp(log, topology, {
    ...{ stateDir: temporaryDirectory(), metadataMaxAgeMs: 20, idleTimeoutMs: 0, ...options },
  });
  await app.start();
  return app;
};

describe('[OP-TOPOLOGY-12] a source with a pattern', () => {
  test('reads the topics that match at the start, and no other', async () => {
    const log = await openTestLog();
    await produce(log, orders('a'), [['x', 1, 1]]);
    await produce(log, orders('b'), [['x', 1, 2]]);
    await produce(log, topic('reorders-c', serdes), [['x', 1, 3]]);
    const app = await start(log, counting());
    await app.finish();
    expect((await committedRows(log, out)).map((row) => row.slice(0, 3))).toEqual(['x 1', 'x 2']);
    expect(app.metrics().processedRecords).toBe(2);
  });

  test('never reads internal topics of the application or the log, but its outputs', async () => {
    const log = await openTestLog();
    const build = () => {
      const builder = new StreamsBuilder();
      builder
        .stream(topicPattern(/./, serdes), { name: 'all' })
        .filter(({ value }) => value < 3)
        .selectKey(({ key }) => key ?? '', { key: string() })
        .mapValues((value) => value + 1)
        .toTable({ ...serdes, store: 'rows' })
        .toStream()
        .to(out);
      return builder.build();
    };
    await produce(log, orders('a'), [['x', 1, 1]]);
    await (await start(log, build())).close(); // now the internal topics exist
    const app = await start(log, build());
    await until(async () => (await committedRows(log, out)).length === 2);
    await app.close();
    expect(await committedRows(log, out)).toEqual(['x 2 @1', 'x 3 @1']);
  });

  test('runs without a topic, and reads from the beginning those that come', async () => {
    const log = await openTestLog();
    const { logger, lines } = keeping();
    const app = await start(log, counting(), { logger });
    expect(app.metrics().tasks).toEqual([]);
    expect(app.state).toBe('RUNNING');
    await produce(log, orders('a'), [
      ['x', 1, 1],
      ['y', 1, 2],
    ]);
    await until(async () => (await committedRows(log, out)).length === 2);
    await produce(log, orders('b'), [['x', 1, 3]]);
    await until(async () => (await committedRows(log, out)).length === 3);
    expect(await committedRows(log, out)).toEqual(['x 1 @1', 'y 1 @2', 'x 2 @3']);
    expect(lines).toContain('app reads new topics: orders-a');
    expect(lines).toContain('app reads new topics: orders-b');
    expect(app.metrics().processedRecords).toBe(3);
    expect(app.state).toBe('RUNNING');
    await app.close();
    expect(app.state).toBe('NOT_RUNNING');
  });

  test('ends without a topic', async () => {
    const log = await openTestLog();
    const app = await start(log, counting());
    await app.finish();
    expect(await committedRows(log, out)).toEqual([]);
  });

  test('reads at finish() what came since it last looked', async () => {
    const log = await openTestLog();
    await produce(log, orders('a'), [['x', 1, 1]]);
    const app = await start(log, counting(), { metadataMaxAgeMs: 1_000_000 });
    await produce(log, orders('b'), [['x', 1, 2]]);
    await app.finish();
    expect(await committedRows(log, out)).toEqual(['x 1 @1', 'x 2 @2']);
  });

  test('keeps the offsets and times of its topics when others come', async () => {
    const log = await openTestLog();
    const stateDir = temporaryDirectory();
    const build = () => {
      const builder = new StreamsBuilder();
      builder
        .stream(pattern)
        .groupByKey()
        .windowedBy(tumblingWindow({ sizeMs: 10 }))
        .count({ store: 'windows', emit: 'final' })
        .toStream()
        .map(({ key, value }) => ({ key: `${key.key}@${key.windowStartMs}`, value }))
        .to(out);
      return builder.build();
    };
    const options = { stateDir, metadataMaxAgeMs: 1_000_000, idleTimeoutMs: Infinity };
    await produce(log, orders('a'), [
      ['x', 1, 1],
      ['x', 1, 25],
    ]);
    const first = await start(log, build(), options);
    await until(async () => (await committedRows(log, out)).length === 1);
    await first.close();
    await produce(log, orders('b'), [
      ['x', 1, 2],
      ['x', 1, 26],
      ['y', 1, 40],
    ]);
    await produce(log, orders('a'), [['y', 1, 41]]);
    const second = await start(log, build(), options);
    await second.finish();
    // The window of the first run does not open again, and no record is counted twice.
    expect((await committedRows(log, out)).map((row) => row.split(' @')[0])).toEqual([
      'x@0 1',
      'x@20 2',
      'y@40 2',
    ]);
    expect(second.metrics().droppedRecords.late).toBe(1);
  });

  test('is refused if another source reads a topic that matches', async () => {
    const twice = async () => {
      const builder = new StreamsBuilder();
      builder.stream(orders('a'), { name: 'one' });
      builder.stream(pattern, { name: 'all' });
      return builder.build();
    };
    expect(await codeOf(twice())).toContain(
      'topic orders-a is read by one and by all, for it matches /^orders-/; read it once',
    );
    const log = await openTestLog();
    await produce(log, orders('a'), []);
    const builder = new StreamsBuilder();
    builder.stream(pattern, { name: 'all' });
    builder.stream(topicPattern(/-a$/, serdes), { name: 'a' });
    expect(await codeOf(start(log, builder.build()))).toContain(
      'topic orders-a is read by all and by a',
    );
  });

  test('ends if a topic comes that two patterns match', async () => {
    const log = await openTestLog();
    const builder = new StreamsBuilder();
    builder.stream(pattern, { name: 'all' });
    builder.stream(topicPattern(/-a$/, serdes), { name: 'a' });
    const app = await start(log, builder.build());
    await produce(log, orders('a'), [['x', 1, 1]]);
    expect(await codeOf(app.done)).toContain('topic orders-a is read by all and by a');
    expect(app.state).toBe('ERROR');
  });

  test('ends with COPARTITIONING if a topic comes that has other partitions', async () => {
    const log = await openTestLog();
    await log.admin().createTopic('orders-a', { partitions: 2 });
    const app = await start(log, counting());
    await log.admin().createTopic('orders-b', { partitions: 3 });
    expect(await codeOf(app.done)).toContain('orders-a has 2, orders-b has 3');
    expect(app.state).toBe('ERROR');
  });

  test('goes on with more or fewer partitions behind a repartition topic', async () => {
    const log = await openTestLog();
    const stateDir = temporaryDirectory();
    const build = () => {
      const builder = new StreamsBuilder();
      const stream = builder.stream(pattern, { nullKeys: 'fail' });
      stream.to(copies);
      const grouped = stream.groupBy(({ key }) => key, { key: string() });
      grouped.count({ store: 'counts', emit: 'each' }).toStream().to(out);
      return builder.build();
    };
    const counts = async () => (await committedRows(log, out)).map((row) => row.slice(0, 3)).sort();
    await log.admin().createTopic('orders-a', { partitions: 2 });
    await produce(log, orders('a'), [['x', 1, 1]]);
    const app = await start(log, build(), { stateDir });
    await until(async () => (await counts()).length === 1);
    await log.admin().createTopic('orders-b', { partitions: 3 });
    await produce(log, orders('b'), [['x', 1, 2, 2]]);
    await until(async () => (await counts()).length === 2);
    await app.close();
    await log.admin().deleteTopics(['orders-a', 'orders-b']);
    await log.admin().createTopic('orders-c', { partitions: 1 });
    await produce(log, orders('c'), [['x', 1, 3]]);
    const next = await start(log, build(), { stateDir });
    await next.finish();
    expect(await counts()).toEqual(['x 1', 'x 2', 'x 3']);
    expect(await committedRows(log, copies)).toHaveLength(3);
    const repartition = await log.admin().describeTopics(['app-counts-repartition']);
    expect(repartition[0]?.partitions).toBe(2);
  });

  test('is refused if the state would need other partitions', async () => {
    const log = await openTestLog();
    const stateDir = temporaryDirectory();
    await log.admin().createTopic('orders-a', { partitions: 2 });
    await (await start(log, counting(), { stateDir })).close();
    await log.admin().deleteTopics(['orders-a']);
    await log.admin().createTopic('orders-b', { partitions: 3 });
    const refused = await codeOf(start(log, counting(), { stateDir }));
    expect(refused).toContain('app-counts-changelog has 2 partitions, and app now needs 3');
    await log.admin().deleteTopics(['orders-b']);
    await produce(log, topic('orders-c', { ...serdes, partitions: 2 }), [['x', 1, 1]]);
    await (await start(log, counting(), { stateDir })).finish();
    expect(await committedRows(log, out)).toEqual(['x 1 @1']);
  });

  test('goes on without a topic that is deleted, and does not create it again', async () => {
    const log = await openTestLog();
    const { logger, lines } = keeping();
    await produce(log, orders('a'), [['x', 1, 1]]);
    await produce(log, orders('b'), [['x', 1, 2]]);
    const app = await start(log, counting(), { logger, metadataMaxAgeMs: 1_000_000 });
    await until(async () => (await committedRows(log, out)).length === 2);
    await log.admin().deleteTopics(['orders-b']);
    await until(() => lines.includes('app reads no longer: orders-b'));
    await produce(log, orders('a'), [['x', 1, 3]]);
    await until(async () => (await committedRows(log, out)).length === 3);
    expect(app.state).toBe('RUNNING');
    expect(await log.admin().listTopics()).not.toContain('orders-b');
    await app.finish();
    expect(await committedRows(log, out)).toEqual(['x 1 @1', 'x 2 @2', 'x 3 @3']);
  });

  test('reads a topic that is only called like one of the application', async () => {
    const log = await openTestLog();
    await produce(log, topic('app-orders-changelog', serdes), [['x', 1, 1]]);
    await produce(log, topic('app-orders-repartition', serdes), [['x', 1, 2]]);
    const build = (store: string) => {
      const builder = new StreamsBuilder();
      builder
        .stream(topicPattern(/^app-/, serdes), { nullKeys: 'fail' })
        .groupBy(({ key }) => key, { key: string() })
        .count({ store, emit: 'each' })
        .toStream()
        .to(out);
      return builder.build();
    };
    await (await start(log, build('counts'))).finish();
    expect(await committedRows(log, out)).toEqual(['x 1 @1', 'x 2 @2']);
    // Those of another topology of the application are none either.
    const app = await start(log, build('other'), { dropState: ['counts'] });
    await app.finish();
    expect(app.metrics().processedRecords).toBe(0);
  });

  test('processes what is left in a repartition topic while no topic matches', async () => {
    const log = await openTestLog();
    const stateDir = temporaryDirectory();
    const build = () => {
      const builder = new StreamsBuilder();
      builder
        .stream(pattern, { nullKeys: 'fail' })
        .groupBy(({ key }) => key, { key: string() })
        .count({ store: 'counts', emit: 'each' })
        .toStream()
        .to(out);
      return builder.build();
    };
    await produce(log, orders('a'), [['x', 1, 1]]);
    const first = await start(log, build(), { stateDir });
    await until(async () => (await committedRows(log, out)).length === 1);
    await first.close();
    await produce(log, topic('app-counts-repartition', serdes), [['x', 1, 2]]);
    await log.admin().deleteTopics(['orders-a']);
    await (await start(log, build(), { stateDir })).finish();
    expect(await committedRows(log, out)).toEqual(['x 1 @1', 'x 2 @2']);
  });

  test('is joined with a table once a topic comes', async () => {
    const log = await openTestLog();
    await produce(log, others, [['x', 10, 0]]);
    const builder = new StreamsBuilder();
    builder
      .stream(pattern)
      .selectKey(({ key }) => key ?? '', { key: string() })
      .join(builder.table(others), (left, right) => left + right, { name: 'j' })
      .to(out);
    const app = await start(log, builder.build());
    await until(() => app.metrics().processedRecords === 1);
    await produce(log, orders('a'), [['x', 1, 1]]);
    await until(async () => (await committedRows(log, out)).length === 1);
    expect(await committedRows(log, out)).toEqual(['x 11 @1']);
  });

  test('shows its pattern in the description', () => {
    const description = counting().describe();
    expect(description.subTopologies[0]?.nodes[0]?.topics).toEqual(['/^orders-/']);
    expect(description.toString()).toContain('Source: source-orders (topics: [/^orders-/])');
  });

  test('needs serdes, and gives its stream their types', async () => {
    const builder = new StreamsBuilder();
    builder
      .stream(pattern, { nullKeys: 'fail' })
      .map(({ key, value }) => ({ key: key.length, value: value.toFixed() }))
      .filter(({ key, value }) => key > 3 && value.length > 2);
    // @ts-expect-error a regular expression alone has no types
    const bare = codeOf((async () => builder.stream(/orders-.*/))());
    expect(await bare).toBe('INVALID_OPTION');
  });
});

describe('[OP-TOPOLOGY-13] in the test driver', () => {
  test("a pattern matches the topics of 'topics', and those that the topology writes", () => {
    const builder = new StreamsBuilder();
    builder
      .stream(topicPattern(/^(orders|again)-/, serdes), { nullKeys: 'fail' })
      .process<string, number>(
        (context) => ({
          process: ({ key, value }) => {
            const from = context.recordMetadata()?.topic ?? '';
            context.forward({ key: `${key} of ${from}`, value: value + 1 });
          },
        }),
        serdes,
      )
      .filter(({ value }) => value < 4)
      .to(topic('again-x', serdes));
    const topics = ['orders-a', 'orders-b', 'others'];
    const driver = new TopologyTestDriver(builder.build(), { topics });
    driver.inputTopic(orders('a')).pipe({ key: 'k', value: 1 });
    driver.inputTopic(orders('b')).pipe({ key: 'k', value: 2 });
    const results = driver.outputTopic(topic('again-x', serdes)).readAll();
    expect(results.map(({ key, value }) => `${key}: ${value}`)).toEqual([
      'k of orders-a: 2',
      'k of orders-a of again-x: 3',
      'k of orders-b: 3',
    ]);
    expect(() => driver.inputTopic(orders('c'))).toThrow('the topology reads no topic orders-c');
    expect(() => driver.inputTopic(others)).toThrow('the topology reads no topic others');
  });

  test('no topic may match', () => {
    const driver = new TopologyTestDriver(counting());
    expect(() => driver.inputTopic(orders('a'))).toThrow('the topology reads no topic orders-a');
    expect(driver.outputTopic(out).readAll()).toEqual([]);
    driver.endOfInput();
  });

  test('several partitions and stores work as with a list of topics', () => {
    const driver = new TopologyTestDriver(counting(), { topics: ['orders-a'], partitions: 2 });
    driver.inputTopic(orders('a')).pipe({ key: 'x', value: 1, partition: 1 });
    expect(driver.store(keyValueStore<string, number>('counts'), 1).get('x')).toBe(1);
  });
});
