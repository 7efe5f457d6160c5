import { describe, expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { numbers, sums } from '../../test/kit/drive.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import { joinWindow } from '../topology/join-window.ts';
import { makePlan } from './plan.ts';

const serdes = { key: string(), value: int64() };
const others = topic('others', serdes);

function plan(build: (builder: StreamsBuilder) => void, partitions: Record<string, number>) {
  const builder = new StreamsBuilder();
  build(builder);
  return makePlan('app', builder.build(), {
    of: (name, declared) => declared ?? partitions[name] ?? 1,
    existing: (name) => (name.startsWith('app-') ? partitions[name] : undefined),
  });
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
    expect(error).toContain("give the join the option { repartition: 'if-needed' }");
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

describe('[OP-TOPOLOGY-15] an internal topic that exists', () => {
  const grouped = (partitions?: number) => (builder: StreamsBuilder) =>
    builder
      .stream(numbers)
      .groupBy(({ key }) => key, { key: string(), ...(partitions && { partitions }) })
      .count({ store: 's' });
  const counts = (build: (builder: StreamsBuilder) => void, existing: Record<string, number>) => {
    const { repartitionTopics, changelogs } = plan(build, existing);
    return [...repartitionTopics, ...changelogs].map(({ topic: { name, partitions } }) => {
      return `${name} ${partitions}`;
    });
  };

  test.each([1, 3, 5])('keeps its partitions if its source now has %s', (numbersNow) => {
    const existing = { 'app-s-repartition': 3, 'app-s-changelog': 3, numbers: numbersNow };
    expect(counts(grouped(), existing)).toEqual(['app-s-repartition 3', 'app-s-changelog 3']);
  });

  test('decides about a new one that it meets', () => {
    const existing = { 'app-s-changelog': 2, numbers: 3 };
    expect(counts(grouped(), existing)).toEqual(['app-s-repartition 2', 'app-s-changelog 2']);
    const two = (builder: StreamsBuilder) =>
      builder
        .stream(numbers)
        .groupBy(({ key }) => key, { key: string() })
        .cogroup((sum: number, { value }) => sum + value)
        .cogroup(
          builder.stream(others).groupBy(({ key }) => key, { key: string() }),
          (sum, { value }) => sum - value,
        )
        .aggregate(() => 0, { store: 's' });
    expect(counts(two, { 'app-s-1-repartition': 2, numbers: 4, others: 5 })).toEqual([
      'app-s-repartition 2',
      'app-s-1-repartition 2',
      'app-s-changelog 2',
    ]);
  });

  test.each<[string, (builder: StreamsBuilder) => void, Record<string, number>, object]>([
    [
      'a changelog',
      (b) => b.stream(numbers).groupByKey().count({ store: 's' }),
      { 'app-s-changelog': 2, numbers: 3 },
      { topic: 'app-s-changelog', expected: 3, actual: 2 },
    ],
    [
      'a repartition topic with other partitions set',
      grouped(4),
      { 'app-s-repartition': 2 },
      { topic: 'app-s-repartition', expected: 4, actual: 2 },
    ],
    [
      'a repartition topic that meets a topic',
      (b) =>
        b
          .stream(numbers)
          .selectKey(({ key }) => key ?? '')
          .join(b.table(others), (left) => left, { name: 'j' }),
      { 'app-j-repartition': 2, others: 3 },
      { topic: 'app-j-repartition', expected: 3, actual: 2 },
    ],
  ])('is refused if it does not fit: %s', (_, build, existing, details) => {
    try {
      plan(build, existing);
      expect.unreachable();
    } catch (error) {
      expect(StreamsError.is(error, 'INTERNAL_TOPIC_MISMATCH') && error.details).toEqual(details);
      expect(String(error)).toMatch(/has 2 partitions, and app now needs [34]: the topics that it/);
      expect(String(error)).toContain('or after deleting the group app, its internal topics');
    }
  });
});

describe('[OP-TOPOLOGY-16] what gets to no store', () => {
  test('may have other partitions than what it is merged with', () => {
    const build = (builder: StreamsBuilder) => {
      const stream = builder.stream(numbers);
      stream.join(builder.table(others), (left) => left).to(topic('joined', serdes));
      stream.merge(builder.stream(topic('more', serdes))).to(sums);
    };
    expect(plan(build, { numbers: 2, others: 2, more: 3 }).tasks.map(({ id }) => id)).toEqual([
      '0_0',
      '0_1',
      '0_2',
    ]);
  });

  test('but not if both get to one', async () => {
    const make = async () =>
      plan(
        (builder) => {
          const both = builder.stream(numbers).merge(builder.stream(topic('more', serdes)));
          both.join(builder.table(others), (left) => left);
        },
        { numbers: 2, others: 2, more: 3 },
      );
    expect(await codeOf(make())).toContain('numbers has 2, more has 3, others has 2');
  });
});

describe('[STREAMS-3] a topology may not use what the application makes for itself', () => {
  const own = (name: string) => topic(name, serdes);

  test.each<[string, (builder: StreamsBuilder) => void, string]>([
    [
      'a changelog that it writes',
      (b) => b.stream(numbers).to(own('app-s-changelog'), { name: 'out' }),
      'out writes app-s-changelog, which app makes for itself',
    ],
    [
      'a repartition topic that it reads',
      (b) => b.stream(own('app-s-repartition'), { name: 'in' }),
      'in reads app-s-repartition, which app makes for itself',
    ],
  ])('%s', async (_, build, reason) => {
    const make = async () =>
      plan((builder) => {
        builder
          .stream(others)
          .groupBy(({ key }) => key, { key: string() })
          .count({ store: 's' });
        build(builder);
      }, {});
    expect(await codeOf(make())).toContain(reason);
  });
});
