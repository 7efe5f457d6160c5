import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { int64, json, string, topic, type Serde } from '../../core/index.ts';
import { numbers, windowTable } from '../../test/kit/drive.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import {
  hoppingWindow,
  tumblingWindow,
  windowedSerde,
  type TimeWindows,
} from '../topology/windows.ts';

describe('[OP-14] final results of one window come in the order of the bytes of their keys', () => {
  test.each([[false], [true]])('of panes: %s', (hasPanes) => {
    const of = <K>(serde: Serde<K>, keys: readonly K[]): K[] => {
      const given = topic('given', { key: serde, value: int64() });
      const counts = topic('counts', { key: windowedSerde(serde, 10), value: int64() });
      const windows = hoppingWindow({ sizeMs: 10, advanceMs: hasPanes ? 5 : 10 });
      const builder = new StreamsBuilder();
      const grouped = builder.stream(given, { nullKeys: 'fail' }).groupByKey();
      grouped.windowedBy(windows).count({ emit: 'final' }).toStream().to(counts);
      const driver = new TopologyTestDriver(builder.build());
      for (const key of keys) driver.inputTopic(given).pipe({ key, value: 1, timestampMs: 1 });
      driver.endOfInput();
      const found = driver.outputTopic(counts).readAll();
      return found.flatMap(({ key }) => (key === null ? [] : [key.key]));
    };
    expect(of(json<number>(), [9, 10, -1, 100])).toEqual([-1, 10, 100, 9]); // as text
    expect(of(int64(), [-1, 10, 9])).toEqual([9, 10, -1]);
    expect(of(string(), ['\u{10000}', '\u{ff5e}', 'a', ''])).toEqual([
      ...['', 'a', '\u{ff5e}', '\u{10000}'],
    ]);
    expect(of(json<string>(), ['a', 'a b'])).toEqual(['a b', 'a']);
    expect(of(json<object>(), [{ a: 2 }, { a: 10 }])).toEqual([{ a: 10 }, { a: 2 }]);
  });
});

describe('tumbling windows', () => {
  const windows = tumblingWindow({ sizeMs: 10 });

  test('[OP-12] [OP-15] keep a value for each key and window and forward each change', () => {
    const table = windowTable(
      { windows, emit: 'commit' },
      `a 1 0
       a 2 9
       b 3 9
       a 4 10
       b 5 19
       a 6 12`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
        a [0, 10) 1 @0
      a 2 9
        a [0, 10) 3 @9
      b 3 9
        b [0, 10) 3 @9
      a 4 10
        a [10, 20) 4 @10
      b 5 19
        b [10, 20) 5 @19
      a 6 12
        a [10, 20) 10 @12
      late: 0"
    `);
  });

  test('[OP-14] final: one result per window, when stream time reaches its end', () => {
    const table = windowTable(
      { windows, emit: 'final' },
      `a 1 0
       b 2 3
       a 3 9
       b 4 10
       b 5 19
       a 6 45
       end`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
      b 2 3
      a 3 9
      b 4 10
        a [0, 10) 4 @9
        b [0, 10) 2 @3
      b 5 19
      a 6 45
        b [10, 20) 9 @19
      end
        a [40, 50) 6 @45
      late: 0"
    `);
  });

  test('[OP-13] without grace a record is late as soon as its window has ended', () => {
    const table = windowTable(
      { windows, emit: 'final' },
      `a 1 9
       a 2 8
       b 4 10
       a 8 9
       b 16 10
       end
       b 32 19
       b 64 20`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 9
      a 2 8
      b 4 10
        a [0, 10) 3 @9
      a 8 9
      b 16 10
      end
        b [10, 20) 20 @10
      b 32 19
      b 64 20
      late: 2"
    `);
  });

  test('[OP-11] [OP-15] a null result is forwarded even if the window has no value', () => {
    const counted = topic('counted', { key: windowedSerde(string(), 10), value: int64() });
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .groupByKey()
      .windowedBy(windows)
      .aggregate(
        () => 0,
        (sum, { value }) => (value === 0 ? undefined : sum + value),
        { store: 'kept' },
      )
      .toStream()
      .to(counted);
    const driver = new TopologyTestDriver(builder.build());
    for (const value of [0, 0, 5, 0]) driver.inputTopic(numbers).pipe({ key: 'a', value });
    const results = driver.outputTopic(counted).readAll();
    expect(results.map(({ value }) => value)).toEqual([null, null, 5, null]);
  });

  test('[OP-13] with grace it is late once stream time reaches the end plus the grace', () => {
    const table = windowTable(
      { windows: tumblingWindow({ sizeMs: 10, graceMs: 5 }), emit: 'final' },
      `a 1 0
       b 2 14
       a 4 9
       b 8 15
       a 16 9
       b 32 16
       end`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
      b 2 14
      a 4 9
      b 8 15
        a [0, 10) 5 @9
      a 16 9
      b 32 16
      end
        b [10, 20) 42 @16
      late: 1"
    `);
  });

  test('[OP-13] with updates, too, a closed window accepts no records', () => {
    const table = windowTable(
      { windows: tumblingWindow({ sizeMs: 10, graceMs: 5 }), emit: 'commit' },
      `a 1 0
       b 2 14
       a 4 9
       b 8 15
       a 16 9
       end`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
        a [0, 10) 1 @0
      b 2 14
        b [10, 20) 2 @14
      a 4 9
        a [0, 10) 5 @9
      b 8 15
        b [10, 20) 10 @15
      a 16 9
      end
      late: 1"
    `);
  });

  test('[OP-14] a jump of stream time closes windows in the order of their starts', () => {
    const table = windowTable(
      { windows: tumblingWindow({ sizeMs: 10, graceMs: 1000 }), emit: 'final' },
      `a 1 35
       b 2 5
       a 3 15
       c 4 7
       a 5 25
       a 6 5000`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 35
      b 2 5
      a 3 15
      c 4 7
      a 5 25
      a 6 5000
        b [0, 10) 2 @5
        c [0, 10) 4 @7
        a [10, 20) 3 @15
        a [20, 30) 5 @25
        a [30, 40) 1 @35
      late: 0"
    `);
  });

  test('[OP-14] the keys of a window are passed on in the order of their bytes', () => {
    const table = windowTable(
      { windows, emit: 'final' },
      `b 1 0
       ab 2 1
       a 3 2
       end`,
    );
    expect(table).toMatchInlineSnapshot(`
      "b 1 0
      ab 2 1
      a 3 2
      end
        a [0, 10) 3 @2
        ab [0, 10) 2 @1
        b [0, 10) 1 @0
      late: 0"
    `);
  });

  test('[OP-11] null keys and values are dropped but still advance stream time', () => {
    const table = windowTable(
      { windows, emit: 'final' },
      `a 1 0
       null 2 5
       a null 6
       a null 10
       a 3 11`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
      null 2 5
      a null 6
      a null 10
        a [0, 10) 1 @0
      a 3 11
      late: 0"
    `);
  });
});

describe('hopping windows', () => {
  test('[OP-12] a record is in each window that holds it', () => {
    const table = windowTable(
      { windows: hoppingWindow({ sizeMs: 10, advanceMs: 5 }), emit: 'final' },
      `a 1 12
       a 2 15
       b 4 20
       b 8 29
       end`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 12
      a 2 15
        a [5, 15) 1 @12
      b 4 20
        a [10, 20) 3 @15
      b 8 29
        a [15, 25) 2 @15
        b [15, 25) 4 @20
      end
        b [20, 30) 12 @29
        b [25, 35) 8 @29
      late: 0"
    `);
  });

  test('[OP-12] no window begins before 1970', () => {
    const table = windowTable(
      { windows: hoppingWindow({ sizeMs: 10, advanceMs: 2 }), emit: 'final' },
      `a 1 0
       a 2 3
       end`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
      a 2 3
      end
        a [0, 10) 3 @3
        a [2, 12) 2 @3
      late: 0"
    `);
  });

  test('[OP-12] the size need not be a multiple of the advance', () => {
    const table = windowTable(
      { windows: hoppingWindow({ sizeMs: 10, advanceMs: 4 }), emit: 'final' },
      `a 1 12
       a 2 13
       a 4 14
       end`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 12
      a 2 13
      a 4 14
        a [4, 14) 3 @13
      end
        a [8, 18) 7 @14
        a [12, 22) 7 @14
      late: 0"
    `);
  });

  test('[OP-13] a record that is late for some of its windows still counts for the others', () => {
    const table = windowTable(
      { windows: hoppingWindow({ sizeMs: 10, advanceMs: 5, graceMs: 1 }), emit: 'final' },
      `a 1 12
       a 2 16
       a 4 14
       a 8 9
       end`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 12
      a 2 16
        a [5, 15) 1 @12
      a 4 14
      a 8 9
      end
        a [10, 20) 7 @16
        a [15, 25) 2 @16
      late: 2"
    `);
  });
});

describe('[OP-17] event times', () => {
  test.each([-1, -86_400_000])('before 1970 are refused: %d', (time) => {
    const windows = tumblingWindow({ sizeMs: 10 });
    expect(() => windowTable({ windows, emit: 'commit' }, `a 1 ${time}`)).toThrow(
      /source-numbers failed on numbers-0 at offset 0: its time is -/,
    );
  });

  test.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'of a user must be whole: %d',
    (time) => {
      const builder = new StreamsBuilder();
      builder.stream(numbers, { timestamp: () => time, name: 'in' }).peek(() => undefined);
      const driver = new TopologyTestDriver(builder.build());
      const pipe = () => driver.inputTopic(numbers).pipe({ key: 'a', value: 1 });
      expect(pipe).toThrow(`in failed on numbers-0 at offset 0: its time is ${time}`);
    },
  );

  test('come from the record or from a function', () => {
    const windows = tumblingWindow({ sizeMs: 10 });
    const builder = new StreamsBuilder();
    const out = topic('out', { key: windowedSerde(string(), 10), value: int64() });
    builder
      .stream(numbers, { timestamp: ({ value, timestampMs }) => value + timestampMs })
      .groupByKey()
      .windowedBy(windows)
      .count()
      .toStream()
      .to(out);
    const driver = new TopologyTestDriver(builder.build());
    driver.inputTopic(numbers).pipe({ key: 'a', value: 40, timestampMs: 2 });
    const [result] = driver.outputTopic(out).readAll();
    expect(result).toMatchObject({ key: { windowStartMs: 40, windowEndMs: 50 }, timestampMs: 42 });
  });
});

/** Finds the windows that hold a record by trying them all. */
function windowsOf({ sizeMs, advanceMs }: TimeWindows, timestampMs: number): number[] {
  const starts: number[] = [];
  for (let startMs = 0; startMs <= timestampMs; startMs += advanceMs) {
    if (startMs + sizeMs > timestampMs) starts.push(startMs);
  }
  return starts;
}

const windowOptions = fc
  .record({
    sizeMs: fc.integer({ min: 1, max: 40 }),
    advanceMs: fc.integer({ min: 1, max: 40 }),
    graceMs: fc.integer({ min: 0, max: 30 }),
  })
  .filter(({ sizeMs, advanceMs }) => advanceMs <= sizeMs);
const records = fc.array(
  fc.record({
    key: fc.constantFrom('a', 'b', 'c'),
    value: fc.integer({ min: 1, max: 9 }),
    timestampMs: fc.integer({ min: 0, max: 120 }),
  }),
  { maxLength: 40 },
);

test('[OP-12] [OP-13] [OP-14] final results equal a straight computation, each once', () => {
  const property = fc.property(windowOptions, records, (options, input) => {
    const windows = hoppingWindow(options);
    const builder = new StreamsBuilder();
    const out = topic('out', { key: windowedSerde(string(), windows.sizeMs), value: int64() });
    builder
      .stream(numbers)
      .groupByKey()
      .windowedBy(windows)
      .reduce((sum, value) => sum + value, { emit: 'final' })
      .toStream()
      .to(out);
    const driver = new TopologyTestDriver(builder.build());
    driver.inputTopic(numbers).pipeAll(input);
    driver.endOfInput();
    const results = driver.outputTopic(out).readAll();

    const expected = new Map<string, number>();
    let streamTimeMs = -Infinity;
    let lateCount = 0;
    for (const { key, value, timestampMs } of input) {
      streamTimeMs = Math.max(streamTimeMs, timestampMs);
      const starts = windowsOf(windows, timestampMs);
      const { sizeMs, graceMs } = windows;
      const open = starts.filter((startMs) => startMs + sizeMs + graceMs > streamTimeMs);
      if (open.length < starts.length) lateCount++;
      for (const startMs of open) {
        const place = `${key} ${startMs}`;
        expected.set(place, (expected.get(place) ?? 0) + value);
      }
    }
    const found = results.map(({ key, value }) => [`${key?.key} ${key?.windowStartMs}`, value]);
    expect(new Map(found as [string, number][])).toEqual(expected);
    expect(found).toHaveLength(expected.size);
    expect(driver.metrics().droppedRecords.late).toBe(lateCount);
    const starts = results.map(({ key }) => key!.windowStartMs);
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
  });
  fc.assert(property, { numRuns: 200 });
});

test('[OP-11] [OP-15] the end of input forwards each result once, whatever follows', () => {
  const builder = new StreamsBuilder();
  const windows = tumblingWindow({ sizeMs: 10 });
  const out = topic('out', { key: string(), value: int64() });
  const final = builder
    .stream(numbers)
    .groupByKey()
    .windowedBy(windows)
    .reduce((sum, value) => sum + value, { emit: 'final' })
    .toStream();
  const key = windowedSerde(string(), 10);
  const grouped = final.groupByKey({ key });
  grouped
    .count()
    .toStream()
    .map(({ key: { key: name }, value }) => ({ key: `count ${name}`, value }))
    .to(out);
  grouped
    .windowedBy(tumblingWindow({ sizeMs: 100 })) // open until the end
    .count({ emit: 'commit' })
    .toStream()
    .map(({ key: { key: name }, value }) => ({ key: `windowed count ${name.key}`, value }))
    .to(out);
  const driver = new TopologyTestDriver(builder.build());
  driver.inputTopic(numbers).pipe({ key: 'a', value: 5, timestampMs: 3 });
  expect(driver.outputTopic(out).readAll()).toEqual([]);
  driver.endOfInput();
  const results = driver.outputTopic(out).readAll();
  expect(results.map(({ key: name, value }) => `${name} ${value}`).sort()).toEqual([
    'count a 1',
    'windowed count a 1',
  ]);
});
