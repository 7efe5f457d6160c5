import { describe, expect, test } from 'vitest';
import { int64, string, topic, type Log, type Topic } from '../../core/index.ts';
import { committedRows, makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { plus } from '../../test/kit/join-table.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { KStream } from '../dsl/kstream.ts';
import type { KTable } from '../dsl/ktable.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { joinWindow } from '../topology/join-window.ts';

const lefts = topic('lefts', { key: string(), value: string() });
const rights = topic('rights', { key: string(), value: string() });
const joined = topic('joined', { key: string(), value: string() });

type Build = (left: KStream<string, string>, right: KStream<string, string>) => Results;
type Results = KStream<string, string>;
type Row = readonly [topic: Topic<string, string>, key: string, value: string, timeMs: number];

const window = joinWindow({ beforeMs: 700, afterMs: 300, graceMs: 200 });

const versioned = { historyMs: 900 };

const KINDS: readonly (readonly [string, Build])[] = [
  ['join', (left, right) => left.join(right, plus, { window, store: 'j' })],
  ['leftJoin', (left, right) => left.leftJoin(right, plus, { window, store: 'j' })],
  ['outerJoin', (left, right) => left.outerJoin(right, plus, { window, store: 'j' })],
  [
    'a join with a versioned table',
    (left, right) => left.leftJoin(right.toTable({ store: 'rows', versioned }), plus),
  ],
  [
    'a join with a versioned table, with grace',
    (left, right) => {
      const table = right.toTable({ store: 'rows', versioned });
      return left.leftJoin(table, plus, { graceMs: 500, name: 'grace' });
    },
  ],
  ['a join with itself', (left) => left.join(left, plus, { window, store: 'j' })],
];

/** Two sides, now and then out of order, late or far ahead; on both sides some find no partner. */
function rows(count: number): Row[] {
  const jitter = [0, 40, -350, 90, -1_200, 10, 0, 700, -90, -600];
  return Array.from({ length: count }, (_, index) => {
    const timeMs = Math.max(0, index * 110 + jitter[index % jitter.length]!);
    const side = index % 5 < 3 ? lefts : rights;
    return [side, `k${(index * 7) % 4}`, String(index), timeMs];
  });
}

async function results(
  build: Build,
  slices: readonly (readonly Row[])[],
  restart: 'never' | 'from the changelogs' | 'from the checkpoint',
): Promise<string[]> {
  const log = await openTestLog();
  await createTopics(log);
  const producer = log.producer();
  const kept = temporaryDirectory();
  const make = () => {
    const builder = new StreamsBuilder();
    build(
      builder.stream(lefts, { nullKeys: 'fail' }),
      builder.stream(rights, { nullKeys: 'fail' }),
    ).to(joined);
    return makeApp(log, builder.build(), {
      stateDir: restart === 'from the changelogs' ? temporaryDirectory() : kept,
      cacheEntriesMax: 3,
      checkpointIntervalMs: 0,
      idleTimeoutMs: Infinity,
    });
  };
  let app = make();
  await app.start();
  let processed = 0;
  for (const slice of slices) {
    if (restart !== 'never') {
      await app.close();
      app = make();
      await app.start();
      processed = 0;
    }
    // One by one: which side a task reads first must not depend on how fast it is.
    for (const [to, key, value, timestampMs] of slice) {
      await producer.send(to, { key, value, timestampMs });
      processed++;
      await until(() => app.metrics().processedRecords >= processed);
    }
  }
  await app.finish();
  return committedRows(log, joined);
}

async function createTopics(log: Log): Promise<void> {
  for (const each of [lefts, rights]) await produce(log, each, []);
}

describe.each(KINDS)('[OP-JOIN-6] %s', (kind, build) => {
  const all = rows(60);
  const slices = Array.from({ length: 6 }, (_, index) => all.slice(index * 10, index * 10 + 10));

  test('gives after restarts the results of an undisturbed run', async () => {
    const expected = await results(build, slices, 'never');
    expect(expected.length).toBeGreaterThan(15);
    const isOuter = kind !== 'join' && kind !== 'a join with itself';
    expect(expected.some((row) => row.includes('+- '))).toBe(isOuter);
    for (const restart of ['from the changelogs', 'from the checkpoint'] as const) {
      expect(await results(build, slices, restart), restart).toEqual(expected);
    }
  }, 60_000);
});

test('[OP-JOIN-4] a stream goes through one to meet a table', async () => {
  const log = await openTestLog();
  const wide = topic('wide', { key: int64(), value: string(), partitions: 3 });
  const narrow = topic('narrow', { key: string(), value: string(), partitions: 2 });
  const builder = new StreamsBuilder();
  builder
    .stream(wide)
    .selectKey(({ value }) => value.slice(0, 1), { key: string() })
    .leftJoin(builder.table(narrow), plus, { name: 'named' })
    .to(joined);
  await produce(
    log,
    narrow,
    ['a', 'b', 'c', 'e'].map((key, index) => [key, key.toUpperCase(), index] as const),
  );
  await produce(
    log,
    wide,
    ['a1', 'b2', 'c3', 'a4', 'd5'].map((value, index) => [index, value, 10 + index] as const),
  );
  const app = makeApp(log, builder.build(), { stateDir: temporaryDirectory() });
  await app.start();
  await app.finish();
  expect((await committedRows(log, joined)).sort()).toEqual([
    'a a1+A @10',
    'a a4+A @13',
    'b b2+B @11',
    'c c3+C @12',
    'd d5+- @14',
  ]);
  expect(await log.admin().listTopics()).toContain('app-named-repartition');
});

test('[OP-JOIN-4] sides whose key may have changed go through repartition topics', async () => {
  const log = await openTestLog();
  const wide = topic('wide', { key: int64(), value: string(), partitions: 3 });
  const narrow = topic('narrow', { key: string(), value: string(), partitions: 2 });
  const builder = new StreamsBuilder();
  builder
    .stream(wide)
    .selectKey(({ value }) => value.slice(0, 1), { key: string() })
    .join(builder.stream(narrow), plus, { window, store: 'j' })
    .to(joined);
  await produce(
    log,
    wide,
    ['a1', 'b2', 'c3', 'a4', 'd5'].map((value, index) => [index, value, index] as const),
  );
  await produce(
    log,
    narrow,
    ['a', 'b', 'c', 'e'].map((key, index) => [key, key.toUpperCase(), 10 + index] as const),
  );
  const app = makeApp(log, builder.build(), { stateDir: temporaryDirectory() });
  await app.start();
  await app.finish();
  expect((await committedRows(log, joined)).sort()).toEqual([
    'a a1+A @10',
    'a a4+A @10',
    'b b2+B @11',
    'c c3+C @12',
  ]);
  const topics = await log.admin().listTopics();
  expect(topics).toContain('app-j-left-repartition');
});

test("[OP-TOPOLOGY-10] repartition: 'if-needed' joins what is not partitioned alike", async () => {
  const wide = topic('wide', { key: string(), value: string(), partitions: 3 });
  const right = topic('narrow', { key: string(), value: string() });
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  const run = async (partitions: 2 | 3): Promise<{ rows: string[]; topics: string[] }> => {
    const log = await openTestLog();
    const builder = new StreamsBuilder();
    builder
      .stream(wide, { nullKeys: 'fail' })
      .join(builder.stream(right), plus, { window, store: 'j', repartition: 'if-needed' })
      .to(joined);
    const rows = (name: string) =>
      keys.map((key, index) => [key, `${name}${index}`, index] as const);
    await produce(log, wide, rows('left'));
    await log.admin().createTopic('narrow', { partitions });
    await produce(log, right, rows('r'));
    const app = makeApp(log, builder.build(), { stateDir: temporaryDirectory() });
    await app.start();
    await app.finish();
    const topics = await log.admin().listTopics();
    return {
      rows: (await committedRows(log, joined)).sort(),
      topics: topics.filter((name) => name.endsWith('-repartition')),
    };
  };
  const [alike, different] = [await run(3), await run(2)];
  expect(alike.rows).toHaveLength(keys.length);
  expect(different.rows).toEqual(alike.rows);
  expect(alike.topics).toEqual([]);
  expect(different.topics).toEqual(['app-j-right-repartition']);
});

type Table = KTable<string, string | null>;
const movable = { store: 'j', repartition: 'if-needed' } as const;

test.each<[string, (left: Table, right: Table) => Table]>([
  ['join', (left, right) => left.join(right, plus, movable)],
  ['leftJoin', (left, right) => left.leftJoin(right, plus, movable)],
  ['outerJoin', (left, right) => left.outerJoin(right, plus, movable)],
])('[OP-TOPOLOGY-18] a %s of tables has the same rows whatever has to move', async (_, join) => {
  const run = async (left: number, right: number): Promise<Map<string, string | null>> => {
    const log = await openTestLog();
    await log.admin().createTopic('lefts', { partitions: left });
    await log.admin().createTopic('rights', { partitions: right });
    const builder = new StreamsBuilder();
    const table = join(builder.table(lefts), builder.table(rights));
    table
      .filter(({ value }) => !value.startsWith('x'))
      .toStream()
      .to(joined);
    const app = makeApp(log, builder.build(), { stateDir: temporaryDirectory() });
    await app.start();
    const keys = Array.from({ length: 12 }, (_, index) => `k${index}`);
    const rows = (name: string, skipped: number, deleted: number) =>
      keys.flatMap((key, index): [string, string | null, number][] => {
        if (index % 4 === skipped) return [];
        const last = index % 3 === deleted ? null : `${name}${index}`;
        return [
          [key, index % 5 === 0 ? 'x' : `old ${name}`, index],
          [key, last, 20 + index],
        ];
      });
    await produce(log, lefts, rows('left', 0, 1));
    await produce(log, rights, rows('right', 1, 2));
    await app.finish();
    const found = new Map<string, string | null>();
    for (const { key, value } of await readTopic(log, joined, 'read_committed')) {
      if (value === null) found.delete(key ?? '');
      else found.set(key ?? '', value);
    }
    return found;
  };
  const expected = await run(2, 2);
  expect(expected.size).toBeGreaterThan(1);
  for (const [left, right] of [
    [1, 2],
    [3, 2],
  ] as const) {
    expect(await run(left, right), `${left} and ${right}`).toEqual(expected);
  }
});
