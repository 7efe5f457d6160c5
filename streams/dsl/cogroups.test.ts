import { describe, expect, expectTypeOf, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import { committedRows, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { StreamsError } from '../errors.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import {
  sessionWindow,
  sessionWindowedSerde,
  slidingWindow,
  tumblingWindow,
  windowedSerde,
  type Windowed,
} from '../topology/windows.ts';
import type { KTable } from './ktable.ts';
import { StreamsBuilder } from './streams-builder.ts';

interface Order {
  readonly total: number;
}

interface Visit {
  readonly clicks: number;
  readonly total: number;
}

const clicks = topic('clicks', { key: string(), value: int64() });
const orders = topic('orders', { key: string(), value: json<Order>() });
const visits = topic('visits', { key: string(), value: json<Visit>() });

const none = (): Visit => ({ clicks: 0, total: 0 });
const addClicks = (visit: Visit, { value }: { readonly value: number }): Visit => ({
  ...visit,
  clicks: visit.clicks + value,
});
const addOrder = (visit: Visit, { value }: { readonly value: Order }): Visit => ({
  ...visit,
  total: visit.total + value.total,
});

/** The streams of clicks and orders, grouped together. */
function cogrouped(builder: StreamsBuilder) {
  return builder
    .stream(clicks, { nullValues: 'pass' })
    .groupByKey()
    .cogroup(addClicks)
    .cogroup(builder.stream(orders).groupByKey(), addOrder);
}

/** Pipes clicks, numbers, and orders, totals, in turn. */
function pipe(
  driver: TopologyTestDriver,
  ...rows: readonly (readonly [string | null, number | Order | null, number])[]
): void {
  for (const [key, value, timestampMs] of rows) {
    if (typeof value === 'object' && value !== null) {
      driver.inputTopic(orders).pipe({ key, value, timestampMs });
    } else {
      driver.inputTopic(clicks).pipe({ key, value, timestampMs });
    }
  }
}

const show = (visit: Visit | null): string => (visit ? `${visit.clicks}/${visit.total}` : 'null');

describe('[OP-COGROUP-1] cogroup', () => {
  test('keeps one value for each key, to which each stream adds by its function', () => {
    const builder = new StreamsBuilder();
    cogrouped(builder).aggregate(none, { store: 'visits', emit: 'each' }).toStream().to(visits);
    const driver = new TopologyTestDriver(builder.build());
    pipe(
      driver,
      ...([
        ['a', 1, 5],
        ['a', { total: 20 }, 7],
        ['b', { total: 3 }, 6],
        ['a', 2, 6],
        ['a', null, 9],
        [null, 2, 9],
      ] as const),
    );
    const results = driver.outputTopic(visits).readAll();
    const shown = results.map(({ key, value, timestampMs }) => {
      return `${key} ${show(value)} @${timestampMs}`;
    });
    expect(shown).toEqual(['a 1/0 @5', 'a 1/20 @7', 'b 0/3 @6', 'a 3/20 @7']);
    expect(driver.metrics().droppedRecords).toMatchObject({ 'null-key': 1, 'null-value': 1 });
    const stored = [...driver.keyValueStore<string, Visit>('visits').entries()];
    expect(stored.map(([key, visit]) => `${key} ${show(visit)}`)).toEqual(['a 3/20', 'b 0/3']);
  });

  test('null deletes', () => {
    const builder = new StreamsBuilder();
    const table = builder
      .stream(clicks)
      .groupByKey()
      .cogroup(addClicks)
      .cogroup(builder.stream(orders).groupByKey(), (visit, { value }) =>
        value.total === 0 ? null : addOrder(visit, { value }),
      )
      .aggregate(none, { emit: 'each' });
    expectTypeOf(table).toEqualTypeOf<KTable<string, Visit | null>>();
    table.toStream().to(visits);
    const driver = new TopologyTestDriver(builder.build());
    pipe(driver, ['a', 1, 1], ['a', { total: 0 }, 2], ['a', 2, 3]);
    const results = driver.outputTopic(visits).readAll();
    expect(results.map(({ value }) => show(value))).toEqual(['1/0', 'null', '2/0']);
  });
});

test('[OP-COGROUP-2] a stream is repartitioned only if its key may have changed', async () => {
  const builder = new StreamsBuilder();
  const regrouped = builder
    .stream(orders)
    .groupBy(({ value }) => (value.total > 9 ? 'large' : 'small'), { key: string() });
  const other = builder
    .stream(topic('others', { key: string(), value: int64() }))
    .groupBy(() => 'small', { key: string() });
  builder
    .stream(clicks)
    .groupByKey()
    .cogroup(addClicks)
    .cogroup(regrouped, addOrder)
    .cogroup(other, (visit, { value }) => addClicks(visit, { value: value * 1000 }))
    .aggregate(none, { store: 'visits', emit: 'commit' })
    .toStream()
    .mapValues(show)
    .to(topic('shown', { key: string(), value: string() }));
  const log = await openTestLog();
  await produce(log, clicks, [['small', 1, 1]]);
  await produce(log, orders, [
    ['a', { total: 5 }, 2],
    ['b', { total: 10 }, 3],
  ]);
  await produce(log, topic('others', { key: string(), value: int64() }), [['c', 1, 4]]);
  await runToEnd(log, builder.build());
  const shown = topic('shown', { key: string(), value: string() });
  const last = new Map((await committedRows(log, shown)).map((row) => row.split(' ') as never));
  expect(Object.fromEntries(last)).toEqual({ small: '1001/5', large: '0/10' });
  const topics = await log.admin().listTopics();
  expect(topics.filter((name) => name.startsWith('app-')).sort()).toEqual([
    'app-topology',
    'app-visits-1-repartition',
    'app-visits-2-repartition',
    'app-visits-changelog',
  ]);
});

describe('[OP-COGROUP-3] windows of cogrouped streams', () => {
  const rows = [
    ['a', 1, 1],
    ['a', { total: 5 }, 8],
    ['a', 2, 12],
    ['a', { total: 7 }, 40],
  ] as const;

  test('tumbling', () => {
    const builder = new StreamsBuilder();
    const table = cogrouped(builder)
      .windowedBy(tumblingWindow({ sizeMs: 10 }))
      .aggregate(none, { emit: 'final' });
    expectTypeOf(table).toEqualTypeOf<KTable<Windowed<string>, Visit>>();
    const out = topic('out', { key: windowedSerde(string(), 10), value: json<Visit>() });
    table.toStream().to(out);
    const driver = new TopologyTestDriver(builder.build());
    pipe(driver, ...rows);
    const results = driver.outputTopic(out).readAll();
    const shown = results.map(({ key, value }) => `${key?.windowStartMs} ${show(value)}`);
    expect(shown).toEqual(['0 1/5', '10 2/0']);
  });

  test('sliding', () => {
    const builder = new StreamsBuilder();
    const out = topic('out', { key: windowedSerde(string(), 10), value: json<Visit>() });
    cogrouped(builder)
      .windowedBy(slidingWindow({ differenceMs: 10 }))
      .aggregate(none, { emit: 'final' })
      .toStream()
      .to(out);
    const driver = new TopologyTestDriver(builder.build());
    pipe(driver, ...rows);
    const results = driver.outputTopic(out).readAll();
    const shown = results.map(({ key, value }) => `${key?.windowStartMs} ${show(value)}`);
    expect(shown).toEqual(['0 1/5', '2 2/5', '9 2/0']);
  });

  test('sessions', () => {
    const builder = new StreamsBuilder();
    const table = cogrouped(builder)
      .windowedBy(sessionWindow({ gapMs: 9 }))
      .aggregate(
        none,
        (left, right) => ({ clicks: left.clicks + right.clicks, total: left.total + right.total }),
        { emit: 'final' },
      );
    expectTypeOf(table).toEqualTypeOf<KTable<Windowed<string>, Visit | null>>();
    const out = topic('out', { key: sessionWindowedSerde(string()), value: json<Visit>() });
    table.toStream().to(out);
    const driver = new TopologyTestDriver(builder.build());
    pipe(driver, ...rows);
    driver.endOfInput();
    const results = driver.outputTopic(out).readAll();
    const shown = results.map(({ key, value }) => {
      return `[${key?.windowStartMs}, ${key?.windowEndMs}] ${show(value)}`;
    });
    expect(shown).toEqual(['[1, 12] 3/5', '[40, 40] 0/7']);
  });
});

describe('[OP-COGROUP-4] mistakes', () => {
  test('do not compile', () => {
    const builder = new StreamsBuilder();
    const grouped = builder.stream(clicks).groupByKey();
    const numbered = builder.stream(clicks).groupBy(({ value }) => value);
    const wrongly = (): void => {
      // @ts-expect-error -- another type of key
      grouped.cogroup(addClicks).cogroup(numbered, addClicks);
      // @ts-expect-error -- another type of value
      grouped.cogroup(addClicks).cogroup(builder.stream(orders).groupByKey(), addClicks);
      // @ts-expect-error -- another type of aggregate
      grouped.cogroup(addClicks).cogroup(grouped, (sum: string) => sum);
      // @ts-expect-error -- another type of aggregate
      grouped.cogroup(addClicks).aggregate(() => 5);
      // @ts-expect-error -- it is async
      grouped.cogroup(addClicks).aggregate(async () => none());
      // @ts-expect-error -- it is async
      grouped.cogroup(addClicks).cogroup(grouped, async (visit) => visit);
      // @ts-expect-error -- a serde of another type
      grouped.cogroup(addClicks).aggregate(none, { value: string() });
    };
    expect(wrongly).toBeTypeOf('function');
  });

  test.each<[string, (stream: Untyped) => unknown, string]>([
    ['no adder', (grouped) => grouped['cogroup']!(), 'adder must be a function'],
    ['no stream', (grouped) => grouped['cogroup']!(none)['cogroup']!(), 'must be a KGroupedStr'],
    ['an async adder', (grouped) => grouped['cogroup']!(async () => 1), 'adder is async'],
    ['no initializer', (grouped) => grouped['cogroup']!(none)['aggregate']!(), 'initializer must'],
    [
      'an unknown option',
      (grouped) => grouped['cogroup']!(none)['aggregate']!(none, { stroe: 'a' }),
      'did you mean store?',
    ],
    [
      'final without windows',
      (grouped) => grouped['cogroup']!(none)['aggregate']!(none, { emit: 'final' }),
      "only windows have a 'final' result",
    ],
  ])('are refused when the topology is built: %s', (_, build, message) => {
    const grouped = new StreamsBuilder().stream(clicks).groupByKey() as unknown as Untyped;
    expect(() => build(grouped)).toThrow(message);
  });

  test('a stream of another builder is refused', () => {
    const [one, two] = [new StreamsBuilder(), new StreamsBuilder()];
    const cogroup = one.stream(clicks).groupByKey().cogroup(addClicks);
    const other = two.stream(orders).groupByKey();
    const call = () => cogroup.cogroup(other, addOrder);
    expect(call).toThrow(StreamsError);
    expect(call).toThrow(/cogroup needs both sides from one StreamsBuilder/);
  });
});

/** A stream as a program without types sees it: it accepts anything. */
type Untyped = Record<string, (...args: unknown[]) => Untyped>;
