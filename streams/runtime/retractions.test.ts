import { expect, test } from 'vitest';
import { int64, json, seededRandom, string, topic, type Log } from '../../core/index.ts';
import { makeApp, openTestLog, produce, runToEnd, until } from '../../test/kit/app.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { TableEmit } from '../operators/emit.ts';
import type { Topology } from '../topology/topology.ts';

const ROUNDS = 5;
const ROWS = 30;

/** What a group knows of its rows. The functions change it in place. */
interface Group {
  count: number;
  sum: number;
}

const inputs = topic('inputs', { key: string(), value: int64(), partitions: 2 });
const groups = topic('groups', { key: string(), value: json<Group>(), partitions: 1 });

const EMITS = ['each', 'commit', { everyMs: 7 }] as const;

/** Sums of sums: the changes of a group are again grouped, so that they need to balance twice. */
function topology(above: TableEmit, below: TableEmit): Topology {
  const builder = new StreamsBuilder();
  const sums = builder
    .stream(inputs, { nullValues: 'pass' })
    .toTable({ store: 'rows', emit: above })
    .filter(({ value }) => value % 5 !== 0)
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
function computed(rows: ReadonlyMap<string, number>): Record<string, Group> {
  const found: Partial<Record<string, Group>> = {};
  for (const value of rows.values()) {
    if (value % 5 === 0) continue;
    const group = (found[value % 3] ??= { count: 0, sum: 0 });
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

const cases = EMITS.flatMap((above) => EMITS.map((below) => [above, below] as const));

test.each(cases)(
  `[OP-GROUP-4] retractions balance, emit %o above %o, seed ${SEED}`,
  async (above, afterwards) => {
    const random = seededRandom(SEED);
    const int = (below: number) => Math.floor(random.next() * below);
    const log = await openTestLog();
    const rows = new Map<string, number>();
    let stateDir = temporaryDirectory();
    for (let round = 0; round < ROUNDS; round++) {
      const records = Array.from({ length: ROWS }, (_, index): [string, number | null, number] => {
        const key = 'abcdef'[int(6)]!;
        const value = int(5) === 0 ? null : int(100);
        if (value === null) rows.delete(key);
        else rows.set(key, value);
        return [key, value, round * ROWS + index];
      });
      await produce(log, inputs, records);
      if (int(2) === 0) stateDir = temporaryDirectory(); // from the changelogs
      const options = {
        stateDir,
        commitIntervalMs: int(2) === 0 ? 1 : 10_000,
        checkpointIntervalMs: int(2) === 0 ? 1 : 10_000,
        cacheEntriesMax: int(3),
      };
      const app = makeApp(log, topology(above, afterwards), options);
      await app.start();
      await until(() => app.metrics().processedRecords >= ROWS);
      await app.close(); // wherever the tasks behind are
    }
    await runToEnd(log, topology(above, afterwards), { stateDir });
    expect(await readGroups(log)).toEqual(computed(rows));
  },
);
