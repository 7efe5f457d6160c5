import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import { committedRows, makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { numbers, windowTable } from '../../test/kit/drive.ts';
import { ownTopology } from '../../test/kit/graph.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { sessionStoreSpec } from '../state/session-store.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import type { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import {
  sessionWindow,
  sessionWindowedSerde,
  type SessionWindows,
  type Windowed,
} from '../topology/windows.ts';
import { heldStoreSpec, storesFor, type Emit } from './emit.ts';
import { sessionAggregate, sessionLifeMs } from './session-aggregate.ts';

describe('[OP-SESSION-1] sessions', () => {
  // The picture of Kafka's documentation: a gap of five minutes, two records out of order.
  test('are extended, merged and begun as in the documentation of Kafka Streams', () => {
    const windows = sessionWindow({ gapMs: 5, graceMs: 10 });
    const table = windowTable(
      { windows, emit: 'each' },
      `green 1 0
       green 1 6
       blue 1 2
       green 1 3
       blue 1 5
       blue 1 11`,
    );
    expect(table).toMatchInlineSnapshot(`
      "green 1 0
        green [0, 0] 1 @0
      green 1 6
        green [6, 6] 1 @6
      blue 1 2
        blue [2, 2] 1 @2
      green 1 3
        green [0, 0] null @0
        green [6, 6] null @6
        green [0, 6] 3 @6
      blue 1 5
        blue [2, 2] null @2
        blue [2, 5] 2 @5
      blue 1 11
        blue [11, 11] 1 @11
      late: 0"
    `);
  });
});

test('[OP-SESSION-2] each: a session becomes null before the one that takes its place', () => {
  const windows = sessionWindow({ gapMs: 10, graceMs: 100 });
  const table = windowTable(
    { windows, emit: 'each' },
    `a 1 10
     a 2 10
     a 4 20
     a 8 15
     a 16 31
     a 32 42
     a 64 36
     a 128 9`,
  );
  expect(table).toMatchInlineSnapshot(`
    "a 1 10
      a [10, 10] 1 @10
    a 2 10
      a [10, 10] 3 @10
    a 4 20
      a [10, 10] null @10
      a [10, 20] 7 @20
    a 8 15
      a [10, 20] null @20
      a [10, 20] 15 @20
    a 16 31
      a [31, 31] 16 @31
    a 32 42
      a [42, 42] 32 @42
    a 64 36
      a [31, 31] null @31
      a [42, 42] null @42
      a [31, 42] 112 @42
    a 128 9
      a [10, 20] null @20
      a [9, 20] 143 @20
    late: 0"
  `);
});

test('[OP-SESSION-2] commit: only sessions that were passed on become null', async () => {
  const rows: readonly (readonly [string, number, number])[] = [
    ['a', 1, 10],
    ['a', 2, 12],
    ['b', 4, 13],
    ['a', 8, 14],
  ];
  const { log, run } = await sessionApp('commit', { gapMs: 10, graceMs: 100 });
  await run(rows);
  const first = ['b [13, 13] 4 @13', 'a [10, 14] 11 @14'];
  expect(await committedRows(log, lines)).toEqual(first);
  await run([
    ['a', 16, 30],
    ['a', 32, 22],
    ['b', 64, 13],
  ]);
  expect(await committedRows(log, lines)).toEqual([
    ...first,
    'a [10, 14] null @14',
    'a [10, 30] 59 @30',
    'b [13, 13] 68 @13',
  ]);
});

describe('[OP-SESSION-3] late records', () => {
  test('are those that join no open session and are older than gap and grace', () => {
    const table = windowTable(
      { windows: sessionWindow({ gapMs: 10, graceMs: 5 }), emit: 'each' },
      `a 1 10
       b 2 25
       a 4 10
       b 8 26
       a 16 10
       a 32 11
       a 64 12
       b 128 40
       a 256 30`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 10
        a [10, 10] 1 @10
      b 2 25
        b [25, 25] 2 @25
      a 4 10
        a [10, 10] 5 @10
      b 8 26
        b [25, 25] null @25
        b [25, 26] 10 @26
      a 16 10
      a 32 11
        a [11, 11] 32 @11
      a 64 12
        a [11, 11] null @11
        a [11, 12] 96 @12
      b 128 40
        b [40, 40] 128 @40
      a 256 30
        a [30, 30] 256 @30
      late: 1"
    `);
  });

  test('join a session that is open, however old they are', () => {
    const table = windowTable(
      { windows: sessionWindow({ gapMs: 10, graceMs: 0 }), emit: 'each' },
      `a 1 10
       a 2 20
       a 4 30
       a 8 12
       a 16 19`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 10
        a [10, 10] 1 @10
      a 2 20
        a [10, 10] null @10
        a [10, 20] 3 @20
      a 4 30
        a [10, 20] null @20
        a [10, 30] 7 @30
      a 8 12
        a [10, 30] null @30
        a [10, 30] 15 @30
      a 16 19
        a [10, 30] null @30
        a [10, 30] 31 @30
      late: 0"
    `);
  });

  test('null keys and values are dropped but still advance stream time', () => {
    const table = windowTable(
      { windows: sessionWindow({ gapMs: 2 }), emit: 'final' },
      `a 1 0
       null 2 1
       a null 2
       a null 3
       end`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 0
      null 2 1
      a null 2
      a null 3
        a [0, 0] 1 @0
      end
      late: 0"
    `);
  });
});

describe('[OP-SESSION-4] final', () => {
  test('a session has one result when it has closed, sessions by end, start and key', () => {
    const table = windowTable(
      { windows: sessionWindow({ gapMs: 10, graceMs: 10 }), emit: 'final' },
      `c 1 5
       b 2 3
       a 4 5
       a 8 1
       c 16 25
       c 32 15
       b 64 26
       d 128 100
       end`,
    );
    expect(table).toMatchInlineSnapshot(`
      "c 1 5
      b 2 3
      a 4 5
      a 8 1
      c 16 25
        b [3, 3] 2 @3
      c 32 15
      b 64 26
        a [1, 5] 12 @5
      d 128 100
        c [5, 25] 49 @25
        b [26, 26] 64 @26
      end
        d [100, 100] 128 @100
      late: 0"
    `);
  });

  test('without grace a session ends with its gap', () => {
    const table = windowTable(
      { windows: sessionWindow({ gapMs: 10 }), emit: 'final' },
      `a 1 5
       b 2 15
       b 4 16
       a 8 7
       a 16 17
       end
       a 32 17`,
    );
    expect(table).toMatchInlineSnapshot(`
      "a 1 5
      b 2 15
      b 4 16
        a [5, 5] 1 @5
      a 8 7
      a 16 17
      end
        b [15, 16] 6 @16
        a [7, 17] 24 @17
      a 32 17
      late: 1"
    `);
  });
});

test('[OP-EMIT-2] everyMs: sessions wait, those that close pass on what waits', () => {
  const table = windowTable(
    { windows: sessionWindow({ gapMs: 5 }), emit: { everyMs: 50 } },
    `a 1 1
     a 2 4
     b 4 8
     b 8 9
     a 16 20
     b 32 48
     b 64 50
     c 128 51
     end`,
  );
  expect(table).toMatchInlineSnapshot(`
    "a 1 1
    a 2 4
    b 4 8
    b 8 9
    a 16 20
      a [1, 4] 3 @4
      b [8, 9] 12 @9
    b 32 48
      a [20, 20] 16 @20
    b 64 50
      b [48, 48] 32 @48
    c 128 51
    end
      b [48, 48] null @48
      b [48, 50] 96 @50
      c [51, 51] 128 @51
    late: 0"
  `);
});

const lines = topic('lines', { key: string(), value: string() });

interface Seen {
  readonly sum: number;
}

/** Sums of sessions as text, in an application that is started again for each list of rows. */
async function sessionApp(emit: Emit, windows: SessionWindows, isLost = false) {
  const log = await openTestLog();
  const kept = temporaryDirectory();
  const builder = new StreamsBuilder();
  builder
    .stream(numbers)
    .groupByKey()
    .windowedBy(windows)
    .aggregate<Seen>(
      () => ({ sum: 0 }),
      ({ sum }, { value }) => ({ sum: sum + value }),
      (left, right) => ({ sum: left.sum + right.sum }),
      { store: 'sums', emit, value: json() },
    )
    .toStream()
    .map(({ key: { key, windowStartMs, windowEndMs }, value }) => {
      const sum = String(value?.sum ?? null);
      return { key: `${key} [${windowStartMs}, ${windowEndMs}]`, value: sum };
    })
    .to(lines);
  const run = async (rows: readonly (readonly [string, number, number])[]) => {
    await produce(log, numbers, rows);
    const stateDir = isLost ? temporaryDirectory() : kept;
    const app = makeApp(log, builder.build(), { stateDir, commitIntervalMs: 10_000 });
    await app.start();
    await until(() => app.metrics().processedRecords === rows.length);
    await app.close();
    return committedRows(log, lines);
  };
  return { log, run };
}

describe.each([
  ['from its changelogs', true],
  ['from its checkpoint', false],
])('a restart %s', (_, isLost) => {
  test('[OP-SESSION-4] final: passes on each session once', async () => {
    const { run } = await sessionApp('final', { gapMs: 10, graceMs: 5 }, isLost);
    expect(await run([['a', 1, 1]])).toEqual([]);
    expect(await run([['b', 2, 12]])).toEqual([]);
    expect(await run([['a', 4, 8]])).toEqual([]);
    const closed = ['a [1, 8] 5 @8'];
    expect(await run([['b', 8, 24]])).toEqual(closed);
    expect(await run([['c', 16, 28]])).toEqual([...closed, 'b [12, 12] 2 @12']);
    expect(await run([['b', 32, 25]])).toEqual([...closed, 'b [12, 12] 2 @12']);
    expect(await run([['c', 64, 80]])).toEqual([
      ...[...closed, 'b [12, 12] 2 @12'],
      ...['b [24, 25] 40 @25', 'c [28, 28] 16 @28'],
    ]);
  });

  test('[OP-EMIT-2] everyMs: passes on what waited, once, in its order', async () => {
    const { run } = await sessionApp({ everyMs: 100 }, { gapMs: 20, graceMs: 40 }, isLost);
    expect(await run([['a', 1, 70]])).toEqual([]);
    expect(
      await run([
        ['b', 2, 80],
        ['a', 4, 90],
      ]),
    ).toEqual([]);
    const first = ['b [80, 80] 2 @80', 'a [70, 90] 5 @90'];
    expect(await run([['c', 8, 100]])).toEqual(first);
    expect(await run([['a', 16, 105]])).toEqual(first);
    expect(await run([['c', 32, 115]])).toEqual(first);
    expect(await run([['d', 64, 250]])).toEqual([
      ...first,
      'a [70, 90] null @90',
      'a [70, 105] 21 @105',
      'c [100, 115] 40 @115',
    ]);
  });
});

describe('[OP-SESSION-5] aggregate', () => {
  test('begins with the initializer, merges each session, then adds the record', () => {
    const texts = topic('texts', { key: string(), value: string() });
    const out = topic('out', { key: sessionWindowedSerde(string()), value: string() });
    const builder = new StreamsBuilder();
    builder
      .stream(texts)
      .groupByKey()
      .windowedBy(sessionWindow({ gapMs: 5, graceMs: 100 }))
      .aggregate(
        () => '0',
        (text, { value }) => (value === '' ? null : `(${text} ${value})`),
        (left, right, key) => `${key}<${left} ${right}>`,
        { value: string(), emit: 'each' },
      )
      .toStream()
      .to(out);
    const driver = new TopologyTestDriver(builder.build());
    const pipe = (value: string, timestampMs: number) => {
      driver.inputTopic(texts).pipe({ key: 'k', value, timestampMs });
      const records = driver.outputTopic(out).readAll();
      return records.map(({ key, value: text }) => `${key?.windowStartMs}: ${text}`);
    };
    expect(pipe('a', 0)).toEqual(['0: (0 a)']);
    expect(pipe('b', 10)).toEqual(['10: (0 b)']);
    expect(pipe('c', 5)).toEqual(['0: null', '10: null', '0: (k<k<0 (0 a)> (0 b)> c)']);
    // A null result deletes the session: the next record begins another one.
    expect(pipe('', 12)).toEqual(['0: null', '0: null']);
    expect(pipe('d', 12)).toEqual(['12: (0 d)']);
    expect(pipe('', 30)).toEqual(['30: null']);
  });

  test('counts, and may change its aggregates in place', () => {
    const builder = new StreamsBuilder();
    const out = topic('out', { key: sessionWindowedSerde(string()), value: json<number[]>() });
    const windowed = builder
      .stream(numbers)
      .groupByKey()
      .windowedBy(sessionWindow({ gapMs: 5, graceMs: 100 }));
    const lists = windowed.aggregate(
      (): number[] => [],
      (list, { value }) => {
        list.push(value);
        return list;
      },
      (left, right) => {
        right.unshift(...left);
        return right;
      },
      { emit: 'each' },
    );
    lists.toStream().to(out);
    const counted = topic('counted', { key: sessionWindowedSerde(string()), value: int64() });
    windowed.count({ emit: 'each' }).toStream().to(counted);
    const driver = new TopologyTestDriver(builder.build());
    for (const timestampMs of [0, 10, 5, 2]) {
      driver.inputTopic(numbers).pipe({ key: 'a', value: timestampMs, timestampMs });
    }
    const values = driver.outputTopic(out).readAll();
    expect(values.at(-1)?.value).toEqual([0, 10, 5, 2]);
    const counts = driver.outputTopic(counted).readAll();
    expect(counts.map(({ value }) => value)).toEqual([1, 1, null, null, 3, null, 4]);
  });
});

const input = fc.array(
  fc.record({
    key: fc.constantFrom('a', 'b'),
    value: fc.integer({ min: 1, max: 9 }),
    timestampMs: fc.integer({ min: 0, max: 100 }),
  }),
  { maxLength: 40 },
);
const times = fc.record({
  gapMs: fc.integer({ min: 0, max: 12 }),
  graceMs: fc.constantFrom(0, 1, 5, 20, 200),
});

interface Model {
  readonly start: number;
  readonly end: number;
  readonly sum: number;
}

/** The sessions that the records make, by a straight computation: key, start, end, sum. */
function expectedSessions(
  { gapMs, graceMs }: SessionWindows,
  records: readonly { key: string; value: number; timestampMs: number }[],
): { sessions: string[]; late: number } {
  let time = -Infinity;
  let late = 0;
  const closed: string[] = [];
  const open = new Map<string, Model[]>();
  for (const { key, value, timestampMs } of records) {
    time = Math.max(time, timestampMs);
    for (const [name, list] of open) {
      const isOver = ({ end }: Model): boolean => end + gapMs + graceMs < time;
      closed.push(...list.filter(isOver).map((each) => shownModel(name, each)));
      open.set(
        name,
        list.filter((each) => !isOver(each)),
      );
    }
    const list = open.get(key) ?? [];
    const near = list.filter(
      ({ start, end }) => start - gapMs <= timestampMs && timestampMs <= end + gapMs,
    );
    const start = Math.min(timestampMs, ...near.map((each) => each.start));
    const end = Math.max(timestampMs, ...near.map((each) => each.end));
    if (end + gapMs + graceMs < time) {
      late++;
      continue;
    }
    const sum = near.reduce((total, each) => total + each.sum, value);
    open.set(key, [...list.filter((each) => !near.includes(each)), { start, end, sum }]);
  }
  for (const [name, list] of open) closed.push(...list.map((each) => shownModel(name, each)));
  return { sessions: closed.sort(), late };
}

function shownModel(key: string, { start, end, sum }: Model): string {
  return `${key} [${start}, ${end}] ${sum}`;
}

test(`[OP-SESSION-1] [OP-SESSION-3] equal a straight computation, seed ${SEED}`, () => {
  const emits: Emit[] = ['each', 'commit', 'final', { everyMs: 7 }];
  const property = fc.property(times, input, fc.constantFrom(...emits), (windows, rows, emit) => {
    const builder = new StreamsBuilder();
    const out = topic('out', { key: sessionWindowedSerde(string()), value: int64() });
    builder
      .stream(numbers)
      .groupByKey()
      .windowedBy(sessionWindow(windows))
      .reduce((sum, value) => sum + value, { emit })
      .toStream()
      .to(out);
    const driver = new TopologyTestDriver(builder.build());
    driver.inputTopic(numbers).pipeAll(rows);
    driver.endOfInput();
    const found = driver.outputTopic(out).readAll();
    const rest = new Map<string, number>();
    let lastEndMs = -Infinity;
    for (const { key, value, timestampMs } of found) {
      const { key: name, windowStartMs, windowEndMs } = key!;
      expect(timestampMs).toBe(windowEndMs);
      const session = `${name} [${windowStartMs}, ${windowEndMs}]`;
      if (value !== null) rest.set(session, value);
      else expect(rest.delete(session), `${session} was passed on`).toBe(true);
      if (emit !== 'final') continue;
      expect(windowEndMs).toBeGreaterThanOrEqual(lastEndMs);
      lastEndMs = windowEndMs;
    }
    const { sessions, late } = expectedSessions(windows, rows);
    expect([...rest].map(([session, value]) => `${session} ${value}`).sort()).toEqual(sessions);
    if (emit === 'final') expect(found).toHaveLength(sessions.length);
    expect(driver.metrics().droppedRecords.late).toBe(late);
  });
  fc.assert(property, { seed: SEED, numRuns: 400 });
});

/** Forwards `old>new` of each change. */
const oldAndNew: Operator<Windowed<string>, Change<Seen>, string, string> = {
  kind: 'old-and-new',
  changesKey: true,
  oldValues: 'needed',
  start: (forward) => ({
    process: (record) => {
      const { key, windowStartMs, windowEndMs } = record.key;
      const [before, after] = [record.value.oldValue, record.value.newValue];
      const text = `${before?.sum ?? '-'}>${after?.sum ?? '-'}`;
      forward(record.withKeyValue(`${key} [${windowStartMs}, ${windowEndMs}]`, text));
    },
  }),
};

test(`[OP-SESSION-6] an old value is what was passed on before, seed ${SEED}`, () => {
  const emits: Emit[] = ['each', 'commit', { everyMs: 7 }];
  const property = fc.property(times, input, fc.constantFrom(...emits), (windows, rows, emit) => {
    const [store, node, value] = ['sums', 'sum', json<{ sum: number }>()];
    const summing = sessionAggregate<string, number, { sum: number }>({
      ...{ kind: 'aggregate', store, windows, emit },
      add: (total = { sum: 0 }, { value: number }) => {
        total.sum += number; // in place
        return total;
      },
      merge: (merged = { sum: 0 }, other) => {
        other.sum += merged.sum;
        return other;
      },
    });
    const life = { reachMs: windows.gapMs, lifeMs: sessionLifeMs(windows) };
    const key = sessionWindowedSerde(string());
    const held = typeof emit === 'object' ? [heldStoreSpec({ store, node, key, value })] : [];
    const topology = ownTopology({
      ...{ input: numbers, output: lines },
      stores: [sessionStoreSpec({ store, node, key: string(), value, ...life }), ...held],
      nodes: [
        { name: node, operator: summing, stores: storesFor(store, emit) },
        { name: 'show', parent: node, operator: oldAndNew, stores: [] },
      ],
    });
    const driver = new TopologyTestDriver(topology);
    driver.inputTopic(numbers).pipeAll(rows);
    driver.endOfInput();
    const last = new Map<string | null, string>();
    for (const { key: session, value: change } of driver.outputTopic(lines).readAll()) {
      const [before, after = ''] = change?.split('>') ?? [];
      expect(before, `${session} ${change}`).toBe(last.get(session) ?? '-');
      last.set(session, after);
    }
    const rest = [...last].filter(([, sum]) => sum !== '-');
    const shown = rest.map(([session, sum]) => `${session} ${sum}`).sort();
    expect(shown).toEqual(expectedSessions(windows, rows).sessions);
  });
  fc.assert(property, { seed: SEED, numRuns: 300 });
});
