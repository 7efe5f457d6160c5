import { describe, expect, expectTypeOf, test } from 'vitest';
import { int64, json, seededRandom, string, topic } from '../../core/index.ts';
import { makeApp, openTestLog, produce, runToEnd, until } from '../../test/kit/app.ts';
import { changes, changesOf } from '../../test/kit/changes.ts';
import { shown } from '../../test/kit/drive.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import {
  crashInput,
  crashOutput,
  sameAfterCrashes,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { KTable } from '../dsl/ktable.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';

/** An order of a customer, who may be unknown. */
interface Order {
  readonly customer: string | null;
  readonly total: number;
}

const orders = topic('orders', { key: string(), value: json<Order>() });
const names = topic('names', { key: string(), value: string() });

type Method = 'join' | 'leftJoin';

const label = ({ total }: Order, name: string | undefined) => `${total} ${name ?? '?'}`;

function joined(method: Method) {
  const builder = new StreamsBuilder();
  const [left, right] = [builder.table(orders), builder.table(names)];
  const foreignKey = ({ value }: { readonly value: Order }) => value.customer;
  const table =
    method === 'join'
      ? left.join(right, { foreignKey, joiner: label, store: 'labels' })
      : left.leftJoin(right, { foreignKey, joiner: label, store: 'labels' });
  changesOf(table).to(changes);
  return builder.build();
}

/**
 * Pipes orders, `O key customer total time`, and names, `N key name time`, with `-` for null; each
 * line is followed by its results, as changes `old>new`.
 */
function joinTable(method: Method, input: string): string {
  const driver = new TopologyTestDriver(joined(method));
  const lines: string[] = [];
  for (const line of input.trim().split('\n')) {
    const [kind, key = '', ...fields] = line.trim().split(/\s+/);
    if (kind === 'O') {
      const [customer = '-', total = '-', time] = fields;
      const order = { customer: customer === '-' ? null : customer, total: Number(total) };
      const value = total === '-' ? null : order;
      driver.inputTopic(orders).pipe({ key, value, timestampMs: Number(time) });
    } else {
      const [name = '-', time] = fields;
      const value = name === '-' ? null : name;
      driver.inputTopic(names).pipe({ key, value, timestampMs: Number(time) });
    }
    const results = shown(driver.outputTopic(changes).readAll());
    lines.push([line.trim(), ...results].join(' | '));
  }
  return lines.join('\n');
}

const unindented = (text: string) => text.trim().replace(/^ +/gm, '');

const INPUT = `
  O 1 c 10 1
  N c Carl 2
  O 2 c 20 9
  O 1 c 11 3
  N c Cleo 4
  N d Dora 5
  O 1 d 11 6
  O 2 x 21 7
  O 2 y 21 8
  O 2 - 22 8
  O 2 c 23 8
  N c - 9
  O 1 - - 10
  O 1 - - 11
  N d Dana 12
  O 3 - 30 13
  O 3 - - 14`;

const RESULTS = {
  join: `
    O 1 c 10 1
    N c Carl 2 | 1 ->10 Carl @2
    O 2 c 20 9 | 2 ->20 Carl @9
    O 1 c 11 3 | 1 10 Carl>11 Carl @3
    N c Cleo 4 | 1 11 Carl>11 Cleo @4 | 2 20 Carl>20 Cleo @4
    N d Dora 5
    O 1 d 11 6 | 1 11 Cleo>11 Dora @6
    O 2 x 21 7 | 2 20 Cleo>- @7
    O 2 y 21 8 | 2 ->- @8
    O 2 - 22 8 | 2 ->- @8
    O 2 c 23 8 | 2 ->23 Cleo @8
    N c - 9 | 2 23 Cleo>- @9
    O 1 - - 10 | 1 11 Dora>- @10
    O 1 - - 11
    N d Dana 12
    O 3 - 30 13
    O 3 - - 14`,
  leftJoin: `
    O 1 c 10 1 | 1 ->10 ? @1
    N c Carl 2 | 1 10 ?>10 Carl @2
    O 2 c 20 9 | 2 ->20 Carl @9
    O 1 c 11 3 | 1 10 Carl>11 Carl @3
    N c Cleo 4 | 1 11 Carl>11 Cleo @4 | 2 20 Carl>20 Cleo @4
    N d Dora 5
    O 1 d 11 6 | 1 11 Cleo>11 Dora @6
    O 2 x 21 7 | 2 20 Cleo>21 ? @7
    O 2 y 21 8 | 2 21 ?>21 ? @8
    O 2 - 22 8 | 2 21 ?>22 ? @8
    O 2 c 23 8 | 2 22 ?>23 Cleo @8
    N c - 9 | 2 23 Cleo>23 ? @9
    O 1 - - 10 | 1 11 Dora>- @10
    O 1 - - 11
    N d Dana 12
    O 3 - 30 13 | 3 ->30 ? @13
    O 3 - - 14 | 3 30 ?>- @14`,
};

describe.each(['join', 'leftJoin'] as const)('[OP-FK-1] [OP-FK-2] %s by foreign key', (method) => {
  test('follows both tables', () => {
    expect(joinTable(method, INPUT)).toBe(unindented(RESULTS[method]));
  });
});

test('[OP-FK-4] in a store, which can be read; keys may be objects', () => {
  const places = topic('places', { key: json<{ x: number }>(), value: string() });
  const builder = new StreamsBuilder();
  const table = builder.table(orders).join(builder.table(places), {
    foreignKey: ({ value }) => ({ x: value.total }),
    joiner: (order, place, key) => `${key} ${order.total} ${place}`,
    store: 'placed',
    value: string(),
  });
  builder
    .stream(names)
    .join(table, (_, place) => place)
    .to(changes);
  const driver = new TopologyTestDriver(builder.build());
  driver.inputTopic(places).pipe({ key: { x: 7 }, value: 'here' });
  driver.inputTopic(orders).pipe({ key: 'a', value: { customer: null, total: 7 } });
  driver.inputTopic(orders).pipe({ key: 'a', value: { customer: 'x', total: 7 } });
  driver.inputTopic(names).pipe({ key: 'a', value: '' });
  expect(shown(driver.outputTopic(changes).readAll())).toEqual(['a a 7 here @0']);
  expect([...driver.keyValueStore('placed').entries()]).toEqual([['a', 'a 7 here']]);
});

test.each([
  [1, 3],
  [3, 1],
  [2, 2],
])(
  `[OP-FK-3] tables of %i and %i partitions, over restarts, equal the same at once, seed ${SEED}`,
  async (leftPartitions, rightPartitions) => {
    const left = topic('left', { key: string(), value: int64(), partitions: leftPartitions });
    const right = topic('right', { key: string(), value: int64(), partitions: rightPartitions });
    const output = topic('output', { key: string(), value: string(), partitions: 1 });
    const topology = () => {
      const builder = new StreamsBuilder();
      const lefts = builder
        .stream(left, { nullValues: 'pass' })
        .toTable({ store: 'lefts', emit: 'commit' });
      const others = builder.table(right);
      const foreignKey = ({ value }: { readonly value: number }) =>
        value % 7 === 0 ? null : `f${value % 5}`;
      const paste = (one: number, other: number | undefined) => `${one} ${other ?? '?'}`;
      const inner = lefts.join(others, { foreignKey, joiner: paste, store: 'inner' });
      const outer = lefts.leftJoin(others, { foreignKey, joiner: paste, store: 'left-join' });
      inner
        .toStream(({ key }) => `inner ${key}`, { key: string() })
        .merge(outer.toStream(({ key }) => `left ${key}`, { key: string() }))
        .to(output);
      return builder.build();
    };
    const random = seededRandom(SEED);
    const int = (limit: number) => Math.floor(random.next() * limit);
    const log = await openTestLog();
    const [lefts, rights] = [new Map<string, number>(), new Map<string, number>()];
    let stateDir = temporaryDirectory();
    const ROWS = 25;
    for (let round = 0; round < 4; round++) {
      const changed = (table: Map<string, number>, prefix: string, keys: number) =>
        Array.from({ length: ROWS }, (_, index): [string, number | null, number] => {
          const key = `${prefix}${int(keys)}`;
          const value = int(4) === 0 ? null : int(50);
          if (value === null) table.delete(key);
          else table.set(key, value);
          return [key, value, round * ROWS + index];
        });
      await produce(log, left, changed(lefts, 'k', 8));
      await produce(log, right, changed(rights, 'f', 5));
      if (int(2) === 0) stateDir = temporaryDirectory();
      const options = {
        stateDir,
        commitIntervalMs: int(2) === 0 ? 1 : 10_000,
        checkpointIntervalMs: 1,
        cacheEntriesMax: int(3),
      };
      const app = makeApp(log, topology(), options);
      await app.start();
      await until(() => app.metrics().processedRecords >= 2 * ROWS);
      await app.close(); // wherever the tasks behind are
    }
    await runToEnd(log, topology(), { stateDir });
    const found = new Map<string, string>();
    for (const { key, value } of await readTopic(log, output, 'read_committed')) {
      if (value === null) found.delete(key!);
      else found.set(key!, value);
    }
    const expected = new Map<string, string>();
    for (const [key, value] of lefts) {
      const other = value % 7 === 0 ? undefined : rights.get(`f${value % 5}`);
      if (other !== undefined) expected.set(`inner ${key}`, `${value} ${other}`);
      expected.set(`left ${key}`, `${value} ${other ?? '?'}`);
    }
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected));
  },
);

describe.each(WAYS_TO_STOP)('[OP-FK-5] after %s at any time', (_, stop) => {
  function topology() {
    const builder = new StreamsBuilder();
    const stream = builder.stream(crashInput).filter(({ value }) => value % 4 === 0);
    const left = stream.toTable({ store: 'left' });
    const right = stream
      .selectKey(({ key }) => `f${key}`, { key: string() })
      .filter(({ value }) => value % 3 === 0)
      .toTable({ store: 'right', value: int64() });
    const table = left.join(right, {
      foreignKey: ({ value }) => `fk${value % 5}`,
      joiner: (one, other) => one * 10_000 + other,
      store: 'joined',
      value: int64(),
    });
    const sums = table
      .groupBy(({ key, value }) => ({ key, value }), { key: string(), value: int64() })
      .reduce(
        (sum, value) => sum + value,
        (sum, value) => sum - value,
        { store: 'sums', emit: 'each' },
      );
    // Merged, they would be in one sub-topology, which would feed itself.
    changesOf(table)
      .selectKey(({ key }) => `row ${key}`)
      .to(crashOutput);
    changesOf(sums)
      .selectKey(({ key }) => `sum ${key}`)
      .to(crashOutput);
    return builder.build();
  }

  test(`the results are the same, seed ${SEED}`, async () => {
    // Which results come in between depends on how the tasks take turns; but no change is lost.
    await sameAfterCrashes(topology, stop, { compares: 'chains' });
  }, 60_000);
});

test('[STREAMS-17] the types of foreign-key joins follow from their functions', () => {
  const builder = new StreamsBuilder();
  const [left, right] = [builder.table(orders), builder.table(names)];
  const inner = left.join(right, {
    foreignKey: ({ value }) => value.customer,
    joiner: (order, name, key) => {
      expectTypeOf(order).toEqualTypeOf<Order>();
      expectTypeOf(name).toEqualTypeOf<string>();
      expectTypeOf(key).toEqualTypeOf<string>();
      return order.total;
    },
  });
  expectTypeOf(inner).toEqualTypeOf<KTable<string, number | null>>();
  const outer = left.leftJoin(right, {
    foreignKey: ({ value }) => value.customer,
    joiner: (_, name) => {
      expectTypeOf(name).toEqualTypeOf<string | undefined>();
      return name ?? '';
    },
  });
  expectTypeOf(outer).toEqualTypeOf<KTable<string, string | null>>();
  const total = ({ value }: { readonly value: Order }) => value.total;
  const wrongly = (): void => {
    // @ts-expect-error -- the key of the other table is a string
    left.join(right, { foreignKey: total, joiner: label });
    // @ts-expect-error -- the joiner is missing
    left.join(right, { foreignKey: ({ value }) => value.customer });
  };
  expect(wrongly).toBeTypeOf('function');
  const foreignKey = () => 'a';
  const other = new StreamsBuilder().table(names);
  expect(() => left.join(other, { foreignKey, joiner: label })).toThrow(/one StreamsBuilder/);
  expect(() => left.join(right, { foreignKey } as never)).toThrow(/joiner/);
  expect(() => left.join(right, { joiner: label } as never)).toThrow(/foreignKey/);
  const misspelt = { foreignKey, joiner: label, stroe: 's' } as never;
  expect(() => left.join(right, misspelt)).toThrow(/stroe/);
});
