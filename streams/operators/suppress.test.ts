import { describe, expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { committedRows, makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { changes, changesOf } from '../../test/kit/changes.ts';
import { numbers, shown } from '../../test/kit/drive.ts';
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
import { untilTimeLimit, untilWindowCloses, type TimeLimitOptions } from '../dsl/suppression.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import { tumblingWindow } from '../topology/windows.ts';
import { hoppingWindow } from '../topology/windows.ts';

/** Pipes rows `key value time`, `-` for null, one a line; each is followed by the results. */
function lines(driver: TopologyTestDriver, input: string): string {
  const results: string[] = [];
  for (const line of input.trim().split('\n')) {
    const [key = '', value, time] = line.trim().split(/\s+/);
    if (key === 'end') driver.endOfInput();
    else {
      const record = {
        key,
        value: value === '-' ? null : Number(value),
        timestampMs: Number(time),
      };
      driver.inputTopic(numbers).pipe(record);
    }
    const found = shown(driver.outputTopic(changes).readAll());
    results.push([line.trim(), ...found].join(' | '));
  }
  return results.join('\n');
}

const unindented = (text: string) => text.trim().replace(/^ +/gm, '');

/** A table of numbers with a time limit. Its results are changes: `old>new`. */
function limited(options: TimeLimitOptions, input: string): string {
  const builder = new StreamsBuilder();
  changesOf(builder.table(numbers).suppress(untilTimeLimit(options))).to(changes);
  return lines(new TopologyTestDriver(builder.build()), input);
}

describe('[OP-TABLE-7] suppress until a time limit', () => {
  test('passes a row on so long after its first change, as it is then', () => {
    const table = limited(
      { ms: 10 },
      `
      a 1 0
      a 2 5
      b 1 7
      c 1 9
      c 2 12
      a 3 16
      b 2 18
      c - 30
      end`,
    );
    expect(table).toBe(
      unindented(`
      a 1 0
      a 2 5
      b 1 7
      c 1 9
      c 2 12 | a ->2 @5
      a 3 16
      b 2 18 | b ->2 @18
      c - 30 | c ->- @30 | a 2>3 @16
      end`),
    );
  });

  test('rows that are due at once come in the order of times, then of keys', () => {
    const table = limited({ ms: 10 }, 'b 1 5\na 1 5\nc 1 4\nd 1 50\nend');
    expect(table).toBe(
      unindented(`
      b 1 5
      a 1 5
      c 1 4
      d 1 50 | c ->1 @4 | a ->1 @5 | b ->1 @5
      end | d ->1 @50`),
    );
  });

  test('a row that is late, or has no time to wait, is passed on at once', () => {
    expect(limited({ ms: 10 }, 'a 1 50\nb 1 40\nb 2 41\nb - 40')).toBe(
      unindented(`
      a 1 50
      b 1 40 | b ->1 @40
      b 2 41
      b - 40`),
    );
    expect(limited({ ms: 0 }, 'a 1 5\na 2 5\na 3 4')).toBe(
      unindented(`
      a 1 5 | a ->1 @5
      a 2 5 | a 1>2 @5
      a 3 4 | a 2>3 @4`),
    );
  });

  test('a record that does not reach it moves its time: what is due comes with the next', () => {
    const builder = new StreamsBuilder();
    const small = builder.table(numbers).filter(({ value }) => value < 10);
    changesOf(small.suppress(untilTimeLimit({ ms: 10 }))).to(changes);
    const driver = new TopologyTestDriver(builder.build());
    expect(lines(driver, 'a 1 0\nb 99 15\nb 99 15\nb 99 16\nend')).toBe(
      unindented(`
      a 1 0
      b 99 15
      b 99 15
      b 99 16 | a ->1 @0
      end`),
    );
  });

  test('above its limits, those that wait longest are passed on', () => {
    expect(limited({ ms: 100, maxRecords: 2 }, 'a 1 1\nb 1 2\na 2 3\nc 1 4\nd 1 0\nend')).toBe(
      unindented(`
      a 1 1
      b 1 2
      a 2 3
      c 1 4 | a ->2 @3
      d 1 0 | d ->1 @0
      end | b ->1 @2 | c ->1 @4`),
    );
    const bytes = limited({ ms: 100, maxBytes: 100 }, 'a 1 1\nb 1 2\nc 1 3\nc 2 4\nc - 5\nend');
    expect(bytes).toBe(
      unindented(`
      a 1 1
      b 1 2
      c 1 3 | a ->1 @1
      c 2 4
      c - 5
      end | b ->1 @2 | c ->- @5`),
    );
  });

  test('a result has the headers of the last change', () => {
    const builder = new StreamsBuilder();
    builder
      .table(numbers)
      .suppress(untilTimeLimit({ ms: 10 }))
      .toStream()
      .mapValues(String)
      .to(changes);
    const driver = new TopologyTestDriver(builder.build());
    const headers = (text: string) => [{ key: 'trace', value: Buffer.from(text) }];
    const pipe = (key: string, timestampMs: number) =>
      driver
        .inputTopic(numbers)
        .pipe({ key, value: 1, timestampMs, headers: headers(`${timestampMs}`) });
    for (const timestampMs of [1, 2]) pipe('a', timestampMs);
    pipe('b', 20);
    expect(driver.outputTopic(changes).readAll()[0]?.headers).toEqual(headers('2'));
  });

  test('others read it as it was passed on', () => {
    const builder = new StreamsBuilder();
    const table = builder.table(numbers).suppress(untilTimeLimit({ ms: 10 }));
    const queries = topic('queries', { key: string(), value: int64() });
    builder
      .stream(queries)
      .leftJoin(table, (_, value) => String(value))
      .to(changes);
    const driver = new TopologyTestDriver(builder.build());
    const ask = (value: number | null, timestampMs: number) => {
      driver.inputTopic(numbers).pipe({ key: 'a', value, timestampMs });
      driver.inputTopic(queries).pipe({ key: 'a', value: 0, timestampMs });
      return driver.outputTopic(changes).readAll()[0]?.value;
    };
    expect([ask(1, 0), ask(2, 10), ask(3, 11), ask(4, 12), ask(null, 25)]).toEqual([
      'undefined',
      '2',
      '2',
      '2',
      'undefined',
    ]);
  });
});

describe('[OP-TABLE-8] suppress until the window closes', () => {
  test('passes on one result for each key, windows in the order of their ends', () => {
    const builder = new StreamsBuilder();
    const sums = builder
      .stream(numbers)
      .groupByKey()
      .windowedBy(hoppingWindow({ sizeMs: 10, advanceMs: 5, graceMs: 3 }))
      .reduce((sum, value) => (value === 9 ? null : sum + value), { emit: 'each' });
    changesOf(sums.suppress(untilWindowCloses()))
      .selectKey(({ key }) => `${key.key} ${key.windowStartMs}`)
      .to(changes);
    const driver = new TopologyTestDriver(builder.build());
    const table = lines(
      driver,
      `
      b 1 6
      a 1 7
      a 2 4
      a 4 12
      b 1 13
      a 8 25
      c 1 26
      c 9 26
      d 1 40
      end`,
    );
    expect(table).toBe(
      unindented(`
      b 1 6
      a 1 7
      a 2 4
      a 4 12
      b 1 13 | a 0 ->3 @7 | b 0 ->1 @6
      a 8 25 | a 5 ->5 @12 | b 5 ->2 @13 | a 10 ->4 @12 | b 10 ->1 @13
      c 1 26
      c 9 26
      d 1 40 | a 20 ->8 @25 | a 25 ->8 @25
      end | d 35 ->1 @40 | d 40 ->1 @40`),
    );
  });

  test('needs a table of windows', async () => {
    const table = new StreamsBuilder().table(numbers);
    const wrongly = (): void => {
      // @ts-expect-error -- it has no windows
      table.suppress(untilWindowCloses());
    };
    expect(wrongly).toThrow(/table of windows/);
    expect(() => table.suppress({} as never)).toThrow(/untilTimeLimit/);
    expect(() => table.suppress(untilTimeLimit({ ms: 1 }), { stroe: 's' } as object)).toThrow(
      /stroe/,
    );
    const limit = (options: unknown) => async () => untilTimeLimit(options as { ms: number });
    expect(await codeOf(limit({})())).toBe('INVALID_OPTION');
    expect(await codeOf(limit({ ms: -1 })())).toBe('INVALID_OPTION');
    expect(await codeOf(limit({ ms: 1, maxRecords: 0 })())).toBe('INVALID_OPTION');
    expect(await codeOf(limit({ ms: 1, maxRows: 5 })())).toBe('UNKNOWN_OPTION');
  });
});

test.each([
  ['from the changelog', true],
  ['from the checkpoint', false],
])('[OP-TABLE-7] what waits survives a restart %s', async (_, isLost) => {
  interface Total {
    sum: number;
  }
  const topology = () => {
    const builder = new StreamsBuilder();
    const totals = builder
      .stream(numbers)
      .groupByKey()
      .aggregate(
        (): Total => ({ sum: 0 }),
        (total, { value }) => {
          total.sum += value; // in place: what waits is a copy
          return total;
        },
        { store: 'totals', emit: 'each' },
      );
    const waiting: KTable<string, Total> = totals.suppress(
      untilTimeLimit({ ms: 10, maxRecords: 3, maxBytes: 1_000 }),
      { store: 'waiting' },
    );
    changesOf(waiting, ({ sum }) => sum).to(changes);
    return builder.build();
  };
  const log = await openTestLog();
  const kept = temporaryDirectory();
  const run = async (...rows: readonly (readonly [string, number, number])[]) => {
    await produce(log, numbers, rows);
    const stateDir = isLost ? temporaryDirectory() : kept;
    const app = makeApp(log, topology(), { stateDir, cacheEntriesMax: 0 });
    await app.start();
    await until(() => app.metrics().processedRecords === rows.length);
    await app.close();
    return committedRows(log, changes);
  };
  expect(await run(['b', 1, 1], ['a', 1, 1], ['a', 2, 2])).toEqual([]);
  expect(await run(['a', 4, 9])).toEqual([]);
  const first = ['a ->15 @11', 'b ->1 @1'];
  expect(await run(['a', 8, 11])).toEqual(first);
  expect(await run(['a', 1, 12], ['c', 1, 12], ['d', 1, 13])).toEqual(first);
  const second = [...first, 'a 15>16 @12'];
  expect(await run(['e', 1, 13])).toEqual(second);
  expect(await run(['a', 1, 30])).toEqual([...second, 'c ->1 @12', 'd ->1 @13', 'e ->1 @13']);
});

describe.each(WAYS_TO_STOP)('[OP-TABLE-9] after %s at any time', (_, stop) => {
  function topology() {
    const builder = new StreamsBuilder();
    const stream = builder.stream(crashInput);
    const table = stream.filter(({ value }) => value % 3 !== 0).toTable({ store: 'rows' });
    const windows = tumblingWindow({ sizeMs: 40, graceMs: 15 });
    const counts = stream.groupByKey().windowedBy(windows).count({ store: 'counts', emit: 'each' });
    changesOf(table.suppress(untilTimeLimit({ ms: 25, maxRecords: 4 })))
      .map(({ key, value }) => ({ key: `limit ${key}`, value }))
      .merge(
        changesOf(counts.suppress(untilWindowCloses())).map(({ key, value }) => ({
          key: `final ${key.key}`,
          value: `${key.windowStartMs} ${value}`,
        })),
      )
      .to(crashOutput);
    return builder.build();
  }

  test(`what was held back gives the same results, seed ${SEED}`, async () => {
    await sameAfterCrashes(topology, stop);
  }, 60_000);
});
