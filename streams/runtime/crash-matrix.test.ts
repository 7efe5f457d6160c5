/**
 * The crash matrix: one case for each place in the order of a commit and a checkpoint where a
 * process or its machine may stop, and for what may happen to the state meanwhile. Each leaves the
 * outputs, and the state that they come from, of a run that nothing has disturbed.
 */
import { readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openLog, seededRandom, silentLogger, type Log } from '../../core/index.ts';
import { runChild } from '../../test/kit/child.ts';
import { makeApp, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import {
  copyState,
  crashInput,
  crashMomentsOf,
  crashRows,
  kill,
  openDisk,
  powerCut,
  readResults,
  WAYS_TO_STOP,
  type CrashEvent,
  type CrashingRun,
  type Moment,
} from '../../test/kit/same-after-crashes.ts';
import { matrixTopology } from '../../test/kit/matrix-topology.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsError } from '../errors.ts';
import type { CommitStep } from './commit.ts';
import type { StreamsOptions } from './options.ts';

const OPTIONS = { commitIntervalMs: 1, checkpointIntervalMs: 5, idleTimeoutMs: Infinity } as const;
/** Tried moments of each case: those of a run are many, and each costs another run. */
const MOMENTS_MAX = 4;
/** A machine may be busy; alone each takes a second or two. */
const PATIENT = { timeout: 60_000 };

type Results = Record<string, string[]>;

interface Crashed {
  /** The results of the run that was not stopped. */
  readonly expected: Results;
  readonly moments: readonly Moment[];
}

/** Stops a run where `at` says; at most so often, evenly spread over the run. */
async function crashed(
  at: (event: CrashEvent) => boolean,
  stop: CrashingRun['stop'],
  options: Partial<StreamsOptions> = {},
): Promise<Crashed> {
  const { log, moments } = await crashMomentsOf({
    ...{ fill, at, stop },
    work: (log_, stateDir, onStep) =>
      runToEnd(log_, matrixTopology(), { ...OPTIONS, ...options, stateDir, onStep }),
  });
  const expected = await readResults(log);
  expect(Object.values(expected).flat().length).toBeGreaterThan(1_000);
  expect(moments.length).toBeGreaterThan(0); // otherwise nothing is tested
  return { expected, moments: spread(moments) };
}

/** Some moments of a run, from its beginning to its end. */
function spread(moments: readonly Moment[]): Moment[] {
  const stride = Math.max(1, Math.ceil(moments.length / MOMENTS_MAX));
  return moments.filter((_, index) => index % stride === SEED % stride);
}

const fill = (log: Log): Promise<void> => produce(log, crashInput, crashRows());

/** Goes on from a moment to the end of the input, and compares. */
async function expectSame(expected: Results, { disk, stateDir, operation }: Moment): Promise<void> {
  const log = await openDisk(disk);
  const app = await runToEnd(log, matrixTopology(), { ...OPTIONS, stateDir });
  expect(await readResults(log), operation).toEqual(expected);
  expect(app.metrics().droppedRecords.late, operation).toBe(0);
  await log.close();
}

async function same(
  at: (event: CrashEvent) => boolean,
  stop: CrashingRun['stop'],
  options: Partial<StreamsOptions> = {},
): Promise<void> {
  const { expected, moments } = await crashed(at, stop, options);
  for (const moment of moments) await expectSame(expected, moment);
}

/** An operation of the disk on files of some topics, within a step. */
function during(
  step: CrashEvent['step'],
  kind: 'write' | 'sync',
  path: RegExp,
): (event: CrashEvent) => boolean {
  return (event) =>
    event.step === step && event.operation?.kind === kind && path.test(event.operation.path);
}

const begins =
  (step: CrashEvent['step']) =>
  (event: CrashEvent): boolean =>
    event.operation === undefined && event.step === step;

const RECORDS_FILE = /(results|changelog|repartition)[^/]*\/\d+\.log$/;
const COORDINATOR_FILE = /__transaction_state-\d+\/\d+\.log$/;

describe.each(WAYS_TO_STOP)('[EOS-4] %s', PATIENT, (_, stop) => {
  test('before anything is appended to the log', () => same(begins('commit-1-flush'), stop));

  test('in the middle of an append, which leaves a torn batch', () =>
    same(during('commit-3-produce', 'write', RECORDS_FILE), stop));

  test('after the append, before the marker', () => same(begins('commit-5-end'), stop));

  test('after the marker is written, before it is synced', () =>
    same(during('commit-5-end', 'write', COORDINATOR_FILE), stop));

  test('after the sync of the marker, before the markers of the partitions', () =>
    same(during('commit-5-end', 'sync', COORDINATOR_FILE), stop));

  test('after the sync, before LMDB begins', () => same(begins('checkpoint-2-write'), stop));

  test('after LMDB has everything, before the layers above it are cleared', () =>
    same(begins('checkpoint-3-done'), stop));

  test('while windows expire', () => {
    // Nearly every commit closes windows; a checkpoint removes them.
    const isCommit = (event: CrashEvent): boolean =>
      event.operation?.kind === 'write' && /win|closed/.test(event.operation.path);
    return same(isCommit, stop);
  });
});

test('[EOS-4] a power cut after the commit of LMDB, before it is flushed', PATIENT, async () => {
  // Then LMDB has the checkpoint before, or, where that was the first, maybe half a file.
  const often = { checkpointIntervalMs: 1 };
  const { expected, moments } = await crashed(begins('checkpoint-3-done'), powerCut, often);
  expect(moments.length).toBeGreaterThan(1); // with one before, and without
  for (const [index, moment] of moments.entries()) {
    const before = moments[index - 1];
    if (before === undefined) cutFiles(moment.stateDir);
    await expectSame(expected, { ...moment, stateDir: copyOf((before ?? moment).stateDir) });
  }
});

/** What another run goes on from: a run changes its state. */
function copyOf(stateDir: string): string {
  const copy = temporaryDirectory();
  copyState(stateDir, copy);
  return copy;
}

/** Leaves half of each file of LMDB. */
function cutFiles(directory: string): void {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const data = files.filter((name) => name.endsWith('data.mdb'));
  expect(data.length).toBeGreaterThan(0);
  for (const name of data) {
    const path = join(directory, name);
    truncateSync(path, Math.floor(statSync(path).size / 2));
  }
}

describe.each(WAYS_TO_STOP)('[EOS-4] %s during a restore', PATIENT, (_, stop) => {
  test('from the changelogs, with checkpoints on the way', async () => {
    // No checkpoint, so that the restore has everything to read.
    const options = { checkpointIntervalMs: 1e6, checkpointEntriesMax: 1e6 };
    const { expected, moments } = await crashed(begins('commit-6-move'), stop, options);
    const last = moments.at(-1)!;
    const found: Moment[] = [];
    const log = await openDisk(last.disk);
    const random = seededRandom(SEED);
    const stateDir = temporaryDirectory();
    const app = makeApp(log, matrixTopology(), {
      ...{ ...OPTIONS, stateDir, checkpointEntriesMax: 50 },
    });
    let count = 0;
    last.disk.onOperation = ({ kind, path }) => {
      if (app.state !== 'RESTORING' || ++count % 3 !== 0) return;
      const operation = `restore ${count}: ${kind} ${path}`;
      found.push({ operation, disk: stop(last.disk, random), stateDir: copyOf(stateDir) });
    };
    await app.start();
    last.disk.onOperation = undefined;
    await app.finish();
    await log.close();
    expect(found.length).toBeGreaterThan(2);
    for (const moment of spread(found)) await expectSame(expected, moment);
  });
});

describe('[EOS-4] during the hand-over of state, which is a copy of its files', PATIENT, () => {
  test('the copy is older than the log, or only half of it came', async () => {
    const { expected, moments } = await crashed(begins('checkpoint-3-done'), kill);
    const [oldest, newest] = [moments[0]!, moments.at(-1)!];
    await expectSame(expected, { ...newest, disk: newest.disk.kill(), stateDir: oldest.stateDir });
    const half = copyOf(newest.stateDir);
    cutFiles(half);
    await expectSame(expected, { ...newest, stateDir: half });
  });
});

describe('[EOS-4] SIGKILL in the middle of a transaction of LMDB', PATIENT, () => {
  test.each([
    ['with values that are put', 'put', [7, 1 + (SEED % 40), 25]],
    ['with windows that expire', 'expire', [2, 1, 1]],
  ] as const)(
    '%s',
    async (_, kind, counts) => {
      const directory = temporaryDirectory();
      {
        await using log = await openLog(join(directory, 'log'), { logger: silentLogger });
        await fill(log);
      }
      const program = 'test/crash/checkpoint-process.ts';
      for (const count of counts) {
        const { how } = await runChild(program, [directory, kind, String(count)]);
        expect(how).toBe('SIGKILL');
      }
      expect((await runChild(program, [directory])).how).toBe('0');
      await using log = await openLog(join(directory, 'log'), { logger: silentLogger });
      expect(await readResults(log)).toEqual(await undisturbed());
    },
    60_000,
  );
});

/** The results of a run that nothing has disturbed. */
async function undisturbed(): Promise<Results> {
  const log = await openTestLog();
  await fill(log);
  await runToEnd(log, matrixTopology(), OPTIONS);
  return readResults(log);
}

describe('[EOS-4] a zombie', PATIENT, () => {
  test('whose epoch is old cannot commit, and nothing of it is seen', async () => {
    const log = await openTestLog();
    await fill(log);
    let fencing: Promise<unknown> | undefined;
    let commits = 0;
    const onStep = (step: CommitStep): void => {
      if (step !== 'commit-4-offsets' || ++commits !== 3) return;
      // As another instance does when it starts, although this one lives on.
      fencing = log.producer({ transactionalId: 'app' }).initTransactions();
    };
    const app = makeApp(log, matrixTopology(), { ...OPTIONS, onStep });
    const states: string[] = [];
    app.state$.subscribe((state) => states.push(state));
    await app.start();
    await app.finish();
    await fencing;
    expect(states).toContain('RETRYING'); // its commit failed, and it went back to the last one
    expect(await readResults(log)).toEqual(await undisturbed());
  });
});

describe('[EOS-4] two processes on one state directory', PATIENT, () => {
  test('the second one is refused; the state of one that was killed is taken over', async () => {
    const [stateDir, directory, ownStateDir] = [1, 2, 3].map(() => temporaryDirectory());
    const program = 'test/crash/state-process.ts';
    const log = await openTestLog();
    await fill(log);
    const first = makeApp(log, matrixTopology(), { stateDir: stateDir! });
    await first.start();
    const refused = await runChild(program, [temporaryDirectory(), stateDir!]);
    expect(refused).toEqual({ how: '0', output: `STATE_LOCKED ${process.pid}` });
    await first.finish();
    const expected = await readResults(log);

    const kill = { afterMs: 20, since: 'output' } as const;
    const killed = await runChild(program, [directory!, ownStateDir!], kill);
    expect(killed).toEqual({ how: 'SIGKILL', output: 'running' });
    const again = await openTestLog({ directory: directory! });
    await runToEnd(again, matrixTopology(), { stateDir: ownStateDir! });
    expect(await readResults(again)).toEqual(expected);
  });

  test('so is the second of two applications of one process, on two logs', async () => {
    const stateDir = temporaryDirectory();
    const [one, other] = [await openTestLog(), await openTestLog()];
    await fill(one);
    await fill(other);
    const first = makeApp(one, matrixTopology(), { stateDir });
    await first.start();
    const failure: unknown = await makeApp(other, matrixTopology(), { stateDir })
      .start()
      .catch(pass);
    expect(StreamsError.is(failure, 'STATE_LOCKED') && failure.details.ownerPid).toBe(process.pid);
    await first.finish();
    const second = makeApp(one, matrixTopology(), { stateDir });
    await second.start();
    await second.close();
  });
});

const pass = (error: unknown): unknown => error;
