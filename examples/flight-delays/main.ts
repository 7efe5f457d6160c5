/**
 * The demonstration: runs the job on three million flights, checks every window that it wrote
 * against plain loops over the same file, and prints the worst airports. With `--chaos 10` it kills
 * the job ten times on the way.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { progressDisplay, runJob, type JobProgress, type JobSummary } from 'millrace/job';
import { runWithChaos, type ChildMessage, type Fall } from './chaos.ts';
import { flightDelays } from './job.ts';
import { startStraight } from './straight-process.ts';
import { verify, type Verification } from './verify.ts';
import { WorstAirports } from './worst-airports.ts';

const USAGE = `usage: npm start -- [--chaos KILLS [--seed NUMBER]] [--json] [--data DIRECTORY]`;

interface Flags {
  readonly chaos: number;
  readonly seed: number;
  readonly json: boolean;
  readonly data: string;
  readonly isChild: boolean;
}

const flags = readFlags();
try {
  if (flags.isChild) await runAsChild();
  else await demonstrate();
} catch (error) {
  console.error(`flight-delays: ${describe(error)}`);
  process.exit(1);
}

async function demonstrate(): Promise<void> {
  const startMs = performance.now();
  const { json, data, chaos, seed } = flags;
  const display = json ? undefined : progressDisplay(process.stdout);
  const say = (text: string): void => display?.note(text);
  process.stdout.on('error', () => undefined); // with `| head -1` the job still runs to its end
  clear(data);
  say(`flight-delays: log, state and results go to ${data}`);
  if (chaos > 0) say(`chaos: ${chaos} kills, --seed ${seed} repeats them`);
  const straight = startStraight();
  straight.catch(() => undefined); // awaited below
  const { summary, falls, peakRssMb } = await run((progress) => display?.show(progress), say);
  display?.end();
  const worst = new WorstAirports();
  const found = await verify(join(data, 'out'), await straight, (delays) => worst.add(delays));
  const seconds = (performance.now() - startMs) / 1000;
  say(`\n${worst.table()}\n`);
  say(verdict(found, falls));
  const records = flightsOf(summary, chaos > 0 ? (await straight).rows : undefined);
  const kills = falls.length;
  const killsAfterSinkCommit = falls.filter(isAfterSinkCommit).length;
  const counts = { kills, killsAfterSinkCommit, peakRssMb };
  const figures = { records, seconds: round(seconds), ...found, ...counts };
  if (json) console.log(JSON.stringify(figures));
  else {
    const flights = `${records.toLocaleString('en-US')} flights`;
    say(`${flights} in ${seconds.toFixed(1)} s, peak memory ${peakRssMb} MB`);
  }
  if (found.missing + found.duplicated + found.different > 0) process.exitCode = 1;
  if (kills < chaos) {
    console.error(`flight-delays: the job was over before ${chaos - kills} of ${chaos} kills`);
    process.exitCode = 1;
  }
}

/** Removes the files of an earlier run, and nothing else. */
function clear(directory: string): void {
  const foreign = readdirIfThere(directory).filter((name) => name !== 'log' && name !== 'out');
  if (foreign.length > 0) {
    const what = `${directory} holds more than an earlier run: ${foreign.slice(0, 3).join(', ')}`;
    throw new TypeError(
      `${what}; name an empty directory, or one that does not exist, with --data`,
    );
  }
  rmSync(directory, { recursive: true, force: true });
}

function readdirIfThere(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** Errors of Millrace say what, where and what to do; others need the stack. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const isKnown = 'code' in error || error instanceof TypeError;
  return isKnown ? error.message : (error.stack ?? error.message);
}

interface Run {
  readonly summary: JobSummary;
  readonly falls: readonly Fall[];
  readonly peakRssMb: number;
}

async function run(
  onProgress: (progress: JobProgress) => void,
  say: (text: string) => void,
): Promise<Run> {
  const { data, chaos, seed } = flags;
  if (chaos === 0) {
    const summary = await runJob(flightDelays(join(data, 'out')), {
      directory: join(data, 'log'),
      onProgress,
    });
    return { summary, falls: [], peakRssMb: peakRss() };
  }
  const onKill = (kill: number, fall: Fall): void =>
    say(`kill -9, number ${kill} of ${chaos}: ${describeFall(fall)}`);
  return runWithChaos({ kills: chaos, seed, directory: data, onProgress, onKill });
}

function describeFall({ read, windows, sinkCommits }: Fall): string {
  const share = `${Math.round(read * 100)} % of the flights read`;
  const written = `${windows.toLocaleString('en-US')} windows written`;
  return `${share}, ${written}, ${sinkCommits} commits of the sinks`;
}

function isAfterSinkCommit({ sinkCommits }: Fall): boolean {
  return sinkCommits > 0;
}

/** The job alone, for `chaos.ts`: continues where the previous process was killed. */
async function runAsChild(): Promise<void> {
  const tell = (message: ChildMessage): void => void process.send?.(message);
  const summary = await runJob(flightDelays(join(flags.data, 'out')), {
    directory: join(flags.data, 'log'),
    onProgress: (progress) => tell({ type: 'progress', progress, peakRssMb: peakRss() }),
    onStep: (step) => {
      if (step.startsWith('sink-')) tell({ type: 'step', step });
    },
  });
  const done: ChildMessage = { type: 'done', summary, peakRssMb: peakRss() };
  process.send?.(done, () => process.disconnect());
}

function verdict(found: Verification, falls: readonly Fall[]): string {
  const { windows, missing, duplicated, different } = found;
  const word = missing + duplicated + different === 0 ? 'verified' : 'NOT VERIFIED';
  const late = falls.filter(isAfterSinkCommit).length;
  const kills = `${falls.length} kills, ${late} of them behind the first commit of a sink`;
  const survived = falls.length === 0 ? '' : `, after ${kills}`;
  return (
    `${word}: ${windows.toLocaleString('en-US')} windows, ${missing} missing, ` +
    `${duplicated} duplicated, ${different} different${survived}`
  );
}

/** Flights processed in this run, or in all runs if some were killed. */
function flightsOf(summary: JobSummary, ofAllRuns: number | undefined): number {
  const source = summary.sources.find(({ name }) => name === 'flights-source');
  return ofAllRuns ?? source?.records ?? 0;
}

function peakRss(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}

function round(seconds: number): number {
  return Math.round(seconds * 100) / 100;
}

function readFlags(): Flags {
  try {
    const { values } = parseArgs({
      options: {
        chaos: { type: 'string', default: '0' },
        seed: { type: 'string' },
        json: { type: 'boolean', default: false },
        data: { type: 'string', default: './data/flight-delays' },
        child: { type: 'boolean', default: false },
      },
    });
    const chaos = Number(values.chaos);
    const seed = Number(values.seed ?? Math.floor(performance.timeOrigin) % 1_000_000);
    if (!Number.isInteger(chaos) || chaos < 0 || !Number.isInteger(seed)) {
      throw new TypeError('--chaos and --seed take whole numbers');
    }
    return { chaos, seed, json: values.json, data: resolve(values.data), isChild: values.child };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    process.exit(2);
  }
}
