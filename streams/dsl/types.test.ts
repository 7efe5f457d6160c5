import { expectTypeOf, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import {
  joinWindow,
  StreamsBuilder,
  tumblingWindow,
  untilWindowCloses,
  type KStream,
  type KTable,
} from '../index.ts';

interface Order {
  readonly id: string;
  readonly customer: string;
  readonly items: readonly { readonly name: string; readonly price: number }[];
}

interface Customer {
  readonly country: string;
}

const orders = topic('orders', { key: string(), value: json<Order>() });
const customers = topic('customers', { key: string(), value: json<Customer>() });
const rates = topic('rates', { key: string(), value: int64() });

test('the types of a chain of ten operators follow from its functions', () => {
  const builder = new StreamsBuilder();
  const found = builder
    .stream(orders)
    .filter(({ value }) => value.items.length > 0)
    .dedupe({ by: ({ value }) => value.id, withinMs: 60_000 })
    .selectKey(({ value }) => value.customer)
    .join(builder.table(customers), ({ items }, { country }) => ({ items, country }))
    .flatMapValues(({ items, country }) => items.map((item) => ({ ...item, country })))
    .groupBy(({ value }) => value.country)
    .windowedBy(tumblingWindow({ sizeMs: 60_000 }))
    .aggregate(
      () => ({ total: 0, names: [] as string[] }),
      ({ total, names }, { value }) => {
        return { total: total + value.price, names: [...names, value.name] };
      },
    )
    .suppress(untilWindowCloses())
    .toStream(({ key }) => `${key.key} ${key.windowStartMs}`)
    .mapValues(({ total, names }) => total + names.length);
  expectTypeOf(found).toEqualTypeOf<KStream<string, number>>();
});

test('so do those of every join', () => {
  const builder = new StreamsBuilder();
  const stream = builder.stream(orders, { nullKeys: 'skip' });
  const other = builder.stream(rates, { nullKeys: 'skip' });
  const table = builder.table(customers);
  const numbers = builder.table(rates, { store: 'numbers' });
  const window = joinWindow({ differenceMs: 5, graceMs: 0 });
  type Pair<L, R> = readonly [L, R];
  const pair = <L, R>(left: L, right: R): Pair<L, R> => [left, right];
  expectTypeOf(stream.join(other, pair, { window })).toEqualTypeOf<
    KStream<string, Pair<Order, number>>
  >();
  expectTypeOf(stream.leftJoin(other, pair, { window })).toEqualTypeOf<
    KStream<string, Pair<Order, number | undefined>>
  >();
  expectTypeOf(stream.outerJoin(other, pair, { window })).toEqualTypeOf<
    KStream<string, Pair<Order | undefined, number | undefined>>
  >();
  expectTypeOf(stream.join(table, pair)).toEqualTypeOf<KStream<string, Pair<Order, Customer>>>();
  expectTypeOf(stream.leftJoin(table, pair)).toEqualTypeOf<
    KStream<string, Pair<Order, Customer | undefined>>
  >();
  const global = builder.globalTable(topic('global', { key: string(), value: int64() }));
  const keyOf = ({ value }: { readonly value: Order }) => value.customer;
  expectTypeOf(stream.join(global, keyOf, pair)).toEqualTypeOf<
    KStream<string, Pair<Order, number>>
  >();
  expectTypeOf(stream.leftJoin(global, keyOf, pair)).toEqualTypeOf<
    KStream<string, Pair<Order, number | undefined>>
  >();
  expectTypeOf(table.join(numbers, pair)).toEqualTypeOf<
    KTable<string, Pair<Customer, number> | null>
  >();
  expectTypeOf(table.leftJoin(numbers, pair)).toEqualTypeOf<
    KTable<string, Pair<Customer, number | undefined> | null>
  >();
  expectTypeOf(table.outerJoin(numbers, pair)).toEqualTypeOf<
    KTable<string, Pair<Customer | undefined, number | undefined> | null>
  >();
  const foreignKey = ({ value }: { readonly value: Customer }) => value.country;
  expectTypeOf(table.join(numbers, { foreignKey, joiner: pair })).toEqualTypeOf<
    KTable<string, Pair<Customer, number> | null>
  >();
  expectTypeOf(table.leftJoin(numbers, { foreignKey, joiner: pair })).toEqualTypeOf<
    KTable<string, Pair<Customer, number | undefined> | null>
  >();
});
