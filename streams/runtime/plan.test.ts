import { describe, expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { numbers, sums } from '../../test/kit/drive.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
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
