import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  double,
  int64,
  silentLogger,
  string,
  topic,
  type Log,
  type Serde,
} from '../../core/index.ts';
import { committedRows, makeApp, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { keyValueStore } from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { Topology } from '../topology/topology.ts';
import { tumblingWindow } from '../topology/windows.ts';
import type { CommitStep } from './commit.ts';
import type { StreamsOptions } from './options.ts';

const numbers = topic('numbers', { key: string(), value: int64() });
const out = topic('out', { key: string(), value: int64() });

interface Shape {
  readonly store?: string | undefined;
  readonly value?: Serde<number>;
  /** More nodes, before and after the store's. */
  readonly more?: boolean;
  /** Through a repartition topic. */
  readonly moved?: boolean;
}

/** Sums by key. */
function summing({
  store = 'sums',
  value = int64(),
  more = false,
  moved = false,
}: Shape): Topology {
  const builder = new StreamsBuilder();
  if (more) {
    const others = builder.stream(topic('others', { key: string(), value: int64() }));
    others.groupByKey().count({ store: 'others' });
  }
  const stream = builder.stream(numbers);
  if (more) stream.filter(() => false).foreach(() => undefined);
  const grouped = moved ? stream.groupBy(({ key }) => key, { key: string() }) : stream.groupByKey();
  grouped
    .reduce((sum, one) => sum + one, { store, value })
    .toStream()
    .to(out);
  return builder.build();
}

function withoutStores(): Topology {
  const builder = new StreamsBuilder();
  builder.stream(numbers).foreach(() => undefined);
  return builder.build();
}

/** Adds one to the sum of `a`, and processes everything. Returns the sums since then. */
async function sumsOf(
  log: Log,
  made: Topology,
  options: Partial<StreamsOptions>,
): Promise<string[]> {
  const { length } = await committedRows(log, out);
  await produce(log, numbers, [['a', 1, 1]]);
  await runToEnd(log, made, { logger: silentLogger, ...options });
  const rows = (await committedRows(log, out)).slice(length);
  return rows.map((row) => row.split(' ')[1] ?? '');
}

async function refusal(log: Log, made: Topology, options: Partial<StreamsOptions>) {
  const app = makeApp(log, made, options);
  return app.start().then(
    () => new TypeError('it started'),
    (error: unknown) => error as Error & { readonly code: string },
  );
}

function lastRun(stateDir: string): string {
  return readFileSync(join(stateDir, 'last-run.json'), 'utf8');
}

describe('[EVO-STATE-1] an application remembers the topology that ran last', () => {
  test('[EVO-STATE-1] in its state directory and in the log, and writes only changes', async () => {
    const log = await openTestLog();
    const stateDir = temporaryDirectory();
    expect(await sumsOf(log, summing({}), { stateDir })).toEqual(['1']);
    const first = lastRun(stateDir);
    expect(JSON.parse(first)).toMatchObject({
      formatVersion: 1,
      lastRun: { applicationId: 'app', topicsToDelete: [] },
      copyOffset: 0,
    });
    expect(await sumsOf(log, summing({}), { stateDir })).toEqual(['2']);
    expect(lastRun(stateDir)).toBe(first);
    expect(await log.admin().offsets('app-topology')).toEqual([
      { partition: 0, earliest: 0, latest: 1 },
    ]);
  });

  test('[EVO-STATE-1] it starts with more nodes and stores, and keeps its state', async () => {
    const log = await openTestLog();
    const stateDir = temporaryDirectory();
    expect(await sumsOf(log, summing({}), { stateDir })).toEqual(['1']);
    // The store moves to the tasks of another sub-topology, and back, and its own is the newest.
    expect(await sumsOf(log, summing({ more: true }), { stateDir })).toEqual(['2']);
    const options = { stateDir, dropState: ['others'] };
    expect(await sumsOf(log, summing({}), options)).toEqual(['3']);
    expect(await sumsOf(log, summing({ more: true }), { stateDir })).toEqual(['4']);
  });

  test('[EVO-STATE-1] also if its state directory or the copy in the log is lost', async () => {
    const log = await openTestLog();
    const stateDir = temporaryDirectory();
    await sumsOf(log, summing({}), { stateDir });
    const lost = { stateDir: temporaryDirectory() };
    expect(await refusal(log, withoutStores(), lost)).toMatchObject({ code: 'STATE_MISMATCH' });
    expect(await sumsOf(log, summing({}), lost)).toEqual(['2']);
    await log.admin().deleteTopics(['app-topology']);
    expect(await refusal(log, withoutStores(), lost)).toMatchObject({ code: 'STATE_MISMATCH' });
    expect(await sumsOf(log, summing({}), lost)).toEqual(['3']);
    // The first directory is older now: what it has of the store is not used.
    expect(await sumsOf(log, summing({}), { stateDir })).toEqual(['4']);
  });
});

test('[EVO-STATE-1] what is older than the log goes before anything is noted', async () => {
  const log = await openTestLog();
  const options = { stateDir: temporaryDirectory(), logger: silentLogger };
  await sumsOf(log, summing({}), options);
  await sumsOf(log, summing({ more: true }), { stateDir: temporaryDirectory() });
  const mark = join(options.stateDir, '0_0', 'mark');
  writeFileSync(mark, '');
  const onStep = (step: CommitStep) => {
    if (step === 'evolve-3-local') throw new TypeError('killed');
  };
  const renamed = { ...options, onStep, renamedStores: { totals: 'sums' } };
  const made = summing({ store: 'totals', more: true });
  expect(await refusal(log, made, renamed)).toMatchObject({ message: 'killed' });
  expect(existsSync(mark)).toBe(false);
});

describe('[EVO-STATE-2] a start that would lose or misread state is refused', () => {
  test('[EVO-STATE-2] a store that is gone, with its name and the ways out', async () => {
    const log = await openTestLog();
    const options = { stateDir: temporaryDirectory() };
    await sumsOf(log, summing({}), options);
    const refused = await refusal(log, summing({ store: 'totals' }), options);
    expect(refused).toMatchObject({
      code: 'STATE_MISMATCH',
      details: { applicationId: 'app', names: ['sums'] },
    });
    expect(refused.message).toBe(
      'app cannot start with this topology, which would lose or misread what the last one has ' +
        'kept: store sums (removed): nothing would read what is in it any more; ' +
        'totals may be its new name. Ways out: ' +
        'go back to the topology that ran last (millrace app topology shows it); ' +
        "if it has a new name, move it with renamedStores: { 'totals': 'sums' }; " +
        "drop it for good with dropState: ['sums']; " +
        'or process everything again after millrace app reset --app app',
    );
    expect(await sumsOf(log, summing({}), options)).toEqual(['2']); // nothing was changed
  });

  test('[EVO-STATE-2] a serde, and windows, that would misread it', async () => {
    const log = await openTestLog();
    const options = { stateDir: temporaryDirectory() };
    await sumsOf(log, summing({}), options);
    const refused = await refusal(log, summing({ value: double() }), options);
    expect(refused).toMatchObject({ code: 'STATE_MISMATCH', details: { names: ['sums'] } });
    expect(refused.message).toContain(
      'store sums (value serde int64 -> double): what is in it would be read wrongly',
    );
    expect(refused.message).toContain('with versioned() or Serde.reads');
    expect(
      await sumsOf(log, summing({ value: double() }), { ...options, dropState: ['sums'] }),
    ).toEqual(['1']);
    expect(await sumsOf(log, summing({ value: double() }), options)).toEqual(['2']);
  });

  test('[EVO-STATE-2] not if there is nothing in it', async () => {
    const log = await openTestLog();
    const options = { stateDir: temporaryDirectory() };
    await runToEnd(log, summing({}), options);
    await runToEnd(log, withoutStores(), options);
    expect(await log.admin().listTopics()).not.toContain('app-sums-changelog');
  });

  test('[EVO-STATE-2] the directory of another application', async () => {
    const log = await openTestLog();
    const options = { stateDir: temporaryDirectory() };
    await runToEnd(log, summing({}), options);
    expect(await refusal(log, summing({}), { ...options, applicationId: 'b' })).toMatchObject({
      code: 'STATE_MISMATCH',
      message: expect.stringContaining('has the state of the application app, not of b') as string,
    });
  });
});

describe('[EVO-STATE-2] a directory that several applications use', () => {
  test('[EVO-STATE-2] has the state of the one with stores, whatever others noted', async () => {
    const log = await openTestLog();
    const other = { stateDir: temporaryDirectory(), applicationId: 'b' };
    const options = { stateDir: temporaryDirectory() };
    await runToEnd(log, withoutStores(), { ...options, applicationId: 'b' }); // the first one there
    await sumsOf(log, summing({}), { ...other, dropState: ['sums'] }); // more notes of b in the log
    await runToEnd(log, withoutStores(), { ...other, dropState: ['sums'], logger: silentLogger });
    expect(await sumsOf(log, summing({}), options)).toEqual(['2']);
    const mark = join(options.stateDir, '0_0', 'mark');
    writeFileSync(mark, '');
    const refused = await refusal(log, summing({}), { ...options, applicationId: 'b' });
    expect(refused).toMatchObject({ code: 'STATE_MISMATCH' });
    await runToEnd(log, withoutStores(), { ...options, applicationId: 'b' });
    expect(existsSync(mark)).toBe(true);
  });
});

test('[EVO-STATE-2] a table that would get a changelog without its rows', async () => {
  const log = await openTestLog();
  const options = { stateDir: temporaryDirectory(), logger: silentLogger };
  await produce(log, numbers, [['a', 1, 1]]);
  const table = new StreamsBuilder();
  table.table(numbers, { store: 'rows' });
  await runToEnd(log, table.build(), options);
  const own = new StreamsBuilder();
  own.stream(numbers).toTable({ store: 'rows' });
  const made = own.build();
  expect(await refusal(log, made, options)).toMatchObject({ code: 'STATE_MISMATCH' });
  await runToEnd(log, made, { ...options, dropState: ['rows'] });
});

describe('[EVO-STATE-3] dropState drops what the topology no longer has', () => {
  test('[EVO-STATE-3] its changelog and its local copy, once', async () => {
    const log = await openTestLog();
    const options = { stateDir: temporaryDirectory() };
    const lines: string[] = [];
    const logger = { ...silentLogger, warn: (line: string) => void lines.push(line) };
    await sumsOf(log, summing({}), options);
    const dropping = { ...options, logger, dropState: ['sums'] };
    await runToEnd(log, withoutStores(), dropping);
    expect(lines).toEqual(['sums is dropped, as dropState says']);
    expect(await log.admin().listTopics()).not.toContain('app-sums-changelog');
    expect(await sumsOf(log, summing({}), options)).toEqual(['1']); // from the beginning
    await runToEnd(log, summing({ more: true }), dropping);
    expect(lines.slice(1)).toEqual([
      'dropState names sums, which fits the topology and is kept: remove it there',
    ]);
    expect(await sumsOf(log, summing({ more: true }), options)).toEqual(['2']);
  });

  test('[EVO-STATE-3] or the records that wait in a repartition topic', async () => {
    const log = await openTestLog();
    const options = { stateDir: temporaryDirectory() };
    expect(await sumsOf(log, summing({ moved: true }), options)).toEqual(['1']);
    const waiting = topic('app-sums-repartition', { key: string(), value: int64() });
    await produce(log, waiting, [['a', 5, 2]]);
    const refused = await refusal(log, summing({}), options);
    expect(refused).toMatchObject({
      ...{ code: 'STATE_MISMATCH', details: { names: ['sums-repartition'] } },
    });
    expect(refused.message).toContain('it has records that are not processed');
    expect(refused.message).toContain('by running that topology once more with finish()');
    const dropping = { ...options, dropState: ['sums-repartition'] };
    expect(await sumsOf(log, summing({}), dropping)).toEqual(['2']); // the store moved with it
    expect(await sumsOf(log, summing({}), options)).toEqual(['3']);
  });

  test('[EVO-STATE-3] once they are processed, the topic may go', async () => {
    const log = await openTestLog();
    const options = { stateDir: temporaryDirectory() };
    expect(await sumsOf(log, summing({ moved: true }), options)).toEqual(['1']);
    expect(await sumsOf(log, summing({}), options)).toEqual(['2']);
  });
});

/** Final results of windows of 10 ms. */
function windows(store: string): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers)
    .groupByKey()
    .windowedBy(tumblingWindow({ sizeMs: 10 }))
    .count({ store, emit: 'final' })
    .toStream()
    .map(({ key, value }) => ({ key: `${key.key} ${key.windowStartMs}`, value }))
    .to(out);
  return builder.build();
}

describe('[EVO-STATE-4] a store that is renamed keeps its state', () => {
  test('[EVO-STATE-4] its changelog is moved, and the old one deleted', async () => {
    const log = await openTestLog();
    const options = { stateDir: temporaryDirectory() };
    expect(await sumsOf(log, summing({}), options)).toEqual(['1']);
    const renamed = { ...options, renamedStores: { totals: 'sums' } };
    expect(await sumsOf(log, summing({ store: 'totals' }), renamed)).toEqual(['2']);
    const topics = await log.admin().listTopics();
    expect(topics.filter((name) => name.endsWith('-changelog'))).toEqual(['app-totals-changelog']);
    expect(await sumsOf(log, summing({ store: 'totals' }), renamed)).toEqual(['3']); // it may stay
    expect(await sumsOf(log, summing({ store: 'totals' }), options)).toEqual(['4']);
    const lost = { stateDir: temporaryDirectory() };
    expect(await sumsOf(log, summing({ store: 'totals' }), lost)).toEqual(['5']);
  });

  test('[EVO-STATE-4] windows that have closed stay closed', async () => {
    const log = await openTestLog();
    const options = { stateDir: temporaryDirectory() };
    await produce(log, numbers, [
      ['a', 1, 5],
      ['a', 1, 12],
      ['a', 1, 25], // closes the windows before
    ]);
    const app = makeApp(log, windows('counts'), { ...options, idleTimeoutMs: 0 });
    await app.start();
    while ((await committedRows(log, out)).length < 2) await new Promise(setImmediate);
    await app.close();
    await produce(log, numbers, [['a', 1, 7]]); // late
    await runToEnd(log, windows('tally'), { ...options, renamedStores: { tally: 'counts' } });
    expect(await committedRows(log, out)).toEqual(['a 0 1 @5', 'a 10 1 @12', 'a 20 1 @25']);
  });

  test('[EVO-STATE-4] names that cannot be are refused', async () => {
    const log = await openTestLog();
    const options = { stateDir: temporaryDirectory() };
    await sumsOf(log, summing({}), options);
    for (const [renamedStores, reason] of [
      [{ other: 'sums' }, 'the topology has no store other'],
      [{ sums: 'sums' }, 'the topology still has a store sums'],
    ] as const) {
      expect(await refusal(log, summing({}), { ...options, renamedStores })).toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringContaining(reason) as string,
      });
    }
    await produce(log, topic('app-totals-changelog', { key: string(), value: int64() }), [
      ['a', 1, 1],
    ]);
    const renamed = { ...options, renamedStores: { totals: 'sums' } };
    expect(await refusal(log, summing({ store: 'totals' }), renamed)).toMatchObject({
      code: 'STATE_MISMATCH',
      message: expect.stringContaining('there is a topic app-totals-changelog') as string,
    });
    expect(() => makeApp(log, summing({}), { dropState: 'sums' as never })).toThrow('dropState');
    expect(() => makeApp(log, summing({}), { renamedStores: [] as never })).toThrow(
      'renamedStores',
    );
  });

  test('[EVO-STATE-4] a store without a changelog begins empty', async () => {
    const log = await openTestLog();
    const options = { stateDir: temporaryDirectory() };
    const seen = (name: string): Topology => {
      const builder = new StreamsBuilder();
      const serdes = { key: string(), value: int64() };
      const store = builder.addStore(keyValueStore(name, { ...serdes, changelog: false }));
      builder
        .stream(numbers)
        .process<string, number>(
          (context) => ({
            process: ({ key, timestampMs }) => {
              const count = (context.store(store).get(key ?? '') ?? 0) + 1;
              context.store(store).put(key ?? '', count, timestampMs);
              context.forward({ key: key ?? '', value: count });
            },
          }),
          { stores: [store], ...serdes },
        )
        .to(out);
      return builder.build();
    };
    expect(await sumsOf(log, seen('one'), options)).toEqual(['1']);
    expect(await sumsOf(log, seen('one'), options)).toEqual(['2']);
    expect(await sumsOf(log, seen('two'), options)).toEqual(['1']);
    expect(await sumsOf(log, seen('one'), options)).toEqual(['1']);
  });
});

describe('[EVO-STATE-5] a description that cannot be read', () => {
  test.each([
    [
      'cut off',
      (text: string) => text.slice(0, -20),
      'LAST_RUN_UNREADABLE',
      'remove the directory',
    ],
    ['changed', (text: string) => text.replaceAll('int64', 'int65'), '', 'it is damaged'],
    ['not one', () => '[]', '', 'it is damaged'],
    [
      'newer',
      (text: string) => text.replace('"formatVersion": 1', '"formatVersion": 2'),
      '',
      'newer',
    ],
  ])('[EVO-STATE-5] %s: names the file and what to do', async (_, damage, __, hint) => {
    const log = await openTestLog();
    const options = { stateDir: temporaryDirectory() };
    await sumsOf(log, summing({}), options);
    const file = join(options.stateDir, 'last-run.json');
    const good = lastRun(options.stateDir);
    writeFileSync(file, damage(good));
    const refused = await refusal(log, summing({}), options);
    expect(refused).toMatchObject({ code: 'LAST_RUN_UNREADABLE', details: { file } });
    expect(refused.message).toContain(file);
    expect(refused.message).toContain(hint);
    writeFileSync(file, good);
    expect(await sumsOf(log, summing({}), options)).toEqual(['2']);
  });
});

const STEPS: readonly CommitStep[] = [
  'evolve-2-announce',
  'evolve-3-local',
  'evolve-3-copy',
  'evolve-3-times',
  'evolve-4-note',
  'evolve-5-delete',
  'evolve-5-note',
];

describe('[EVO-STATE-6] a start that is killed in any step', () => {
  const ending = (at: CommitStep) => ({
    onStep: (step: CommitStep) => {
      if (step === at) throw new TypeError(`killed at ${step}`);
    },
  });

  test.each(STEPS)('[EVO-STATE-6] %s: the next one ends the renaming', async (step) => {
    const log = await openTestLog();
    const options = { stateDir: temporaryDirectory() };
    const renamed = { ...options, renamedStores: { totals: 'sums' } };
    expect(await sumsOf(log, summing({}), options)).toEqual(['1']);
    const killed = await refusal(log, summing({ store: 'totals' }), {
      ...renamed,
      ...ending(step),
    });
    expect(killed.message).toBe(`killed at ${step}`);
    expect(await sumsOf(log, summing({ store: 'totals' }), renamed)).toEqual(['2']);
    const topics = await log.admin().listTopics();
    expect(topics.filter((name) => name.endsWith('-changelog'))).toEqual(['app-totals-changelog']);
  });

  test.each(STEPS)('[EVO-STATE-6] %s: the old topology goes on, or is refused', async (step) => {
    const log = await openTestLog();
    const options = { stateDir: temporaryDirectory() };
    const renamed = { ...options, renamedStores: { totals: 'sums' } };
    expect(await sumsOf(log, summing({}), options)).toEqual(['1']);
    await refusal(log, summing({ store: 'totals' }), { ...renamed, ...ending(step) });
    if (step.startsWith('evolve-5')) {
      expect(await refusal(log, summing({}), options)).toMatchObject({ code: 'STATE_MISMATCH' });
      const back = { ...options, renamedStores: { sums: 'totals' } };
      expect(await sumsOf(log, summing({}), back)).toEqual(['2']);
    } else {
      expect(await sumsOf(log, summing({}), options)).toEqual(['2']);
    }
    const topics = await log.admin().listTopics();
    expect(topics.filter((name) => name.endsWith('-changelog'))).toEqual(['app-sums-changelog']);
  });

  test.each(['evolve-3-local', 'evolve-4-note', 'evolve-5-delete', 'evolve-5-note'] as const)(
    '[EVO-STATE-6] %s: a store is dropped as a whole',
    async (step) => {
      const log = await openTestLog();
      const options = { stateDir: temporaryDirectory() };
      const dropping = { ...options, dropState: ['sums'] };
      expect(await sumsOf(log, summing({}), options)).toEqual(['1']);
      const doubled = summing({ value: double() });
      await refusal(log, doubled, { ...dropping, ...ending(step) });
      const again = step.startsWith('evolve-5') ? options : dropping;
      expect(await sumsOf(log, doubled, again)).toEqual(['1']);
      expect(await sumsOf(log, doubled, options)).toEqual(['2']);
      expect(existsSync(options.stateDir) && readdirSync(options.stateDir)).toContain('0_0');
    },
  );
});
