import { describe, expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { numbers } from '../../test/kit/drive.ts';
import { keyValueStore } from '../dsl/stores.ts';
import { StreamsBuilder, StreamsError, joinWindow, type KStream } from '../index.ts';
import { TopologyTestDriver } from './index.ts';

const others = topic('others', { key: string(), value: int64() });
const preserves = 'partition' as const;
const window = joinWindow({ differenceMs: 5 });

/** The error of records with these keys, each in a partition; undefined if there is none. */
function failure(
  build: (stream: KStream<string, number>, builder: StreamsBuilder) => void,
  input: readonly (readonly [topic: typeof numbers, key: string, partition: number])[],
  partitions = 2,
): unknown {
  const builder = new StreamsBuilder();
  build(builder.stream(numbers, { nullKeys: 'fail' }), builder);
  const driver = new TopologyTestDriver(builder.build(), { partitions });
  try {
    for (const [to, key, partition] of input) {
      driver.inputTopic(to).pipe({ key, value: 1, partition });
    }
  } catch (error) {
    return error;
  }
  return undefined;
}

/** The customer of `customer/order`. */
const byCustomer = (stream: KStream<string, number>) =>
  stream.selectKey(({ key }) => key.split('/')[0] ?? '', {
    preserves,
    name: 'customer',
    key: string(),
  });

describe('[OP-TOPOLOGY-3] a broken promise ends a test', () => {
  const kept = [
    [numbers, 'ann/1', 0],
    [numbers, 'ann/2', 0],
    [numbers, 'bob/1', 1],
  ] as const;
  const broken = [...kept, [numbers, 'ann/3', 1]] as const;

  test('that finds a new key in two partitions', () => {
    const count = (stream: KStream<string, number>) =>
      void byCustomer(stream).groupByKey().count({ store: 's' });
    expect(failure(count, kept)).toBeUndefined();
    const error = failure(count, broken);
    expect(StreamsError.is(error, 'PROCESSING_FAILED') && error.details.node).toBe('customer');
    expect(String(error)).toContain('the key "ann" is in partition 0 and in partition 1');
    expect(String(error)).toContain("customer has the option { preserves: 'partition' }");
  });

  test('also by a processor that forwards to a named child', () => {
    const build = (stream: KStream<string, number>) =>
      void stream
        .process<string, number>(
          (context) => ({
            process: ({ key, value }) =>
              context.forward({ key: key[0] ?? '', value }, { to: 'next' }),
          }),
          { preserves },
        )
        .peek(() => undefined, { name: 'next' });
    expect(failure(build, kept)).toBeUndefined();
    expect(String(failure(build, broken))).toContain('the key "a" is in partition');
  });

  test('that finds the row of a key in another partition', () => {
    const join = (stream: KStream<string, number>, builder: StreamsBuilder) =>
      void byCustomer(stream)
        .filter(() => true)
        .leftJoin(builder.table(others), (left) => left, { name: 'join' });
    expect(failure(join, [...kept, [others, 'ann', 0]])).toBeUndefined();
    const error = failure(join, [...kept, [others, 'ann', 1]]);
    expect(String(error)).toContain('the key "ann" is in partition 0 and in partition 1');
    expect(StreamsError.is(error, 'PROCESSING_FAILED') && error.details.node).toContain('others');
  });

  test('that finds the other side of a join in another partition', () => {
    const join = (stream: KStream<string, number>, builder: StreamsBuilder) =>
      void builder
        .stream(others, { nullKeys: 'fail' })
        .join(byCustomer(stream), (left) => left, { window, name: 'join' });
    expect(failure(join, [...kept, [others, 'bob', 1]])).toBeUndefined();
    const error = failure(join, [...kept, [others, 'bob', 0]]);
    expect(StreamsError.is(error, 'PROCESSING_FAILED') && error.details.node).toBe('join');
  });

  test('also where a join has a topic only if it is needed', () => {
    const join = (stream: KStream<string, number>, builder: StreamsBuilder) =>
      void byCustomer(stream).leftJoin(builder.table(others), (left) => left, {
        ...{ name: 'join', repartition: 'if-needed' },
      });
    expect(failure(join, [...kept, [others, 'ann', 0]])).toBeUndefined();
    const error = failure(join, [...kept, [others, 'ann', 1]]);
    expect(String(error)).toContain('the key "ann" is in partition 0 and in partition 1');
  });

  test('also in a table that a transformer makes of others, by any keys', () => {
    const build = (stream: KStream<string, number>, builder: StreamsBuilder) => {
      const named = byCustomer(stream);
      const customers = named.toTable();
      const made = builder.table(others).transformValues(
        (context) => {
          const rows = context.table(customers);
          return { transform: ({ value }) => value ?? rows.get('ann') ?? null };
        },
        { tables: [customers], name: 'made' },
      );
      named.leftJoin(made, (left) => left, { name: 'join' });
    };
    const unjoined = (stream: KStream<string, number>, builder: StreamsBuilder) => {
      const customers = byCustomer(stream).toTable();
      const options = { tables: [customers] };
      const none = () => ({ transform: () => null });
      builder.table(others).transformValues(none, options);
    };
    expect(failure(unjoined, [...kept, [others, 'ann', 1]])).toBeUndefined();
    expect(failure(build, [...kept, [others, 'ann', 0]])).toBeUndefined();
    const error = failure(build, [...kept, [others, 'ann', 1]]);
    expect(String(error)).toContain('the key "ann" is in partition 0 and in partition 1');
  });

  test('but not what a processor keeps by other keys', () => {
    const build = (stream: KStream<string, number>, builder: StreamsBuilder) => {
      const store = builder.addStore(keyValueStore('own', { key: string(), value: int64() }));
      const options = { stores: [store] };
      byCustomer(stream).process(() => ({ process: () => undefined }), options);
      builder.stream(others).process(() => ({ process: () => undefined }), options);
    };
    expect(failure(build, [...kept, [others, 'ann', 1]])).toBeUndefined();
  });

  test('nor behind a change of keys that repartitions, nor with one partition', () => {
    const build = (stream: KStream<string, number>) =>
      void byCustomer(stream)
        .groupBy(({ key }) => key, { key: string() })
        .count();
    expect(failure(build, kept)).toBeUndefined();
    const one = [[numbers, 'ann/1', 0]] as const;
    expect(failure((s) => void byCustomer(s).groupByKey().count(), one, 1)).toBeUndefined();
  });
});
