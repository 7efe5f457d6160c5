import fc from 'fast-check';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { int32, json, string, topic } from '../../core/index.ts';
import { drive, driveNulls, numbers, shown, sums } from '../../test/kit/drive.ts';
import {
  crashInput,
  crashOutput,
  sameAfterCrashes,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { KStream } from '../dsl/kstream.ts';
import type { DedupeOptions } from '../dsl/node-options.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { windowStore } from '../state/window-store.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';

interface Payment {
  readonly id: string;
  readonly amount: number;
}

const payments = topic('payments', { key: string(), value: json<Payment>() });
const names = topic('names', { key: string(), value: string() });

/** Pipes rows `key value time` and returns those that are passed on, with the late ones counted. */
function deduped(options: DedupeOptions<string, number, string>, rows: string): string[] {
  const { driver, pipe } = drive(numbers, sums, (stream) => stream.dedupe(options));
  const passed = rows.split(', ').flatMap((row) => {
    const [key = '', value, time] = row.split(' ');
    return shown(pipe([key, Number(value), Number(time)]));
  });
  return [...passed, `late: ${driver.metrics().droppedRecords.late}`];
}

describe('[OP-DEDUPE-1] dedupe', () => {
  test('passes on the first record of a key, and the next one after withinMs', () => {
    const rows = 'a 1 0, a 2 9, b 3 9, a 4 10, a 5 10, a 6 19, a 7 20';
    expect(deduped({ withinMs: 10 }, rows)).toEqual([
      ...['a 1 @0', 'b 3 @9', 'a 4 @10', 'a 7 @20'],
      'late: 0',
    ]);
  });

  test('counts from the record passed on, not from a duplicate', () => {
    const rows = 'a 1 5, a 2 14, a 3 15, a 4 23, a 5 25';
    expect(deduped({ withinMs: 10 }, rows)).toEqual(['a 1 @5', 'a 3 @15', 'a 5 @25', 'late: 0']);
  });

  test('finds duplicates that are older than the record passed on', () => {
    const rows = 'a 1 25, a 2 16, a 3 15, a 4 34, a 5 4';
    const options = { withinMs: 10, graceMs: 30 };
    expect(deduped(options, rows)).toEqual(['a 1 @25', 'a 3 @15', 'a 5 @4', 'late: 0']);
  });

  test('finds ids of one partition, whatever their keys', () => {
    const { pipe } = drive(payments, names, (stream) =>
      stream
        .dedupe({ by: ({ value }) => value.id, withinMs: 10, id: string() })
        .mapValues(({ amount }) => String(amount)),
    );
    const rows = pipe(
      ['ann', { id: 'p1', amount: 1 }, 0],
      ['bob', { id: 'p1', amount: 2 }, 1],
      ['bob', { id: 'p2', amount: 3 }, 2],
    );
    expect(shown(rows)).toEqual(['ann 1 @0', 'bob 3 @2']);
  });

  test('drops and counts records without an id, and passes on null values', () => {
    const { driver, pipe } = driveNulls(numbers, sums, (stream) => stream.dedupe({ withinMs: 10 }));
    expect(pipe([null, 1, 0], ['a', null, 1], ['a', 2, 2])).toMatchObject([
      { key: 'a', value: null, timestampMs: 1 },
    ]);
    expect(driver.metrics().droppedRecords['null-key']).toBe(1);
  });

  test(`is a list of what was passed on, seed ${SEED}`, () => {
    const row = fc.record({ key: fc.constantFrom('a', 'b'), timeMs: fc.nat(60) });
    const property = fc.property(
      fc.array(row, { maxLength: 60 }),
      fc.integer({ min: 1, max: 20 }),
      (rows, withinMs) => {
        const { pipe } = drive(numbers, sums, (s) => s.dedupe({ withinMs, graceMs: 100 }));
        const passed: typeof rows = [];
        const expected: string[] = [];
        for (const [index, { key, timeMs }] of rows.entries()) {
          const isNear = (other: (typeof rows)[number]): boolean =>
            other.key === key && Math.abs(other.timeMs - timeMs) < withinMs;
          if (passed.some(isNear)) continue;
          passed.push({ key, timeMs });
          expected.push(`${key} ${index} @${timeMs}`);
        }
        const given = rows.map(({ key, timeMs }, index) => [key, index, timeMs] as const);
        expect(shown(pipe(...given))).toEqual(expected);
      },
    );
    fc.assert(property, { seed: SEED });
  });
});

describe('[OP-DEDUPE-2]', () => {
  test('a record is late when its stretch of withinMs is over, with the grace', () => {
    const rows = 'a 1 0, b 2 19, c 3 9, d 4 20, e 5 9, f 6 10, a 7 8';
    expect(deduped({ withinMs: 10 }, rows)).toEqual([
      ...['a 1 @0', 'b 2 @19', 'c 3 @9', 'd 4 @20', 'f 6 @10'],
      'late: 2',
    ]);
  });

  test('forgets ids once no record can meet them', () => {
    const builder = new StreamsBuilder();
    builder.stream(numbers).dedupe({ withinMs: 10, graceMs: 5, store: 'seen' }).to(sums);
    const driver = new TopologyTestDriver(builder.build());
    const held = (timestampMs: number): number[] => {
      driver.inputTopic(numbers).pipe({ key: `k${timestampMs}`, value: 1, timestampMs });
      return driver.store(windowStore<string, number>('seen')).windowStarts();
    };
    expect(held(3)).toEqual([0]);
    expect(held(24)).toEqual([0, 20]);
    expect(held(25)).toEqual([20]);
  });
});

test('[OP-DEDUPE-3] equal keys meet: new keys go through a topic, others do not', () => {
  const build = (change: (stream: KStream<string | null, number>) => KStream<string, number>) => {
    const builder = new StreamsBuilder();
    change(builder.stream(numbers)).dedupe({ withinMs: 10, store: 'seen' }).to(sums);
    return String(builder.build().describe());
  };
  const rekeyed = build((stream) => stream.selectKey(({ value }) => String(value % 2)));
  expect(rekeyed).toContain('seen-repartition');
  const kept = build((stream) => stream as KStream<string, number>);
  expect(kept).not.toContain('repartition');
});

test('[OP-DEDUPE-3] what is asked for is checked', () => {
  const stream = new StreamsBuilder().stream(numbers);
  const untyped = stream as unknown as { dedupe: (options?: unknown) => unknown };
  expect(() => untyped.dedupe()).toThrow(/dedupe: options must be/);
  expect(() => untyped.dedupe({})).toThrow(/dedupe: withinMs is missing/);
  expect(() => untyped.dedupe({ withinMs: 0 })).toThrow(/dedupe: withinMs must be/);
  expect(() => untyped.dedupe({ within: 1 })).toThrow(/did you mean withinMs\?/);
  expect(() => untyped.dedupe({ withinMs: 1, by: async () => 1 })).toThrow(/by is async/);
  expectTypeOf(stream.dedupe({ withinMs: 1 })).toEqualTypeOf(stream);
  // @ts-expect-error the id is a number, and the serde writes strings
  stream.dedupe({ by: ({ value }) => value, id: string(), withinMs: 1 });
  // @ts-expect-error an id does not wait
  stream.dedupe({ by: ({ value }) => Promise.resolve(value), withinMs: 1 });
  stream.dedupe({ by: ({ value }) => value, id: int32(), withinMs: 1 });
});

test.each(WAYS_TO_STOP)('[OP-DEDUPE-4] %s forgets no id', async (_, stop) => {
  await sameAfterCrashes(
    () => {
      const builder = new StreamsBuilder();
      builder
        .stream(crashInput)
        .dedupe({ withinMs: 40, store: 'seen' })
        .mapValues(String)
        .to(crashOutput);
      return builder.build();
    },
    stop,
    { every: 11 },
  );
});
