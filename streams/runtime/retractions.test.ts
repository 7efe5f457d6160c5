import { expect, test } from 'vitest';
import { int64, json, seededRandom, string, topic, type Log } from '../../core/index.ts';
import { makeApp, openTestLog, produce, runToEnd, until } from '../../test/kit/app.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { KTable } from '../dsl/ktable.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { TableEmit } from '../operators/emit.ts';
import type { Topology } from '../topology/topology.ts';

const ROUNDS = 4;
const ROWS = 30;

/** What a group knows of its rows. The functions change it in place. */
interface Group {
  count: number;
  sum: number;
}

const inputs = topic('inputs', { key: string(), value: int64(), partitions: 2 });
const rates = topic('rates', { key: string(), value: int64(), partitions: 2 });
const groups = topic('groups', { key: string(), value: json<Group>(), partitions: 1 });

const EMITS = ['each', 'commit', { everyMs: 7 }] as const;

type Numbers = KTable<string, number | null>;

/** A row that a shape has: its group, and what it counts there. */
type Counted = readonly [group: string, value: number];

/** A table of rows to group, and the same for one key. */
interface Shape {
  readonly build: (rows: Numbers, rates: Numbers) => Numbers;
  readonly expected: (row: number | undefined, rate: number | undefined) => number | undefined;
}

const times = (row = 1, rate = 1) => row * 100 + rate;

const SHAPES: Record<string, Shape> = {
  filter: {
    build: (rows) => rows.filter(({ value }) => value % 5 !== 0),
    expected: (row) => (row !== undefined && row % 5 !== 0 ? row : undefined),
  },
  join: {
    build: (rows, others) => rows.join(others, times),
    expected: (row, rate) =>
      row === undefined || rate === undefined ? undefined : times(row, rate),
  },
  leftJoin: {
    build: (rows, others) => rows.leftJoin(others, times, { store: 'joined', emit: 'commit' }),
    expected: (row, rate) => (row === undefined ? undefined : times(row, rate)),
  },
  outerJoin: {
    build: (rows, others) => rows.outerJoin(others, times),
    expected: (row, rate) =>
      row === undefined && rate === undefined ? undefined : times(row, rate),
  },
  'self-join': {
    build: (rows, others) =>
      rows.join(rows.outerJoin(others, times), (row, joined) => row + joined),
    expected: (row, rate) => (row === undefined ? undefined : row + times(row, rate)),
  },
};

/** Sums of sums: the changes of a group are again grouped, so that they need to balance twice. */
function topology({ build }: Shape, above: TableEmit, below: TableEmit): Topology {
  const builder = new StreamsBuilder();
  const table = (input: typeof inputs): Numbers =>
    builder
      .stream(input, { nullValues: 'pass' })
      .toTable({ store: `table-${input.name}`, emit: above });
  const sums = build(table(inputs), table(rates))
    .groupBy(({ key, value }) => ({ key: `${key}${value % 3}`, value }), {
      key: string(),
      value: int64(),
    })
    .aggregate(
      (): Group => ({ count: 0, sum: 0 }),
      (group, { value }) => {
        group.count++;
        group.sum += value;
        return group;
      },
      (group, { value }) => {
        group.count--;
        group.sum -= value;
        return group.count === 0 ? null : group;
      },
      { store: 'sums', value: json<Group>(), emit: below },
    );
  sums
    .groupBy(({ key, value }) => ({ key: key.slice(1), value }), {
      key: string(),
      value: json<Group>(),
    })
    .aggregate(
      (): Group => ({ count: 0, sum: 0 }),
      (group, { value }) => ({ count: group.count + value.count, sum: group.sum + value.sum }),
      (group, { value }) => ({ count: group.count - value.count, sum: group.sum - value.sum }),
      { store: 'totals', value: json<Group>(), emit: 'each' },
    )
    .toStream()
    .to(groups);
  return builder.build();
}

/** The same, computed from all rows at once. */
function computed(counted: readonly Counted[]): Record<string, Group> {
  const found: Partial<Record<string, Group>> = {};
  for (const [name, value] of counted) {
    const group = (found[name] ??= { count: 0, sum: 0 });
    group.count++;
    group.sum += value;
  }
  return found as Record<string, Group>;
}

async function readGroups(log: Log): Promise<Record<string, Group>> {
  const newest = new Map<string, Group>();
  for (const { key, value } of await readTopic(log, groups, 'read_committed')) {
    if (value !== null) newest.set(key ?? '', value);
  }
  return Object.fromEntries([...newest].filter(([, { count }]) => count > 0));
}

const KEYS = ['a', 'b', 'c', 'd', 'e', 'f'];

/** The tables, as what was produced makes them. */
class Tables {
  readonly #rows = new Map<string, number>();
  readonly #rates = new Map<string, number>();
  readonly #int: (below: number) => number;

  constructor(int: (below: number) => number) {
    this.#int = int;
  }

  async produce(log: Log, firstMs: number): Promise<void> {
    for (const [to, table] of [
      [inputs, this.#rows],
      [rates, this.#rates],
    ] as const) {
      const records = Array.from({ length: ROWS }, (_, index): [string, number | null, number] => {
        const key = KEYS[this.#int(KEYS.length)]!;
        const value = this.#int(4) === 0 ? null : this.#int(100);
        if (value === null) table.delete(key);
        else table.set(key, value);
        return [key, value, firstMs + index];
      });
      await produce(log, to, records);
    }
  }

  counted({ expected }: Shape): Counted[] {
    return KEYS.flatMap((key): Counted[] => {
      const value = expected(this.#rows.get(key), this.#rates.get(key));
      return value === undefined ? [] : [[`${value % 3}`, value]];
    });
  }
}

const PAIRS = EMITS.flatMap((above) => EMITS.map((below) => [above, below] as const));

/** All pairs of emits for one shape, and every fourth for the others. */
const cases = Object.keys(SHAPES).flatMap((shape) =>
  PAIRS.filter((_, index) => shape === 'filter' || index % 4 === 1).map(
    ([above, below]) => [shape, above, below] as const,
  ),
);

test.each(cases)(
  `[OP-GROUP-4] [OP-TJOIN-2] retractions balance: %s, emit %o above %o, seed ${SEED}`,
  async (name, above, below) => {
    const shape = SHAPES[name]!;
    const random = seededRandom(SEED);
    const int = (limit: number) => Math.floor(random.next() * limit);
    const log = await openTestLog();
    const tables = new Tables(int);
    let stateDir = temporaryDirectory();
    for (let round = 0; round < ROUNDS; round++) {
      await tables.produce(log, round * ROWS);
      if (int(2) === 0) stateDir = temporaryDirectory(); // from the changelogs
      const options = {
        stateDir,
        commitIntervalMs: int(2) === 0 ? 1 : 10_000,
        checkpointIntervalMs: int(2) === 0 ? 1 : 10_000,
        cacheEntriesMax: int(3),
      };
      const app = makeApp(log, topology(shape, above, below), options);
      await app.start();
      await until(() => app.metrics().processedRecords >= 2 * ROWS);
      await app.close(); // wherever the tasks behind are
    }
    await runToEnd(log, topology(shape, above, below), { stateDir });
    expect(await readGroups(log)).toEqual(computed(tables.counted(shape)));
  },
);
