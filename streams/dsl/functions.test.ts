import { describe, expect, expectTypeOf, test } from 'vitest';
import { int64, json, LogError, string, topic } from '../../core/index.ts';
import { driveNulls, numbers, sums } from '../../test/kit/drive.ts';
import { StreamsError } from '../errors.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import { sessionWindow, tumblingWindow, type Windowed } from '../topology/windows.ts';
import type { KGroupedStream } from './kgrouped-stream.ts';
import type { KStream } from './kstream.ts';
import type { KTable } from './ktable.ts';
import { StreamsBuilder } from './streams-builder.ts';

interface Order {
  readonly total: number;
}

const orders = topic('orders', { key: string(), value: json<Order>() });
const others = topic('others', { key: string(), value: int64() });
const windows = tumblingWindow({ sizeMs: 10 });
const zero = () => 0;
const later = async () => 1;
const laterKey = async () => 'a';

test('[STREAMS-17] types show null where a key or value may be null, and nowhere else', () => {
  const builder = new StreamsBuilder();
  const read = <T>(value: T) => value;
  expectTypeOf(builder.stream(orders)).toEqualTypeOf<KStream<string | null, Order>>();
  const nulls = builder.stream(numbers, {
    nullValues: 'pass',
    timestamp: ({ value }) => read(value) ?? 0,
  });
  expectTypeOf(nulls).toEqualTypeOf<KStream<string | null, number | null>>();
  const none = builder.stream(sums, { nullKeys: 'skip', nullValues: 'skip' });
  expectTypeOf(none).toEqualTypeOf<KStream<string, number>>();
  expectTypeOf(nulls.merge(none)).toEqualTypeOf<KStream<string | null, number | null>>();
  expectTypeOf(none.merge(nulls)).toEqualTypeOf<KStream<string | null, number | null>>();
  const grouped = nulls.groupByKey();
  expectTypeOf(grouped).toEqualTypeOf<KGroupedStream<string, number>>();
  expectTypeOf(nulls.groupBy(({ key }) => key)).toEqualTypeOf<KGroupedStream<string, number>>();
  expectTypeOf(grouped.count().toStream()).toEqualTypeOf<KStream<string, number>>();
  const table = builder.table(others);
  expectTypeOf(table.toStream()).toEqualTypeOf<KStream<string, number | null>>();
  const joined = nulls.join(table, (left, right) => {
    expectTypeOf(left).toEqualTypeOf<number>();
    expectTypeOf(right).toEqualTypeOf<number>();
    return left + right;
  });
  expectTypeOf(joined).toEqualTypeOf<KStream<string | null, number>>();
  const deleting = grouped.aggregate(
    () => ({ sum: 0 }),
    ({ sum }, { value }) => (value === 0 ? null : { sum: sum + value }),
  );
  expectTypeOf(deleting).toEqualTypeOf<KTable<string, { sum: number } | null>>();
  const reduced = grouped.reduce((sum, value) => (value === 0 ? undefined : sum + value));
  expectTypeOf(reduced).toEqualTypeOf<KTable<string, number | null>>();
  const windowed = grouped
    .windowedBy(tumblingWindow({ sizeMs: 10 }))
    .reduce((sum, value) => (value === 0 ? null : sum + value));
  expectTypeOf(windowed).toEqualTypeOf<KTable<Windowed<string>, number | null>>();
  const sessions = grouped.windowedBy(sessionWindow({ gapMs: 10 })).aggregate(
    () => ({ sum: 0 }),
    ({ sum }, { value }) => ({ sum: sum + value }),
    (left, right) => ({ sum: left.sum + right.sum }),
  );
  expectTypeOf(sessions).toEqualTypeOf<KTable<Windowed<string>, { sum: number } | null>>();
  nulls.to(topic('copy', { key: string(), value: int64() })); // a topic accepts nulls
  const wrongly = (): void => {
    // @ts-expect-error -- a key may be null
    builder.stream(orders).filter(({ key }) => key.length > 1);
    // @ts-expect-error -- a value may be null
    nulls.mapValues((value) => value * 2);
    // @ts-expect-error -- a row may have been deleted
    table.toStream().mapValues((value) => value * 2);
  };
  expect(wrongly).toBeTypeOf('function');
});

test('[STREAMS-18] async functions do not compile', () => {
  const builder = new StreamsBuilder();
  const stream = builder.stream(orders);
  const grouped = stream.groupByKey();
  const windowed = grouped.windowedBy(windows);
  const table = builder.table(others);
  const global = builder.globalTable(numbers);
  const laterTotal = async ({ total }: Order) => total;
  const laterSum = async (sum: number) => sum + 1;
  // A join that does not compile resolves to its first overload.
  /* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment */
  const wrongly = (): void => {
    // @ts-expect-error -- it is async
    stream.filter(async () => false);
    // @ts-expect-error -- it is async
    stream.filterNot(async () => false);
    // @ts-expect-error -- it is async
    stream.foreach(async () => undefined);
    // @ts-expect-error -- it is async
    stream.print({ mapper: async () => 'a' });
    // @ts-expect-error -- it is async
    stream.map(async (record) => record);
    // @ts-expect-error -- it is async
    stream.mapValues(async ({ total }) => total);
    // @ts-expect-error -- it is async
    stream.mapValues(laterTotal);
    // @ts-expect-error -- sometimes a promise
    stream.mapValues((order) => (order.total > 5 ? 5 : laterTotal(order)));
    // @ts-expect-error -- it is async
    stream.flatMap(async (record) => [record]);
    // @ts-expect-error -- it is async
    stream.flatMapValues(async (order) => [order]);
    // @ts-expect-error -- it is async
    stream.selectKey(async ({ value }) => value.total);
    // @ts-expect-error -- it is async
    stream.groupBy(async ({ value }) => value.total);
    // @ts-expect-error -- it is async
    stream.peek(async () => undefined);
    // @ts-expect-error -- it is async
    stream.split({ big: async () => true });
    // @ts-expect-error -- it is async
    stream.join(global, laterKey, zero);
    // @ts-expect-error -- it is async
    stream.leftJoin(global, ({ key }) => key, later);
    // @ts-expect-error -- it is async
    stream.join(table, later);
    // @ts-expect-error -- it is async
    stream.leftJoin(table, later);
    // @ts-expect-error -- it is async
    grouped.reduce(async (order) => order);
    // @ts-expect-error -- it is async
    grouped.aggregate(later, later);
    // @ts-expect-error -- it is async
    grouped.aggregate(zero, laterSum);
    // @ts-expect-error -- it is async
    windowed.aggregate(zero, laterSum);
    // @ts-expect-error -- it is async
    windowed.reduce(async (order) => order);
    // @ts-expect-error -- it is async
    builder.stream(orders, { timestamp: later });
  };
  /* eslint-enable @typescript-eslint/no-unsafe-class-instance-assignment */
  expect(wrongly).toBeTypeOf('function');
  const fine = stream.mapValues((order): unknown => order); // which may be anything
  expectTypeOf(fine).toEqualTypeOf<KStream<string | null, unknown>>();
  expectTypeOf(stream.mapValues(() => 'a')).toEqualTypeOf<KStream<string | null, string>>();
});

test('[STREAMS-18] async functions of sessions do not compile', () => {
  const grouped = new StreamsBuilder().stream(orders).groupByKey();
  const sessions = grouped.windowedBy(sessionWindow({ gapMs: 5 }));
  const laterSum = async (sum: number) => sum + 1;
  const wrongly = (): void => {
    // @ts-expect-error -- it is async
    sessions.reduce(async (order) => order);
    // @ts-expect-error -- it is async
    sessions.aggregate(zero, laterSum, (left: number, right: number) => left + right);
    // @ts-expect-error -- it is async
    sessions.aggregate(zero, (sum) => sum, laterSum);
    // @ts-expect-error -- sessions merge
    sessions.aggregate(zero, (sum) => sum);
  };
  expect(wrongly).toBeTypeOf('function');
});

/** A stream as a program without types sees it: it accepts anything. */
type Untyped = Record<string, (...args: unknown[]) => Untyped>;

function untyped(builder = new StreamsBuilder()): Untyped {
  return builder.stream(numbers) as unknown as Untyped;
}

function sessionsOf(stream: Untyped): Untyped {
  return stream['groupByKey']!()['windowedBy']!(sessionWindow({ gapMs: 5 }));
}

/** Code and message of what `call` throws. */
function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof LogError || error instanceof StreamsError) {
      return `${error.code}: ${error.message}`;
    }
    throw error;
  }
  return 'nothing thrown';
}

describe('[STREAMS-18] an async function', () => {
  test.each<[string, (stream: Untyped, builder: StreamsBuilder) => unknown]>([
    ['filter', (s) => s['filter']!(later)],
    ['filterNot', (s) => s['filterNot']!(later)],
    ['foreach', (s) => s['foreach']!(later)],
    ['print', (s) => s['print']!({ mapper: laterKey })],
    ['print', (s) => s['print']!({ write: later })],
    ['map', (s) => s['map']!(later)],
    ['mapValues', (s) => s['mapValues']!(later)],
    ['mapHeaders', (s) => s['mapHeaders']!(later)],
    ['flatMap', (s) => s['flatMap']!(later)],
    ['flatMapValues', (s) => s['flatMapValues']!(async function* () {})],
    ['selectKey', (s) => s['selectKey']!(later)],
    ['groupBy', (s) => s['groupBy']!(later)],
    ['peek', (s) => s['peek']!(later)],
    ['split', (s) => s['split']!({ a: later })],
    ['to', (s) => s['to']!([sums], later)],
    ['to', (s) => s['to']!(sums, { partitioner: later })],
    ['repartition', (s) => s['repartition']!({ partitioner: later })],
    ['join', (s, b) => s['join']!(b.globalTable(others), later, zero)],
    ['leftJoin', (s, b) => s['leftJoin']!(b.globalTable(others), zero, later)],
    ['join', (s, b) => s['join']!(b.table(others), later)],
    ['leftJoin', (s, b) => s['leftJoin']!(b.table(others), later)],
    ['process', (s) => s['process']!(later)],
    ['processValues', (s) => s['processValues']!(later)],
    ['reduce', (s) => s['groupByKey']!()['reduce']!(later)],
    ['aggregate', (s) => s['groupByKey']!()['aggregate']!(zero, later)],
    ['aggregate', (s) => s['groupByKey']!()['windowedBy']!(windows)['aggregate']!(later, zero)],
    ['aggregate', (s) => sessionsOf(s)['aggregate']!(zero, zero, later)],
    ['stream', (_, b) => b.stream(others, { timestamp: later as never })],
  ])('is refused when the topology is built: %s', (method, build) => {
    const builder = new StreamsBuilder();
    const answer = refusal(() => build(untyped(builder), builder));
    expect(answer).toMatch(new RegExp(`^TOPOLOGY_INVALID: ${method}: \\w+ is async`));
  });

  const promise = () => Promise.reject(new TypeError('nobody is to see this'));
  test.each<[string, (stream: Untyped, builder: StreamsBuilder) => unknown]>([
    ['filter', (s) => s['filter']!(promise)],
    ['filterNot', (s) => s['filterNot']!(promise)],
    ['foreach', (s) => s['foreach']!(promise)],
    ['print', (s) => s['print']!({ mapper: promise })],
    ['print to', (s) => s['print']!({ write: promise })],
    ['map', (s) => s['map']!(promise)],
    ['map to a promise', (s) => s['map']!(() => ({ key: 'a', value: promise() }))],
    ['mapValues', (s) => s['mapValues']!(promise)],
    ['flatMap', (s) => s['flatMap']!(promise)],
    ['flatMapValues', (s) => s['flatMapValues']!(promise)],
    ['flatMapValues to promises', (s) => s['flatMapValues']!(() => [promise()])],
    ['selectKey', (s) => s['selectKey']!(promise)],
    ['groupBy', (s) => s['groupBy']!(promise)['count']!()],
    ['peek', (s) => s['peek']!(promise)],
    ['split', (s) => s['split']!({ a: promise })],
    ['join by', (s, b) => s['join']!(b.globalTable(others), promise, zero)],
    ['leftJoin', (s, b) => s['leftJoin']!(b.globalTable(others), () => 'a', promise)],
    ['leftJoin', (s, b) => s['leftJoin']!(b.table(others), promise)],
    ['reduce', (s) => s['groupByKey']!()['reduce']!(promise)],
    ['aggregate into', (s) => s['groupByKey']!()['aggregate']!(promise, zero)],
    ['aggregate', (s) => s['groupByKey']!()['aggregate']!(zero, promise)],
    ['windows', (s) => s['groupByKey']!()['windowedBy']!(windows)['aggregate']!(zero, promise)],
    ['sessions', (s) => sessionsOf(s)['aggregate']!(zero, zero, promise)],
  ])('that only its result reveals is refused at its first result: %s', (_, build) => {
    const builder = new StreamsBuilder();
    build(untyped(builder), builder);
    const driver = new TopologyTestDriver(builder.build());
    const from = driver.inputTopic(numbers);
    const answer = refusal(() => from.pipeAll([1, 2].map((value) => ({ key: 'a', value }))));
    expect(answer).toMatch(
      /^PROCESSING_FAILED: [\w-]+ failed on numbers-0 at offset [01]: its fun/,
    );
    expect(answer).toContain('returned a promise');
  });
});

describe('[STREAMS-19] mistakes of a program without types', () => {
  const allowed = (argument: string) => `${argument} must be `;
  test.each<[string, (stream: Untyped, builder: StreamsBuilder) => unknown, string]>([
    ['no mapper', (s) => s['mapValues']!(), `mapValues: ${allowed('mapper')}a function`],
    ['a text for a predicate', (s) => s['filter']!('x'), `filter: ${allowed('predicate')}a fun`],
    ['no action', (s) => s['foreach']!(), `foreach: ${allowed('action')}a function`],
    [
      'a number as the rest',
      (s) => s['split']!({ a: zero }, 5),
      `split: ${allowed('rest')}a string`,
    ],
    ['no branches', (s) => s['split']!(), `split: ${allowed('branches')}an object`],
    ['a branch without a function', (s) => s['split']!({ a: 1 }), `split: ${allowed('a')}a fun`],
    ['no reducer', (s) => s['groupByKey']!()['reduce']!(), `reduce: ${allowed('reducer')}a`],
    ['no adder', (s) => s['groupByKey']!()['aggregate']!(zero), `aggregate: ${allowed('adder')}a`],
    ['no merger', (s) => sessionsOf(s)['aggregate']!(zero, zero), `${allowed('merger')}a function`],
    ['no windows', (s) => s['groupByKey']!()['windowedBy']!(), `${allowed('windows')}windows, as`],
    [
      'no topics',
      (_, b) => b.stream([] as never),
      `stream: ${allowed('topics')}a list of at least`,
    ],
    [
      'topics by name',
      (_, b) => b.stream(['t'] as never),
      `stream: ${allowed('topics[0]')}a topic`,
    ],
    ['no supplier', (s) => s['process']!(), `process: ${allowed('supplier')}a function`],
    [
      'a store by name',
      (s) => s['processValues']!(zero, { stores: ['seen'] }),
      `processValues: ${allowed('stores[0]')}a store, as builder`,
    ],
    [
      'no store',
      (_, b) => b.addStore('seen' as never),
      `addStore: ${allowed('store')}a store with`,
    ],
    ['no header mapper', (s) => s['mapHeaders']!(), `mapHeaders: ${allowed('mapper')}a function`],
    ['a topic by name', (_, b) => b.stream('t' as never), `stream: ${allowed('topic')}a topic, as`],
    ['a table by name', (_, b) => b.table('t' as never), `table: ${allowed('topic')}a topic, as`],
    ['a global one', (_, b) => b.globalTable('t' as never), `globalTable: ${allowed('topic')}a`],
    ['no sinks', (s) => s['to']!([]), `to: ${allowed('topics')}a list of at least one topic`],
    ['sinks by name', (s) => s['to']!(['t'], zero), `to: ${allowed('topics[0]')}a topic, as`],
    ['sinks without a function', (s) => s['to']!([sums]), `to: ${allowed('choose')}a function`],
    [
      'a partitioner by name',
      (s) => s['to']!(sums, { partitioner: 5 }),
      'partitioner must be a fu',
    ],
    ['a sink by name', (s) => s['to']!('t'), `to: ${allowed('topic')}a topic, as`],
    ['nothing to merge', (s) => s['merge']!(), `merge: ${allowed('other')}a KStream`],
    ['no table', (s) => s['join']!(), `join: ${allowed('other')}a KStream, a KTable or`],
    ['a topic to join', (s) => s['leftJoin']!(others, zero), `leftJoin: ${allowed('other')}a KStr`],
    ['no joiner', (s, b) => s['join']!(b.table(others)), `join: ${allowed('joiner')}a function`],
    [
      'no key for a global table',
      (s, b) => s['join']!(b.globalTable(others), zero),
      `join: ${allowed('joiner')}a function`,
    ],
    [
      'a key for a table',
      (s, b) => s['leftJoin']!(b.table(others), zero, zero),
      'a KTable is joined by the key of the record, without a function for it',
    ],
    [
      'a builder to run',
      (_, b) => new TopologyTestDriver(b as never),
      'topology must be a topology, as builder',
    ],
  ])('is refused at the call, with what to do: %s', (_, build, reason) => {
    const builder = new StreamsBuilder();
    const answer = refusal(() => build(untyped(builder), builder));
    expect(answer).toMatch(/^INVALID_OPTION: /);
    expect(answer).toContain(reason);
  });

  test.each<[string, unknown, string]>([
    ['an array', ['a', 1], 'returned ["a",1] without key and value'],
    ['a mistyped name', { key: 'a', val: 1 }, 'returned {"key":"a","val":1} without value'],
    ['nothing', undefined, 'returned undefined without key and value'],
    ['a number', 5, 'returned 5 without key and value'],
  ])('map returns %s', (_, made, reason) => {
    const { pipe } = driveNulls(numbers, sums, (stream) => stream.map(() => made as never));
    const answer = refusal(() => pipe(['a', 1, 0]));
    expect(answer).toMatch(/^PROCESSING_FAILED: map-numbers failed on numbers-0 at offset 0: its /);
    expect(answer).toContain(reason);
    expect(answer).toContain('it has to return { key, value }');
  });

  test.each([[5], [null]])('flatMapValues returns %s', (made) => {
    const { pipe } = driveNulls(numbers, sums, (stream) =>
      stream.flatMapValues(() => made as never),
    );
    const answer = refusal(() => pipe(['a', 1, 0]));
    expect(answer).toContain(`its function returned ${made}; it has to return a list`);
  });
});
