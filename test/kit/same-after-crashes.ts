import { cpSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import {
  int64,
  openLog,
  seededRandom,
  silentLogger,
  string,
  topic,
  type Log,
  type Random,
} from '../../core/index.ts';
import { MemoryFileSystem, type DiskOperation } from '../../core/testing/index.ts';
import type { CommitStep, StreamsOptions, Topology } from '../../streams/index.ts';
import { produce, runToEnd } from './app.ts';
import { readTopic } from './read-topic.ts';
import { SEED } from './seed.ts';
import { shareOf } from './share.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** The input of topologies that crash: `k0` to `k6` in turn, values and times from 0. */
export const crashInput = topic('numbers', { key: string(), value: int64(), partitions: 1 });
/** Their output. */
export const crashOutput = topic('results', { key: string(), value: string() });

type WayToStop = (disk: MemoryFileSystem, random: Random) => MemoryFileSystem;

export const powerCut: WayToStop = (disk, random) => disk.crash(random);
export const kill: WayToStop = (disk, random) => disk.kill(random);

/** How a process or its machine stops. */
export const WAYS_TO_STOP = [
  ['a power cut', powerCut],
  ['kill -9', kill],
] as const;

const RECORDS = 2_000;
/** A snapshot at each so many operations of the disk. */
const EVERY = 53;
/** The busier a machine, the more commits a run makes, and so moments. */
const MOMENTS_MAX = 8;
const OPTIONS = { commitIntervalMs: 1, checkpointIntervalMs: 5, idleTimeoutMs: Infinity } as const;

interface Comparison {
  /**
   * What has to be the same: all results of each key, or only the last one's value. `chains` is for
   * values `old>new`, of which the number may differ: besides, each begins where the one before of
   * its key ends, so that nothing was lost or done twice. Keys with `tick` may end anywhere.
   */
  readonly compares?: 'all' | 'last values' | 'chains';
  /** As that of a run; fewer where a topology writes little. */
  readonly every?: number;
  /** Writes input besides that of `crashInput`. */
  readonly fill?: (log: Log) => Promise<void>;
}

/** What a crash in one operation of the log's disk would leave. */
export interface Moment {
  readonly operation: string;
  readonly disk: MemoryFileSystem;
  readonly stateDir: string;
}

/** A run whose crashes are tried. */
export interface CrashingRun {
  readonly topology: Topology;
  /** Writes the input. */
  readonly fill: (log: Log) => Promise<void>;
  readonly options: Partial<StreamsOptions>;
  /** A moment comes at each so many operations of the disk. */
  readonly every: number;
  readonly stop: WayToStop;
}

/** What a run does: an operation of the log's disk, or the beginning of a step. */
export interface CrashEvent {
  /** The newest step of a commit or a checkpoint. */
  readonly step: CommitStep | undefined;
  /** Undefined if the step begins. */
  readonly operation: DiskOperation | undefined;
}

/**
 * Runs a topology to the end and snapshots what a crash at each n-th operation of the log's disk
 * would leave. The state is LMDB's on the real disk, copied at that moment: at worst newer than
 * after a power cut, so this also shows that it is never ahead of the durable log.
 */
export async function crashMoments(
  run: CrashingRun,
): Promise<{ readonly log: Log; readonly moments: readonly Moment[] }> {
  const { topology, fill, options, every, stop } = run;
  const work = (log: Log, stateDir: string) => runToEnd(log, topology, { ...options, stateDir });
  return crashMomentsOf({ fill, work, every, stop });
}

/** The same of an application that is not run to the end of its input. */
export async function crashMomentsOf({
  fill,
  work,
  stop,
  ...when
}: Pick<CrashingRun, 'fill' | 'stop'> & {
  readonly work: (
    log: Log,
    stateDir: string,
    onStep: (step: CommitStep) => void,
  ) => Promise<unknown>;
} & (
    | Pick<CrashingRun, 'every'>
    /** A moment comes where it returns true; of steps it hears if `work` passes them on. */
    | { readonly at: (event: CrashEvent) => boolean }
  )): Promise<{ readonly log: Log; readonly moments: readonly Moment[] }> {
  const random = seededRandom(SEED);
  const moments: Moment[] = [];
  const [stateDir, copies] = [temporaryDirectory(), temporaryDirectory()];
  const disk = new MemoryFileSystem({ random: seededRandom(SEED) });
  const log = await openDisk(disk);
  await fill(log);
  const isMoment = 'at' in when ? when.at : everyOperation(when.every);
  let step: CommitStep | undefined;
  let count = 0;
  const look = (operation: DiskOperation | undefined): void => {
    count++;
    if (!isMoment({ step, operation })) return;
    const copy = join(copies, String(count));
    copyState(stateDir, copy);
    const name = operation === undefined ? step : `${operation.kind} ${operation.path}`;
    moments.push({ operation: `${count}: ${name}`, disk: stop(disk, random), stateDir: copy });
  };
  disk.onOperation = look;
  await work(log, stateDir, (begun) => {
    step = begun;
    look(undefined);
  });
  disk.onOperation = undefined;
  return { log, moments };
}

/** Those of a run's moments that are tried, since each costs another run. */
export function triedMoments<T>(moments: readonly T[]): readonly T[] {
  return shareOf(moments, MOMENTS_MAX);
}

function everyOperation(every: number): (event: CrashEvent) => boolean {
  let count = SEED % every;
  return ({ operation }) => operation !== undefined && ++count % every === 0;
}

/** Copies the state of an application, without the lock: its process lives on, for the test. */
export function copyState(stateDir: string, copy: string): void {
  cpSync(stateDir, copy, { recursive: true, filter: (path) => basename(path) !== '.lock' });
}

/** Opens the log on a disk; it is closed when the test ends. */
export async function openDisk(fileSystem: MemoryFileSystem): Promise<Log> {
  const log = await openLog('/data', { fileSystem, logger: silentLogger });
  onTestFinished(() => log.close());
  return log;
}

/**
 * Runs a topology to the end, and again from what a crash would leave at many moments of that run;
 * the results of each key have to be the same, in their order.
 */
export async function sameAfterCrashes(
  made: () => Topology,
  stop: WayToStop,
  { compares = 'all', every = EVERY, fill: fillOther }: Comparison = {},
): Promise<void> {
  const isLast = compares !== 'all';
  const fill = async (log: Log): Promise<void> => {
    await fillOther?.(log);
    await produce(log, crashInput, crashRows());
  };
  const { log, moments } = await crashMoments({
    ...{ topology: made(), fill, options: OPTIONS, every, stop },
  });
  const expected = await readResults(log, compares, 'undisturbed');
  expect(Object.values(expected).flat().length).toBeGreaterThan(isLast ? 5 : 100);
  expect(moments.length).toBeGreaterThan(5);
  for (const { operation, ...moment } of triedMoments(moments)) {
    const reopened = await openDisk(moment.disk);
    await runToEnd(reopened, made(), { ...OPTIONS, stateDir: moment.stateDir });
    expect(await readResults(reopened, compares, operation), operation).toEqual(expected);
    await reopened.close();
  }
}

/** The records of `crashInput`. */
export function* crashRows(): Generator<[string, number, number]> {
  for (let index = 0; index < RECORDS; index++) yield [`k${index % 7}`, index, index];
}

/** The results of each key, as `compares` has them. */
export async function readResults(
  log: Log,
  compares: Comparison['compares'] = 'all',
  operation = '',
): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const { key, value, timestampMs } of await readTopic(log, crashOutput, 'read_committed')) {
    const name = key ?? '';
    if (compares === 'all') {
      (found[name] ??= []).push(`${value} @${timestampMs}`);
    } else if (compares === 'chains') {
      const [before, after = ''] = String(value).split('>');
      expect(before, `${operation}: ${name}`).toBe(found[name]?.[0] ?? '-');
      found[name] = [after];
    } else {
      found[name] = [String(value)];
    }
  }
  if (compares !== 'chains') return found;
  return Object.fromEntries(Object.entries(found).filter(([name]) => !name.includes('tick')));
}
