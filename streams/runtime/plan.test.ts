import { describe, expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { numbers, sums } from '../../test/kit/drive.ts';
import type { TableJoinOptions } from '../dsl/node-options.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import { joinWindow } from '../topology/join-window.ts';
import { makePlan } from './plan.ts';

const others = topic('others', { key: string(), value: int64() });

function plan(build: (builder: StreamsBuilder) => void, partitions: Record<string, number>) {
  const builder = new StreamsBuilder();
  build(builder);
  return makePlan('app', builder.build(), (name, declared) => declared ?? partitions[name] ?? 1);
}

test('[STREAMS-5] a sub-topology has a task for each partition of its widest topic', () => {
  const { tasks } = plan(
    (builder) => builder.stream(numbers).merge(builder.stream(others)).to(sums),
    { numbers: 3, others: 1 },
  );
  expect(tasks.map(({ id, inputs }) => [id, inputs.length])).toEqual([
    ['0_0', 2],
    ['0_1', 1],
    ['0_2', 1],
  ]);
});

test('[STREAMS-5] a repartition topic has as many partitions as writers, or as specified', () => {
  const group = (partitions?: number) => (builder: StreamsBuilder) =>
    builder
      .stream(numbers)
      .groupBy(({ key }) => key, { key: string(), ...(partitions && { partitions }) })
      .count({ store: 's' });
  const wide = plan(group(), { numbers: 3 });
  expect(
    wide.repartitionTopics.map(({ topic: { name }, partitions }) => [name, partitions]),
  ).toEqual([['app-s-repartition', 3]]);
  expect(wide.changelogs.map(({ topic: { name, partitions } }) => [name, partitions])).toEqual([
    ['app-s-changelog', 3],
  ]);
  const narrow = plan(group(2), { numbers: 3 });
  expect(narrow.tasks.map(({ id }) => id)).toEqual(['0_0', '0_1', '0_2', '1_0', '1_1']);
  expect(narrow.tasks[3]?.inputs[0]?.upstreamTasks).toBe(3);
});

describe('[STREAMS-6] topics that share a store need equally many partitions', () => {
  const join = (builder: StreamsBuilder) =>
    builder.stream(numbers).join(builder.table(others), (a) => a);

  test('otherwise the plan is refused', async () => {
    const make = async () => plan(join, { numbers: 3, others: 2 });
    expect(await codeOf(make())).toContain('numbers has 3');
    expect(plan(join, { numbers: 3, others: 3 }).tasks).toHaveLength(3);
  });
});

describe('[OP-JOIN-4] a repartition topic of a join', () => {
  const window = joinWindow({ differenceMs: 5 });
  const key = string();
  const rekeyed = (builder: StreamsBuilder, from: typeof numbers) =>
    builder.stream(from).selectKey(({ value }) => String(value), { key });

  test('has as many partitions as the topic of the other side', () => {
    const { tasks, repartitionTopics } = plan(
      (builder) =>
        rekeyed(builder, numbers).join(builder.stream(others), (a) => a, { window, store: 'j' }),
      { numbers: 3, others: 2 },
    );
    expect(repartitionTopics.map(({ topic, partitions }) => [topic.name, partitions])).toEqual([
      ['app-j-left-repartition', 2],
    ]);
    expect(tasks.map(({ id }) => id)).toEqual(['0_0', '0_1', '0_2', '1_0', '1_1']);
  });

  test('has as many as the wider one if both sides have one', () => {
    const { repartitionTopics } = plan(
      (builder) =>
        rekeyed(builder, numbers).outerJoin(rekeyed(builder, others), (a) => a, {
          ...{ window, store: 'j' },
        }),
      { numbers: 3, others: 2 },
    );
    expect(repartitionTopics.map(({ topic: { name, partitions } }) => [name, partitions])).toEqual([
      ['app-j-left-repartition', 3],
      ['app-j-right-repartition', 3],
    ]);
  });

  test('streams of topics with different partitions are refused', async () => {
    const make = async () =>
      plan(
        (builder) => builder.stream(numbers).join(builder.stream(others), (a) => a, { window }),
        { numbers: 3, others: 2 },
      );
    expect(await codeOf(make())).toContain('numbers has 3, others has 2');
  });
});

describe('[STREAMS-7] a task ends after those that feed it', () => {
  const upstreams = (build: (builder: StreamsBuilder) => void) =>
    plan(build, {}).tasks.map(({ id, upstreams: ids }) => `${id}: ${ids.join()}`);

  test('through repartition topics', () => {
    const list = upstreams((builder) =>
      builder
        .stream(numbers)
        .groupBy(({ key }) => key, { key: string() })
        .count()
        .toStream()
        .groupBy(({ key }) => key, { key: string() })
        .count(),
    );
    expect(list).toEqual(['0_0: ', '1_0: 0', '2_0: 1']);
  });

  test('through topics of the user', () => {
    const list = upstreams((builder) => {
      builder.stream(others).to(sums);
      builder.stream(numbers).to(others);
    });
    expect(list).toEqual(['0_0: 1', '1_0: ']);
  });

  test('but not if they feed each other', () => {
    const list = upstreams((builder) => {
      builder.stream(others).to(numbers);
      builder.stream(numbers).to(others);
      builder.stream(sums).to(sums);
    });
    expect(list).toEqual(['0_0: ', '1_0: ', '2_0: ']);
  });
});

describe('[OP-TOPOLOGY-9] sides that are not partitioned alike', () => {
  const window = joinWindow({ differenceMs: 5 });
  const three = topic('three', { key: string(), value: int64(), partitions: 3 });
  const two = topic('two', { key: string(), value: int64(), partitions: 2 });
  const message = async (make: () => unknown) => codeOf((async () => make())());

  test('are refused at build if their handles say so', async () => {
    const builder = new StreamsBuilder();
    builder.stream(three).join(builder.stream(two), (a) => a, { window, store: 'j' });
    const error = await message(() => builder.build());
    expect(error).toContain(
      'topics that meet in store j-left, j-right need equally many partitions',
    );
    expect(error).toContain('three has 3, two has 2');
    expect(error).toContain("give the join of a stream the option { repartition: 'if-needed' }");
    expect(error).toContain('repartition({ partitions: 3 })');
  });

  test('also if one of them is a repartition topic', async () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream(three).repartition({ name: 'five', partitions: 5 });
    stream.join(builder.table(two), (a) => a);
    expect(await message(() => builder.build())).toContain('five-repartition has 5, two has 2');
  });

  test('but not if nothing meets', () => {
    const builder = new StreamsBuilder();
    builder.stream(three).merge(builder.stream(two)).to(sums);
    expect(builder.build().subTopologies).toHaveLength(1);
  });

  test('are refused at the start if the topics say so, with the code COPARTITIONING', () => {
    const topics = [
      { topic: 'numbers', partitions: 4 },
      { topic: 'others', partitions: 2 },
    ];
    const make = () =>
      plan((builder) => builder.table(numbers).join(builder.table(others), (a) => a), {
        numbers: 4,
        others: 2,
      });
    try {
      make();
      expect.unreachable();
    } catch (error) {
      expect(StreamsError.is(error, 'COPARTITIONING') && error.details.topics).toEqual(topics);
      expect(String(error)).toContain('table.toStream().repartition(...).toTable()');
    }
  });
});

describe("[OP-TOPOLOGY-10] repartition: 'if-needed'", () => {
  const window = joinWindow({ differenceMs: 5 });
  const options = { window, store: 'j', repartition: 'if-needed' } as const;
  const join = (builder: StreamsBuilder) =>
    builder.stream(numbers).leftJoin(builder.stream(others), (a) => a, options);
  const joinTable = (builder: StreamsBuilder) =>
    builder
      .stream(numbers)
      .leftJoin(builder.table(others), (a) => a, { name: 'j', repartition: 'if-needed' });

  /** `topic partitions` of the repartition topics, and the ids of the tasks. */
  const shape = (build: (builder: StreamsBuilder) => void, partitions: Record<string, number>) => {
    const { repartitionTopics, tasks } = plan(build, partitions);
    const topics = repartitionTopics.map((each) => `${each.topic.name} ${each.partitions}`);
    return [...topics, tasks.map(({ id }) => id).join(' ')];
  };

  test.each<[string, typeof join, number, number, string[]]>([
    ['streams that are partitioned alike', join, 2, 2, ['0_0 0_1']],
    ['the left stream, if that has fewer', join, 1, 2, ['app-j-left-repartition 2', '0_0 1_0 1_1']],
    [
      'the right stream, if that has fewer',
      join,
      3,
      1,
      ['app-j-right-repartition 3', '0_0 1_0 1_1 1_2'],
    ],
    ['a stream and a table that are partitioned alike', joinTable, 2, 2, ['0_0 0_1']],
    [
      'the stream, if it has fewer than the table',
      joinTable,
      1,
      2,
      ['app-j-repartition 2', '0_0 1_0 1_1'],
    ],
    [
      'the stream, if it has more than the table',
      joinTable,
      2,
      1,
      ['app-j-repartition 1', '0_0 0_1 1_0'],
    ],
  ])('moves only what has to move: %s', (_, build, left, right, expected) => {
    expect(shape(build, { numbers: left, others: right })).toEqual(expected);
  });

  test('is decided for one join after the other', () => {
    const build = (builder: StreamsBuilder) => {
      const table = builder.table(sums);
      join(builder)
        .leftJoin(table, (a) => a, { name: 'k', repartition: 'if-needed' })
        .to(topic('out', { key: string(), value: int64() }));
    };
    expect(shape(build, { numbers: 1, others: 2, sums: 2 })).toEqual([
      'app-j-left-repartition 2',
      '0_0 1_0 1_1',
    ]);
    expect(shape(build, { numbers: 3, others: 3, sums: 1 })).toEqual([
      'app-k-repartition 1',
      '0_0 0_1 0_2 1_0',
    ]);
    expect(shape(build, { numbers: 2, others: 2, sums: 2 })).toEqual(['0_0 0_1']);
  });

  test('says nothing of a side that is repartitioned anyway, nor of a join with itself', () => {
    const rekeyed = (builder: StreamsBuilder) =>
      builder
        .stream(numbers)
        .selectKey(({ key }) => key, { key: string() })
        .join(builder.stream(others), (a) => a, options);
    expect(shape(rekeyed, { numbers: 3, others: 2 })).toEqual([
      'app-j-left-repartition 2',
      '0_0 0_1 0_2 1_0 1_1',
    ]);
    const self = (builder: StreamsBuilder) => {
      const stream = builder.stream(numbers);
      stream.outerJoin(stream, () => 1, options);
    };
    expect(shape(self, { numbers: 2 })).toEqual(['0_0 0_1']);
  });

  test('shows in the description, as it may be left out', () => {
    const builder = new StreamsBuilder();
    joinTable(builder);
    const description = builder.build().describe();
    expect(description.toString()).toContain(
      'Sink: j-repartition (topic: j-repartition, if needed)',
    );
    expect(description.toString()).toContain(
      'Source: j-repartition (topics: [j-repartition], if needed)',
    );
    expect(description.toMermaid()).toContain('"j-repartition (if needed)"');
    const { nodes } = description.subTopologies[0]!;
    expect(nodes.filter(({ isIfNeeded }) => isIfNeeded).map(({ name }) => name)).toEqual([
      'j-repartition',
    ]);
  });

  test('has no other value, and is no option of joins of tables', async () => {
    const builder = new StreamsBuilder();
    const [stream, table] = [builder.stream(numbers), builder.table(others)];
    // @ts-expect-error it is needed or not
    const wrong: TableJoinOptions<string, number> = { repartition: true };
    const invalid = codeOf((async () => stream.join(table, (a) => a, wrong))());
    expect(await invalid).toBe('INVALID_OPTION');
    const option = { repartition: 'if-needed' };
    const unknown = codeOf((async () => table.join(table, (a) => a, option as object))());
    expect(await unknown).toBe('UNKNOWN_OPTION');
  });
});
