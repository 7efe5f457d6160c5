import { describe, expect, expectTypeOf, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { joinWindow } from '../topology/join-window.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { KStream } from './kstream.ts';
import { StreamsBuilder } from './streams-builder.ts';

interface Order {
  readonly total: number;
}
const orders = topic('orders', { key: string(), value: json<Order>() });
const payments = topic('payments', { key: string(), value: int64() });
const window = joinWindow({ differenceMs: 5 });

function streams() {
  const builder = new StreamsBuilder();
  const left = builder.stream(orders, { nullKeys: 'fail' });
  const right = builder.stream(payments, { nullKeys: 'fail' });
  return { builder, left, right };
}

describe('[STREAMS-4] the types of joins of streams', () => {
  test('are inferred: what may be missing, and the key', () => {
    const { builder, left, right } = streams();
    const inner = left.join(
      right,
      (order, amount, record) => {
        expectTypeOf(order).toEqualTypeOf<Order>();
        expectTypeOf(amount).toEqualTypeOf<number>();
        expectTypeOf(record).toEqualTypeOf<StreamRecord<string, Order | number>>();
        return order.total - amount;
      },
      { window },
    );
    expectTypeOf(inner).toEqualTypeOf<KStream<string, number>>();
    const one = left.leftJoin(
      right,
      (order, amount) => {
        expectTypeOf(order).toEqualTypeOf<Order>();
        expectTypeOf(amount).toEqualTypeOf<number | undefined>();
        return 'text';
      },
      { window },
    );
    expectTypeOf(one).toEqualTypeOf<KStream<string, string>>();
    const both = left.outerJoin(
      right,
      (order, amount) => {
        expectTypeOf(order).toEqualTypeOf<Order | undefined>();
        expectTypeOf(amount).toEqualTypeOf<number | undefined>();
        return amount ?? null;
      },
      { window },
    );
    expectTypeOf(both).toEqualTypeOf<KStream<string, number | null>>();
    const nulls = builder.stream(topic('nulls', { key: string(), value: string() }), {
      nullValues: 'pass',
    });
    expectTypeOf(nulls.join(left, (a) => a, { window })).toEqualTypeOf<KStream<string, string>>();
    const named = nulls.outerJoin(left, (a) => a, { window });
    expectTypeOf(named).toEqualTypeOf<KStream<string | null, string | undefined>>();
  });

  test('that do not match do not compile', () => {
    const { builder, left, right } = streams();
    const byNumber = builder.stream(topic('by-number', { key: int64(), value: string() }));
    // A join that does not compile resolves to its first overload.
    /* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment */
    const wrongly = (): void => {
      // @ts-expect-error -- it needs a window
      left.join(right, () => 1);
      // @ts-expect-error -- it needs a window
      left.join(right, () => 1, { store: 'a' });
      // @ts-expect-error -- joinWindow() makes windows
      left.join(right, () => 1, { window: 5 });
      // @ts-expect-error -- the keys differ
      left.join(byNumber, () => 1, { window });
      // @ts-expect-error -- a payment is a number
      left.join(right, (_, amount: string) => amount, { window });
      // @ts-expect-error -- in a left join the right value may be missing
      left.leftJoin(right, (_, amount: number) => amount, { window });
      // @ts-expect-error -- in an outer join the left value may be missing
      left.outerJoin(right, (order: Order) => order.total, { window });
      // @ts-expect-error -- it is async
      left.join(right, async () => 1, { window });
      // @ts-expect-error -- it is async
      left.outerJoin(right, async () => 1, { window });
      // @ts-expect-error -- the serde must match the values of the other side
      left.join(right, () => 1, { window, otherValue: string() });
      // @ts-expect-error -- a time difference, or before and after
      joinWindow({ beforeMs: 5 });
    };
    /* eslint-enable @typescript-eslint/no-unsafe-class-instance-assignment */
    expect(wrongly).toBeTypeOf('function');
  });
});

/** A stream as a program without types sees it: it accepts anything. */
type Untyped = Record<'join' | 'leftJoin' | 'outerJoin', (...args: unknown[]) => unknown>;

function refusal(join: (left: Untyped, right: unknown) => unknown): Promise<string> {
  const { left, right } = streams();
  return codeOf((async () => join(left as unknown as Untyped, right))());
}

describe('[STREAMS-19] a join of streams is refused', () => {
  test.each<[string, (left: Untyped, right: unknown) => unknown, string]>([
    ['with nothing', (left) => left.join(undefined, () => 1), 'a KStream, a KTable or'],
    ['with a topic', (left) => left.leftJoin(payments, () => 1), 'a KStream, a KTable or'],
    ['with a topic as outer join', (left) => left.outerJoin(payments, () => 1), 'a KStream'],
    ['without a joiner', (left, right) => left.join(right), 'joiner must be a function'],
    ['without options', (left, right) => left.join(right, () => 1), 'as joinWindow() makes it'],
    [
      'without a window',
      (left, right) => left.outerJoin(right, () => 1, { store: 'a' }),
      'as joinWindow() makes it',
    ],
    [
      'with another window',
      (left, right) => left.join(right, () => 1, { window: { sizeMs: 5 } }),
      'as joinWindow() makes it',
    ],
    [
      'with a function for the key',
      (left, right) => left.join(right, () => 'a', () => 1), // prettier-ignore
      'options must be an object',
    ],
    [
      'with an unknown option',
      (left, right) => left.join(right, () => 1, { window, windows: window }),
      'did you mean window?',
    ],
    [
      'with an async joiner',
      (left, right) => left.leftJoin(right, async () => 1, { window }),
      'joiner is async',
    ],
  ])('%s', async (_, join, reason) => {
    expect(await messageOf(join)).toContain(reason);
  });

  test('[STREAMS-3] with a stream of another builder', async () => {
    const answer = await refusal((left) => left.join(streams().right, () => 1, { window }));
    expect(answer).toContain('join needs both sides from one StreamsBuilder');
  });
});

/** The message that `join` throws. */
async function messageOf(join: (left: Untyped, right: unknown) => unknown): Promise<string> {
  const { left, right } = streams();
  try {
    await join(left as unknown as Untyped, right);
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
  return 'accepted';
}

describe('[OP-JOIN-1] joinWindow', () => {
  test.each([
    ['nothing', undefined],
    ['no time', {}],
    ['a negative difference', { differenceMs: -1 }],
    ['half a millisecond', { differenceMs: 0.5 }],
    ['a negative grace', { differenceMs: 5, graceMs: -1 }],
    ['only one bound', { beforeMs: 5 }],
    ['bounds that leave nothing between them', { beforeMs: -5, afterMs: 4 }],
    ['a difference and bounds', { differenceMs: 5, beforeMs: 5, afterMs: 5 }],
    ['an unknown option', { differenceMs: 5, grace: 5 }],
  ])('refuses %s', async (_, options) => {
    const make = async () => joinWindow(options as { differenceMs: number });
    expect(await codeOf(make())).toMatch(/INVALID_OPTION|UNKNOWN_OPTION/);
  });

  test('is otherwise kept, with a default grace of 0', () => {
    expect(joinWindow({ differenceMs: 5 })).toEqual({ beforeMs: 5, afterMs: 5, graceMs: 0 });
    const options = { beforeMs: -5, afterMs: 5, graceMs: 9 };
    expect(joinWindow(options)).toEqual(options);
  });
});

test('[OP-JOIN-4] stores and repartition topics are named after the join', () => {
  const { builder, left, right } = streams();
  const rekeyed = right.selectKey(({ key }) => key, { key: string() });
  left.join(rekeyed, () => 1, { window, store: 'paid' });
  left.leftJoin(rekeyed, () => 1, { window, name: 'mine' });
  left.join(left, () => 1, { window, store: 'self' });
  const { nodes, stores } = builder.build();
  expect([...stores.keys()]).toEqual([
    'paid-left',
    'paid-right',
    'mine-left',
    'mine-right',
    'self-left',
  ]);
  expect(nodes.map(({ name }) => name)).toEqual([
    'source-orders',
    'source-payments',
    'select-key-payments',
    'paid-right-repartition',
    'stream-join-paid',
    'mine-right-repartition',
    'mine',
    'stream-join-self',
  ]);
});
