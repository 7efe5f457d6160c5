import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

/** How a benchmark is run: `--records`, `--rounds`, `--results FILE`, `--smoke`. */
export interface BenchSettings {
  readonly records: number;
  readonly rounds: number;
  readonly results: string | undefined;
  /** Only shows that the benchmark still works. */
  readonly isSmoke: boolean;
}

/** Reads the command line. A smoke run only shows that the benchmark still works. */
export function benchSettings(records: number): BenchSettings {
  const { values } = parseArgs({
    options: {
      records: { type: 'string' },
      rounds: { type: 'string' },
      results: { type: 'string' },
      smoke: { type: 'boolean', default: false },
    },
  });
  const { smoke } = values;
  return {
    records: Number(values.records ?? (smoke ? 20_000 : records)),
    rounds: Number(values.rounds ?? (smoke ? 1 : 5)),
    results: values.results,
    isSmoke: smoke,
  };
}

/** One thing to measure: does the work for all records in a fresh directory. */
export interface Contender {
  readonly name: string;
  readonly run: (directory: string) => Promise<Measured>;
}

/** What was timed, by whoever did it: without preparation and cleaning up. */
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
 * Runs the contenders in turn, A B A B ..., so that a machine that changes its speed treats all
 * alike; one round to warm up is not counted. Prints medians and spread, and each as a multiple of
 * the first, which is the floor.
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
  if (settings.results === undefined) return;
  const machine = {
    node: process.version,
    cpu: cpus()[0]?.model,
    cpus: cpus().length,
    memory: totalmem(),
  };
  const line = { at: new Date().toISOString(), title, ...settings, notes, machine, rates };
  appendFileSync(settings.results, `${JSON.stringify(line)}\n`);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

function rate(perSecond: number): string {
  return perSecond >= 1e6
    ? `${(perSecond / 1e6).toFixed(2)} M`
    : `${(perSecond / 1e3).toFixed(0)} k`;
}
