import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

/**
 * The settings of a benchmark: `--records`, `--rounds`, `--results FILE`, `--commit ID`, `--smoke`.
 */
export interface BenchSettings {
  readonly records: number;
  readonly rounds: number;
  /** The file to append the results to. */
  readonly results: string | undefined;
  /** The commit being measured, for the results. */
  readonly commit: string | undefined;
  /** Only checks that the benchmark still works. */
  readonly isSmoke: boolean;
}

/** Reads the command line. A smoke run only checks that the benchmark still works. */
export function benchSettings(records: number): BenchSettings {
  const { values } = parseArgs({
    options: {
      records: { type: 'string' },
      rounds: { type: 'string' },
      results: { type: 'string' },
      commit: { type: 'string' },
      smoke: { type: 'boolean', default: false },
    },
  });
  const { smoke } = values;
  return {
    records: Number(values.records ?? (smoke ? 20_000 : records)),
    rounds: Number(values.rounds ?? (smoke ? 1 : 5)),
    results: values.results,
    commit: values.commit,
    isSmoke: smoke,
  };
}

/** One thing to measure: it does the work for all records in a fresh directory. */
export interface Contender {
  readonly name: string;
  readonly run: (directory: string) => Promise<Measured>;
}

/** A contender's own timing, without preparation and cleanup. */
export interface Measured {
  readonly records: number;
  readonly milliseconds: number;
}

/** Times `work` and returns its rate. */
export async function timed(records: number, work: () => unknown): Promise<Measured> {
  const start = performance.now();
  await work();
  return { records, milliseconds: performance.now() - start };
}

interface Rates {
  readonly name: string;
  readonly perSecond: number[];
}

/**
 * Runs the contenders in turn, A B A B ..., so that a change in the machine's speed affects all of
 * them; the first round is a warm-up and does not count. Prints medians and spread, and each as a
 * multiple of the first, which is the floor.
 */
export async function compare(
  title: string,
  contenders: readonly Contender[],
  settings: BenchSettings,
  notes: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const rates: Rates[] = contenders.map(({ name }) => ({ name, perSecond: [] }));
  for (let round = 0; round <= settings.rounds; round++) {
    for (const [index, contender] of contenders.entries()) {
      const directory = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
      try {
        const { records, milliseconds } = await contender.run(directory);
        const isWarmUp = round === 0 && settings.rounds > 1;
        if (!isWarmUp) rates[index]!.perSecond.push((records / milliseconds) * 1000);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    }
  }
  report(title, rates, settings, notes);
}

function report(
  title: string,
  rates: readonly Rates[],
  settings: BenchSettings,
  notes: Readonly<Record<string, unknown>>,
): void {
  const floor = median(rates[0]!.perSecond);
  console.log(
    `\n${title}  (${settings.records.toLocaleString('en')} records, ${settings.rounds} rounds)`,
  );
  for (const { name, perSecond } of rates) {
    const middle = median(perSecond);
    const spread = `${rate(Math.min(...perSecond))}..${rate(Math.max(...perSecond))}`;
    const multiple = `${(floor / middle).toFixed(2)}x`;
    console.log(
      `  ${name.padEnd(34)} ${rate(middle).padStart(9)}/s  ${multiple.padStart(7)}  ${spread}`,
    );
  }
  const figures = rates.map(({ name, perSecond }) => ({ name, values: perSecond }));
  keep(settings, { title, unit: 'per second', figures, notes });
}

/** More is better of rates, and less of the others. */
export type Unit = 'per second' | 'MB/s' | 'ms' | 'MB';

/** The findings of one benchmark. */
interface Found {
  readonly title: string;
  readonly unit: Unit;
  /** Each with one value per round. */
  readonly figures: readonly { readonly name: string; readonly values: readonly number[] }[];
  /** Settings beyond those of the command line. */
  readonly notes?: Readonly<Record<string, unknown>>;
}

/** A line of the results file: the findings, the commit and the machine. */
export interface Result extends Found {
  readonly at: string;
  readonly commit: string | undefined;
  readonly records: number;
  readonly rounds: number;
  readonly machine: {
    readonly node: string;
    readonly cpu: string | undefined;
    readonly cpus: number;
    readonly memory: number;
  };
}

/** Appends to the results file, if one was given. */
export function keep(settings: Omit<BenchSettings, 'isSmoke'>, found: Found): void {
  const { results, commit, records, rounds } = settings;
  if (results === undefined) return;
  const machine = {
    node: process.version,
    cpu: cpus()[0]?.model,
    cpus: cpus().length,
    memory: totalmem(),
  };
  const line = { at: new Date().toISOString(), commit, records, rounds, ...found, machine };
  appendFileSync(results, `${JSON.stringify(line satisfies Result)}\n`);
}

/** The lines of a results file; none if it does not exist. */
export function readResults(file: string): Result[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Result);
}

/** The commit that is measured; with a `+` if files differ from it. */
export function currentCommit(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
  const isChanged = git('status', '--porcelain', '--untracked-files=no') !== '';
  return git('rev-parse', '--short', 'HEAD') + (isChanged ? '+' : '');
}

/** Results are comparable only on the same kind of machine, for the same number of records. */
function kindOf({ title, records, machine: { node, cpu, cpus: count } }: Result): string {
  return JSON.stringify([title, records, node.split('.')[0], cpu, count]);
}

/** One line per figure of `after`: how it changed since the last of its kind in `before`. */
export function changesBetween(before: readonly Result[], after: readonly Result[]): string[] {
  const last = new Map(before.map((result) => [kindOf(result), result]));
  return after.flatMap((result) => {
    const { title, unit, figures } = result;
    const old = last.get(kindOf(result));
    return figures.map(({ name, values }) => {
      const was = old?.figures.find((figure) => figure.name === name);
      const label = `${title}: ${name}`;
      if (was === undefined) return `${label}: nothing to compare it with`;
      const [middle, oldMiddle] = [median(values), median(was.values)];
      const percent = (middle / oldMiddle - 1) * 100;
      const isRate = unit === 'per second' || unit === 'MB/s';
      const isBetter = isRate ? percent > 0 : percent < 0;
      const sign = percent > 0 ? '+' : '';
      const verdict = Math.abs(percent) < 5 ? 'as before' : isBetter ? 'better' : 'WORSE';
      const since = old?.commit ?? 'an unknown commit';
      return `${label}: ${sign}${percent.toFixed(1)} % ${unit} since ${since}, ${verdict}`;
    });
  });
}

/** The middle one. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

function rate(perSecond: number): string {
  return perSecond >= 1e6
    ? `${(perSecond / 1e6).toFixed(2)} M`
    : `${(perSecond / 1e3).toFixed(0)} k`;
}
