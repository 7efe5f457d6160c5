import { describe, expect, expectTypeOf, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import { changes, changesOf, tableOf } from '../../test/kit/changes.ts';
import { numbers, shown } from '../../test/kit/drive.ts';
import {
  crashInput,
  crashOutput,
  sameAfterCrashes,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { KTable } from '../dsl/ktable.ts';
import { keyValueStore, windowStore } from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import type { RowTransformerSupplier } from '../topology/processor.ts';
import { tumblingWindow } from '../topology/windows.ts';

type Numbers = KTable<string, number | null>;

const countOf = keyValueStore('counts', { key: string(), value: int64() });

/** The number of a row's changes so far, before its value. */
function counted(table: Numbers, builder: StreamsBuilder): KTable<string, string | null> {
  const counts = builder.addStore(countOf);
  return table.transformValues(
    (context) => {
      const store = context.store(counts);
      return {
        transform: ({ key, value, timestampMs }) => {
          store.update(key, timestampMs, (count = 0) => count + 1);
          return value === null ? null : `${store.get(key)}:${value}`;
        },
      };
    },
    { store: 'counted', stores: [counts], value: string() },
  );
}

describe('[OP-TABLE-12] transformValues', () => {
  test('makes each row once of its change, so that old values are those passed on', () => {
    const { driver, pipe } = tableOf(counted);
    expect(pipe('a 5 1, a 5 2, b 7 3, a - 4, a 9 5, c - 6')).toEqual([
      'a ->1:5 @1',
      'a 1:5>2:5 @2',
      'b ->1:7 @3',
      'a 2:5>- @4',
      'a ->4:9 @5',
      'c ->- @6',
    ]);
    expect([...driver.keyValueStore('counted').entries()]).toEqual([
      ['a', '4:9'],
      ['b', '1:7'],
    ]);
    expect([...driver.keyValueStore('counts').entries()]).toEqual([
      ['a', 4],
      ['b', 1],
      ['c', 1],
    ]);
  });

  test('retractions behind it balance', () => {
    const { pipe } = tableOf((table, builder) =>
      counted(table, builder)
        .mapValues((text) => Number(text.split(':')[0]))
        .groupBy(({ value }) => ({ key: 'all', value }), { key: string(), value: int64() })
        .reduce(
          (sum, value) => sum + value,
          (sum, value) => sum - value,
          { emit: 'each' },
        ),
    );
    expect(pipe('a 5 1, a 5 2, b 7 3, a - 4').at(-1)).toMatch(/>1 @4$/);
  });

  test('is called for deletions, and may keep a row of them', () => {
    const { pipe } = tableOf((table) =>
      table.transformValues(() => ({ transform: ({ value }) => value ?? 'gone' })),
    );
    expect(pipe('a 1 1, a - 2')).toEqual(['a ->1 @1', 'a 1>gone @2']);
  });

  test.each([null, undefined])('a result of %s deletes', (nothing) => {
    const { pipe } = tableOf((table) =>
      table.transformValues(() => ({
        transform: ({ value }) => (value !== null && value > 9 ? value : nothing),
      })),
    );
    expect(pipe('a 10 1, a 1 2, b 1 3')).toEqual(['a ->10 @1', 'a 10>- @2', 'b ->- @3']);
  });

  test('knows times, places, global tables and punctuations, and is closed', () => {
    const seen: unknown[] = [];
    const names = topic('names', { key: string(), value: string() });
    const { driver, pipe } = tableOf((table, builder) => {
      const global = builder.globalTable(names);
      return table.transformValues((context) => {
        context.schedule(10, 'stream-time', (timeMs) => void seen.push(timeMs));
        return {
          transform: ({ key, headers }) => {
            seen.push(context.streamTimeMs(), context.recordMetadata()?.offset, headers.length);
            return context.globalTable(global).get(key) ?? '-';
          },
          close: () => void seen.push('closed'),
        };
      });
    });
    driver.inputTopic(names).pipe({ key: 'a', value: 'Ann' });
    expect(pipe('a 1 5, b 1 12')).toEqual(['a ->Ann @5', 'b ->- @12']);
    expect(seen).toEqual([5, 0, 0, 5, 12, 1, 0, 12]);
    driver.close();
    expect(seen.at(-1)).toBe('closed');
  });

  test('passes its changes on as emit says, from a store named after the node by default', () => {
    const builder = new StreamsBuilder();
    const table = builder
      .table(numbers)
      .transformValues(() => ({ transform: ({ value }) => value }), {
        ...{ name: 'own', emit: { everyMs: 10 } },
      });
    expect(table.store).toBe('own');
    changesOf(table).to(changes);
    const driver = new TopologyTestDriver(builder.build());
    driver.inputTopic(numbers).pipeAll([
      { key: 'a', value: 1, timestampMs: 1 },
      { key: 'a', value: 2, timestampMs: 2 },
      { key: 'b', value: 3, timestampMs: 30 },
    ]);
    expect(shown(driver.outputTopic(changes).readAll())).toEqual(['a ->2 @2']);
  });

  test('of tables of windows: rows and own windows stay until they expire', () => {
    const { driver, pipe } = tableOf((table, builder) => {
      const seen = builder.addStore(
        windowStore('seen', { key: string(), value: int64(), retentionMs: 20 }),
      );
      return table
        .toStream()
        .filter(({ value }) => value !== null)
        .groupByKey()
        .windowedBy(tumblingWindow({ sizeMs: 10 }))
        .count({ emit: 'each' })
        .transformValues(
          (context) => {
            const windows = context.store(seen);
            return {
              transform: ({ key, value, timestampMs }) => {
                windows.put(key.key, key.windowStartMs, value, timestampMs);
                return value * 10;
              },
            };
          },
          { store: 'kept', stores: [seen] },
        );
    });
    pipe('a 1 1, a 1 2, a 1 12');
    const kept = () => [...driver.keyValueStore('kept').entries()].map(([, value]) => value);
    const seen = () => [...driver.store(windowStore('seen')).all()].map(({ value }) => value);
    expect([kept(), seen()]).toEqual([[10], [2, 1]]);
    pipe('a 1 20');
    expect([kept(), seen()]).toEqual([[10], [1, 1]]);
  });

  test('describe() has its stores', () => {
    const builder = new StreamsBuilder();
    counted(builder.table(numbers), builder);
    const { subTopologies } = builder.build().describe();
    const nodes = subTopologies.flatMap((each) => each.nodes);
    expect(nodes.find(({ name }) => name === 'transform-values-counted')).toMatchObject({
      stores: ['counted', 'counts'],
    });
  });

  test('an error names the node', () => {
    const failing = (supplier: unknown) => () => {
      const { pipe } = tableOf((table) =>
        table.transformValues(supplier as RowTransformerSupplier<string, number | null, number>),
      );
      pipe('a 1 1');
    };
    expect(failing(() => ({ process: () => 1 }))).toThrow(/an object with a method transform/);
    expect(failing(() => ({ transform: () => Promise.resolve(1) }))).toThrow(/returned a promise/);
    expect(failing(() => ({ transform: () => assertNever() }))).toThrow(/transform-values.*gone/s);
  });

  test('what cannot be is refused', () => {
    const other = new StreamsBuilder().addStore(countOf);
    const table = new StreamsBuilder().table(numbers);
    const same = () => ({ transform: ({ value }: { value: number | null }) => value });
    expect(() => table.transformValues(same, { stores: [other] })).toThrow(/not of this builder/);
    expect(() => table.transformValues(7 as never)).toThrow(/supplier/);
    expect(() => table.transformValues(same, { stores: ['x'] as never })).toThrow(/stores\[0\]/);
    expect(() => table.transformValues(same, { emit: 'final' as never })).toThrow(/windows/);
    expect(() => table.transformValues(same, { stor: 'x' } as never)).toThrow(/store/);
  });

  test('its types are inferred', () => {
    const builder = new StreamsBuilder();
    const table = builder.table(numbers);
    const texts = table.transformValues(() => ({ transform: ({ value }) => `${value}` }));
    expectTypeOf(texts).toEqualTypeOf<KTable<string, string>>();
    const some = table.transformValues(() => ({
      transform: ({ value }) => (value === null ? undefined : { value }),
    }));
    expectTypeOf(some).toEqualTypeOf<KTable<string, { value: number } | null>>();
    // @ts-expect-error a transformer is synchronous
    table.transformValues(() => ({ transform: ({ value }) => Promise.resolve(value) }));
    // @ts-expect-error the serde writes other values
    table.transformValues(() => ({ transform: () => 1 }), { value: string() });
    table.transformValues((context) => {
      // @ts-expect-error it has no forward: its result is the row
      expectTypeOf(context.forward);
      return { transform: () => 1 };
    });
    table.transformValues(() => ({
      // @ts-expect-error the value of a deleted row is null
      transform: ({ value }) => value.toFixed(1),
    }));
    table.transformValues(() => ({ transform: () => json }), {});
  });
});

function assertNever(): never {
  throw new RangeError('gone');
}

describe.each(WAYS_TO_STOP)('[OP-TABLE-12] after %s at any time', (_, stop) => {
  function topology() {
    const builder = new StreamsBuilder();
    const counts = builder.addStore(countOf);
    const table = builder
      .stream(crashInput)
      .filter(({ value }) => value % 3 !== 0)
      .toTable({ store: 'rows' })
      .transformValues(
        (context) => {
          const store = context.store(counts);
          context.schedule(100, 'stream-time', (timeMs) => {
            store.update('ticks', timeMs, (count = 0) => count + 1);
          });
          return {
            transform: ({ key, value, timestampMs }) => {
              store.update(key, timestampMs, (count = 0) => count + 1);
              return `${value} ${store.get(key)} ${store.get('ticks') ?? 0}`;
            },
          };
        },
        { store: 'counted', stores: [counts], value: string() },
      );
    changesOf(table).to(crashOutput);
    return builder.build();
  }

  test(`gives the same changes, seed ${SEED}`, async () => {
    await sameAfterCrashes(topology, stop, { every: 11 });
  }, 60_000);
});
