import { describe, expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { numbers } from '../../test/kit/drive.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import type { StreamPartitioner } from '../topology/node.ts';

const wide = topic('wide', { key: string(), value: int64(), partitions: 4 });

type Chosen = ReturnType<StreamPartitioner<string | null, number>>;

/** Runs ten records through a sink with this partitioner: `value: partition`, in order of value. */
async function written(choose: (value: number, partitions: number) => Chosen) {
  const builder = new StreamsBuilder();
  builder.stream(numbers).to(wide, { partitioner: ({ value }, count) => choose(value, count) });
  const log = await openTestLog();
  await produce(
    log,
    numbers,
    Array.from({ length: 10 }, (_, value) => ['a', value, value] as const),
  );
  const app = await runToEnd(log, builder.build());
  const records = await readTopic(log, wide, 'read_committed');
  const places = records.map(({ value, partition }) => `${value}: ${partition}`).sort();
  return { places, dropped: app.metrics().droppedRecords.unmatched };
}

describe('[OP-27] a partitioner', () => {
  test('chooses one partition of those that the topic has', async () => {
    const { places, dropped } = await written((value, partitions) => {
      expect(partitions).toBe(4);
      return value % partitions;
    });
    expect(places).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((value) => `${value}: ${value % 4}`));
    expect(dropped).toBe(0);
  });

  test('chooses several, each once, or none, which drops and counts the record', async () => {
    const { places, dropped } = await written((value) => (value === 3 ? [2, 0, 2] : []));
    expect(places).toEqual(['3: 0', '3: 2']);
    expect(dropped).toBe(9);
  });

  test('leaves the choice to the key if it returns undefined', async () => {
    const { places } = await written((value) => (value === 9 ? undefined : []));
    const byKey = await written((value) => (value === 9 ? [0, 1, 2, 3] : []));
    expect(places).toHaveLength(1);
    expect(byKey.places).toContain(places[0]);
  });

  test.each<[string, unknown, string]>([
    ['a partition that the topic lacks', 1, 'its partitioner returned 1'],
    ['one of several', [0, 7], 'its partitioner returned 7'],
    ['a negative number', -1, 'its partitioner returned -1'],
    ['half a number', 0.5, 'its partitioner returned 0.5'],
    ['null', null, 'its partitioner returned null'],
    ['a text', '0', 'its partitioner returned "0"'],
    ['a promise', Promise.resolve(0), 'its function returned a promise'],
  ])('that returns %s ends the application', async (_, chosen, reason) => {
    const builder = new StreamsBuilder();
    builder.stream(numbers).to(wide, { partitioner: () => chosen as Chosen, name: 'out' });
    const driver = new TopologyTestDriver(builder.build());
    const pipe = async () => {
      driver.inputTopic(numbers).pipe({ key: 'a', value: 5 });
    };
    const answer = await codeOf(pipe());
    expect(answer).toContain('out failed on numbers-0 at offset 0');
    expect(answer).toContain(reason);
  });
});

describe('[OP-25] repartition', () => {
  test('sends records through a topic of its own, so that equal keys meet', async () => {
    const builder = new StreamsBuilder();
    const input = topic('spread', { key: string(), value: int64(), partitions: 2 });
    builder
      .stream(input, { nullValues: 'pass' })
      .selectKey(({ value }) => String(value))
      .repartition({ name: 'by-value', partitions: 3, key: string() })
      .mapValues((value, { partition }) => (value ?? -1) * 10 + partition)
      .to(wide);
    const log = await openTestLog();
    const rows = [1, 2, null, 1, 2, null, 3].map(
      (value, index) => ['k', value, index, index % 2] as const,
    );
    await produce(log, input, rows);
    await runToEnd(log, builder.build());
    const [internal] = (await log.api.metadata({ topics: ['app-by-value-repartition'] })).topics;
    expect(internal?.partitions).toBe(3);
    const records = await readTopic(log, wide, 'read_committed');
    const seen = records.map(({ key, value, timestampMs }) => ({ key, value, timestampMs }));
    expect(seen.map(({ timestampMs }) => timestampMs).sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    for (const key of ['1', '2', '3', 'null']) {
      const values = seen.filter((record) => record.key === key).map(({ value }) => value);
      expect(new Set(values).size, key).toBe(1); // all in one partition
    }
  });

  test('can be told the partitions', async () => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .repartition({ partitions: 3, partitioner: ({ value }, partitions) => value % partitions })
      .mapValues((value, { partition }) => value * 10 + partition)
      .to(wide);
    const log = await openTestLog();
    await produce(log, numbers, [
      ['a', 1, 1],
      ['a', 2, 2],
      ['a', 3, 3],
    ]);
    await runToEnd(log, builder.build());
    const values = (await readTopic(log, wide, 'read_committed')).map(({ value }) => value);
    expect(values.sort()).toEqual([11, 22, 30]);
  });

  test('is enough: a grouping, or a join with a table, needs no further one', () => {
    const builder = new StreamsBuilder();
    const others = topic('others', { key: string(), value: int64() });
    const stream = builder
      .stream(numbers)
      .selectKey(({ key }) => key ?? 'none', { key: string() })
      .repartition({ name: 'mine' });
    stream.groupByKey().count({ store: 'counts' });
    stream.join(builder.table(others), (left, right) => left + right).to(wide);
    const { nodes } = builder.build();
    const found = nodes.filter(({ kind }) => kind === 'repartition').map(({ name }) => name);
    expect(found).toEqual(['mine-repartition']);
  });

  test('takes a name that topics can have, and that no other has', async () => {
    const build = async (name: string) => {
      const stream = new StreamsBuilder().stream(numbers).selectKey(() => 'a', { key: string() });
      stream.groupByKey().count({ store: 'counts' });
      stream.repartition({ name });
    };
    expect(await codeOf(build('counts'))).toContain('a node called counts-repartition');
    expect(await codeOf(build('a/b'))).toContain('cannot be called "a/b"');
  });
});
