import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { int64, string, topic, type Topic } from '../../core/index.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { numbers, sums } from '../../test/kit/drive.ts';
import {
  crashInput,
  crashOutput,
  sameAfterCrashes,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import { TopologyTestDriver } from '../testing/index.ts';
import { joinWindow } from '../topology/join-window.ts';
import { tumblingWindow } from '../topology/windows.ts';
import type { KStream } from './kstream.ts';
import { keyValueStore } from './stores.ts';
import { StreamsBuilder } from './streams-builder.ts';

const serdes = { key: string(), value: int64() };
const others = topic('others', serdes);
const more = topic('more', serdes);
const window = joinWindow({ differenceMs: 5 });

type Numbers = KStream<string, number>;

/** The repartition topics of what `build` makes of a stream with new keys. */
function repartitions(
  build: (byValue: Numbers, builder: StreamsBuilder) => unknown,
  mergeRepartitionTopics: boolean | undefined = true,
): string[] {
  const builder = new StreamsBuilder({ mergeRepartitionTopics });
  const stream = builder.stream(numbers, { nullKeys: 'fail' });
  build(
    stream.selectKey(({ value }) => String(value % 3), { key: string() }),
    builder,
  );
  const { topics } = builder.build().describe();
  return topics.flatMap(({ name, isInternal }) => {
    return isInternal ? [name.replace(/-repartition$/, '')] : [];
  });
}

const count = (stream: Numbers, store: string) => stream.groupByKey().count({ store });

describe('[OP-TOPOLOGY-4] one repartition topic serves', () => {
  test('all groupings of a stream, under the name of the first', () => {
    const topics = repartitions((s) => {
      const grouped = s.groupByKey();
      grouped.count({ store: 'a' });
      grouped.reduce((left, right) => left + right, { store: 'b' });
      count(s, 'c');
      s.toTable({ store: 'd' });
      grouped.windowedBy(tumblingWindow({ sizeMs: 5 })).count({ store: 'e' });
    });
    expect(topics).toEqual(['a']);
  });

  test('all aggregations of a table that is grouped anew', () => {
    const topics = repartitions((_, b) => {
      const grouped = b
        .table(others)
        .groupBy(({ key, value }) => ({ key, value }), { key: string(), value: int64() });
      grouped.count({ store: 'a' });
      grouped.reduce(
        (left, right) => left + right,
        (left, right) => left - right,
        { store: 'b' },
      );
    });
    expect(topics).toEqual(['a']);
  });

  test('joins with the same table', () => {
    const topics = repartitions((s, b) => {
      const table = b.table(others);
      s.join(table, (left) => left, { name: 'a' });
      s.leftJoin(table, (left) => left, { name: 'b' });
    });
    expect(topics).toEqual(['a']);
  });

  test('joins with the same stream, and both sides of one with itself', () => {
    const topics = repartitions((s, b) => {
      const other = b.stream(others, { nullKeys: 'fail' });
      s.join(other, (left) => left, { window, store: 'a' });
      s.leftJoin(other, (left) => left, { window, store: 'b' });
      s.outerJoin(s, () => 1, { window, store: 'c' });
    });
    expect(topics).toEqual(['a-left', 'c-left']);
  });

  test('what is read from repartition(), under the name that it is given', () => {
    const topics = repartitions((s, b) => {
      const own = s.repartition({ name: 'mine' });
      count(own, 'a');
      count(own, 'b');
      own.join(b.table(others), (left) => left);
    });
    expect(topics).toEqual(['mine']);
  });

  test('is read by all of them, as the description shows', () => {
    const builder = new StreamsBuilder({ mergeRepartitionTopics: true });
    const grouped = builder.stream(numbers).groupBy(({ key }) => key, { key: string() });
    grouped.count({ store: 'a', name: 'count-a' });
    grouped.count({ store: 'b', name: 'count-b' });
    const [, reading] = builder.build().describe().subTopologies;
    expect(reading?.nodes[0]?.successors).toEqual(['count-a', 'count-b']);
  });
});

describe('[OP-TOPOLOGY-5] each has a repartition topic of its own', () => {
  test.each<[string, (s: Numbers, b: StreamsBuilder) => unknown, string[]]>([
    [
      'behind another operator',
      (s) => [
        count(s, 'a'),
        count(
          s.mapValues((value) => value + 1),
          'b',
        ),
      ],
      ['a', 'b'],
    ],
    [
      'behind another grouping by a function',
      (s) => {
        s.groupBy(({ key }) => key, { key: string() }).count({ store: 'a' });
        s.groupBy(({ key }) => key, { key: string() }).count({ store: 'b' });
      },
      ['a', 'b'],
    ],
    [
      'with another serde',
      (s) => [
        count(s, 'a'),
        s.groupByKey({ value: int64() }).count({ store: 'b' }), // the default is another one
        s.groupByKey({ value: { ...int64() } }).count({ store: 'c' }),
      ],
      ['a', 'c'],
    ],
    [
      'with another number of partitions',
      (s) => [count(s, 'a'), s.groupByKey({ partitions: 2 }).count({ store: 'b' })],
      ['a', 'b'],
    ],
    [
      'for joins with different tables, whose topics may have different partitions',
      (s, b) => [
        s.join(b.table(others), (left) => left, { name: 'a' }),
        s.join(b.table(more), (left) => left, { name: 'b' }),
      ],
      ['a', 'b'],
    ],
    [
      'for a join and a grouping',
      (s, b) => [s.join(b.table(others), (left) => left, { name: 'a' }), count(s, 'b')],
      ['a', 'b'],
    ],
    [
      'for the streams of a cogroup',
      (s) =>
        s
          .groupByKey()
          .cogroup((sum: number, { value }) => sum + value)
          .cogroup(s.groupByKey(), (sum, { value }) => sum - value)
          .aggregate(() => 0, { store: 'a' }),
      ['a', 'a-1'],
    ],
    [
      'behind repartition() with a name',
      (s) => [count(s, 'a'), count(s.repartition({ name: 'mine' }), 'b')],
      ['a', 'mine'],
    ],
  ])('%s', (_, build, expected) => {
    expect(repartitions(build)).toEqual(expected);
  });

  test('unless the builder is told so', async () => {
    const build = (s: Numbers) => [count(s, 'a'), count(s, 'b')];
    const byDefault = new StreamsBuilder();
    build(byDefault.stream(numbers, { nullKeys: 'fail' }).selectKey(() => 'x', { key: string() }));
    expect(byDefault.build().subTopologies).toHaveLength(3);
    expect(repartitions(build, true)).toEqual(['a']);
    expect(repartitions(build, false)).toEqual(['a', 'b']);
    const make = (options: object) => codeOf((async () => new StreamsBuilder(options))());
    expect(await make({ merge: true })).toBe('UNKNOWN_OPTION');
    expect(await make({ mergeRepartitionTopics: 'yes' })).toBe('INVALID_OPTION');
  });
});

test('[OP-TOPOLOGY-6] an operator elsewhere renames no topic and no store', () => {
  const base = (b: StreamsBuilder, s: Numbers, extra: boolean) => {
    if (extra) s.filter(() => true).to(sums);
    const grouped = s.groupBy(({ key }) => key, { key: string() });
    if (extra)
      count(
        b.stream(more, { nullKeys: 'fail' }).selectKey(() => 'x'),
        'elsewhere',
      );
    grouped.count({ store: 'a' });
    grouped.reduce((left, right) => left + right, { store: 'b' });
    if (extra) grouped.count({ store: 'added' });
    s.selectKey(() => 'y', { key: string() }).join(s, (left) => left, { window, store: 'j' });
  };
  const names = (extra: boolean): string[] => {
    const builder = new StreamsBuilder();
    base(builder, builder.stream(numbers, { nullKeys: 'fail' }), extra);
    const { topics, subTopologies } = builder.build().describe();
    const internal = topics.flatMap(({ name, isInternal }) => (isInternal ? [name] : []));
    const stores = subTopologies.flatMap((each) => each.stores.map(({ name }) => name));
    return [...internal, ...stores].filter((name) => !/elsewhere|added/.test(name)).sort();
  };
  expect(names(true)).toEqual(names(false));
  expect(names(false)).toEqual([
    'a',
    'a-repartition',
    'b',
    'b-repartition',
    'j-left',
    'j-left-repartition',
    'j-right',
    'j-right-repartition',
  ]);
});

describe('[OP-TOPOLOGY-7] shared topics change no result', () => {
  const outputs = ['counts', 'sums', 'windows', 'rows', 'joined', 'left', 'pairs', 'table'].map(
    (name) => topic(name, serdes),
  );

  /** Everything that shares topics, each with an output of its own. */
  function build(mergeRepartitionTopics: boolean) {
    const builder = new StreamsBuilder({ mergeRepartitionTopics });
    const table = builder.table(others);
    const emit = 'each' as const;
    const rest = [...outputs];
    const out = (stream: KStream<string | null, number | null>): void => {
      stream.to(rest.shift() as Topic<string, number>);
    };
    const stream = builder
      .stream(numbers, { nullKeys: 'skip', nullValues: 'skip' })
      .selectKey(({ key, value }) => (value === 9 ? null : `${key}${value % 3}`), {
        key: string(),
      });
    const grouped = stream.groupByKey();
    out(grouped.count({ store: 'c', emit }).toStream());
    out(grouped.reduce((left, right) => left + right, { store: 's', emit }).toStream());
    const windowed = grouped.windowedBy(tumblingWindow({ sizeMs: 10, graceMs: 5 }));
    out(
      windowed
        .count({ store: 'w', emit: 'final' })
        .toStream()
        .map(({ key, value }) => ({ key: `${key.key}@${key.windowStartMs}`, value })),
    );
    out(stream.toTable({ store: 'n' }).toStream());
    out(stream.join(table, (left, right) => left + right));
    out(stream.leftJoin(table, (left, right) => left - (right ?? 0)));
    out(stream.outerJoin(stream, (left, right) => (left ?? 0) * 100 + (right ?? 0), { window }));
    const regrouped = table.groupBy(({ value }) => ({ key: String(value % 2), value }), serdes);
    regrouped.count({ store: 'tc', emit });
    out(
      regrouped
        .reduce(
          (left, right) => left + right,
          (left, right) => left - right,
          { store: 'ts', emit },
        )
        .toStream(),
    );
    return builder.build();
  }

  /** The outputs of each step, by topic. */
  function run(isMerging: boolean, partitions: number, input: readonly Input[]) {
    const driver = new TopologyTestDriver(build(isMerging), { partitions });
    const read = () => outputs.map((each) => driver.outputTopic(each).readAll());
    const steps = input.map(([isTable, key, value, timestampMs]) => {
      driver.inputTopic(isTable ? others : numbers).pipe({ key, value, timestampMs });
      return read();
    });
    driver.endOfInput();
    const stores = Array.from({ length: partitions }, (_, partition) =>
      ['c', 's', 'n', 'tc', 'ts'].map((name) => [
        ...driver.store(keyValueStore<string, number>(name), partition).entries(),
      ]),
    );
    return [...steps, read(), stores];
  }

  type Input = readonly [isTable: boolean, key: string | null, value: number | null, time: number];
  const inputs: fc.Arbitrary<Input[]> = fc.array(
    fc.tuple(
      fc.boolean(),
      fc.constantFrom('a', 'b', 'c', null),
      fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constant(null)),
      fc.integer({ min: 0, max: 60 }),
    ),
    { maxLength: 30 },
  );

  test('for random inputs, in one partition or three', () => {
    expect(
      build(true)
        .describe()
        .topics.filter(({ isInternal }) => isInternal),
    ).toHaveLength(4);
    expect(
      build(false)
        .describe()
        .topics.filter(({ isInternal }) => isInternal),
    ).toHaveLength(10);
    const property = fc.property(fc.constantFrom(1, 3), inputs, (partitions, input) => {
      expect(run(true, partitions, input)).toEqual(run(false, partitions, input));
    });
    fc.assert(property, { seed: 9, numRuns: 25 });
  });
});

describe('[OP-TOPOLOGY-8] a stream is joined with what is repartitioned of it', () => {
  const staff = topic('staff', { key: string(), value: string() });
  const out = topic('out', { key: string(), value: string() });

  /** Pipes `name boss time` rows in; `key value time` of the results follows each. */
  function table(
    build: (stream: KStream<string, string>) => KStream<string, string>,
    input: string,
  ): string {
    const builder = new StreamsBuilder();
    build(builder.stream(staff, { nullKeys: 'fail' })).to(out);
    const driver = new TopologyTestDriver(builder.build(), { partitions: 3 });
    const lines: string[] = [];
    for (const line of input.trim().split('\n')) {
      const [key = '', value = '', time] = line.trim().split(/\s+/);
      driver.inputTopic(staff).pipe({ key, value, timestampMs: Number(time) });
      const results = driver.outputTopic(out).readAll();
      lines.push(line.trim(), ...results.map((r) => `  ${r.key} ${r.value} ${r.timestampMs}`));
    }
    return lines.join('\n');
  }

  const rekeyed = (stream: KStream<string, string>) =>
    stream.map(({ key, value }) => ({ key: value, value: key }));
  const byBoss = (stream: KStream<string, string>) =>
    rekeyed(stream).repartition({ key: string(), value: string(), name: 'by-boss' });
  const reports = (boss: string, report: string) => `${boss}<${report}`;

  const input = `
    ann none 1
    bob ann 2
    cid ann 3
    cid bob 4
    ann top 20
    ann ann 21`;

  test('with new keys, by a window', () => {
    const results = table((s) => s.join(rekeyed(s), reports, { window, store: 'j' }), input);
    expect(results).toMatchInlineSnapshot(`
      "ann none 1
      bob ann 2
        ann none<bob 2
      cid ann 3
        ann none<cid 3
      cid bob 4
        bob ann<cid 4
      ann top 20
      ann ann 21
        ann top<ann 21
        ann ann<ann 21"
    `);
    expect(table((s) => s.join(byBoss(s), reports, { window, store: 'j' }), input)).toBe(results);
  });

  test('on the left side', () => {
    const results = table(
      (s) => rekeyed(s).leftJoin(s, (report, boss) => `${boss ?? '-'}<${report}`, { window }),
      input,
    );
    expect(results).toMatchInlineSnapshot(`
      "ann none 1
      bob ann 2
        ann none<bob 2
      cid ann 3
        ann none<cid 3
      cid bob 4
        bob ann<cid 4
      ann top 20
        none -<ann 1
      ann ann 21
        ann top<ann 21
        ann ann<ann 21"
    `);
  });

  test('with a table of it, as that is before the record itself', () => {
    const build = (s: KStream<string, string>, view = s) => {
      const counts = s.groupBy(({ value }) => value, { key: string() }).count({ store: 'c' });
      const left = view === s ? s : s.filter(() => true).mapValues((boss) => boss);
      return left.leftJoin(counts, (boss, count) => `${boss}:${count ?? 0}`, { name: 'j' });
    };
    const results = table((s) => build(s), input);
    // Operators in between that were added behind the grouping.
    expect(
      table(
        (s) =>
          build(
            s,
            s.peek(() => undefined),
          ),
        input,
      ),
    ).toBe(results);
    expect(results).toMatchInlineSnapshot(`
      "ann none 1
        ann none:0 1
      bob ann 2
        bob ann:0 2
      cid ann 3
        cid ann:0 3
      cid bob 4
        cid bob:0 4
      ann top 20
        ann top:2 20
      ann ann 21
        ann ann:2 21"
    `);
  });

  test('through topics of the join, the one of the moved side first', () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream(staff, { name: 'in' });
    stream.join(
      stream.selectKey(({ value }) => value, { name: 'boss', key: string() }),
      () => 1,
      { window, store: 'j' },
    );
    const { subTopologies } = builder.build().describe();
    expect(subTopologies.map(({ nodes }) => nodes.map(({ name }) => name))).toEqual([
      ['in', 'j-left-repartition', 'boss', 'j-right-repartition'],
      ['j-left-repartition', 'j-right-repartition', 'stream-join-j'],
    ]);
    expect(subTopologies[0]?.nodes[0]?.successors).toEqual(['j-left-repartition', 'boss']);
  });

  test('also if two parts would wait for each other', () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream(numbers, { nullKeys: 'fail' });
    const other = builder.stream(others, { nullKeys: 'fail' });
    const counts = count(
      stream.selectKey(({ key }) => key, { key: string() }),
      'a',
    );
    const otherCounts = count(
      other.selectKey(({ key }) => key, { key: string() }),
      'b',
    );
    stream.join(otherCounts, (left) => left, { name: 'x' });
    other.join(counts, (left) => left, { name: 'y' });
    const topics = builder
      .build()
      .describe()
      .topics.map(({ name }) => name);
    expect(topics).toContain('y-repartition');
    expect(topics).not.toContain('x-repartition');
  });

  test('but a table cannot be moved', async () => {
    const build = async () => {
      const builder = new StreamsBuilder();
      const rows = builder.table(others);
      const stream = rows.toStream().selectKey(({ key }) => key, { key: string() });
      stream.join(rows, (left) => left, { name: 'again' });
      return builder.build();
    };
    expect(await codeOf(build())).toContain(
      'what again-repartition repartitions is joined or merged with what comes of it',
    );
  });

  test.each(WAYS_TO_STOP)(
    `with the same results after %s at any time, seed ${SEED}`,
    (_, stop) =>
      sameAfterCrashes(() => {
        const builder = new StreamsBuilder();
        const stream = builder.stream(crashInput, { nullKeys: 'fail' });
        const previous = ({ key }: { readonly key: string }) => `k${(Number(key[1]) + 1) % 7}`;
        const grouped = stream.groupBy(({ value }) => `v${value % 3}`, { key: string() });
        const emit = 'each' as const;
        stream
          .filter(({ value }) => value % 2 === 0)
          .join(
            stream.selectKey(previous, { key: string() }),
            (left, right) => `${left} ${right}`,
            { window: joinWindow({ differenceMs: 9 }), store: 'j' },
          )
          .map(({ key, value }) => ({ key: `${key} ${value}`, value })) // in no order
          .merge(grouped.count({ store: 'c', emit }).toStream().mapValues(String))
          .merge(
            grouped
              .reduce((sum, value) => sum + value, { store: 's', emit })
              .toStream()
              .map(({ key, value }) => ({ key: `sum ${key}`, value: String(value) })),
          )
          .to(crashOutput);
        return builder.build();
      }, stop),
    60_000,
  );
});
