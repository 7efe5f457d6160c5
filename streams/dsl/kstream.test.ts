import { describe, expect, expectTypeOf, test } from 'vitest';
import { int64, json, string, topic, type Serde } from '../../core/index.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { numbers, sums } from '../../test/kit/drive.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { hoppingWindow, tumblingWindow, type Windowed } from '../topology/windows.ts';
import type { KStream } from './kstream.ts';
import type { KTable } from './ktable.ts';
import { StreamsBuilder } from './streams-builder.ts';

const others = topic('others', { key: string(), value: int64() });

/** The code that `build` throws with, on a new builder. */
function refusal(build: (builder: StreamsBuilder, stream: KStream<string, number>) => unknown) {
  const builder = new StreamsBuilder();
  const stream = builder.stream(numbers, { nullKeys: 'fail' });
  return codeOf((async () => build(builder, stream))());
}

describe('[STREAMS-1] names', () => {
  test('of nodes come from the user, or from their kind and origin', () => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .filter(() => true)
      .mapValues((value) => value, { name: 'mine' })
      .peek(() => undefined)
      .to(sums, { name: 'out' });
    const names = builder.build().nodes.map(({ name }) => name);
    expect(names).toEqual(['source-numbers', 'filter-numbers', 'mine', 'peek-mine', 'out']);
  });

  test.each<[string, Parameters<typeof refusal>[0]]>([
    ['two nodes', (_, s) => [s.peek(look, { name: 'x' }), s.filter(() => true, { name: 'x' })]],
    ['two sources', (b) => [b.stream(others, { name: 'x' }), b.stream(sums, { name: 'x' })]],
    ['two stores', (_, s) => [count(s, 'x'), count(s, 'x')]],
    ['a store and a table', (b, s) => [count(s, 'others'), b.table(others)]],
    ['a store and a global table', (b, s) => [count(s, 'others'), b.globalTable(others)]],
    ['a global table and a store', (b, s) => [b.globalTable(others), count(s, 'others')]],
    ['a branch and the rest', (_, s) => s.split({ a: () => true }, 'a')],
  ])('are unique: %s', async (_, build) => {
    expect(await refusal(build)).toContain('StreamsError: there is a');
  });

  test.each(['', 'a/b', 'a b', 'ä', '$meta', 'x'.repeat(121)])(
    'of stores must do for topics and directories: "%s"',
    async (name) => {
      expect(await refusal((_, stream) => count(stream, name))).not.toBe('resolved');
    },
  );
});

describe('[STREAMS-2] options of the DSL', () => {
  const windows = tumblingWindow({ sizeMs: 10 });
  test.each<[string, Parameters<typeof refusal>[0]]>([
    ['stream', (b) => b.stream(others, wrong)],
    ['table', (b) => b.table(others, wrong)],
    ['globalTable', (b) => b.globalTable(others, wrong)],
    ['filter', (_, s) => s.filter(() => true, wrong)],
    ['filterNot', (_, s) => s.filterNot(() => true, wrong)],
    ['foreach', (_, s) => s.foreach(() => true, wrong)],
    ['print', (_, s) => s.print(wrong)],
    ['selectKey', (_, s) => s.selectKey(() => 1, wrong)],
    ['merge', (_, s) => s.merge(s, wrong)],
    ['split', (_, s) => s.split({}, 'rest', wrong)],
    ['groupBy', (_, s) => s.groupBy(() => 1, wrong)],
    ['groupByKey', (_, s) => s.groupByKey(wrong)],
    ['count', (_, s) => s.groupByKey().count(wrong)],
    ['reduce', (_, s) => s.groupByKey().reduce((a) => a, wrong)],
    ['windowed count', (_, s) => s.groupByKey().windowedBy(windows).count(wrong)],
    [
      'join',
      (b, s) =>
        s.join(
          b.globalTable(others),
          ({ key }) => key,
          (a) => a,
          wrong,
        ),
    ],
    ['join with a table', (b, s) => s.join(b.table(others), (a) => a, wrong)],
    ['repartition', (_, s) => s.repartition(wrong)],
    ['to one of several', (_, s) => s.to([sums], () => sums, wrong)],
    ['toStream', (_, s) => s.groupByKey().count().toStream(wrong)],
    ['to', (_, s) => s.to(sums, wrong)],
  ])('are refused if unknown: %s', async (_, build) => {
    expect(await refusal(build)).toBe('UNKNOWN_OPTION');
  });

  test.each<[string, Parameters<typeof refusal>[0]]>([
    ['emit', (_, s) => windowed(s, { emit: 'finally' as 'final' })],
    ['partitions', (_, s) => s.groupBy(() => 1, { partitions: 0 })],
    ['key', (_, s) => s.groupBy(() => 1, { key: 'string' as never })],
    ['timestamp', (b) => b.stream(others, { timestamp: 5 as never })],
    ['name', (_, s) => s.filter(() => true, { name: '' })],
    ['graceMs', (b, s) => s.join(versioned(b), (a) => a, { graceMs: -1 })],
    ['a history', (b) => b.table(others, { versioned: { historyMs: -1 } })],
    ['no history', (b) => b.table(others, { versioned: {} as never })],
    ['a versioned table that waits', (b) => versioned(b, { emit: 'commit' })],
    ['one of a stream', (_, s) => s.toTable({ versioned: { historyMs: 5 }, emit: 'commit' })],
  ])('are refused if invalid: %s', async (_, build) => {
    expect(await refusal(build)).toBe('INVALID_OPTION');
  });
});

describe('[STREAMS-3] a topology is refused', () => {
  test.each<[string, Parameters<typeof refusal>[0], string]>([
    ['without a topic', () => new StreamsBuilder().build(), 'it reads no topic'],
    ['with a list that has a topic twice', (b) => (b.stream([sums, sums]), b.build()), 'read it'],
    ['that reads a topic twice', (b) => (b.stream(numbers), b.build()), 'read it once'],
    ['with a table and a stream of a topic', (b) => (b.table(numbers), b.build()), 'read it once'],
    [
      'with a merge of two builders',
      (_, s) => s.merge(new StreamsBuilder().stream(others)),
      'merge needs both sides from one StreamsBuilder',
    ],
    [
      'with a join of two builders',
      (_, s) => s.join(new StreamsBuilder().table(others), (a) => a),
      'join needs both sides from one StreamsBuilder',
    ],
    [
      'with a left join of two builders',
      (_, s) => s.leftJoin(new StreamsBuilder().table(others), (a) => a),
      'leftJoin needs both sides from one StreamsBuilder',
    ],
    [
      'with a global join of two builders',
      (_, s) =>
        s.join(
          new StreamsBuilder().globalTable(others),
          () => 'a',
          (a) => a,
        ),
      'join needs both sides from one StreamsBuilder',
    ],
    [
      'that waits for a table that does not know the past',
      (b, s) => s.join(b.table(others), (a) => a, { graceMs: 5 }),
      'join with graceMs needs a versioned table',
    ],
    [
      'that joins a table of windows',
      (_, s) => {
        const table = windowed(s, {}) as unknown as KTable<string, number>;
        s.join(table, (a) => a);
      },
      'a table of windows cannot be joined',
    ],
    [
      'that joins a table with what is repartitioned of it',
      (b) => {
        const table = b.table(others);
        const counts = table.groupBy(({ key, value }) => ({ key, value })).count();
        table.join(counts, (a) => a);
        b.build();
      },
      'it would have to wait for itself',
    ],
  ])('%s', async (_, build, reason) => {
    const answer = await refusal(build);
    expect(answer).toContain('StreamsError');
    expect(answer).toContain(reason);
  });

  test('only as built: later additions do not change it', () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream(numbers, { nullKeys: 'fail' });
    const topology = builder.build();
    count(stream, 'later');
    builder.globalTable(others);
    expect(topology.nodes).toHaveLength(1);
    expect(topology.stores.size).toBe(0);
    expect(topology.globalTables).toEqual([]);
  });
});

describe('types', () => {
  interface Order {
    readonly total: number;
  }
  const orders = topic('orders', { key: string(), value: json<Order>() });

  test('[STREAMS-4] follow the records from the topic', () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream(orders, { nullKeys: 'fail' });
    expectTypeOf(stream).toEqualTypeOf<KStream<string, Order>>();
    const totals = stream.mapValues(({ total }) => total);
    expectTypeOf(totals).toEqualTypeOf<KStream<string, number>>();
    const mapped = stream.map(({ key, value }) => ({ key: value.total, value: key }));
    expectTypeOf(mapped).toEqualTypeOf<KStream<number, string>>();
    const flat = stream.flatMapValues(({ total }) => [String(total)]);
    expectTypeOf(flat).toEqualTypeOf<KStream<string, string>>();
    expectTypeOf(stream.selectKey(() => 5n)).toEqualTypeOf<KStream<bigint, Order>>();
    const parts = stream.split({ big: ({ value }) => value.total > 9 }, 'small');
    expectTypeOf(parts).toEqualTypeOf<Record<'big' | 'small', KStream<string, Order>>>();
    const rest = stream.split({ big: ({ value }) => value.total > 9 });
    expectTypeOf(rest).toEqualTypeOf<Record<'big' | 'rest', KStream<string, Order>>>();
    const none = stream.split({ big: ({ value }) => value.total > 9 }, null);
    expectTypeOf(none).toEqualTypeOf<Record<'big', KStream<string, Order>>>();
    expectTypeOf(stream.filterNot(() => true)).toEqualTypeOf<KStream<string, Order>>();
    const joined = stream.leftJoin(
      builder.globalTable(numbers),
      ({ key }) => key,
      (order, count, record) => {
        expectTypeOf(order).toEqualTypeOf<Order>();
        expectTypeOf(count).toEqualTypeOf<number | undefined>();
        expectTypeOf(record).toEqualTypeOf<StreamRecord<string, Order>>();
        return count ?? 0;
      },
    );
    expectTypeOf(joined).toEqualTypeOf<KStream<string, number>>();
    const ranked = stream.join(builder.table(others), (order, rank, record) => {
      expectTypeOf(order).toEqualTypeOf<Order>();
      expectTypeOf(rank).toEqualTypeOf<number>();
      expectTypeOf(record).toEqualTypeOf<StreamRecord<string, Order>>();
      return `${order.total}: ${rank}`;
    });
    expectTypeOf(ranked).toEqualTypeOf<KStream<string, string>>();
    const table = totals.groupByKey().reduce((a, b) => a + b);
    expectTypeOf(table).toEqualTypeOf<KTable<string, number>>();
    const windows = totals
      .groupByKey()
      .windowedBy(hoppingWindow({ sizeMs: 10, advanceMs: 5 }))
      .aggregate(
        () => ({ sum: 0 }),
        ({ sum }, { value }) => ({ sum: sum + value }),
      );
    expectTypeOf(windows).toEqualTypeOf<KTable<Windowed<string>, { sum: number }>>();
  });

  test('[STREAMS-4] of topics and headers that do not match do not compile', () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream(orders, { nullKeys: 'fail' });
    const keyedByNumber = topic('by-number', { key: int64(), value: json<Order>() });
    const wrongly = (): void => {
      // @ts-expect-error -- the topics have different values
      builder.stream([orders, others]);
      // @ts-expect-error -- headers have bytes
      stream.mapHeaders(() => [{ key: 'a', value: 'b' }]);
      // @ts-expect-error -- one of the topics has other values
      stream.to([keyedByNumber, numbers], () => numbers);
      // @ts-expect-error -- it chooses a name
      stream.to([topic('a', { key: string(), value: json<Order>() })], () => 'a');
      // @ts-expect-error -- a partition is a number
      stream.to(topic('a', { key: string(), value: json<Order>() }), { partitioner: () => 'a' });
      // @ts-expect-error -- the serde must match the key
      stream.repartition({ key: int64() });
      // @ts-expect-error -- an order has no amount
      stream.repartition({ partitioner: ({ value }) => Number(value.amount) });
    };
    expect(wrongly).toBeTypeOf('function');
  });

  test('[STREAMS-4] that do not match do not compile', () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream(orders, { nullKeys: 'fail' });
    const table = builder.table(others);
    const global = builder.globalTable(numbers);
    const keyedByNumber = topic('by-number', { key: int64(), value: json<Order>() });
    const total = ({ value }: StreamRecord<string, Order>) => value.total;
    const byKey = ({ key }: StreamRecord<string, Order>) => key;
    const zero = () => 0;
    // A join that does not compile resolves to its first overload.
    /* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment */
    const wrongly = (): void => {
      // @ts-expect-error -- the topic's values are numbers
      stream.to(numbers);
      // @ts-expect-error -- the topic's keys are numbers
      stream.to(keyedByNumber);
      // @ts-expect-error -- an order has no amount
      stream.filter(({ value }) => value.amount > 5);
      // @ts-expect-error -- streams of other values do not merge
      stream.merge(builder.stream(others));
      // @ts-expect-error -- the table's rows are numbers
      stream.join(table, (_, count: string) => count);
      // @ts-expect-error -- in a left join the row may be missing
      stream.leftJoin(table, (_, count: number) => count);
      // @ts-expect-error -- the table's keys are texts
      stream.join(global, total, () => 1);
      // @ts-expect-error -- the rows of the global table are numbers
      stream.join(global, byKey, (_, count: string) => count);
      // @ts-expect-error -- in a left join the row may be missing
      stream.leftJoin(global, byKey, (_, count: number) => count);
      // @ts-expect-error -- the table's keys are numbers
      stream.join(builder.table(keyedByNumber), (order) => order);
      // @ts-expect-error -- a global table needs a function for the key
      stream.join(global, () => 1);
      // @ts-expect-error -- a table has none: the key is the record's
      stream.join(
        table,
        ({ key }: StreamRecord<string, Order>) => key,
        () => 1,
      );
      // @ts-expect-error -- its rows have windows
      stream.join(windowed(stream.mapValues(zero), {}), () => 1);
      // @ts-expect-error -- no such option
      stream.join(table, () => 1, { before: 5 });
      // @ts-expect-error -- it is a time
      stream.join(table, () => 1, { graceMs: '5' });
      // @ts-expect-error -- the serde must match the values of the stream
      stream.join(table, () => 1, { value: string() });
      // @ts-expect-error -- a history has a length
      builder.table(others, { versioned: true });
      // @ts-expect-error -- a reducer makes values of the same kind
      stream.groupByKey().reduce((order) => order.total);
      // @ts-expect-error -- the serde must match the aggregate
      stream.groupByKey().aggregate(zero, zero, { value: string() });
      // @ts-expect-error -- the serde must match the new key
      stream.groupBy(total, { key: string() });
      // @ts-expect-error -- without windows there is nothing to wait for
      stream.groupByKey().count({ emit: 'final' });
    };
    /* eslint-enable @typescript-eslint/no-unsafe-class-instance-assignment */
    expect(wrongly).toBeTypeOf('function');
    const wider: Serde<Order | undefined> = json();
    stream.to(topic('wider', { key: string(), value: wider })); // a topic of a wider type is fine
  });
});

const wrong = { colour: 'red' } as never;
const look = (): void => undefined;

function count(stream: KStream<string, number>, store: string): unknown {
  return stream.groupByKey().count({ store });
}

function versioned(builder: StreamsBuilder, options: { readonly emit?: 'commit' } = {}) {
  return builder.table(others, { versioned: { historyMs: 5 }, ...options });
}

function windowed(stream: KStream<string, number>, options: { readonly emit?: 'final' }) {
  return stream
    .groupByKey()
    .windowedBy(tumblingWindow({ sizeMs: 10 }))
    .count(options);
}
