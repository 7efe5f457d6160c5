import { describe, expect, expectTypeOf, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { changes, changesOf } from '../../test/kit/changes.ts';
import { numbers, shown } from '../../test/kit/drive.ts';
import {
  crashInput,
  crashOutput,
  sameAfterCrashes,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { KTable } from '../dsl/ktable.ts';
import { keyValueStore } from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import {
  sessionWindow,
  slidingWindow,
  tumblingWindow,
  unlimitedWindow,
  type Windowed,
} from '../topology/windows.ts';
import type { Emit, TableEmit } from './emit.ts';

const others = topic('others', { key: string(), value: int64() });
const windows = tumblingWindow({ sizeMs: 10, graceMs: 5 });

type Counts = KTable<Windowed<string>, number>;
type Rows = KTable<Windowed<string>, number | null>;

/** Pipes `key time` into counts in windows; returns what `build` makes of them. */
function viewOf(build: (counts: Counts) => Rows, emit: Emit = 'each') {
  const builder = new StreamsBuilder();
  const counts = builder.stream(numbers).groupByKey().windowedBy(windows).count({ emit });
  changesOf(build(counts))
    .selectKey(({ key }) => `${key.key} ${key.windowStartMs}`)
    .to(changes);
  const driver = new TopologyTestDriver(builder.build());
  const pipe = (rows: string) => {
    for (const row of rows.split(', ')) {
      const [key = '', time] = row.split(' ');
      driver.inputTopic(numbers).pipe({ key, value: 1, timestampMs: Number(time) });
    }
    return shown(driver.outputTopic(changes).readAll());
  };
  const stored = (): string[] => {
    const rows = driver.store(keyValueStore<Windowed<string>, number>('kept')).all();
    return [...rows].map(({ key, value }) => `${key.key} ${key.windowStartMs} ${value}`);
  };
  return { driver, pipe, stored };
}

describe('[OP-TABLE-11] a view of a table of windows in a store', () => {
  test('has the rows of open windows, and passes on the same changes', () => {
    const { pipe, stored } = viewOf((counts) =>
      counts.filter(({ value }) => value > 1, { store: 'kept' }),
    );
    expect(pipe('a 1, a 2, b 2, a 3, b 12, b 13')).toEqual([
      'a 0 ->2 @2',
      'a 0 2>3 @3',
      'b 10 ->2 @13',
    ]);
    expect(stored()).toEqual(['a 0 3', 'b 10 2']);
    expect(pipe('b 4, a 14, a 9')).toEqual(['b 0 ->2 @4', 'a 0 3>4 @9']);
    expect(pipe('c 15')).toEqual([]);
    expect(stored()).toEqual(['b 10 2']); // the first window has closed
    expect(pipe('a 9, c 99')).toEqual([]);
    expect(stored()).toEqual([]);
  });

  test('keeps what a filter took away out of it', () => {
    const { pipe, stored } = viewOf((counts) =>
      counts.filterNot(({ value }) => value === 2, { store: 'kept' }),
    );
    expect(pipe('a 1, a 2, a 3')).toEqual(['a 0 ->1 @1', 'a 0 1>- @2', 'a 0 ->3 @3']);
    expect(stored()).toEqual(['a 0 3']);
  });

  const emits: readonly TableEmit[] = ['commit', { everyMs: 1_000 }];
  test.each(emits)('passes on what waits before the window leaves: emit %o', (emit) => {
    const { driver, pipe } = viewOf((counts) =>
      counts.mapValues((count) => count * 10, { store: 'kept', emit }),
    );
    pipe('a 1, a 2, a 3');
    pipe('a 99');
    const rows = driver.store(keyValueStore<Windowed<string>, number>('kept'));
    expect([...rows.entries()].map(([{ windowStartMs }]) => windowStartMs)).toEqual([90]);
    const { pipe: again } = viewOf((counts) =>
      counts.mapValues((count) => count * 10, { store: 'kept', emit }),
    );
    expect(again('a 1, a 2, a 3, a 99').find((row) => row.includes('30'))).toMatch(/30 @3$/);
  });

  test('of final results', () => {
    const { pipe } = viewOf(
      (counts) => counts.mapValues((count) => count * 10, { store: 'kept' }),
      'final',
    );
    expect(pipe('a 1, a 2, a 12, a 30')).toEqual(['a 0 ->20 @2', 'a 10 ->10 @12']);
  });

  test('of sessions, sliding and unlimited windows', () => {
    const builder = new StreamsBuilder();
    const grouped = builder.stream(numbers).groupByKey();
    const each = { emit: 'each' } as const;
    const kept = (store: string) => ({ store });
    const sessions = grouped.windowedBy(sessionWindow({ gapMs: 5, graceMs: 5 })).count(each);
    changesOf(sessions.mapValues((count) => count * 10, kept('sessions')))
      .selectKey(({ key }) => `${key.key} ${key.windowStartMs}-${key.windowEndMs}`)
      .to(changes);
    const sliding = grouped.windowedBy(slidingWindow({ differenceMs: 5 })).count(each);
    sliding.filter(() => true, kept('sliding'));
    grouped
      .windowedBy(unlimitedWindow())
      .count(each)
      .filter(() => true, kept('unlimited'));
    const driver = new TopologyTestDriver(builder.build());
    for (const timestampMs of [1, 9, 4, 99]) {
      driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs });
    }
    expect(shown(driver.outputTopic(changes).readAll())).toEqual([
      'a 1-1 ->10 @1',
      'a 9-9 ->10 @9',
      'a 1-1 10>- @1',
      'a 9-9 10>- @9',
      'a 1-9 ->30 @9',
      'a 99-99 ->10 @99',
    ]);
    const read = (store: string) =>
      [...driver.store(keyValueStore<Windowed<string>, number>(store)).all()].map(
        ({ key, value }) => `${key.windowStartMs}-${key.windowEndMs} ${value}`,
      );
    expect(read('sessions')).toEqual(['99-99 10']);
    expect(read('sliding')).toEqual(['94-99 1']);
    expect(read('unlimited')).toEqual(['0-Infinity 4']);
  });

  test('is grouped, suppressed and joined as any table of windows', () => {
    const { pipe } = viewOf((counts) => {
      const kept = counts.mapValues((count) => count * 10, { store: 'kept' });
      expectTypeOf(kept).toEqualTypeOf<Counts>();
      return kept.join(counts, (left, right) => left + right);
    });
    expect(pipe('a 1, a 2').at(-1)).toBe('a 0 21>22 @2');
  });

  test('describe() names its store, and how long rows stay', () => {
    const builder = new StreamsBuilder();
    const counts = builder.stream(numbers).groupByKey().windowedBy(windows).count();
    counts.filter(() => true, { store: 'kept' });
    const { subTopologies } = builder.build().describe();
    const stores = subTopologies.flatMap((each) => each.stores);
    const kept = { kind: 'windowedKeyValue', topic: 'kept-changelog', retentionMs: 5 };
    expect(stores.find(({ name }) => name === 'kept')).toMatchObject(kept);
  });

  test('of sliding windows has few stretches, which live a 64th longer', () => {
    const builder = new StreamsBuilder();
    const sliding = slidingWindow({ differenceMs: 6_000, graceMs: 399 });
    const counts = builder.stream(numbers).groupByKey().windowedBy(sliding).count();
    counts.filter(() => true, { store: 'kept' });
    const { subTopologies } = builder.build().describe();
    const stores = subTopologies.flatMap((each) => each.stores);
    expect(stores.find(({ name }) => name === 'kept')?.retentionMs).toBe(400 + 100 - 1);
  });

  test('a stream with windowed keys becomes a table of them', () => {
    const { pipe } = viewOf((counts) => counts.toStream().toTable({ store: 'kept' }));
    expect(pipe('a 1, a 2, b 13, a 99')).toEqual([
      'a 0 ->1 @1',
      'a 0 1>2 @2',
      'b 10 ->1 @13',
      'a 90 ->1 @99',
    ]);
  });
});

describe('[OP-TJOIN-6] a join of tables of windows in a store', () => {
  test('has the rows of open windows, and passes on the same changes', () => {
    const builder = new StreamsBuilder();
    const counts = (input: typeof numbers): Counts =>
      builder.stream(input).groupByKey().windowedBy(windows).count({ emit: 'each' });
    const paste = (left: number | undefined, right: number | undefined) => `${left}+${right}`;
    const joined = counts(numbers).outerJoin(counts(others), paste, {
      store: 'joined',
      value: string(),
    });
    changesOf(joined)
      .selectKey(({ key }) => `${key.key} ${key.windowStartMs}`)
      .to(changes);
    const driver = new TopologyTestDriver(builder.build(), { idleTimeoutMs: Infinity });
    const pipe = (side: typeof numbers, timestampMs: number) => {
      driver.inputTopic(side).pipe({ key: 'a', value: 0, timestampMs });
      return shown(driver.outputTopic(changes).readAll());
    };
    const rows = () => [
      ...driver.store(keyValueStore<Windowed<string>, string>('joined')).entries(),
    ];
    expect(pipe(numbers, 1)).toEqual(['a 0 ->1+undefined @1']);
    expect(pipe(others, 3)).toEqual(['a 0 1+undefined>1+1 @3']);
    expect(rows()).toEqual([[{ key: 'a', windowStartMs: 0, windowEndMs: 10 }, '1+1']]);
    expect(pipe(numbers, 99)).toEqual(['a 90 ->1+undefined @99']);
    expect(rows()).toHaveLength(2); // the other table may change the first window
    expect(pipe(others, 9)).toEqual(['a 0 1+1>1+2 @9']);
    expect(pipe(others, 98)).toEqual(['a 90 1+undefined>1+1 @99']);
    expect(rows()).toHaveLength(1);
  });
});

describe.each(WAYS_TO_STOP)('[OP-TABLE-11] [OP-TJOIN-6] after %s at any time', (_, stop) => {
  function topology() {
    const builder = new StreamsBuilder();
    const stream = builder.stream(crashInput);
    const of = tumblingWindow({ sizeMs: 50, graceMs: 20 });
    const counts = (divisor: number): Counts =>
      stream
        .filter(({ value }) => value % divisor === 0)
        .groupByKey()
        .windowedBy(of)
        .count({ store: `by${divisor}`, emit: 'each' });
    const kept = counts(2).filter(({ value }) => value % 2 === 1, {
      ...{ store: 'odd', emit: { everyMs: 30 } },
    });
    const joined = counts(3).outerJoin(counts(5), (one = 0, other = 0) => one * 100 + other, {
      store: 'joined',
    });
    const sum = (total: number, value: number) => (value % 4 === 0 ? null : total + value);
    const sums = stream
      .groupByKey()
      .windowedBy(of)
      .reduce(sum, { store: 'sums', emit: { everyMs: 30 } });
    const [first, ...others] = [kept, joined, sums].map((table, index) =>
      changesOf(table).selectKey(({ key }) => `${index} ${key.key} ${key.windowStartMs}`),
    );
    others.reduce((merged, each) => merged.merge(each), first!).to(crashOutput);
    return builder.build();
  }

  test(`stored views and joins give the same changes, seed ${SEED}`, async () => {
    await sameAfterCrashes(topology, stop);
  }, 60_000);
});
