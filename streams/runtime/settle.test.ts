import { describe, expect, test } from 'vitest';
import { int64, string, topic, topicPattern } from '../../core/index.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { numbers, sums } from '../../test/kit/drive.ts';
import type { TableJoinOptions } from '../dsl/node-options.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { joinWindow } from '../topology/join-window.ts';
import { tumblingWindow } from '../topology/windows.ts';
import { makePlan } from './plan.ts';
import { withMatchingTopics } from './topic-patterns.ts';

const serdes = { key: string(), value: int64() };
const others = topic('others', serdes);
const more = topic('more', serdes);
const out = topic('out', serdes);

function plan(build: (builder: StreamsBuilder) => void, partitions: Record<string, number>) {
  const builder = new StreamsBuilder();
  build(builder);
  return makePlan('app', builder.build(), {
    of: (name, declared) => declared ?? partitions[name] ?? 1,
    existing: (name) => (name.startsWith('app-') ? partitions[name] : undefined),
  });
}

/** `topic partitions` of the repartition topics, and the ids of the tasks. */
function shape(
  build: (builder: StreamsBuilder) => void,
  partitions: Record<string, number>,
): string[] {
  const { repartitionTopics, tasks } = plan(build, partitions);
  const topics = repartitionTopics.map((each) => `${each.topic.name} ${each.partitions}`);
  return [...topics, tasks.map(({ id }) => id).join(' ')];
}

const window = joinWindow({ differenceMs: 5 });
const asked = { repartition: 'if-needed' } as const;
const options = { window, store: 'j', ...asked } as const;

describe("[OP-TOPOLOGY-10] repartition: 'if-needed'", () => {
  const join = (builder: StreamsBuilder) =>
    builder.stream(numbers).leftJoin(builder.stream(others), (a) => a, options);
  const joinTable = (builder: StreamsBuilder) =>
    builder
      .stream(numbers)
      .leftJoin(builder.table(others), (a) => a, { name: 'j', repartition: 'if-needed' });

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
        .to(out);
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

  test('has no other value', async () => {
    const builder = new StreamsBuilder();
    const [stream, table] = [builder.stream(numbers), builder.table(others)];
    // @ts-expect-error it is needed or not
    const wrong: TableJoinOptions<string, number> = { repartition: true };
    const invalid = codeOf((async () => stream.join(table, (a) => a, wrong))());
    expect(await invalid).toBe('INVALID_OPTION');
  });

  test.each<[string, (b: StreamsBuilder) => void, Record<string, number>, string[]]>([
    [
      'a stream to a table that is grouped into fewer',
      (b) => {
        const grouped = b
          .stream(others)
          .groupBy(({ key }) => key, { key: string(), partitions: 2 });
        b.stream(numbers).join(grouped.count({ store: 'c' }), (a) => a, { ...asked, name: 'j' });
      },
      { numbers: 3, others: 1 },
      ['app-c-repartition 2', 'app-j-repartition 2', '0_0 1_0 1_1 1_2 2_0 2_1'],
    ],
    [
      'a stream to a table that is grouped into more',
      (b) => {
        const grouped = b
          .stream(others)
          .groupBy(({ key }) => key, { key: string(), partitions: 4 });
        b.stream(numbers).join(grouped.count({ store: 'c' }), (a) => a, { ...asked, name: 'j' });
      },
      { numbers: 3, others: 1 },
      ['app-c-repartition 4', 'app-j-repartition 4', '0_0 1_0 1_1 1_2 2_0 2_1 2_2 2_3'],
    ],
    [
      'a stream of two topics, of which one does not fit',
      (b) => {
        const table = b.table(others);
        b.stream([numbers, more]).join(table, (a) => a, { ...asked, name: 'j' });
      },
      { numbers: 2, more: 3, others: 3 },
      ['app-j-repartition 3', '0_0 0_1 0_2 1_0 1_1 1_2'],
    ],
    [
      'a stream of two topics to a stream',
      (b) => b.stream([numbers, more]).join(b.stream(others), (a) => a, options),
      { numbers: 2, more: 3, others: 2 },
      ['app-j-left-repartition 2', '0_0 0_1 0_2 1_0 1_1'],
    ],
    [
      'two streams of topics that all differ',
      (b) => {
        const [four, five] = [topic('four', serdes), topic('five', serdes)];
        b.stream([numbers, more]).join(b.stream([four, five]), (a) => a, options);
      },
      { numbers: 2, more: 3, four: 4, five: 1 },
      [
        'app-j-left-repartition 4',
        'app-j-right-repartition 4',
        '0_0 0_1 0_2 1_0 1_1 1_2 1_3 2_0 2_1 2_2 2_3',
      ],
    ],
    [
      'a stream of two topics to one with new keys',
      (b) => {
        const rekeyed = b.stream(others).selectKey(({ key }) => key ?? '', { key: string() });
        b.stream([numbers, more]).join(rekeyed, (a) => a, options);
      },
      { numbers: 2, more: 3, others: 5 },
      [
        'app-j-right-repartition 5',
        'app-j-left-repartition 5',
        '0_0 0_1 0_2 0_3 0_4 1_0 1_1 1_2 2_0 2_1 2_2 2_3 2_4',
      ],
    ],
    [
      'both streams, if what is behind the join has other partitions',
      (b) =>
        b
          .stream(numbers)
          .join(b.stream(more), (a) => a, options)
          .join(b.table(others), (a) => a),
      { numbers: 1, more: 2, others: 3 },
      ['app-j-left-repartition 3', 'app-j-right-repartition 3', '0_0 1_0 1_1 2_0 2_1 2_2'],
    ],
  ])('moves what has to move: %s', (_, build, partitions, expected) => {
    expect(shape(build, partitions)).toEqual(expected);
  });

  test('keeps reading its topic while no topic matches the pattern of its side', () => {
    const builder = new StreamsBuilder();
    builder
      .stream(topicPattern(/^orders-/, serdes))
      .join(builder.table(others), (a) => a, { ...asked, name: 'j' });
    const topology = withMatchingTopics(builder.build(), 'app', []);
    const inputs = (existing: number | undefined) => {
      const { tasks } = makePlan('app', topology, { of: () => 2, existing: () => existing });
      return tasks.map((task) => task.inputs.map((input) => input.topic.name).join(' '));
    };
    expect(inputs(undefined)).toEqual(['others', 'others']);
    expect(inputs(2)).toEqual(['others app-j-repartition', 'others app-j-repartition']);
  });
});

describe('[OP-TOPOLOGY-17] a join behind one that is repaired if needed', () => {
  const again = (builder: StreamsBuilder) => {
    const left = builder.stream(numbers);
    left
      .join(builder.stream(others), (a) => a, options)
      .join(left, (a) => a, { window, store: 'k' })
      .to(out);
  };

  test('of what the first one joins moves that only if that has moved', () => {
    expect(shape(again, { numbers: 2, others: 2 })).toEqual(['0_0 0_1']);
    expect(shape(again, { numbers: 1, others: 2 })).toEqual([
      'app-k-right-repartition 2',
      'app-j-left-repartition 2',
      '0_0 1_0 1_1',
    ]);
    expect(shape(again, { numbers: 2, others: 1 })).toEqual([
      'app-j-right-repartition 2',
      '0_0 1_0 1_1',
    ]);
  });

  test('of a table of the other side moves what would wait for itself', () => {
    const build = (builder: StreamsBuilder) => {
      const [left, right] = [builder.stream(numbers), builder.stream(others)];
      left.join(right, (a) => a, options).to(out);
      const counts = left.selectKey(({ key }) => key, { key: string() }).groupByKey();
      right.join(counts.count({ store: 'c' }), (a) => a, { name: 'k' }).to(out);
    };
    expect(shape(build, { numbers: 2, others: 2 })).toEqual([
      'app-k-repartition 2',
      'app-c-repartition 2',
      '0_0 0_1 1_0 1_1',
    ]);
    expect(shape(build, { numbers: 1, others: 1 })).toHaveLength(3);
  });

  test('moves the other side if its own is used behind it', () => {
    const build = (builder: StreamsBuilder) => {
      const left = builder.stream(numbers);
      left
        .join(builder.stream(others), (a) => a, options)
        .merge(left)
        .to(out);
    };
    expect(shape(build, { numbers: 2, others: 2 })).toEqual(['0_0 0_1']);
    // The other side has to move then, also if it has more.
    expect(shape(build, { numbers: 1, others: 2 })).toEqual([
      'app-j-right-repartition 1',
      '0_0 0_1 1_0',
    ]);
  });
});

describe('[OP-TOPOLOGY-18] a join of tables', () => {
  const join = (builder: StreamsBuilder) =>
    builder
      .table(numbers)
      .join(builder.table(others), (a, b) => a + b, { store: 'j', repartition: 'if-needed' })
      .toStream()
      .to(out);

  test.each([
    [2, 2, ['0_0 0_1']],
    [1, 2, ['app-j-left-repartition 2', '0_0 1_0 1_1']],
    [3, 1, ['app-j-right-repartition 3', '0_0 1_0 1_1 1_2']],
  ])('moves the one with fewer partitions: %s and %s', (left, right, expected) => {
    expect(shape(join, { numbers: left, others: right })).toEqual(expected);
  });

  test('keeps no table twice if none has to move', () => {
    const stores = (left: number, right: number) =>
      plan(join, { numbers: left, others: right }).changelogs.map(({ store }) => store.name);
    expect(stores(2, 2)).toEqual(['j']);
    expect(stores(1, 2)).toEqual(['j-left', 'j']);
    expect(stores(2, 1)).toEqual(['j-right', 'j']);
  });

  test('is refused for tables of windows', async () => {
    const builder = new StreamsBuilder();
    const counts = (from: typeof numbers) =>
      builder
        .stream(from)
        .groupByKey()
        .windowedBy(tumblingWindow({ sizeMs: 5 }))
        .count();
    const make = async () =>
      counts(numbers).join(counts(others), (a) => a, { repartition: 'if-needed' });
    expect(await codeOf(make())).toContain('tables of windows cannot be repartitioned');
  });
});
