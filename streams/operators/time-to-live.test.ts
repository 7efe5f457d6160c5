import fc from 'fast-check';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import { openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { numbers } from '../../test/kit/drive.ts';
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
import { keyValueStore } from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { keyValueStore as storeOf } from '../state/key-value-store.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';

const results = topic('results', { key: string(), value: json<number | null>() });
const rowTopic = topic('rows', { key: string(), value: int64() });
/** Stretches of 2 ms: a row goes when the one of its last change ended 32 ms ago. */
const ttlMs = 32;

/**
 * Pipes lines `key value time`, `wait ms` for the clock, and returns them with the results below,
 * `key value @time`, and the rows that are left.
 */
function ttlTable(build: (builder: StreamsBuilder) => void, store: string, input: string): string {
  const builder = new StreamsBuilder();
  build(builder);
  const driver = new TopologyTestDriver(builder.build());
  const lines = input
    .trim()
    .split('\n')
    .flatMap((line) => {
      const [name = '', value = '', time] = line.trim().split(/\s+/);
      if (name === 'wait') driver.advanceWallClock(Number(value));
      else {
        const row = { key: name, timestampMs: Number(time) };
        driver
          .inputTopic(rowTopic)
          .pipe({ ...row, value: value === 'null' ? null : Number(value) });
      }
      const found = driver.outputTopic(results).readAll();
      const shown = found.map((each) => `  ${each.key} ${each.value} @${each.timestampMs}`);
      return [line.trim(), ...shown];
    });
  const left = [...driver.store(storeOf<string, number>(store)).entries()];
  lines.push(`left: ${left.map(([key]) => key).join(' ')}`);
  lines.push(`late: ${driver.metrics().droppedRecords.late}`);
  return lines.join('\n');
}

describe('[OP-TTL-1] rows whose last change is older than ttlMs are deleted', () => {
  const counted =
    (options: { readonly closeAfterIdleMs?: number } = {}) =>
    (builder: StreamsBuilder): void =>
      builder
        .stream(rowTopic, { nullKeys: 'fail' })
        .groupByKey()
        .count({ store: 'counts', emit: 'each', ttlMs, ...options })
        .toStream()
        .to(results);

  test('and passed on as changes, before the record that moved time', () => {
    const table = ttlTable(
      counted(),
      'counts',
      `a 1 0
       b 1 1
       c 1 3
       a 1 10
       b 1 33
       d 1 34
       a 1 44
       e 1 60
       f 1 100`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
        a 1 @0
      b 1 1
        b 1 @1
      c 1 3
        c 1 @3
      a 1 10
        a 2 @10
      b 1 33
        b 2 @33
      d 1 34
        d 1 @34
      a 1 44
        c null @36
        a null @44
        a 1 @44
      e 1 60
        e 1 @60
      f 1 100
        b null @66
        d null @68
        a null @78
        e null @94
        f 1 @100
      left: f
      late: 0"
    `);
  });

  test('and a record that is itself too old is late', () => {
    const table = ttlTable(
      counted(),
      'counts',
      `a 1 100
       b 1 69
       b 1 68
       a 1 60`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 100
        a 1 @100
      b 1 69
        b 1 @69
      b 1 68
      a 1 60
      left: a b
      late: 2"
    `);
  });

  test('[OP-TTL-2] by the clock, if nothing has come for a while', () => {
    const table = ttlTable(
      counted({ closeAfterIdleMs: 10 }),
      'counts',
      `a 1 0
       wait 20
       b 1 5
       wait 27
       wait 3
       wait 100`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
        a 1 @0
      wait 20
      b 1 5
        b 1 @5
      wait 27
      wait 3
        a null @34
      wait 100
        b null @38
      left: 
      late: 0"
    `);
  });

  test('in a table of a topic, or of a stream', () => {
    const of = (make: (builder: StreamsBuilder) => KTable<string, number | null>): string =>
      ttlTable(
        (builder) => make(builder).toStream().to(results),
        'kept',
        `a 1 0
         b 2 1
         b null 5
         a 3 8
         c 4 41
         c 5 42
         c 6 100`,
      );
    const options = { store: 'kept', ttlMs };
    const table = of((builder) => builder.table(rowTopic, options));
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
        a 1 @0
      b 2 1
        b 2 @1
      b null 5
        b null @5
      a 3 8
        a 3 @8
      c 4 41
        c 4 @41
      c 5 42
        a null @42
        c 5 @42
      c 6 100
        c null @76
        c 6 @100
      left: c
      late: 0"
    `);
    const made = of((builder) => builder.stream(rowTopic, { nullValues: 'pass' }).toTable(options));
    expect(made).toBe(table);
  });

  test('what is made of a table loses them, too', () => {
    const table = ttlTable(
      (builder) => {
        builder
          .table(rowTopic, { store: 'kept', ttlMs })
          .groupBy(({ value }) => ({ key: `g${value}`, value }), { key: string(), value: int64() })
          .count({ store: 'sizes', emit: 'each' })
          .toStream()
          .to(results);
      },
      'kept',
      `a 1 0
       b 1 1
       c 2 20
       d 1 40`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
        g1 1 @0
      b 1 1
        g1 2 @1
      c 2 20
        g2 1 @20
      d 1 40
        g1 1 @34
        g1 0 @34
        g1 1 @40
      left: c d
      late: 0"
    `);
  });

  test('with everyMs, what waited longer is passed on first', () => {
    const table = ttlTable(
      (builder) => {
        builder
          .stream(rowTopic, { nullKeys: 'fail' })
          .groupByKey()
          .count({ store: 'counts', emit: { everyMs: 20 }, ttlMs })
          .toStream()
          .to(results);
      },
      'counts',
      `a 1 15
       b 1 25
       c 1 49
       d 1 61
       e 1 80`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 15
      b 1 25
        a 1 @15
      c 1 49
        b 1 @25
      d 1 61
        a null @48
        c 1 @49
        b null @58
      e 1 80
        d 1 @61
      left: c d e
      late: 0"
    `);
  });

  test(`at most a 16th later, and never before, seed ${SEED}`, () => {
    const steps = fc.array(fc.record({ key: fc.nat(5), stepMs: fc.nat(40) }), { maxLength: 40 });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 100 }), (records, lifeMs) => {
        const builder = new StreamsBuilder();
        builder.table(rowTopic, { store: 'kept', ttlMs: lifeMs });
        const driver = new TopologyTestDriver(builder.build());
        const newest = new Map<string, number>();
        let timeMs = 0;
        for (const { key, stepMs } of records) {
          timeMs += stepMs;
          driver.inputTopic(rowTopic).pipe({ key: `k${key}`, value: 1, timestampMs: timeMs });
          newest.set(`k${key}`, timeMs);
          const left = new Set(
            [...driver.store(storeOf<string, number>('kept')).entries()].map(([name]) => name),
          );
          for (const [name, changedMs] of newest) {
            const ageMs = timeMs - changedMs;
            if (ageMs < lifeMs) expect(left).toContain(name);
            if (ageMs >= lifeMs + Math.ceil(lifeMs / 16)) expect(left).not.toContain(name);
          }
        }
      }),
      { seed: SEED, numRuns: 60 },
    );
  });
});

/** Passes on a key once, and again when it has been forgotten. */
function firsts(builder: StreamsBuilder): void {
  const seen = builder.addStore(keyValueStore('seen', { key: string(), value: int64(), ttlMs }));
  builder
    .stream(rowTopic, { nullKeys: 'fail' })
    .process<string, number>(
      (context) => {
        const store = context.store(seen);
        return {
          process: ({ key, value, timestampMs }) => {
            if (store.get(key) !== undefined) return;
            store.put(key, value, timestampMs);
            context.forward({ key, value });
          },
        };
      },
      { name: 'firsts', stores: [seen], key: string(), value: int64() },
    )
    .to(results);
}

test("[OP-TTL-3] a processor's own store forgets its entries", () => {
  const table = ttlTable(
    firsts,
    'seen',
    `a 1 0
     a 2 10
     b 3 20
     a 4 33
     a 5 34
     b 6 50
     a 7 60`,
  );
  expect(table).toMatchInlineSnapshot(`
    "a 1 0
      a 1 @0
    a 2 10
    b 3 20
      b 3 @20
    a 4 33
    a 5 34
      a 5 @34
    b 6 50
    a 7 60
    left: a
    late: 0"
  `);
});

test('[OP-TTL-3] every way to write an entry counts as its change', () => {
  const builder = new StreamsBuilder();
  const own = builder.addStore(keyValueStore('own', { key: string(), value: int64(), ttlMs }));
  const forward = (name: string, node: string) =>
    builder
      .stream(topic(name, { key: string(), value: int64() }), { nullKeys: 'fail' })
      .process<string, number>(
        (context) => {
          const store = context.store(own);
          return {
            process: ({ key, value, timestampMs }) => {
              if (value === 0) store.delete(key, timestampMs);
              else store.update(key, timestampMs, (sum = 0) => sum + value);
              expect(store.name).toBe('own');
              const rows = [...store.all()].map((each) => each.key);
              expect([...store.range(undefined, undefined)].map((each) => each.key)).toEqual(rows);
              expect([...store.reverseAll()].map((each) => each.key)).toEqual(rows.toReversed());
              expect([...store.reverseRange('a', 'z')].map((each) => each.key)).toEqual(
                rows.toReversed(),
              );
              expect([...store.prefixScan('')].map((each) => each.key)).toEqual(rows);
              expect(store.size ?? rows.length).toBe(rows.length);
              for (const row of rows) context.forward({ key: row, value: store.get(row) ?? 0 });
            },
          };
        },
        { name: node, stores: [own], key: string(), value: int64() },
      )
      .to(results);
  forward('rows', 'one');
  forward('numbers', 'other'); // shares it
  const driver = new TopologyTestDriver(builder.build());
  const pipe = (key: string, value: number, timestampMs: number, to = rowTopic): string[] => {
    driver.inputTopic(to).pipe({ key, value, timestampMs });
    return driver
      .outputTopic(results)
      .readAll()
      .map((each) => `${each.key} ${each.value}`);
  };
  expect(pipe('a', 1, 0)).toEqual(['a 1']);
  expect(pipe('b', 1, 4, numbers)).toEqual(['a 1', 'b 1']);
  expect(pipe('a', 1, 20, numbers)).toEqual(['a 2', 'b 1']);
  expect(pipe('c', 1, 38)).toEqual(['a 2', 'c 1']); // b has gone
  expect(pipe('c', 0, 39)).toEqual(['a 2']);
  expect(pipe('d', 1, 54)).toEqual(['d 1']);
});

test('[OP-TTL-3] entries expire once for all processors that share a store', () => {
  const builder = new StreamsBuilder();
  const own = builder.addStore(keyValueStore('own', { key: string(), value: int64(), ttlMs }));
  for (const [name, node] of [
    ['rows', 'one'],
    ['numbers', 'other'],
  ] as const) {
    builder
      .stream(topic(name, { key: string(), value: int64() }), { nullKeys: 'fail' })
      .process<string, number>(
        (context) => ({
          process: ({ key, value, timestampMs }) => {
            if (value > 0) context.store(own).put(key, value, timestampMs);
            const keys = [...context.store(own).all()].map((each) => each.key);
            context.forward({ key: keys.join(' '), value });
          },
        }),
        { name: node, stores: [own], key: string(), value: int64() },
      )
      .to(results);
  }
  const driver = new TopologyTestDriver(builder.build());
  const pipe = (key: string, value: number, timestampMs: number, to = rowTopic) => {
    driver.inputTopic(to).pipe({ key, value, timestampMs });
    return driver.outputTopic(results).readAll().at(-1)?.key;
  };
  expect(pipe('a', 1, 4, numbers)).toBe('a');
  expect(pipe('b', 1, 40)).toBe('b'); // which the other one has put
  expect(pipe('c', 1, 44, numbers)).toBe('b c');
  expect(pipe('d', 1, 64, numbers)).toBe('b c d');
  expect(pipe('x', 0, 78)).toBe('d');
  expect(pipe('x', 0, 79, numbers)).toBe('d'); // d is not deleted in place of c
  expect(pipe('x', 0, 80, numbers)).toBe('d');
});

test('[OP-TTL-4] deletions are in the changelog: a restart restores no such row', async () => {
  const log = await openTestLog();
  const topology = () => {
    const builder = new StreamsBuilder();
    builder
      .stream(rowTopic, { nullKeys: 'fail' })
      .groupByKey()
      .count({ store: 'counts', emit: 'each', ttlMs })
      .toStream()
      .to(results);
    return builder.build();
  };
  const run = async (...rows: readonly (readonly [string, number, number])[]) => {
    await produce(log, rowTopic, rows);
    await runToEnd(log, topology(), { stateDir: temporaryDirectory() }); // from the changelog
    const found = await readTopic(log, results, 'read_committed');
    return found.map(({ key, value, timestampMs }) => `${key} ${value} @${timestampMs}`);
  };
  expect(await run(['a', 1, 0], ['b', 1, 10])).toEqual(['a 1 @0', 'b 1 @10']);
  const gone = ['a 1 @0', 'b 1 @10', 'a null @34', 'c 1 @40'];
  expect(await run(['c', 1, 40])).toEqual(gone);
  expect(await run(['a', 1, 41])).toEqual([...gone, 'a 1 @41']); // begins again
  expect(await run(['c', 1, 50])).toEqual([...gone, 'a 1 @41', 'b null @44', 'c 2 @50']);
  const { partitions } = await log.api.listOffsets({
    isolationLevel: 'read_committed',
    partitions: [{ topic: 'app-counts-changelog', partition: 0, spec: 'latest' }],
  });
  expect(partitions[0]?.offset).toBeGreaterThan(6); // a, b, a null, c, a, b null, c
});

test('[OP-TTL-4] a restart may set another time', async () => {
  const log = await openTestLog();
  const stateDir = temporaryDirectory();
  const run = async (lifeMs: number, ...rows: readonly (readonly [string, number, number])[]) => {
    const builder = new StreamsBuilder();
    builder
      .stream(rowTopic, { nullKeys: 'fail' })
      .groupByKey()
      .count({ store: 'counts', emit: 'each', ttlMs: lifeMs })
      .toStream()
      .to(results);
    await produce(log, rowTopic, rows);
    await runToEnd(log, builder.build(), { stateDir });
    const found = await readTopic(log, results, 'read_committed');
    return found
      .splice(0)
      .filter(({ value }) => value === null)
      .map(({ key }) => key);
  };
  await run(320, ['a', 1, 0], ['b', 1, 13]); // in one stretch of 20 ms
  expect(await run(32, ['c', 1, 33])).toEqual([]);
  expect(await run(32, ['d', 1, 34])).toEqual(['a']);
  expect(await run(32, ['d', 1, 45])).toEqual(['a']);
  expect(await run(32, ['d', 1, 46])).toEqual(['a', 'b']); // now in one of 2 ms
  await run(320, ['e', 1, 100]);
  // At the restart e is the only row that is not older than the shorter time.
  expect(await run(32, ['f', 1, 101])).toEqual(['a', 'b', 'c', 'd']);
  expect(await run(320, ['f', 1, 140])).toEqual(['a', 'b', 'c', 'd']);
});

test('[OP-TTL-5] what makes no sense is refused, and a row that may expire may be null', () => {
  const builder = new StreamsBuilder();
  const grouped = builder.stream(numbers, { nullKeys: 'fail' }).groupByKey();
  expect(() => grouped.count({ ttlMs: 0 })).toThrow('ttlMs');
  expect(() => keyValueStore('s', { key: string(), value: int64(), ttlMs: 1.5 })).toThrow('ttlMs');
  // @ts-expect-error -- without ttlMs nothing expires
  expect(() => grouped.count({ closeAfterIdleMs: 5 })).toThrow('needs ttlMs');
  const versioned = { historyMs: 5 };
  expect(() => builder.table(rowTopic, { versioned, ttlMs })).toThrow('history');
  expectTypeOf(grouped.count({ ttlMs })).toEqualTypeOf<KTable<string, number | null>>();
  expectTypeOf(grouped.count({})).toEqualTypeOf<KTable<string, number>>();
  expectTypeOf(grouped.reduce((sum, value) => sum + value, { ttlMs })).toEqualTypeOf<
    KTable<string, number | null>
  >();
  expectTypeOf(grouped.topN(1, { by: (value) => value, ttlMs })).toEqualTypeOf<
    KTable<string, number[] | null>
  >();
  expectTypeOf(
    grouped.aggregate(
      () => '',
      (text) => text,
      { ttlMs },
    ),
  ).toEqualTypeOf<KTable<string, string | null>>();
});

describe.each(WAYS_TO_STOP)('[OP-TTL-4] after %s', (_, stop) => {
  test(`rows expire once, at the same time, wherever the crash was, seed ${SEED}`, async () => {
    const topology = () => {
      const builder = new StreamsBuilder();
      const stream = builder.stream(crashInput, { nullKeys: 'fail' });
      // Keys take turns, so that rows expire and begin again.
      const bursts = stream.filter(({ key, value }) => {
        return Number(key.slice(1)) === Math.floor(value / 70) % 7;
      });
      const life = { ttlMs: 160 };
      const named = (kind: string) => (record: { key: string; value: number | null }) => ({
        key: `${kind} ${record.key}`,
        value: String(record.value),
      });
      const grouped = bursts.groupByKey();
      grouped
        .count({ store: 'each', emit: 'each', ...life })
        .toStream()
        .map(named('each'))
        .to(crashOutput);
      grouped
        .count({ store: 'every', emit: { everyMs: 30 }, ...life })
        .toStream()
        .map(named('every'))
        .to(crashOutput);
      bursts
        .toTable({ store: 'table', ...life })
        .toStream()
        .map(named('table'))
        .to(crashOutput);
      const own = builder.addStore(
        keyValueStore('own', { key: string(), value: int64(), ...life }),
      );
      bursts
        .process<string, number>(
          (context) => ({
            process: ({ key, timestampMs }) => {
              context.store(own).update(key, timestampMs, (count = 0) => count + 1);
              context.forward({ key, value: context.store(own).get(key) ?? 0 });
            },
          }),
          { name: 'own', stores: [own], key: string(), value: int64() },
        )
        .map(named('own'))
        .to(crashOutput);
      return builder.build();
    };
    await sameAfterCrashes(topology, stop);
  }, 60_000);
});
