import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { int64, seededRandom, string, topic, topicPattern, type Log } from '../../core/index.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { committedRows, makeApp, produce, until } from '../../test/kit/app.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import {
  crashInput,
  crashOutput,
  copyState,
  openDisk,
  sameAfterCrashes,
  triedMoments,
  WAYS_TO_STOP,
  type Moment,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { joinWindow } from '../topology/join-window.ts';
import type { Topology } from '../topology/topology.ts';
import { tumblingWindow } from '../topology/windows.ts';

const serdes = { key: string(), value: int64() };
/** Has more partitions than `crashInput`. */
const wide = topic('wide', { ...serdes, partitions: 2 });
const prices = topic('prices', { ...serdes, partitions: 3 });
const asked = { repartition: 'if-needed' } as const;

type Row = [key: string, value: number, timestampMs: number];

function* wideRows(): Generator<Row> {
  for (let index = 0; index < 2_000; index += 3) yield [`k${index % 7}`, -index, index];
}

const fill = async (log: Log): Promise<void> => {
  await produce(log, wide, wideRows());
  const keys = ['k0', 'k1', 'k2', 'k3', 'k5'];
  await produce(
    log,
    prices,
    keys.map((key, index): Row => [key, index, 0]),
  );
};

/** Every key is unique: pairs come in no order between the sides. */
const named = (name: string) => (record: { readonly key: string; readonly value: string }) => ({
  key: `${name} ${record.key} ${record.value}`,
  value: record.value,
});

function joinsOfStreams(): Topology {
  const builder = new StreamsBuilder();
  const left = builder.stream(crashInput, { nullKeys: 'fail' });
  const fifth = left.filter(({ value }) => value % 5 === 0);
  const right = builder.stream(wide, { nullKeys: 'fail' });
  const window = joinWindow({ differenceMs: 9, graceMs: 4 });
  fifth
    .outerJoin(right, (one, other) => `${one} ${other}`, { window, store: 'pairs', ...asked })
    .map(named('pair'))
    .merge(
      fifth
        .leftJoin(builder.table(prices), (one, price) => `${one} ${price}`, {
          ...{ name: 'priced', ...asked },
        })
        .map(named('priced')),
    )
    .to(crashOutput);
  return builder.build();
}

function joinOfTables(): Topology {
  const builder = new StreamsBuilder();
  const table = builder.table(crashInput);
  table
    .outerJoin(builder.table(wide), (one, other) => `${one} ${other}`, { store: 'both', ...asked })
    .toStream()
    .to(crashOutput);
  return builder.build();
}

describe('[OP-TOPOLOGY-10] [OP-TOPOLOGY-18] joins that are repaired if needed', () => {
  test.each(WAYS_TO_STOP)(
    `of streams and a table are the same after %s, seed ${SEED}`,
    (_, stop) => sameAfterCrashes(joinsOfStreams, stop, { fill, every: 61 }),
    60_000,
  );

  test.each(WAYS_TO_STOP)(
    `of tables are the same in the end after %s, seed ${SEED}`,
    (_, stop) => sameAfterCrashes(joinOfTables, stop, { fill, compares: 'last values', every: 31 }),
    60_000,
  );
});

describe('[OP-TOPOLOGY-12] topics that match a pattern', () => {
  const orders = (name: string) => topic(`orders-${name}`, serdes);
  const out = topic('out', serdes);
  const COUNT = 300;

  /** The second one begins when the first one ends: its records are not late. */
  function* rows(name: 'a' | 'b'): Generator<Row> {
    const startMs = name === 'a' ? 0 : COUNT;
    for (let index = 0; index < COUNT; index++) {
      yield [`${name}${index % 3}`, index, startMs + index];
    }
  }

  function counting(): Topology {
    const builder = new StreamsBuilder();
    const grouped = builder.stream(topicPattern(/^orders-/, serdes)).groupByKey();
    const windows = grouped.windowedBy(tumblingWindow({ sizeMs: 50 }));
    const counts = grouped.count({ store: 'each', emit: 'each' }).toStream();
    windows
      .count({ store: 'final', emit: 'final' })
      .toStream()
      .map(({ key, value }) => ({ key: `${key.key}@${key.windowStartMs}`, value }))
      .merge(counts)
      .to(out);
    return builder.build();
  }

  /** Processes the first topic, then the second one, which comes while it runs. */
  const run = async (log: Log, stateDir: string): Promise<void> => {
    const app = makeApp(log, counting(), {
      ...{ stateDir, commitIntervalMs: 1, checkpointIntervalMs: 5, metadataMaxAgeMs: 10 },
      idleTimeoutMs: Infinity,
    });
    await app.start();
    await until(async () => (await committedRows(log, out)).length >= COUNT);
    const existing = await log.admin().listTopics();
    const written = existing.includes('orders-b')
      ? await readTopic(log, orders('b'), 'read_uncommitted')
      : [];
    await produce(log, orders('b'), [...rows('b')].slice(written.length));
    await app.finish();
  };

  /** By key, in their order. */
  const results = async (log: Log): Promise<Record<string, string[]>> => {
    const found: Record<string, string[]> = {};
    for (const row of await committedRows(log, out)) {
      const [key = '', ...rest] = row.split(' ');
      (found[key] ??= []).push(rest.join(' '));
    }
    return found;
  };

  test.each(WAYS_TO_STOP)(
    `are counted once after %s, also if one comes meanwhile, seed ${SEED}`,
    async (_, stop) => {
      const random = seededRandom(SEED);
      const disk = new MemoryFileSystem({ random: seededRandom(SEED) });
      const [stateDir, copies] = [temporaryDirectory(), temporaryDirectory()];
      const log = await openDisk(disk);
      await produce(log, orders('a'), rows('a'));
      const moments: Moment[] = [];
      let count = 0;
      disk.onOperation = ({ kind, path }) => {
        if (++count % 41 !== 0) return;
        const copy = join(copies, String(count));
        copyState(stateDir, copy);
        const operation = `${count}: ${kind} ${path}`;
        moments.push({ operation, disk: stop(disk, random), stateDir: copy });
      };
      await run(log, stateDir);
      disk.onOperation = undefined;
      const expected = await results(log);
      expect(Object.keys(expected)).toHaveLength(6 + 6 * 6);
      expect(moments.length).toBeGreaterThan(5);
      for (const moment of triedMoments(moments)) {
        const reopened = await openDisk(moment.disk);
        await run(reopened, moment.stateDir);
        expect(await results(reopened), moment.operation).toEqual(expected);
        await reopened.close();
      }
    },
    60_000,
  );
});
